//! The devices of this machine by its own word. Which attempt of ours holds which is the host machine's
//! business; here only outsiders and leftovers are told.

mod cpu;
mod lock;
mod nvml;

pub use cpu::CpuSlots;
pub use nvml::Gpus;

pub(crate) use lock::{file_name, machine_lock};

use std::ffi::OsString;
use windlass_shared::device::Device;

/// Something that has devices.
pub trait Inventory: Send {
    /// All of them, as they are now.
    fn look(&mut self) -> Vec<Device>;
    /// Whether a later look can say anything else.
    fn changes(&self) -> bool;
}

/// What is in this machine: its GPUs, else CPU slots. `cpu_slots` asks for a number of slots, also beside
/// GPUs. `library` replaces NVML's own.
pub fn detect(cpu_slots: Option<u32>, library: Option<OsString>) -> Vec<Box<dyn Inventory>> {
    let mut found: Vec<Box<dyn Inventory>> = Vec::new();
    match Gpus::open(library) {
        Ok(gpus) => found.push(Box::new(gpus)),
        Err(error) => tracing::debug!(%error, "no NVML here"),
    }
    let gpus = found.iter_mut().any(|inventory| !inventory.look().is_empty());
    match cpu_slots {
        Some(0) => {}
        Some(slots) => found.push(Box::new(CpuSlots::new(Some(slots)))),
        None if !gpus => found.push(Box::new(CpuSlots::new(None))),
        None => {}
    }
    found
}
