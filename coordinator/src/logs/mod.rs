//! Logs of attempts: one file each, appended by offset, synced before it is acknowledged (I10), compressed
//! once it is whole. They are bytes here; nobody parses them.

mod error;
mod file;
mod seal;
mod sealed;
mod search;
mod store;

pub use error::Error;
pub use file::Log;
pub(crate) use seal::{SEAL_MIN_BYTES, keep_sealing};
pub use search::{Found, Search};
pub use store::Logs;
