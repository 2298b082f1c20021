//! Upkeep of a data folder: garbage and retention, backups and their restoring. It decides from records what
//! is needed; it never changes what a record says.

mod backup;
mod check;
mod collect;
mod copy;
mod error;
mod lock;
mod log_files;
mod manifest;
mod needs;
mod restore;
mod service;

pub use backup::{LogFiles, Taken, backup, backup_plan};
pub use check::check;
pub(crate) use collect::Failure;
pub use error::Error;
pub use manifest::{Manifest, refuse_unfinished};
pub use restore::{restore, restore_plan};
pub use service::Retention;
pub(crate) use service::{Request, Upkeep};
