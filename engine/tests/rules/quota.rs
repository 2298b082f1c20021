//! Quotas: what an owner may have of the fleet at most, over all campaigns and restarts; and who had what of it.

use crate::harness::{Fake, World, bindings, cpus, good, infra, lever, workspace};
use serde_json::{Value, json};
use windlass_engine::core::Ask;
use windlass_engine::explain::{Subject, explain};
use windlass_shared::access::{Access, Grant, Viewer};
use windlass_shared::attempt::Kind;
use windlass_shared::device::DeviceKind;
use windlass_shared::id::{CampaignId, IterationNumber};
use windlass_shared::quota::{DeviceTime, Quota};
use windlass_shared::refusal::Refusal;

const HOUR_MS: u64 = 3_600_000;

fn create(world: &mut World, name: &str, owner: Option<&str>, windlass: &Value) -> CampaignId {
    let bindings = Box::new(bindings(windlass));
    let owner = owner.map(str::to_owned);
    let ask = Ask::Create { name: name.to_owned(), bindings, tree: workspace(), cap: None, git: None, owner };
    world.ask(ask).expect("created");
    world.id()
}

fn set(world: &mut World, owner: &str, quota: Option<Quota>) -> Result<(), Refusal> {
    world.ask(Ask::SetQuota { owner: owner.to_owned(), quota }).map(|_| ())
}

fn devices(most: u32) -> Option<Quota> {
    Some(Quota { devices: Some(most), time: None })
}

fn told(world: &World, campaign: &CampaignId) -> String {
    let subject = Subject::Iteration(IterationNumber(1), Vec::new());
    let told = explain(&world.core, world.now, campaign.as_str(), &subject).expect("known");
    told.sentences.into_iter().map(|sentence| sentence.text).collect::<Vec<_>>().join("\n")
}

/// Three campaigns of ada and one of bob, in the order of their ages, on four slots.
fn scene(quota: Option<Quota>) -> (World, [CampaignId; 4]) {
    let mut world = World::empty();
    set(&mut world, "ada", quota).expect("set");
    let made = [("a", "ada"), ("b", "ada"), ("c", "ada"), ("d", "bob")];
    let made = made.map(|(name, owner)| create(&mut world, name, Some(owner), &json!({})));
    world.connect("w", cpus(4));
    (world, made)
}

fn is_leased(world: &World, campaign: &CampaignId) -> bool {
    world.core.campaign(campaign).expect("known").live().next().is_some()
}

#[test]
fn an_owner_has_no_more_devices_than_its_quota_and_others_are_served_meanwhile() {
    let (mut world, [a, b, c, d]) = scene(devices(2));
    assert_eq!([&a, &b, &c, &d].map(|one| is_leased(&world, one)), [true, true, false, true]);
    let text = told(&world, &c);
    assert!(text.contains("waits for the quota of ada: its attempts have 2 of 2 devices"), "{text}");
    assert!(text.contains(&format!("{a}/1/1 has 1 on host-w")), "its owner's attempts are named: {text}");
    world.campaign = Some(c.clone());
    assert!(world.waits_for().contains("the quota of ada"), "{}", world.waits_for());
    // The first that ends lets the third go on, also when the machinery failed it.
    let (worker, order) = world.order(Kind::Run);
    assert_eq!(order.key.id.campaign, a);
    world.end_on(&worker, &order.key, infra());
    assert!(is_leased(&world, &c), "{}", told(&world, &c));
    world.said.clear();
}

#[test]
fn a_quota_is_kept_over_a_restart_and_lifted_at_once() {
    let (mut world, [.., c, d]) = scene(devices(2));
    world.said.clear();
    world.restart();
    world.all_report();
    assert!(!is_leased(&world, &c) && is_leased(&world, &d));
    let quotas = |world: &World, name: &str| {
        let viewer = Viewer::Client(name.to_owned());
        world.core.quotas(world.now, &Access { viewer, need: Grant::Read })
    };
    assert_eq!(quotas(&world, "ada").iter().map(|view| view.devices).collect::<Vec<_>>(), [2]);
    assert_eq!(quotas(&world, "bob"), [], "another's quota is its own affair");
    assert_eq!(world.core.quotas(world.now, &Access::ADMIN).len(), 1);
    let from = world.records.len();
    set(&mut world, "ada", devices(2)).expect("it is so already");
    assert_eq!(world.kinds(from), ["request_answered"]);
    set(&mut world, "ada", None).expect("lifted");
    assert!(is_leased(&world, &c), "nothing else keeps it waiting: {}", told(&world, &c));
    assert_eq!(world.core.quotas(world.now, &Access::ADMIN), []);
    world.said.clear();
}

#[test]
fn what_asks_for_more_than_it_may_ever_have_is_told_so() {
    let mut world = World::empty();
    set(&mut world, "ada", devices(1)).expect("set");
    let large = create(&mut world, "large", Some("ada"), &json!({"resources": {"cpus": 2}}));
    world.connect("w", cpus(4));
    let text = told(&world, &large);
    assert!(text.contains("waits for a larger quota: it asks for 2 devices, and ada may have 1"), "{text}");
    set(&mut world, "ada", devices(2)).expect("set");
    assert!(is_leased(&world, &large));
    world.said.clear();
}

#[test]
fn device_time_is_had_once_and_again_when_its_hours_are_over() {
    let mut world = World::empty();
    let bound = DeviceTime { device_ms: HOUR_MS, per_ms: 24 * HOUR_MS };
    set(&mut world, "ada", Some(Quota { devices: None, time: Some(bound) })).expect("set");
    let campaign = create(&mut world, "digits", Some("ada"), &json!({"resources": {"cpus": 2}}));
    world.connect("w", cpus(2));
    let run = |world: &mut World, metric: &str, took_ms: u64| {
        let (worker, order) = world.order(Kind::Run);
        let mut outcome = good(&order, metric);
        outcome.duration_ms = took_ms;
        world.end_on(&worker, &order.key, outcome);
    };
    // What the machinery failed costs nothing; half an hour on two devices is an hour.
    world.run_ends(infra());
    world.pass_heard(2_000);
    run(&mut world, "0.5", HOUR_MS / 2);
    world.propose(lever("next")).expect("queued");
    assert!(!is_leased(&world, &campaign));
    let had = "the quota of ada: 1.00 of 1.00 device-hours are had within 24 h";
    assert!(world.waits_for().contains(had), "{}", world.waits_for());
    world.pass_heard(23 * HOUR_MS);
    assert!(!is_leased(&world, &campaign));
    world.pass_heard(2 * HOUR_MS);
    assert!(is_leased(&world, &campaign), "{}", world.waits_for());
    world.finish("0.4");
}

#[test]
fn only_what_can_be_kept_is_taken() {
    let mut world = World::empty();
    for (owner, quota) in [("a da", devices(1)), ("", devices(1)), ("ada", Some(Quota::default()))] {
        let refused = set(&mut world, owner, quota);
        assert!(matches!(refused, Err(Refusal::Malformed { .. })), "{owner:?} {quota:?}: {refused:?}");
    }
    let known = (0..1_000).map(|n| format!("client-{n}"));
    known.for_each(|owner| set(&mut world, &owner, devices(1)).expect("a laboratory's"));
    assert!(matches!(set(&mut world, "one-more", devices(1)), Err(Refusal::TooMuch { .. })));
    set(&mut world, "client-7", devices(3)).expect("those that are there may change");
    set(&mut world, "client-8", None).expect("and go");
    set(&mut world, "one-more", devices(1)).expect("which makes room");
}

#[test]
fn usage_is_told_by_owner_campaign_and_outcome_of_what_one_may_see() {
    let mut world = World::empty();
    let hers = create(&mut world, "digits", Some("ada"), &json!({}));
    world.join(Fake::new("w", cpus(1)));
    let run = |world: &mut World, metric: &str, took_ms: u64| {
        let (worker, order) = world.order(Kind::Run);
        let mut outcome = good(&order, metric);
        outcome.duration_ms = took_ms;
        world.end_on(&worker, &order.key, outcome);
    };
    run(&mut world, "0.5", 1_000);
    for (title, metric, took_ms) in [("better", "0.6", 20_000), ("worse", "0.1", 300_000)] {
        world.propose(lever(title)).expect("queued");
        run(&mut world, metric, took_ms);
    }
    let his = create(&mut world, "lines", None, &json!({}));
    run(&mut world, "0.5", 7_000);
    let of = |name: &str| Access { viewer: Viewer::Client(name.to_owned()), need: Grant::Read };
    let mut all = world.core.usage(world.now, &Access::ADMIN);
    let (first, second) = (&all.campaigns[0], &all.campaigns[1]);
    assert_eq!((&first.campaign, &second.campaign), (&hers, &his), "who had most comes first");
    assert_eq!((first.spent.kept_ms, first.spent.discarded_ms, first.kept_levers), (21_000, 300_000, 1));
    assert_eq!((second.spent.kept_ms, second.kept_levers), (7_000, 0), "a baseline is no lever");
    let owners: Vec<_> = all.owners.iter().map(|one| (one.owner.as_deref(), one.spent.all_ms())).collect();
    assert_eq!(owners, [(Some("ada"), 321_000), (None, 7_000)]);
    let seen = world.core.usage(world.now, &of("ada"));
    assert_eq!((seen.campaigns.len(), seen.owners.len(), seen.fleet.len()), (1, 1, 0));
    assert_eq!(world.core.usage(world.now, &of("eve")).campaigns, []);
    // A replay tells the same; the fleet's own figures begin anew.
    world.restart();
    let again = world.core.usage(world.now, &Access::ADMIN);
    all.fleet_since_wall_ms = again.fleet_since_wall_ms;
    all.fleet.clear();
    assert_eq!(again, all);
}

#[test]
fn idle_is_what_was_offered_and_not_leased() {
    let mut world = World::empty();
    world.connect("w", cpus(2));
    world.connect("drained", cpus(4));
    world.ask(Ask::Drain("drained".into())).expect("drained");
    world.pass_heard(100_000);
    let permille = |world: &World| {
        let view = world.core.usage(world.now, &Access::ADMIN);
        let cpu = view.fleet.into_iter().find(|one| one.device_kind == DeviceKind::Cpu).expect("slots");
        (cpu.offered_ms, cpu.leased_ms, cpu.idle_permille)
    };
    assert_eq!(permille(&world), (200_000, 0, Some(1000)), "who is drained offers nothing");
    create(&mut world, "digits", None, &json!({}));
    world.pass_heard(100_000);
    assert_eq!(permille(&world), (400_000, 100_000, Some(750)));
    let (worker, order) = world.order(Kind::Run);
    world.end_on(&worker, &order.key, good(&order, "0.5"));
    world.pass_heard(100_000);
    assert_eq!(permille(&world), (600_000, 100_000, Some(833)));
}
