//! The worker's side of a run: the time gate, the endings, and the machine that says what a worker does
//! next. Pure: it starts nothing and kills nothing.

mod ending;
mod gate;
mod host;

pub use ending::{DEVICE_MEMORY_WORDS, ExitRecord, HOST_MEMORY_WORDS, classify};
pub use gate::{Fired, Signal, TimeGate};
pub use host::{Action, Event, Host, REPORT_SOON_MS, Recovered, Recovery};
