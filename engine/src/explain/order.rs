//! Who is served before a campaign that waits for a device: the higher priority, then who had less of its
//! share, then the older.

use super::Answer;
use crate::campaign::{Campaign, Due};
use crate::core::{Core, rank};
use windlass_shared::time::Time;

/// Campaigns that are told one by one.
const TOLD_MAX: usize = 5;

/// Tells which attempts of its owner hold devices: their ends let this one go on.
pub(super) fn tell_holders(core: &Core, campaign: &Campaign, answer: &mut Answer<'_>) {
    let of_owner = core.durable().campaigns.values().filter(|one| one.owner == campaign.owner);
    let holding = of_owner.flat_map(Campaign::live).filter(|live| !live.devices.is_empty());
    let all: Vec<String> = holding
        .map(|live| format!("{} has {} on {}", live.key.id, live.devices.len(), live.worker_name))
        .collect();
    for told in all.iter().take(TOLD_MAX) {
        answer.say(format!("of its owner's attempts {told}"));
    }
    if all.len() > TOLD_MAX {
        answer.say(format!("and {} more attempts of its owner hold devices", all.len() - TOLD_MAX));
    }
}

/// Tells which campaigns wait for a device too and come first.
pub(super) fn tell_before(core: &Core, now: Time, campaign: &Campaign, answer: &mut Answer<'_>) {
    let own = rank(campaign);
    let waits = |one: &&Campaign| !one.open.is_empty() && matches!(core.due(&one.id), Some(Due::Device(_)));
    let mut before: Vec<&Campaign> =
        core.durable().campaigns.values().filter(|one| rank(one) < own).filter(waits).collect();
    before.sort_by_key(|one| rank(one));
    let priority = campaign.bindings.windlass.priority;
    if before.is_empty() {
        answer.say("no other campaign that waits for a device comes before it").figure("priority", priority);
        return;
    }
    let had = |one: &Campaign| {
        let ms = one.share.per_weight().left_ms(now.wall_ms, core.durable().half_life_ms);
        format!("{}.{:02}", ms / 3_600_000, ms % 3_600_000 / 36_000)
    };
    for one in before.iter().take(TOLD_MAX) {
        let other = one.bindings.windlass.priority;
        let why = if other > priority {
            "its priority is higher".to_owned()
        } else if one.share.per_weight() < campaign.share.per_weight() {
            format!(
                "it has had {} device-hours lately for each unit of its weight, this one {}",
                had(one),
                had(campaign)
            )
        } else {
            "it is older".to_owned()
        };
        let iteration = one.open.keys().next().map_or(0, |number| number.0);
        let which = answer.sight().campaign(&one.id);
        answer
            .say(format!("{which} comes first: {why}, and its iteration {iteration} waits too"))
            .figure("priority", priority)
            .figure("its_priority", other)
            .figure("weight", campaign.bindings.windlass.weight)
            .figure("its_weight", one.bindings.windlass.weight);
    }
    if before.len() > TOLD_MAX {
        answer.say(format!("and {} more campaigns come before it", before.len() - TOLD_MAX));
    }
}
