//! Blobs on this worker: a cache by content, checked on write and before use (I16), filled from and
//! emptied to the coordinator.

mod cache;
mod transfer;

pub(crate) use cache::open_plain;
pub use cache::{Cache, Pinned};
pub use transfer::{fetch, fetch_tree, upload};
