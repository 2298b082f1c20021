//! The ledger's records: what happened, in the past tense. Everything else is projected from them.

mod kinds;
mod reason;
mod refused;
mod request;

pub use reason::{Arithmetic, Clash, HoldReason, Noise, PauseReason, RetireReason, StopReason};
pub use refused::RefusedLever;
pub use request::{Answer, Request};

use crate::access::Shared;
use crate::attempt::{Kind as AttemptKind, Order, Outcome};
use crate::bindings::{Bindings, EpochCap};
use crate::conclusion::{Conclusion, Status};
use crate::digest::{Digest, Hash};
use crate::git::GitRoot;
use crate::id::{
    AttemptId, CampaignId, DeviceId, FencingNumber, FindingNumber, Incarnation, IterationNumber, LeverNumber,
    WorkerId,
};
use crate::lever::{Change, CitedRow, Lever, Pin};
use crate::literature::{Effect, Finding, Scope, Verdict};
use crate::path::TreePath;
use crate::plan::Deliverable;
use crate::quota::Quota;
use crate::reference::Evidence;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One row of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// 1, 2, 3 … without a gap.
    pub seq: u64,
    /// When it was decided, wall time.
    pub wall_ms: i64,
    /// The campaign it belongs to, if it belongs to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign: Option<CampaignId>,
    /// The client's request that it answers (I4). Only the first record of an answer carries it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Request>,
    /// What happened.
    pub body: Body,
}

/// What happened. A new kind is a new variant; a ledger with an unknown one is not opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Body {
    /// A coordinator started on this ledger (I15).
    IncarnationStarted {
        /// Drawn at random.
        incarnation: Incarnation,
        /// Its version.
        version: String,
        /// The half-life of what campaigns had of the fleet, milliseconds; a day where none is set.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        half_life_ms: Option<u64>,
    },
    /// A campaign was created: its workspace is a tree now (P2).
    CampaignCreated {
        /// For listings.
        name: String,
        /// The resolved bindings.
        bindings: Box<Bindings>,
        /// The workspace; under the epoch gate with its cap set (P17).
        tree: Digest,
        /// Under the epoch gate: where the cap stands, and the workspace as it was submitted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cap: Option<EpochCap>,
        /// With `iter_strategy: branches`: what its commits grow from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        git: Option<Box<GitRoot>>,
        /// The client whose it is; none: the coordinator's administrators'.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owner: Option<String>,
    },
    /// A ledger that was made elsewhere was brought in: a finished campaign, whose decisions follow.
    LedgerImported {
        /// For listings.
        name: String,
        /// The metric and its direction; nothing is run.
        bindings: Box<Bindings>,
        /// The header of the file, in its order.
        columns: Vec<String>,
        /// The file that it came from, for people.
        source: String,
        /// The client whose it is; none: the coordinator's administrators'.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owner: Option<String>,
    },
    /// A campaign was paused.
    CampaignPaused {
        /// Why.
        reason: PauseReason,
    },
    /// A campaign goes on.
    CampaignResumed {},
    /// A campaign has ended for good.
    CampaignStopped {
        /// Why.
        reason: StopReason,
    },
    /// A campaign's priority, weight or name was changed, or with whom it is shared.
    CampaignUpdated {
        /// The new priority: higher is served first.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        priority: Option<i32>,
        /// The new weight among campaigns of its priority.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        weight: Option<u32>,
        /// The new name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// With whom it is shared now, and how far.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shared: Option<Shared>,
    },
    /// A lever passed its gates and stands in line.
    LeverQueued {
        /// Its number.
        lever: LeverNumber,
        /// What was proposed.
        document: Box<Lever>,
        /// The tree it was written against.
        base: Digest,
        /// That tree with its change.
        changed: Digest,
        /// Where its anchor was found, if anything was analysed by then (P6).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pin: Option<Pin>,
        /// The hash of its normalised diff (P10).
        diff: Hash,
        /// What the rows that it cites said (P24).
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        cited: Vec<CitedRow>,
    },
    /// A proposal was refused by rules; nothing else changed. Bounded: see [`RefusedLever::BETWEEN_MAX`].
    LeverRefused {
        /// What was proposed, and what spoke against it.
        proposal: Box<RefusedLever>,
    },
    /// A lever's turn came and its evidence was missing (P9).
    LeverPassed {
        /// Which.
        lever: LeverNumber,
        /// 1, 2, 3 …
        passes: u32,
        /// What was missing.
        missing: String,
    },
    /// A lever stands still until its researcher helps.
    LeverHeld {
        /// Which.
        lever: LeverNumber,
        /// Why.
        reason: HoldReason,
    },
    /// A lever left the queue.
    LeverRetired {
        /// Which.
        lever: LeverNumber,
        /// Why.
        reason: RetireReason,
    },
    /// A lever stands elsewhere in line; its passes are what they were (P9).
    LeverMoved {
        /// Which.
        lever: LeverNumber,
        /// The lever that it stands before now; the end of the line without one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<LeverNumber>,
    },
    /// A lever that was set aside, taken back or never judged stands at the end of the line again, its
    /// gates asked anew (P6, P10); one that was superseded stands at its front (P39).
    LeverRequeued {
        /// Which.
        lever: LeverNumber,
        /// Where its anchor was found now, if anything was analysed by then (P6).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pin: Option<Pin>,
        /// The iteration of another lane that superseded it: it is exempt from P10 (P39).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        superseded_by: Option<IterationNumber>,
    },
    /// A lever was pulled (or the baseline, for iteration 1), with its plan (P14).
    IterationOpened {
        /// Its number.
        iteration: IterationNumber,
        /// The lever; none for the baseline.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lever: Option<LeverNumber>,
        /// The best it builds on; none for the baseline.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<IterationNumber>,
        /// The tree that is run.
        tree: Digest,
        /// The anchor as re-validated (P7).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pin: Option<Pin>,
        /// The analysis plan.
        plan: Vec<Deliverable>,
        /// Net lines of editable files against the parent (P26).
        net_lines: i64,
        /// The hash of its normalised diff against the parent (P10).
        diff: Hash,
    },
    /// The owner ends the open iteration: its live attempt is stopped, then it is decided.
    IterationCancelled {
        /// Its number.
        iteration: IterationNumber,
    },
    /// An attempt was given devices.
    AttemptLeased {
        /// All that its worker needs.
        order: Box<Order>,
        /// Where.
        worker: WorkerId,
        /// The worker's name, for people.
        worker_name: String,
        /// Why there.
        why: String,
    },
    /// An attempt is over.
    AttemptEnded {
        /// Which.
        attempt: AttemptId,
        /// Under which lease.
        fence: FencingNumber,
        /// Its kind.
        attempt_kind: AttemptKind,
        /// Where.
        worker: WorkerId,
        /// On what.
        devices: Vec<DeviceId>,
        /// What came of it.
        outcome: Box<Outcome>,
    },
    /// A report came for a lease that had passed on; it changed nothing (I5).
    ReportSuperseded {
        /// Which attempt.
        attempt: AttemptId,
        /// The stale number.
        fence: FencingNumber,
        /// From whom.
        worker: WorkerId,
        /// What it said.
        ending: String,
    },
    /// A fix was put on top of the lever's change (P19).
    FixApplied {
        /// The iteration.
        iteration: IterationNumber,
        /// Index among the lever's carried fixes; a researcher's own stands behind those.
        fix: u32,
        /// The tree that is run now.
        tree: Digest,
        /// Net lines against the parent, the fix included.
        net_lines: i64,
        /// The change itself, where a researcher sent it: a carried one is in its lever.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        change: Option<Change>,
    },
    /// A deliverable was added to an iteration's plan: in the place of one whose script failed (P21), or as a
    /// follow-up (P22).
    DeliverableAdded {
        /// The iteration.
        iteration: IterationNumber,
        /// The row.
        deliverable: Deliverable,
    },
    /// A deliverable is there and non-empty (P21).
    DeliverableAccepted {
        /// The iteration.
        iteration: IterationNumber,
        /// Relative to `results/`.
        output: TreePath,
        /// What it measures.
        dimension: String,
        /// Its content.
        digest: Digest,
        /// Its first line.
        first_line: String,
    },
    /// What the iteration taught (P23).
    ConclusionWritten {
        /// The iteration.
        iteration: IterationNumber,
        /// The text.
        conclusion: Conclusion,
    },
    /// The decision: once, and final (P25, I1). One row of `results.tsv` (P29).
    IterationDecided {
        /// The iteration.
        iteration: IterationNumber,
        /// Keep, discard or crash.
        status: Status,
        /// The finer reason: `better`, `not better`, `not worth its lines`, `unanalysed`, an ending.
        reason: String,
        /// The sum.
        arithmetic: Arithmetic,
        /// The best after it.
        best: Option<IterationNumber>,
        /// The column `analysis_summary`.
        summary: String,
        /// The column `description`.
        description: String,
        /// Other columns of an imported ledger, by name.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        notes: BTreeMap<String, String>,
    },
    /// A review of the literature came in; its findings follow (P33).
    ReviewRecorded {
        /// The iteration that it was made for, by its own word.
        review: IterationNumber,
        /// Its depth.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        research_scale: Option<String>,
        /// What it set out to answer.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        questions: Vec<String>,
        /// What it comes to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        summary: Option<String>,
        /// Findings that may be built on.
        kept: u32,
        /// Findings that are on record only.
        rejected: u32,
    },
    /// A finding stands in the corpus, kept or rejected (P34).
    FindingRecorded {
        /// Its number.
        finding: FindingNumber,
        /// The iteration that its review was made for.
        review: IterationNumber,
        /// As it was handed over.
        document: Box<Finding>,
        /// What it holds for (P36).
        scope: Scope,
        /// Whether a lever may cite it.
        verdict: Verdict,
        /// Why not; empty for a kept one.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        reasons: Vec<String>,
    },
    /// A finding was put to the test (P37), or went stale (P36).
    FindingMarked {
        /// Which.
        finding: FindingNumber,
        /// What became of it.
        result: Effect,
        /// The iteration that tested it; none where it went stale.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        iteration: Option<IterationNumber>,
        /// Why, as a sentence's end.
        why: String,
    },
    /// A worker takes nothing new.
    WorkerDrained {
        /// Which.
        worker: WorkerId,
        /// Why.
        reason: String,
    },
    /// A worker takes work again.
    WorkerUndrained {
        /// Which.
        worker: WorkerId,
    },
    /// Evidence of a decided iteration was removed because its time was over; the digests that records
    /// name stay in the ledger.
    EvidenceRemoved {
        /// The iteration.
        iteration: IterationNumber,
        /// Which part of its evidence.
        evidence: Evidence,
        /// How much that was.
        bytes: u64,
        /// Which retention asked for it, as a sentence's end: `outputs are kept for 30 d`.
        why: String,
    },
    /// The owner lifts the quarantine of a device; its worker looks again (I9).
    DeviceReleased {
        /// Whose device.
        worker: WorkerId,
        /// Which.
        device: DeviceId,
    },
    /// An administrator bounds what an owner may have of the fleet, or lifts that.
    QuotaSet {
        /// The client.
        owner: String,
        /// The bound; none: lifted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        quota: Option<Quota>,
    },
    /// A request asked for what was so already: nothing happened but that its key is used (I4).
    RequestAnswered {},
}
