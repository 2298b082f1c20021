//! The pure core of Windlass: it decides, and does nothing else. No clock, no I/O, no async, no
//! randomness; time and ids are arguments.

pub mod attempt;
pub mod campaign;
pub mod core;
pub mod explain;
pub mod gate;
pub mod literature;
pub mod metric;
pub mod placement;
pub mod quota;
pub mod session;
pub mod share;
pub mod usage;
