//! A campaign in the model: its standing, its levers, what it opened.

use super::iteration::OpenLife;
use super::literature::LiteratureLife;
use super::truth::Truth;
use crate::violation::{Checked, broken, hold};
use std::collections::{BTreeMap, BTreeSet};
use windlass_shared::attempt::AttemptKey;
use windlass_shared::bindings::{Bindings, Direction, MoveScheduler, Noise};
use windlass_shared::conclusion::Status;
use windlass_shared::decimal::Decimal;
use windlass_shared::digest::Digest;
use windlass_shared::id::{IterationNumber, LeverNumber};
use windlass_shared::lever::Kind as LeverKind;
use windlass_shared::record::{Body, HoldReason, PauseReason, RefusedLever};

/// Whether it moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Active,
    Paused,
    Stopped,
}

/// Where a lever stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Queued,
    Held,
    Pulled,
    Decided,
    Retired,
}

#[derive(Clone, Debug)]
struct LeverLife {
    place: Place,
    kind: LeverKind,
    passes: u32,
    passed_after: Option<IterationNumber>,
}

/// One campaign.
#[derive(Clone, Debug)]
pub(crate) struct CampaignLife {
    pub(crate) standing: Standing,
    pub(super) direction: Direction,
    pub(super) lines: i64,
    pub(super) fixes_max: u32,
    passes_max: u32,
    pub(super) tree: Digest,
    levers: BTreeMap<LeverNumber, LeverLife>,
    pub(super) lanes: usize,
    pub(super) noise: Option<Noise>,
    literature: LiteratureLife,
    pub(super) is_scored: bool,
    scheduler: Option<MoveScheduler>,
    swings: u32,
    /// Levers that were pulled and not tried.
    not_tried: u32,
    exploits_in_a_row: u32,
    pub(crate) open: BTreeMap<IterationNumber, OpenLife>,
    /// Decided ones, for follow-ups (P22).
    pub(super) settled: BTreeMap<IterationNumber, OpenLife>,
    /// The last that was decided.
    pub(super) latest: Option<IterationNumber>,
    last_opened: Option<IterationNumber>,
    pub(super) decided: BTreeMap<IterationNumber, Status>,
    pub(super) best: Option<(IterationNumber, Digest)>,
    pub(super) record: Option<Decimal>,
    pub(super) best_metric: Option<Decimal>,
    /// Levers that stand at the front again in this very batch (P39).
    pub(super) owed: BTreeSet<LeverNumber>,
    /// Attempts that are over, and whether their lease ran out.
    pub(super) over: BTreeMap<AttemptKey, bool>,
    /// Levers whose iteration taught something: kept, discarded by the sum, or crashed by their own fault.
    judged: BTreeSet<LeverNumber>,
    /// The lever of the last decision, while its batch may still set it aside (P20).
    just_decided: Option<LeverNumber>,
    /// Refused proposals since a lever was queued or an iteration opened.
    refused: u32,
}

impl CampaignLife {
    pub(super) fn new(bindings: &Bindings, tree: Digest) -> Self {
        Self {
            standing: Standing::Active,
            direction: bindings.metric_direction,
            lines: bindings.windlass.simplicity.lines,
            fixes_max: bindings.windlass.fixes,
            passes_max: bindings.windlass.passes,
            tree,
            levers: BTreeMap::new(),
            is_scored: bindings.windlass.score.is_some(),
            scheduler: bindings.windlass.move_scheduler.clone(),
            swings: 0,
            not_tried: 0,
            exploits_in_a_row: 0,
            noise: bindings.windlass.noise.clone(),
            literature: LiteratureLife::new(bindings),
            lanes: bindings.windlass.lanes as usize,
            open: BTreeMap::new(),
            settled: BTreeMap::new(),
            latest: None,
            last_opened: None,
            decided: BTreeMap::new(),
            best: None,
            record: None,
            best_metric: None,
            owed: BTreeSet::new(),
            over: BTreeMap::new(),
            judged: BTreeSet::new(),
            just_decided: None,
            refused: 0,
        }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.standing == Standing::Stopped
    }

    pub(super) fn lever_kind(&self, lever: Option<LeverNumber>) -> Option<LeverKind> {
        lever.and_then(|lever| self.levers.get(&lever)).map(|lever| lever.kind)
    }

    /// `is_asked`: it answers a request.
    pub(super) fn take(&mut self, body: &Body, is_asked: bool, truth: &Truth) -> Checked {
        let just_decided = self.just_decided.take();
        let is_requeue = matches!(body, Body::LeverRequeued { superseded_by: Some(_), .. });
        hold(self.owed.is_empty() || is_requeue, "P39", || {
            format!("{} while {:?} are to be run again", body.kind(), self.owed)
        })?;
        if matches!(body, Body::LeverQueued { .. } | Body::IterationOpened { .. }) {
            self.refused = 0;
        }
        match body {
            // A bad baseline pauses also what its owner had paused (P1): resuming is then refused.
            Body::CampaignPaused { reason: PauseReason::Baseline { .. } } => {
                hold(self.standing != Standing::Stopped, "I13", || "a stopped campaign pauses".to_owned())?;
                self.standing = Standing::Paused;
                Ok(())
            }
            Body::CampaignPaused { .. } => self.turn(Standing::Paused),
            Body::CampaignResumed {} => self.turn(Standing::Active),
            Body::CampaignStopped { .. } => self.turn(Standing::Stopped),
            Body::LeverQueued { lever, document, .. } => {
                self.literature.queued(*lever, document, is_asked)?;
                self.queued(*lever, document.kind)
            }
            Body::LeverPassed { lever, passes, .. } => self.passed(*lever, *passes),
            Body::LeverHeld { lever, reason } => self.held(*lever, reason, just_decided),
            Body::LeverRetired { lever, .. } if is_asked => {
                self.move_lever(*lever, &[Place::Queued, Place::Held], Place::Retired)
            }
            Body::LeverRetired { lever, .. } => {
                self.may_open("a lever is retired")?;
                self.move_lever(*lever, &[Place::Queued], Place::Retired)
            }
            Body::IterationOpened { iteration, lever, parent, tree, plan, net_lines, .. } => {
                let outputs: BTreeSet<_> = plan.iter().map(|row| row.output.clone()).collect();
                hold(outputs.len() == plan.len(), "I13", || format!("{iteration} plans an output twice"))?;
                self.opened(*iteration, *lever, *parent, *tree)?;
                let kind = lever.zip(self.lever_kind(*lever));
                self.literature.opened(*iteration, kind, plan, &self.decided)?;
                let open = OpenLife {
                    number: *iteration,
                    lever: *lever,
                    tree: *tree,
                    record: self.record.clone(),
                    overtaken_by: Vec::new(),
                    net_lines: *net_lines,
                    plan: outputs,
                    added: BTreeSet::new(),
                    attempts: 0,
                    live: None,
                    run: None,
                    replicates: Vec::new(),
                    is_scored: self.is_scored,
                    score: None,
                    last_outputs: Vec::new(),
                    infrastructure: 0,
                    fixes: BTreeSet::new(),
                    analysis_failures: 0,
                    accepted: BTreeSet::new(),
                    concluded: false,
                    is_cancelled: false,
                };
                self.open.insert(*iteration, open);
                Ok(())
            }
            Body::IterationCancelled { iteration } => self.cancelled(*iteration),
            Body::CampaignUpdated { .. } => {
                hold(!self.is_stopped(), "I13", || "a stopped campaign is updated".to_owned())
            }
            Body::LeverMoved { lever, before } => self.moved(*lever, *before),
            Body::LeverRequeued { lever, superseded_by: None, .. } => self.requeued(*lever),
            Body::LeverRequeued { lever, superseded_by: Some(_), .. } => self.superseded_lever(*lever),
            Body::AttemptLeased { order, worker, .. } => self.leased(order, worker),
            Body::AttemptEnded { attempt, fence, worker, devices, outcome, .. } => {
                let key = AttemptKey { id: attempt.clone(), fence: *fence };
                self.ended(&key, worker, devices, outcome, truth)
            }
            Body::ReportSuperseded { attempt, fence, ending, .. } => {
                self.superseded(&AttemptKey { id: attempt.clone(), fence: *fence }, ending)
            }
            Body::FixApplied { iteration, fix, tree, net_lines, .. } => {
                self.fixed(*iteration, *fix, *tree, *net_lines)
            }
            Body::DeliverableAdded { iteration, deliverable } => self.added(*iteration, &deliverable.output),
            Body::DeliverableAccepted { iteration, output, digest, .. } => {
                self.accepted(*iteration, output, *digest)
            }
            Body::ConclusionWritten { iteration, .. } => self.concluded(*iteration),
            Body::IterationDecided { iteration, status, reason, arithmetic, best, .. } => {
                self.decided(*iteration, *status, reason, arithmetic, *best, truth)
            }
            Body::EvidenceRemoved { iteration, .. } => {
                let best = self.best.as_ref().map(|(best, _)| *best);
                hold(self.decided.contains_key(iteration) && best != Some(*iteration), "I13", || {
                    format!("evidence of {iteration} is removed, which is open or the best")
                })
            }
            // It changed nothing; how many there may be is looked at as they come.
            Body::LeverRefused { .. } => {
                self.refused += 1;
                hold(!self.is_stopped() && self.refused <= RefusedLever::BETWEEN_MAX, "I18", || {
                    format!("{} refused proposals are recorded in a row", self.refused)
                })
            }
            Body::ReviewRecorded { .. } | Body::FindingRecorded { .. } | Body::FindingMarked { .. } => {
                self.literature.take(body, &self.decided)
            }
            Body::IncarnationStarted { .. }
            | Body::CampaignCreated { .. }
            | Body::LedgerImported { .. }
            | Body::WorkerDrained { .. }
            | Body::WorkerUndrained { .. }
            | Body::DeviceReleased { .. }
            | Body::QuotaSet { .. }
            | Body::RequestAnswered {} => broken("I13", format!("{} in a campaign", body.kind())),
        }
    }

    fn turn(&mut self, to: Standing) -> Checked {
        let is_legal = self.standing != to && self.standing != Standing::Stopped;
        hold(is_legal, "I13", || format!("{:?} becomes {to:?}", self.standing))?;
        self.standing = to;
        Ok(())
    }

    fn queued(&mut self, lever: LeverNumber, kind: LeverKind) -> Checked {
        let next = self.levers.last_key_value().map_or(1, |(last, _)| last.0 + 1);
        hold(lever.0 == next && !self.is_stopped(), "I13", || format!("{lever} is queued as number {next}"))?;
        self.levers.insert(lever, LeverLife { place: Place::Queued, kind, passes: 0, passed_after: None });
        Ok(())
    }

    /// Only what stands in line moves there.
    fn moved(&mut self, lever: LeverNumber, before: Option<LeverNumber>) -> Checked {
        let is_queued =
            |one: LeverNumber| self.levers.get(&one).is_some_and(|entry| entry.place == Place::Queued);
        let are_there = is_queued(lever) && before.is_none_or(|before| before != lever && is_queued(before));
        hold(are_there && !self.is_stopped(), "I13", || format!("{lever} moves before {before:?}"))
    }

    /// P10: what was judged is not tried again.
    fn requeued(&mut self, lever: LeverNumber) -> Checked {
        hold(!self.is_stopped(), "I13", || format!("{lever} is put back after the end"))?;
        let was_judged = self.judged.contains(&lever);
        hold(!was_judged, "I13", || format!("{lever} was judged, and is put back (P10)"))?;
        self.move_lever(lever, &[Place::Held, Place::Retired, Place::Decided], Place::Queued)?;
        if let Some(entry) = self.levers.get_mut(&lever) {
            (entry.passes, entry.passed_after) = (0, None);
        }
        Ok(())
    }

    /// P39: run again on the new best, whatever was judged.
    fn superseded_lever(&mut self, lever: LeverNumber) -> Checked {
        hold(self.owed.remove(&lever), "P39", || format!("{lever} is run again and was not superseded"))?;
        self.judged.remove(&lever);
        self.not_tried += 1;
        for open in self.open.values_mut() {
            open.overtaken_by.retain(|kept| *kept != lever);
        }
        self.move_lever(lever, &[Place::Decided], Place::Queued)?;
        if let Some(entry) = self.levers.get_mut(&lever) {
            (entry.passes, entry.passed_after) = (0, None);
        }
        Ok(())
    }

    /// P9: one pass per opened iteration, and never as many as the limit.
    fn passed(&mut self, lever: LeverNumber, passes: u32) -> Checked {
        let last = self.last_opened;
        let most = self.passes_max;
        self.may_open("a lever is passed over")?;
        let Some(entry) = self.levers.get_mut(&lever).filter(|entry| entry.place == Place::Queued) else {
            return broken("I13", format!("{lever} is passed over and not in line"));
        };
        hold(entry.passes == 0 || entry.passed_after != last, "I13", || {
            format!("{lever} is passed over twice after {last:?} (P9)")
        })?;
        hold(passes == entry.passes + 1 && passes < most, "I13", || {
            format!("{lever} has {passes} passes after {} of {most}", entry.passes)
        })?;
        (entry.passes, entry.passed_after) = (passes, last);
        Ok(())
    }

    fn held(
        &mut self,
        lever: LeverNumber,
        reason: &HoldReason,
        just_decided: Option<LeverNumber>,
    ) -> Checked {
        if reason.is_infrastructure() || matches!(reason, HoldReason::Cancelled { .. }) {
            hold(just_decided == Some(lever), "I13", || format!("{lever} is set aside without a failure"))?;
            return self.move_lever(lever, &[Place::Decided], Place::Held);
        }
        self.may_open("a lever is held")?;
        self.move_lever(lever, &[Place::Queued], Place::Held)
    }

    fn move_lever(&mut self, lever: LeverNumber, from: &[Place], to: Place) -> Checked {
        let Some(entry) = self.levers.get_mut(&lever) else {
            return broken("I13", format!("{lever} was never queued"));
        };
        hold(from.contains(&entry.place), "I13", || format!("{lever}: {:?} becomes {to:?}", entry.place))?;
        entry.place = to;
        Ok(())
    }

    fn may_open(&self, what: &str) -> Checked {
        let lanes = if self.best.is_none() { 1 } else { self.lanes };
        hold(self.standing == Standing::Active && self.open.len() < lanes, "I12", || {
            format!("{what} while {:?} with {:?} open", self.standing, self.open.keys())
        })
    }

    fn opened(
        &mut self,
        iteration: IterationNumber,
        lever: Option<LeverNumber>,
        parent: Option<IterationNumber>,
        tree: Digest,
    ) -> Checked {
        self.may_open("an iteration is opened")?;
        let next = self.last_opened.map_or(1, |last| last.0 + 1);
        hold(iteration.0 == next && lever.is_none() == (next == 1), "I13", || {
            format!("{iteration} with {lever:?} is opened as number {next}")
        })?;
        hold(parent == self.best.map(|(best, _)| best), "I12", || {
            format!("{iteration} builds on {parent:?}; the best is {:?}", self.best)
        })?;
        self.pulled(lever)?;
        match lever {
            Some(lever) => self.move_lever(lever, &[Place::Queued], Place::Pulled)?,
            None => hold(tree == self.tree, "I12", || "the baseline is not the workspace".to_owned())?,
        }
        self.last_opened = Some(iteration);
        Ok(())
    }

    /// P11: swings first, and no more exploits in a row than the limit. What was not tried lowers the counts
    /// elsewhere, so that these are at most too high by it.
    fn pulled(&mut self, lever: Option<LeverNumber>) -> Checked {
        let (Some(kind), Some(scheduler)) = (self.lever_kind(lever), &self.scheduler) else { return Ok(()) };
        let is_swing = kind == LeverKind::Swing;
        hold(is_swing || self.swings >= scheduler.swing_budget, "P11", || {
            format!("a {} is pulled after {} swings", kind.as_str(), self.swings)
        })?;
        let is_bold = is_swing || kind == LeverKind::Merge;
        self.swings += u32::from(is_swing);
        self.exploits_in_a_row = if is_bold { 0 } else { self.exploits_in_a_row + 1 };
        hold(self.exploits_in_a_row <= scheduler.stagnation_limit + self.not_tried, "P11", || {
            format!("{} exploits are pulled in a row", self.exploits_in_a_row)
        })
    }

    pub(super) fn after_decision(&mut self, open: &OpenLife, status: Status) {
        if let Some(entry) = open.lever.and_then(|lever| self.levers.get_mut(&lever)) {
            entry.place = Place::Decided;
        }
        let is_blameless = status == Status::Crash && (open.infrastructure >= 3 || open.is_cancelled);
        self.just_decided = open.lever.filter(|_| is_blameless);
        self.not_tried += u32::from(is_blameless);
        if !is_blameless && (status != Status::Discard || open.is_analysed()) {
            self.judged.extend(open.lever);
        }
    }
}
