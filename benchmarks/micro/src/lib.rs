//! What the benches share: campaigns that run by themselves over the real core, without a disk.

mod fleet;
mod story;

pub use fleet::{gpu_worker, report};
pub use story::{Story, bindings};
