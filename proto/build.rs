//! Compiles the protocol without protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    const FILES: [&str; 7] = [
        "windlass/v1/campaign.proto",
        "windlass/v1/worker.proto",
        "windlass/v1/fleet.proto",
        "windlass/v1/log.proto",
        "windlass/v1/artifact.proto",
        "windlass/v1/upkeep.proto",
        "windlass/v1/identity.proto",
    ];
    for file in FILES {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(FILES, ["."])?;
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("windlass.bin"), prost::Message::encode_to_vec(&descriptors))?;
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    Ok(())
}
