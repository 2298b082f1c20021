//! Fair share: device time by weight among campaigns of one priority, over simulated days. Runs take about five
//! minutes, scripts twenty seconds, and a researcher thinks for a minute before each lever.

use crate::harness::{Fake, World, cpus, good, lever, scripted};
use serde_json::json;
use std::collections::BTreeMap;
use windlass_engine::core::{Ask, Core};
use windlass_engine::explain::{Subject, explain};
use windlass_shared::attempt::{Kind, Order};
use windlass_shared::id::{CampaignId, IterationNumber, WorkerId};
use windlass_shared::record::Body;

const RUN_MS: u64 = 300_000;
const SCRIPTS_MS: u64 = 20_000;
const THINKING_MS: u64 = 60_000;
const HOUR_MS: u64 = 3_600_000;
/// The wall time at which a world begins.
const BEGIN_WALL_MS: i64 = 1_700_000_000_000;

enum Event {
    Ends(WorkerId, Box<Order>, u64),
    Proposes(CampaignId),
}

/// Two machines of eight slots, and researchers who always have another idea.
struct Days {
    world: World,
    due: BTreeMap<(u64, u64), Event>,
    lanes: BTreeMap<CampaignId, u64>,
    /// Records that were looked at.
    seen: usize,
    count: u64,
    begin_ms: u64,
}

impl Days {
    fn new() -> Self {
        let mut world = World::empty();
        world.restart_as(Core::with_lease_period_ms(u64::MAX / 4));
        world.is_long = true;
        for name in ["a", "b"] {
            world.join(Fake::new(name, cpus(8)));
        }
        let begin_ms = world.now.mono_ms;
        Self { world, due: BTreeMap::new(), lanes: BTreeMap::new(), seen: 0, count: 0, begin_ms }
    }

    fn submit(&mut self, name: &str, weight: u32, lanes: u32) -> CampaignId {
        self.submit_with(name, lanes, json!({ "weight": weight, "lanes": lanes }))
    }

    fn submit_with(&mut self, name: &str, lanes: u32, windlass: serde_json::Value) -> CampaignId {
        self.world.submit(name, &windlass).expect("a good campaign");
        self.lanes.insert(self.world.id(), u64::from(lanes));
        self.world.id()
    }

    fn at(&mut self, after_ms: u64, event: Event) {
        self.count += 1;
        self.due.insert((self.world.now.mono_ms + after_ms, self.count), event);
    }

    /// What was ordered will end, and who has seen a decision will have an idea.
    fn look(&mut self) {
        while let Some((worker, said)) = self.world.said.pop_front() {
            let crate::harness::Said::Order(order) = said else { panic!("nothing is stopped") };
            // No two quite alike, so that they do not go in step.
            let run_ms = RUN_MS - 30_000 + self.count * 7_919 % 60_000;
            let takes_ms = if order.kind == Kind::Run { run_ms } else { SCRIPTS_MS };
            self.at(takes_ms, Event::Ends(worker, order, takes_ms));
        }
        let decided: Vec<(CampaignId, IterationNumber)> = self.world.records[self.seen..]
            .iter()
            .filter_map(|record| match &record.body {
                Body::IterationDecided { iteration, .. } => Some((record.campaign.clone()?, *iteration)),
                _ => None,
            })
            .collect();
        self.seen = self.world.records.len();
        for (campaign, iteration) in decided {
            let ideas = if iteration == IterationNumber::BASELINE { self.lanes[&campaign] } else { 1 };
            for _ in 0..ideas {
                self.at(THINKING_MS, Event::Proposes(campaign.clone()));
            }
        }
    }

    /// Lets it all go on until so many milliseconds after the beginning.
    fn until(&mut self, after_ms: u64) {
        self.look();
        while let Some(((at_ms, _), _)) = self.due.first_key_value()
            && *at_ms <= self.begin_ms + after_ms
        {
            let ((at_ms, count), event) = self.due.pop_first().expect("there is one");
            self.world.now.wall_ms += (at_ms - self.world.now.mono_ms) as i64;
            self.world.now.mono_ms = at_ms;
            match event {
                Event::Ends(worker, order, took_ms) => {
                    let mut outcome = good(&order, if order.key.id.iteration.0 == 1 { "0.5" } else { "0.4" });
                    outcome.duration_ms = took_ms;
                    self.world.end_on(&worker, &order.key, outcome);
                }
                Event::Proposes(campaign) => {
                    self.world.campaign = Some(campaign);
                    let name = format!("idea-{count}");
                    let mut idea = lever(&name);
                    idea.analysis = vec![scripted(&name)];
                    self.world.propose(idea).expect("queued");
                }
            }
            self.look();
        }
    }

    /// Device time of the runs that ended between two moments, by campaign.
    fn had_ms(&self, from_ms: u64, to_ms: u64) -> BTreeMap<CampaignId, u64> {
        let wall = |after_ms: u64| BEGIN_WALL_MS + after_ms as i64;
        let mut had = BTreeMap::new();
        for record in &self.world.records {
            if let Body::AttemptEnded { devices, outcome, .. } = &record.body
                && (wall(from_ms)..wall(to_ms)).contains(&record.wall_ms)
                && let Some(campaign) = &record.campaign
            {
                *had.entry(campaign.clone()).or_default() += outcome.duration_ms * devices.len() as u64;
            }
        }
        had
    }
}

#[test]
fn device_time_is_shared_by_weight() {
    let mut days = Days::new();
    let weights = [1, 1, 2, 2, 3, 3, 4, 4, 5, 5];
    let campaigns: Vec<CampaignId> = (0..)
        .zip(weights)
        .map(|(index, weight)| days.submit(&format!("weight-{weight}-{index}"), weight, 8))
        .collect();
    days.until(24 * HOUR_MS);
    let had = days.had_ms(0, 24 * HOUR_MS);
    let all: u64 = had.values().sum();
    for (campaign, weight) in campaigns.iter().zip(weights) {
        let share = all * u64::from(weight) / u64::from(weights.iter().sum::<u32>());
        let off = had[campaign].abs_diff(share);
        assert!(
            off <= RUN_MS.max(share / 20),
            "{campaign} of weight {weight} had {} s of a share of {} s",
            had[campaign] / 1000,
            share / 1000
        );
    }
}

#[test]
fn who_comes_later_begins_within_one_run_and_no_device_idles_for_it() {
    let mut days = Days::new();
    // 24 lanes that want 16 devices.
    for name in ["one", "two", "three"] {
        days.submit(name, 1, 8);
    }
    days.until(12 * HOUR_MS);
    let new = days.submit("new", 1, 2);
    days.until(24 * HOUR_MS);
    let first = days.world.records.iter().find_map(|record| {
        let is_its = record.campaign.as_ref() == Some(&new);
        (is_its && record.body.kind() == "attempt_leased").then_some(record.wall_ms)
    });
    let began = first.expect("it ran") - BEGIN_WALL_MS - 12 * HOUR_MS as i64;
    assert!(began <= RUN_MS as i64, "it waited {began} ms");
    // The first hour is the baselines', one device each.
    let busy: u64 = days.had_ms(HOUR_MS, 24 * HOUR_MS).values().sum();
    assert!(busy * 100 >= 97 * 16 * 23 * HOUR_MS, "busy for {busy} ms of {}", 16 * 23 * HOUR_MS);
}

#[test]
fn idle_devices_are_lent_without_limit_and_a_whole_machine_is_not_starved() {
    let mut days = Days::new();
    let alone = days.submit("alone", 1, 16);
    days.until(6 * HOUR_MS);
    let had = days.had_ms(HOUR_MS, 6 * HOUR_MS)[&alone];
    assert!(had * 100 >= 70 * 16 * 5 * HOUR_MS, "it had {had} ms of all 16 slots");
    let whole = days.submit_with("whole", 1, json!({"lanes": 1, "resources": {"cpus": 8}}));
    days.until(12 * HOUR_MS);
    let had = days.had_ms(6 * HOUR_MS, 12 * HOUR_MS);
    // While it thinks the slots are lent again, and what runs there then ends before its next turn.
    assert!(had[&whole] * 100 >= 40 * 8 * 6 * HOUR_MS, "{had:?}");
    assert!(had[&alone] > 0, "{had:?}");
}

#[test]
fn a_higher_priority_goes_before_any_share_and_a_new_weight_counts_at_once() {
    let mut days = Days::new();
    let low = days.submit("low", 5, 16);
    days.until(2 * HOUR_MS);
    let high = days.submit_with("high", 24, json!({"lanes": 24, "priority": 1}));
    days.until(8 * HOUR_MS);
    let had = days.had_ms(3 * HOUR_MS, 8 * HOUR_MS);
    // By weight it would have had a sixth; what it leaves while its researchers think is the other's.
    assert!(had[&high] > 2 * had.get(&low).copied().unwrap_or(0), "{had:?}");
    // Equal priorities and weights, from then on.
    days.world.campaign = Some(low.clone());
    for (campaign, priority, weight) in [(&low, Some(1), Some(1)), (&high, None, Some(1))] {
        let update = Ask::Update { campaign: campaign.clone(), priority, weight, name: None };
        days.world.ask(update).expect("updated");
    }
    days.until(9 * HOUR_MS);
    let had = days.had_ms(8 * HOUR_MS, 9 * HOUR_MS);
    assert!(had[&low] > had.get(&high).copied().unwrap_or(0), "who had less lately comes first: {had:?}");
    let waiting =
        days.world.core.campaign(&high).expect("known").open.values().find(|open| open.live.is_none());
    let subject = Subject::Iteration(waiting.expect("one waits").number, Vec::new());
    let told = explain(&days.world.core, days.world.now, high.as_str(), &subject).expect("known");
    let text: Vec<&str> = told.sentences.iter().map(|sentence| sentence.text.as_str()).collect();
    assert!(
        text.iter().any(|text| text.contains("device-hours lately for each unit of its weight")),
        "{text:#?}"
    );
}
