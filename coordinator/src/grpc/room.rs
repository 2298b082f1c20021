//! How much of the disk one campaign may take: past a bound it takes no new work until something of it is removed or
//! the bound is raised. What it has is read from its records, beside the call that asks and at most once a minute, so
//! that no proposal waits for it; a refusal is that much late.

use super::reach::Reach;
use crate::driver::{Asked, Handle};
use crate::ledger::Used;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use windlass_shared::id::CampaignId;
use windlass_shared::refusal::Refusal;

/// How long what was found counts.
const FRESH: Duration = Duration::from_secs(60);

/// What one campaign may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Its logs, bytes.
    pub log_bytes: u64,
    /// Its blobs, bytes, one that several iterations share counted once.
    pub blob_bytes: u64,
}

impl Default for Room {
    /// Far above any one campaign that was meant, far below what would fill a head node for all others.
    fn default() -> Self {
        Self { log_bytes: 200 << 30, blob_bytes: 1 << 40 }
    }
}

/// What campaigns take. Cloning shares it.
#[derive(Clone, Debug)]
pub(super) struct Rooms {
    each: Room,
    found: Arc<Mutex<BTreeMap<CampaignId, Found>>>,
}

#[derive(Clone, Copy, Debug)]
struct Found {
    used: Used,
    /// When it was looked for last; the look may still be going on.
    looked: Instant,
}

impl Rooms {
    /// At most so much for each.
    pub fn new(each: Room) -> Self {
        Self { each, found: Arc::default() }
    }

    /// Whether a change brings work that leaves something behind.
    pub fn is_asked_by(asked: &Asked) -> bool {
        matches!(
            asked,
            Asked::Propose { .. } | Asked::Retry { .. } | Asked::Fix { .. } | Asked::AddDeliverable { .. }
        )
    }

    /// Refuses new work of a campaign that has too much, with figure and limit; looks anew beside that, when it is
    /// time to.
    pub fn refuse(&self, handle: &Handle, reach: &Reach, campaign: &CampaignId) -> Result<(), Refusal> {
        let now = Instant::now();
        let known = self.found().get(campaign).copied();
        if known.is_none_or(|known| now.saturating_duration_since(known.looked) > FRESH) {
            self.look(handle, reach, campaign, now);
        }
        let used = known.map(|known| known.used).unwrap_or_default();
        bound("logs", campaign, used.log_bytes, self.each.log_bytes)?;
        bound("blobs", campaign, used.blob_bytes, self.each.blob_bytes)
    }

    fn look(&self, handle: &Handle, reach: &Reach, campaign: &CampaignId, now: Instant) {
        let used = self.found().get(campaign).map(|known| known.used).unwrap_or_default();
        self.found().insert(campaign.clone(), Found { used, looked: now });
        let (rooms, reach, campaign, asking) =
            (self.clone(), reach.clone(), campaign.clone(), handle.clone());
        handle.tasks.until_shutdown(async move {
            match reach.used(&asking, &campaign).await {
                Ok(used) => {
                    rooms.found().insert(campaign, Found { used, looked: Instant::now() });
                }
                Err(status) => {
                    tracing::warn!(%campaign, problem = status.message(), "failed to sum a campaign up")
                }
            }
        });
    }

    fn found(&self) -> MutexGuard<'_, BTreeMap<CampaignId, Found>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bound(what: &str, campaign: &CampaignId, figure: u64, limit: u64) -> Result<(), Refusal> {
    if figure <= limit {
        return Ok(());
    }
    let what = format!("the bytes of {what} that campaign {campaign} has");
    Err(Refusal::TooMuch { what, figure, limit })
}
