//! Logs on their way to the coordinator, by raw offset (I10).

mod growth;
mod ship;

pub use ship::{Beginning, Shipped, Turn, ship};
