//! What surrounds a run: its environment, and the isolation that is in force. So far the level is `none`:
//! a clean environment and no new privileges, no walls.

mod environment;

pub use environment::{analysis, run};

/// The isolation level that is recorded beside every metric.
pub const LEVEL: &str = "none";
