//! A small model of what a ledger may hold: legal transitions alone (I12, I13), each decision once (I1),
//! the plan before the lease (P14), the best as the parent (P28).

use std::collections::{BTreeMap, BTreeSet};
use windlass_shared::attempt::AttemptKey;
use windlass_shared::conclusion::Status;
use windlass_shared::id::{CampaignId, FencingNumber, IterationNumber, LeverNumber, RequestId};
use windlass_shared::record::{Body, Record};

#[derive(Clone, Debug, Default)]
struct Model {
    opened: u32,
    open: Option<IterationNumber>,
    has_plan: bool,
    is_concluded: bool,
    live: Option<AttemptKey>,
    is_cancelled: bool,
    in_line: BTreeSet<LeverNumber>,
    best: Option<IterationNumber>,
    is_paused: bool,
    is_stopped: bool,
}

/// The model of every campaign.
#[derive(Clone, Debug, Default)]
pub struct Legal {
    seq: u64,
    campaigns: BTreeMap<CampaignId, Model>,
    fences: BTreeSet<FencingNumber>,
    requests: BTreeSet<RequestId>,
}

impl Legal {
    /// Takes the next record, which must be legal.
    pub fn take(&mut self, record: &Record) {
        assert_eq!(record.seq, self.seq + 1, "no gap: {record:?}");
        self.seq = record.seq;
        if let Some(request) = &record.request {
            assert!(self.requests.insert(request.id.clone()), "I4: a second record for {}", request.id);
        }
        if let Body::AttemptLeased { order, .. } = &record.body {
            assert!(self.fences.insert(order.key.fence), "I15: {} was given twice", order.key.fence);
        }
        let Some(id) = &record.campaign else { return };
        if let Body::CampaignCreated { .. } | Body::LedgerImported { .. } = record.body {
            assert!(self.campaigns.insert(id.clone(), Model::default()).is_none(), "{id} exists");
            return;
        }
        self.campaigns.get_mut(id).expect("created before").take(record);
    }
}

impl Model {
    fn take(&mut self, record: &Record) {
        let seq = record.seq;
        let is_open = |iteration: &IterationNumber| self.open == Some(*iteration);
        match &record.body {
            Body::LeverQueued { lever, .. } | Body::LeverRequeued { lever, .. } => {
                assert!(
                    self.in_line.insert(*lever) && !self.is_stopped,
                    "seq {seq}: {lever} is in line twice"
                );
            }
            Body::LeverMoved { lever, before } => {
                let are_there =
                    [Some(*lever), *before].iter().flatten().all(|one| self.in_line.contains(one));
                assert!(are_there && *before != Some(*lever), "seq {seq}: {lever} moves before {before:?}");
            }
            Body::LeverHeld { lever, .. } | Body::LeverRetired { lever, .. } => {
                self.in_line.remove(lever);
            }
            Body::IterationCancelled { iteration } => {
                assert!(
                    is_open(iteration) && !self.is_cancelled,
                    "seq {seq}: {iteration} is cancelled in vain"
                );
                self.is_cancelled = true;
            }
            Body::CampaignPaused { .. } => {
                assert!(!self.is_stopped, "seq {seq}: paused after its end");
                self.is_paused = true;
            }
            Body::CampaignResumed {} => {
                assert!(self.is_paused && !self.is_stopped, "seq {seq}: resumed from nothing");
                self.is_paused = false;
            }
            Body::CampaignStopped { .. } => {
                assert!(!self.is_stopped, "seq {seq}: stopped twice");
                self.is_stopped = true;
            }
            Body::IterationOpened { iteration, lever, parent, plan, .. } => {
                assert!(!self.is_stopped && !self.is_paused, "seq {seq}: opened while it stands");
                assert_eq!(self.open, None, "I12, seq {seq}: a second open iteration");
                assert_eq!(iteration.0, self.opened + 1, "seq {seq}: numbers have no gap");
                assert_eq!(lever.is_none(), self.opened == 0, "P1, seq {seq}: the baseline comes first");
                assert_eq!(*parent, self.best, "P28, seq {seq}: the parent is the best");
                let was_in_line = lever.is_none_or(|lever| self.in_line.remove(&lever));
                assert!(was_in_line, "seq {seq}: {lever:?} was not in line");
                self.opened = iteration.0;
                self.open = Some(*iteration);
                self.has_plan = !plan.is_empty();
                self.is_concluded = false;
            }
            Body::AttemptLeased { order, .. } => {
                assert!(!self.is_stopped && !self.is_cancelled, "seq {seq}: leased after its end");
                assert!(is_open(&order.key.id.iteration), "seq {seq}: leased for no open iteration");
                assert!(self.has_plan, "P14, seq {seq}: leased before there is a plan");
                assert_eq!(self.live, None, "seq {seq}: two live attempts");
                self.live = Some(order.key.clone());
            }
            Body::AttemptEnded { attempt, fence, .. } => {
                let key = AttemptKey { id: attempt.clone(), fence: *fence };
                assert_eq!(self.live.take(), Some(key), "I5, seq {seq}: ended without its lease");
            }
            Body::ReportSuperseded { attempt, fence, .. } => {
                let key = AttemptKey { id: attempt.clone(), fence: *fence };
                assert_ne!(self.live, Some(key), "seq {seq}: a live lease is not superseded");
            }
            Body::FixApplied { iteration, .. } | Body::DeliverableAccepted { iteration, .. } => {
                assert!(is_open(iteration) && self.live.is_none(), "seq {seq}: out of turn");
            }
            Body::ConclusionWritten { iteration, conclusion } => {
                assert!(is_open(iteration), "seq {seq}: concluded while closed");
                let bullets = conclusion.bullets.len();
                assert!((3..=8).contains(&bullets), "P23, seq {seq}: {bullets} bullets");
                self.is_concluded = true;
            }
            Body::IterationDecided { iteration, status, best, .. } => {
                assert!(is_open(iteration), "I1, seq {seq}: decided while closed");
                assert!(self.live.is_none() && self.is_concluded, "seq {seq}: decided too early");
                let is_cancelled = std::mem::take(&mut self.is_cancelled);
                assert!(
                    !is_cancelled || *status == Status::Crash,
                    "P10, seq {seq}: cancelled, and {status:?}"
                );
                self.open = None;
                if *status == Status::Keep {
                    self.best = Some(*iteration);
                }
                assert_eq!(*best, self.best, "P31, seq {seq}: the best after it");
            }
            Body::EvidenceRemoved { iteration, .. } => {
                assert!(iteration.0 <= self.opened && !is_open(iteration), "seq {seq}: removed while open");
                assert_ne!(Some(*iteration), self.best, "seq {seq}: the best loses nothing");
            }
            _ => {}
        }
    }
}
