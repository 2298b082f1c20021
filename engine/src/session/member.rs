//! One worker as its own reports describe it, and what leases hold there.

use super::answer::Told;
use super::offer::Since;
use std::collections::{BTreeMap, VecDeque};
use windlass_shared::attempt::{AttemptKey, Order, Phase};
use windlass_shared::device::{Device, DeviceKind, DeviceState, Load, WorkerInfo};
use windlass_shared::id::{AttemptId, DeviceId, FencingNumber, SessionId};

/// What a lease sets aside of its machine beside devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Claim {
    memory_bytes: u64,
    cpus: u32,
}

/// What the leases of one worker hold.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    devices: BTreeMap<DeviceId, AttemptId>,
    /// What they set aside beside devices.
    claims: BTreeMap<AttemptId, Claim>,
}

impl Held {
    /// A lease was recorded.
    pub(super) fn hold(&mut self, order: &Order) {
        let attempt = &order.key.id;
        self.devices.extend(order.devices.iter().map(|device| (device.clone(), attempt.clone())));
        // For CPU slots the number is in the devices.
        let on_gpus = order.devices.iter().any(|device| !device.as_str().starts_with("cpu-"));
        let cpus = order.cpus.filter(|_| on_gpus).unwrap_or(0);
        if cpus > 0 || order.memory_bytes > 0 {
            self.claims.insert(attempt.clone(), Claim { memory_bytes: order.memory_bytes, cpus });
        }
    }

    /// A lease is over.
    pub(super) fn let_go(&mut self, attempt: &AttemptId) {
        self.devices.retain(|_, holder| holder != attempt);
        self.claims.remove(attempt);
    }
}

/// Whether a worker is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It speaks.
    Ready,
    /// Its connection broke; nothing new is placed on it.
    Suspected,
    /// Silent past the lease period; its session is closed.
    Lost,
}

/// One worker.
#[derive(Clone, Debug)]
pub struct Member {
    /// What it says of itself.
    pub info: WorkerInfo,
    /// Its session.
    pub session: SessionId,
    /// The newest report's number.
    pub number: u64,
    /// The newest answer that arrived there.
    pub seen: u64,
    /// Its last word, monotonic.
    pub last_word_ms: u64,
    /// Whether it is there.
    pub presence: Presence,
    /// How busy its machine is, by its own word: for people, placement does not look at it.
    pub load: Load,
    /// Its devices, by its own word.
    pub devices: Vec<Device>,
    /// Its attempts, by its own word.
    pub attempts: BTreeMap<AttemptKey, Phase>,
    /// Whether its newest report waits for an answer.
    pub is_open: bool,
    /// What it was told in this session.
    pub told: BTreeMap<AttemptKey, Told>,
    /// The releases that it was told of in this session, each with the report that was answered so.
    pub told_releases: BTreeMap<DeviceId, (FencingNumber, u64)>,
    /// What leases of the ledger hold, whatever its reports say.
    pub(super) held: Held,
    /// How its devices stand, in their order: asked far more often than it changes.
    pub(super) places: Vec<Place>,
    /// How the fleet has counted it.
    pub(super) standing: Standing,
    /// What it offers, and since when.
    pub(super) since: Since,
    /// Its latest closed sessions, oldest first.
    pub(super) closed: VecDeque<SessionId>,
}

/// How one device stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// A lease of the ledger holds it.
    pub(super) is_leased: bool,
    /// It is free by the host's word and held by no lease (I6).
    pub(super) is_free: bool,
}

/// What the fleet's index holds of one worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// Free GPUs and CPU slots; `None` while nothing may be placed on it.
    pub(super) free: Option<(usize, usize)>,
    /// Whether it has a GPU, leased or not, and is not lost.
    pub(super) has_gpu: bool,
}

/// A worker's standing before and after something happened there.
pub(super) struct Recount {
    pub(super) before: Standing,
    pub(super) now: Standing,
}

impl Member {
    /// Whether new work may be placed on it.
    pub fn is_ready(&self) -> bool {
        self.presence == Presence::Ready
    }

    /// Devices that are free by the host's word and held by no lease (I6).
    pub fn free_devices(&self, kind: DeviceKind) -> impl Iterator<Item = &Device> {
        let free = self.places().filter(|(_, place)| place.is_free);
        free.map(|(device, _)| device).filter(move |device| device.kind == kind)
    }

    /// Its devices and how each stands.
    pub(super) fn places(&self) -> impl Iterator<Item = (&Device, &Place)> {
        self.devices.iter().zip(&self.places)
    }

    /// The attempt whose lease holds a device, whatever the host says of it.
    pub fn holder(&self, device: &DeviceId) -> Option<&AttemptId> {
        self.held.devices.get(device)
    }

    /// Whether no lease holds anything of it.
    pub(super) fn holds_nothing(&self) -> bool {
        self.held.devices.is_empty() && self.held.claims.is_empty()
    }

    /// Devices of a kind that our own attempts alone keep from being free.
    pub fn healthy_devices(&self, kind: DeviceKind) -> impl Iterator<Item = &Device> {
        self.devices.iter().filter(move |device| {
            device.kind == kind && matches!(device.state, DeviceState::Free | DeviceState::Busy(_))
        })
    }

    /// Host memory that no lease has set aside, bytes; none where the worker does not say what it has.
    pub fn free_memory_bytes(&self) -> u64 {
        let claimed = self.held.claims.values().map(|claim| claim.memory_bytes).fold(0, u64::saturating_add);
        self.info.memory_bytes.unwrap_or(0).saturating_sub(claimed)
    }

    /// Logical CPUs that no lease asked for by number; `None` where the worker does not say what it has.
    pub fn free_cpus(&self) -> Option<u32> {
        let claimed = self.held.claims.values().map(|claim| claim.cpus).fold(0, u32::saturating_add);
        Some(self.info.cpus).filter(|&cpus| cpus > 0).map(|cpus| cpus.saturating_sub(claimed))
    }

    /// How many devices are free: GPUs and CPU slots.
    fn free_counts(&self) -> (usize, usize) {
        let free = self.places().filter(|(_, place)| place.is_free);
        free.fold((0, 0), |(gpus, cpus), (device, _)| match device.kind {
            DeviceKind::Gpu => (gpus + 1, cpus),
            DeviceKind::Cpu => (gpus, cpus + 1),
        })
    }

    /// Takes a lease into account, the devices that it names and no others: this is the step that each
    /// placement takes.
    pub(super) fn hold(&mut self, order: &Order) {
        for held in &order.devices {
            if let Some(place) = self.devices.iter().position(|device| device.id == *held) {
                self.places[place] = Place { is_leased: true, is_free: false };
            }
        }
        self.held.hold(order);
    }

    /// Counts its free devices again.
    pub(super) fn recount(&mut self) -> Recount {
        let has_gpu = self.presence != Presence::Lost
            && self.devices.iter().any(|device| device.kind == DeviceKind::Gpu);
        let now = Standing { free: self.is_ready().then(|| self.free_counts()), has_gpu };
        Recount { before: std::mem::replace(&mut self.standing, now), now }
    }

    /// Looks up again how its devices stand: after a report, and after a lease began or ended.
    pub(super) fn note_places(&mut self) {
        let Self { devices, held, places, .. } = self;
        places.clear();
        places.extend(devices.iter().map(|device| {
            let is_leased = held.devices.contains_key(&device.id);
            Place { is_leased, is_free: !is_leased && device.state == DeviceState::Free }
        }));
    }
}
