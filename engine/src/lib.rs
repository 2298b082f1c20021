//! The pure core of Windlass: it decides, and does nothing else. No clock, no I/O, no async, no
//! randomness; time and ids are arguments.

pub mod gate;
pub mod metric;
