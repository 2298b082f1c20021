//! Everything that can be leased here: GPUs, else CPU slots. Looked at again and again, for any of it can
//! vanish and come back, the driver too.

use super::cpu::CpuSlots;
use super::health::Health;
use super::nvml::Library;
use super::reading::{Listing, Reading};
use super::state;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;
use windlass_shared::device::{Device, DeviceState};
use windlass_shared::id::DeviceId;
use windlass_shared::session::Release;

/// Looks in a row that a GPU may be missing from the driver's list before it counts as lost: one is a
/// reading that failed.
const MISSED_MAX: u32 = 2;

/// What one look found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// All devices; attempts of ours are not marked.
    pub devices: Vec<Device>,
    /// GPUs that have failed, each with what was seen: what runs on them is to end.
    pub broken: BTreeMap<DeviceId, String>,
    /// The driver's version, while there is a driver.
    pub driver: Option<String>,
}

/// This machine.
#[derive(Debug)]
pub struct Machine {
    library: Library,
    health: Health,
    slots: CpuSlots,
    offers: Slots,
    /// GPUs that were seen, by physical GPU: those that are gone are shown as gone.
    known: BTreeMap<DeviceId, Known>,
}

/// When CPU slots are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slots {
    Always,
    WithoutGpus,
    Never,
}

#[derive(Debug)]
struct Known {
    offered: Vec<Device>,
    missed: u32,
}

impl Machine {
    /// `cpu_slots` asks for a number of slots, also beside GPUs; without it there are some where there is no
    /// GPU. `library` replaces NVML's own. What must outlive the daemon is kept in `health_file`.
    pub fn new(cpu_slots: Option<u32>, library: Option<OsString>, health_file: PathBuf) -> Self {
        let offers = match cpu_slots {
            Some(0) => Slots::Never,
            Some(_) => Slots::Always,
            None => Slots::WithoutGpus,
        };
        Self {
            library: Library::new(library),
            health: Health::open(health_file),
            slots: CpuSlots::new(cpu_slots),
            offers,
            known: BTreeMap::new(),
        }
    }

    /// All devices as they are now. Blocks for some milliseconds.
    pub fn look(&mut self) -> Seen {
        let mut seen = match self.library.list() {
            Ok(listing) => self.judge(listing),
            Err(problem) => self.without_driver(&problem),
        };
        let offers_slots = match self.offers {
            Slots::Always => true,
            Slots::WithoutGpus => self.known.is_empty(),
            Slots::Never => false,
        };
        if offers_slots {
            seen.devices.extend(self.slots.devices());
        }
        self.health.keep();
        seen
    }

    /// Lifts the quarantine of a GPU that failed; a release that was carried out before does nothing. What
    /// is wrong still is seen at the next look.
    pub fn release(&mut self, release: &Release) {
        if self.health.release(release) {
            tracing::info!(device = %release.device, "a quarantine is lifted");
        }
        self.health.keep();
    }

    fn judge(&mut self, listing: Listing) -> Seen {
        self.health.begin(listing.driver.as_deref());
        for (gpu, errors) in &listing.ecc {
            self.health.count_ecc(gpu, *errors, &listing.readings);
        }
        for fault in self.library.faults(&listing) {
            self.health.note_fault(&fault, &listing.readings);
        }
        let mut devices = Vec::new();
        let mut broken = BTreeMap::new();
        let mut offered: BTreeMap<DeviceId, Vec<Device>> = BTreeMap::new();
        for reading in &listing.readings {
            let device = self.device(reading, &mut broken);
            offered.entry(reading.gpu.clone()).or_default().push(device.clone());
            devices.push(device);
        }
        self.remember(&listing.seen, offered);
        devices.extend(self.gone(&listing, &mut broken));
        Seen { devices, broken, driver: listing.driver }
    }

    fn device(&mut self, reading: &Reading, broken: &mut BTreeMap<DeviceId, String>) -> Device {
        let id = &reading.device.id;
        let state = match self.health.fault(id) {
            Some(reason) => {
                broken.insert(id.clone(), reason.clone());
                DeviceState::Quarantined { reason }
            }
            None => state::of(reading, &mut self.health),
        };
        Device { state, ..reading.device.clone() }
    }

    /// What was seen now; a GPU whose slices were taken away offers none, and is not gone.
    fn remember(&mut self, seen: &BTreeSet<DeviceId>, mut offered: BTreeMap<DeviceId, Vec<Device>>) {
        for gpu in seen {
            let offered = offered.remove(gpu).unwrap_or_default();
            self.known.insert(gpu.clone(), Known { offered, missed: 0 });
        }
    }

    /// GPUs that were there and are not. They are offered again when the driver shows them again: then they
    /// have been reset.
    fn gone(&mut self, listing: &Listing, broken: &mut BTreeMap<DeviceId, String>) -> Vec<Device> {
        let mut devices = Vec::new();
        for (gpu, known) in &mut self.known {
            if listing.seen.contains(gpu) {
                continue;
            }
            known.missed = known.missed.saturating_add(1);
            let is_lost = listing.lost.contains(gpu);
            let reason = match is_lost {
                true => "the driver says that the GPU is lost: it has fallen off the bus".to_owned(),
                false => "the GPU has vanished from the driver's list".to_owned(),
            };
            for device in &known.offered {
                if is_lost || known.missed >= MISSED_MAX {
                    broken.insert(device.id.clone(), reason.clone());
                }
                let state = DeviceState::Quarantined { reason: reason.clone() };
                devices.push(Device { state, ..device.clone() });
            }
        }
        devices
    }

    /// Runs go on without NVML: the driver's user part may just be exchanged. Nothing new is begun.
    fn without_driver(&mut self, problem: &str) -> Seen {
        let reason = format!("NVML does not answer ({problem}), so nobody can tell whether it is empty");
        let known = self.known.values().flat_map(|known| &known.offered);
        let quarantined = |device: &Device| {
            let state = DeviceState::Quarantined { reason: reason.clone() };
            Device { state, ..device.clone() }
        };
        Seen { devices: known.map(quarantined).collect(), broken: BTreeMap::new(), driver: None }
    }
}
