//! The worker: carries out attempts on one machine, and says what it has.

pub mod doctor;
pub mod driver;
pub mod settings;

pub mod client;
pub mod collect;
pub mod device;
pub mod logs;
pub mod parcels;
pub mod prepare;
pub mod shim;
pub mod spool;

pub mod blobs;
pub mod data;
pub mod error;
pub mod sandbox;
pub mod secrets;
pub mod setup;
pub mod shop;
pub mod telemetry;
pub mod workspace;

mod durable;
mod procfs;
