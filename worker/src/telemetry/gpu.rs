//! Figures of leased GPUs through NVML. Opened when a GPU is first asked for, and anew when it answers no
//! more; every figure is optional.

use super::row::{GpuRow, slowing};
use crate::device::NVML_LIBRARIES;
use crate::procfs;
use crate::shim::ATTEMPT_VARIABLE;
use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use nvml_wrapper::error::NvmlError;
use rustix::process::Pid;
use std::ffi::OsString;
use windlass_shared::id::DeviceId;

/// NVML, open or not.
#[derive(Debug)]
pub(super) struct Sensors {
    names: Vec<OsString>,
    nvml: Option<Nvml>,
}

impl Sensors {
    /// By its own names, or by `library`.
    pub fn new(library: Option<OsString>) -> Self {
        let names = library.map_or_else(|| NVML_LIBRARIES.map(OsString::from).to_vec(), |name| vec![name]);
        Self { names, nvml: None }
    }

    /// The figures of one GPU, and whether somebody else is on it.
    pub fn read(&mut self, id: &DeviceId) -> (GpuRow, bool) {
        if self.nvml.is_none() {
            self.nvml = self.names.iter().find_map(|name| Nvml::builder().lib_path(name).init().ok());
        }
        let Some(nvml) = &self.nvml else { return (GpuRow::default(), false) };
        let gpu = match nvml.device_by_uuid(id.as_str()) {
            Ok(gpu) => gpu,
            Err(NvmlError::GpuLost | NvmlError::NotFound | NvmlError::InvalidArg) => {
                return (GpuRow::default(), false);
            }
            Err(_) => {
                // The driver was reloaded, or is gone.
                self.nvml = None;
                return (GpuRow::default(), false);
            }
        };
        let row = GpuRow {
            utilization_percent: gpu.utilization_rates().ok().map(|rates| rates.gpu),
            memory_bytes: gpu.memory_info().ok().map(|memory| memory.used),
            power_mw: gpu.power_usage().ok(),
            temperature_c: gpu.temperature(TemperatureSensor::Gpu).ok(),
            throttle: gpu.current_throttle_reasons().ok().map(|reasons| slowing(reasons.bits())),
        };
        let processes = gpu.running_compute_processes().unwrap_or_default();
        (row, processes.iter().any(|process| is_outsider(process.pid)))
    }
}

/// Whether a process is seen here and is of no attempt. A number that names nobody here says nothing.
fn is_outsider(pid: u32) -> bool {
    let visible = i32::try_from(pid).ok().and_then(Pid::from_raw).filter(|&pid| procfs::stat(pid).is_some());
    visible.is_some_and(|pid| !procfs::environment_names(pid, ATTEMPT_VARIABLE))
}
