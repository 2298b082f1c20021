//! Levers come into line, move in it, are held, and leave it.

use super::iteration::Iteration;
use super::lever::{LeverEntry, Past};
use super::state::{Campaign, RETRIABLE_MAX};
use windlass_shared::id::{IterationNumber, LeverNumber, RequestId};
use windlass_shared::lever::Pin;
use windlass_shared::record::{Body, HoldReason, Record};
use windlass_shared::view::LeverState;

/// The client's request that a record answers.
pub(super) fn request_of(record: &Record) -> Option<RequestId> {
    record.request.as_ref().map(|request| request.id.clone())
}

impl Campaign {
    pub(super) fn lever_queued(&mut self, record: &Record) {
        let Body::LeverQueued { lever, document, base, changed, pin, diff, cited } = &record.body else {
            return;
        };
        let entry = LeverEntry {
            number: *lever,
            document: document.clone(),
            base: *base,
            changed: *changed,
            pin: pin.clone(),
            pinned_on: self.best.as_ref().map(|best| best.iteration),
            diff: *diff,
            state: LeverState::Queued,
            passes: 0,
            passed_after: None,
            missing: None,
            queued_wall_ms: record.wall_ms,
            cited: cited.clone(),
            superseded_by: None,
            request: request_of(record),
        };
        self.levers.insert(*lever, entry);
        self.queue.push(*lever);
        self.queued_diffs.insert(*diff, *lever);
    }

    pub(super) fn lever_held(&mut self, lever: LeverNumber, reason: &HoldReason) {
        self.leave_queue(lever);
        if let Some(entry) = self.levers.get_mut(&lever) {
            entry.state = LeverState::Held { reason: reason.clone() };
        }
        if reason.is_infrastructure() {
            self.held_in_a_row += 1;
        }
    }

    pub(super) fn lever_moved(&mut self, lever: LeverNumber, before: Option<LeverNumber>) {
        let Some(from) = self.queue.iter().position(|queued| *queued == lever) else { return };
        self.queue.remove(from);
        let to = before.and_then(|before| self.queue.iter().position(|queued| *queued == before));
        self.queue.insert(to.unwrap_or(self.queue.len()), lever);
    }

    /// Its passes begin anew: it was put back because its evidence is there now (P6).
    pub(super) fn lever_requeued(&mut self, lever: LeverNumber, pin: Option<&Pin>) {
        let best = self.best.as_ref().map(|best| best.iteration);
        let Some(entry) = self.levers.get_mut(&lever).filter(|entry| !entry.is_queued()) else { return };
        entry.state = LeverState::Queued;
        (entry.pin, entry.pinned_on) = (pin.cloned(), best);
        (entry.passes, entry.passed_after, entry.missing) = (0, None, None);
        self.queued_diffs.insert(entry.diff, lever);
        self.queue.push(lever);
        self.retriable.retain(|kept| *kept != lever);
    }

    /// It stands at the front, to be run again on the new best (P39). Its pin is looked up there (P7).
    pub(super) fn lever_superseded(&mut self, lever: LeverNumber, pin: Option<&Pin>, by: IterationNumber) {
        for open in self.open.values_mut() {
            // What it gave is no part of the best any more.
            open.overtaken_by.retain(|(_, kept)| *kept != lever);
        }
        let Some(entry) = self.levers.get_mut(&lever).filter(|entry| !entry.is_queued()) else { return };
        entry.state = LeverState::Queued;
        (entry.pin, entry.pinned_on) = (pin.cloned(), None);
        (entry.passes, entry.passed_after, entry.missing) = (0, None, None);
        entry.superseded_by = Some(by);
        self.queued_diffs.insert(entry.diff, lever);
        self.queue.insert(0, lever);
    }

    pub(super) fn leave_queue(&mut self, lever: LeverNumber) {
        self.queue.retain(|queued| *queued != lever);
        if let Some(entry) = self.levers.get(&lever)
            && self.queued_diffs.get(&entry.diff) == Some(&lever)
        {
            self.queued_diffs.remove(&entry.diff);
        }
    }

    /// Keeps a lever whole that may be put in line again; of the one that has waited longest for that no more
    /// than where it stands.
    pub(super) fn keep_retriable(&mut self, lever: LeverNumber, state: LeverState) {
        let Some(entry) = self.levers.get_mut(&lever) else { return };
        entry.state = state;
        self.retriable.retain(|kept| *kept != lever);
        self.retriable.push_back(lever);
        if self.retriable.len() > RETRIABLE_MAX
            && let Some(oldest) = self.retriable.pop_front()
        {
            self.let_go(oldest);
        }
    }

    /// What is open in other lanes builds on an older best from now on (P39).
    pub(super) fn overtake(&mut self, by: IterationNumber, lever: Option<LeverNumber>) {
        for open in self.open.values_mut() {
            open.overtaken_by.extend(lever.map(|lever| (by, lever)));
        }
    }

    /// A kept lever stays whole while an open iteration that began before it may still take its place.
    pub(super) fn let_go_unless_overtaking(&mut self, lever: LeverNumber) {
        let is_decided =
            self.levers.get(&lever).is_some_and(|entry| matches!(entry.state, LeverState::Decided { .. }));
        let overtakes = |open: &Iteration| open.overtaken_by.iter().any(|(_, kept)| *kept == lever);
        if is_decided && !self.open.values().any(overtakes) {
            self.let_go(lever);
        }
    }

    /// Keeps of a lever no more than where it stands.
    pub(super) fn let_go(&mut self, lever: LeverNumber) {
        if let Some(entry) = self.levers.remove(&lever) {
            self.past_levers.insert(lever, Past::of(&entry.state));
        }
    }
}
