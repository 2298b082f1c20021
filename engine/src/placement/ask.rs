//! What an attempt asks for. Two attempts with the same ask find the same place.

use crate::session::{Fleet, Member};
use std::collections::BTreeSet;
use windlass_shared::bindings::Resources;
use windlass_shared::device::DeviceKind;
use windlass_shared::id::WorkerId;
use windlass_shared::machine::Isolation;

/// What an attempt asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ask {
    /// GPUs; `None`: 1 where the fleet has GPUs, else 0.
    pub gpus: Option<u32>,
    /// CPU slots where no GPU is asked for.
    pub cpu_slots: u32,
    /// Logical CPUs beside GPUs; 0 for the devices' share.
    pub cpus: u32,
    /// Host memory that is set aside for it, bytes; 0 for none.
    pub memory_bytes: u64,
    /// Least memory of each GPU, bytes.
    pub gpu_memory_bytes: u64,
    /// A part of the GPU model's name; empty for any.
    pub gpu_model: String,
    /// The models that its devices must be of, so that its result compares with the baseline's: one, or
    /// several joined by `, ` where the baseline had several.
    pub device_model: Option<String>,
    /// Labels that the worker must carry.
    pub labels: Vec<String>,
    /// Secrets that the worker must have in its own file: nobody else gave them.
    pub secrets: Vec<String>,
    /// The isolation level that was asked for.
    pub isolation: Option<Isolation>,
    /// Where it would rather run, with the reason.
    pub prefer: Option<WorkerId>,
    /// Where the machinery failed it: only if nowhere else has room (P20).
    pub avoid: BTreeSet<WorkerId>,
}

impl Ask {
    /// What a run asks for.
    pub fn run(resources: &Resources) -> Self {
        Self {
            gpus: resources.gpus,
            cpu_slots: resources.cpus.unwrap_or(1).max(1),
            cpus: resources.cpus.unwrap_or(0),
            memory_bytes: resources.memory.unwrap_or(0),
            gpu_memory_bytes: resources.gpu_memory.unwrap_or(0),
            gpu_model: resources.gpu_model.clone().unwrap_or_default(),
            device_model: None,
            labels: resources.labels.clone(),
            secrets: Vec::new(),
            isolation: None,
            prefer: None,
            avoid: BTreeSet::new(),
        }
    }

    /// What the scripts ask for: no device unless GPUs are named, and the run's worker, where the
    /// workspace still is.
    pub fn analysis(gpus: u32, ran_on: Option<&WorkerId>) -> Self {
        Self {
            gpus: Some(gpus),
            cpu_slots: 0,
            cpus: 0,
            memory_bytes: 0,
            prefer: ran_on.cloned(),
            ..Self::run(&Resources::default())
        }
    }

    /// The kind and number of devices, in this fleet.
    pub fn devices(&self, fleet: &Fleet) -> (DeviceKind, usize) {
        let gpus = self.gpus.unwrap_or(u32::from(fleet.has_gpus()));
        let (kind, count) =
            if gpus > 0 { (DeviceKind::Gpu, gpus) } else { (DeviceKind::Cpu, self.cpu_slots) };
        (kind, count as usize)
    }

    /// Whether a worker has the secrets that nobody gave.
    pub fn secrets_suit(&self, member: &Member) -> bool {
        self.secrets.iter().all(|name| member.info.secrets.contains(name))
    }

    /// Whether a worker can give the isolation asked for. One that says nothing of isolation is an older
    /// version: it shuts nothing in.
    pub fn isolation_suits(&self, member: &Member) -> bool {
        match self.isolation {
            None => true,
            Some(Isolation::None) if member.info.isolation.is_empty() => true,
            Some(level) => member.info.isolation.contains(&level),
        }
    }
}
