//! The device nodes of leased GPUs, by the driver's own word in `/proc`: a run is given these and no others.

use crate::error::Error;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use windlass_shared::id::DeviceId;

/// Nodes that every CUDA program uses, and that reach no GPU by themselves.
const SHARED: [&str; 4] = ["nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset"];
/// The driver's capabilities, by which slices are reached: for a run that has one, and for no other.
const CAPABILITIES: &str = "nvidia-caps";
/// What of a GPU's own in `/dev/dri` renders without a screen; programs that draw ask for it.
const RENDERS: &str = "dri/by-path/pci-{}-render";

/// The nodes of `leased` GPUs; `whole` names the GPU that a slice is cut from. Nothing where the machine has
/// no GPU nodes at all.
pub fn of(leased: &[DeviceId], whole: &BTreeMap<DeviceId, DeviceId>) -> Result<Vec<PathBuf>, Error> {
    of_driver(leased, whole, Path::new("/proc/driver/nvidia/gpus"), Path::new("/dev"))
}

fn of_driver(
    leased: &[DeviceId],
    whole: &BTreeMap<DeviceId, DeviceId>,
    driver: &Path,
    dev: &Path,
) -> Result<Vec<PathBuf>, Error> {
    let gpus: Vec<&DeviceId> = leased.iter().filter(|id| !id.as_str().starts_with("cpu-")).collect();
    let known = known(driver);
    let there = |name: &str| Some(dev.join(name)).filter(|path| path.exists());
    if gpus.is_empty() || (known.is_empty() && there("nvidia0").is_none()) {
        return Ok(Vec::new());
    }
    let mut nodes: Vec<PathBuf> = SHARED.iter().filter_map(|name| there(name)).collect();
    for leased in gpus {
        let gpu = whole.get(leased).unwrap_or(leased);
        let found = known.get(gpu.as_str());
        let node = found.and_then(|gpu| there(&format!("nvidia{}", gpu.minor)));
        nodes.push(node.ok_or_else(|| Error::Unavailable {
            what: format!("a run that sees {gpu} alone"),
            problem: format!("{} does not say which device node is its own", driver.display()),
            remedy: "ask for `sandbox: none`, or load the NVIDIA driver's own /proc files",
        })?);
        let renders = found.map(|gpu| dev.join(RENDERS.replace("{}", &gpu.slot)));
        // A link by the slot's name leads to the node, whose number is nobody's in particular.
        nodes.extend(renders.and_then(|link| link.canonicalize().ok()));
        nodes.extend(whole.contains_key(leased).then(|| there(CAPABILITIES)).flatten());
    }
    nodes.sort();
    nodes.dedup();
    Ok(nodes)
}

/// What the driver says of one GPU.
struct Known {
    minor: u32,
    /// Its place on the bus, as `0000:1b:00.0`.
    slot: String,
}

/// Each GPU by its UUID, of files with lines like `GPU UUID: GPU-…`, in folders named by their place.
fn known(driver: &Path) -> BTreeMap<String, Known> {
    let folders = fs::read_dir(driver).into_iter().flatten().flatten();
    let texts = folders.filter_map(|entry| {
        let text = fs::read_to_string(entry.path().join("information")).ok()?;
        Some((entry.file_name().to_string_lossy().into_owned(), text))
    });
    texts
        .filter_map(|(slot, text)| {
            let field = |name: &str| {
                let line = text.lines().find_map(|line| line.strip_prefix(name))?;
                Some(line.trim_start_matches(':').trim().to_owned())
            };
            Some((field("GPU UUID")?, Known { minor: field("Device Minor")?.parse().ok()?, slot }))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leased_gpu_has_its_own_node_a_slice_that_of_its_gpu_and_an_unknown_one_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let (driver, dev) = (folder.path().join("gpus"), folder.path().join("dev"));
        let check = |leased: &[&str]| {
            let leased: Vec<DeviceId> = leased.iter().map(|&id| DeviceId::from(id)).collect();
            let whole = BTreeMap::from([(DeviceId::from("MIG-x"), DeviceId::from("GPU-b"))]);
            let nodes = of_driver(&leased, &whole, &driver, &dev)?;
            let dev = dev.canonicalize().unwrap_or_else(|_| dev.clone());
            let name = |path: &PathBuf| {
                let path = path.canonicalize().expect("it is there");
                path.strip_prefix(&dev).expect("it is below").to_string_lossy().into_owned()
            };
            Ok::<_, Error>(nodes.iter().map(name).collect::<Vec<_>>())
        };
        assert!(check(&["GPU-a"]).expect("no nodes here").is_empty());
        fs::create_dir(&dev).expect("a folder");
        for name in ["nvidia0", "nvidia3", "nvidiactl", "nvidia-uvm"] {
            fs::write(dev.join(name), "").expect("a node");
        }
        for (slot, uuid, minor) in [("0000:1b:00.0", "GPU-a", 0), ("0000:2b:00.0", "GPU-b", 3)] {
            fs::create_dir_all(driver.join(slot)).expect("a folder");
            let text = format!("Model: \t\t NVIDIA H100\nGPU UUID: \t {uuid}\nDevice Minor: \t {minor}\n");
            fs::write(driver.join(slot).join("information"), text).expect("a file");
        }
        fs::create_dir_all(dev.join("dri/by-path")).expect("a folder");
        fs::create_dir_all(dev.join("nvidia-caps")).expect("a folder");
        for (slot, node) in [("0000:1b:00.0", "renderD129"), ("0000:2b:00.0", "renderD128")] {
            fs::write(dev.join("dri").join(node), "").expect("a node");
            let link = dev.join("dri/by-path").join(format!("pci-{slot}-render"));
            std::os::unix::fs::symlink(Path::new("..").join(node), link).expect("a link");
        }
        let of_b = ["dri/renderD128", "nvidia-uvm", "nvidia3", "nvidiactl"];
        assert_eq!(check(&["GPU-b"]).expect("known"), of_b);
        let of_a = ["dri/renderD129", "nvidia-uvm", "nvidia0", "nvidiactl"];
        assert_eq!(check(&["GPU-a"]).expect("known"), of_a, "and nothing of its neighbour");
        // A slice is reached through the driver's capabilities, which nobody else is shown.
        let of_x = ["dri/renderD128", "nvidia-caps", "nvidia-uvm", "nvidia3", "nvidiactl"];
        assert_eq!(check(&["MIG-x"]).expect("cut from it"), of_x);
        assert!(check(&["cpu-0"]).expect("no GPU").is_empty());
        let problem = check(&["GPU-z"]).expect_err("nobody knows it").chain();
        assert!(problem.contains("GPU-z") && problem.contains("sandbox: none"), "{problem}");
    }
}
