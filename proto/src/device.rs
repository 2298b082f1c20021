//! Devices, and what a machine can do around a run.

use crate::v1;
use windlass_shared::device::{Device, DeviceKind, DeviceState};
use windlass_shared::id::DeviceId;
use windlass_shared::machine::{Containment, Isolation};
use windlass_shared::refusal::Refusal;

impl From<&Device> for v1::Device {
    fn from(device: &Device) -> Self {
        let kind = match device.kind {
            DeviceKind::Gpu => v1::DeviceKind::Gpu,
            DeviceKind::Cpu => v1::DeviceKind::Cpu,
        };
        let state = match &device.state {
            DeviceState::Free => v1::device::State::Free(v1::device::Free {}),
            DeviceState::Busy(key) => v1::device::State::Busy(key.into()),
            DeviceState::Outsider { who } => v1::device::State::Outsider(who.clone()),
            DeviceState::Quarantined { reason } => v1::device::State::Quarantined(reason.clone()),
        };
        Self {
            id: device.id.0.clone(),
            kind: kind.into(),
            model: device.model.clone(),
            memory_bytes: device.memory_bytes,
            compute_capability: device.compute_capability.clone().unwrap_or_default(),
            pci: device.pci.clone().unwrap_or_default(),
            numa_node: device.numa_node,
            slice_of: device.slice_of.as_ref().map_or_else(String::new, |id| id.0.clone()),
            state: Some(state),
        }
    }
}

impl TryFrom<v1::Device> for Device {
    type Error = Refusal;

    fn try_from(message: v1::Device) -> Result<Self, Refusal> {
        let missing = |field| Refusal::Malformed { field, problem: "it is missing".to_owned() };
        let kind = match message.kind() {
            v1::DeviceKind::Gpu => DeviceKind::Gpu,
            v1::DeviceKind::Cpu => DeviceKind::Cpu,
            v1::DeviceKind::Unspecified => return Err(missing("device kind")),
        };
        let state = match message.state.ok_or_else(|| missing("device state"))? {
            v1::device::State::Free(_) => DeviceState::Free,
            v1::device::State::Busy(key) => DeviceState::Busy(key.into()),
            v1::device::State::Outsider(who) => DeviceState::Outsider { who },
            v1::device::State::Quarantined(reason) => DeviceState::Quarantined { reason },
        };
        Ok(Self {
            id: DeviceId(message.id),
            kind,
            model: message.model,
            memory_bytes: message.memory_bytes,
            compute_capability: present(message.compute_capability),
            pci: present(message.pci),
            numa_node: message.numa_node,
            slice_of: present(message.slice_of).map(DeviceId),
            state,
        })
    }
}

/// An empty string says nothing.
pub(crate) fn present(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

impl From<Isolation> for v1::Isolation {
    fn from(level: Isolation) -> Self {
        match level {
            Isolation::None => Self::None,
            Isolation::Guarded => Self::Guarded,
            Isolation::Sealed => Self::Sealed,
        }
    }
}

/// A level; one that this version does not know is left out.
pub(crate) fn isolation(level: v1::Isolation) -> Option<Isolation> {
    match level {
        v1::Isolation::None => Some(Isolation::None),
        v1::Isolation::Guarded => Some(Isolation::Guarded),
        v1::Isolation::Sealed => Some(Isolation::Sealed),
        v1::Isolation::Unspecified => None,
    }
}

impl From<Containment> for v1::Containment {
    fn from(containment: Containment) -> Self {
        match containment {
            Containment::Cgroup => Self::Cgroup,
            Containment::PidNamespace => Self::PidNamespace,
            Containment::Subreaper => Self::Subreaper,
        }
    }
}

/// A containment; one that this version does not know is left out.
pub(crate) fn containment(containment: v1::Containment) -> Option<Containment> {
    match containment {
        v1::Containment::Cgroup => Some(Containment::Cgroup),
        v1::Containment::PidNamespace => Some(Containment::PidNamespace),
        v1::Containment::Subreaper => Some(Containment::Subreaper),
        v1::Containment::Unspecified => None,
    }
}
