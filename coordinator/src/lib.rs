//! The coordinator: carries out what the engine decides, keeps the ledger, and answers on the wire. It
//! decides nothing itself.

mod open_files;
mod run;

pub mod doctor;
pub mod driver;

pub mod blobs;
pub mod ledger;
pub mod logs;
pub mod snapshot;

pub mod grpc;
pub mod identity;

pub mod hook;
pub mod metrics;
pub mod secrets;
pub mod space;
pub mod upkeep;

#[cfg(debug_assertions)]
mod failpoint;

pub use run::{Error, Settings, run};
