//! The blob store: bytes by digest and size, both checked on write and on read (I16). It never knows
//! what a blob means.

mod error;
mod incoming;
mod large;
mod store;

pub use error::Error;
pub use incoming::Incoming;
pub use store::{Blobs, SMALL_MAX_BYTES};
