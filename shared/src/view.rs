//! What a client is shown of the present state: projections, never read back. These are the bodies of
//! `--output json` as well; docs/json.md documents them.

use crate::attempt::Kind as AttemptKind;
use crate::bindings::Direction;
use crate::conclusion::Status;
use crate::decimal::Decimal;
use crate::device::{Device, Load, WorkerInfo};
use crate::digest::Digest;
use crate::id::{AttemptId, CampaignId, DeviceId, FindingNumber, IterationNumber, LeverNumber, WorkerId};
use crate::path::TreePath;
use crate::record::{HoldReason, PauseReason, RetireReason, StopReason};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Whether a campaign moves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum CampaignState {
    /// It runs, or waits for what `CampaignView::waits_for` says.
    Active,
    /// It opens nothing new.
    Paused {
        /// Why.
        reason: PauseReason,
    },
    /// It has ended for good.
    Stopped {
        /// Why.
        reason: StopReason,
    },
}

/// One page about a campaign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CampaignView {
    /// Its id.
    pub campaign: CampaignId,
    /// For listings.
    pub name: String,
    /// When it was created.
    pub created_wall_ms: i64,
    /// Whether it moves.
    pub state: CampaignState,
    /// Who is served first where campaigns wait for the same device: the higher, then the older.
    #[serde(default)]
    pub priority: i32,
    /// The metric's name.
    pub metric: String,
    /// Which way is better.
    pub direction: Direction,
    /// The workspace's tree.
    pub tree: Digest,
    /// The tree of the best: what the next lever builds on.
    pub best_tree: Digest,
    /// The last kept iteration.
    pub best: Option<IterationSummary>,
    /// The best metric ever kept.
    pub record: Option<Decimal>,
    /// Decided iterations by status: keep, discard, crash.
    pub decided: Counts,
    /// Levers that can still be pulled.
    pub queued: u32,
    /// The oldest open iteration, if one is open.
    pub open: Option<OpenIteration>,
    /// Every open iteration, the oldest first: one a lane (P39).
    #[serde(default)]
    pub lanes: Vec<OpenIteration>,
    /// The noise floor, where it was measured (P27).
    #[serde(default)]
    pub floor: Option<Decimal>,
    /// The counters of its moves, where they are scheduled (P11).
    #[serde(default)]
    pub moves: Option<MovesView>,
    /// What stands in its corpus, with `literature: on` (P35).
    #[serde(default)]
    pub literature: Option<LiteratureView>,
    /// The last proposal that rules refused, and how many there were.
    #[serde(default)]
    pub refused: Option<RefusedView>,
    /// Why nothing moves, when nothing does (P24).
    pub waits_for: Option<String>,
    /// The latest decisions, newest first, at most ten.
    pub recent: Vec<IterationSummary>,
    /// Scripts added beside a plan that are not carried out yet, and those of the best and the latest that
    /// were given up (P22).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub follow_ups: Vec<FollowUpView>,
}

/// The last refused proposal of a campaign, and how many the ledger has of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedView {
    /// Recorded so far; at most 32 from one queued lever or opened iteration to the next.
    pub recorded: u32,
    /// When the last was refused.
    pub wall_ms: i64,
    /// Its title.
    pub title: String,
    /// The rule behind its first problem.
    pub rule: Option<String>,
    /// That problem.
    pub message: String,
}

/// The counters of the move scheduler (P11).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovesView {
    /// Swings pulled so far.
    pub swings: u32,
    /// The first so many levers are swings.
    pub swing_budget: u32,
    /// Exploits since the last swing or merge.
    pub exploits_in_a_row: u32,
    /// After so many only a swing or a merge may be pulled.
    pub stagnation_limit: u32,
    /// What may be pulled now: `swing`, `merge`, `exploit`.
    pub allowed: Vec<String>,
}

/// What stands in a campaign's corpus (P35).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiteratureView {
    /// What the best's model is, where a lever or the campaign file says so (P36).
    pub architecture: Option<String>,
    /// Kept findings that nobody has put to the test, the oldest first, at most 32.
    pub pending: Vec<FindingNumber>,
    /// All findings by what became of them.
    pub counts: FindingCounts,
    /// How many the last review kept; none before the first.
    pub last_review_kept: Option<u32>,
}

/// Findings by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingCounts {
    /// Kept, and not put to the test.
    pub pending: u32,
    /// A lever that rests on it was kept.
    pub helped: u32,
    /// It made no difference.
    pub no_effect: u32,
    /// It was worse, or crashed.
    pub hurt: u32,
    /// Out of its time (P36).
    pub stale: u32,
    /// Never kept (P34).
    pub rejected: u32,
}

/// Decided iterations by status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Kept.
    pub keep: u32,
    /// Discarded.
    pub discard: u32,
    /// Crashed.
    pub crash: u32,
}

/// A decided iteration in one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IterationSummary {
    /// Its number.
    pub iteration: IterationNumber,
    /// Its lever.
    pub lever: Option<LeverNumber>,
    /// Lever's title, or `baseline`.
    pub title: String,
    /// Keep, discard or crash.
    pub status: Status,
    /// As printed by the run.
    pub metric: Option<Decimal>,
    /// The finer reason.
    pub reason: String,
    /// When it was decided.
    pub wall_ms: i64,
    /// What follow-ups found since: the latest eight, oldest first (P22).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late: Vec<Late>,
}

/// What a follow-up found after the decision (P22).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Late {
    /// Relative to `results/`.
    pub output: TreePath,
    /// What it measures.
    pub dimension: String,
    /// Its first line.
    pub first_line: String,
}

/// A script that was added beside a plan (P22).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowUpView {
    /// On which iteration.
    pub iteration: IterationNumber,
    /// What it makes, relative to `results/`.
    pub output: TreePath,
    /// `running`, `waiting for a worker`, `waiting for the plan`, `given up`.
    pub stage: String,
    /// Why it was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The iteration that is being tested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenIteration {
    /// Its number.
    pub iteration: IterationNumber,
    /// Its lever.
    pub lever: Option<LeverNumber>,
    /// Lever's title, or `baseline`.
    pub title: String,
    /// `waiting for a device`, `running`, `analysing`, `waiting for a fix`, `concluding`.
    pub stage: String,
    /// The live attempt.
    pub attempt: Option<AttemptView>,
    /// What it waits for from a person, if it does (P19, P21, P23).
    #[serde(default)]
    pub wait: Option<WaitView>,
}

/// What an iteration can wait for from a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitFor {
    /// A fix of its failed run (P19).
    Fix,
    /// A repaired analysis script (P21).
    Script,
    /// A conclusion (P23).
    Conclusion,
}

impl WaitFor {
    /// As a sentence names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fix => "a fix",
            Self::Script => "a repaired script",
            Self::Conclusion => "a conclusion",
        }
    }
}

/// A wait for a person: until when, what becomes of the iteration then, and what helps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitView {
    /// For what.
    pub what: WaitFor,
    /// Until when, wall time.
    pub until_wall_ms: i64,
    /// What went wrong: an ending, or what is wrong with the analysis; empty for a conclusion.
    pub problem: String,
    /// What releases it, and what happens without.
    pub remedy: String,
    /// The last lines of the failed attempt's log, at most 50.
    pub log_tail: String,
}

/// A live attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptView {
    /// Which.
    pub attempt: AttemptId,
    /// Run or analysis.
    pub kind: AttemptKind,
    /// Where.
    pub worker: WorkerId,
    /// Its worker's name.
    pub worker_name: String,
    /// On what.
    pub devices: Vec<DeviceId>,
    /// `leased`, `preparing`, `running`, `collecting`.
    pub phase: String,
    /// Since its process started, milliseconds.
    pub elapsed_ms: u64,
    /// Its gate's budget, milliseconds.
    pub budget_ms: u64,
    /// Why it was placed there.
    pub why: String,
}

/// A lever in its queue, or out of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeverView {
    /// Its number.
    pub lever: LeverNumber,
    /// Its title.
    pub title: String,
    /// Its kind's word.
    pub lever_kind: String,
    /// Where it stands.
    pub state: LeverState,
    /// Times passed over (P9).
    pub passes: u32,
    /// When it was queued.
    pub queued_wall_ms: i64,
}

/// Where a lever stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum LeverState {
    /// In line.
    Queued,
    /// Standing still.
    Held {
        /// Why.
        reason: HoldReason,
    },
    /// Being tested.
    Pulled {
        /// By which iteration.
        iteration: IterationNumber,
    },
    /// Tested.
    Decided {
        /// By which iteration.
        iteration: IterationNumber,
        /// How.
        status: Status,
    },
    /// Gone without a test.
    Retired {
        /// Why.
        reason: RetireReason,
    },
}

/// How well something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Well.
    Ok,
    /// It works, and will trouble somebody.
    Warn,
    /// It does not work.
    Fail,
}

/// What `windlass doctor` found of one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was looked at, in a word or two.
    pub check: String,
    /// How well it is.
    pub level: Level,
    /// What was found.
    pub text: String,
    /// What to do, unless it is well.
    pub remedy: Option<String>,
}

impl Finding {
    /// It is well.
    pub fn ok(check: &str, text: String) -> Self {
        Self { check: check.to_owned(), level: Level::Ok, text, remedy: None }
    }

    /// It works, and will trouble somebody.
    pub fn warn(check: &str, text: String, remedy: &str) -> Self {
        Self { check: check.to_owned(), level: Level::Warn, text, remedy: Some(remedy.to_owned()) }
    }

    /// It does not work.
    pub fn fail(check: &str, text: String, remedy: &str) -> Self {
        Self { check: check.to_owned(), level: Level::Fail, text, remedy: Some(remedy.to_owned()) }
    }
}

/// Why something is as it is, sentence by sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// What is explained, as a heading: `iteration 3 of digits-0a1b2c (add momentum)`.
    pub subject: String,
    /// The answer, the most telling first.
    pub sentences: Vec<Sentence>,
}

/// One sentence of an explanation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sentence {
    /// The rule behind it.
    pub rule: Option<String>,
    /// The sentence.
    pub text: String,
    /// Its figures by name, as text with their units.
    #[serde(default)]
    pub figures: BTreeMap<String, String>,
}

/// A worker as the coordinator knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerView {
    /// What it says of itself.
    pub info: WorkerInfo,
    /// `ready`, `suspected`, `lost`, `drained`.
    pub state: String,
    /// Since its last word, milliseconds.
    pub silent_ms: u64,
    /// How busy its machine was at its last word.
    #[serde(default)]
    pub load: Load,
    /// Its devices.
    pub devices: Vec<Device>,
    /// Live attempts on it.
    pub attempts: Vec<AttemptId>,
}
