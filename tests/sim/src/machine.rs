//! A worker machine by its own truth: power, disk, devices, and the shims that live on them whatever the
//! daemon believes.

use crate::random::Random;
use crate::world::Event;
use std::collections::{BTreeMap, BTreeSet};
use windlass_engine::attempt::{Event as HostEvent, ExitRecord, Host};
use windlass_shared::attempt::{AttemptKey, Order, Outcome};
use windlass_shared::device::{Device, DeviceKind, WorkerInfo};
use windlass_shared::id::{DeviceId, FencingNumber, SessionId, WorkerId};

/// The model that campaigns may ask for.
pub(crate) const GPU_MODEL: &str = "H200";

/// What happens to a worker daemon, within one of its lives.
#[derive(Clone, Debug)]
pub(crate) enum DaemonEvent {
    /// For the engine's machine.
    Host(HostEvent),
    /// Results and log are up.
    Collected { key: AttemptKey, has_record: bool },
    /// The hanging call got no answer in its time.
    CallTimedOut { session: SessionId, number: u64 },
    /// The call broke; the daemon speaks again.
    SpeaksAgain,
}

/// How a machine's network is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    Both,
    Reports,
    Answers,
}

/// An attempt on the disk: it survives the daemon.
#[derive(Clone, Debug)]
pub(crate) struct Spooled {
    pub(crate) order: Order,
    /// When its shim was started.
    pub(crate) started_ms: Option<u64>,
    pub(crate) exit: Option<ExitRecord>,
    pub(crate) outcome: Option<Box<Outcome>>,
}

/// A live shim with its tree.
#[derive(Clone, Debug)]
pub(crate) struct Shim {
    pub(crate) devices: Vec<DeviceId>,
    pub(crate) outcome: Outcome,
    pub(crate) started_ms: u64,
}

/// One machine.
pub(crate) struct Machine {
    pub(crate) info: WorkerInfo,
    /// The devices as the host sees them, without our own attempts.
    pub(crate) devices: Vec<Device>,
    pub(crate) spool: BTreeMap<AttemptKey, Spooled>,
    /// Spools put aside, of attempts that the ledger does not know (I15).
    pub(crate) kept: BTreeSet<AttemptKey>,
    pub(crate) shims: BTreeMap<AttemptKey, Shim>,
    pub(crate) daemon: Option<Host>,
    /// Counts the daemon's lives: what belongs to an older one is void.
    pub(crate) boot: u64,
    /// While the daemon is stopped: what came for it.
    pub(crate) paused: Option<Vec<Event>>,
    pub(crate) has_power: bool,
    pub(crate) cut: Option<Cut>,
    /// The newest report's session and number.
    pub(crate) said: Option<(SessionId, u64)>,
    pub(crate) identities: u32,
    /// The latest release of each device that was carried out.
    pub(crate) released: BTreeMap<DeviceId, FencingNumber>,
}

impl Machine {
    pub(crate) fn new(index: usize, random: &mut Random) -> Self {
        let gpus = random.chance(600);
        let devices: Vec<Device> = (0..random.range(1, 3))
            .map(|n| {
                let id = DeviceId(if gpus { format!("GPU-{index}-{n}") } else { format!("cpu-{n}") });
                let kind = if gpus { DeviceKind::Gpu } else { DeviceKind::Cpu };
                let model = if gpus && random.chance(700) { GPU_MODEL } else { "another" }.to_owned();
                Device { memory_bytes: gpus.then_some(1 << 37), ..Device::plain(id, kind, model) }
            })
            .collect();
        Self {
            info: WorkerInfo {
                labels: if random.chance(500) { vec!["fast".to_owned()] } else { Vec::new() },
                ..WorkerInfo::named(
                    WorkerId(format!("w{index}-1")),
                    format!("m{index}"),
                    "simulated".to_owned(),
                )
            },
            devices,
            spool: BTreeMap::new(),
            kept: BTreeSet::new(),
            shims: BTreeMap::new(),
            daemon: None,
            boot: 0,
            paused: None,
            has_power: true,
            cut: None,
            said: None,
            identities: 1,
            released: BTreeMap::new(),
        }
    }

    /// The daemon is gone; its shims and its disk are not.
    pub(crate) fn kill_daemon(&mut self) {
        self.boot += 1;
        self.daemon = None;
        self.paused = None;
    }

    /// How many devices it has of this kind and model, in use or not; `pinned` names the models that they
    /// must be of.
    pub(crate) fn devices_of(&self, kind: DeviceKind, model: &str, pinned: Option<&str>) -> usize {
        let is_pinned =
            |device: &Device| pinned.is_none_or(|pinned| pinned.split(", ").any(|it| it == device.model));
        let is_it =
            |device: &&Device| device.kind == kind && device.model.contains(model) && is_pinned(device);
        self.devices.iter().filter(is_it).count()
    }

    /// The models of these devices, each once.
    pub(crate) fn models(&self, devices: &[DeviceId]) -> String {
        let leased = self.devices.iter().filter(|device| devices.contains(&device.id));
        let models: BTreeSet<&str> = leased.map(|device| device.model.as_str()).collect();
        models.into_iter().collect::<Vec<_>>().join(", ")
    }
}
