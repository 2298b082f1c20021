//! What a shim is told: one file in its attempt's folder, written by the daemon before the start.

use super::mounts::Mounts;
use crate::sandbox::Walls;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use windlass_shared::attempt::AttemptKey;
use windlass_shared::id::RequestId;
use windlass_shared::machine::Limits;

/// Where the log is cut under a flood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLimits {
    /// Kept from the beginning.
    pub head_bytes: u64,
    /// Kept from the end.
    pub tail_bytes: u64,
}

impl Default for LogLimits {
    /// 64 MiB is a day of a chatty trainer; 8 MiB of end holds the metric and any stack trace.
    fn default() -> Self {
        Self { head_bytes: 64 << 20, tail_bytes: 8 << 20 }
    }
}

impl LogLimits {
    /// A whole log of at most about `log_bytes`: an eighth of it, 8 MiB at most, is the tail.
    pub fn within(log_bytes: u64) -> Self {
        let tail_bytes = (log_bytes / 8).min(Self::default().tail_bytes);
        Self { head_bytes: log_bytes - tail_bytes, tail_bytes }
    }

    /// As a campaign limits its runs.
    pub fn of(limits: &Limits) -> Self {
        limits.log_bytes.map_or_else(Self::default, Self::within)
    }

    /// The longest that a log's file gets, bytes: the gap record between head and tail is one short line.
    pub fn file_max_bytes(&self) -> u64 {
        self.head_bytes.saturating_add(self.tail_bytes).saturating_add(256)
    }
}

/// All that a shim needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The attempt.
    pub key: AttemptKey,
    /// Drawn for this start; also in the shim's own environment, so that it can be told from any other.
    pub nonce: String,
    /// Run by `sh -c`.
    pub command: String,
    /// The working folder.
    pub folder: PathBuf,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// The logical CPUs that the command is bound to; none: it is not bound.
    #[serde(default)]
    pub cpus: Vec<u32>,
    /// SIGTERM to the group at this many milliseconds (P16).
    pub soft_limit_ms: u64,
    /// The whole tree is killed at this many milliseconds (P16).
    pub hard_limit_ms: u64,
    /// How far the log is by then is written down, for a metric that counts although the budget was passed
    /// (P16).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measure_until_ms: Option<u64>,
    /// Lock files of the leased devices (I6).
    pub locks: Vec<PathBuf>,
    /// Bounds of the log (I18).
    pub log: LogLimits,
    /// Names of secrets. Their values come through the shim's standard input, so that they are on no disk.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// What is mounted before the command starts.
    #[serde(default)]
    pub mounts: Mounts,
    /// The model of its devices: it stands beside the metric, also when a later daemon reads that.
    #[serde(default)]
    pub device_model: String,
    /// What it is shut into.
    #[serde(default)]
    pub walls: Walls,
    /// The client's request that the attempt goes back to, for logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
}

impl Spec {
    /// Its file name in the attempt's folder.
    pub const FILE: &'static str = "spec.json";
}
