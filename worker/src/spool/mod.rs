//! The work folder: identity, one folder per attempt, and what a restarted daemon finds in them.

mod attempt;
mod recover;
mod work_dir;

pub use crate::durable::{decode, encode};
pub use attempt::{AttemptDir, Ended};
pub use recover::{Found, State, recover, state};
pub use work_dir::{WorkDir, remove_tree};
