//! Data sets that are too large to send: paths of this machine, read-only to runs, known by a fingerprint.

mod fingerprint;

pub use fingerprint::{check, fingerprint};
