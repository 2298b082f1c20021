//! Attempt keys and reports.

use crate::{document, v1};
use windlass_shared::attempt::{AttemptKey, Outcome, Phase};
use windlass_shared::id::{AttemptId, CampaignId, FencingNumber, Incarnation, IterationNumber};
use windlass_shared::refusal::Refusal;
use windlass_shared::session::AttemptReport;

impl From<&AttemptKey> for v1::AttemptKey {
    fn from(key: &AttemptKey) -> Self {
        Self {
            campaign: key.id.campaign.0.clone(),
            iteration: key.id.iteration.0,
            number: key.id.number,
            fence_incarnation: key.fence.incarnation.0,
            fence_n: key.fence.n,
        }
    }
}

impl From<v1::AttemptKey> for AttemptKey {
    fn from(key: v1::AttemptKey) -> Self {
        let id = AttemptId {
            campaign: CampaignId(key.campaign),
            iteration: IterationNumber(key.iteration),
            number: key.number,
        };
        let fence = FencingNumber { incarnation: Incarnation(key.fence_incarnation), n: key.fence_n };
        Self { id, fence }
    }
}

/// A key that must be there.
pub fn required_key(key: Option<v1::AttemptKey>) -> Result<AttemptKey, Refusal> {
    key.map(AttemptKey::from)
        .ok_or_else(|| Refusal::Malformed { field: "key", problem: "it is missing".to_owned() })
}

impl From<&AttemptReport> for v1::AttemptReport {
    fn from(report: &AttemptReport) -> Self {
        let mut message = Self { key: Some((&report.key).into()), ..Self::default() };
        match &report.phase {
            Phase::Preparing => message.set_phase(v1::Phase::Preparing),
            Phase::Running { elapsed_ms } => {
                message.set_phase(v1::Phase::Running);
                message.elapsed_ms = *elapsed_ms;
            }
            Phase::Collecting => message.set_phase(v1::Phase::Collecting),
            Phase::Ended(outcome) => {
                message.set_phase(v1::Phase::Ended);
                message.outcome_document = document::write(outcome);
            }
        }
        message
    }
}

impl TryFrom<v1::AttemptReport> for AttemptReport {
    type Error = Refusal;

    fn try_from(message: v1::AttemptReport) -> Result<Self, Refusal> {
        let phase = match message.phase() {
            v1::Phase::Preparing => Phase::Preparing,
            v1::Phase::Running => Phase::Running { elapsed_ms: message.elapsed_ms },
            v1::Phase::Collecting => Phase::Collecting,
            v1::Phase::Ended => Phase::Ended(Box::new(document::read::<Outcome>(
                "outcome_document",
                &message.outcome_document,
            )?)),
            v1::Phase::Unspecified => {
                return Err(Refusal::Malformed { field: "phase", problem: "it is missing".to_owned() });
            }
        };
        Ok(Self { key: required_key(message.key)?, phase })
    }
}
