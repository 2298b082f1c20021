//! The coordinator: carries out what the engine decides, keeps the ledger, and answers on the wire. It
//! decides nothing itself.

pub mod blobs;
mod driver;
#[cfg(debug_assertions)]
mod failpoint;
pub mod grpc;
pub mod identity;
pub mod ledger;
pub mod logs;
