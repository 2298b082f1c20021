//! CPU slots, where there is no GPU or where they are asked for.

use super::Inventory;
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};
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
        let parts = RefreshKind::nothing()
            .with_cpu(CpuRefreshKind::nothing())
            .with_memory(MemoryRefreshKind::nothing().with_ram());
        let system = System::new_with_specifics(parts).ok();
        let brand = system.as_ref().and_then(|system| Some(system.cpus().first()?.brand().trim().to_owned()));
        let model = brand.filter(|brand| !brand.is_empty()).unwrap_or_else(|| "CPU".to_owned());
        let memory = system.map(|system| system.total_memory()).filter(|&bytes| bytes > 0);
        let device = |slot| Device {
            memory_bytes: memory.map(|bytes| bytes / u64::from(slots)),
            ..Device::plain(DeviceId(format!("cpu-{slot}")), DeviceKind::Cpu, model.clone())
        };
        Self { devices: (0..slots).map(device).collect() }
    }
}

impl Inventory for CpuSlots {
    fn look(&mut self) -> Vec<Device> {
        self.devices.clone()
    }

    fn changes(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_always_a_slot_and_as_many_as_asked_for() {
        assert!(!CpuSlots::new(None).look().is_empty());
        let ids: Vec<_> = CpuSlots::new(Some(3)).look().into_iter().map(|device| device.id.0).collect();
        assert_eq!(ids, ["cpu-0", "cpu-1", "cpu-2"]);
    }
}
