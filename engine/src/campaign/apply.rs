//! Records become the campaign's state. The same code live and in replay; it cannot fail: a record that
//! does not fit (a ledger edited by hand) leaves what it cannot touch.

use super::follow_up::FollowUps;
use super::in_line::request_of;
use super::iteration::{Accepted, Iteration, Live, RunEnd};
use super::state::{AttemptMark, Best, Campaign, Decided, MarkState, RECENT_MAX, Reason};
use super::step::SUPERSEDED;
use crate::share::{self, Moment};
use crate::usage::is_gpu;
use std::collections::{BTreeMap, BTreeSet};
use windlass_shared::access::Shared;
use windlass_shared::attempt::{AttemptKey, Ending, Kind, Order, Outcome, Output};
use windlass_shared::bindings::Dial;
use windlass_shared::conclusion::Status;
use windlass_shared::decimal::Decimal;
use windlass_shared::digest::Digest;
use windlass_shared::id::{IterationNumber, WorkerId};
use windlass_shared::plan::Deliverable;
use windlass_shared::record::{Arithmetic, Body, Record};
use windlass_shared::view::{CampaignState, IterationSummary, LeverState};

/// Earlier iterations whose results an analysis sees (`WINDLASS_HISTORY`): the baseline and the latest. Every
/// order names them all and every analysis lays them out, so their number must not grow with the campaign.
const HISTORY_MAX: usize = 32;

impl Campaign {
    /// Folds one of this campaign's records in; what it had of the fleet is forgotten by half in a half-life.
    pub fn apply(&mut self, record: &Record, half_life_ms: u64) {
        let now = Moment { wall_ms: record.wall_ms, half_life_ms };
        match &record.body {
            Body::CampaignPaused { reason } => self.state = CampaignState::Paused { reason: reason.clone() },
            Body::CampaignResumed {} => {
                self.state = CampaignState::Active;
                self.held_in_a_row = 0;
            }
            Body::CampaignStopped { reason } => {
                self.state = CampaignState::Stopped { reason: reason.clone() };
                self.let_go_settled();
                self.literature.let_go();
            }
            Body::CampaignUpdated { priority, weight, name, shared } => {
                self.bindings.windlass.priority = priority.unwrap_or(self.bindings.windlass.priority);
                self.bindings.windlass.weight = weight.unwrap_or(self.bindings.windlass.weight);
                self.share.weigh(self.bindings.windlass.weight);
                self.name = name.clone().unwrap_or_else(|| std::mem::take(&mut self.name));
                match shared {
                    Some(Shared { with, share: Some(share) }) => {
                        self.shares.insert(with.clone(), *share);
                    }
                    Some(Shared { with, share: None }) => {
                        self.shares.remove(with);
                    }
                    None => {}
                }
            }
            Body::LeverQueued { .. } => {
                self.lever_queued(record);
                self.refusals.moved_on();
            }
            Body::LeverRefused { proposal } => self.refusals.note(proposal, record.wall_ms),
            Body::LeverPassed { lever, passes, missing } => {
                let after = self.last_opened;
                if let Some(entry) = self.levers.get_mut(lever) {
                    entry.passes = *passes;
                    entry.passed_after = after;
                    entry.missing = Some(missing.clone());
                }
            }
            Body::LeverHeld { lever, reason } => self.lever_held(*lever, reason),
            Body::LeverRetired { lever, reason } => {
                self.leave_queue(*lever);
                self.keep_retriable(*lever, LeverState::Retired { reason: reason.clone() });
            }
            Body::LeverMoved { lever, before } => self.lever_moved(*lever, *before),
            Body::LeverRequeued { lever, pin, superseded_by: None } => {
                self.lever_requeued(*lever, pin.as_ref());
            }
            Body::LeverRequeued { lever, pin, superseded_by: Some(by) } => {
                self.lever_superseded(*lever, pin.as_ref(), *by);
            }
            Body::IterationOpened { .. } => self.iteration_opened(&record.body),
            Body::IterationCancelled { iteration } => {
                if let Some(open) = self.open.get_mut(iteration) {
                    open.is_cancelled = true;
                }
            }
            Body::AttemptLeased { order, worker, worker_name, why } => {
                self.attempt_leased(order, worker, worker_name, why);
                let (iteration, limit_ms) = (order.key.id.iteration, order.soft_limit_ms);
                let weight = self.bindings.windlass.weight;
                self.share.lease(iteration, order.devices.len(), limit_ms, now, weight);
                self.usage.lease(iteration, order.hard_limit_ms, record.wall_ms);
            }
            Body::AttemptEnded { attempt, fence, attempt_kind, worker, devices, outcome } => {
                let key = AttemptKey { id: attempt.clone(), fence: *fence };
                let gpus = devices.iter().filter(|id| is_gpu(id)).count() as u64;
                self.gpu_ms = self.gpu_ms.saturating_add(outcome.duration_ms.saturating_mul(gpus));
                let ended = share::Ended {
                    devices: devices.len(),
                    took_ms: outcome.duration_ms,
                    is_run: *attempt_kind == Kind::Run,
                    is_charged: !outcome.ending.is_infrastructure(),
                };
                self.share.end(attempt.iteration, ended, now, self.bindings.windlass.weight);
                self.usage.end(attempt.iteration, *attempt_kind, devices, outcome, record.wall_ms);
                self.attempt_ended(key, *attempt_kind, worker, outcome, record.wall_ms);
            }
            Body::ReportSuperseded { attempt, .. } => {
                if let Some(mark) = self.attempts.get_mut(&(attempt.iteration, attempt.number)) {
                    mark.state = MarkState::Superseded;
                }
            }
            Body::FixApplied { iteration, fix, tree, net_lines, .. } => {
                if let Some(open) = self.open.get_mut(iteration) {
                    open.request = request_of(record).or(open.request.take());
                    open.fixes_tried.insert(*fix);
                    open.fixes_applied += 1;
                    open.tree = *tree;
                    open.net_lines = *net_lines;
                    (open.run, open.score) = (None, None);
                    open.replicates.clear();
                    open.results = None;
                    open.accepted.clear();
                    open.unrecorded.clear();
                }
            }
            Body::DeliverableAdded { iteration, deliverable } => {
                if let Some(open) = self.iteration_mut(*iteration) {
                    open.request = request_of(record).or(open.request.take());
                    open.added(deliverable);
                }
            }
            Body::DeliverableAccepted { iteration, output, dimension, first_line, .. } => {
                let accepted = Accepted { dimension: dimension.clone(), first_line: first_line.clone() };
                if let Some(one) = self.iteration_mut(*iteration) {
                    one.follow_up_accepted(output, accepted.clone());
                    if one.is_settled {
                        self.settled_accepted(*iteration, output, &accepted);
                    }
                }
            }
            Body::ConclusionWritten { iteration, conclusion } => {
                // One that comes after the decision replaces the text, which is the ledger's (P23).
                if let Some(open) = self.open.get_mut(iteration) {
                    open.conclusion = Some(conclusion.clone());
                }
            }
            Body::IterationDecided { .. } if self.is_imported() => self.imported_decision(record),
            Body::IterationDecided { iteration, status, reason, arithmetic, .. } => {
                self.usage.decided(*iteration, *status, reason);
                self.iteration_decided(*iteration, *status, reason, arithmetic, record.wall_ms);
            }
            Body::ReviewRecorded { .. } | Body::FindingRecorded { .. } | Body::FindingMarked { .. } => {
                self.literature.apply(&record.body, self.last_opened);
            }
            Body::EvidenceRemoved { iteration, .. } => {
                // It is looked at no more, and cannot be rebuilt.
                self.settled.remove(iteration);
            }
            Body::IncarnationStarted { .. }
            | Body::CampaignCreated { .. }
            | Body::LedgerImported { .. }
            | Body::WorkerDrained { .. }
            | Body::WorkerUndrained { .. }
            | Body::DeviceReleased { .. }
            | Body::QuotaSet { .. }
            | Body::RequestAnswered {} => {}
        }
    }

    fn iteration_opened(&mut self, body: &Body) {
        let Body::IterationOpened { iteration, lever, parent, tree, pin, plan, net_lines, diff } = body
        else {
            return;
        };
        if let Some(lever) = lever {
            self.leave_queue(*lever);
            if let Some(entry) = self.levers.get_mut(lever) {
                entry.state = LeverState::Pulled { iteration: *iteration };
                self.moves.pulled(entry.document.kind);
                if self.bindings.literature == Dial::On {
                    self.literature.opened(*iteration, &entry.document);
                }
            }
        }
        self.last_opened = Some(*iteration);
        self.refusals.moved_on();
        let entry = lever.and_then(|lever| self.levers.get(&lever));
        let request = entry.map_or(&self.request, |entry| &entry.request).clone();
        let open = Iteration {
            number: *iteration,
            lever: *lever,
            parent: *parent,
            parent_tree: self.parent_tree(),
            record: self.record.clone(),
            overtaken_by: Vec::new(),
            tree: *tree,
            pulled_tree: *tree,
            pin: pin.clone(),
            plan: plan.clone(),
            net_lines: *net_lines,
            diff: *diff,
            attempts: 0,
            live: None,
            replicates: Vec::new(),
            run: None,
            artifact: self.bindings.windlass.score.as_ref().map(|score| score.artifact.clone()),
            score: None,
            results: None,
            unrecorded: Vec::new(),
            infrastructure_failures: 0,
            last_infrastructure: None,
            setup_failed: false,
            failed_on: BTreeSet::new(),
            fixes_tried: BTreeSet::new(),
            fixes_applied: 0,
            analysis_failures: 0,
            analysis_problem: None,
            analysis_tail: String::new(),
            ended_wall_ms: None,
            accepted: BTreeMap::new(),
            conclusion: None,
            is_cancelled: false,
            is_settled: false,
            follow_ups: FollowUps::default(),
            request,
        };
        self.open.insert(*iteration, open);
    }

    fn attempt_leased(&mut self, order: &Order, worker: &WorkerId, worker_name: &str, why: &str) {
        let id = &order.key.id;
        let mark = AttemptMark { fence: order.key.fence, state: MarkState::Live };
        self.attempts.insert((id.iteration, id.number), mark);
        if let Some(open) = self.iteration_mut(id.iteration) {
            open.attempts = id.number;
            open.live = Some(Live {
                key: order.key.clone(),
                kind: order.kind,
                worker: worker.clone(),
                worker_name: worker_name.to_owned(),
                devices: order.devices.clone(),
                order: Box::new(order.clone()),
                why: why.to_owned(),
            });
        }
    }

    fn attempt_ended(
        &mut self,
        key: AttemptKey,
        kind: Kind,
        worker: &WorkerId,
        outcome: &Outcome,
        wall_ms: i64,
    ) {
        if let Some(mark) = self.attempts.get_mut(&(key.id.iteration, key.id.number)) {
            mark.state = if outcome.ending == Ending::Lost { MarkState::Lost } else { MarkState::Ended };
        }
        let Some(open) = self.iteration_mut(key.id.iteration) else { return };
        let Some(live) = open.live.take_if(|live| live.key == key) else { return };
        if kind == Kind::Analysis && open.is_following_up() {
            open.follow_up_ended(&live, worker, outcome);
            if open.is_settled {
                self.settled_attempt_ended(key.id.iteration);
            }
            return;
        }
        open.ended_wall_ms = Some(wall_ms);
        if outcome.ending.is_infrastructure() {
            open.infrastructure_failures += 1;
            open.last_infrastructure = Some(outcome.ending.to_string());
            open.setup_failed = outcome.setup_failed;
            open.failed_on.insert(worker.clone());
            return;
        }
        if outcome.ending == Ending::Cancelled {
            // Its owner or its machine's ended it: that says nothing of the lever, which is run again.
            return;
        }
        if kind == Kind::Score {
            // It leaves no evidence: the metric alone counts.
            let score = RunEnd { key, worker: worker.clone(), outcome: Box::new(outcome.clone()) };
            open.score = Some(score);
            open.replicates.extend(open.metric().cloned());
            return;
        }
        open.results = outcome.results.or(open.results);
        let planned = |path| open.missing().any(|row| &row.output == path);
        let delivered = outcome.outputs.iter().filter(|output| is_there(output) && planned(&output.path));
        open.unrecorded = delivered.cloned().collect();
        match kind {
            Kind::Run => {
                let run = RunEnd { key, worker: worker.clone(), outcome: Box::new(outcome.clone()) };
                (open.run, open.score) = (Some(run), None);
                open.replicates.extend(open.metric().cloned());
            }
            Kind::Analysis | Kind::Score => open.note_analysis(outcome),
        }
    }

    fn iteration_decided(
        &mut self,
        number: IterationNumber,
        status: Status,
        reason: &str,
        arithmetic: &Arithmetic,
        wall_ms: i64,
    ) {
        let Some(open) = self.open.remove(&number) else { return };
        let metric = arithmetic.metric.clone();
        let summary = IterationSummary {
            iteration: number,
            lever: open.lever,
            title: self.title(open.lever).to_owned(),
            status,
            metric: metric.clone(),
            reason: reason.to_owned(),
            wall_ms,
            late: Vec::new(),
        };
        self.count(summary, open.tree);
        if number == IterationNumber::BASELINE {
            self.baseline_metric = metric;
            self.baseline_ms = open.run.as_ref().map(|run| run.outcome.duration_ms);
            self.floor = arithmetic.noise.as_ref().and_then(|noise| noise.floor.clone());
            let model = open.run.as_ref().map(|run| run.outcome.device_model.clone());
            self.baseline_device_model = model.filter(|model| !model.is_empty());
        }
        self.findings_decided(&open, status, reason);
        let reason_kept = Reason::of(reason);
        if status == Status::Keep {
            self.overtake(number, open.lever);
        }
        // One that the machinery failed, its owner cancelled or another lane superseded is held or queued
        // next, and may still have its turn.
        let is_over = !open.is_out_of_tries() && !open.is_cancelled && reason != SUPERSEDED;
        if let Some(entry) = open.lever.filter(|_| !is_over).and_then(|lever| self.levers.get(&lever)) {
            self.moves.not_tried(entry.document.kind);
        }
        if let Some(lever) = open.lever.filter(|_| is_over) {
            let state = LeverState::Decided { iteration: number, status };
            if reason_kept == Reason::Unanalysed {
                self.keep_retriable(lever, state);
            } else if let Some(entry) = self.levers.get_mut(&lever) {
                entry.state = state;
                self.let_go_unless_overtaking(lever);
            }
        }
        if status != Status::Keep {
            for (_, lever) in &open.overtaken_by {
                self.let_go_unless_overtaking(*lever);
            }
        }
        self.remember(&open, number, reason);
        let run = open.run.as_ref().map(|run| run.key.id.number);
        self.decided.insert(number, Decided { status, reason: reason_kept, run, results: open.results });
        self.settle(open);
    }

    /// What a page shows of a decision, whoever made it.
    fn count(&mut self, summary: IterationSummary, tree: Digest) {
        match summary.status {
            Status::Keep => {
                self.counts.keep += 1;
                self.best = Some(Best { iteration: summary.iteration, tree, summary: summary.clone() });
                self.raise_record(summary.metric.as_ref());
            }
            Status::Discard => self.counts.discard += 1,
            Status::Crash => self.counts.crash += 1,
        }
        if self.recent.len() >= RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(summary);
    }

    /// A decision that was made elsewhere: nothing of it was opened or run here.
    fn imported_decision(&mut self, record: &Record) {
        let Body::IterationDecided { iteration, status, reason, arithmetic, description, .. } = &record.body
        else {
            return;
        };
        let summary = IterationSummary {
            iteration: *iteration,
            lever: None,
            title: description.clone(),
            status: *status,
            metric: arithmetic.metric.clone(),
            reason: reason.clone(),
            wall_ms: record.wall_ms,
            late: Vec::new(),
        };
        self.count(summary, self.tree);
        self.last_opened = self.last_opened.max(Some(*iteration));
        let decided = Decided { status: *status, reason: Reason::of(reason), run: None, results: None };
        self.decided.insert(*iteration, decided);
    }

    fn raise_record(&mut self, metric: Option<&Decimal>) {
        let Some(metric) = metric else { return };
        let direction = self.bindings.metric_direction;
        if self.record.as_ref().is_none_or(|record| direction.is_better(metric, record)) {
            self.record = Some(metric.clone());
        }
    }

    /// The latest results trees, and the baseline's, for the scripts of later iterations.
    fn remember_evidence(&mut self, number: IterationNumber, results: Option<Digest>) {
        self.history.extend(results.map(|results| (number, results)));
        if self.history.len() > HISTORY_MAX {
            // The baseline stands first and stays: it is what most comparisons are with.
            self.history.remove(1);
        }
    }

    /// What later levers are held against: dimensions, evidence, and what was tried. A crash uses no
    /// dimension up (P13); an iteration that its owner, the machinery or the analysis ended was not tried
    /// (P10, P20, P21).
    fn remember(&mut self, open: &Iteration, number: IterationNumber, reason: &str) {
        let measured = !open.is_cancelled && open.metric().is_some();
        let analysed = measured && open.missing().next().is_none();
        if analysed {
            self.measured.extend(open.accepted.values().map(|accepted| accepted.dimension.clone()));
            self.latest_analysed = Some(number);
            self.remember_evidence(number, open.results);
        }
        if open.is_cancelled {
            return;
        }
        if !open.is_out_of_tries() {
            self.held_in_a_row = 0;
        }
        if !open.is_out_of_tries() && reason != super::step::UNANALYSED {
            for tried in [open.diff, open.pulled_tree.hash, open.tree.hash] {
                self.tried.insert(tried, number);
            }
        }
    }
}

impl Iteration {
    /// A repaired script stands in the place of the one that failed, and has tries of its own (P21); any other
    /// is a follow-up (P22).
    fn added(&mut self, deliverable: &Deliverable) {
        let Some(row) = self.plan.iter_mut().find(|row| row.output == deliverable.output) else {
            return self.follow_ups.add(deliverable);
        };
        *row = deliverable.clone();
        self.analysis_failures = 0;
        self.analysis_problem = None;
        self.analysis_tail.clear();
    }

    fn note_analysis(&mut self, outcome: &Outcome) {
        let delivered = |path| outcome.outputs.iter().any(|output| &output.path == path && is_there(output));
        let absent = self.missing().find(|row| !delivered(&row.output));
        let Some(absent) = absent else { return };
        let said = outcome.outputs.iter().find(|output| output.path == absent.output);
        let why =
            said.and_then(|output| output.problem.clone()).unwrap_or_else(|| outcome.ending.to_string());
        let problem = format!("results/{} is not there: {why}", absent.output);
        self.analysis_failures += 1;
        self.analysis_problem = Some(problem);
        self.analysis_tail.clone_from(&outcome.log_tail);
    }
}

/// Whether an output exists and is not empty (P21).
pub(super) fn is_there(output: &Output) -> bool {
    output.digest.is_some_and(|digest| digest.size_bytes > 0)
}
