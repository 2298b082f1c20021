//! Bytes of a log become a metric, or a reason why there is none (P18).

pub mod lines;
mod reader;

pub use reader::{Reader, read};
