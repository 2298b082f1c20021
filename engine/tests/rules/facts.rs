//! The facts that a turn or a proposal is judged by: which are asked for, when, and when again.

use crate::harness::{World, digest, lever};
use serde_json::json;
use windlass_engine::core::{Ask, RETRY_AFTER_GATHER_FAILED_MS};
use windlass_engine::gate::facts::{ProposalFacts, Wanted};
use windlass_shared::id::{IterationNumber, LeverNumber};
use windlass_shared::refusal::Refusal;

#[test]
fn facts_that_have_moved_are_asked_for_again() {
    let mut world = World::based(&json!({}));
    let moved = |change: fn(&mut ProposalFacts), world: &mut World| {
        assert_eq!(world.propose_with(lever("a"), change), Err(Refusal::FactsMoved));
    };
    moved(|facts| facts.parent = digest("another best"), &mut world);
    moved(|facts| facts.evidence = None, &mut world);
    moved(|facts| facts.evidence = Some(IterationNumber(7)), &mut world);
    assert!(world.state().levers.is_empty() && world.state().past_levers.is_empty());
}

#[test]
fn a_turn_is_judged_by_facts_of_the_present_best_alone() {
    let mut world = World::based(&json!({}));
    for name in ["a", "b"] {
        world.propose(lever(name)).expect("queued");
    }
    let parents = |world: &World| {
        let pulls = world.gathered.iter().filter_map(|wanted| match wanted {
            Wanted::Pull(pull) => Some((pull.lever.0, pull.best.map(|best| best.0), pull.parent)),
            Wanted::Fix(_) => None,
        });
        pulls.collect::<Vec<_>>()
    };
    world.finish("0.6");
    assert_eq!(
        parents(&world),
        [(1, Some(1), crate::harness::workspace()), (2, Some(2), world.state().parent_tree())]
    );
    world.finish("0.7");
}

#[test]
fn facts_that_cannot_be_gathered_are_wanted_again_after_a_pause() {
    let mut world = World::based(&json!({}));
    world.unreadable = true;
    world.propose(lever("a")).expect("queued");
    assert_eq!(world.pulls_gathered().len(), 1);
    world.pass_heard(4_000);
    assert_eq!(world.pulls_gathered().len(), 1, "not hammered");
    world.unreadable = false;
    world.pass_heard(1_000);
    assert_eq!(world.pulls_gathered().len(), 2);
    world.finish("0.6");
}

#[test]
fn a_failed_gather_hides_nothing_that_changed_meanwhile() {
    let mut world = World::based(&json!({}));
    world.unreadable = true;
    for name in ["a", "b"] {
        world.propose(lever(name)).expect("queued");
    }
    let key = world.gathered[0].key();
    world.unreadable = false;
    let (request, campaign) = (world.next_request(), world.id());
    let ask = Ask::Retire { campaign, lever: LeverNumber(1) };
    world.feed(windlass_engine::core::Input::Client { request, ask }).expect("retired");
    world.observe(windlass_engine::core::Observation::GatherFailed(key));
    assert_eq!(world.open().lever, Some(LeverNumber(2)));
    world.finish("0.6");
}

#[test]
fn a_step_that_cannot_be_taken_rests_and_starves_nobody() {
    let mut world = World::empty();
    world.connect("w", crate::harness::cpus(1));
    world.submit("urgent", &json!({"priority": 5})).expect("created");
    world.finish("0.5");
    let urgent = world.id();
    let is_open = |world: &World| !world.core.campaign(&urgent).expect("known").open.is_empty();
    world.untakable = Some(urgent.clone());
    world.propose(lever("a")).expect("queued");
    assert!(!is_open(&world), "its step was not taken");
    let waits = world.waits_for();
    assert!(waits.contains("not in the store"), "{waits}");
    world.submit("later", &json!({})).expect("created");
    world.finish("0.5");
    assert!(!is_open(&world));
    world.untakable = None;
    world.pass(RETRY_AFTER_GATHER_FAILED_MS);
    assert!(is_open(&world), "it is tried again");
    world.campaign = Some(urgent.clone());
    world.finish("0.6");
}
