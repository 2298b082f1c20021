//! Who is served before a campaign that waits for a device: the higher priority, then the older.

use super::Answer;
use crate::campaign::{Campaign, Due};
use crate::core::Core;
use std::cmp::Reverse;

/// Campaigns that are told one by one.
const TOLD_MAX: usize = 5;

/// Tells which campaigns wait for a device too and come first.
pub(super) fn tell_before(core: &Core, campaign: &Campaign, answer: &mut Answer) {
    let rank =
        |one: &Campaign| (Reverse(one.bindings.windlass.priority), one.created_wall_ms, one.id.clone());
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
    for one in before.iter().take(TOLD_MAX) {
        let other = one.bindings.windlass.priority;
        let why = if other > priority { "its priority is higher" } else { "it is older" };
        let iteration = one.open.keys().next().map_or(0, |number| number.0);
        answer
            .say(format!("campaign {} comes first: {why}, and its iteration {iteration} waits too", one.id))
            .figure("priority", priority)
            .figure("its_priority", other);
    }
    if before.len() > TOLD_MAX {
        answer.say(format!("and {} more campaigns come before it", before.len() - TOLD_MAX));
    }
}
