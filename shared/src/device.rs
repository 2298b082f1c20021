//! What a worker offers: devices, as the host itself sees them.

use crate::attempt::AttemptKey;
use crate::id::{DeviceId, WorkerId};
use serde::{Deserialize, Serialize};

/// The sort of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceKind {
    /// A whole GPU or a MIG slice.
    Gpu,
    /// A CPU slot, offered where there is no GPU.
    Cpu,
}

/// Whether a device can be leased: the host's own word (I6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceState {
    /// Empty.
    Free,
    /// One of our attempts lives on it.
    Busy(AttemptKey),
    /// A process that is not ours uses it.
    Outsider {
        /// Pid, user and command, for people.
        who: String,
    },
    /// Not leased until it is released or clean (I9).
    Quarantined {
        /// Why.
        reason: String,
    },
}

/// One device of a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its stable id.
    pub id: DeviceId,
    /// GPU or CPU slot.
    pub kind: DeviceKind,
    /// The model's name.
    pub model: String,
    /// Its memory, bytes; absent when it cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Whether it can be leased.
    pub state: DeviceState,
}

/// A worker's description of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerInfo {
    /// Its identity.
    pub id: WorkerId,
    /// Its name, for people; host name by default.
    pub name: String,
    /// The version of Windlass that it runs.
    pub version: String,
    /// Labels that it carries.
    pub labels: Vec<String>,
}
