//! Proposals that were refused: how many the ledger has, how many more it takes for now, and the last one. The
//! rest is read in the ledger when it is asked for.

use super::Campaign;
use serde::{Deserialize, Serialize};
use windlass_shared::id::CampaignId;
use windlass_shared::lever::Lever;
use windlass_shared::record::{Body, RefusedLever};
use windlass_shared::refusal::Refusal;
use windlass_shared::view::RefusedView;

/// What a campaign knows of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusals {
    /// Recorded in all.
    pub recorded: u32,
    /// Recorded since the campaign last moved.
    pub since: u32,
    /// The last one.
    pub latest: Option<Box<RefusedView>>,
}

impl Refusals {
    /// One was recorded.
    pub(super) fn note(&mut self, proposal: &RefusedLever, wall_ms: i64) {
        self.recorded = self.recorded.saturating_add(1);
        self.since = self.since.saturating_add(1);
        let Some(first) = proposal.problems.first() else { return };
        self.latest = Some(Box::new(RefusedView {
            recorded: self.recorded,
            wall_ms,
            title: proposal.title.clone(),
            rule: first.rule.clone(),
            message: first.message.clone(),
        }));
    }

    /// A lever was queued or an iteration opened: there is room for more of them.
    pub(super) fn moved_on(&mut self) {
        self.since = 0;
    }
}

impl Campaign {
    /// What the ledger keeps of a refused proposal; nothing of what no rule refused, nor past the bound.
    pub fn refused_proposal(&self, lever: &Lever, refusal: &Refusal) -> Option<(CampaignId, Body)> {
        if self.is_stopped() || self.refusals.since >= RefusedLever::BETWEEN_MAX {
            return None;
        }
        let evidence = crate::core::evidence_for(self, lever);
        let proposal = Box::new(RefusedLever::of(lever, refusal, evidence)?);
        Some((self.id.clone(), Body::LeverRefused { proposal }))
    }
}
