//! What steers a campaign that runs: cancel, move, retry, update; and that one refusal tells everything.

use crate::harness::{Said, World, cpus, crash, good, infra, lever, path, row};
use serde_json::json;
use windlass_engine::core::{Ask, Place};
use windlass_engine::gate::facts::{Look, Merged, Rejected};
use windlass_shared::attempt::{AttemptKey, Ending, Kind, Outcome};
use windlass_shared::conclusion::Status;
use windlass_shared::id::{IterationNumber, LeverNumber, WorkerId};
use windlass_shared::record::{Answer, HoldReason, PauseReason, RetireReason};
use windlass_shared::refusal::Refusal;
use windlass_shared::session::StopReason;
use windlass_shared::view::{CampaignState, LeverState};

fn cancel(world: &mut World, iteration: u32) -> Result<Answer, Refusal> {
    let campaign = world.id();
    world.ask(Ask::Cancel { campaign, iteration: IterationNumber(iteration) })
}

fn move_to(world: &mut World, lever: u32, place: Place) -> Result<Answer, Refusal> {
    let campaign = world.id();
    world.ask(Ask::Move { campaign, lever: LeverNumber(lever), place })
}

/// As a client would: its facts are gathered first.
fn retry(world: &mut World, lever: u32) -> Result<Answer, Refusal> {
    let (campaign, lever) = (world.id(), LeverNumber(lever));
    let wanted = world.core.retry_wanted(&campaign, lever)?;
    let facts = Ok(Box::new(world.pull_facts(&wanted)));
    world.ask(Ask::Retry { campaign, lever, facts })
}

fn state_of(world: &World, lever: u32) -> LeverState {
    world.lever_state(LeverNumber(lever))
}

fn held(iteration: u32) -> LeverState {
    LeverState::Held { reason: HoldReason::Cancelled { iteration: IterationNumber(iteration) } }
}

fn queue(world: &World) -> Vec<u32> {
    world.state().queue.iter().map(|lever| lever.0).collect()
}

fn rule_of<T: std::fmt::Debug>(result: Result<T, Refusal>) -> String {
    let refusal = result.expect_err("it is refused");
    assert!(refusal.remedy().is_some(), "it says what to do: {refusal}");
    refusal.rule().unwrap_or_default().to_owned()
}

/// A run that is under way, cancelled; what its worker then says is this.
fn cancelled_while_running(outcome: impl FnOnce(&windlass_shared::attempt::Order) -> Outcome) -> World {
    let mut world = World::based(&json!({}));
    world.propose(lever("a")).expect("queued");
    let (worker, order) = world.order(Kind::Run);
    assert_eq!(cancel(&mut world, 2), Ok(Answer::Done));
    assert_eq!(world.take(), (worker.clone(), Said::Stop(order.key.clone(), StopReason::Cancelled)));
    let from = world.records.len();
    assert_eq!(cancel(&mut world, 2), Ok(Answer::Done), "again is nothing");
    assert_eq!(world.kinds(from), ["request_answered"]);
    assert!(world.open().live.is_some(), "its worker ends it, nobody else");
    let outcome = outcome(&order);
    world.end_on(&worker, &order.key, outcome);
    world
}

#[test]
fn p10_a_cancelled_iteration_is_a_crash_that_blames_nobody_however_its_run_ends() {
    let ways: [fn(&windlass_shared::attempt::Order) -> Outcome; 4] =
        [|_| Outcome::bare(Ending::Cancelled), |order| good(order, "0.9"), |_| crash(), |_| infra()];
    for how in ways {
        let mut world = cancelled_while_running(how);
        assert_eq!(world.last_decision(), (2, Status::Crash, "cancelled".to_owned()));
        assert_eq!(state_of(&world, 1), held(2));
        assert_eq!(world.state().held_in_a_row, 0, "P20: the machinery is not blamed either");
        world.propose(lever("a")).expect("P10: it was not tried");
        let campaign = world.id();
        world.ask(Ask::Stop(campaign)).expect("stopped");
        world.said.clear();
    }
}

#[test]
fn a_cancelled_iteration_with_nothing_running_is_decided_at_once() {
    let mut world = World::based(&json!({}));
    world.ask(Ask::Drain(WorkerId::from("w"))).expect("drained");
    world.propose(lever("a")).expect("queued");
    assert!(world.open().live.is_none());
    assert_eq!(cancel(&mut world, 2), Ok(Answer::Done));
    assert_eq!(world.last_decision(), (2, Status::Crash, "cancelled".to_owned()));
    assert_eq!(cancel(&mut world, 2), Ok(Answer::Done), "cancelled is cancelled");
}

#[test]
fn i1_what_is_decided_is_not_cancelled_and_what_is_not_open_is_not_there() {
    let mut world = World::based(&json!({}));
    assert_eq!(rule_of(cancel(&mut world, 1)), "I1");
    assert!(matches!(cancel(&mut world, 2), Err(Refusal::NotFound { what: "iteration", .. })));
    world.propose(lever("a")).expect("queued");
    let campaign = world.id();
    world.ask(Ask::Stop(campaign)).expect("stopped");
    assert!(matches!(cancel(&mut world, 2), Err(Refusal::State { .. })), "stopping ended it");
    world.said.clear();
}

#[test]
fn a_cancel_is_carried_out_by_a_coordinator_that_started_anew() {
    let mut world = World::based(&json!({}));
    world.propose(lever("a")).expect("queued");
    let (worker, order) = world.order(Kind::Run);
    world.fake("w").cut = true;
    cancel(&mut world, 2).expect("cancelled");
    assert!(world.said.is_empty(), "nobody hears it");
    world.restart();
    world.fake("w").cut = false;
    world.all_report();
    assert_eq!(world.take(), (worker.clone(), Said::Stop(order.key.clone(), StopReason::Cancelled)));
    world.end_on(&worker, &order.key, Outcome::bare(Ending::Cancelled));
    assert_eq!(world.last_decision(), (2, Status::Crash, "cancelled".to_owned()));
}

#[test]
fn an_attempt_that_never_reached_its_worker_can_be_cancelled() {
    let mut world = World::based(&json!({}));
    world.fake("w").cut = true;
    world.propose(lever("a")).expect("queued");
    assert!(world.open().live.is_some(), "leased");
    cancel(&mut world, 2).expect("cancelled");
    world.fake("w").cut = false;
    world.report("w");
    let (_, said) = world.take();
    assert!(matches!(said, Said::Stop(_, StopReason::Cancelled)));
    world.report("w");
    assert_eq!(world.last_decision(), (2, Status::Crash, "cancelled".to_owned()));
    world.said.clear();
    world.propose(lever("b")).expect("queued");
    world.finish("0.6");
}

#[test]
fn p1_a_cancelled_baseline_pauses_the_campaign_and_says_what_to_do() {
    let mut world = World::with(&json!({}));
    let (worker, order) = world.order(Kind::Run);
    cancel(&mut world, 1).expect("cancelled");
    world.said.clear();
    world.end_on(&worker, &order.key, Outcome::bare(Ending::Cancelled));
    let CampaignState::Paused { reason: PauseReason::Baseline { repair } } = &world.state().state else {
        panic!("{:?}", world.state().state);
    };
    assert!(repair.contains("cancelled") && repair.contains("submit"), "{repair}");
    let campaign = world.id();
    assert!(world.ask(Ask::Resume(campaign)).is_err(), "there is nothing to compare with");
    world.submit("digits", &json!({})).expect("submitted again");
    world.finish("0.5");
}

#[test]
fn levers_move_in_line_and_only_there() {
    let mut world = World::with(&json!({}));
    for name in ["a", "b", "c", "d"] {
        world.propose(lever(name)).expect("queued");
    }
    let l = LeverNumber;
    let cases = [
        (4, Place::First, vec![4, 1, 2, 3]),
        (4, Place::First, vec![4, 1, 2, 3]),
        (4, Place::Last, vec![1, 2, 3, 4]),
        (1, Place::After(l(2)), vec![2, 1, 3, 4]),
        (4, Place::Before(l(2)), vec![4, 2, 1, 3]),
        (2, Place::After(l(3)), vec![4, 1, 3, 2]),
        (2, Place::Before(l(2)), vec![4, 1, 3, 2]),
    ];
    for (lever, place, want) in cases {
        assert_eq!(move_to(&mut world, lever, place), Ok(Answer::Done), "{lever} {place:?}");
        assert_eq!(queue(&world), want, "{lever} {place:?}");
    }
    let from = world.records.len();
    move_to(&mut world, 4, Place::First).expect("it stands there");
    assert_eq!(world.kinds(from), ["request_answered"], "what is so already changes nothing");
    assert!(matches!(move_to(&mut world, 9, Place::First), Err(Refusal::NotFound { what: "lever", .. })));
    assert!(matches!(move_to(&mut world, 1, Place::After(l(9))), Err(Refusal::NotFound { .. })));
    world.finish("0.5");
    assert_eq!(world.open().lever, Some(l(4)), "its turn came first");
    assert_eq!(rule_of(move_to(&mut world, 4, Place::Last)), "P9");
    assert_eq!(rule_of(move_to(&mut world, 1, Place::Before(l(4)))), "P9");
    let campaign = world.id();
    world.ask(Ask::Retire { campaign, lever: l(3) }).expect("retired");
    assert_eq!(rule_of(move_to(&mut world, 3, Place::First)), "P9");
    world.said.clear();
}

#[test]
fn p9_a_move_touches_no_passes() {
    let mut world = World::with(&json!({"passes": 3}));
    world.looks.insert(LeverNumber(1), Look::FileMissing);
    for name in ["a", "b"] {
        world.propose(lever(name)).expect("queued");
    }
    world.finish("0.5");
    assert_eq!(world.state().levers[&LeverNumber(1)].passes, 1);
    for place in [Place::Last, Place::First, Place::Last] {
        move_to(&mut world, 1, place).expect("moved");
    }
    assert_eq!(world.state().levers[&LeverNumber(1)].passes, 1);
    world.said.clear();
}

#[test]
fn p10_a_lever_that_was_never_judged_may_be_put_back_and_runs_again() {
    let mut world = cancelled_while_running(|_| Outcome::bare(Ending::Cancelled));
    assert_eq!(retry(&mut world, 1), Ok(Answer::Done));
    assert_eq!(world.open().lever, Some(LeverNumber(1)), "its turn came at once");
    assert_eq!(rule_of(retry(&mut world, 1)), "P5");
    world.finish("0.6");
    assert_eq!(world.last_decision(), (3, Status::Keep, "better".to_owned()));
    assert_eq!(rule_of(retry(&mut world, 1)), "P10");
}

#[test]
fn p20_p21_levers_that_infrastructure_or_the_analysis_ended_may_be_put_back() {
    let mut world = World::based(&json!({}));
    world.propose(lever("a")).expect("queued");
    for _ in 0..3 {
        world.run_ends(infra());
        world.pass_heard(6_000);
        world.ask(Ask::Undrain(WorkerId::from("w"))).expect("undrained");
    }
    assert_eq!(state_of(&world, 1), LeverState::Held { reason: HoldReason::Infrastructure });
    retry(&mut world, 1).expect("the machinery was to blame");
    world.finish("0.6");

    let scripted =
        windlass_shared::lever::Lever { analysis: vec![crate::harness::scripted("depth")], ..lever("b") };
    world.propose(scripted).expect("queued");
    world.finish("0.7");
    for _ in 0..2 {
        world.end(Kind::Analysis, |order| Outcome { outputs: Vec::new(), ..good(order, "") });
    }
    assert_eq!(world.last_decision().2, "unanalysed");
    retry(&mut world, 2).expect("nothing was learned");
    assert_eq!(world.open().lever, Some(LeverNumber(2)));
    world.said.clear();
}

/// Lever 1 is taken back in a world whose best is iteration 2; its gates then find this.
fn put_back(change: impl FnOnce(&mut World)) -> (World, Result<Answer, Refusal>) {
    let mut world = World::with(&json!({}));
    for name in ["a", "b"] {
        world.propose(lever(name)).expect("queued");
    }
    let campaign = world.id();
    world.ask(Ask::Retire { campaign, lever: LeverNumber(1) }).expect("retired");
    world.finish("0.5");
    world.finish("0.6");
    change(&mut world);
    let result = retry(&mut world, 1);
    world.said.clear();
    (world, result)
}

#[test]
fn p6_p8_p10_the_gates_of_a_lever_that_is_put_back_are_asked_anew() {
    let look = |look: Look| move |world: &mut World| drop(world.looks.insert(LeverNumber(1), look));
    let merge = |merged: Merged| move |world: &mut World| drop(world.merges.insert(LeverNumber(1), merged));
    let (world, result) = put_back(|_| {});
    assert_eq!(result, Ok(Answer::Done));
    let entry = &world.state().levers[&LeverNumber(1)];
    assert_eq!(entry.pin.as_ref().map(|pin| pin.iteration.0), Some(2), "P6: pinned on what is known now");
    assert_eq!(rule_of(put_back(look(Look::FileMissing)).1), "P6");
    assert_eq!(rule_of(put_back(look(Look::NoMatch)).1), "P6");
    assert_eq!(rule_of(put_back(merge(Merged::Conflict(vec![path("train.py").into()]))).1), "P8");
    let frozen = Refusal::Frozen { path: "evaluate.py".to_owned() };
    assert_eq!(rule_of(put_back(merge(Merged::Refused(frozen))).1), "P2");
    let (world, _) = put_back(|_| {});
    let tried = world.state().parent_tree();
    let again = Merged::Clean { tree: tried, net_lines: 1, diff: crate::harness::diff_of(tried) };
    assert_eq!(rule_of(put_back(merge(again)).1), "P10");
    let (_, twin) = put_back(|world| {
        world.ask(Ask::Drain(WorkerId::from("w"))).expect("drained");
        world.propose(lever("blocker")).expect("queued");
        world.propose(lever("a")).expect("queued");
    });
    assert_eq!(rule_of(twin), "P10");
}

#[test]
fn p9_a_lever_that_is_put_back_has_its_passes_before_it() {
    let mut world = World::with(&json!({"passes": 1}));
    world.looks.insert(LeverNumber(1), Look::FileMissing);
    world.propose(lever("a")).expect("queued");
    world.finish("0.5");
    let state = state_of(&world, 1);
    assert!(matches!(state, LeverState::Retired { reason: RetireReason::Stale { .. } }), "{state:?}");
    assert_eq!(rule_of(retry(&mut world, 1)), "P6");
    world.looks.remove(&LeverNumber(1));
    retry(&mut world, 1).expect("its evidence is there now");
    world.finish("0.6");
}

#[test]
fn an_updated_priority_orders_what_waits_for_the_same_device() {
    let mut world = World::empty();
    let mut ids = Vec::new();
    for name in ["old", "new", "newest"] {
        world.submit(name, &json!({})).expect("created");
        ids.push(world.id());
        world.pass(1_000);
    }
    let update = |world: &mut World, which: usize, priority: i32| {
        let campaign = ids[which].clone();
        world
            .ask(Ask::Update { campaign, priority: Some(priority), weight: None, name: None })
            .expect("updated");
    };
    update(&mut world, 2, 7);
    update(&mut world, 1, 3);
    update(&mut world, 0, -1);
    update(&mut world, 1, -1);
    world.connect("w", cpus(1));
    for name in ["newest", "old", "new"] {
        let (worker, order) = world.order(Kind::Run);
        assert_eq!(order.key.id.campaign.as_str().split('-').next(), Some(name), "{}", order.key);
        if name == "newest" {
            world.restart();
            world.all_report();
        }
        world.end_on(&worker, &order.key, good(&order, "0.5"));
    }
}

#[test]
fn an_update_changes_what_it_names_and_refuses_what_is_no_name() {
    let mut world = World::based(&json!({"priority": 2}));
    let campaign = world.id();
    let update = |world: &mut World, priority: Option<i32>, name: Option<&str>| {
        let campaign = campaign.clone();
        world.ask(Ask::Update { campaign, priority, weight: None, name: name.map(str::to_owned) })
    };
    let from = world.records.len();
    update(&mut world, Some(2), Some("digits")).expect("it is so already");
    assert_eq!(world.kinds(from), ["request_answered"]);
    update(&mut world, None, Some("letters")).expect("renamed");
    assert_eq!(world.core.resolve_campaign("letters").as_ref(), Ok(&campaign));
    assert_eq!(world.state().bindings.windlass.priority, 2);
    update(&mut world, Some(-4), None).expect("changed");
    assert_eq!((world.state().name.as_str(), world.state().bindings.windlass.priority), ("letters", -4));
    for (weight, want) in [(3, Ok(3)), (3, Ok(3)), (0, Err(3))] {
        let ask =
            Ask::Update { campaign: campaign.clone(), priority: None, weight: Some(weight), name: None };
        assert_eq!(world.ask(ask).is_ok(), want.is_ok(), "{weight}");
        assert_eq!(world.state().bindings.windlass.weight, want.unwrap_or_else(|left| left));
    }
    for name in ["", "  ", "two\nlines"] {
        assert!(matches!(update(&mut world, None, Some(name)), Err(Refusal::Malformed { .. })), "{name:?}");
    }
    assert!(matches!(update(&mut world, None, None), Err(Refusal::Malformed { .. })));
    world.ask(Ask::Stop(campaign.clone())).expect("stopped");
    assert!(matches!(update(&mut world, Some(1), None), Err(Refusal::State { .. })));
    update(&mut world, None, Some("past")).expect("a name is only a name");
}

#[test]
fn a_refused_proposal_is_told_everything_at_once() {
    let mut world = World::based(&json!({}));
    world.propose(lever("a")).expect("queued");
    world.finish("0.6");
    let twice = windlass_shared::lever::Lever { analysis: vec![row("other")], ..lever("a") };
    let said = world
        .propose_with(twice.clone(), |facts| facts.look = Look::NoMatch)
        .expect_err("no evidence, and a repeat");
    let rules: Vec<_> = said.problems().into_iter().filter_map(|problem| problem.rule).collect();
    assert_eq!(rules, ["P6", "P10"]);

    let frozen = Refusal::Frozen { path: "evaluate.py".to_owned() };
    let queued = world.bodies().find_map(|body| match body {
        windlass_shared::record::Body::LeverQueued { lever: LeverNumber(1), diff, .. } => Some(*diff),
        _ => None,
    });
    let rejected = Rejected {
        problems: vec![frozen.clone()],
        evidence: world.state().latest_analysed,
        diff: queued,
        merged: None,
        look: Look::Contradicted { line: 3, value: "7".to_owned() },
    };
    let campaign = world.id();
    let lever = Box::new(twice);
    let said = world.ask(Ask::Propose {
        campaign: campaign.clone(),
        lever: lever.clone(),
        facts: Err(Box::new(rejected)),
    });
    let said = said.expect_err("three problems");
    let codes: Vec<String> = said.problems().into_iter().map(|problem| problem.code).collect();
    assert_eq!(codes, ["FROZEN_FILE", "ANCHOR", "DUPLICATE"]);
    let one = world.ask(Ask::Propose { campaign, lever, facts: Err(Box::new(frozen.clone().into())) });
    assert_eq!(one, Err(frozen), "one problem is itself");
}

#[test]
fn a_superseded_run_of_a_cancelled_iteration_changes_nothing() {
    let mut world = World::based(&json!({}));
    world.propose(lever("a")).expect("queued");
    let (worker, order): (WorkerId, _) = world.order(Kind::Run);
    let key: AttemptKey = order.key.clone();
    cancel(&mut world, 2).expect("cancelled");
    world.said.clear();
    world.pass(31_000);
    assert_eq!(world.last_decision(), (2, Status::Crash, "cancelled".to_owned()));
    world.end_on(&worker, &key, good(&order, "0.9"));
    world.report("w");
    assert_eq!(world.last_decision(), (2, Status::Crash, "cancelled".to_owned()), "I5");
    assert_eq!(state_of(&world, 1), held(2));
    world.said.clear();
}

#[test]
fn a_lower_priority_opens_the_worker_that_was_kept_to_those_above_it() {
    let mut world = World::empty();
    world.connect("w", cpus(2));
    world.submit("small", &json!({})).expect("created");
    let (worker, order) = world.order(Kind::Run);
    world.submit("large", &json!({"resources": {"cpus": 2}, "priority": 5})).expect("created");
    let large = world.id();
    world.submit("middle", &json!({"priority": 3})).expect("created");
    assert!(world.said.is_empty(), "one slot is free, and kept for the large one");
    world.ask(Ask::Update { campaign: large, priority: Some(1), weight: None, name: None }).expect("updated");
    let (other, middle) = world.order(Kind::Run);
    assert!(middle.key.id.campaign.as_str().starts_with("middle"), "{}", middle.key);
    world.end_on(&other, &middle.key, good(&middle, "0.5"));
    world.end_on(&worker, &order.key, good(&order, "0.5"));
    let (_, order) = world.order(Kind::Run);
    assert!(order.key.id.campaign.as_str().starts_with("large"), "{}", order.key);
}
