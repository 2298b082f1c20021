//! The wire: generated code of `windlass.v1`, and the only conversions between it and `shared`.

#[expect(
    missing_docs,
    clippy::all,
    clippy::allow_attributes_without_reason,
    reason = "generated; the .proto files carry the documentation"
)]
pub mod v1 {
    tonic::include_proto!("windlass.v1");
}
pub mod attempt;
pub mod device;
pub mod document;
pub mod refusal;
pub mod session;

/// The compiled descriptors, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/windlass.bin"));

/// The largest message that either side takes, bytes: a manifest of 200,000 entries does not travel in
/// one (it is a blob), an answer with a worker's orders does.
pub const MESSAGE_MAX_BYTES: usize = 16 << 20;

/// The largest piece of a blob or a log in one message, bytes.
pub const CHUNK_BYTES: usize = 256 << 10;
/// The largest blob that travels with a worker's report: what the store keeps beside its records.
pub const PARCEL_MAX_BYTES: usize = 32 << 10;
/// The most that all blobs of one report have together: it must stay far below a message's bound.
pub const PARCELS_MAX_BYTES: usize = 4 << 20;
