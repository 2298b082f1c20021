//! Snapshots of the folded state, so that a start need not replay every record. One lies beside the
//! ledger; what it says is believed only when the very fold that runs wrote it and the chain goes through
//! its record. It is never needed: without it a start takes longer.

mod file;
mod keep;
mod take;

pub use file::{Error, Refused, Snapshot, file_in, write};
pub(crate) use keep::keep;
pub use take::{EVERY_RECORDS, load, take};
