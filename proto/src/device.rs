//! Devices.

use crate::v1;
use windlass_shared::device::{Device, DeviceKind, DeviceState};
use windlass_shared::id::DeviceId;
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
            state,
        })
    }
}
