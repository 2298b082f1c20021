//! GPUs through NVML. Every reading is optional: what cannot be read is not judged, and a device that
//! cannot be named is not offered.

use super::{Inventory, lock};
use crate::procfs;
use crate::shim::ATTEMPT_VARIABLE;
use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;
use rustix::process::Pid;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use windlass_shared::device::{Device, DeviceKind, DeviceState};
use windlass_shared::id::DeviceId;

/// The driver's library; the bare name exists only where the development files are installed.
const LIBRARIES: [&str; 2] = ["libnvidia-ml.so.1", "libnvidia-ml.so"];
/// Memory beyond the baseline that an empty GPU may hold: drivers move by some MiB on their own.
const SLACK_BYTES: u64 = 256 << 20;

/// The GPUs of this machine.
#[derive(Debug)]
pub struct Gpus {
    nvml: Nvml,
    /// The least memory in use that was ever seen on an empty GPU.
    baselines: BTreeMap<DeviceId, u64>,
}

impl Gpus {
    /// Opens NVML, by its own names or by `library`.
    pub fn open(library: Option<OsString>) -> Result<Self, NvmlError> {
        let names = match library {
            Some(library) => vec![library],
            None => LIBRARIES.map(OsString::from).to_vec(),
        };
        let mut result = Err(NvmlError::LibraryNotFound);
        for name in names {
            result = open(&name);
            if result.is_ok() {
                break;
            }
        }
        Ok(Self { nvml: result?, baselines: BTreeMap::new() })
    }

    fn device(&mut self, index: u32) -> Option<Device> {
        let gpu = self.nvml.device_by_index(index).ok()?;
        let id = DeviceId(gpu.uuid().ok()?);
        let memory = gpu.memory_info().ok();
        let processes = gpu.running_compute_processes().ok().unwrap_or_default();
        let pids: Vec<u32> = processes.iter().map(|process| process.pid).collect();
        let state = match pids.first() {
            Some(_) => inhabited(&pids),
            None => {
                let used = memory.as_ref().map(|memory| memory.used);
                empty(used, self.baselines.entry(id.clone()).or_insert_with(|| used.unwrap_or(u64::MAX)))
            }
        };
        // Where the run is our own, the host machine says so over this.
        let state = match lock::holder(&id) {
            Some(who) if !matches!(state, DeviceState::Outsider { .. }) => DeviceState::Outsider { who },
            _ => state,
        };
        let model = gpu.name().unwrap_or_else(|_| "GPU".to_owned());
        let memory_bytes = memory.map(|memory| memory.total);
        Some(Device { memory_bytes, state, ..Device::plain(id, DeviceKind::Gpu, model) })
    }
}

fn open(library: &OsStr) -> Result<Nvml, NvmlError> {
    Nvml::builder().lib_path(library).init()
}

impl Inventory for Gpus {
    fn look(&mut self) -> Vec<Device> {
        let count = self.nvml.device_count().unwrap_or(0);
        (0..count).filter_map(|index| self.device(index)).collect()
    }

    fn changes(&self) -> bool {
        true
    }
}

/// A GPU with processes: an outsider's wins, for ours are known elsewhere while they are leased, and
/// leftovers where they are not.
fn inhabited(pids: &[u32]) -> DeviceState {
    let known = |pid: u32| Pid::from_raw(i32::try_from(pid).ok()?).filter(|_| pid > 0);
    let ours = |pid: u32| known(pid).is_some_and(|pid| procfs::environment_names(pid, ATTEMPT_VARIABLE));
    match pids.iter().find(|&&pid| !ours(pid)) {
        Some(&pid) => {
            let nameless = || format!("pid {pid}, not visible from here");
            DeviceState::Outsider { who: known(pid).map_or_else(nameless, procfs::describe) }
        }
        None => {
            let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
            let reason = format!("processes of an attempt are still on it: {}", pids.join(", "));
            DeviceState::Quarantined { reason }
        }
    }
}

/// A GPU without processes is free when its memory is back (I9).
fn empty(used: Option<u64>, baseline: &mut u64) -> DeviceState {
    let Some(used) = used else { return DeviceState::Free };
    *baseline = used.min(*baseline);
    if used <= baseline.saturating_add(SLACK_BYTES) {
        return DeviceState::Free;
    }
    let (used, baseline) = (used >> 20, *baseline >> 20);
    DeviceState::Quarantined {
        reason: format!("no process is on it, but {used} MiB are in use where {baseline} MiB are usual"),
    }
}
