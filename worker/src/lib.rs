//! The worker: carries out attempts on one machine, and says what it has.

pub mod blobs;
pub mod client;
pub mod collect;
pub mod error;
pub mod logs;
pub mod prepare;
pub mod sandbox;
pub mod shim;
pub mod shop;
pub mod spool;
pub mod workspace;

mod durable;
mod procfs;
