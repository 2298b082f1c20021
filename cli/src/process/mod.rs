//! Processes: becoming a shim, running the roles as children, ending them.

pub mod end_runs;
pub mod lifeline;
pub mod notify;
pub mod pair;
pub mod role;
pub mod shim;
pub mod signals;
