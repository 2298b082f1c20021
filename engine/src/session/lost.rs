//! Workers that are lost, and how long they are remembered: a machine that never comes back is not listed, counted and
//! kept in memory for as long as the coordinator lives.

use std::collections::BTreeSet;
use windlass_shared::id::WorkerId;

/// A lost worker is forgotten so long after its last word, milliseconds: a day, so that whoever comes in the morning
/// sees what happened at night.
pub const LOST_KEPT_MS: u64 = 24 * 3_600_000;
/// Lost workers that are remembered at most, the latest ones: as many as a large fleet has machines, about 10 KiB each.
pub const LOST_MAX: usize = 1_000;

/// The lost ones, each with its last word, monotonic milliseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Lost(BTreeSet<(u64, WorkerId)>);

impl Lost {
    /// One was lost.
    pub(super) fn note(&mut self, last_word_ms: u64, worker: WorkerId) {
        self.0.insert((last_word_ms, worker));
    }

    /// One is heard again, or forgotten.
    pub(super) fn remove(&mut self, last_word_ms: u64, worker: &WorkerId) {
        if !self.0.is_empty() {
            self.0.remove(&(last_word_ms, worker.clone()));
        }
    }

    /// Those that are to be forgotten: of long ago, or too many.
    pub(super) fn over(&self, now_ms: u64) -> Vec<(u64, WorkerId)> {
        let beyond = self.0.len().saturating_sub(LOST_MAX);
        let is_old = |last_word_ms: u64| now_ms.saturating_sub(last_word_ms) >= LOST_KEPT_MS;
        let over = self.0.iter().enumerate().take_while(|(at, (last, _))| *at < beyond || is_old(*last));
        over.map(|(_, lost)| lost.clone()).collect()
    }
}
