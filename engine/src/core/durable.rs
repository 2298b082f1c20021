//! The durable state: the fold of the ledger's records, and nothing else.

use super::Requests;
use crate::campaign::Campaign;
use crate::quota::Holding;
use crate::share::{self, Moment};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use windlass_shared::attempt::{AttemptKey, Order};
use windlass_shared::id::{AttemptId, CampaignId, DeviceId, FencingNumber, Incarnation, WorkerId};
use windlass_shared::record::{Body, Record};

/// Workspaces that one worker is asked to keep: each is as large as its project, all of them are named in every
/// answer, and what is not kept is rebuilt (P21). More than a worker has attempts at once.
pub const KEPT_MAX: usize = 32;

/// The fold of the records. Two folds of the same records serialise to the same bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Durable {
    /// The sequence number of the last record; 0 before the first.
    pub seq: u64,
    /// The present life of the coordinator.
    pub incarnation: Option<Incarnation>,
    /// Leases given in this life; the next fencing number is one more.
    pub leases_given: u64,
    /// Every campaign.
    pub campaigns: BTreeMap<CampaignId, Campaign>,
    /// Answered requests of the last 7 days.
    pub requests: Requests,
    /// Live attempts by worker.
    #[serde(serialize_with = "super::canonical::nested", deserialize_with = "super::canonical::read_nested")]
    pub live: BTreeMap<WorkerId, BTreeMap<AttemptId, FencingNumber>>,
    /// Workers that take nothing new, with the reason.
    pub drained: BTreeMap<WorkerId, String>,
    /// The latest release of each device that was ever released: told to its worker while that says that the
    /// device is quarantined, carried out there once.
    pub releases: BTreeMap<WorkerId, BTreeMap<DeviceId, FencingNumber>>,
    /// The runs whose workspaces a worker keeps for follow-ups (P22), the oldest first, at most [`KEPT_MAX`].
    pub kept: BTreeMap<WorkerId, Vec<AttemptKey>>,
    /// Infrastructure endings in a row, by worker (P20).
    pub failures_in_a_row: BTreeMap<WorkerId, u32>,
    /// The half-life of what campaigns had, milliseconds.
    pub half_life_ms: u64,
    /// What clients have of the fleet over all their campaigns, and may have at most.
    pub owners: BTreeMap<String, Holding>,
}

impl Default for Durable {
    fn default() -> Self {
        Self {
            seq: 0,
            incarnation: None,
            leases_given: 0,
            campaigns: BTreeMap::new(),
            requests: Requests::default(),
            live: BTreeMap::new(),
            drained: BTreeMap::new(),
            releases: BTreeMap::new(),
            kept: BTreeMap::new(),
            failures_in_a_row: BTreeMap::new(),
            half_life_ms: share::HALF_LIFE_MS,
            owners: BTreeMap::new(),
        }
    }
}

impl Durable {
    /// The next fencing number (I5).
    pub fn next_fence(&self) -> FencingNumber {
        let incarnation =
            self.incarnation.expect("a coordinator records its incarnation before anything else");
        FencingNumber { incarnation, n: self.leases_given + 1 }
    }

    /// Folds one record in. The same code live and in replay; it cannot fail.
    pub fn apply(&mut self, record: &Record) {
        self.seq = record.seq;
        if let Some(request) = &record.request {
            self.requests.note(request, record.wall_ms);
        }
        match &record.body {
            Body::IncarnationStarted { incarnation, half_life_ms, .. } => {
                self.incarnation = Some(*incarnation);
                self.leases_given = 0;
                self.change_half_life(half_life_ms.unwrap_or(share::HALF_LIFE_MS), record.wall_ms);
            }
            Body::WorkerDrained { worker, reason } => {
                self.drained.insert(worker.clone(), reason.clone());
            }
            Body::WorkerUndrained { worker } => {
                self.drained.remove(worker);
                self.failures_in_a_row.remove(worker);
            }
            Body::DeviceReleased { worker, device } => {
                let incarnation = self.incarnation.unwrap_or(Incarnation(0));
                let number = FencingNumber { incarnation, n: record.seq };
                self.releases.entry(worker.clone()).or_default().insert(device.clone(), number);
            }
            Body::QuotaSet { owner, quota } => {
                self.owners.entry(owner.clone()).or_default().quota = *quota;
                self.owners.retain(|_, holding| !holding.is_nothing());
            }
            Body::AttemptLeased { order, worker, .. } => {
                self.leases_given = order.key.fence.n;
                self.live.entry(worker.clone()).or_default().insert(order.key.id.clone(), order.key.fence);
                self.owner_took(order);
            }
            Body::AttemptEnded { attempt, worker, outcome, .. } => {
                self.owner_let_go(record);
                if let Some(live) = self.live.get_mut(worker) {
                    live.remove(attempt);
                    if live.is_empty() {
                        self.live.remove(worker);
                    }
                }
                if outcome.setup_failed {
                    // Its campaign's doing: it neither adds to the row nor ends it.
                } else if outcome.ending.is_infrastructure() {
                    *self.failures_in_a_row.entry(worker.clone()).or_default() += 1;
                } else {
                    self.failures_in_a_row.remove(worker);
                }
            }
            _ => {}
        }
        let Some(id) = &record.campaign else { return };
        if let Body::CampaignCreated { name, bindings, tree, cap, owner, .. } = &record.body {
            let campaign = Campaign::new(id.clone(), name.clone(), bindings.clone(), *tree, record.wall_ms);
            let request = record.request.as_ref().map(|request| request.id.clone());
            self.campaigns
                .insert(id.clone(), Campaign { cap: cap.clone(), owner: owner.clone(), request, ..campaign });
        } else if let Body::LedgerImported { name, bindings, source, owner, .. } = &record.body {
            let campaign = (id.clone(), name.clone(), bindings.clone());
            let campaign = Campaign::imported(campaign, source.clone(), record.wall_ms);
            self.campaigns.insert(id.clone(), Campaign { owner: owner.clone(), ..campaign });
        } else if let Some(campaign) = self.campaigns.get_mut(id) {
            let moves_kept = matches!(
                record.body,
                Body::AttemptEnded { .. }
                    | Body::FixApplied { .. }
                    | Body::IterationDecided { .. }
                    | Body::DeliverableAccepted { .. }
                    | Body::EvidenceRemoved { .. }
                    | Body::CampaignStopped { .. }
            );
            let before = if moves_kept { campaign.kept_runs() } else { BTreeSet::new() };
            campaign.apply(record, self.half_life_ms);
            if moves_kept {
                let after = campaign.kept_runs();
                self.keep_instead(&before, after);
            }
        }
    }

    /// Before the campaign knows of it: what it is taken to need follows from what came earlier.
    fn owner_took(&mut self, order: &Order) {
        let id = &order.key.id;
        let Some(campaign) = self.campaigns.get(&id.campaign) else { return };
        let Some(owner) = &campaign.owner else { return };
        let devices = order.devices.len();
        let device_ms = campaign.share.foreseen_ms(devices, order.soft_limit_ms);
        let holding = self.owners.entry(owner.clone()).or_default();
        holding.lease(&id.campaign, id.iteration, devices, device_ms);
    }

    /// What the machinery failed costs its owner nothing (P20).
    fn owner_let_go(&mut self, record: &Record) {
        let Body::AttemptEnded { attempt, devices, outcome, .. } = &record.body else { return };
        let Some(campaign) = self.campaigns.get(&attempt.campaign) else { return };
        let Some(holding) = campaign.owner.as_ref().and_then(|owner| self.owners.get_mut(owner)) else {
            return;
        };
        let is_charged = !outcome.ending.is_infrastructure();
        let device_ms = outcome.duration_ms.saturating_mul(if is_charged { devices.len() as u64 } else { 0 });
        holding.end(&attempt.campaign, attempt.iteration, device_ms, record.wall_ms);
    }

    fn keep_instead(
        &mut self,
        before: &BTreeSet<(WorkerId, AttemptKey)>,
        after: BTreeSet<(WorkerId, AttemptKey)>,
    ) {
        for (worker, run) in before.difference(&after) {
            if let Some(kept) = self.kept.get_mut(worker) {
                kept.retain(|key| key != run);
                if kept.is_empty() {
                    self.kept.remove(worker);
                }
            }
        }
        for (worker, run) in after {
            if before.contains(&(worker.clone(), run.clone())) {
                continue;
            }
            let kept = self.kept.entry(worker).or_default();
            kept.push(run);
            if kept.len() > KEPT_MAX {
                // Every one of those is wanted whose analysis is still to come.
                let is_open = |key: &AttemptKey| {
                    let campaign = self.campaigns.get(&key.id.campaign);
                    campaign.is_some_and(|campaign| campaign.open.contains_key(&key.id.iteration))
                };
                let oldest = kept.iter().position(|key| !is_open(key)).unwrap_or(0);
                kept.remove(oldest);
            }
        }
    }

    fn change_half_life(&mut self, half_life_ms: u64, wall_ms: i64) {
        let before_ms = std::mem::replace(&mut self.half_life_ms, half_life_ms.max(share::HALF_LIFE_MIN_MS));
        let now = Moment { wall_ms, half_life_ms: self.half_life_ms };
        if before_ms != self.half_life_ms {
            for campaign in self.campaigns.values_mut() {
                campaign.share.change_half_life(before_ms, now, campaign.bindings.windlass.weight);
            }
        }
    }
}
