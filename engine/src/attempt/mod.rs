//! The worker's side of a run: the time gate, the endings, and the machine that says what a worker does
//! next. Pure: it starts nothing and kills nothing.

mod cpus;
mod ending;
mod gate;
mod host;

pub use cpus::{Cpu, CpuShares};
pub use ending::{DEVICE_MEMORY_WORDS, Exceeded, ExitRecord, HOST_MEMORY_WORDS, classify};
pub use gate::{Fired, Signal, TimeGate};
#[cfg(test)]
pub(crate) use host::tests::order as test_order;
pub use host::{Action, Event, Host, REPORT_SOON_MS, Recovered, Recovery};
