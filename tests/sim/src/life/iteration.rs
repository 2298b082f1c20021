//! An open iteration in the model, up to its decision.

use super::campaign::CampaignLife;
use super::truth::Truth;
use crate::violation::{Checked, broken, hold};
use std::collections::BTreeSet;
use windlass_shared::attempt::{AttemptKey, Ending, Kind, Outcome, Output};
use windlass_shared::bindings::Direction;
use windlass_shared::conclusion::Status;
use windlass_shared::decimal::Decimal;
use windlass_shared::digest::Digest;
use windlass_shared::id::{DeviceId, IterationNumber, LeverNumber, WorkerId};
use windlass_shared::lever::Kind as LeverKind;
use windlass_shared::path::TreePath;
use windlass_shared::record::Arithmetic;

/// A live attempt.
#[derive(Clone, Debug)]
pub(crate) struct LiveLife {
    pub(crate) key: AttemptKey,
    pub(crate) kind: Kind,
    pub(crate) worker: WorkerId,
    pub(crate) devices: Vec<DeviceId>,
    /// It carries out follow-ups (P22).
    pub(crate) adds_only: bool,
}

/// An open iteration.
#[derive(Clone, Debug)]
pub(crate) struct OpenLife {
    pub(super) number: IterationNumber,
    pub(super) lever: Option<LeverNumber>,
    pub(super) tree: Digest,
    /// The record at its start.
    pub(super) record: Option<Decimal>,
    /// Levers of other lanes that were kept since (P39).
    pub(super) overtaken_by: Vec<LeverNumber>,
    pub(super) net_lines: i64,
    pub(super) plan: BTreeSet<TreePath>,
    /// Outputs of scripts that were added beside it (P22).
    pub(super) added: BTreeSet<TreePath>,
    pub(super) attempts: u32,
    pub(crate) live: Option<LiveLife>,
    pub(super) run: Option<(AttemptKey, Outcome)>,
    pub(super) is_scored: bool,
    /// The scorer's end on that run.
    pub(super) score: Option<(AttemptKey, Outcome)>,
    /// The metric of each measured run of the present tree (P27).
    pub(super) replicates: Vec<Decimal>,
    pub(super) last_outputs: Vec<Output>,
    pub(super) infrastructure: u32,
    pub(super) fixes: BTreeSet<u32>,
    pub(super) analysis_failures: u32,
    pub(super) accepted: BTreeSet<TreePath>,
    pub(super) concluded: bool,
    pub(super) is_cancelled: bool,
}

impl OpenLife {
    /// Whether its run did its part: printed its metric, or left what its scorer reads.
    pub(super) fn has_run(&self) -> bool {
        self.run.as_ref().is_some_and(|(_, outcome)| {
            outcome.ending == Ending::Finished
                && outcome.frozen_changed.is_none()
                && if self.is_scored { outcome.score_artifact.is_some() } else { value(outcome).is_some() }
        })
    }

    pub(super) fn is_measured(&self) -> bool {
        self.printed().is_some()
    }

    /// What the attempt whose metric counts printed, and which that is.
    pub(super) fn printed(&self) -> Option<(&AttemptKey, &Decimal)> {
        let source = if self.is_scored { &self.score } else { &self.run };
        let (key, outcome) = source.as_ref().filter(|_| self.has_run())?;
        Some((key, value(outcome).filter(|_| outcome.ending == Ending::Finished)?))
    }

    pub(super) fn is_analysed(&self) -> bool {
        self.plan.iter().all(|path| self.accepted.contains(path))
    }

    /// The mean over its replicates; the digits as printed where it ran once.
    fn metric(&self) -> Option<Decimal> {
        let (_, printed) = self.printed()?;
        match self.replicates.len() {
            0 | 1 => Some(printed.clone()),
            _ => Decimal::mean(&self.replicates),
        }
    }
}

fn value(outcome: &Outcome) -> Option<&Decimal> {
    outcome.reading.as_ref().and_then(|reading| reading.value())
}

impl CampaignLife {
    pub(super) fn fixed(
        &mut self,
        iteration: IterationNumber,
        fix: u32,
        tree: Digest,
        net_lines: i64,
    ) -> Checked {
        let most = self.fixes_max as usize;
        let open = self.open_idle(iteration, "a fix is applied")?;
        hold(open.run.is_some() && !open.has_run(), "I13", || {
            format!("a fix of {} answers no failure", open.number)
        })?;
        hold(open.fixes.insert(fix) && open.fixes.len() <= most, "I13", || {
            format!("fix {fix} of {} is tried twice or too many", open.number)
        })?;
        (open.tree, open.net_lines) = (tree, net_lines);
        (open.run, open.score) = (None, None);
        open.replicates.clear();
        open.last_outputs.clear();
        open.accepted.clear();
        Ok(())
    }

    /// By its owner, once, while it is open.
    pub(super) fn cancelled(&mut self, iteration: IterationNumber) -> Checked {
        let is_stopped = self.is_stopped();
        let open = self.open.get_mut(&iteration).filter(|open| !open.is_cancelled);
        match open.filter(|_| !is_stopped) {
            Some(open) => {
                open.is_cancelled = true;
                Ok(())
            }
            None => broken("I13", format!("{iteration} is cancelled and is not open, or was already")),
        }
    }

    /// P21: a repaired script, in the place of one whose deliverable is not there; it has tries of its own. P22:
    /// any other is a follow-up.
    pub(super) fn added(&mut self, iteration: IterationNumber, output: &TreePath) -> Checked {
        let is_stopped = self.is_stopped();
        let ends = [self.best.map(|(best, _)| best), self.latest];
        let open = match self.open.get_mut(&iteration) {
            Some(open) => Some(open),
            None => self.settled.get_mut(&iteration).filter(|_| ends.contains(&Some(iteration))),
        };
        let Some(open) = open.filter(|_| !is_stopped) else {
            return broken("P22", format!("{iteration} is followed up on, and is not open, best or latest"));
        };
        hold(!open.accepted.contains(output), "I13", || {
            format!("{output} of {iteration} is replaced and is there")
        })?;
        let is_open = !self.decided.contains_key(&iteration);
        if is_open && open.plan.contains(output) {
            open.analysis_failures = 0;
        } else {
            open.added.insert(output.clone());
        }
        Ok(())
    }

    pub(super) fn accepted(
        &mut self,
        iteration: IterationNumber,
        output: &TreePath,
        digest: Digest,
    ) -> Checked {
        let is_decided = self.decided.contains_key(&iteration);
        let open = self.idle(iteration, "a deliverable is accepted")?;
        let is_measured = is_decided || open.is_measured();
        hold(is_measured, "I13", || format!("{output} is accepted without a metric"))?;
        let is_due = open.added.contains(output) || (open.plan.contains(output) && !is_decided);
        hold(is_due && open.accepted.insert(output.clone()), "I13", || {
            format!("{output} is not planned or accepted twice")
        })?;
        let is_made = open.last_outputs.iter().any(|o| o.path == *output && o.digest == Some(digest));
        hold(is_made, "I2", || format!("{output} was not made by the last attempt of {}", open.number))
    }

    pub(super) fn concluded(&mut self, iteration: IterationNumber) -> Checked {
        if self.decided.contains_key(&iteration) {
            // P23: one that comes after the decision replaces the text, and nothing else.
            return Ok(());
        }
        hold(!self.is_stopped(), "I13", || "a conclusion is written after the end".to_owned())?;
        let Some(open) = self.open.get_mut(&iteration) else {
            return broken("I13", format!("a conclusion is written and {iteration} is not open"));
        };
        open.concluded = true;
        // A follow-up changes nothing of what is concluded (P22); the decision waits for its end.
        let is_at_rest = open.live.as_ref().is_none_or(|live| live.adds_only);
        hold(is_at_rest, "I13", || format!("a conclusion is written while {:?} runs", open.live))
    }

    /// I1, I2, I12: once, with its own metric, on the best of its start.
    pub(super) fn decided(
        &mut self,
        iteration: IterationNumber,
        status: Status,
        reason: &str,
        arithmetic: &Arithmetic,
        best: Option<IterationNumber>,
        truth: &Truth,
    ) -> Checked {
        let before = self.decided.insert(iteration, status);
        hold(before.is_none(), "I1", || format!("{iteration} was decided {before:?}, and is {status:?}"))?;
        let Some(open) = self.open.remove(&iteration) else {
            return broken("I1", format!("{iteration} is decided and was not open"));
        };
        hold(open.concluded && open.live.is_none(), "I13", || {
            format!("{iteration} is decided too early: {open:?}")
        })?;
        let metric = open.metric().filter(|_| open.infrastructure < 3 && !open.is_cancelled);
        let counts = metric.as_ref();
        if let (Some(noise), Some(_)) = (&self.noise, counts) {
            let is_baseline = iteration == IterationNumber::BASELINE;
            let (least, most) = match is_baseline {
                true => (noise.baseline_replicates, noise.baseline_replicates),
                false => (1, noise.confirm_replicates),
            };
            let runs = open.replicates.len() as u32;
            let is_counted = runs == least || runs == most;
            hold(is_counted, "P27", || {
                format!("{iteration} was measured {runs} times of {least} or {most}")
            })?;
        }
        hold(arithmetic.metric.as_ref().map(Decimal::text) == counts.map(Decimal::text), "I2", || {
            format!("{iteration} has {:?} and made {counts:?}", arithmetic.metric)
        })?;
        if let (Some(metric), Some((run, _)), Some((key, _))) = (counts, &open.run, open.printed()) {
            let is_of = |key, tree| truth.made.get(key).is_some_and(|made| made.tree == tree);
            // A scorer runs the workspace as it was submitted, on what a run of the iteration's tree made.
            let scored_on = if open.is_scored { self.tree } else { open.tree };
            hold(is_of(run, open.tree) && is_of(key, scored_on), "I2", || {
                format!("{iteration}: {metric} was made by another tree")
            })?;
        }
        self.check_status(&open, status, counts)?;
        self.check_lanes(&open, status, reason, counts)?;
        if status == Status::Keep {
            self.best = Some((iteration, open.tree));
            self.best_metric = counts.cloned();
            for other in self.open.values_mut() {
                other.overtaken_by.extend(open.lever);
            }
            if let Some(metric) = counts
                && self.record.as_ref().is_none_or(|record| is_better(self.direction, metric, record))
            {
                self.record = Some(metric.clone());
            }
        }
        hold(best == self.best.map(|(number, _)| number), "I12", || {
            format!("after {iteration} the best is {:?}, not {best:?}", self.best)
        })?;
        self.after_decision(&open, status);
        self.latest = Some(iteration);
        self.settled.insert(iteration, open);
        Ok(())
    }

    /// P25 and P26, from the side of what may never be.
    fn check_status(&self, open: &OpenLife, status: Status, metric: Option<&Decimal>) -> Checked {
        let number = open.number;
        let Some(metric) = metric else {
            return hold(status == Status::Crash, "I13", || format!("{number} has no metric: {status:?}"));
        };
        if !open.is_analysed() {
            hold(open.analysis_failures >= 2, "I13", || format!("{number} is given up too early"))?;
            return hold(status == Status::Discard, "I13", || format!("{number} unanalysed: {status:?}"));
        }
        let Some(record) = &open.record else {
            return hold(status == Status::Keep, "I13", || format!("the baseline is {status:?}"));
        };
        let better = is_better(self.direction, metric, record);
        // Another lane's was kept meanwhile: what that means is held elsewhere.
        if !open.overtaken_by.is_empty() && status == Status::Discard && better {
            return Ok(());
        }
        let simpler = open.net_lines < 0 || self.lever_kind(open.lever) == Some(LeverKind::Instrumentation);
        if better && open.net_lines < self.lines {
            hold(status == Status::Keep, "I13", || format!("{number}: {metric} beats {record}: {status:?}"))?;
        }
        if !better && !simpler {
            hold(status == Status::Discard, "I13", || {
                format!("{number}: {metric} does not beat {record}: {status:?}")
            })?;
        }
        hold(status != Status::Crash, "I13", || format!("{number} has a metric and is a crash"))
    }

    /// P39: what beats its own parent is superseded when another lane's was kept meanwhile, or kept instead of
    /// it when it is better; the levers that lose their place are owed another run.
    fn check_lanes(
        &mut self,
        open: &OpenLife,
        status: Status,
        reason: &str,
        metric: Option<&Decimal>,
    ) -> Checked {
        let number = open.number;
        let is_overtaken = !open.overtaken_by.is_empty();
        let is_superseded = reason == "superseded";
        hold(!is_superseded || (is_overtaken && status == Status::Discard), "P39", || {
            format!("{number} is superseded by nobody")
        })?;
        if is_superseded {
            self.owed.extend(open.lever);
        }
        if !is_overtaken || status != Status::Keep {
            let beats =
                |metric| open.record.as_ref().is_none_or(|one| is_better(self.direction, metric, one));
            let passes = open.net_lines < self.lines && metric.is_some_and(beats);
            return hold(!is_overtaken || is_superseded || !passes || !open.is_analysed(), "P39", || {
                format!("{number} beats its own parent and is not run again: {reason}")
            });
        }
        let (Some(metric), Some(others)) = (metric, &self.best_metric) else {
            return broken("P39", format!("{number} is kept without a metric"));
        };
        hold(is_better(self.direction, metric, others), "P39", || {
            format!("{number} with {metric} takes the place of {others}")
        })?;
        self.owed.extend(open.overtaken_by.iter().copied());
        Ok(())
    }

    /// An iteration that is open or was, with nothing of it running.
    fn idle(&mut self, iteration: IterationNumber, what: &str) -> Checked<&mut OpenLife> {
        hold(!self.is_stopped(), "I13", || format!("{what} after the end"))?;
        let known = self.open.get_mut(&iteration).or_else(|| self.settled.get_mut(&iteration));
        let Some(known) = known else {
            return broken("I13", format!("{what} and {iteration} was never open"));
        };
        hold(known.live.is_none(), "I13", || format!("{what} while {:?} runs", known.live))?;
        Ok(known)
    }

    /// An open iteration, with nothing of it running.
    fn open_idle(&mut self, iteration: IterationNumber, what: &str) -> Checked<&mut OpenLife> {
        hold(!self.is_stopped(), "I13", || format!("{what} after the end"))?;
        let Some(open) = self.open.get_mut(&iteration) else {
            return broken("I13", format!("{what} and {iteration} is not open"));
        };
        hold(open.live.is_none(), "I13", || format!("{what} while {:?} runs", open.live))?;
        Ok(open)
    }
}

fn is_better(direction: Direction, metric: &Decimal, record: &Decimal) -> bool {
    match direction {
        Direction::Minimize => metric < record,
        Direction::Maximize => metric > record,
    }
}
