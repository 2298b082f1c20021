//! What an open iteration does or waits for; a decided one is told from its records.

use super::sight::Sight;
use super::{Answer, decided, devices, order, seconds};
use crate::campaign::{Campaign, Due, Iteration};
use crate::core::Core;
use crate::gate::facts::Wanted;
use windlass_shared::attempt::{Kind, Phase};
use windlass_shared::id::IterationNumber;
use windlass_shared::record::Record;
use windlass_shared::refusal::Refusal;
use windlass_shared::time::Time;
use windlass_shared::view::Explanation;

/// Explains an iteration.
pub(super) fn explain(
    core: &Core,
    now: Time,
    (campaign, sight): (&Campaign, Sight<'_>),
    number: IterationNumber,
    records: &[Record],
) -> Result<Explanation, Refusal> {
    let mut answer = Answer::new(sight);
    let title = match (campaign.open.get(&number), campaign.decided.get(&number)) {
        (Some(open), _) => {
            tell_open(core, now, campaign, open, &mut answer);
            campaign.title(open.lever)
        }
        (_, Some(_)) => {
            decided::tell(campaign, records, &mut answer);
            decided::tell_follow_ups(campaign, number, &mut answer);
            if let Some(settled) = campaign.settled.get(&number).filter(|it| it.has_follow_ups()) {
                tell_open(core, now, campaign, settled, &mut answer);
            }
            decided::title(records)
        }
        _ => {
            let name = format!("{number} of {}", campaign.id);
            return Err(Refusal::NotFound { what: "iteration", name });
        }
    };
    Ok(answer.about(format!("iteration {number} of {} ({})", campaign.id, title)))
}

/// Tells what an open iteration does or waits for.
pub(super) fn tell_open(
    core: &Core,
    now: Time,
    campaign: &Campaign,
    open: &Iteration,
    answer: &mut Answer<'_>,
) {
    if campaign.is_stopped() && !open.is_settled {
        answer.rule("P32", "its campaign was stopped, so it will not be decided");
    } else if open.is_cancelled {
        answer.rule("P10", "its owner has cancelled it: it will be a crash that blames nobody");
    }
    if open.infrastructure_failures > 0 {
        let detail = open.last_infrastructure.as_deref().unwrap_or("the machinery failed");
        let on: Vec<&str> = open.failed_on.iter().map(|worker| worker.as_str()).collect();
        answer
            .rule(
                "P20",
                format!("the machinery failed it ({detail}) on {}; it is run again elsewhere", on.join(", ")),
            )
            .figure("failures", open.infrastructure_failures)
            .figure("tries", crate::campaign::INFRASTRUCTURE_TRIES);
    }
    if open.live.is_some() {
        return tell_live(core, now, open, answer);
    }
    if campaign.is_stopped() {
        return;
    }
    let Some(lane) = core.lane(&campaign.id, open.number) else { return };
    match lane.due {
        Due::Device(wait) => {
            let what = lane.kind.map_or("run", kind_word);
            answer.say(format!("its {what} waits: {wait}"));
            if let Some(ask) = &lane.ask {
                devices::tell_wait(core, now, campaign, ask, answer);
                order::tell_before(core, now, campaign, answer);
            }
        }
        Due::Quota(wait) => {
            let what = lane.kind.map_or("run", kind_word);
            answer.say(format!("its {what} waits for {wait}"));
            order::tell_holders(core, campaign, answer);
        }
        Due::Nothing(wait) => {
            answer.say(format!("it waits: {wait}"));
        }
        Due::Facts(Wanted::Pull(_)) => {
            answer.rule(
                "P39",
                "another lane's was kept since it began: whether the two conflict is being looked at",
            );
        }
        Due::Facts(wanted) if core.soft().gathering_rests(&wanted.key()) => {
            answer.rule("P19", "its lever's fix cannot be read; it is tried again every 5 s, and the coordinator's log says why");
        }
        Due::Facts(_) => {
            answer.rule("P19", "its run failed, and a fix that its lever carries is being looked at");
        }
        Due::Records(_) if core.soft().step_rests(&campaign.id) => {
            answer.rule(
                "I16",
                "its next step names a blob that is not in the store; it is tried again every 5 s",
            );
        }
        Due::Records(_) => {
            answer.say("its next step is being recorded");
        }
    }
}

fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Run => "run",
        Kind::Analysis => "analysis",
        Kind::Score => "scorer",
    }
}

fn tell_live(core: &Core, now: Time, open: &Iteration, answer: &mut Answer<'_>) {
    let Some(live) = &open.live else { return };
    let member = core.soft().fleet().member(&live.worker);
    let phase = member.and_then(|member| member.attempts.get(&live.key));
    let silent_ms = member.map_or(0, |member| now.mono_ms.saturating_sub(member.last_word_ms));
    let (doing, elapsed_ms) = match phase {
        None => ("is leased and on its way to", None),
        Some(Phase::Preparing) => ("is being prepared on", None),
        Some(Phase::Running { elapsed_ms }) => ("runs on", Some(elapsed_ms.saturating_add(silent_ms))),
        Some(Phase::Collecting | Phase::Ended(_)) => ("has ended and is being collected on", None),
    };
    let devices: Vec<&str> = live.devices.iter().map(|device| device.as_str()).collect();
    let on = if devices.is_empty() { String::new() } else { format!(" [{}]", devices.join(" ")) };
    let kind = kind_word(live.kind);
    let number = live.key.id.number;
    answer.say(format!("attempt {number}, its {kind}, {doing} {}{on}: {}", live.worker_name, live.why));
    answer.rule("P16", "its gate ends it, whoever else is gone");
    answer
        .figure("budget", seconds(live.order.soft_limit_ms))
        .figure("killed_at", seconds(live.order.hard_limit_ms));
    if let Some(elapsed_ms) = elapsed_ms {
        answer.figure("elapsed", seconds(elapsed_ms));
    }
    if let Some(why) = member.and_then(|member| devices::closed_to_new_work(core, now, &live.worker, member))
    {
        answer.say(format!("its worker takes nothing new: {why}"));
    }
}
