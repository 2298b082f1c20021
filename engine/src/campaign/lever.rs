//! A lever in its queue.

use serde::Serialize;
use windlass_shared::digest::{Digest, Hash};
use windlass_shared::id::{IterationNumber, LeverNumber};
use windlass_shared::lever::{Lever, Pin};
use windlass_shared::view::LeverState;

/// A lever and where it stands.
#[derive(Clone, Debug, Serialize)]
pub struct LeverEntry {
    /// Its number.
    pub number: LeverNumber,
    /// As proposed.
    pub document: Box<Lever>,
    /// The tree it was written against.
    pub base: Digest,
    /// That tree with its change.
    pub changed: Digest,
    /// Where its anchor was found, if it was looked for (P6).
    pub pin: Option<Pin>,
    /// The best of that moment: while it is still the best, the pin stands unasked (P7).
    pub pinned_on: Option<IterationNumber>,
    /// The hash of its normalised diff (P10).
    pub diff: Hash,
    /// Where it stands.
    pub state: LeverState,
    /// Times passed over (P9).
    pub passes: u32,
    /// The iteration that was the latest when it was last passed over: once per opened iteration.
    pub passed_after: Option<IterationNumber>,
    /// What was missing then.
    pub missing: Option<String>,
    /// When it was queued, wall time.
    pub queued_wall_ms: i64,
}

impl LeverEntry {
    /// Whether it stands in line.
    pub fn is_queued(&self) -> bool {
        self.state == LeverState::Queued
    }
}
