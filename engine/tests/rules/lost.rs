//! Workers that stay lost: how long they are remembered, how they count, and what they may say when they are back.

use crate::harness::{World, cpus, good};
use crate::sessions::lost;
use windlass_engine::core::Ask;
use windlass_engine::explain::{Subject, explain};
use windlass_engine::session::{LEASE_PERIOD_MS, LOST_KEPT_MS, LOST_MAX, Presence};
use windlass_shared::attempt::Kind;
use windlass_shared::id::WorkerId;

#[test]
fn i5_a_worker_that_stays_lost_is_forgotten_after_a_day_and_what_it_says_then_is_stale_as_ever() {
    let (mut world, stale) = lost();
    world.is_long = true;
    let presence =
        |world: &World| world.core.soft().fleet().member(&WorkerId::from("w")).map(|member| member.presence);
    world.pass_heard(1_000);
    let (_, current) = world.order(Kind::Run);
    world.pass_heard(LOST_KEPT_MS - 2 * LEASE_PERIOD_MS);
    assert_eq!(presence(&world), Some(Presence::Lost), "not before the day is over");
    world.pass_heard(LEASE_PERIOD_MS);
    assert_eq!(presence(&world), None);
    assert!(world.core.soft().fleet().member(&WorkerId::from("x")).is_some(), "nobody else is forgotten");
    world.fake("w").cut = false;
    world.fake("w").end(&stale.key, good(&stale, "0.99"));
    let from = world.records.len();
    world.report("w");
    assert_eq!(world.kinds(from), ["report_superseded"]);
    assert_eq!(presence(&world), Some(Presence::Ready));
    assert!(world.decisions().is_empty());
    world.end_on(&WorkerId::from("x"), &current.key, good(&current, "0.5"));
    assert_eq!(world.state().record.as_ref().map(ToString::to_string).as_deref(), Some("0.5"));
}

#[test]
fn a_worker_is_counted_by_its_state_and_one_that_was_taken_out_before_it_went_is_drained() {
    let mut world = World::empty();
    for name in ["works", "drained", "gone", "taken-out"] {
        world.connect(name, cpus(1));
    }
    for name in ["drained", "taken-out"] {
        world.ask(Ask::Drain(WorkerId::from(name))).expect("drained");
    }
    for name in ["gone", "taken-out"] {
        world.fake(name).cut = true;
    }
    world.pass_heard(LEASE_PERIOD_MS + 10_000);
    let counted = world.core.figures();
    assert_eq!(counted.workers, [("ready", 1), ("drained", 2), ("lost", 1)].into());
    assert_eq!(counted.devices.values().sum::<u64>(), 2, "what is lost has no devices");
    let told = explain(&world.core, world.now, "taken-out", &Subject::Campaign).expect("known");
    let says = |words: &str| told.sentences.iter().any(|sentence| sentence.text.contains(words));
    assert!(says("it is lost") && says("cpu-0 was free by the worker's last word"), "{told:?}");
}

#[test]
fn lost_workers_are_remembered_up_to_a_bound_the_latest_ones() {
    let mut world = World::empty();
    world.is_long = true;
    for n in 0..LOST_MAX + 3 {
        world.connect(&format!("w{n}"), cpus(1));
        world.pass(1);
    }
    world.pass(LEASE_PERIOD_MS);
    let fleet = world.core.soft().fleet();
    assert_eq!(fleet.members().count(), LOST_MAX);
    assert!(fleet.member(&WorkerId::from("w2")).is_none() && fleet.member(&WorkerId::from("w3")).is_some());
}
