//! What a campaign asks of the machine around a run: isolation, limits, data, caches, setup.

use crate::size;
use crate::time::Span;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How far a run is shut in. Ordered: a later level holds all that an earlier one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// A process group of its own, a clean environment, and nothing else.
    None,
    /// No new privileges, rlimits, Landlock: writes only in the run's own folders; the data folders of
    /// coordinator and worker neither read nor written.
    Guarded,
    /// bubblewrap: own pid, mount, ipc and network namespaces, the workspace read-only outside the
    /// editable set and outputs, only the leased GPU device nodes.
    Sealed,
}

impl Isolation {
    /// The word that files, tables and the ledger use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Guarded => "guarded",
            Self::Sealed => "sealed",
        }
    }
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What ends a run's whole process tree, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Containment {
    /// `cgroup.kill` of a cgroup v2 of its own.
    Cgroup,
    /// A pid namespace whose first process dies.
    PidNamespace,
    /// A subreaper that walks and kills until the tree is empty.
    Subreaper,
}

impl Containment {
    /// The word that tables and the ledger use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup",
            Self::PidNamespace => "pid_namespace",
            Self::Subreaper => "subreaper",
        }
    }
}

impl fmt::Display for Containment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a run may use at most; what is absent is not limited beyond the worker's own bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of log kept: the head and a tail ring, with one gap record between.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "size::read_optional")]
    pub log_bytes: Option<u64>,
    /// Bytes that the run's folders may grow by.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "size::read_optional")]
    pub disk_bytes: Option<u64>,
    /// Bytes of host memory of the whole tree.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "size::read_optional")]
    pub memory_bytes: Option<u64>,
    /// Processes and threads of the whole tree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids: Option<u32>,
}

/// Data too large to send: a path on the workers, read-only to runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// An absolute path on the worker.
    pub path: String,
    /// What `windlass doctor --fingerprint PATH` prints for it: BLAKE3 over names, sizes and contents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

/// A folder kept per worker and campaign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// Its name: letters, digits, `_` and `-`.
    pub name: String,
    /// Whether runs may write to it, which the ledger then says beside each metric.
    #[serde(default)]
    pub writable: bool,
}

/// What prepares the environment, once per worker and hash of command and inputs (P4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// The command, by `sh -c`, in a copy of the workspace.
    pub run: String,
    /// Files of the workspace that it reads: paths or globs.
    #[serde(default)]
    pub inputs: Vec<String>,
    /// Its own limit.
    #[serde(default = "setup_time_limit")]
    pub time_limit: Span,
}

/// 30 minutes: a cold install of PyTorch on a slow line.
fn setup_time_limit() -> Span {
    Span::from_secs(30 * 60)
}

/// Whether a time-gated campaign is held to one device model, so that its results compare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparable {
    /// Runs are pinned to the device model of the baseline.
    #[default]
    Device,
    /// Any device.
    Any,
}

/// A circumstance that stands beside a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flag {
    /// The log was cut in the middle; the metric comes from what was kept.
    LogCut,
    /// The run passed its budget and then ended by itself: the metric was printed within budget and grace.
    SoftTimeout,
    /// Processes that are not ours shared the device or the machine's CPUs.
    Contended,
    /// The device slowed down for heat or power.
    Throttled,
    /// The campaign has a cache that runs may write to.
    WritableCache,
}

impl Flag {
    /// The word that tables and the ledger use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LogCut => "log_cut",
            Self::SoftTimeout => "soft_timeout",
            Self::Contended => "contended",
            Self::Throttled => "throttled",
            Self::WritableCache => "writable_cache",
        }
    }
}
