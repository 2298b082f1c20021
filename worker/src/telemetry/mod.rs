//! What a run makes of its machine while it runs: a bounded table beside it, and circumstances that a reader
//! of its metric must know. Only looks; a reading that is not to be had is absent, never zero.

mod gpu;
mod row;
mod sampler;
mod series;
mod tree;

pub use row::{GpuRow, Row, header};
pub use sampler::Telemetry;
pub(crate) use sampler::{Spent, gpus};
pub use series::{Series, Summary};

/// The file's name, in the attempt's folder while it grows, below `results/` at the end.
pub const FILE: &str = "telemetry.tsv";
