//! What a worker has, and why each of its devices is or is not leased.

use super::Answer;
use super::devices::{closed_to_new_work, occupied};
use super::sight::Sight;
use crate::core::{Core, DRAIN_AFTER};
use windlass_shared::attempt::Phase;
use windlass_shared::device::{Device, DeviceKind};
use windlass_shared::id::WorkerId;
use windlass_shared::time::Time;
use windlass_shared::view::Explanation;

const GIB: u64 = 1 << 30;

/// Explains a worker.
pub(super) fn explain(core: &Core, now: Time, id: &WorkerId, sight: Sight<'_>) -> Explanation {
    let mut answer = Answer::new(sight);
    let Some(member) = core.soft().fleet().member(id) else {
        let drained = core.durable().drained.get(id).map_or("", String::as_str);
        answer.say(format!("it is drained ({drained}) and has not spoken since the coordinator started"));
        return answer.about(format!("worker {id}"));
    };
    let silent_ms = now.mono_ms.saturating_sub(member.last_word_ms);
    let closed = closed_to_new_work(core, now, id, member);
    match &closed {
        Some(why) => answer.say(format!("it takes nothing new: {why}")),
        None => answer.say("it is ready for work"),
    };
    answer
        .figure("silent", super::seconds(silent_ms))
        .figure("lost_after", super::seconds(core.soft().fleet().lease_period_ms()))
        .figure("version", &member.info.version);
    if let Some(failures) = core.durable().failures_in_a_row.get(id) {
        answer
            .rule(
                "P20",
                format!("its last attempts failed through no fault of their own, {failures} in a row"),
            )
            .figure("in_a_row", failures)
            .figure("drained_at", DRAIN_AFTER);
    }
    if member.devices.is_empty() {
        answer.say("it offers no device");
    }
    for device in &member.devices {
        let text = occupied(member, device, sight).unwrap_or_else(|| match closed {
            Some(_) => format!("{} was free by the worker's last word", device.id),
            None => format!("{} is free: nothing that waits fits it", device.id),
        });
        answer.say(text).figure("device", describe(device));
    }
    for (key, phase) in &member.attempts {
        let words = match phase {
            Phase::Preparing => "is being prepared".to_owned(),
            Phase::Running { elapsed_ms } => {
                format!("has run for {}", super::seconds(elapsed_ms.saturating_add(silent_ms)))
            }
            Phase::Collecting => "has ended, its results are being collected".to_owned(),
            Phase::Ended(outcome) => format!("has ended {}, and is not acknowledged yet", outcome.ending),
        };
        answer.say(format!("attempt {} {words}", key.id)).figure("fence", key.fence);
    }
    answer.about(format!("worker {} ({id})", member.info.name))
}

fn describe(device: &Device) -> String {
    match (device.kind, device.memory_bytes) {
        (DeviceKind::Gpu, Some(bytes)) => format!("{}, {} GiB", device.model, bytes / GIB),
        _ => device.model.clone(),
    }
}
