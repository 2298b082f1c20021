//! Workers made of messages.

use windlass_shared::device::{Device, DeviceKind, Load, WorkerInfo};
use windlass_shared::id::{Incarnation, SessionId, WorkerId};
use windlass_shared::session::{AttemptReport, Report};

/// A worker with this many GPUs, all free.
pub fn gpu_worker(number: usize, gpus: usize) -> (WorkerInfo, Vec<Device>) {
    let id = WorkerId(format!("worker-{number:05}"));
    let info = WorkerInfo::named(id, format!("node{number:05}"), env!("CARGO_PKG_VERSION").to_owned());
    let gpu = |index| {
        let id = format!("GPU-{number:08x}-0000-0000-0000-{index:012x}");
        let plain = Device::plain(id.as_str().into(), DeviceKind::Gpu, "NVIDIA H200".to_owned());
        Device { memory_bytes: Some(140 << 30), ..plain }
    };
    (info, (0..gpus).map(gpu).collect())
}

/// What such a worker says.
pub fn report(
    (info, devices): &(WorkerInfo, Vec<Device>),
    incarnation: Option<Incarnation>,
    number: u64,
    attempts: Vec<AttemptReport>,
) -> Report {
    Report {
        worker: info.clone(),
        incarnation,
        session: SessionId(format!("session of {}", info.id)),
        number,
        seen: number.saturating_sub(1),
        devices: devices.clone(),
        load: Load::default(),
        attempts,
    }
}
