//! A small model of what a ledger may hold: legal transitions alone (I12, I13), each decision once (I1),
//! the plan before the lease (P14), the best as the parent (P28).

use std::collections::{BTreeMap, BTreeSet};
use windlass_shared::attempt::{AttemptKey, Kind};
use windlass_shared::conclusion::Status;
use windlass_shared::id::{CampaignId, FencingNumber, IterationNumber, LeverNumber, RequestId};
use windlass_shared::record::{Body, Record};

#[derive(Clone, Debug, Default)]
struct Model {
    lanes: u32,
    opened: u32,
    open: BTreeMap<IterationNumber, Open>,
    /// Decided ones, with the follow-up that runs there (P22).
    decided: BTreeMap<IterationNumber, Option<AttemptKey>>,
    in_line: BTreeSet<LeverNumber>,
    best: Option<IterationNumber>,
    is_paused: bool,
    is_stopped: bool,
    /// Its decisions were made elsewhere: nothing of them was open here.
    is_imported: bool,
}

#[derive(Clone, Debug, Default)]
struct Open {
    has_plan: bool,
    is_concluded: bool,
    live: Option<AttemptKey>,
    is_cancelled: bool,
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
        let lanes = match &record.body {
            Body::CampaignCreated { bindings, .. } => Some(bindings.windlass.lanes),
            Body::LedgerImported { .. } => Some(1),
            _ => None,
        };
        if let Some(lanes) = lanes {
            let is_imported = matches!(record.body, Body::LedgerImported { .. });
            let model = Model { lanes, is_imported, ..Model::default() };
            assert!(self.campaigns.insert(id.clone(), model).is_none(), "{id} exists");
            return;
        }
        self.campaigns.get_mut(id).expect("created before").take(record);
    }
}

impl Model {
    fn take(&mut self, record: &Record) {
        let seq = record.seq;
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
                let open = self.open.get_mut(iteration).expect("cancelled while open");
                assert!(!open.is_cancelled, "seq {seq}: {iteration} is cancelled in vain");
                open.is_cancelled = true;
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
                let lanes = if self.best.is_none() { 1 } else { self.lanes as usize };
                assert!(self.open.len() < lanes, "I12, seq {seq}: {:?} are open already", self.open);
                assert_eq!(iteration.0, self.opened + 1, "seq {seq}: numbers have no gap");
                assert_eq!(lever.is_none(), self.opened == 0, "P1, seq {seq}: the baseline comes first");
                assert_eq!(*parent, self.best, "P28, seq {seq}: the parent is the best");
                let was_in_line = lever.is_none_or(|lever| self.in_line.remove(&lever));
                assert!(was_in_line, "seq {seq}: {lever:?} was not in line");
                self.opened = iteration.0;
                let open = Open { has_plan: !plan.is_empty(), ..Open::default() };
                self.open.insert(*iteration, open);
            }
            Body::AttemptLeased { order, .. } if self.decided.contains_key(&order.key.id.iteration) => {
                let live = self.decided.get_mut(&order.key.id.iteration).expect("decided");
                assert!(order.kind == Kind::Analysis && order.adds_only, "P22, seq {seq}: {order:?}");
                assert!(!self.is_stopped, "seq {seq}: leased after its end");
                assert_eq!(live.replace(order.key.clone()), None, "seq {seq}: two live attempts");
            }
            Body::AttemptLeased { order, .. } => {
                let open = self.open.get_mut(&order.key.id.iteration).expect("leased while open");
                assert!(!self.is_stopped && !open.is_cancelled, "seq {seq}: leased after its end");
                assert!(open.has_plan, "P14, seq {seq}: leased before there is a plan");
                assert_eq!(open.live, None, "seq {seq}: two live attempts");
                open.live = Some(order.key.clone());
            }
            Body::AttemptEnded { attempt, fence, .. } => {
                let key = AttemptKey { id: attempt.clone(), fence: *fence };
                let live = match self.decided.get_mut(&attempt.iteration) {
                    Some(live) => live,
                    None => &mut self.open.get_mut(&attempt.iteration).expect("ended while open").live,
                };
                assert_eq!(live.take(), Some(key), "I5, seq {seq}: ended without its lease");
            }
            Body::ReportSuperseded { attempt, fence, .. } => {
                let key = AttemptKey { id: attempt.clone(), fence: *fence };
                let lives = self.open.values().map(|open| &open.live).chain(self.decided.values());
                let is_live = lives.into_iter().any(|live| live.as_ref() == Some(&key));
                assert!(!is_live, "seq {seq}: a live lease is not superseded");
            }
            Body::DeliverableAccepted { iteration, .. } if self.decided.contains_key(iteration) => {
                assert_eq!(self.decided[iteration], None, "seq {seq}: out of turn");
            }
            Body::FixApplied { iteration, .. } | Body::DeliverableAccepted { iteration, .. } => {
                assert!(self.open[iteration].live.is_none(), "seq {seq}: out of turn");
            }
            // P23: one that comes after the decision replaces the text.
            Body::ConclusionWritten { iteration, conclusion } if !conclusion.automatic => {
                if let Some(open) = self.open.get_mut(iteration) {
                    open.is_concluded = true;
                }
            }
            Body::ConclusionWritten { iteration, conclusion } => {
                let open = self.open.get_mut(iteration).expect("concluded while open");
                let bullets = conclusion.bullets.len();
                assert!((3..=8).contains(&bullets), "P23, seq {seq}: {bullets} bullets");
                open.is_concluded = true;
            }
            Body::IterationDecided { iteration, .. } if self.is_imported => {
                let before = self.decided.insert(*iteration, None);
                assert!(before.is_none(), "I1, seq {seq}: {iteration} is decided twice");
            }
            Body::IterationDecided { iteration, status, best, .. } => {
                let open = self.open.remove(iteration).expect("I1: decided while open, and once");
                self.decided.insert(*iteration, None);
                assert!(open.live.is_none() && open.is_concluded, "seq {seq}: decided too early");
                assert!(
                    !open.is_cancelled || *status == Status::Crash,
                    "P10, seq {seq}: cancelled, and {status:?}"
                );
                if *status == Status::Keep {
                    self.best = Some(*iteration);
                }
                assert_eq!(*best, self.best, "P31, seq {seq}: the best after it");
            }
            Body::EvidenceRemoved { iteration, .. } => {
                assert!(
                    iteration.0 <= self.opened && !self.open.contains_key(iteration),
                    "seq {seq}: removed while open"
                );
                assert_ne!(Some(*iteration), self.best, "seq {seq}: the best loses nothing");
            }
            _ => {}
        }
    }
}
