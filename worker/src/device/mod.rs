//! The devices of this machine by its own word. Which attempt of ours holds which is the host machine's
//! business; here only outsiders, leftovers and failures are told.

mod cpu;
mod events;
mod health;
mod load;
mod lock;
mod machine;
mod nvml;
mod occupant;
mod reading;
mod state;

pub use cpu::{CpuSlots, host_memory_bytes, topology};
pub use load::LoadMeter;
pub use machine::{Machine, Seen};

pub(crate) use lock::{file_name, machine_lock};
pub(crate) use nvml::LIBRARIES as NVML_LIBRARIES;
