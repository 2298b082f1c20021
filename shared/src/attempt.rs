//! One execution on one worker: what is ordered, how it is going, how it ended.

use crate::bindings::MetricLine;
use crate::decimal::Decimal;
use crate::digest::{Digest, Hash};
use crate::id::{AttemptId, DeviceId, FencingNumber, IterationNumber, RequestId};
use crate::machine::{Cache, Containment, Data, Flag, Isolation, Limits, Setup};
use crate::path::TreePath;
use crate::plan::Script;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// An attempt and the number that fences it (I5).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptKey {
    /// Which attempt.
    pub id: AttemptId,
    /// Under which lease.
    pub fence: FencingNumber,
}

impl fmt::Display for AttemptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.id, self.fence)
    }
}

/// What is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The entrypoint.
    Run,
    /// The analysis scripts.
    Analysis,
    /// The scorer, on what a run made.
    Score,
}

/// How the metric is read from the log (P18).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricSpec {
    /// The name before the colon.
    pub name: String,
    /// Which line counts.
    pub line: MetricLine,
    /// Lowest and highest plausible value.
    pub range: Option<(Decimal, Decimal)>,
}

/// One script of an analysis attempt, or a builtin of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptOrder {
    /// What is run.
    pub script: Script,
    /// What it becomes, relative to `results/`.
    pub output: TreePath,
}

/// All that a worker needs to carry out one attempt; it leaves the worker no choices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Attempt and fence.
    pub key: AttemptKey,
    /// Run or analysis.
    pub kind: Kind,
    /// The tree to lay out: the digest of its manifest.
    pub tree: Digest,
    /// Trees that differ little from it. A worker that has the manifest of one is sent what differs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub near: Vec<Digest>,
    /// The devices leased, on this worker.
    pub devices: Vec<DeviceId>,
    /// Logical CPUs to bind it to beside its GPUs; none: its devices' share of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u32>,
    /// Host memory that its lease sets aside, bytes; 0 for none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub memory_bytes: u64,
    /// For a run: the command, by `sh -c`.
    pub command: String,
    /// SIGTERM at this many milliseconds; the tree is killed at `hard_limit_ms` (P16).
    pub soft_limit_ms: u64,
    /// See `soft_limit_ms`.
    pub hard_limit_ms: u64,
    /// With `overrun: measure`: a metric printed within so many milliseconds counts although the run passed
    /// its soft limit, if it then ends by itself (P16).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measure_until_ms: Option<u64>,
    /// For a run: its `WINDLASS_SEED`; none: 0. Replicates have the same seeds in every iteration (P27).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// For a run: how its metric is read.
    pub metric: Option<MetricSpec>,
    /// Paths or globs that a run may change; everything else in the tree is frozen (P2).
    pub editable: Vec<String>,
    /// The campaign's environment for a run.
    pub env: BTreeMap<String, String>,
    /// For analysis: the scripts in order. For a run: builtins whose outputs it makes itself.
    pub scripts: Vec<ScriptOrder>,
    /// The interpreter of `.py` scripts.
    pub python: String,
    /// For analysis: the run whose workspace and log it reads.
    pub run: Option<AttemptKey>,
    /// For analysis: the results tree so far.
    pub results: Option<Digest>,
    /// For analysis of a follow-up: what lies among the results stays as it is, its scripts only add (P22).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adds_only: bool,
    /// Results trees of earlier iterations (`WINDLASS_HISTORY`).
    pub history: Vec<(IterationNumber, Digest)>,
    /// Patterns of carried fixes, looked for in the log's last 200 lines (P19).
    pub fix_patterns: Vec<String>,
    /// The isolation level asked for; none: the strongest of `none` and `guarded` that the machine has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
    /// What it may use at most.
    #[serde(default)]
    pub limits: Limits,
    /// Read-only paths of the worker.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<Data>,
    /// Folders kept per worker and campaign.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caches: Vec<Cache>,
    /// What prepares its environment (P4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup: Option<Setup>,
    /// Names of secrets; their values are in no ledger and no document.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// For a run: files of its workspace to keep, paths or globs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<String>,
    /// For a run: the file that its scorer reads, kept apart from its artifacts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score_artifact: Option<TreePath>,
    /// For analysis: the artifacts of its run. For a scorer: a tree of the one file that it reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_artifacts: Option<Digest>,
    /// The client's request that it goes back to: the campaign's, the lever's, the fix's or the script's. Logs name
    /// it; nothing else looks at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands the field over by reference")]
fn is_zero(figure: &u64) -> bool {
    *figure == 0
}

/// How an attempt ended: exactly one of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Ending {
    /// Exit code 0 within the budget.
    Finished,
    /// Ended by itself otherwise.
    Crashed {
        /// The exit code, unless a signal ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<i32>,
        /// The signal.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<i32>,
    },
    /// Ended by the gate's SIGTERM, or after it by itself.
    SoftTimeout,
    /// Killed at twice the budget.
    HardTimeout,
    /// Memory ran out.
    OutOfMemory {
        /// Which.
        #[serde(default)]
        memory: Memory,
    },
    /// The GPU failed.
    GpuFault {
        /// What was seen.
        detail: String,
    },
    /// The worker's disk was full, or its own limit of it was passed.
    DiskFull {
        /// By how much, where its own limit was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        over: Option<DiskUse>,
    },
    /// The machinery failed, not the idea (P20).
    Infra {
        /// What failed.
        detail: String,
    },
    /// The worker or the shim vanished.
    Lost,
    /// Cancelled by its owner.
    Cancelled,
    /// Its lease had passed to another when it reported.
    Superseded,
}

/// What a run had added to its folders, and what it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskUse {
    /// Bytes on the disk, as the file system counts them.
    pub used_bytes: u64,
    /// The campaign's `limits: disk_bytes`.
    pub limit_bytes: u64,
}

impl fmt::Display for DiskUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { used_bytes, limit_bytes } = self;
        write!(f, "{used_bytes} bytes in its folders, `limits: disk_bytes: {limit_bytes}`")
    }
}

/// Which memory ran out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Memory {
    /// The machine's, or the run's own limit of it.
    #[default]
    Host,
    /// The GPU's.
    Device,
}

impl Ending {
    /// The word that tables and `fixes: on:` use.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Crashed { .. } => "crashed",
            Self::SoftTimeout => "soft_timeout",
            Self::HardTimeout => "hard_timeout",
            Self::OutOfMemory { .. } => "out_of_memory",
            Self::GpuFault { .. } => "gpu_fault",
            Self::DiskFull { .. } => "disk_full",
            Self::Infra { .. } => "infra",
            Self::Lost => "lost",
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
        }
    }

    /// Whether the machinery failed and not the idea (P20). A run over its own limit of the disk would be
    /// over it on any machine.
    pub fn is_infrastructure(&self) -> bool {
        matches!(
            self,
            Self::GpuFault { .. } | Self::DiskFull { over: None } | Self::Infra { .. } | Self::Lost
        )
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crashed { code: Some(code), .. } => write!(f, "crashed with exit code {code}"),
            Self::Crashed { signal: Some(signal), .. } => write!(f, "crashed by signal {signal}"),
            Self::OutOfMemory { memory: Memory::Device } => f.write_str("out_of_memory on the device"),
            Self::GpuFault { detail } => write!(f, "gpu_fault: {detail}"),
            Self::DiskFull { over: Some(over) } => write!(f, "disk_full: {over}"),
            Self::Infra { detail } => write!(f, "infra: {detail}"),
            other => f.write_str(other.as_str()),
        }
    }
}

/// What a log said of the metric (P18).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// One number, and the log line it stood on (from 1).
    Metric {
        /// As printed.
        value: Decimal,
        /// Line number.
        line: u64,
    },
    /// No metric, with the reason.
    None {
        /// A sentence.
        reason: String,
    },
}

impl Reading {
    /// The metric, if there is one.
    pub fn value(&self) -> Option<&Decimal> {
        match self {
            Self::Metric { value, .. } => Some(value),
            Self::None { .. } => None,
        }
    }
}

/// One output of the analysis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Relative to `results/`.
    pub path: TreePath,
    /// Its content; absent when the script failed, wrote nothing, or wrote nothing new.
    pub digest: Option<Digest>,
    /// Its first line, control characters out, at most 200 bytes.
    pub first_line: String,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What came of an attempt: what the worker reports, and what the ledger keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// How it ended.
    pub ending: Ending,
    /// The metric, for a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading: Option<Reading>,
    /// From start to the death of its tree, milliseconds.
    pub duration_ms: u64,
    /// Bytes of its log.
    pub log_bytes: u64,
    /// The log's hash, when the log is whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_hash: Option<Hash>,
    /// The log as a blob, where it was so short that it came with this outcome; else it has a file of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<Digest>,
    /// The last lines of the log, bounded, for a crash.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub log_tail: String,
    /// The results tree: the digest of its manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results: Option<Digest>,
    /// The outputs of its scripts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<Output>,
    /// A frozen file that the run changed (P2): the metric then counts for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen_changed: Option<TreePath>,
    /// Indexes of the carried fixes' patterns that the log's end matches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fix_matches: Vec<u32>,
    /// The isolation level in force.
    pub isolation: String,
    /// The model of the devices it ran on.
    pub device_model: String,
    /// What contained its process tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containment: Option<Containment>,
    /// Circumstances that stand beside its metric.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<Flag>,
    /// Bytes of log that were cut out; 0 when it is whole.
    #[serde(default)]
    pub log_cut_bytes: u64,
    /// Files of its workspace that were kept: the digest of their manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifacts: Option<Digest>,
    /// The file that its scorer reads, as the digest of a manifest with that file alone; none where the run
    /// left no such file, or is not scored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score_artifact: Option<Digest>,
    /// It never started: the campaign's `setup` failed, and the log is the setup's.
    #[serde(default)]
    pub setup_failed: bool,
    /// What of its results was not kept, each with the reason: some of it by name, and how many more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

impl Outcome {
    /// The trees that it names, by the digests of their manifests.
    pub fn trees(&self) -> impl Iterator<Item = Digest> + '_ {
        self.results.into_iter().chain(self.artifacts).chain(self.score_artifact)
    }

    /// Every blob that it names, its trees' manifests among them.
    pub fn blobs(&self) -> impl Iterator<Item = Digest> + '_ {
        self.trees().chain(self.log).chain(self.outputs.iter().filter_map(|output| output.digest))
    }

    /// An outcome that says nothing but how the attempt ended.
    pub fn bare(ending: Ending) -> Self {
        Self {
            ending,
            reading: None,
            duration_ms: 0,
            log_bytes: 0,
            log_hash: None,
            log: None,
            log_tail: String::new(),
            results: None,
            outputs: Vec::new(),
            frozen_changed: None,
            fix_matches: Vec::new(),
            isolation: String::new(),
            device_model: String::new(),
            containment: None,
            flags: Vec::new(),
            log_cut_bytes: 0,
            artifacts: None,
            score_artifact: None,
            setup_failed: false,
            left_out: Vec::new(),
        }
    }
}

/// Where an attempt stands on its worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Blobs are fetched, the workspace is laid out.
    Preparing,
    /// Its process runs.
    Running {
        /// Since the start, milliseconds.
        elapsed_ms: u64,
    },
    /// Its tree is dead; results and log go up.
    Collecting,
    /// All is said; kept by the worker until it is acknowledged.
    Ended(Box<Outcome>),
}
