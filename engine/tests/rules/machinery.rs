//! The machinery fails and not the idea (P20): again elsewhere, with backoff, and nobody is blamed.

use crate::harness::{World, cpus, infra, lever};
use serde_json::{Value, json};
use windlass_engine::core::Ask;
use windlass_shared::attempt::{Ending, Kind, Outcome};
use windlass_shared::conclusion::Status;
use windlass_shared::id::{LeverNumber, WorkerId};
use windlass_shared::record::{HoldReason, PauseReason};
use windlass_shared::view::{CampaignState, LeverState};

fn failures() -> Vec<Ending> {
    vec![
        Ending::Infra { detail: "a blob could not be fetched".to_owned() },
        Ending::DiskFull { over: None },
        Ending::GpuFault { detail: "XID 79".to_owned() },
        Ending::Lost,
    ]
}

/// A campaign with a decided baseline and two workers of one slot each.
pub fn two_workers(windlass: &Value) -> World {
    let mut world = World::based(windlass);
    world.connect("x", cpus(1));
    world
}

#[test]
fn p20_it_is_run_again_elsewhere_with_backoff() {
    for ending in failures() {
        let mut world = two_workers(&json!({}));
        world.propose(lever("a")).expect("queued");
        let (first, order) = world.order(Kind::Run);
        world.end_on(&first, &order.key, Outcome::bare(ending.clone()));
        assert!(world.said.is_empty(), "{ending:?}: not at once");
        assert!(world.fake(first.as_str()).attempts.is_empty(), "acknowledged");
        assert!(world.waits_for().contains("the next try is in 1 s"), "P24: {}", world.waits_for());
        world.pass_heard(1_000);
        let (second, order) = world.order(Kind::Run);
        assert_ne!(first, second, "{ending:?}: elsewhere");
        world.end_on(&second, &order.key, Outcome::bare(ending.clone()));
        world.pass_heard(4_999);
        assert!(world.said.is_empty(), "a longer pause before the third");
        world.pass_heard(1);
        world.finish("0.9");
        assert_eq!(world.last_decision().1, Status::Keep, "not blamed");
    }
}

#[test]
fn p20_after_three_the_lever_is_held_and_not_blamed() {
    let mut world = two_workers(&json!({}));
    let a = world.propose(lever("a")).expect("queued");
    world.propose(lever("b")).expect("queued");
    for _ in 0..3 {
        world.run_ends(infra());
        world.pass_heard(10_000);
    }
    assert_eq!(world.last_decision().1, Status::Crash);
    assert!(world.last_decision().2.starts_with("infrastructure"), "{:?}", world.last_decision());
    let held = LeverState::Held { reason: HoldReason::Infrastructure };
    assert_eq!(world.lever_state(a), held);
    assert_eq!(world.state().state, CampaignState::Active, "one lever is no pattern");
    world.finish("0.9");
    assert_eq!(world.state().held_in_a_row, 0, "a sound iteration ends the row");
}

#[test]
fn p20_two_such_levers_in_a_row_pause_the_campaign() {
    let mut world = two_workers(&json!({}));
    for name in ["a", "b", "c"] {
        world.propose(lever(name)).expect("queued");
    }
    for worker in ["y", "z"] {
        world.connect(worker, cpus(1));
    }
    for _ in 0..6 {
        world.run_ends(infra());
        world.pass_heard(10_000);
    }
    assert_eq!(world.state().state, CampaignState::Paused { reason: PauseReason::Infrastructure });
    assert!(world.waits_for().contains("windlass resume"), "P24: {}", world.waits_for());
    let campaign = world.id();
    world.ask(Ask::Resume(campaign)).expect("its owner looked at the machines");
    assert_eq!(world.open().lever, Some(LeverNumber(3)));
    world.finish("0.9");
}

/// What a worker says of an attempt whose campaign's setup failed.
fn setup_failed() -> Outcome {
    let detail =
        "setup failed: `uv sync` ended with exit code 2; the attempt's log is the setup's".to_owned();
    Outcome { setup_failed: true, ..Outcome::bare(Ending::Infra { detail }) }
}

#[test]
fn p20_a_setup_that_fails_holds_the_lever_says_so_and_drains_no_worker() {
    let mut world = World::with(&json!({}));
    world.finish("0.5");
    let a = world.propose(lever("a")).expect("queued");
    for tries in 0..3 {
        world.run_ends(setup_failed());
        if tries < 2 {
            let wait = world.waits_for();
            assert!(wait.contains("setup failed: `uv sync`") && wait.contains("next try"), "P24: {wait}");
        }
        world.pass_heard(10_000);
    }
    let (_, status, reason) = world.last_decision();
    assert_eq!(status, Status::Crash);
    assert!(reason.starts_with("setup failed"), "{reason}");
    let held = LeverState::Held { reason: HoldReason::SetupFailed };
    assert_eq!(world.lever_state(a), held);
    assert!(world.core.durable().drained.is_empty(), "three in a row, and none is the worker's");
    // They do not end a row of the worker's own either.
    world.propose(lever("b")).expect("queued");
    for outcome in [infra(), setup_failed(), infra()] {
        world.run_ends(outcome);
        world.pass_heard(10_000);
    }
    assert!(world.core.durable().drained.is_empty(), "two of the worker's own");
}

#[test]
fn p20_three_such_endings_in_a_row_on_one_worker_drain_it() {
    let mut world = World::with(&json!({}));
    for (index, outcome) in
        [Some(infra()), Some(infra()), None, Some(infra()), Some(infra())].iter().enumerate()
    {
        match outcome {
            Some(outcome) => world.run_ends(outcome.clone()),
            None => world.finish("0.5"),
        };
        world.pass_heard(10_000);
        if index == 2 {
            world.propose(lever("a")).expect("queued");
        }
        assert!(world.core.durable().drained.is_empty(), "after {index}");
    }
    world.run_ends(infra());
    assert!(world.core.durable().drained.contains_key(&WorkerId::from("w")), "the third in a row");
    world.propose(lever("b")).expect("queued");
    world.pass_heard(30_000);
    assert!(world.said.is_empty(), "nothing new for a drained worker");
    world.ask(Ask::Undrain(WorkerId::from("w"))).expect("undrained");
    world.finish("0.9");
    assert!(world.core.durable().failures_in_a_row.is_empty());
}
