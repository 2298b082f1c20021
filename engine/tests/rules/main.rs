//! The rules of PROTOCOL.md and the invariants of RELIABILITY.md, held against the pure core. A test is
//! named after what it proves.

mod harness;
mod setup;
