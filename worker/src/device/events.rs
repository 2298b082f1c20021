//! NVML's events: XIDs and double-bit ECC errors. They are asked for at each look and never waited for. The
//! wrapper drops the MIG ids of an event, so the library's own calls are used.

use super::reading::Fault;
use nvml_wrapper::Nvml;
use nvml_wrapper::bitmasks::event::EventTypes;
use std::collections::BTreeSet;
use windlass_shared::id::DeviceId;

/// XIDs that the program on the GPU brought upon itself: bad addresses, a reset of its engine, a stop of
/// its channel, its own time limit.
const XIDS_OF_THE_PROGRAM: [u64; 6] = [13, 31, 43, 45, 68, 109];
/// Events taken at one look: a storm of them says the same thing again and again.
const TAKEN_MAX: usize = 256;
/// NVML's word for an event of the whole GPU.
const NO_INSTANCE: u32 = u32::MAX;
/// NVML's word for an XID that it does not know.
const XID_UNKNOWN: u64 = 999;

/// A set of registered GPUs.
#[derive(Debug)]
pub(super) struct Events {
    /// The address of NVML's set; none where it makes none.
    set: Option<usize>,
    registered: BTreeSet<DeviceId>,
}

/// What to make of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blame {
    Program,
    Gpu,
}

impl Events {
    /// Makes a set. GPUs are registered when they are first seen.
    #[expect(unsafe_code, reason = "the wrapper's own set drops the MIG ids of an event")]
    pub fn open(nvml: &Nvml) -> Self {
        let create = nvml.lib().nvmlEventSetCreate.as_ref().ok();
        let set = create.and_then(|create| {
            let mut set = std::ptr::null_mut();
            // SAFETY: NVML is open, and `set` is a pointer of ours that it fills.
            let code = unsafe { create(&raw mut set) };
            (code == 0 && !set.is_null()).then(|| set.expose_provenance())
        });
        Self { set, registered: BTreeSet::new() }
    }

    /// Takes what has happened on these GPUs, and leaves out what was the program's own fault.
    #[expect(unsafe_code, reason = "the wrapper's own wait drops the MIG ids of an event")]
    pub fn take(&mut self, nvml: &Nvml, gpus: &BTreeSet<DeviceId>) -> Vec<Fault> {
        let Some(set) = self.set else { return Vec::new() };
        for gpu in gpus {
            // Once, whether it can tell or not.
            if self.registered.insert(gpu.clone()) {
                register(nvml, gpu, set);
            }
        }
        let Ok(wait) = nvml.lib().nvmlEventSetWait_v2.as_ref() else { return Vec::new() };
        let mut faults = Vec::new();
        for _ in 0..TAKEN_MAX {
            // SAFETY: all of it is numbers and a handle, for which zero is a value.
            let mut data = unsafe { std::mem::zeroed() };
            // SAFETY: the set is NVML's own and still open; no time to wait makes it answer at once.
            let code = unsafe { wait(std::ptr::with_exposed_provenance_mut(set), &raw mut data, 0) };
            if code != 0 {
                break;
            }
            // SAFETY: NVML gave the handle, and `nvml` outlives its use here.
            let device = unsafe { nvml_wrapper::Device::new(data.device, nvml) };
            let Ok(uuid) = device.uuid().or_else(|_| lost_gpu(gpus)) else { continue };
            let kind = EventTypes::from_bits_truncate(data.eventType);
            let (blame, what) = judge(kind, data.eventData);
            match blame {
                Blame::Program => tracing::info!(device = uuid, what, "a program's own fault"),
                Blame::Gpu => {
                    tracing::warn!(device = uuid, what, "a GPU has failed");
                    let instance = Some(data.gpuInstanceId).filter(|&id| id != NO_INSTANCE);
                    faults.push(Fault { gpu: DeviceId(uuid), instance, what });
                }
            }
        }
        faults
    }

    /// Gives the set back.
    #[expect(unsafe_code, reason = "the set was made by the library's own call")]
    pub fn close(self, nvml: &Nvml) {
        if let (Some(set), Ok(free)) = (self.set, nvml.lib().nvmlEventSetFree.as_ref()) {
            // SAFETY: the set is NVML's own, and this is its last use.
            unsafe { free(std::ptr::with_exposed_provenance_mut(set)) };
        }
    }
}

/// A GPU that has fallen off the bus may not say who it is any more; where there is but one, it is that.
fn lost_gpu(gpus: &BTreeSet<DeviceId>) -> Result<String, ()> {
    match gpus.first() {
        Some(only) if gpus.len() == 1 => Ok(only.0.clone()),
        _ => Err(()),
    }
}

#[expect(unsafe_code, reason = "the set was made by the library's own call")]
fn register(nvml: &Nvml, gpu: &DeviceId, set: usize) {
    let Ok(device) = nvml.device_by_uuid(gpu.as_str()) else { return };
    let Ok(supported) = device.supported_event_types() else { return };
    let wanted = supported & (EventTypes::CRITICAL_XID_ERROR | EventTypes::DOUBLE_BIT_ECC_ERROR);
    let Ok(call) = nvml.lib().nvmlDeviceRegisterEvents.as_ref() else { return };
    // SAFETY: handle and set are NVML's own and still open.
    let code = unsafe { call(device.handle(), wanted.bits(), std::ptr::with_exposed_provenance_mut(set)) };
    if code != 0 {
        tracing::debug!(device = %gpu, code, "this GPU tells no events");
    }
}

fn judge(kind: EventTypes, data: u64) -> (Blame, String) {
    if kind.contains(EventTypes::DOUBLE_BIT_ECC_ERROR) {
        return (Blame::Gpu, "a double-bit ECC error".to_owned());
    }
    let what = match data {
        79 => "XID 79: it has fallen off the bus".to_owned(),
        XID_UNKNOWN => "an XID that NVML does not know".to_owned(),
        xid => format!("XID {xid}"),
    };
    let blame = if XIDS_OF_THE_PROGRAM.contains(&data) { Blame::Program } else { Blame::Gpu };
    (blame, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xids_of_the_program_are_no_faults_of_the_gpu() {
        let check = |kind, data, want| assert_eq!(judge(kind, data).0, want, "{kind:?} {data}");
        for xid in [13, 31, 43, 45, 68, 109] {
            check(EventTypes::CRITICAL_XID_ERROR, xid, Blame::Program);
            // The same number means nothing of an ECC event.
            check(EventTypes::DOUBLE_BIT_ECC_ERROR, xid, Blame::Gpu);
        }
        for xid in [0, 48, 62, 63, 74, 79, 92, 94, 95, 119, XID_UNKNOWN] {
            check(EventTypes::CRITICAL_XID_ERROR, xid, Blame::Gpu);
        }
    }
}
