//! Placement: a runnable attempt and the free devices become a lease with its reason, or a wait with its
//! reason. Best fit: the worker with the fewest free devices that suffice, so that large requests find
//! room; and what needs several devices at once has a worker kept for it ([`Reservations`]).

mod ask;
mod fit;
mod reserve;
mod wait;

pub use ask::Ask;
pub use reserve::{RESERVATIONS_MAX, Reservations};
pub use wait::why_not;

use crate::session::{Fleet, Member};
use fit::fit;
use std::fmt::Write;
use windlass_shared::device::DeviceKind;
use windlass_shared::id::{CampaignId, DeviceId, WorkerId};

/// About what a reason takes beside the worker's name.
const WHY_BYTES: usize = 48;

/// What an attempt is placed among, and for whom.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// The workers.
    pub fleet: &'a Fleet,
    /// Whether a worker takes nothing new.
    pub is_drained: &'a dyn Fn(&WorkerId) -> bool,
    /// Workers that are kept for somebody.
    pub reservations: &'a Reservations,
    /// Whose attempt it is.
    pub campaign: &'a CampaignId,
    /// That campaign's priority.
    pub priority: i32,
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

/// Places one attempt; [`why_not`] says what one that finds no place waits for.
pub fn place(ask: &Ask, scene: &Scene<'_>) -> Option<Place> {
    if scene.fleet.closed().is_some() {
        return None;
    }
    if ask.avoid.is_empty() {
        return place_on_any(ask, scene);
    }
    let is_out = |worker: &WorkerId| (scene.is_drained)(worker) || ask.avoid.contains(worker);
    let prefer = ask.prefer.clone().filter(|worker| !ask.avoid.contains(worker));
    let elsewhere = Scene { is_drained: &is_out, ..*scene };
    place_on_any(&Ask { prefer, ..ask.clone() }, &elsewhere).or_else(|| place_on_any(ask, scene))
}

fn place_on_any(ask: &Ask, scene: &Scene<'_>) -> Option<Place> {
    let (kind, count) = ask.devices(scene.fleet);
    if count == 0 {
        return without_devices(ask, scene);
    }
    for (free, worker) in scene.fleet.by_free_devices(kind, count) {
        let Some(member) = scene.fleet.member(worker) else { continue };
        if (scene.is_drained)(worker) || scene.reservations.bars(worker, scene.campaign, scene.priority) {
            continue;
        }
        let Ok(devices) = fit(ask, kind, count, member) else { continue };
        let why = why(ask, member, kind, count, free);
        return Some(Place { worker: worker.clone(), worker_name: member.info.name.clone(), devices, why });
    }
    None
}

fn why(ask: &Ask, member: &Member, kind: DeviceKind, count: usize, free: usize) -> String {
    let (name, noun) = (&member.info.name, noun(kind, free));
    // Once for each placement of a full pass: one allocation, not one for each part.
    let mut why = String::with_capacity(WHY_BYTES + name.len());
    let written = write!(why, "best fit: {count} of {free} free {noun} on {name}");
    debug_assert!(written.is_ok(), "a string takes it all");
    if let Some(model) = &ask.device_model {
        why.push_str("; ");
        why.push_str(model);
        why.push_str(", as the baseline had");
    }
    if ask.avoid.contains(&member.info.id) {
        why.push_str("; it failed this iteration before, and nowhere else is room");
    }
    why
}

fn without_devices(ask: &Ask, scene: &Scene<'_>) -> Option<Place> {
    let here = |worker: &WorkerId, why: String| {
        let is_there = |member: &&Member| member.is_ready() && member.info.unwilling.is_none();
        let member = scene.fleet.member(worker).filter(is_there)?;
        (ask.isolation_suits(member) && ask.secrets_suit(member)).then(|| Place {
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
        return Some(place);
    }
    let others = scene.fleet.ready().filter(|worker| !(scene.is_drained)(worker));
    others
        .filter_map(|worker| {
            here(worker, "away from the run's worker: rebuilt from tree and results".to_owned())
        })
        .next()
}

/// The worker that a request for several devices at once should have kept for it: it would suit when what
/// runs there has ended, and has the most free devices now. None for what any single device can serve.
pub fn room(ask: &Ask, scene: &Scene<'_>) -> Option<WorkerId> {
    let (kind, count) = ask.devices(scene.fleet);
    if count < 2 {
        return None;
    }
    let has_room = |worker: &WorkerId| {
        let is_taken = scene.reservations.holder(worker).is_some_and(|holder| holder != scene.campaign);
        let member = scene.fleet.member(worker).filter(|member| member.is_ready());
        !is_taken
            && !(scene.is_drained)(worker)
            && member.is_some_and(|member| fit::could_fit(ask, kind, count, member))
    };
    // What is kept already stays kept: moving on would begin the wait anew.
    if let Some(kept) = scene.reservations.of(scene.campaign).filter(|kept| has_room(kept)) {
        return Some(kept.clone());
    }
    scene.fleet.by_most_free_devices(kind).find(|worker| has_room(worker)).cloned()
}

pub(crate) fn noun(kind: DeviceKind, count: usize) -> &'static str {
    match (kind, count) {
        (DeviceKind::Gpu, 1) => "GPU",
        (DeviceKind::Gpu, _) => "GPUs",
        (DeviceKind::Cpu, 1) => "CPU slot",
        (DeviceKind::Cpu, _) => "CPU slots",
    }
}

#[cfg(test)]
mod tests;
