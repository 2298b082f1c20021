//! What a shim leaves on disk: who it is, and how its attempt ended.

use serde::{Deserialize, Serialize};
use windlass_shared::attempt::AttemptKey;

/// Tells this shim from every other process: a pid alone may be recycled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its pid.
    pub pid: i32,
    /// When it started, clock ticks since boot.
    pub start_ticks: u64,
    /// In which boot.
    pub boot_id: String,
    /// The start's own number, in the shim's environment too.
    pub nonce: String,
    /// When the command was started, Unix milliseconds.
    pub started_wall_ms: i64,
}

impl Identity {
    /// Its file name in the attempt's folder.
    pub const FILE: &'static str = "shim.json";
    /// The variable of the shim's own environment that holds the nonce.
    pub const VARIABLE: &'static str = "WINDLASS_SHIM";
}

/// How an attempt ended, as its shim saw it. Written when the tree is dead and the log is whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// The attempt.
    pub key: AttemptKey,
    /// Exit code of the command, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// SIGTERM was sent at the budget (P16).
    pub soft_fired: bool,
    /// The tree was killed at the hard limit (P16).
    pub hard_fired: bool,
    /// It was cancelled.
    pub cancelled: bool,
    /// When it started, Unix milliseconds.
    pub started_wall_ms: i64,
    /// From start to the death of its tree.
    pub duration_ms: u64,
    /// The log file's size.
    pub log_bytes: u64,
    /// What a flood cost (I18): bytes between head and tail that were dropped.
    pub log_cut_bytes: u64,
    /// The log could not be written whole: the system's error number.
    pub log_errno: Option<i32>,
    /// Kernel kills for lack of memory on this machine while it ran.
    pub oom_kills: u64,
    /// The command could not be started: why.
    pub problem: Option<String>,
}

impl ExitRecord {
    /// Its file name in the attempt's folder.
    pub const FILE: &'static str = "exit.json";

    /// A record of an attempt whose command never started.
    pub fn unstarted(key: AttemptKey, problem: String) -> Self {
        Self {
            key,
            code: None,
            signal: None,
            soft_fired: false,
            hard_fired: false,
            cancelled: false,
            started_wall_ms: 0,
            duration_ms: 0,
            log_bytes: 0,
            log_cut_bytes: 0,
            log_errno: None,
            oom_kills: 0,
            problem: Some(problem),
        }
    }
}
