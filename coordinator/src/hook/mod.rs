//! A command of the operator's that is run when a campaign pauses, waits for a person, or finds a new best. It hears
//! of what is durable, from the ledger; the loop never waits for it, and knows nothing of it.

mod message;
mod runner;
mod watcher;

pub(crate) use watcher::watch;

use std::time::Duration;

/// What is run, and when.
#[derive(Clone, Debug)]
pub struct Hook {
    /// A command line for `sh -c`; a message comes on its standard input.
    pub command: String,
    /// How long a campaign must have waited before that is told: a researcher who thinks is no news.
    pub after: Duration,
}
