//! The durable state of one campaign.

use super::iteration::{Iteration, Live};
use super::lever::{LeverEntry, Past};
use super::moves::Moves;
use super::refused::Refusals;
use super::step::{CANCELLED, UNANALYSED};
use crate::core::{Field, Table};
use crate::literature::Literature;
use crate::share::Share;
use crate::usage::Usage;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use windlass_shared::access::{Grant, Viewer};
use windlass_shared::bindings::{Bindings, EpochCap};
use windlass_shared::conclusion::Status;
use windlass_shared::decimal::Decimal;
use windlass_shared::digest::{Digest, Hash};
use windlass_shared::foreign::Foreign;
use windlass_shared::id::{CampaignId, FencingNumber, IterationNumber, LeverNumber, RequestId};
use windlass_shared::record::StopReason;
use windlass_shared::view::{CampaignState, Counts, IterationSummary, LeverState};

/// Decisions that are kept as one page shows them.
pub const RECENT_MAX: usize = 10;

/// Levers that are kept whole because they may be put in line again: retired ones and those whose analysis never
/// came. An older one is proposed anew.
pub const RETRIABLE_MAX: usize = 256;

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
    /// Why, as far as anything later rests on it.
    pub reason: Reason,
    /// The run attempt whose log is evidence.
    pub run: Option<u32>,
    /// The results tree of its last attempt.
    pub results: Option<Digest>,
}

impl Field for Decided {
    fn put(&self, out: &mut Vec<u8>) {
        self.status.put(out);
        self.reason.put(out);
        self.run.put(out);
        self.results.put(out);
    }
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        Some(Self {
            status: Field::take(bytes)?,
            reason: Field::take(bytes)?,
            run: Field::take(bytes)?,
            results: Field::take(bytes)?,
        })
    }
}

/// A decision's reason in one byte; its words are in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Reason {
    /// Its metric, or that there was none.
    Judged,
    /// Its analysis never came (P21).
    Unanalysed,
    /// Its owner ended it.
    Cancelled,
}

impl Reason {
    pub(super) fn of(words: &str) -> Self {
        match words {
            UNANALYSED => Self::Unanalysed,
            CANCELLED => Self::Cancelled,
            _ => Self::Judged,
        }
    }
}

impl Field for Reason {
    fn put(&self, out: &mut Vec<u8>) {
        let code: u8 = match self {
            Self::Judged => 0,
            Self::Unanalysed => 1,
            Self::Cancelled => 2,
        };
        code.put(out);
    }
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        match u8::take(bytes)? {
            0 => Some(Self::Judged),
            1 => Some(Self::Unanalysed),
            2 => Some(Self::Cancelled),
            _ => None,
        }
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
    /// The client whose it is; none: the administrators'.
    pub owner: Option<String>,
    /// With whom it is shared, and how far.
    pub shares: BTreeMap<String, Grant>,
    /// Its bindings.
    pub bindings: Box<Bindings>,
    /// The workspace (P2), its epoch cap set (P17).
    pub tree: Digest,
    /// Under the epoch gate: where the cap stands.
    pub cap: Option<EpochCap>,
    /// Whether it moves.
    pub state: CampaignState,
    /// Levers in line, held, being tested, or kept to be put in line again.
    pub levers: BTreeMap<LeverNumber, LeverEntry>,
    /// The last of these, longest kept first, at most [`RETRIABLE_MAX`].
    pub retriable: VecDeque<LeverNumber>,
    /// Every other lever: where it stands and no more.
    pub past_levers: Table<LeverNumber, Past>,
    /// Levers in line, in order.
    pub queue: Vec<LeverNumber>,
    /// Normalised diffs in line (P10).
    pub queued_diffs: BTreeMap<Hash, LeverNumber>,
    /// Decided iterations.
    pub decided: Table<IterationNumber, Decided>,
    /// The latest decisions, oldest first, at most [`RECENT_MAX`].
    pub recent: VecDeque<IterationSummary>,
    /// The open iterations, at most one in each lane and one lever in each (P5, P39, I12).
    pub open: BTreeMap<IterationNumber, Iteration>,
    /// Decided iterations that may be followed up on: the best, the latest, and those whose follow-ups are not
    /// carried out yet (P22).
    pub settled: BTreeMap<IterationNumber, Iteration>,
    /// The number of the last opened iteration.
    pub last_opened: Option<IterationNumber>,
    /// The last kept iteration.
    pub best: Option<Best>,
    /// The best metric ever kept.
    pub record: Option<Decimal>,
    /// The baseline's metric, for the default of `min_gain` (P26).
    pub baseline_metric: Option<Decimal>,
    /// How long the baseline's run took, milliseconds, for the safety limit of the others (P17).
    pub baseline_ms: Option<u64>,
    /// The noise floor: how the baseline's replicates scatter, where there were two (P27).
    pub floor: Option<Decimal>,
    /// The model of the devices that the baseline was measured on; time-gated runs are held to it.
    pub baseline_device_model: Option<String>,
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
    /// Moves pulled so far (P11).
    pub moves: Moves,
    /// Proposals that were refused.
    pub refusals: Refusals,
    /// What stands in its corpus (P33 to P37).
    pub literature: Literature,
    /// Levers in a row that were set aside because the machinery failed (P20).
    pub held_in_a_row: u32,
    /// Decided iterations by status.
    pub counts: Counts,
    /// Device time of ended attempts, milliseconds × GPUs.
    pub gpu_ms: u64,
    /// Its part of the fleet, as against the others'.
    pub share: Share,
    /// What it had of the fleet, by what came of it.
    pub usage: Usage,
    /// The request that created it.
    pub request: Option<RequestId>,
}

impl Campaign {
    /// A campaign at its creation.
    pub fn new(id: CampaignId, name: String, bindings: Box<Bindings>, tree: Digest, wall_ms: i64) -> Self {
        let literature = Literature::on(bindings.windlass.architecture.clone());
        Self {
            literature,
            id,
            name,
            created_wall_ms: wall_ms,
            owner: None,
            shares: BTreeMap::new(),
            bindings,
            tree,
            cap: None,
            state: CampaignState::Active,
            levers: BTreeMap::new(),
            retriable: VecDeque::new(),
            past_levers: Table::default(),
            queue: Vec::new(),
            queued_diffs: BTreeMap::new(),
            decided: Table::default(),
            recent: VecDeque::new(),
            open: BTreeMap::new(),
            settled: BTreeMap::new(),
            last_opened: None,
            best: None,
            record: None,
            baseline_metric: None,
            baseline_ms: None,
            floor: None,
            baseline_device_model: None,
            latest_analysed: None,
            measured: BTreeSet::new(),
            history: Vec::new(),
            tried: BTreeMap::new(),
            attempts: Table::default(),
            moves: Moves::default(),
            refusals: Refusals::default(),
            held_in_a_row: 0,
            counts: Counts::default(),
            gpu_ms: 0,
            share: Share::default(),
            usage: Usage::default(),
            request: None,
        }
    }

    /// A campaign that was finished elsewhere: it has no files and takes nothing.
    pub fn imported(
        (id, name, bindings): (CampaignId, String, Box<Bindings>),
        source: String,
        wall_ms: i64,
    ) -> Self {
        let state = CampaignState::Stopped { reason: StopReason::Imported { source } };
        Self { state, ..Self::new(id, name, bindings, Foreign::tree(), wall_ms) }
    }

    /// How far it is this one's.
    pub fn grant_of(&self, viewer: &Viewer) -> Option<Grant> {
        match viewer {
            Viewer::Admin => Some(Grant::Own),
            Viewer::Client(name) if self.owner.as_ref() == Some(name) => Some(Grant::Own),
            Viewer::Client(name) => self.shares.get(name).copied(),
            Viewer::Worker(..) => None,
        }
    }

    /// Whether it was finished elsewhere.
    pub fn is_imported(&self) -> bool {
        matches!(self.state, CampaignState::Stopped { reason: StopReason::Imported { .. } })
    }

    /// The tree that the next lever builds on: the best's, or the workspace before there is one.
    pub fn parent_tree(&self) -> Digest {
        self.best.as_ref().map_or(self.tree, |best| best.tree)
    }

    /// How many iterations may be open at once: one while there is no best to build on (P1, P39).
    pub fn lanes(&self) -> usize {
        if self.best.is_none() { 1 } else { self.bindings.windlass.lanes as usize }
    }

    /// Its live attempts.
    pub fn live(&self) -> impl Iterator<Item = &Live> {
        self.open.values().chain(self.settled.values()).filter_map(|open| open.live.as_ref())
    }

    /// Dimensions that open iterations are about to measure (P13, P39).
    pub fn reserved(&self) -> BTreeSet<&str> {
        self.open.values().flat_map(|open| &open.plan).map(|row| row.dimension.as_str()).collect()
    }

    /// Where a lever stands that is over, whether it is still kept whole or not.
    pub fn past(&self, lever: LeverNumber) -> Option<Past> {
        let kept = self.levers.get(&lever).map(|entry| &entry.state);
        match kept {
            Some(state @ (LeverState::Decided { .. } | LeverState::Retired { .. })) => Some(Past::of(state)),
            Some(_) => None,
            None => self.past_levers.get(&lever).copied(),
        }
    }

    /// The words of a decision's reason, where they are still at hand; the ledger has them all.
    pub fn reason_of(&self, iteration: IterationNumber) -> Option<&str> {
        let best = self.best.as_ref().map(|best| &best.summary);
        let shown = self.recent.iter().chain(best).find(|summary| summary.iteration == iteration);
        match (shown, self.decided.get(&iteration)?.reason) {
            (Some(summary), _) => Some(&summary.reason),
            (None, Reason::Unanalysed) => Some(UNANALYSED),
            (None, Reason::Cancelled) => Some(CANCELLED),
            (None, Reason::Judged) => None,
        }
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
