//! What a worker offers: devices, as the host itself sees them.

use crate::attempt::AttemptKey;
use crate::id::{DeviceId, WorkerId};
use crate::machine::{Containment, Isolation};
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
    /// CUDA compute capability, such as `9.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compute_capability: Option<String>,
    /// PCI address, such as `00000000:1B:00.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pci: Option<String>,
    /// The NUMA node that it hangs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numa_node: Option<u32>,
    /// For a MIG slice: the id of the GPU that it is cut from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slice_of: Option<DeviceId>,
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
    /// The GPU driver's version, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Logical CPUs.
    #[serde(default)]
    pub cpus: u32,
    /// Host memory, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Isolation levels that it can give.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub isolation: Vec<Isolation>,
    /// The strongest containment that it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub containment: Option<Containment>,
    /// Names of the secrets in its own file; their values never leave it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// Why it takes nothing new at the moment (its disk is nearly full), by its own word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unwilling: Option<String>,
    /// How far its wall clock is ahead of the coordinator's, milliseconds, in steps of ten seconds; behind it below 0.
    /// Certificates and times in listings go by such clocks; leases and gates never do.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub clock_apart_ms: i64,
}

fn is_zero(ms: &i64) -> bool {
    *ms == 0
}

/// How busy a worker's machine is, by its own reading. It is shown to people, and decides nothing: what cannot be
/// read is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// Processes that ran or waited for a CPU over the last minute, hundredths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average_hundredths: Option<u32>,
    /// Host memory that a new process could have, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_available_bytes: Option<u64>,
}

impl WorkerInfo {
    /// A worker that says nothing of itself but who it is.
    pub fn named(id: WorkerId, name: String, version: String) -> Self {
        Self {
            id,
            name,
            version,
            labels: Vec::new(),
            driver: None,
            cpus: 0,
            memory_bytes: None,
            isolation: Vec::new(),
            containment: None,
            secrets: Vec::new(),
            unwilling: None,
            clock_apart_ms: 0,
        }
    }
}

impl Device {
    /// A device of which only the kind and the model are known, and that is free.
    pub fn plain(id: DeviceId, kind: DeviceKind, model: String) -> Self {
        Self {
            id,
            kind,
            model,
            memory_bytes: None,
            compute_capability: None,
            pci: None,
            numa_node: None,
            slice_of: None,
            state: DeviceState::Free,
        }
    }
}
