//! The durable state of one campaign.

use super::iteration::Iteration;
use super::lever::LeverEntry;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use windlass_shared::bindings::Bindings;
use windlass_shared::conclusion::Status;
use windlass_shared::decimal::Decimal;
use windlass_shared::digest::{Digest, Hash};
use windlass_shared::id::{CampaignId, FencingNumber, IterationNumber, LeverNumber};
use windlass_shared::view::{CampaignState, Counts};

/// The last kept iteration: its tree is the parent of the next lever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Best {
    /// Its number.
    pub iteration: IterationNumber,
    /// Its tree.
    pub tree: Digest,
}

/// What stays in memory of a decided iteration; its texts are in the ledger.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Its lever.
    pub lever: Option<LeverNumber>,
    /// How it was decided.
    pub status: Status,
    /// Its metric.
    pub metric: Option<Decimal>,
    /// The finer reason.
    pub reason: String,
    /// When, wall time.
    pub wall_ms: i64,
    /// Its evidence: the results tree of its last attempt.
    pub results: Option<Digest>,
    /// The run attempt whose log is evidence.
    pub run: Option<u32>,
}

/// What the ledger knows of one attempt, also after its iteration is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AttemptMark {
    /// Its lease.
    pub fence: FencingNumber,
    /// Where it stands.
    pub state: MarkState,
}

/// See [`AttemptMark`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum MarkState {
    /// It holds its lease.
    Live,
    /// It ended, by its worker's word.
    Ended,
    /// Its worker fell silent; a late report is refused and recorded.
    Lost,
    /// That late report came.
    Superseded,
}

/// One campaign.
#[derive(Clone, Debug, Serialize)]
pub struct Campaign {
    /// Its id.
    pub id: CampaignId,
    /// For listings.
    pub name: String,
    /// When it was created, wall time.
    pub created_wall_ms: i64,
    /// Its bindings.
    pub bindings: Box<Bindings>,
    /// The workspace (P2).
    pub tree: Digest,
    /// Whether it moves.
    pub state: CampaignState,
    /// Every lever ever queued.
    pub levers: BTreeMap<LeverNumber, LeverEntry>,
    /// Levers in line, in order.
    pub queue: Vec<LeverNumber>,
    /// Normalised diffs in line (P10).
    pub queued_diffs: BTreeMap<Hash, LeverNumber>,
    /// Decided iterations.
    pub decided: BTreeMap<IterationNumber, Summary>,
    /// The open iteration: one lane, one lever (P5, I12).
    pub open: Option<Iteration>,
    /// The number of the last opened iteration.
    pub last_opened: Option<IterationNumber>,
    /// The last kept iteration.
    pub best: Option<Best>,
    /// The best metric ever kept.
    pub record: Option<Decimal>,
    /// The baseline's metric, for the default of `min_gain` (P26).
    pub baseline_metric: Option<Decimal>,
    /// The model of the devices that the baseline was measured on; time-gated runs are held to it.
    pub baseline_device_model: Option<String>,
    /// The latest iteration whose analysis is there: the default evidence of an anchor (P6).
    pub latest_analysed: Option<IterationNumber>,
    /// Dimensions that an accepted deliverable measured (P13).
    pub measured: BTreeSet<String>,
    /// Results trees of analysed iterations, in order (`WINDLASS_HISTORY`).
    pub history: Vec<(IterationNumber, Digest)>,
    /// Decided diffs and trees (P10).
    pub tried_diffs: BTreeMap<Hash, IterationNumber>,
    /// See `tried_diffs`.
    pub tried_trees: BTreeMap<Digest, IterationNumber>,
    /// Every attempt ever leased.
    #[serde(serialize_with = "crate::core::canonical::entries")]
    pub attempts: BTreeMap<(IterationNumber, u32), AttemptMark>,
    /// Levers in a row that were set aside because the machinery failed (P20).
    pub held_in_a_row: u32,
    /// Decided iterations by status.
    pub counts: Counts,
    /// Device time of ended attempts, milliseconds × GPUs.
    pub gpu_ms: u64,
}

impl Campaign {
    /// A campaign at its creation.
    pub fn new(id: CampaignId, name: String, bindings: Box<Bindings>, tree: Digest, wall_ms: i64) -> Self {
        Self {
            id,
            name,
            created_wall_ms: wall_ms,
            bindings,
            tree,
            state: CampaignState::Active,
            levers: BTreeMap::new(),
            queue: Vec::new(),
            queued_diffs: BTreeMap::new(),
            decided: BTreeMap::new(),
            open: None,
            last_opened: None,
            best: None,
            record: None,
            baseline_metric: None,
            baseline_device_model: None,
            latest_analysed: None,
            measured: BTreeSet::new(),
            history: Vec::new(),
            tried_diffs: BTreeMap::new(),
            tried_trees: BTreeMap::new(),
            attempts: BTreeMap::new(),
            held_in_a_row: 0,
            counts: Counts::default(),
            gpu_ms: 0,
        }
    }

    /// The tree that the next lever builds on: the best's, or the workspace before there is one.
    pub fn parent_tree(&self) -> Digest {
        self.best.as_ref().map_or(self.tree, |best| best.tree)
    }

    /// Whether it has ended for good.
    pub fn is_stopped(&self) -> bool {
        matches!(self.state, CampaignState::Stopped { .. })
    }

    /// The number of the next lever.
    pub fn next_lever(&self) -> LeverNumber {
        LeverNumber(self.levers.last_key_value().map_or(1, |(number, _)| number.0 + 1))
    }
}
