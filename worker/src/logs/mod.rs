//! Logs on their way to the coordinator, by raw offset (I10).

mod ship;

pub use ship::{Beginning, ship};
