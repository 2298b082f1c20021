//! The blob store: bytes by digest and size, both checked on write and on read (I16). It never knows
//! what a blob means.

mod error;
mod incoming;
mod large;
mod pins;
mod store;
mod sweep;

pub use error::Error;
pub use incoming::Incoming;
pub(crate) use large::{Large, files};
pub use pins::PIN;
pub(crate) use pins::{RENEW_AFTER, now_ms};
pub use store::{Blobs, SMALL_MAX_BYTES};
pub(crate) use sweep::{Stored, Sweep};
