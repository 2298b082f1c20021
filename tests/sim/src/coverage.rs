//! Which fault hit while which record was on its way to the disk, or had just arrived there.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use windlass_shared::record::Body;

/// Every fault that is injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A message never arrives.
    MessageLost,
    /// A message arrives twice.
    MessageDoubled,
    /// A message arrives much later, behind younger ones.
    MessageDelayed,
    /// A machine's network is cut, both ways or one way.
    Partition,
    /// A connection breaks.
    Disconnected,
    /// The worker daemon is killed; its shims live on.
    DaemonKilled,
    /// The worker daemon is stopped for longer than its lease, then goes on with its old messages.
    DaemonPaused,
    /// A shim is killed with its tree.
    ShimKilled,
    /// A machine loses power, and comes back late or never.
    MachineDied,
    /// A machine comes back with an empty disk, as another worker.
    MachineReimaged,
    /// Facts cannot be gathered.
    GatherFailed,
    /// The wall clock jumps.
    ClockJumped,
    /// The coordinator is killed with records applied but not committed.
    CrashBeforeCommit,
    /// The coordinator is killed when records are committed and nothing has been answered.
    CrashAfterCommit,
    /// The coordinator is started on an older copy of its ledger.
    LedgerRestored,
}

/// All of them.
pub const FAULTS: [Fault; 15] = [
    Fault::MessageLost,
    Fault::MessageDoubled,
    Fault::MessageDelayed,
    Fault::Partition,
    Fault::Disconnected,
    Fault::DaemonKilled,
    Fault::DaemonPaused,
    Fault::ShimKilled,
    Fault::MachineDied,
    Fault::MachineReimaged,
    Fault::GatherFailed,
    Fault::ClockJumped,
    Fault::CrashBeforeCommit,
    Fault::CrashAfterCommit,
    Fault::LedgerRestored,
];

/// Pairs that cannot meet, each with its reason.
pub const INFEASIBLE: [(Fault, &str, &str); 0] = [];

/// Kinds that no client of a history asks for. An import is one batch that begins and ends a campaign: nothing
/// of it is ever under way, and tests/cluster kills the coordinator before and after its commit.
pub const UNASKED: [&str; 1] = ["ledger_imported"];

/// A record has just been committed for this long.
const YOUNG_MS: u64 = 5_000;

/// How often each pair met.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    young: VecDeque<(u64, &'static str)>,
    counts: BTreeMap<(Fault, &'static str), u64>,
    records: BTreeMap<&'static str, u64>,
    sights: BTreeMap<&'static str, u64>,
}

/// Turns of the protocol that every run of many seeds must have taken.
pub const SIGHTS: [&str; 6] = [
    "two lanes are busy",
    "a sibling is superseded",
    "a sibling is kept instead of the best",
    "a superseded lever is decided anew",
    "a decided iteration is followed up on",
    "a late finding is recorded",
];

impl Coverage {
    /// A fault hit beside a record.
    pub(crate) fn hit(&mut self, fault: Fault, kind: &'static str) {
        *self.counts.entry((fault, kind)).or_default() += 1;
    }

    /// A fault hit at a moment, beside these uncommitted records and the young ones.
    pub(crate) fn hit_beside(&mut self, fault: Fault, now_ms: u64, uncommitted: &[&'static str]) {
        while self.young.front().is_some_and(|(at_ms, _)| at_ms + YOUNG_MS < now_ms) {
            self.young.pop_front();
        }
        let young = self.young.iter().map(|(_, kind)| *kind);
        let kinds: BTreeSet<&'static str> = young.chain(uncommitted.iter().copied()).collect();
        for kind in kinds {
            self.hit(fault, kind);
        }
    }

    /// A record was committed.
    pub(crate) fn committed(&mut self, now_ms: u64, kind: &'static str) {
        self.young.push_back((now_ms, kind));
        *self.records.entry(kind).or_default() += 1;
    }

    /// Takes in what another seed saw.
    pub fn merge(&mut self, other: &Self) {
        for (pair, count) in &other.counts {
            *self.counts.entry(*pair).or_default() += count;
        }
        for (sight, count) in &other.sights {
            *self.sights.entry(sight).or_default() += count;
        }
        for (kind, count) in &other.records {
            *self.records.entry(kind).or_default() += count;
        }
    }

    /// One of [`SIGHTS`] was seen.
    pub(crate) fn saw(&mut self, sight: &'static str) {
        *self.sights.entry(sight).or_default() += 1;
    }

    /// How often it was seen.
    pub fn sights(&self, sight: &str) -> u64 {
        self.sights.get(sight).copied().unwrap_or(0)
    }

    /// How often a record of this kind was committed.
    pub fn records(&self, kind: &str) -> u64 {
        self.records.get(kind).copied().unwrap_or(0)
    }

    /// How often a fault hit beside a record of this kind.
    pub fn count(&self, fault: Fault, kind: &'static str) -> u64 {
        self.counts.get(&(fault, kind)).copied().unwrap_or(0)
    }

    /// Feasible pairs that met less often than this.
    pub fn rarer_than(&self, times: u64) -> Vec<(Fault, &'static str)> {
        let infeasible = |fault, kind| INFEASIBLE.iter().any(|(f, k, _)| *f == fault && *k == kind);
        let kinds = || Body::KINDS.into_iter().filter(|kind| !UNASKED.contains(kind));
        let pairs = FAULTS.iter().flat_map(|fault| kinds().map(|kind| (*fault, kind)));
        pairs.filter(|(fault, kind)| !infeasible(*fault, *kind) && self.count(*fault, kind) < times).collect()
    }
}
