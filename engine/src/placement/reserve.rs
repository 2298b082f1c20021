//! Workers kept for requests that need several devices at once: a stream of small ones would else take each
//! device as it comes free, and the large one would wait for ever. What is kept is not leased to others of
//! the same or a lower priority until the large one is placed, or no longer waits.

use std::collections::BTreeMap;
use windlass_shared::id::{CampaignId, WorkerId};

/// Workers that are kept at once. Each may stand partly idle while its last run ends, so few are; a fifth
/// large request waits for one of the first four, which is a wait of bounded length too.
pub const RESERVATIONS_MAX: usize = 4;

/// Which worker is kept for which campaign; one each.
#[derive(Clone, Debug, Default)]
pub struct Reservations {
    kept: BTreeMap<WorkerId, (CampaignId, i32)>,
}

impl Reservations {
    /// Whether a worker is kept for another of the same or a higher priority.
    pub fn bars(&self, worker: &WorkerId, campaign: &CampaignId, priority: i32) -> bool {
        // Nearly always nothing is kept at all.
        !self.kept.is_empty()
            && self.kept.get(worker).is_some_and(|(holder, theirs)| holder != campaign && *theirs >= priority)
    }

    /// Whether a worker can be kept for a campaign: it has one, or fewer than the most are kept.
    pub fn may_keep(&self, campaign: &CampaignId) -> bool {
        self.kept.len() < RESERVATIONS_MAX || self.of(campaign).is_some()
    }

    /// For whom a worker is kept.
    pub fn holder(&self, worker: &WorkerId) -> Option<&CampaignId> {
        self.kept.get(worker).map(|(holder, _)| holder)
    }

    /// The worker that is kept for a campaign.
    pub fn of(&self, campaign: &CampaignId) -> Option<&WorkerId> {
        self.kept.iter().find(|(_, (holder, _))| holder == campaign).map(|(worker, _)| worker)
    }

    /// The campaigns for which something is kept.
    pub fn holders(&self) -> impl Iterator<Item = &CampaignId> {
        self.kept.values().map(|(holder, _)| holder)
    }

    /// Keeps this worker, and no other, for a campaign; none for one that does not wait for room. Whether a
    /// worker is kept no longer that was: then others may have it.
    pub fn keep(&mut self, campaign: &CampaignId, priority: i32, worker: Option<WorkerId>) -> bool {
        if self.kept.is_empty() && worker.is_none() {
            return false;
        }
        let before = self.of(campaign).cloned();
        if let Some(before) = before.as_ref().filter(|before| worker.as_ref() != Some(before)) {
            self.kept.remove(before);
        }
        // A worker that is kept with less weight than before is open to others too.
        let weight = before.as_ref().and_then(|before| self.kept.get(before)).map(|(_, weight)| *weight);
        let frees = before.is_some() && (before != worker || weight.is_some_and(|weight| priority < weight));
        if let Some(worker) = worker
            && (self.kept.len() < RESERVATIONS_MAX || self.kept.contains_key(&worker))
        {
            self.kept.insert(worker, (campaign.clone(), priority));
        }
        frees
    }
}
