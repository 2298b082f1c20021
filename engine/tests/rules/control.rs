//! What an owner does: pause, resume, stop limits (P32), retire, names; and what a page says (P24, P31).

use crate::harness::{GIB, World, crash, gpu, lever, path};
use serde_json::{Value, json};
use windlass_engine::core::Ask;
use windlass_engine::gate::facts::Merged;
use windlass_shared::attempt::Kind;
use windlass_shared::conclusion::Status;
use windlass_shared::id::{CampaignId, LeverNumber, WorkerId};
use windlass_shared::record::{Answer, RetireReason, StopReason};
use windlass_shared::refusal::Refusal;
use windlass_shared::view::{CampaignState, LeverState};

#[test]
fn a_paused_campaign_finishes_what_is_open_and_opens_nothing_new() {
    let mut world = World::based(&json!({}));
    for name in ["a", "b"] {
        world.propose(lever(name)).expect("queued");
    }
    let campaign = world.id();
    assert_eq!(world.ask(Ask::Pause(campaign.clone())), Ok(Answer::Done));
    assert_eq!(world.ask(Ask::Pause(campaign.clone())), Ok(Answer::Done), "again is nothing");
    world.finish("0.6");
    assert_eq!(world.last_decision().1, Status::Keep);
    assert!(world.state().open.is_empty());
    assert!(world.waits_for().contains("windlass resume"), "P24: {}", world.waits_for());
    world.propose(lever("c")).expect("levers are taken meanwhile");
    world.restart();
    world.all_report();
    assert!(world.said.is_empty(), "still paused");
    assert_eq!(world.ask(Ask::Resume(campaign.clone())), Ok(Answer::Done));
    world.finish("0.7");
    world.finish("0.8");
    let from = world.records.len();
    assert_eq!(world.ask(Ask::Resume(campaign)), Ok(Answer::Done), "again is nothing");
    let kinds: Vec<&str> = world.records[from..].iter().map(|record| record.body.kind()).collect();
    assert_eq!(kinds, ["request_answered"], "I4: nothing but its key is remembered");
}

/// The campaign stops by this limit after the runs that ended with these metrics.
fn check_limit(windlass: &Value, metrics: &[&str], limit: &str) {
    let mut world = World::empty();
    world.connect("w", vec![gpu("GPU-1", "H200", 100 * GIB)]);
    world.submit("digits", windlass).expect("created");
    for name in ["a", "b", "c", "d"] {
        world.propose(lever(name)).expect("queued");
    }
    for metric in metrics {
        assert_eq!(world.state().state, CampaignState::Active, "{windlass}: before {metric}");
        world.finish(metric);
    }
    match &world.state().state {
        CampaignState::Stopped { reason: StopReason::Limit { limit: met } } => {
            assert!(met.contains(limit), "{met}");
        }
        other => panic!("{windlass}: {other:?}"),
    }
}

#[test]
fn p32_a_stop_limit_ends_the_campaign_and_nothing_else_does() {
    check_limit(&json!({"stop": {"iterations": 3}}), &["0.5", "0.4", "0.3"], "stop.iterations is 3");
    check_limit(&json!({"stop": {"target": 0.7}}), &["0.5", "0.69", "0.7"], "stop.target is 0.7");
    // Each run takes 3 s of one GPU: 6 s are 0.00166… hours.
    check_limit(&json!({"stop": {"gpu_hours": 0.0016}}), &["0.5", "0.4"], "stop.gpu_hours");
}

#[test]
fn p24_p32_an_empty_queue_is_a_wait_that_says_for_what() {
    let mut world = World::empty();
    world.submit("digits", &json!({})).expect("created");
    assert!(world.waits_for().contains("none is connected"), "{}", world.waits_for());
    world.connect("w", crate::harness::cpus(1));
    assert_eq!(world.waits_for(), "", "it runs");
    world.finish("0.5");
    assert!(world.waits_for().contains("windlass lever add"), "{}", world.waits_for());
    world.pass_heard(100_000);
    assert_eq!(world.state().state, CampaignState::Active);
    world.ask(Ask::Drain(WorkerId::from("w"))).expect("drained");
    world.propose(lever("a")).expect("queued");
    assert!(world.waits_for().contains("CPU slot"), "{}", world.waits_for());
    world.ask(Ask::Undrain(WorkerId::from("w"))).expect("undrained");
    world.finish("0.6");
}

#[test]
fn p31_every_page_reports_the_best_and_not_the_last() {
    let mut world = World::based(&json!({}));
    for (name, metric) in [("a", "0.7"), ("b", "0.6"), ("c", "0.65")] {
        world.propose(lever(name)).expect("queued");
        world.finish(metric);
    }
    let view = world.core.campaign_view(world.now, &world.id()).expect("known");
    let best = view.best.expect("a best");
    assert_eq!((best.iteration.0, best.title.as_str(), best.status), (2, "a", Status::Keep));
    assert_eq!(view.record.expect("a record").text(), "0.7");
    assert_eq!((view.decided.keep, view.decided.discard, view.decided.crash), (2, 2, 0));
    assert_eq!(view.recent.iter().map(|one| one.iteration.0).collect::<Vec<_>>(), [4, 3, 2, 1]);
    assert_eq!(view.best_tree, world.state().parent_tree());
}

#[test]
fn p26_p31_a_simplification_within_the_tolerance_moves_the_best_and_not_the_record() {
    let mut world = World::based(&json!({"simplicity": {"tolerance": 0.01}}));
    let tree = crate::harness::digest("shorter");
    let diff = crate::harness::diff_of(tree);
    world.merges.insert(LeverNumber(1), Merged::Clean { tree, net_lines: -3, diff });
    world.propose(lever("a")).expect("queued");
    world.finish("0.495");
    assert_eq!(world.last_decision(), (2, Status::Keep, "simpler".to_owned()));
    assert_eq!(world.state().parent_tree(), tree);
    assert_eq!(world.state().record.as_ref().map(ToString::to_string).as_deref(), Some("0.5"));
    world.propose(lever("b")).expect("queued");
    world.finish("0.498");
    assert_eq!(world.last_decision().1, Status::Discard, "P25: held against the record");
}

#[test]
fn only_a_lever_that_waits_can_be_retired() {
    let mut world = World::based(&json!({}));
    world.merges.insert(LeverNumber(3), Merged::Conflict(vec![path("train.py").into()]));
    for name in ["a", "b", "c", "d"] {
        world.propose(lever(name)).expect("queued");
    }
    let retire = |world: &mut World, lever: u32| {
        let campaign = world.id();
        world.ask(Ask::Retire { campaign, lever: LeverNumber(lever) })
    };
    assert!(matches!(retire(&mut world, 1), Err(Refusal::State { .. })), "being tested");
    assert_eq!(retire(&mut world, 2), Ok(Answer::Done), "in line");
    assert_eq!(retire(&mut world, 2), Ok(Answer::Done), "again is nothing");
    assert!(matches!(retire(&mut world, 9), Err(Refusal::NotFound { what: "lever", .. })));
    world.run_ends(crash());
    assert!(matches!(retire(&mut world, 1), Err(Refusal::State { .. })), "decided");
    assert_eq!(retire(&mut world, 3), Ok(Answer::Done), "held");
    assert_eq!(world.open().lever, Some(LeverNumber(4)), "its turn came at once");
    world.finish("0.6");
    for lever in [2, 3] {
        let state = world.lever_state(LeverNumber(lever));
        assert_eq!(state, LeverState::Retired { reason: RetireReason::Owner });
    }
    world.propose(lever("b")).expect("what was retired untested may come again");
    world.finish("0.7");
}

#[test]
fn a_campaign_is_found_by_id_name_or_unique_prefix() {
    let mut world = World::empty();
    let mut submit = |name: &str| {
        world.submit(name, &json!({})).expect("created");
        world.id()
    };
    let (digits, dig, twin, again) = (submit("digits"), submit("dig"), submit("twin"), submit("twin"));
    let check = |text: &str, want: Result<&CampaignId, &str>| match (world.core.resolve_campaign(text), want)
    {
        (Ok(found), Ok(want)) => assert_eq!(found, *want, "{text}"),
        (Err(refusal), Err(want)) => assert_eq!(refusal.reason(), want, "{text}"),
        (found, want) => panic!("{text}: {found:?}, not {want:?}"),
    };
    check(digits.as_str(), Ok(&digits));
    check("digits", Ok(&digits));
    check("dig", Ok(&dig));
    check("digi", Ok(&digits));
    check("di", Err("AMBIGUOUS_NAME"));
    check("twin", Err("AMBIGUOUS_NAME"));
    check(&twin.as_str()[..9], Ok(&twin));
    check(again.as_str(), Ok(&again));
    check("", Err("NOT_FOUND"));
    check("letters", Err("NOT_FOUND"));
}

#[test]
fn campaigns_are_served_by_priority_then_age() {
    let mut world = World::empty();
    for (name, priority) in [("old", 0), ("new", 0), ("urgent", 5)] {
        world.submit(name, &json!({"priority": priority})).expect("created");
        world.pass(1_000);
    }
    world.connect("w", crate::harness::cpus(1));
    for name in ["urgent", "old", "new"] {
        let (worker, order) = world.order(Kind::Run);
        assert!(order.key.id.campaign.as_str().starts_with(name), "{} before {name}", order.key);
        world.end_on(&worker, &order.key, crate::harness::good(&order, "0.5"));
    }
}
