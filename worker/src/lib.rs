//! The worker: carries out attempts on one machine, and says what it has.

pub mod error;
pub mod shim;

mod durable;
mod procfs;
