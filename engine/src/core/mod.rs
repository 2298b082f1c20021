//! The core of the coordinator: one state, five functions, no I/O.
//!
//! *Durable* state is exactly the fold of the records. *Soft* state is rebuilt from observations. Nothing
//! here reads a clock: time is an argument.

mod bounds;
pub(crate) mod canonical;
mod claims;
mod client;
mod command;
mod durable;
mod figures;
mod help;
mod import;
mod input;
mod machine;
mod observation;
pub(crate) mod packed;
mod requests;
mod snapshot;
mod soft;
mod steer;
mod usage;
mod view;
mod waiting;

pub use claims::{CLAIM_MAX_MS, Proposed};
pub(crate) use client::evidence_for;
pub use command::Command;
pub use durable::{Durable, KEPT_MAX};
pub use figures::{CAMPAIGN_STATES, DEVICE_STATES, Figures, WORKER_STATES};
pub(crate) use import::RECORDED;
pub use input::{Ask, Input, Place, Removal, RequestKey};
pub use machine::{Core, DRAIN_AFTER};
pub use observation::Observation;
pub use packed::{Field, Table};
pub use requests::{Answered, REQUEST_MEMORY_MS, Requests};
pub use snapshot::{SnapshotError, VERSION};
pub use soft::{RETRY_AFTER_GATHER_FAILED_MS, Soft};
pub use view::Listed;
pub(crate) use waiting::rank;
