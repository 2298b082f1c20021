//! What is known of GPUs beyond one look, and must outlive the daemon: how much memory an empty one uses,
//! which have failed. A file that belongs to another boot says nothing: a GPU begins anew with its machine.

use super::reading::{Fault, Reading};
use crate::{durable, procfs};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use windlass_shared::id::{DeviceId, FencingNumber};
use windlass_shared::session::Release;

/// See the module.
#[derive(Debug)]
pub(super) struct Health {
    file: PathBuf,
    kept: Document,
    now: Document,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Document {
    boot_id: String,
    driver: Option<String>,
    /// The least memory in use that was ever seen on an empty GPU, bytes.
    baselines: BTreeMap<DeviceId, u64>,
    /// Double-bit ECC errors that have been judged.
    ecc: BTreeMap<DeviceId, u64>,
    /// GPUs that have failed and were not released.
    faults: BTreeMap<DeviceId, String>,
    /// The latest release of each device that was carried out.
    releases: BTreeMap<DeviceId, FencingNumber>,
}

impl Health {
    /// Reads what an earlier daemon of this boot has left.
    pub fn open(file: PathBuf) -> Self {
        let boot_id = procfs::boot_id();
        let found = durable::read::<Document>(&file).unwrap_or_else(|error| {
            tracing::warn!(problem = error.chain(), "what was known of the GPUs cannot be read");
            None
        });
        let found = found.unwrap_or_default();
        let kept = match found.boot_id == boot_id {
            true => found,
            false => {
                Document { boot_id: boot_id.to_owned(), releases: found.releases, ..Document::default() }
            }
        };
        Self { file, now: kept.clone(), kept }
    }

    /// Writes what has changed. A full disk is said, and tried again at the next look.
    pub fn keep(&mut self) {
        if self.kept == self.now {
            return;
        }
        match durable::write(&self.file, &self.now) {
            Ok(()) => self.kept = self.now.clone(),
            Err(error) => tracing::warn!(problem = error.chain(), "failed to keep what is known of the GPUs"),
        }
    }

    /// A look begins. Another driver uses another amount of memory, and counts anew.
    pub fn begin(&mut self, driver: Option<&str>) {
        if self.now.driver.as_deref() != driver {
            self.now.driver = driver.map(str::to_owned);
            self.now.baselines.clear();
            self.now.ecc.clear();
        }
    }

    /// The memory that a device uses when it is empty, given what it uses now that it seems so.
    pub fn baseline(&mut self, device: &DeviceId, used_bytes: u64) -> u64 {
        let baseline = self.now.baselines.entry(device.clone()).or_insert(used_bytes);
        *baseline = used_bytes.min(*baseline);
        *baseline
    }

    /// Why a device failed, if it did.
    pub fn fault(&self, device: &DeviceId) -> Option<String> {
        self.now.faults.get(device).cloned()
    }

    /// Quarantines what an event strikes.
    pub fn note_fault(&mut self, fault: &Fault, readings: &[Reading]) {
        for reading in readings.iter().filter(|reading| fault.strikes(reading)) {
            let id = &reading.device.id;
            let reason =
                || format!("{}; `windlass device release` lifts this once it is repaired", fault.what);
            self.now.faults.entry(id.clone()).or_insert_with(reason);
        }
    }

    /// Double-bit errors since the driver was loaded. Those that were there at the first look have been
    /// lived with; the counter begins anew with the driver.
    pub fn count_ecc(&mut self, gpu: &DeviceId, errors: u64, readings: &[Reading]) {
        let before = self.now.ecc.insert(gpu.clone(), errors).unwrap_or(errors);
        if errors > before {
            let what = format!("{} double-bit ECC errors, {before} before", errors);
            self.note_fault(&Fault { gpu: gpu.clone(), instance: None, what }, readings);
        }
    }

    /// Lifts a quarantine; false when this release was carried out before.
    pub fn release(&mut self, release: &Release) -> bool {
        let before = self.now.releases.insert(release.device.clone(), release.number);
        if before == Some(release.number) {
            return false;
        }
        self.now.faults.remove(&release.device);
        // What its owner calls clean is its new baseline, if it uses more by itself now.
        self.now.baselines.remove(&release.device);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_shared::device::{Device, DeviceKind};
    use windlass_shared::id::Incarnation;

    fn reading(id: &str, gpu: &str, instance: Option<u32>) -> Reading {
        Reading {
            device: Device::plain(id.into(), DeviceKind::Gpu, "H200".to_owned()),
            gpu: gpu.into(),
            used_bytes: None,
            pids: Vec::new(),
            minor: None,
            instance,
        }
    }

    fn release(device: &str, n: u64) -> Release {
        let number = FencingNumber { incarnation: Incarnation(1), n };
        Release { device: device.into(), number }
    }

    #[test]
    fn a_fault_outlives_the_daemon_until_its_release_and_each_release_counts_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = || Health::open(folder.path().join("gpus.json"));
        let readings = [reading("GPU-a", "GPU-a", None), reading("GPU-b", "GPU-b", None)];
        let fault = Fault { gpu: "GPU-a".into(), instance: None, what: "XID 79".to_owned() };
        let mut health = open();
        health.note_fault(&fault, &readings);
        health.keep();
        let mut health = open();
        assert!(health.fault(&"GPU-a".into()).is_some_and(|reason| reason.starts_with("XID 79")));
        assert_eq!(health.fault(&"GPU-b".into()), None);
        assert!(health.release(&release("GPU-a", 1)));
        assert_eq!(health.fault(&"GPU-a".into()), None);
        health.note_fault(&fault, &readings);
        health.keep();
        let mut health = open();
        assert!(!health.release(&release("GPU-a", 1)), "the same release again lifts nothing");
        assert!(health.fault(&"GPU-a".into()).is_some());
        assert!(health.release(&release("GPU-a", 2)));
        assert_eq!(health.fault(&"GPU-a".into()), None);
    }

    #[test]
    fn what_another_boot_left_and_what_is_torn_says_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("gpus.json");
        for text in ["", "{", r#"{"boot_id":"another","faults":{"GPU-a":"XID 79"}}"#] {
            std::fs::write(&file, text).expect("a file");
            assert_eq!(Health::open(file.clone()).fault(&"GPU-a".into()), None, "{text:?}");
        }
    }

    #[test]
    fn a_fault_strikes_its_slice_or_every_slice_of_its_gpu() {
        let readings = [
            reading("MIG-1", "GPU-a", Some(1)),
            reading("MIG-2", "GPU-a", Some(2)),
            reading("GPU-b", "GPU-b", None),
        ];
        let check = |instance, want: [bool; 3]| {
            let folder = tempfile::tempdir().expect("a folder");
            let mut health = Health::open(folder.path().join("gpus.json"));
            let fault = Fault { gpu: "GPU-a".into(), instance, what: "XID 94".to_owned() };
            health.note_fault(&fault, &readings);
            let struck: Vec<bool> =
                readings.iter().map(|reading| health.fault(&reading.device.id).is_some()).collect();
            assert_eq!(struck, want);
        };
        check(Some(2), [false, true, false]);
        check(None, [true, true, false]);
    }

    #[test]
    fn only_double_bit_errors_that_are_new_are_a_fault() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut health = Health::open(folder.path().join("gpus.json"));
        let readings = [reading("GPU-a", "GPU-a", None)];
        let gpu = DeviceId::from("GPU-a");
        for (errors, want) in [(3, false), (3, false), (0, false), (1, true)] {
            health.count_ecc(&gpu, errors, &readings);
            assert_eq!(health.fault(&gpu).is_some(), want, "{errors}");
        }
    }
}
