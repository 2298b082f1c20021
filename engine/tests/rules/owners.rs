//! Whose a campaign is: what is another's is not found and takes no part in names, and a share goes as far as it
//! says (RELIABILITY "Access").

use crate::harness::{Fake, World, bindings, cpus, workspace};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use windlass_engine::core::Ask;
use windlass_engine::explain::{Subject, explain_for};
use windlass_shared::access::{Access, Grant, Viewer};
use windlass_shared::attempt::{AttemptKey, Kind};
use windlass_shared::device::DeviceState;
use windlass_shared::id::{CampaignId, IterationNumber, WorkerId};
use windlass_shared::record::Answer;
use windlass_shared::refusal::Refusal;
use windlass_shared::time::Time;

fn create(world: &mut World, name: &str, owner: Option<&str>) -> CampaignId {
    let bindings = Box::new(bindings(&json!({})));
    let owner = owner.map(str::to_owned);
    let ask = Ask::Create { name: name.to_owned(), bindings, tree: workspace(), cap: None, git: None, owner };
    world.ask(ask).expect("created");
    world.id()
}

fn access(name: &str, need: Grant) -> Access {
    Access { viewer: Viewer::Client(name.to_owned()), need }
}

#[test]
fn what_is_anothers_is_not_found_and_takes_no_part_in_names() {
    let mut world = World::empty();
    let (hers, his) = (create(&mut world, "digits", Some("ada")), create(&mut world, "digits", Some("eve")));
    let old = create(&mut world, "digital", None);
    let found = |who: &Access, text: &str| world.core.resolve_campaign_for(who, text);
    let ada = access("ada", Grant::Own);
    assert_eq!(found(&ada, "digits"), Ok(hers.clone()), "nobody else's has the name for her");
    assert_eq!(found(&ada, "dig"), Ok(hers.clone()), "nor the prefix");
    assert!(matches!(found(&Access::ADMIN, "digits"), Err(Refusal::Ambiguous { .. })));
    for hidden in [his.as_str(), old.as_str(), "digital"] {
        let refused = found(&ada, hidden).expect_err("hidden");
        assert_eq!(refused, Refusal::NotFound { what: "campaign", name: hidden.to_owned() });
        assert!(found(&Access::ADMIN, hidden).is_ok());
    }
    let worker = Access { viewer: Viewer::Worker("w".into(), "w".to_owned()), need: Grant::Read };
    assert_eq!(found(&worker, hers.as_str()).map_err(|refusal| refusal.reason()), Err("NOT_FOUND"));
}

#[test]
fn a_share_goes_as_far_as_it_says_until_it_ends_also_after_a_restart() {
    let mut world = World::empty();
    let campaign = create(&mut world, "digits", Some("ada"));
    let share = |world: &mut World, with: &str, share| {
        let (campaign, with) = (campaign.clone(), with.to_owned());
        world.ask(Ask::Share { campaign, with, share })
    };
    let all = [Grant::Read, Grant::Propose, Grant::Control, Grant::Own];
    for shared in [Grant::Read, Grant::Propose, Grant::Control] {
        assert_eq!(share(&mut world, "eve", Some(shared)), Ok(Answer::Done));
        world.restart();
        for need in all {
            let found = world.core.resolve_campaign_for(&access("eve", need), "digits");
            let want = if need <= shared { Ok(campaign.clone()) } else { Err("NOT_ALLOWED") };
            assert_eq!(found.map_err(|refusal| refusal.reason()), want, "{shared:?} {need:?}");
        }
    }
    assert_eq!(share(&mut world, "eve", None), Ok(Answer::Done));
    let found = world.core.resolve_campaign_for(&access("eve", Grant::Read), "digits");
    assert_eq!(found.map_err(|refusal| refusal.reason()), Err("NOT_FOUND"));
    assert_eq!(share(&mut world, "ada", Some(Grant::Read)).map_err(|refusal| refusal.reason()), Err("STATE"));
}

#[test]
fn an_explanation_gives_no_name_of_anothers_campaign_away() {
    let mut world = World::empty();
    let first = create(&mut world, "digits", Some("ada"));
    let second = create(&mut world, "letters", Some("eve"));
    let now = Time { wall_ms: 0, mono_ms: 0 };
    let told = |who: &Access| {
        let own = world.records.iter().filter(|record| record.campaign.as_ref() == Some(&second)).cloned();
        let subject = Subject::Iteration(IterationNumber::BASELINE, own.collect());
        let told = explain_for(&world.core, now, who, second.as_str(), &subject).expect("told");
        told.sentences.iter().map(|sentence| sentence.text.clone()).collect::<Vec<_>>().join("\n")
    };
    assert!(told(&Access::ADMIN).contains(first.as_str()), "it waits behind it: {}", told(&Access::ADMIN));
    assert!(!told(&access("eve", Grant::Read)).contains("digits"), "{}", told(&access("eve", Grant::Read)));
}

#[test]
fn a_device_is_told_busy_with_nobodys_name_but_to_whoever_may_see_it() {
    let mut world = World::empty();
    let first = create(&mut world, "digits", Some("ada"));
    let second = create(&mut world, "letters", Some("eve"));
    world.connect("a", cpus(1));
    let (_, order) = world.order(Kind::Run);
    assert_eq!(order.key.id.campaign, first);
    let mut other = Fake::new("b", cpus(1));
    other.devices[0].state = DeviceState::Outsider { who: "pid 4711 (ada, python3)".to_owned() };
    world.join(other);
    let told = |world: &World, who: &Access| {
        let told =
            explain_for(&world.core, world.now, who, second.as_str(), &Subject::Campaign).expect("told");
        told.sentences.iter().map(|sentence| sentence.text.clone()).collect::<Vec<_>>().join("\n")
    };
    let attempt = order.key.id.to_string();
    let (whole, part) = (told(&world, &Access::ADMIN), told(&world, &access("eve", Grant::Read)));
    assert!(whole.contains(&attempt) && whole.contains("pid 4711"), "{whole}");
    assert!(part.contains("cpu-0 runs an attempt of somebody else"), "{part}");
    assert!(part.contains("a process that is not ours"), "{part}");
    assert!(!part.contains(first.as_str()) && !part.contains("4711"), "{part}");
    world
        .ask(Ask::Share { campaign: first, with: "eve".to_owned(), share: Some(Grant::Read) })
        .expect("shared");
    let shared = told(&world, &access("eve", Grant::Read));
    assert!(shared.contains(&attempt) && !shared.contains("4711"), "{shared}");
}

#[test]
fn the_orders_of_a_worker_are_its_live_attempts_and_nobody_elses() {
    let mut world = World::empty();
    for name in ["one", "two", "three"] {
        create(&mut world, name, None);
    }
    world.connect("a", cpus(2));
    world.connect("b", cpus(1));
    let mut given: BTreeMap<WorkerId, BTreeSet<AttemptKey>> = BTreeMap::new();
    for _ in 0..3 {
        let (worker, order) = world.order(Kind::Run);
        given.entry(worker).or_default().insert(order.key);
    }
    let check = |world: &World, given: &BTreeMap<WorkerId, BTreeSet<AttemptKey>>| {
        for worker in ["a", "b", "nobody"].map(WorkerId::from) {
            let orders: BTreeSet<AttemptKey> =
                world.core.orders_on(&worker).into_iter().map(|order| order.key).collect();
            assert_eq!(orders, given.get(&worker).cloned().unwrap_or_default(), "{worker}");
        }
    };
    assert_eq!(given.values().map(BTreeSet::len).sum::<usize>(), 3);
    check(&world, &given);
    world.restart();
    check(&world, &given);
}
