//! CPU slots, where there is no GPU or where they are asked for, and what this machine has of CPUs and
//! memory.

use std::fs;
use std::path::Path;
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};
use windlass_engine::attempt::Cpu;
use windlass_shared::device::{Device, DeviceKind};
use windlass_shared::id::DeviceId;

/// A number of slots that share the machine's cores and memory.
#[derive(Debug)]
pub struct CpuSlots {
    devices: Vec<Device>,
}

impl CpuSlots {
    /// `slots` of them; by default one for each two cores, at least one.
    pub fn new(slots: Option<u32>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let slots = slots.unwrap_or_else(|| u32::try_from(cores / 2).unwrap_or(u32::MAX)).max(1);
        let cpus = RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing());
        let system = System::new_with_specifics(cpus).ok();
        let brand = system.as_ref().and_then(|system| Some(system.cpus().first()?.brand().trim().to_owned()));
        let model = brand.filter(|brand| !brand.is_empty()).unwrap_or_else(|| "CPU".to_owned());
        let memory = host_memory_bytes();
        let device = |slot| Device {
            memory_bytes: memory.map(|bytes| bytes / u64::from(slots)),
            ..Device::plain(DeviceId(format!("cpu-{slot}")), DeviceKind::Cpu, model.clone())
        };
        Self { devices: (0..slots).map(device).collect() }
    }

    /// All of them.
    pub fn devices(&self) -> Vec<Device> {
        self.devices.clone()
    }
}

/// The memory that processes here may use, bytes: the machine's, or a container's limit.
pub fn host_memory_bytes() -> Option<u64> {
    let memory = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(memory).ok()?;
    let limit = system.cgroup_limits().map(|limits| limits.total_memory).filter(|&bytes| bytes > 0);
    let total = Some(system.total_memory()).filter(|&bytes| bytes > 0);
    [limit, total].into_iter().flatten().min()
}

/// The CPUs that this process may run on, with their cores and nodes; none where that cannot be read.
pub fn topology() -> Vec<Cpu> {
    let Ok(allowed) = rustix::thread::sched_getaffinity(None) else { return Vec::new() };
    let max = u32::try_from(rustix::thread::CpuSet::MAX_CPU).unwrap_or(0);
    let ids = (0..max).filter(|&id| allowed.is_set(id as usize));
    let cpu = |id| {
        let folder = Path::new("/sys/devices/system/cpu").join(format!("cpu{id}"));
        Cpu { id, core: core(&folder).unwrap_or(id), node: node(&folder) }
    };
    ids.map(cpu).collect()
}

/// The first of a core's logical CPUs: `0,64` or `0-1`.
fn core(folder: &Path) -> Option<u32> {
    let text = fs::read_to_string(folder.join("topology/thread_siblings_list")).ok()?;
    text.trim().split([',', '-']).next()?.parse().ok()
}

/// The folder of a CPU holds a link named after its node.
fn node(folder: &Path) -> Option<u32> {
    let names = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.file_name());
    names.into_iter().find_map(|name| name.to_str()?.strip_prefix("node")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_always_a_slot_and_as_many_as_asked_for() {
        assert!(!CpuSlots::new(None).devices().is_empty());
        let ids: Vec<_> = CpuSlots::new(Some(3)).devices().into_iter().map(|device| device.id.0).collect();
        assert_eq!(ids, ["cpu-0", "cpu-1", "cpu-2"]);
    }

    #[test]
    fn the_topology_is_the_cpus_that_we_may_run_on() {
        let cpus = topology();
        assert_eq!(cpus.len(), rustix::thread::sched_getaffinity(None).expect("a mask").count() as usize);
        assert!(cpus.iter().all(|cpu| cpu.core <= cpu.id), "{cpus:?}");
        assert!(host_memory_bytes().is_some_and(|bytes| bytes > 1 << 20));
    }

    #[test]
    fn cores_and_nodes_are_read_from_sysfs_or_absent() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!((core(folder.path()), node(folder.path())), (None, None));
        fs::create_dir_all(folder.path().join("topology")).expect("a folder");
        fs::create_dir_all(folder.path().join("node1")).expect("a folder");
        for (text, want) in [("3,67\n", Some(3)), ("2-3\n", Some(2)), ("5\n", Some(5)), ("\n", None)] {
            fs::write(folder.path().join("topology/thread_siblings_list"), text).expect("a file");
            assert_eq!((core(folder.path()), node(folder.path())), (want, Some(1)), "{text:?}");
        }
    }
}
