//! Why a campaign moves, or what it waits for.

use super::sight::Sight;
use super::{Answer, count, iteration, lever};
use crate::campaign::{Campaign, Due};
use crate::core::Core;
use crate::gate::facts::Wanted;
use windlass_shared::record::{PauseReason, StopReason};
use windlass_shared::time::Time;
use windlass_shared::view::{CampaignState, Explanation};

/// Levers in line that are told one by one: a page.
const LEVERS_MAX: usize = 8;

/// Explains a campaign.
pub(super) fn explain(core: &Core, now: Time, campaign: &Campaign, sight: Sight<'_>) -> Explanation {
    let mut answer = Answer::new(sight);
    standing(campaign, &mut answer);
    if !campaign.is_stopped() {
        for open in campaign.open.values() {
            let pulls = match open.lever {
                Some(lever) => format!("it tests {lever}, {}", campaign.title(open.lever)),
                None => "it runs the baseline".to_owned(),
            };
            answer.rule("P5", format!("iteration {} is open: {pulls}", open.number));
            iteration::tell_open(core, now, campaign, open, &mut answer);
        }
        let (busy, lanes) = (campaign.open.len(), campaign.lanes());
        if busy > 0 && busy < lanes {
            answer.rule("P39", "a lane is free");
            answer.figure("busy", busy).figure("lanes", lanes);
        }
        if busy < lanes && campaign.state == CampaignState::Active {
            waits(core, campaign, &mut answer);
        }
        line(core, campaign, &mut answer);
    }
    answer.about(format!("campaign {} ({})", campaign.id, campaign.name))
}

fn standing(campaign: &Campaign, answer: &mut Answer<'_>) {
    match &campaign.state {
        CampaignState::Active => answer.say("it is active"),
        CampaignState::Paused { reason } => tell_pause(campaign, reason, "it is", answer),
        CampaignState::Stopped { reason: StopReason::Owner } => {
            answer.rule("P32", "its owner stopped it for good")
        }
        CampaignState::Stopped { reason: StopReason::Limit { limit } } => {
            answer.rule("P32", format!("it stopped at a limit it was given: {limit}"))
        }
        CampaignState::Stopped { reason: StopReason::Replaced { by } } => {
            let which = answer.sight().campaign(by);
            answer.rule("P1", format!("{which} took its place and its queue"))
        }
        CampaignState::Stopped { reason: StopReason::Imported { source } } => {
            answer.say(format!("it was finished elsewhere and is read-only: it was imported from {source}"))
        }
    };
    answer
        .figure("priority", campaign.bindings.windlass.priority)
        .figure("in_line", campaign.queue.len())
        .figure("kept", campaign.counts.keep)
        .figure("discarded", campaign.counts.discard)
        .figure("crashed", campaign.counts.crash);
    if let Some(record) = &campaign.record {
        answer.figure("record", record);
    }
}

/// Why a campaign is paused, and what lets it go on; `it_is` begins the sentence.
pub(super) fn tell_pause<'a, 's>(
    campaign: &Campaign,
    reason: &PauseReason,
    it_is: &str,
    answer: &'a mut Answer<'s>,
) -> &'a mut Answer<'s> {
    match reason {
        PauseReason::Owner => answer.say(format!(
            "{it_is} paused by its owner and opens nothing new; `windlass resume C` lets it go on"
        )),
        PauseReason::Baseline { repair } => {
            let text = format!("{it_is} paused, since its baseline is no ground to build on: {repair}");
            answer.rule("P1", text)
        }
        PauseReason::Infrastructure => {
            let text = format!(
                "{it_is} paused, since machines failed under two levers in a row: look at `windlass workers`, \
                 then `windlass resume C`"
            );
            answer.rule("P20", text).figure("levers_in_a_row", campaign.held_in_a_row)
        }
    }
}

/// A lane is free, and it would go on if it could.
fn waits(core: &Core, campaign: &Campaign, answer: &mut Answer<'_>) {
    match core.queue(&campaign.id) {
        Some(Due::Nothing(wait) | Due::Device(wait) | Due::Quota(wait)) => answer.rule("P24", format!("it waits for {wait}")),
        Some(Due::Facts(wanted)) if core.soft().gathering_rests(&wanted.key()) => answer.say(
            "what its gates have to read cannot be read; it is tried again every 5 s, and the coordinator's log \
             says why",
        ),
        Some(Due::Facts(Wanted::Pull(wanted))) => {
            answer.rule("P7", format!("the gates of {} are being asked", wanted.lever))
        }
        Some(Due::Facts(Wanted::Fix(wanted))) => {
            answer.rule("P19", format!("fix {} is being looked at", wanted.fix + 1))
        }
        Some(Due::Records(_)) if core.soft().step_rests(&campaign.id) => {
            answer.rule("I16", "its next step names a blob that is not in the store; it is tried again every 5 s")
        }
        Some(Due::Records(_)) | None => answer.say("its next step is being recorded"),
    };
}

fn line(core: &Core, campaign: &Campaign, answer: &mut Answer<'_>) {
    if campaign.queue.is_empty() {
        return;
    }
    answer.say(format!("{} in line", count(campaign.queue.len(), "lever")));
    for number in campaign.queue.iter().take(LEVERS_MAX) {
        if let Some(entry) = campaign.levers.get(number) {
            lever::tell_in_line(core, campaign, entry, answer);
        }
    }
}
