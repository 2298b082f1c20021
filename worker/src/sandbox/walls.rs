//! What one run is shut into: decided by the daemon, carried out by its shim, which has no choices left.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use windlass_shared::machine::{Containment, Isolation, Limits};

/// The walls around one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walls {
    /// How far it is shut in.
    pub isolation: Isolation,
    /// What ends its process tree.
    pub containment: Containment,
    /// The cgroup below which it gets one of its own, where a cgroup contains it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroups: Option<PathBuf>,
    /// bubblewrap, for a sealed run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bubblewrap: Option<PathBuf>,
    /// Files and folders that it may write to. A folder that is not there is made.
    #[serde(default)]
    pub write: Vec<PathBuf>,
    /// What it may read below the hidden folders.
    #[serde(default)]
    pub read: Vec<PathBuf>,
    /// Files and folders that it neither reads nor writes, save for what the two above name.
    #[serde(default)]
    pub hidden: Vec<PathBuf>,
    /// Device nodes that it may use beside the harmless ones.
    #[serde(default)]
    pub devices: Vec<PathBuf>,
    /// What it may use at most.
    #[serde(default)]
    pub limits: Limits,
}

impl Default for Walls {
    /// None at all: for a run of which nothing is known.
    fn default() -> Self {
        Self {
            isolation: Isolation::None,
            containment: Containment::Subreaper,
            cgroups: None,
            bubblewrap: None,
            write: Vec::new(),
            read: Vec::new(),
            hidden: Vec::new(),
            devices: Vec::new(),
            limits: Limits::default(),
        }
    }
}
