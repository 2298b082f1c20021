//! What a shim leaves on disk: who it is, and how its attempt ended.

use crate::sandbox::Walls;
use serde::{Deserialize, Serialize};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use windlass_engine::attempt::ExitRecord;
use windlass_shared::attempt::AttemptKey;
use windlass_shared::digest::Hash;
use windlass_shared::id::RequestId;
use windlass_shared::machine::{Containment, Isolation};

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
    /// When it was, Unix milliseconds; the command is started at most some seconds later.
    pub started_wall_ms: i64,
    /// How far its run is shut in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
    /// What contains its run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containment: Option<Containment>,
    /// The run's cgroup, for whoever has to end it without its shim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<PathBuf>,
    /// The folder of its attempt; not said by older shims.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// A folder that stays itself when it is moved, and that no copy of it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The file system's number.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
}

impl Place {
    /// Where `folder` is; nothing where it is not there.
    pub fn of(folder: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(folder).ok()?;
        Some(Self { device: metadata.dev(), inode: metadata.ino() })
    }
}

impl Identity {
    /// Its file name in the attempt's folder.
    pub const FILE: &'static str = "shim.json";

    /// Whether it is of the folder that is there, and no copy's.
    pub fn is_at(&self, place: Place) -> bool {
        self.place.is_none_or(|own| own == place)
    }

    /// The variable of the shim's own environment that holds the nonce.
    pub const VARIABLE: &'static str = "WINDLASS_SHIM";
}

/// What a shim leaves when its tree is dead and its log is whole, on disk before any clean-up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// How the attempt ended.
    pub record: ExitRecord,
    /// The log could not be written whole: the system's error number.
    pub log_errno: Option<i32>,
    /// The hash of the log as it was written, cut or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_hash: Option<Hash>,
    /// How far the run was shut in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
    /// What contained it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containment: Option<Containment>,
    /// The client's request that the attempt goes back to, as the shim was told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
    /// It outlives a power cut, with all that it rests on. Earlier versions synced every one.
    #[serde(default = "yes")]
    pub is_synced: bool,
}

fn yes() -> bool {
    true
}

impl Exit {
    /// Its file name in the attempt's folder.
    pub const FILE: &'static str = "exit.json";

    /// Of an attempt whose command never started.
    pub(crate) fn unstarted(key: AttemptKey, reason: String, walls: &Walls) -> Self {
        let record = ExitRecord {
            key,
            code: None,
            signal: None,
            soft_fired: false,
            hard_fired: false,
            cancelled: false,
            oom_killed: false,
            start_failure: Some(reason),
            started_wall_ms: 0,
            duration_ms: 0,
            log_bytes: 0,
            log_cut_bytes: 0,
            log_bytes_in_time: None,
            exceeded: None,
            disk_use: None,
        };
        let (isolation, containment) = (Some(walls.isolation), Some(walls.containment));
        Self {
            record,
            log_errno: None,
            log_hash: None,
            isolation,
            containment,
            request: None,
            is_synced: false,
        }
    }
}
