//! The device nodes of leased GPUs, by the driver's own word in `/proc`: a run is given these and no others.

use crate::error::Error;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use windlass_shared::id::DeviceId;

/// Nodes that every CUDA program uses, and that reach no GPU by themselves.
const SHARED: [&str; 5] = ["nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset", "nvidia-caps"];

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
    let gpus: Vec<&DeviceId> = leased
        .iter()
        .filter(|id| !id.as_str().starts_with("cpu-"))
        .map(|id| whole.get(id).unwrap_or(id))
        .collect();
    let minors = minors(driver);
    let there = |name: &str| Some(dev.join(name)).filter(|path| path.exists());
    if gpus.is_empty() || (minors.is_empty() && there("nvidia0").is_none()) {
        return Ok(Vec::new());
    }
    let mut nodes: Vec<PathBuf> = SHARED.iter().filter_map(|name| there(name)).collect();
    for gpu in gpus {
        let node = minors.get(gpu.as_str()).and_then(|minor| there(&format!("nvidia{minor}")));
        nodes.push(node.ok_or_else(|| Error::Unavailable {
            what: format!("a run that sees {gpu} alone"),
            problem: format!("{} does not say which device node is its own", driver.display()),
            remedy: "ask for `sandbox: none`, or load the NVIDIA driver's own /proc files",
        })?);
    }
    nodes.sort();
    nodes.dedup();
    Ok(nodes)
}

/// UUID and minor number of each GPU, of files with lines like `GPU UUID: GPU-…`.
fn minors(driver: &Path) -> BTreeMap<String, u32> {
    let folders = fs::read_dir(driver).into_iter().flatten().flatten();
    let texts = folders.filter_map(|entry| fs::read_to_string(entry.path().join("information")).ok());
    texts
        .filter_map(|text| {
            let field = |name: &str| {
                let line = text.lines().find_map(|line| line.strip_prefix(name))?;
                Some(line.trim_start_matches(':').trim().to_owned())
            };
            Some((field("GPU UUID")?, field("Device Minor")?.parse().ok()?))
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
            let name = |path: &PathBuf| path.file_name().expect("a name").to_string_lossy().into_owned();
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
        assert_eq!(check(&["GPU-b"]).expect("known"), ["nvidia-uvm", "nvidia3", "nvidiactl"]);
        assert_eq!(check(&["MIG-x"]).expect("cut from it"), ["nvidia-uvm", "nvidia3", "nvidiactl"]);
        assert!(check(&["cpu-0"]).expect("no GPU").is_empty());
        let problem = check(&["GPU-z"]).expect_err("nobody knows it").chain();
        assert!(problem.contains("GPU-z") && problem.contains("sandbox: none"), "{problem}");
    }
}
