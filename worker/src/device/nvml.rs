//! GPUs and MIG slices through NVML. The library may be missing, vanish and come back at any look; a call
//! that is not supported leaves its reading absent; a device that cannot be named is not offered.

use super::events::Events;
use super::reading::{Fault, Listing, Reading};
use nvml_wrapper::enum_wrappers::device::{EccCounter, MemoryError};
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device as Handle, Nvml};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use windlass_shared::device::{Device, DeviceKind};
use windlass_shared::id::DeviceId;

/// The driver's library; the bare name exists only where the development files are installed.
pub(crate) const LIBRARIES: [&str; 2] = ["libnvidia-ml.so.1", "libnvidia-ml.so"];
/// NVML's word for a GPU in MIG mode.
const MIG_ENABLED: u32 = 1;
/// Slices of one GPU that are looked for: hardware has 7, and a driver's nonsense must not be looped over.
const SLICES_MAX: u32 = 64;

/// NVML, open or not.
#[derive(Debug)]
pub(super) struct Library {
    names: Vec<OsString>,
    open: Option<(Nvml, Events)>,
    /// Which GPU stood at which index: a lost one does not say who it is.
    indices: BTreeMap<u32, DeviceId>,
}

impl Library {
    /// By its own names, or by `library`. Opened at the first look.
    pub fn new(library: Option<OsString>) -> Self {
        let names = match library {
            Some(library) => vec![library],
            None => LIBRARIES.map(OsString::from).to_vec(),
        };
        Self { names, open: None, indices: BTreeMap::new() }
    }

    /// Everything that it says now; the error says in words why it says nothing.
    pub fn list(&mut self) -> Result<Listing, String> {
        if let Some((nvml, _)) = &self.open {
            match list(nvml, &mut self.indices) {
                Ok(listing) => return Ok(listing),
                // The driver was reloaded, or is gone: what is open now will not answer again.
                Err(problem) => tracing::warn!(%problem, "NVML answers no more; it is opened anew"),
            }
            self.close();
        }
        let nvml = self.open().map_err(|error| error.to_string())?;
        let listing = list(&nvml, &mut self.indices).map_err(|error| error.to_string())?;
        let events = Events::open(&nvml);
        self.open = Some((nvml, events));
        Ok(listing)
    }

    /// The failures that were told since the last look.
    pub fn faults(&mut self, listing: &Listing) -> Vec<Fault> {
        match &mut self.open {
            Some((nvml, events)) => events.take(nvml, &listing.seen),
            None => Vec::new(),
        }
    }

    fn open(&self) -> Result<Nvml, NvmlError> {
        let mut result = Err(NvmlError::LibraryNotFound);
        for name in &self.names {
            result = open(name);
            if result.is_ok() {
                break;
            }
        }
        result
    }

    fn close(&mut self) {
        if let Some((nvml, events)) = self.open.take() {
            events.close(&nvml);
        }
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        self.close();
    }
}

fn open(library: &OsStr) -> Result<Nvml, NvmlError> {
    Nvml::builder().lib_path(library).init()
}

fn list(nvml: &Nvml, indices: &mut BTreeMap<u32, DeviceId>) -> Result<Listing, NvmlError> {
    let count = nvml.device_count()?;
    let mut listing = Listing { driver: nvml.sys_driver_version().ok(), ..Listing::default() };
    for index in 0..count {
        let found = nvml.device_by_index(index).and_then(|gpu| Ok((DeviceId(gpu.uuid()?), gpu)));
        match found {
            Ok((id, gpu)) => {
                indices.insert(index, id.clone());
                add(&mut listing, &gpu, id);
            }
            Err(NvmlError::GpuLost) => listing.lost.extend(indices.get(&index).cloned()),
            Err(error) => tracing::debug!(index, %error, "a GPU does not say who it is"),
        }
    }
    Ok(listing)
}

/// Adds a GPU; one in MIG mode offers its slices, and is nothing to lease itself.
fn add(listing: &mut Listing, gpu: &Handle<'_>, id: DeviceId) {
    if let Ok(errors) = gpu.total_ecc_errors(MemoryError::Uncorrected, EccCounter::Volatile) {
        listing.ecc.insert(id.clone(), errors);
    }
    listing.seen.insert(id.clone());
    let whole = whole(gpu, id.clone());
    if gpu.mig_mode().is_ok_and(|mode| mode.current == MIG_ENABLED) {
        let count = gpu.mig_device_count().unwrap_or(0).min(SLICES_MAX);
        // A place without a slice says that there is none.
        let slices = (0..count).filter_map(|index| gpu.mig_device_by_index(index).ok());
        listing.readings.extend(slices.filter_map(|slice| self::slice(&slice, &whole)));
    } else {
        listing.readings.push(whole);
    }
}

fn whole(gpu: &Handle<'_>, id: DeviceId) -> Reading {
    let memory = gpu.memory_info().ok();
    let pci = gpu.pci_info().ok().map(|pci| pci.bus_id);
    let capability = gpu.cuda_compute_capability().ok();
    let model = gpu.name().unwrap_or_else(|_| "GPU".to_owned());
    let device = Device {
        memory_bytes: memory.as_ref().map(|memory| memory.total),
        compute_capability: capability.map(|it| format!("{}.{}", it.major, it.minor)),
        numa_node: pci.as_deref().and_then(|pci| numa_node(Path::new("/sys"), pci)),
        pci,
        ..Device::plain(id.clone(), DeviceKind::Gpu, model)
    };
    Reading {
        device,
        gpu: id,
        used_bytes: memory.map(|memory| memory.used),
        pids: pids(gpu),
        minor: gpu.minor_number().ok(),
        instance: None,
    }
}

fn slice(slice: &Handle<'_>, whole: &Reading) -> Option<Reading> {
    let id = DeviceId(slice.uuid().ok()?);
    let memory_bytes = slice.attributes().ok().map(|attributes| attributes.memory_size_mb << 20);
    let device = Device {
        id,
        model: slice.name().unwrap_or_else(|_| format!("{} MIG", whole.device.model)),
        memory_bytes,
        slice_of: Some(whole.gpu.clone()),
        ..whole.device.clone()
    };
    Some(Reading {
        device,
        gpu: whole.gpu.clone(),
        used_bytes: slice.memory_info().ok().map(|memory| memory.used),
        pids: pids(slice),
        minor: whole.minor,
        instance: instance(slice),
    })
}

fn pids(device: &Handle<'_>) -> Vec<u32> {
    let processes = device.running_compute_processes().unwrap_or_default();
    processes.iter().map(|process| process.pid).collect()
}

/// The wrapper has no call for it.
#[expect(unsafe_code, reason = "a call of NVML that the wrapper lacks")]
fn instance(slice: &Handle<'_>) -> Option<u32> {
    let call = slice.nvml().lib().nvmlDeviceGetGpuInstanceId.as_ref().ok()?;
    let mut id = 0;
    // SAFETY: the handle is the library's own and still open, and `id` is a number of ours.
    let code = unsafe { call(slice.handle(), &raw mut id) };
    (code == 0).then_some(id)
}

/// The node that a PCI device hangs on; none where the machine has but one or does not say.
fn numa_node(sys: &Path, pci: &str) -> Option<u32> {
    // NVML writes the domain with eight digits, sysfs with four.
    let (domain, rest) = pci.split_once(':')?;
    let domain = u32::from_str_radix(domain, 16).ok()?;
    let folder = format!("{domain:04x}:{}", rest.to_ascii_lowercase());
    let text = std::fs::read_to_string(sys.join("bus/pci/devices").join(folder).join("numa_node")).ok()?;
    // -1: it does not say.
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numa_node_is_read_from_sysfs_or_absent() {
        let sys = tempfile::tempdir().expect("a folder");
        for (folder, text) in [("0000:1b:00.0", "1\n"), ("0001:1b:00.0", "-1\n"), ("0002:1b:00.0", "x")] {
            let folder = sys.path().join("bus/pci/devices").join(folder);
            std::fs::create_dir_all(&folder).expect("a folder");
            std::fs::write(folder.join("numa_node"), text).expect("a file");
        }
        for (pci, want) in [
            ("00000000:1B:00.0", Some(1)),
            ("00000001:1B:00.0", None),
            ("00000002:1B:00.0", None),
            ("00000003:1B:00.0", None),
            ("", None),
            ("zz:1B:00.0", None),
            ("../../..:x", None),
        ] {
            assert_eq!(numa_node(sys.path(), pci), want, "{pci}");
        }
    }

    #[test]
    fn a_machine_without_nvml_says_why() {
        let mut library = Library::new(Some("libno-such-thing.so".into()));
        assert!(!library.list().expect_err("there is none").is_empty());
        assert_eq!(library.faults(&Listing::default()), []);
    }
}
