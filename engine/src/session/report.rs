//! What a report changes in the ledger: the attempts that ended under a current lease, and those that
//! ended under a stale one and change nothing (I5).

use super::answer::What;
use super::member::Member;
use crate::campaign::{Campaign, MarkState};
use crate::core::Durable;
use windlass_shared::attempt::{AttemptKey, Ending, Outcome, Phase};
use windlass_shared::id::CampaignId;
use windlass_shared::record::Body;
use windlass_shared::session::Report;

/// What the ledger knows of an attempt that a worker names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It holds its lease.
    Live,
    /// It is over, and its worker's word is in the ledger.
    Over,
    /// Its lease passed on; what it says now changes nothing.
    Stale,
    /// The ledger does not know it, or not under this number (I15).
    Unknown,
}

/// What the ledger knows of an attempt.
pub fn known(durable: &Durable, key: &AttemptKey) -> Known {
    let campaign = durable.campaigns.get(&key.id.campaign);
    let mark = campaign.and_then(|campaign| campaign.attempts.get(&(key.id.iteration, key.id.number)));
    match mark {
        Some(mark) if mark.fence == key.fence => match mark.state {
            MarkState::Live => Known::Live,
            MarkState::Lost => Known::Stale,
            MarkState::Ended | MarkState::Superseded => Known::Over,
        },
        _ => Known::Unknown,
    }
}

/// The records of a report that counts.
pub fn records(durable: &Durable, report: &Report) -> Vec<(CampaignId, Body)> {
    let mut records = Vec::new();
    for attempt in &report.attempts {
        let Phase::Ended(outcome) = &attempt.phase else { continue };
        let Some(campaign) = durable.campaigns.get(&attempt.key.id.campaign) else { continue };
        match known(durable, &attempt.key) {
            Known::Live => {
                if let Some(body) = ended(campaign, report, &attempt.key, outcome) {
                    records.push((campaign.id.clone(), body));
                }
            }
            Known::Stale if agrees(outcome) => {}
            Known::Stale => records.push((
                campaign.id.clone(),
                Body::ReportSuperseded {
                    attempt: attempt.key.id.clone(),
                    fence: attempt.key.fence,
                    worker: report.worker.id.clone(),
                    ending: outcome.ending.as_str().to_owned(),
                },
            )),
            Known::Over | Known::Unknown => {}
        }
    }
    records
}

/// The attempts of stopped campaigns and cancelled iterations that never reached their worker: it was told to stop them, has heard
/// that, and has none. Their devices would be held for ever otherwise.
pub fn never_there(durable: &Durable, member: &Member, report: &Report) -> Vec<(CampaignId, Body)> {
    let live = durable.live.get(&report.worker.id).into_iter().flat_map(|live| live.keys());
    let never = live.filter_map(|id| {
        let campaign = durable.campaigns.get(&id.campaign)?;
        let (open, live) = campaign.live_attempt(id)?;
        if !campaign.is_stopped() && !open.is_cancelled {
            return None;
        }
        let told = member.told.get(&live.key).filter(|told| matches!(told.what, What::Stop(_)))?;
        let has_heard = member.session == report.session && told.number <= report.seen;
        let has_it = report.attempts.iter().any(|attempt| attempt.key == live.key);
        (has_heard && !has_it).then(|| {
            let body = Body::AttemptEnded {
                attempt: id.clone(),
                fence: live.key.fence,
                attempt_kind: live.kind,
                worker: live.worker.clone(),
                devices: live.devices.clone(),
                outcome: Box::new(Outcome::bare(Ending::Cancelled)),
            };
            (campaign.id.clone(), body)
        })
    });
    never.collect()
}

/// Whether a worker's word on a lost attempt is that it was lost: its shim vanished, and there is nothing
/// to supersede.
pub(super) fn agrees(outcome: &Outcome) -> bool {
    outcome.ending == Ending::Lost
}

/// An attempt's end by the word of the very worker that holds its lease.
fn ended(campaign: &Campaign, report: &Report, key: &AttemptKey, outcome: &Outcome) -> Option<Body> {
    let (_, live) = campaign.live_attempt(&key.id)?;
    if live.key != *key || live.worker != report.worker.id {
        return None;
    }
    Some(Body::AttemptEnded {
        attempt: key.id.clone(),
        fence: key.fence,
        attempt_kind: live.kind,
        worker: live.worker.clone(),
        devices: live.devices.clone(),
        outcome: Box::new(outcome.clone()),
    })
}
