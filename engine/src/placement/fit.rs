//! Whether one worker suits an ask, with which devices, or what it lacks.

use super::Ask;
use crate::session::Member;
use windlass_shared::device::{Device, DeviceKind};
use windlass_shared::id::DeviceId;

/// The first thing that a worker lacks, in the order in which it is looked for: what will not change by
/// itself first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lack {
    /// A label.
    Label,
    /// A secret.
    Secret,
    /// The isolation level.
    Isolation,
    /// As many devices of the kind, model and memory, in whatever state.
    Devices,
    /// Host memory or CPUs in all.
    Machine,
    /// It takes nothing new, by its own word.
    Unwilling,
    /// Enough of its devices are not quarantined and not used by outsiders.
    Healthy,
    /// Enough of them are free.
    Free,
    /// Host memory or CPUs that other leases have not set aside.
    Room,
}

/// The devices to lease.
pub(super) fn fit(ask: &Ask, kind: DeviceKind, count: usize, member: &Member) -> Result<Vec<DeviceId>, Lack> {
    if let Some(lack) = unfit(ask, kind, count, member) {
        return Err(lack);
    }
    let mut free: Vec<&Device> = Vec::with_capacity(member.devices.len());
    free.extend(member.free_devices(kind).filter(|device| suits(ask, kind, count, device)));
    if free.len() < count {
        let healthy = member.healthy_devices(kind).filter(|device| suits(ask, kind, count, device)).count();
        return Err(if healthy < count { Lack::Healthy } else { Lack::Free });
    }
    if ask.memory_bytes > member.free_memory_bytes() || !cpus_suffice(ask, kind, member.free_cpus()) {
        return Err(Lack::Room);
    }
    Ok(choose(free, count))
}

/// Whether it would fit if nothing of ours ran there.
pub(super) fn could_fit(ask: &Ask, kind: DeviceKind, count: usize, member: &Member) -> bool {
    let healthy = || member.healthy_devices(kind).filter(|device| suits(ask, kind, count, device)).count();
    unfit(ask, kind, count, member).is_none() && healthy() >= count
}

fn unfit(ask: &Ask, kind: DeviceKind, count: usize, member: &Member) -> Option<Lack> {
    if !ask.labels.iter().all(|label| member.info.labels.contains(label)) {
        return Some(Lack::Label);
    }
    if !ask.secrets_suit(member) {
        return Some(Lack::Secret);
    }
    if !ask.isolation_suits(member) {
        return Some(Lack::Isolation);
    }
    let of_kind = member.devices.iter().filter(|device| device.kind == kind);
    if of_kind.filter(|device| suits(ask, kind, count, device)).take(count).count() < count {
        return Some(Lack::Devices);
    }
    if ask.memory_bytes > member.info.memory_bytes.unwrap_or(0)
        || !cpus_suffice(ask, kind, Some(member.info.cpus).filter(|&cpus| cpus > 0))
    {
        return Some(Lack::Machine);
    }
    member.info.unwilling.as_ref().map(|_| Lack::Unwilling)
}

/// A worker that does not say how many CPUs it has is not judged by them.
fn cpus_suffice(ask: &Ask, kind: DeviceKind, cpus: Option<u32>) -> bool {
    kind == DeviceKind::Cpu || cpus.is_none_or(|cpus| ask.cpus <= cpus)
}

fn suits(ask: &Ask, kind: DeviceKind, count: usize, device: &Device) -> bool {
    if let Some(models) = &ask.device_model
        && models != &device.model
        && !models.split(", ").any(|model| model == device.model)
    {
        return false;
    }
    if kind == DeviceKind::Cpu {
        return true;
    }
    // One process can use one MIG slice: CUDA shows it no second.
    let is_usable = count == 1 || device.slice_of.is_none();
    is_usable
        && device.memory_bytes.unwrap_or(u64::MAX) >= ask.gpu_memory_bytes
        && (ask.gpu_model.is_empty() || device.model.contains(&ask.gpu_model))
}

/// The tightest: those with the least memory that suffices, of one NUMA node where one has enough, and of the
/// node that has the fewest left.
fn choose(free: Vec<&Device>, count: usize) -> Vec<DeviceId> {
    let on = |node: Option<u32>| free.iter().filter(move |device| device.numa_node == node);
    let memory = |device: &Device| device.memory_bytes.unwrap_or(u64::MAX);
    if count == 1 {
        // What is asked for most: without lists. Any node that has one has enough.
        let tightest = free.iter().min_by_key(|it| (on(it.numa_node).count(), it.numa_node, memory(it)));
        return tightest.map(|device| device.id.clone()).into_iter().collect();
    }
    let nodes = free.iter().map(|device| device.numa_node);
    let enough = nodes.map(|node| (on(node).count(), node)).filter(|(there, _)| *there >= count).min();
    let mut candidates: Vec<&Device> = match enough {
        Some((_, node)) => on(node).copied().collect(),
        None => free,
    };
    // Stable: among equals the worker's own order counts.
    candidates.sort_by_key(|device| memory(device));
    candidates.into_iter().take(count).map(|device| device.id.clone()).collect()
}
