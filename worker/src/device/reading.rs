//! What NVML said in one look. Every part is optional: what cannot be read is absent.

use std::collections::{BTreeMap, BTreeSet};
use windlass_shared::device::Device;
use windlass_shared::id::DeviceId;

/// One GPU or MIG slice that can be leased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// Itself, its state not yet judged.
    pub device: Device,
    /// The physical GPU: itself, or the one that it is cut from.
    pub gpu: DeviceId,
    /// Memory in use, bytes.
    pub used_bytes: Option<u64>,
    /// The processes on it, as NVML numbers them.
    pub pids: Vec<u32>,
    /// The number of its device node, `/dev/nvidia<minor>`.
    pub minor: Option<u32>,
    /// For a MIG slice: its GPU instance.
    pub instance: Option<u32>,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    /// What can be leased.
    pub readings: Vec<Reading>,
    /// Physical GPUs that answered.
    pub seen: BTreeSet<DeviceId>,
    /// Physical GPUs of which the driver says that they are lost.
    pub lost: BTreeSet<DeviceId>,
    /// Double-bit ECC errors since the driver was loaded, by physical GPU.
    pub ecc: BTreeMap<DeviceId, u64>,
    /// The driver's version.
    pub driver: Option<String>,
}

/// What an event said of a physical GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Which.
    pub gpu: DeviceId,
    /// The MIG instance that it happened in; the whole GPU otherwise.
    pub instance: Option<u32>,
    /// For people.
    pub what: String,
}

impl Fault {
    /// Whether it strikes this device.
    pub fn strikes(&self, reading: &Reading) -> bool {
        let same_instance = self.instance.is_none() || self.instance == reading.instance;
        reading.gpu == self.gpu && same_instance
    }
}
