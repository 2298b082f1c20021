//! Placement: a runnable attempt and the free devices become a lease with its reason, or a wait with its
//! reason. Best fit: the worker with the fewest free devices that suffice, so that large requests find
//! room.

use crate::session::{Fleet, Member};
use std::collections::BTreeSet;
use windlass_shared::bindings::Resources;
use windlass_shared::device::DeviceKind;
use windlass_shared::id::{DeviceId, WorkerId};

/// What an attempt asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// GPUs; `None`: 1 where the fleet has GPUs, else 0.
    pub gpus: Option<u32>,
    /// CPU slots where no GPU is asked for.
    pub cpu_slots: u32,
    /// Least memory of each GPU, bytes.
    pub gpu_memory_bytes: u64,
    /// A part of the model's name; empty for any.
    pub gpu_model: String,
    /// Labels that the worker must carry.
    pub labels: Vec<String>,
    /// Where it would rather run, with the reason.
    pub prefer: Option<WorkerId>,
    /// Where the machinery failed it: only if nowhere else has room (P20).
    pub avoid: BTreeSet<WorkerId>,
}

impl Ask {
    /// What a run asks for.
    pub fn run(resources: &Resources) -> Self {
        Self {
            gpus: resources.gpus,
            cpu_slots: resources.cpus.unwrap_or(1).max(1),
            gpu_memory_bytes: resources.gpu_memory.unwrap_or(0),
            gpu_model: resources.gpu_model.clone().unwrap_or_default(),
            labels: resources.labels.clone(),
            prefer: None,
            avoid: BTreeSet::new(),
        }
    }

    /// What the scripts ask for: no device unless GPUs are named, and the run's worker, where the
    /// workspace still is.
    pub fn analysis(gpus: u32, ran_on: Option<&WorkerId>) -> Self {
        Self {
            gpus: Some(gpus),
            cpu_slots: 0,
            gpu_memory_bytes: 0,
            gpu_model: String::new(),
            labels: Vec::new(),
            prefer: ran_on.cloned(),
            avoid: BTreeSet::new(),
        }
    }

    fn suits(&self, member: &Member) -> bool {
        self.labels.iter().all(|label| member.info.labels.contains(label))
    }
}

/// Where an attempt goes, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The worker.
    pub worker: WorkerId,
    /// Its name.
    pub worker_name: String,
    /// The devices leased there.
    pub devices: Vec<DeviceId>,
    /// Why there.
    pub why: String,
}

/// Places one attempt; the error says what it waits for.
pub fn place(ask: &Ask, fleet: &Fleet, is_drained: &dyn Fn(&WorkerId) -> bool) -> Result<Place, String> {
    if let Some(why) = fleet.closed() {
        return Err(format!("room on the coordinator's disk: {why}"));
    }
    if !ask.avoid.is_empty() {
        let is_out = |worker: &WorkerId| is_drained(worker) || ask.avoid.contains(worker);
        let prefer = ask.prefer.clone().filter(|worker| !ask.avoid.contains(worker));
        if let Ok(place) = place_on_any(&Ask { prefer, ..ask.clone() }, fleet, &is_out) {
            return Ok(place);
        }
    }
    place_on_any(ask, fleet, is_drained)
}

fn place_on_any(ask: &Ask, fleet: &Fleet, is_drained: &dyn Fn(&WorkerId) -> bool) -> Result<Place, String> {
    let gpus = ask.gpus.unwrap_or(u32::from(fleet.has_gpus()));
    let (kind, count) = if gpus > 0 { (DeviceKind::Gpu, gpus) } else { (DeviceKind::Cpu, ask.cpu_slots) };
    if count == 0 {
        return without_devices(ask, fleet, is_drained);
    }
    if fleet.is_empty() && fleet.unwilling().is_none() {
        return Err("a worker: none is connected (`windlass worker` starts one)".to_owned());
    }
    let count = count as usize;
    for (free, worker) in fleet.by_free_devices(kind, count) {
        let Some(member) = fleet.member(worker) else { continue };
        if is_drained(worker) || !ask.suits(member) {
            continue;
        }
        let fitting: Vec<DeviceId> = member
            .free_devices(kind)
            .filter(|device| {
                kind == DeviceKind::Cpu || device.memory_bytes.unwrap_or(u64::MAX) >= ask.gpu_memory_bytes
            })
            .filter(|device| kind == DeviceKind::Cpu || device.model.contains(&ask.gpu_model))
            .map(|device| device.id.clone())
            .take(count)
            .collect();
        if fitting.len() == count {
            let why =
                format!("best fit: {count} of {free} free {} on {}", noun(kind, free), member.info.name);
            return Ok(Place {
                worker: worker.clone(),
                worker_name: member.info.name.clone(),
                devices: fitting,
                why,
            });
        }
    }
    let most = fleet.most_free_devices(kind);
    Err(format!(
        "{count} free {} that suit it on one worker; the most free on one is {most}{}",
        noun(kind, count),
        unwilling(fleet)
    ))
}

fn without_devices(
    ask: &Ask,
    fleet: &Fleet,
    is_drained: &dyn Fn(&WorkerId) -> bool,
) -> Result<Place, String> {
    let here = |worker: &WorkerId, why: String| {
        let member = fleet.member(worker).filter(|member| member.takes_work())?;
        Some(Place {
            worker: worker.clone(),
            worker_name: member.info.name.clone(),
            devices: Vec::new(),
            why,
        })
    };
    // A drained worker finishes what it has: the scripts of its own run belong to that.
    if let Some(worker) = &ask.prefer
        && let Some(place) = here(worker, "the run's workspace is there".to_owned())
    {
        return Ok(place);
    }
    let other = fleet.ready().find(|worker| !is_drained(worker));
    other
        .and_then(|worker| {
            here(worker, "away from the run's worker: rebuilt from tree and results".to_owned())
        })
        .ok_or_else(|| format!("a worker that is connected and not drained{}", unwilling(fleet)))
}

/// A worker that would be there but takes nothing new says why.
fn unwilling(fleet: &Fleet) -> String {
    let said =
        fleet.unwilling().map(|(member, why)| format!("; {} takes nothing new: {why}", member.info.name));
    said.unwrap_or_default()
}

fn noun(kind: DeviceKind, count: usize) -> &'static str {
    match (kind, count) {
        (DeviceKind::Gpu, 1) => "GPU",
        (DeviceKind::Gpu, _) => "GPUs",
        (DeviceKind::Cpu, 1) => "CPU slot",
        (DeviceKind::Cpu, _) => "CPU slots",
    }
}

#[cfg(test)]
mod tests;
