//! Follow-ups (P22): scripts beside the plan, on an open iteration and, when they are decided, on the best and
//! the latest. What they write is evidence, and changes neither status nor metric (P23, I1).
//!
//! A decided iteration that may be followed up on stands among `settled`: as it was decided, without what
//! only the decision needed.

use super::iteration::{ANALYSIS_TRIES, Accepted, INFRASTRUCTURE_TRIES, Iteration, Live, Need};
use super::state::Campaign;
use crate::gate::plan::Outputs;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use windlass_shared::attempt::{AttemptKey, Ending, Outcome};
use windlass_shared::conclusion::Status;
use windlass_shared::id::{AttemptId, IterationNumber, WorkerId};
use windlass_shared::path::TreePath;
use windlass_shared::plan::Deliverable;
use windlass_shared::view::{FollowUpView, Late};

/// Follow-ups of one campaign that are not carried out yet: each stays in memory until then.
pub const FOLLOW_UPS_WAITING_MAX: usize = 64;
/// Deliverables of one iteration, its plan's and its follow-ups': every order of a further one names a tree
/// with all of them.
pub const DELIVERABLES_MAX: usize = 1_000;
/// Late findings that a summary shows: the latest.
const LATE_MAX: usize = 8;

/// Scripts that were added beside the plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowUps {
    /// Rows that are to be carried out.
    pub rows: Vec<Deliverable>,
    /// Failures of the machinery while they were (P20).
    pub infrastructure: u32,
    /// Attempts that left one of them missing.
    pub failures: u32,
    /// Outputs that are tried no more, each with the reason.
    pub given_up: BTreeMap<TreePath, String>,
}

impl FollowUps {
    /// A row that is to be carried out: in the place of an earlier one with its output. It has tries of its own.
    pub(super) fn add(&mut self, row: &Deliverable) {
        self.rows.retain(|other| other.output != row.output);
        self.given_up.remove(&row.output);
        self.rows.push(row.clone());
        (self.infrastructure, self.failures) = (0, 0);
    }

    fn give_up(&mut self, why: &str, which: impl Fn(&TreePath) -> bool) {
        let (gone, left) = std::mem::take(&mut self.rows).into_iter().partition(|row| which(&row.output));
        self.rows = left;
        self.given_up.extend(Vec::into_iter(gone).map(|row: Deliverable| (row.output, why.to_owned())));
        (self.infrastructure, self.failures) = (0, 0);
    }
}

impl Iteration {
    /// Whether it has follow-ups to carry out, or to record.
    pub fn has_follow_ups(&self) -> bool {
        let is_recording = self.is_settled && (self.live.is_some() || !self.unrecorded.is_empty());
        is_recording || !self.follow_ups.rows.is_empty()
    }

    /// Whether its next analysis is of follow-ups: its plan is done with.
    pub fn is_following_up(&self) -> bool {
        self.is_settled || (self.metric().is_some() && self.missing().next().is_none())
    }

    /// The rows that its next analysis makes: those of its plan that are not there, then its follow-ups.
    pub fn to_make(&self) -> impl Iterator<Item = &Deliverable> {
        let follow_ups = if self.is_following_up() { self.follow_ups.rows.as_slice() } else { &[] };
        self.missing().chain(follow_ups)
    }

    /// What a decided one needs next.
    pub(super) fn need_of_settled(&self) -> Option<Need> {
        match () {
            () if self.live.is_some() => Some(Need::Attempt),
            () if !self.unrecorded.is_empty() => Some(Need::Accept),
            () if !self.follow_ups.rows.is_empty() => Some(Need::Analysis),
            () => None,
        }
    }

    /// Failures of the machinery in what it does now: those of its run and plan, or of its follow-ups.
    pub fn failures(&self) -> u32 {
        if self.is_following_up() { self.follow_ups.infrastructure } else { self.infrastructure_failures }
    }

    /// What it leaves for follow-ups when it is decided.
    fn settled(mut self) -> Self {
        let run = self.run.take().map(|run| {
            let outcome =
                Outcome { artifacts: run.outcome.artifacts, ..Outcome::bare(run.outcome.ending.clone()) };
            super::iteration::RunEnd { outcome: Box::new(outcome), ..run }
        });
        if run.is_none() {
            self.follow_ups.give_up("no run of it came to an end", |_| true);
        }
        Self {
            is_settled: true,
            run,
            plan: Vec::new(),
            replicates: Vec::new(),
            score: None,
            overtaken_by: Vec::new(),
            unrecorded: Vec::new(),
            infrastructure_failures: 0,
            last_infrastructure: None,
            setup_failed: false,
            failed_on: BTreeSet::new(),
            fixes_tried: BTreeSet::new(),
            analysis_failures: 0,
            analysis_problem: None,
            analysis_tail: String::new(),
            conclusion: None,
            is_cancelled: false,
            ..self
        }
    }

    /// An attempt of follow-ups is over: what it left waits to be recorded, and the tries are counted (P20, P21).
    pub(super) fn follow_up_ended(&mut self, live: &Live, worker: &WorkerId, outcome: &Outcome) {
        if outcome.ending.is_infrastructure() {
            self.last_infrastructure = Some(outcome.ending.to_string());
            self.setup_failed = outcome.setup_failed;
            self.failed_on.insert(worker.clone());
            self.follow_ups.infrastructure += 1;
            if self.follow_ups.infrastructure >= INFRASTRUCTURE_TRIES {
                let why = format!("machines failed {INFRASTRUCTURE_TRIES} times: {}", outcome.ending);
                self.follow_ups.give_up(&why, |_| true);
            }
            return;
        }
        if outcome.ending == Ending::Cancelled {
            // Its machine's owner ended it: it is run again.
            return;
        }
        self.results = outcome.results.or(self.results);
        let rows = &self.follow_ups.rows;
        let is_wanted = |path: &TreePath| rows.iter().any(|row| row.output == *path);
        let made = outcome.outputs.iter().filter(|output| super::apply::is_there(output));
        self.unrecorded = made.filter(|output| is_wanted(&output.path)).cloned().collect();
        // A row that was added meanwhile was none of its scripts.
        let absent: BTreeSet<TreePath> = live
            .order
            .scripts
            .iter()
            .map(|one| one.output.clone())
            .filter(|path| is_wanted(path) && self.unrecorded.iter().all(|output| output.path != *path))
            .collect();
        if absent.is_empty() {
            return;
        }
        self.follow_ups.failures += 1;
        if self.follow_ups.failures >= ANALYSIS_TRIES {
            for path in absent {
                let said = outcome.outputs.iter().find(|output| output.path == path);
                let why = said.and_then(|output| output.problem.clone());
                let why = why.unwrap_or_else(|| outcome.ending.to_string());
                self.follow_ups.give_up(&why, |output| *output == path);
            }
        }
    }

    /// A follow-up's deliverable is there.
    pub(super) fn follow_up_accepted(&mut self, output: &TreePath, accepted: Accepted) {
        self.follow_ups.rows.retain(|row| row.output != *output);
        self.unrecorded.retain(|waiting| &waiting.path != output);
        self.accepted.insert(output.clone(), accepted);
    }

    /// Whether an output gets in the way of what it has or is to make.
    pub(crate) fn clashes(&self, output: &TreePath) -> bool {
        let mut taken = Outputs::default();
        let rows = self.plan.iter().chain(&self.follow_ups.rows).map(|row| &row.output);
        let mut all: BTreeSet<&TreePath> = rows.chain(self.accepted.keys()).collect();
        // One that is not there yet is replaced.
        if !self.accepted.contains_key(output) {
            all.remove(output);
        }
        for other in all {
            taken.take(other);
        }
        !taken.take(output)
    }
}

impl Campaign {
    /// An iteration that is open, or decided and followed up on.
    pub fn iteration(&self, number: IterationNumber) -> Option<&Iteration> {
        self.open.get(&number).or_else(|| self.settled.get(&number))
    }

    pub(super) fn iteration_mut(&mut self, number: IterationNumber) -> Option<&mut Iteration> {
        self.open.get_mut(&number).or_else(|| self.settled.get_mut(&number))
    }

    /// The iteration of a live attempt, and what is known of that.
    pub fn live_attempt(&self, id: &AttemptId) -> Option<(&Iteration, &Live)> {
        let iteration = self.iteration(id.iteration)?;
        Some((iteration, iteration.live.as_ref().filter(|live| live.key.id == *id)?))
    }

    /// Decided iterations with follow-ups to carry out or to record.
    pub fn followed_up(&self) -> impl Iterator<Item = &Iteration> {
        self.settled.values().filter(|settled| settled.has_follow_ups())
    }

    /// Every iteration of which something may run.
    pub fn unfinished(&self) -> impl Iterator<Item = &Iteration> {
        self.open.values().chain(self.followed_up())
    }

    /// Follow-ups that are not carried out yet.
    pub(crate) fn follow_ups_waiting(&self) -> usize {
        let all = self.open.values().chain(self.settled.values());
        all.map(|iteration| iteration.follow_ups.rows.len()).sum()
    }

    /// The latest decided iteration.
    pub fn latest(&self) -> Option<IterationNumber> {
        self.recent.back().map(|summary| summary.iteration)
    }

    /// The runs whose workspaces their workers keep: of the best, of the latest, of what is open or followed
    /// up on (P22).
    pub(crate) fn kept_runs(&self) -> BTreeSet<(WorkerId, AttemptKey)> {
        if self.is_stopped() {
            return BTreeSet::new();
        }
        let all = self.open.values().chain(self.settled.values());
        all.filter_map(|iteration| {
            let run = iteration.run.as_ref()?;
            Some((run.worker.clone(), run.key.clone()))
        })
        .collect()
    }

    /// An iteration was decided: it, or an older one, may be followed up on no more.
    pub(super) fn settle(&mut self, open: Iteration) {
        self.settled.insert(open.number, open.settled());
        self.let_go_settled();
    }

    pub(super) fn let_go_settled(&mut self) {
        let (best, latest) = (self.best.as_ref().map(|best| best.iteration), self.latest());
        let is_stopped = self.is_stopped();
        self.settled.retain(|number, settled| match is_stopped {
            true => settled.live.is_some(),
            false => Some(*number) == best || Some(*number) == latest || settled.has_follow_ups(),
        });
    }

    /// The end of an attempt on a decided iteration: its evidence has grown.
    pub(super) fn settled_attempt_ended(&mut self, number: IterationNumber) {
        let Some(results) = self.settled.get(&number).and_then(|settled| settled.results) else { return };
        if let Some(decided) = self.decided.get_mut(&number) {
            decided.results = Some(results);
        }
        if let Some((_, tree)) = self.history.iter_mut().find(|(of, _)| *of == number) {
            *tree = results;
        }
        self.let_go_settled();
    }

    /// A late finding counts in the history of dimensions, unless a crash made it (P13), and stands in the
    /// iteration's summary.
    pub(super) fn settled_accepted(
        &mut self,
        number: IterationNumber,
        output: &TreePath,
        accepted: &Accepted,
    ) {
        if self.decided.get(&number).is_some_and(|decided| decided.status != Status::Crash) {
            self.measured.insert(accepted.dimension.clone());
        }
        let late = Late {
            output: output.clone(),
            dimension: accepted.dimension.clone(),
            first_line: accepted.first_line.clone(),
        };
        let best = self.best.as_mut().map(|best| &mut best.summary);
        for summary in self.recent.iter_mut().chain(best).filter(|summary| summary.iteration == number) {
            if summary.late.len() >= LATE_MAX {
                summary.late.remove(0);
            }
            summary.late.push(late.clone());
        }
        self.let_go_settled();
    }

    /// What `status` says of follow-ups: those under way, and those of the best and the latest that came to
    /// nothing.
    pub(crate) fn follow_ups_view(&self) -> Vec<FollowUpView> {
        let all = self.open.values().chain(self.settled.values());
        all.flat_map(|iteration| {
            let of = |output: &TreePath, stage: &str, problem: Option<&String>| FollowUpView {
                iteration: iteration.number,
                output: output.clone(),
                stage: stage.to_owned(),
                problem: problem.cloned(),
            };
            let is_live = |row: &Deliverable| {
                let live = iteration.live.as_ref().filter(|_| iteration.is_following_up());
                live.is_some_and(|live| live.order.scripts.iter().any(|one| one.output == row.output))
            };
            let stage = |row| match (is_live(row), iteration.is_following_up()) {
                (true, _) => "running",
                (false, true) => "waiting for a worker",
                (false, false) => "waiting for the plan",
            };
            let rows = iteration.follow_ups.rows.iter().map(|row| of(&row.output, stage(row), None));
            let given_up = &iteration.follow_ups.given_up;
            let given_up = given_up.iter().map(|(output, why)| of(output, "given up", Some(why)));
            rows.chain(given_up).collect::<Vec<_>>()
        })
        .collect()
    }
}
