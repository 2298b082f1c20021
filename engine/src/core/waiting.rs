//! The campaigns that wait. Those that wait for devices stand in line by what they ask for: where the first
//! in line finds no place, nobody behind it would, so a change of the fleet costs a look at each ask and not
//! at each campaign.

use crate::campaign::Campaign;
use crate::placement::Ask;
use crate::share::Amount;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use windlass_shared::id::CampaignId;

/// Campaigns are looked at by priority; among equals by what they had of their share, the least first; then by
/// age.
pub(crate) type Rank = (Reverse<i32>, Amount, i64, CampaignId);

/// A campaign's place in any line.
pub(crate) fn rank(campaign: &Campaign) -> Rank {
    let had = campaign.share.per_weight();
    (Reverse(campaign.bindings.windlass.priority), had, campaign.created_wall_ms, campaign.id.clone())
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiting {
    /// The line, by ask. One that is empty is not there.
    lines: BTreeMap<Ask, BTreeSet<Rank>>,
    /// Everyone who waits, and in which lines: one for each ask of its lanes, none for what no device brings.
    places: BTreeMap<CampaignId, (Rank, BTreeSet<Ask>)>,
}

impl Waiting {
    /// Begins to wait: for devices that suit one of `asks`, or for something that wakes it by name.
    pub fn insert(&mut self, rank: Rank, asks: BTreeSet<Ask>) {
        let campaign = rank.3.clone();
        self.remove(&campaign);
        for ask in &asks {
            self.lines.entry(ask.clone()).or_default().insert(rank.clone());
        }
        self.places.insert(campaign, (rank, asks));
    }

    /// Waits no more; its rank, if it did.
    pub fn remove(&mut self, campaign: &CampaignId) -> Option<Rank> {
        let (rank, asks) = self.places.remove(campaign)?;
        for ask in asks {
            if let Some(line) = self.lines.get_mut(&ask) {
                line.remove(&rank);
                if line.is_empty() {
                    self.lines.remove(&ask);
                }
            }
        }
        Some(rank)
    }

    /// Whether it waits, in line or not.
    pub fn contains(&self, campaign: &CampaignId) -> bool {
        self.places.contains_key(campaign)
    }

    /// How many stand in some line.
    pub fn in_line(&self) -> usize {
        self.places.values().filter(|(_, asks)| !asks.is_empty()).count()
    }

    /// Takes the first of each line out, and those of `also` that stand in one.
    pub fn wake<'a>(&mut self, also: impl Iterator<Item = &'a CampaignId>) -> Vec<Rank> {
        let firsts = self.lines.values().filter_map(BTreeSet::first);
        let mut woken: BTreeSet<CampaignId> = firsts.map(|(.., campaign)| campaign.clone()).collect();
        let is_in_line =
            |campaign: &&CampaignId| self.places.get(*campaign).is_some_and(|(_, asks)| !asks.is_empty());
        woken.extend(also.filter(is_in_line).cloned());
        woken.iter().filter_map(|campaign| self.remove(campaign)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_shared::bindings::Resources;

    #[test]
    fn a_change_wakes_the_first_of_each_ask_and_whoever_has_a_worker_kept() {
        let ask = |gpus| BTreeSet::from([Ask { gpus: Some(gpus), ..Ask::run(&Resources::default()) }]);
        let none = BTreeSet::new;
        let rank = |name: &str, age| (Reverse(0), Amount::ZERO, age, CampaignId::from(name));
        let mut waiting = Waiting::default();
        for (name, age, asked) in
            [("a", 1, ask(1)), ("b", 2, ask(1)), ("c", 3, ask(2)), ("d", 4, ask(2)), ("facts", 0, none())]
        {
            waiting.insert(rank(name, age), asked);
        }
        let holders = [CampaignId::from("d"), CampaignId::from("facts"), CampaignId::from("gone")];
        assert_eq!(waiting.wake(holders.iter()), [rank("a", 1), rank("c", 3), rank("d", 4)]);
        assert_eq!(waiting.wake([].iter()), [rank("b", 2)]);
        assert_eq!(waiting.wake([].iter()), []);
        assert_eq!(waiting.remove(&CampaignId::from("facts")), Some(rank("facts", 0)));
        // One that comes again stands in one line only.
        waiting.insert(rank("a", 1), ask(1));
        waiting.insert(rank("a", 1), ask(2));
        assert_eq!(waiting.lines.len(), 1);
        // The lanes of one campaign may ask for different things, and each ask has its line.
        waiting.insert(rank("a", 1), ask(1).into_iter().chain(ask(2)).collect());
        assert_eq!(waiting.lines.len(), 2);
        assert_eq!(waiting.wake([].iter()), [rank("a", 1)]);
        assert!(waiting.lines.is_empty());
    }
}
