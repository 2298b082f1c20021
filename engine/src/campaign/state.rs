//! The durable state of one campaign.

use super::iteration::Iteration;
use super::lever::{LeverEntry, Past};
use crate::core::{Field, Table};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use windlass_shared::bindings::Bindings;
use windlass_shared::conclusion::Status;
use windlass_shared::decimal::Decimal;
use windlass_shared::digest::{Digest, Hash};
use windlass_shared::id::{CampaignId, FencingNumber, IterationNumber, LeverNumber};
use windlass_shared::view::{CampaignState, Counts, IterationSummary};

/// Decisions that are kept as one page shows them.
pub const RECENT_MAX: usize = 10;

/// The last kept iteration: its tree is the parent of the next lever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Best {
    /// Its number.
    pub iteration: IterationNumber,
    /// Its tree.
    pub tree: Digest,
    /// As one page shows it.
    pub summary: IterationSummary,
}

/// What stays in memory of every decided iteration: where its evidence is. Its texts are in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Decided {
    /// How it was decided.
    pub status: Status,
    /// The run attempt whose log is evidence.
    pub run: Option<u32>,
    /// The results tree of its last attempt.
    pub results: Option<Digest>,
}

impl Field for Decided {
    fn put(&self, out: &mut Vec<u8>) {
        self.status.put(out);
        self.run.put(out);
        self.results.put(out);
    }
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        Some(Self { status: Field::take(bytes)?, run: Field::take(bytes)?, results: Field::take(bytes)? })
    }
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

impl Field for AttemptMark {
    fn put(&self, out: &mut Vec<u8>) {
        let state: u8 = match self.state {
            MarkState::Live => 0,
            MarkState::Ended => 1,
            MarkState::Lost => 2,
            MarkState::Superseded => 3,
        };
        state.put(out);
        self.fence.put(out);
    }
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        let state = match u8::take(bytes)? {
            0 => MarkState::Live,
            1 => MarkState::Ended,
            2 => MarkState::Lost,
            3 => MarkState::Superseded,
            _ => return None,
        };
        Some(Self { fence: Field::take(bytes)?, state })
    }
}

/// One campaign. What grows with every iteration stands in tables of small rows.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
    /// Levers in line, set aside, or being tested.
    pub levers: BTreeMap<LeverNumber, LeverEntry>,
    /// Levers that were decided or retired.
    pub past_levers: Table<LeverNumber, Past>,
    /// Levers in line, in order.
    pub queue: Vec<LeverNumber>,
    /// Normalised diffs in line (P10).
    pub queued_diffs: BTreeMap<Hash, LeverNumber>,
    /// Decided iterations.
    pub decided: Table<IterationNumber, Decided>,
    /// The latest decisions, oldest first, at most [`RECENT_MAX`].
    pub recent: VecDeque<IterationSummary>,
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
    /// The latest iteration whose analysis is there: the default evidence of an anchor (P6).
    pub latest_analysed: Option<IterationNumber>,
    /// Dimensions that an accepted deliverable measured (P13).
    pub measured: BTreeSet<String>,
    /// Results trees of analysed iterations, in order (`WINDLASS_HISTORY`).
    pub history: Vec<(IterationNumber, Digest)>,
    /// Decided diffs, and the hashes of decided trees (P10).
    #[serde(serialize_with = "crate::core::packed::map", deserialize_with = "crate::core::packed::read_map")]
    pub tried: BTreeMap<Hash, IterationNumber>,
    /// Every attempt ever leased: a worker may come back with one at any time (I15).
    pub attempts: Table<(IterationNumber, u32), AttemptMark>,
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
            past_levers: Table::default(),
            queue: Vec::new(),
            queued_diffs: BTreeMap::new(),
            decided: Table::default(),
            recent: VecDeque::new(),
            open: None,
            last_opened: None,
            best: None,
            record: None,
            baseline_metric: None,
            latest_analysed: None,
            measured: BTreeSet::new(),
            history: Vec::new(),
            tried: BTreeMap::new(),
            attempts: Table::default(),
            held_in_a_row: 0,
            counts: Counts::default(),
            gpu_ms: 0,
        }
    }

    /// The tree that the next lever builds on: the best's, or the workspace before there is one.
    pub fn parent_tree(&self) -> Digest {
        self.best.as_ref().map_or(self.tree, |best| best.tree)
    }

    /// The title of a lever that may still be pulled or is being tested; without a lever, the baseline's.
    pub fn title(&self, lever: Option<LeverNumber>) -> &str {
        let entry = lever.and_then(|lever| self.levers.get(&lever));
        entry.map_or("baseline", |entry| entry.document.title.as_str())
    }

    /// Whether it has ended for good.
    pub fn is_stopped(&self) -> bool {
        matches!(self.state, CampaignState::Stopped { .. })
    }

    /// The number of the next lever.
    pub fn next_lever(&self) -> LeverNumber {
        let last = self.levers.last_key_value().map(|(number, _)| *number);
        let last_past = self.past_levers.last().map(|(number, _)| *number);
        LeverNumber(last.max(last_past).map_or(1, |number| number.0 + 1))
    }
}
