//! What an attempt asks for, and why each worker does not give it.

use super::sight::Sight;
use super::{Answer, count};
use crate::campaign::Campaign;
use crate::core::Core;
use crate::placement::Ask;
use crate::session::{Member, Presence};
use windlass_shared::device::{Device, DeviceKind, DeviceState};
use windlass_shared::id::WorkerId;
use windlass_shared::time::Time;

/// Workers that are told one by one.
const WORKERS_MAX: usize = 16;
/// Devices of one worker that are told one by one: a machine full of GPUs.
const DEVICES_MAX: usize = 16;
const GIB: u64 = 1 << 30;

/// Tells what is asked for, and of each worker what it has free and why not more.
pub(super) fn tell_wait(core: &Core, now: Time, campaign: &Campaign, ask: &Ask, answer: &mut Answer<'_>) {
    let fleet = core.soft().fleet();
    let (kind, wanted) = ask.devices(fleet);
    answer.say(format!("it asks for {}", asked(ask, kind, wanted))).figure("devices", wanted);
    let members: Vec<(&WorkerId, &Member)> = fleet.members().collect();
    if members.is_empty() {
        answer.say("no worker is connected: `windlass worker` starts one").figure("workers", 0);
    }
    for (id, member) in members.iter().take(WORKERS_MAX) {
        tell_worker(core, now, (campaign, ask, kind), (id, member), answer);
    }
    if members.len() > WORKERS_MAX {
        answer.say(format!("and {} more workers have no room either", members.len() - WORKERS_MAX));
    }
}

fn asked(ask: &Ask, kind: DeviceKind, wanted: usize) -> String {
    if wanted == 0 {
        return "no device, only a worker that is there".to_owned();
    }
    let mut text = format!("{} on one worker", count(wanted, noun(kind)));
    if kind == DeviceKind::Gpu && ask.gpu_memory_bytes > 0 {
        text.push_str(&format!(", each with at least {} GiB", ask.gpu_memory_bytes.div_ceil(GIB)));
    }
    if kind == DeviceKind::Gpu && !ask.gpu_model.is_empty() {
        text.push_str(&format!(", of a model like {:?}", ask.gpu_model));
    }
    if !ask.labels.is_empty() {
        text.push_str(&format!(", labelled {}", ask.labels.join(", ")));
    }
    text
}

fn tell_worker(
    core: &Core,
    now: Time,
    (campaign, ask, kind): (&Campaign, &Ask, DeviceKind),
    (id, member): (&WorkerId, &Member),
    answer: &mut Answer<'_>,
) {
    let name = &member.info.name;
    if let Some(why) = closed_to_new_work(core, now, id, member) {
        answer.say(format!("worker {name} takes nothing new: {why}"));
        return;
    }
    let lacking: Vec<&str> =
        ask.labels.iter().filter(|label| !member.info.labels.contains(label)).map(String::as_str).collect();
    if !lacking.is_empty() {
        answer.say(format!("worker {name} lacks the label {}", lacking.join(", ")));
        return;
    }
    if !ask.secrets_suit(member) {
        answer.say(format!("worker {name} lacks the secret {}", ask.secrets.join(", ")));
        return;
    }
    if let Some(level) = ask.isolation.filter(|_| !ask.isolation_suits(member)) {
        answer.say(format!("worker {name} cannot run it `{}`", level.as_str()));
        return;
    }
    let kept = core.soft().reservations();
    if kept.bars(id, &campaign.id, campaign.bindings.windlass.priority) {
        let another = || "another campaign".to_owned();
        let holder = kept.holder(id).map_or_else(another, |holder| answer.sight().campaign(holder));
        answer.say(format!("worker {name} is kept for {holder}, which waits for several devices at once"));
        return;
    }
    let sight = answer.sight();
    let of_kind: Vec<&Device> = member.devices.iter().filter(|device| device.kind == kind).collect();
    let taken: Vec<String> = of_kind
        .iter()
        .filter_map(|device| occupied(member, device, sight).or_else(|| unfit(ask, device)))
        .collect();
    let free = of_kind.len() - taken.len();
    let mut text =
        format!("worker {name} has {free} of {} that suit it free", count(of_kind.len(), noun(kind)));
    if !taken.is_empty() {
        text.push_str(&format!(": {}", told(&taken)));
    }
    answer.say(text).figure("free", free).figure("devices", of_kind.len());
    if ask.memory_bytes > 0 {
        answer
            .figure("memory_asked", format!("{} GiB", ask.memory_bytes.div_ceil(GIB)))
            .figure("memory_free", format!("{} GiB", member.free_memory_bytes() / GIB));
    }
    if let Some(free) = member.free_cpus().filter(|_| ask.cpus > 0 && kind == DeviceKind::Gpu) {
        answer.figure("cpus_asked", ask.cpus).figure("cpus_free", free);
    }
}

/// Why a worker is given nothing new, if it is not.
pub(super) fn closed_to_new_work(core: &Core, now: Time, id: &WorkerId, member: &Member) -> Option<String> {
    let silent_s = now.mono_ms.saturating_sub(member.last_word_ms) / 1000;
    match member.presence {
        Presence::Lost => return Some(format!("it is lost, its last word was {silent_s} s ago")),
        Presence::Suspected => {
            return Some(format!("its connection broke, its last word was {silent_s} s ago"));
        }
        Presence::Ready => {}
    }
    if let Some(reason) = core.durable().drained.get(id) {
        return Some(format!("it is drained, {reason}; `windlass undrain {}` ends that", member.info.name));
    }
    member.info.unwilling.as_ref().map(|why| format!("by its own word, {why}"))
}

/// Why a device cannot be leased at all, if it cannot.
pub(super) fn occupied(member: &Member, device: &Device, sight: Sight<'_>) -> Option<String> {
    let id = &device.id;
    match (&device.state, member.holder(id)) {
        (DeviceState::Quarantined { reason }, _) => Some(format!(
            "{id} is quarantined [I9], {reason} (`windlass device release {} {id}` frees it)",
            member.info.name
        )),
        (DeviceState::Outsider { who }, _) if sight.is_whole() => {
            Some(format!("{id} is used by a process that is not ours, {who}"))
        }
        (DeviceState::Outsider { .. }, _) => Some(format!("{id} is used by a process that is not ours")),
        (DeviceState::Busy(key), _) => Some(format!("{id} runs {}", sight.attempt(&key.id))),
        (DeviceState::Free, Some(attempt)) => Some(format!("{id} is leased to {}", sight.attempt(attempt))),
        (DeviceState::Free, None) => None,
    }
}

/// Why a free device does not suit an ask, if it does not.
fn unfit(ask: &Ask, device: &Device) -> Option<String> {
    if let Some(models) = &ask.device_model
        && models != &device.model
        && !models.split(", ").any(|model| model == device.model)
    {
        return Some(format!("{} is a {}, and the baseline ran on {models}", device.id, device.model));
    }
    if device.kind == DeviceKind::Cpu {
        return None;
    }
    let memory_bytes = device.memory_bytes.unwrap_or(u64::MAX);
    if memory_bytes < ask.gpu_memory_bytes {
        return Some(format!("{} has {} GiB", device.id, memory_bytes / GIB));
    }
    (!device.model.contains(&ask.gpu_model)).then(|| format!("{} is a {}", device.id, device.model))
}

/// A bounded list.
pub(super) fn told(all: &[String]) -> String {
    let mut text = all.iter().take(DEVICES_MAX).cloned().collect::<Vec<_>>().join("; ");
    if all.len() > DEVICES_MAX {
        text.push_str(&format!("; and {} more", all.len() - DEVICES_MAX));
    }
    text
}

fn noun(kind: DeviceKind) -> &'static str {
    match kind {
        DeviceKind::Gpu => "GPU",
        DeviceKind::Cpu => "CPU slot",
    }
}
