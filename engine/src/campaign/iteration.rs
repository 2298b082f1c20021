//! An open iteration: the states between a pulled lever and its decision (I13).
//!
//! ```text
//! opened ─ run leased ─ run ended ─┬─ measured ─ (analysis leased ─ ended)* ─ concluded ─ decided
//!              ▲                   ├─ failed, carried fix left ─ fix applied ─┐
//!              └───────────────────┴─ infrastructure, tries left ◄───────────┘
//! ```

use super::follow_up::FollowUps;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use windlass_shared::attempt::{AttemptKey, Kind, Outcome};
use windlass_shared::conclusion::Conclusion;
use windlass_shared::decimal::Decimal;
use windlass_shared::digest::{Digest, Hash};
use windlass_shared::id::{DeviceId, IterationNumber, LeverNumber, RequestId, WorkerId};
use windlass_shared::lever::Pin;
use windlass_shared::path::TreePath;
use windlass_shared::plan::Deliverable;

/// Infrastructure failures of one iteration before its lever is set aside (P20).
pub const INFRASTRUCTURE_TRIES: u32 = 3;
/// Failures of the analysis after which nobody is waited for (P21).
pub const ANALYSIS_TRIES: u32 = 2;

/// A live attempt.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Live {
    /// Attempt and fence.
    pub key: AttemptKey,
    /// Run or analysis.
    pub kind: Kind,
    /// Where.
    pub worker: WorkerId,
    /// The worker's name, for people.
    pub worker_name: String,
    /// On what.
    pub devices: Vec<DeviceId>,
    /// All that the worker needs.
    pub order: Box<windlass_shared::attempt::Order>,
    /// Why there.
    pub why: String,
}

/// A run that is over.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunEnd {
    /// Which attempt.
    pub key: AttemptKey,
    /// Where it ran; its workspace may still be there.
    pub worker: WorkerId,
    /// What came of it.
    pub outcome: Box<Outcome>,
}

impl RunEnd {
    /// Whether it gave a metric that counts: a metric line, exit code 0 in time (or, where the campaign says
    /// so, after its budget with the metric printed within the grace, P16), frozen files intact.
    pub fn is_measured(&self) -> bool {
        use windlass_shared::attempt::Ending;
        use windlass_shared::machine::Flag;
        let in_time = match self.outcome.ending {
            Ending::Finished => true,
            Ending::SoftTimeout => self.outcome.flags.contains(&Flag::SoftTimeout),
            _ => false,
        };
        in_time
            && self.outcome.frozen_changed.is_none()
            && self.outcome.reading.as_ref().is_some_and(|reading| reading.value().is_some())
    }

    /// Whether it made what its scorer reads: exit code 0 in time, frozen files intact, the file there.
    pub fn made_artifact(&self) -> bool {
        use windlass_shared::attempt::Ending;
        self.outcome.ending == Ending::Finished
            && self.outcome.frozen_changed.is_none()
            && self.outcome.score_artifact.is_some()
    }

    /// Why it is a crash, in a few words.
    pub fn failure(&self) -> String {
        use windlass_shared::attempt::{Ending, Reading};
        if let Some(path) = &self.outcome.frozen_changed {
            return format!("the run changed the frozen file {path} (P2)");
        }
        match (&self.outcome.ending, &self.outcome.reading) {
            (Ending::Finished, Some(Reading::None { reason })) => format!("no metric: {reason}"),
            (Ending::Finished, None) => "no metric".to_owned(),
            (ending, _) => ending.to_string(),
        }
    }
}

/// A deliverable that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// What it measures.
    pub dimension: String,
    /// Its first line.
    pub first_line: String,
}

/// What an iteration needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Its live attempt is awaited.
    Attempt,
    /// A run, on devices.
    Run,
    /// The scorer, on what the run made.
    Score,
    /// A carried fix on top (index), then a run.
    Fix(u32),
    /// The scripts.
    Analysis,
    /// The deliverables of its last attempt recorded.
    Accept,
    /// Conclusion and decision.
    Decide,
}

/// The open iteration.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Iteration {
    /// Its number.
    pub number: IterationNumber,
    /// Its lever; none for the baseline.
    pub lever: Option<LeverNumber>,
    /// The best it builds on: that of its start (P39).
    pub parent: Option<IterationNumber>,
    /// The best's tree, or the workspace for the baseline.
    pub parent_tree: Digest,
    /// The record at its start, which it is held against (P25).
    pub record: Option<Decimal>,
    /// Iterations of other lanes that were kept since, and whose levers have not left the best again (P39).
    pub overtaken_by: Vec<(IterationNumber, LeverNumber)>,
    /// The tree that is run, fixes included.
    pub tree: Digest,
    /// The tree as pulled, before any fix.
    pub pulled_tree: Digest,
    /// The anchor as re-validated (P7).
    pub pin: Option<Pin>,
    /// The analysis plan.
    pub plan: Vec<Deliverable>,
    /// Net lines against the parent (P26).
    pub net_lines: i64,
    /// The normalised diff (P10).
    pub diff: Hash,
    /// Attempts leased so far.
    pub attempts: u32,
    /// The live one.
    pub live: Option<Live>,
    /// The metric of each measured run of this tree, by seed from 0 (P27).
    pub replicates: Vec<Decimal>,
    /// The last run that ended, until a fix or a retry clears it.
    pub run: Option<RunEnd>,
    /// What its scorer reads; none where the run itself prints the metric.
    pub artifact: Option<TreePath>,
    /// The scorer's last attempt on that run.
    pub score: Option<RunEnd>,
    /// The results tree of the last attempt that made one.
    pub results: Option<Digest>,
    /// Outputs of the last attempt that are not recorded yet.
    pub unrecorded: Vec<windlass_shared::attempt::Output>,
    /// Infrastructure endings so far (P20).
    pub infrastructure_failures: u32,
    /// The last of them.
    pub last_infrastructure: Option<String>,
    /// Whether that was the campaign's own setup.
    pub setup_failed: bool,
    /// Where they happened: it is run again elsewhere, if there is an elsewhere.
    pub failed_on: BTreeSet<WorkerId>,
    /// Carried fixes tried, and those that did not apply (P19).
    pub fixes_tried: BTreeSet<u32>,
    /// Fixes that were applied and run.
    pub fixes_applied: u32,
    /// Analysis attempts that left a deliverable missing (P21).
    pub analysis_failures: u32,
    /// Why the last one did.
    pub analysis_problem: Option<String>,
    /// Deliverables that are there.
    pub accepted: BTreeMap<TreePath, Accepted>,
    /// The conclusion, once written.
    pub conclusion: Option<Conclusion>,
    /// The log's end of the last analysis that left one missing, at most 50 lines.
    pub analysis_tail: String,
    /// When its last attempt ended, wall time: what it then waits for is counted from there.
    pub ended_wall_ms: Option<i64>,
    /// Its owner has cancelled it: it is decided as soon as nothing of it runs.
    pub is_cancelled: bool,
    /// It is decided, and stands here for follow-ups alone (P22).
    pub is_settled: bool,
    /// Scripts that were added beside its plan.
    pub follow_ups: FollowUps,
    /// The client's request that its next attempt goes back to: its lever's, or that of what was sent since.
    pub request: Option<RequestId>,
}

impl Iteration {
    /// Rows of the plan that are not there yet.
    pub fn missing(&self) -> impl Iterator<Item = &Deliverable> {
        self.plan.iter().filter(|row| !self.accepted.contains_key(&row.output))
    }

    /// Whether the run did its part: its metric counts, or what its scorer reads is there.
    pub fn has_run(&self) -> bool {
        let is_done = if self.artifact.is_some() { RunEnd::made_artifact } else { RunEnd::is_measured };
        self.run.as_ref().is_some_and(is_done)
    }

    /// The metric that counts: the run's, or its scorer's. What a scored run printed is only noted.
    pub fn metric(&self) -> Option<&Decimal> {
        let source = if self.artifact.is_some() { &self.score } else { &self.run };
        let counts = source.as_ref().filter(|source| self.has_run() && source.is_measured())?;
        counts.outcome.reading.as_ref().and_then(|reading| reading.value())
    }

    /// Why there is no metric, in a few words, where a run has ended.
    pub fn failure(&self) -> Option<String> {
        use windlass_shared::attempt::Ending;
        let run = self.run.as_ref()?;
        let Some(artifact) = &self.artifact else { return Some(run.failure()) };
        let is_fine = run.outcome.ending == Ending::Finished && run.outcome.frozen_changed.is_none();
        Some(match &self.score {
            _ if !is_fine => run.failure(),
            None => format!("artifact missing: the run left no file {artifact}"),
            Some(score) => format!("scorer: {}", score.failure()),
        })
    }

    /// Whether the machinery has failed for good (P20).
    pub fn is_out_of_tries(&self) -> bool {
        self.infrastructure_failures >= INFRASTRUCTURE_TRIES
    }

    /// What it needs next. `fix` is the carried fix that answers the last run's failure, if one is left;
    /// `replicates` is how many measured runs it needs (P27).
    pub fn need(&self, fix: Option<u32>, replicates: usize) -> Need {
        if self.live.is_some() {
            return Need::Attempt;
        }
        if self.is_cancelled || self.is_out_of_tries() {
            return Need::Decide;
        }
        if self.run.is_none() {
            return Need::Run;
        }
        if !self.has_run() {
            return fix.map_or(Need::Decide, Need::Fix);
        }
        if self.artifact.is_some() && self.score.is_none() {
            return Need::Score;
        }
        if self.metric().is_none() {
            // The scorer is frozen: what it cannot score is the run's doing, and no fix of the lever's answers it.
            return Need::Decide;
        }
        if self.replicates.len() < replicates {
            return Need::Run;
        }
        if !self.unrecorded.is_empty() {
            return Need::Accept;
        }
        if self.missing().next().is_none() || self.analysis_failures >= ANALYSIS_TRIES {
            return Need::Decide;
        }
        Need::Analysis
    }
}
