//! Workers and the ledger: I1, I4, I5, I6, I15, sessions, losses, restarts.

use crate::harness::{Fake, Said, World, cpus, crash, good, lever};
use serde_json::json;
use windlass_engine::core::{Ask, Command, Input, Observation, RequestKey};
use windlass_engine::session::{LEASE_PERIOD_MS, Presence};
use windlass_shared::attempt::{AttemptKey, Ending, Kind, Order, Outcome, Phase};
use windlass_shared::conclusion::Status;
use windlass_shared::digest::Hash;
use windlass_shared::id::{AttemptId, FencingNumber, Incarnation, LeverNumber, SessionId, WorkerId};
use windlass_shared::record::{Answer, Body};
use windlass_shared::refusal::Refusal;
use windlass_shared::session::{AttemptReport, Report, Standing, StopReason};

fn w() -> WorkerId {
    WorkerId::from("w")
}

/// The orders' keys of what was told.
fn stop(world: &mut World) -> (AttemptKey, StopReason) {
    match world.take().1 {
        Said::Stop(key, reason) => (key, reason),
        other => panic!("a stop was expected, not {other:?}"),
    }
}

// ---- I1, I2

#[test]
fn i1_a_report_that_is_doubled_delayed_or_reordered_changes_nothing() {
    let mut world = World::with(&json!({}));
    world.propose(lever("a")).expect("queued");
    let (_, order) = world.order(Kind::Run);
    let before = world.fake("w").report();
    world.fake("w").end(&order.key, good(&order, "0.5"));
    let ended = world.fake("w").report();
    world.send(ended.clone());
    let (_, second) = world.order(Kind::Run);
    let records = world.records.len();
    for late in [ended.clone(), before, ended] {
        world.send(late);
    }
    assert_eq!(world.records.len(), records);
    world.end_on(&w(), &second.key, good(&second, "0.6"));
    assert_eq!(world.decisions().len(), 2);
}

#[test]
fn i1_an_ended_attempt_that_is_said_again_is_acknowledged_and_not_recorded() {
    let mut world = World::with(&json!({}));
    let (_, order) = world.order(Kind::Run);
    let outcome = good(&order, "0.5");
    world.end_on(&w(), &order.key, outcome.clone());
    let records = world.records.len();
    // The acknowledgement was lost with the worker's memory; its spool says it all again, and otherwise.
    let fake = world.fake("w");
    fake.attempts.insert(order.key.clone(), (Vec::new(), Phase::Ended(Box::new(crash()))));
    fake.draw_session();
    world.report("w");
    assert_eq!(world.records.len(), records, "a decision never changes");
    assert_eq!(world.fake("w").acknowledged, [order.key.clone(), order.key]);
}

#[test]
fn i2_another_worker_cannot_speak_for_an_attempt() {
    let mut world = World::with(&json!({}));
    let (_, order) = world.order(Kind::Run);
    let mut impostor = Fake::new("x", cpus(1));
    impostor.attempts.insert(order.key.clone(), (Vec::new(), Phase::Ended(Box::new(good(&order, "0.99")))));
    world.join(impostor);
    assert_eq!(stop(&mut world), (order.key.clone(), StopReason::Superseded));
    assert!(world.decisions().is_empty());
    world.fake("x").attempts.clear();
    world.report("x");
    world.end_on(&w(), &order.key, good(&order, "0.5"));
    assert_eq!(world.state().record.as_ref().map(ToString::to_string).as_deref(), Some("0.5"));
}

// ---- I4

#[test]
fn i4_the_same_request_has_the_same_answer_and_no_second_record() {
    let mut world = World::based(&json!({}));
    let key = world.next_request();
    let create = || Ask::Create {
        name: "letters".to_owned(),
        bindings: Box::new(crate::harness::bindings(&json!({"priority": -1}))),
        tree: crate::harness::workspace(),
        cap: None,
        git: None,
        owner: None,
    };
    let first = world.ask_as(&key, create()).expect("created");
    let records = world.records.len();
    for _ in 0..3 {
        assert_eq!(world.ask_as(&key, create()), Ok(first.clone()));
    }
    assert_eq!(world.records.len(), records);
    let other = RequestKey { body: Hash::of(b"something else"), ..key.clone() };
    assert_eq!(world.ask_as(&other, create()), Err(Refusal::RequestReused { id: key.id.0.clone() }));
    world.restart();
    assert_eq!(world.ask_as(&key, create()), Ok(first.clone()), "remembered by the ledger");
    world.pass(7 * 24 * 3_600_000 + 1);
    world.submit("digits", &json!({})).expect("something that is recorded");
    assert!(world.core.durable().requests.get(&key.id).is_none(), "for 7 days");
    world.all_report();
    world.said.clear();
}

#[test]
fn i4_a_refusal_is_no_answer_to_remember() {
    let mut world = World::based(&json!({}));
    let key = world.next_request();
    let retire = |world: &World| Ask::Retire { campaign: world.id(), lever: LeverNumber(1) };
    let ask = retire(&world);
    assert!(matches!(world.ask_as(&key, ask), Err(Refusal::NotFound { .. })));
    world.merges.insert(
        LeverNumber(1),
        windlass_engine::gate::facts::Merged::Conflict(vec![crate::harness::path("train.py").into()]),
    );
    world.propose(lever("a")).expect("queued");
    let ask = retire(&world);
    assert_eq!(world.ask_as(&key, ask), Ok(Answer::Done));
}

// ---- I5, I6: losses

/// `w` falls silent with a run on it, and `x` takes the iteration over.
pub fn lost() -> (World, Box<Order>) {
    let mut world = World::with(&json!({}));
    let (_, order) = world.order(Kind::Run);
    world.connect("x", cpus(1));
    world.fake("w").cut = true;
    world.pass_heard(LEASE_PERIOD_MS - 10_000);
    assert!(world.bodies().all(|body| body.kind() != "attempt_ended"), "not before the period is over");
    world.pass_heard(10_000);
    (world, order)
}

#[test]
fn i5_a_stale_fence_is_recorded_once_and_changes_nothing_else() {
    let (mut world, stale) = lost();
    world.pass_heard(1_000);
    let (_, current) = world.order(Kind::Run);
    assert_eq!(current.key.id.number, 2);
    // It comes back with a result.
    world.fake("w").cut = false;
    world.fake("w").end(&stale.key, good(&stale, "0.99"));
    let from = world.records.len();
    world.report("w");
    assert_eq!(world.kinds(from), ["report_superseded"]);
    let said = world.bodies().last().cloned();
    let Some(Body::ReportSuperseded { attempt, fence, worker, ending }) = said else { panic!("{said:?}") };
    assert_eq!((attempt, fence, worker, ending.as_str()), (stale.key.id, stale.key.fence, w(), "finished"));
    assert!(world.fake("w").attempts.is_empty(), "acknowledged, so that it is forgotten there");
    assert!(world.decisions().is_empty());
    world.report("w");
    assert_eq!(world.kinds(from).len(), 1, "once");
    world.end_on(&WorkerId::from("x"), &current.key, good(&current, "0.5"));
    assert_eq!(world.state().record.as_ref().map(ToString::to_string).as_deref(), Some("0.5"));
}

#[test]
fn i6_a_lost_worker_frees_the_iteration_and_never_the_device() {
    let (mut world, stale) = lost();
    world.pass_heard(1_000);
    let (worker, current) = world.order(Kind::Run);
    assert_eq!(worker, WorkerId::from("x"), "it runs elsewhere");
    // It comes back with the run still on its device: told to stop it, and nothing is placed there.
    world.fake("w").cut = false;
    world.report("w");
    assert_eq!(stop(&mut world), (stale.key.clone(), StopReason::Superseded));
    world.end_on(&worker, &current.key, good(&current, "0.5"));
    world.propose(lever("a")).expect("queued");
    let (worker, current) = world.order(Kind::Run);
    assert_eq!(worker, WorkerId::from("x"));
    world.submit("second", &json!({})).expect("created");
    assert!(world.said.is_empty(), "x is full, and w is not empty by its own word");
    world.end_on(&w(), &stale.key, Outcome::bare(Ending::Cancelled));
    let (worker, second) = world.order(Kind::Run);
    assert_eq!(worker, w(), "now it is");
    assert_ne!(second.key.fence, current.key.fence);
}

#[test]
fn a_worker_that_is_lost_holds_its_lease_period_from_its_last_word() {
    let mut world = World::with(&json!({}));
    let (_, order) = world.order(Kind::Run);
    for _ in 0..5 {
        world.pass(LEASE_PERIOD_MS - 1);
        world.report("w");
    }
    assert_eq!(world.core.next_wake(), Some(world.now.mono_ms + LEASE_PERIOD_MS));
    world.observe(Observation::Disconnected(w()));
    assert_eq!(
        world.core.soft().fleet().member(&w()).map(|member| member.presence),
        Some(Presence::Suspected)
    );
    world.report("w");
    assert_eq!(world.core.soft().fleet().member(&w()).map(|member| member.presence), Some(Presence::Ready));
    world.end_on(&w(), &order.key, good(&order, "0.5"));
}

#[test]
fn nothing_is_placed_on_a_suspected_worker() {
    let mut world = World::based(&json!({}));
    world.observe(Observation::Disconnected(w()));
    world.propose(lever("a")).expect("queued");
    assert!(world.said.is_empty());
    assert!(world.waits_for().contains("none is connected"), "P24: {}", world.waits_for());
    world.report("w");
    world.finish("0.6");
}

#[test]
fn after_a_restart_every_lease_has_a_fresh_period() {
    let check = |silent_ms: u64, comes_back: bool| {
        let mut world = World::with(&json!({}));
        let (_, order) = world.order(Kind::Run);
        world.pass(LEASE_PERIOD_MS - 1);
        world.restart();
        world.pass(silent_ms);
        let ended = world.bodies().filter(|body| body.kind() == "attempt_ended").count();
        assert_eq!(ended == 0, comes_back, "{silent_ms} ms");
        world.end_on(&w(), &order.key, good(&order, "0.5"));
        if comes_back {
            assert_eq!(world.last_decision().1, Status::Keep, "the result of a lease of another life counts");
        } else {
            assert!(world.decisions().is_empty());
            world.pass_heard(5_000);
            world.finish("0.4");
        }
        world.pass_heard(LEASE_PERIOD_MS);
        let wake = world.core.next_wake().expect("a session's deadline");
        assert!(wake <= world.now.mono_ms + LEASE_PERIOD_MS);
    };
    check(0, true);
    check(LEASE_PERIOD_MS - 1, true);
    check(LEASE_PERIOD_MS, false);
}

#[test]
fn a_coordinator_with_nothing_to_wait_for_sleeps() {
    let mut world = World::empty();
    world.pass(LEASE_PERIOD_MS);
    assert_eq!(world.core.next_wake(), None);
}

// ---- I15

#[test]
fn i15_an_attempt_that_the_ledger_does_not_know_is_stopped_and_never_judged() {
    let mut world = World::with(&json!({}));
    let (_, order) = world.order(Kind::Run);
    let strange = |campaign: &str, number: u32, incarnation: u64| AttemptKey {
        id: AttemptId { campaign: campaign.into(), number, ..order.key.id.clone() },
        fence: FencingNumber { incarnation: Incarnation(incarnation), n: 1 },
    };
    let campaign = world.id().0;
    // Another campaign, another attempt, the same attempt under a number of another life.
    let keys = [strange("letters", 1, 1), strange(&campaign, 7, 1), strange(&campaign, 1, 99)];
    for key in &keys {
        for phase in [Phase::Running { elapsed_ms: 5 }, Phase::Ended(Box::new(good(&order, "0.99")))] {
            let from = world.records.len();
            world.fake("w").attempts.insert(key.clone(), (Vec::new(), phase));
            world.fake("w").draw_session();
            world.report("w");
            assert_eq!(stop(&mut world), (key.clone(), StopReason::Unknown));
            assert_eq!(world.records.len(), from, "never judged");
            world.fake("w").attempts.remove(key);
        }
    }
    world.end_on(&w(), &order.key, good(&order, "0.5"));
}

// ---- sessions

/// What the core answers to a report, without a worker that would hear it.
fn answer_to(world: &mut World, report: Report) -> Option<windlass_shared::session::Answer> {
    let now = world.now;
    assert_eq!(world.core.decide(now, Input::Report(report.clone())), Ok(Vec::new()));
    world.core.observe(now, Observation::Report(report));
    world.core.wants(now).into_iter().find_map(|command| match command {
        Command::Answer(_, answer) => Some(answer),
        _ => None,
    })
}

#[test]
fn a_session_of_another_life_or_a_closed_one_is_told_so_and_changes_nothing() {
    let mut world = World::with(&json!({}));
    let (_, order) = world.order(Kind::Run);
    let ended = |world: &mut World| {
        let mut report = world.fake("w").report();
        report.attempts[0].phase = Phase::Ended(Box::new(good(&order, "0.99")));
        report
    };
    let wrong_lives = [None, Some(Incarnation(99))];
    for incarnation in wrong_lives {
        let report = Report { incarnation, ..ended(&mut world) };
        let (session, number) = (report.session.clone(), report.number);
        let answer = answer_to(&mut world, report).expect("told at once");
        assert_eq!((answer.standing, answer.incarnation), (Standing::Closed, Incarnation(1)));
        assert_eq!((answer.session, answer.number), (session, number));
    }
    let old = ended(&mut world);
    world.fake("w").draw_session();
    world.report("w");
    let answer = answer_to(&mut world, Report { number: 1_000, ..old }).expect("told at once");
    assert_eq!(answer.standing, Standing::Closed, "the worker began another one");
    world.report("w");
    world.end_on(&w(), &order.key, good(&order, "0.5"));
}

#[test]
fn a_closed_session_stays_closed_however_many_come_after_it() {
    let mut world = World::based(&json!({}));
    let mut closed = Vec::new();
    // Names that sort downwards: the newest is the smallest.
    for index in (0..200).rev() {
        closed.push(world.fake("w").report());
        world.fake("w").session = SessionId(format!("session-{index:03}"));
        (world.fake("w").number, world.fake("w").seen) = (0, 0);
        world.report("w");
    }
    for mut old in closed.into_iter().rev().take(60) {
        old.number += 1_000;
        let session = old.session.clone();
        let answer = answer_to(&mut world, old).expect("told at once");
        assert_eq!(answer.standing, Standing::Closed, "{session}");
    }
}

#[test]
fn what_is_told_is_told_again_until_it_has_arrived() {
    let mut world = World::empty();
    let incarnation = Some(Incarnation(1));
    let mut fake = Fake { incarnation, ..Fake::new("ghost", cpus(1)) };
    let report = fake.report();
    assert_eq!(answer_to(&mut world, report), None, "nothing new: the call hangs");
    world.submit("digits", &json!({})).expect("created");
    // The open call is answered with the order; that answer is lost (there is no such worker here).
    let told = |world: &mut World, fake: &mut Fake| {
        let report = fake.report();
        answer_to(world, report).map_or(0, |answer| answer.orders.len())
    };
    assert_eq!(told(&mut world, &mut fake), 1, "told again");
    assert_eq!(told(&mut world, &mut fake), 1, "and again");
    fake.seen = fake.number;
    assert_eq!(told(&mut world, &mut fake), 0, "it has arrived, and is being taken up");
    let answer = world.core.answer_now(&fake.info.id).expect("a call that has hung long enough is answered");
    assert_eq!(answer.orders.len(), 1, "with all that the worker should have");
    assert_eq!(world.core.answer_now(&fake.info.id), None, "once a call");
}

#[test]
fn a_worker_that_comes_with_other_labels_or_devices_is_looked_at_again() {
    let mut world = World::empty();
    world.connect("w", cpus(1));
    world.submit("digits", &json!({"resources": {"labels": ["fast"]}})).expect("created");
    assert!(world.said.is_empty());
    world.fake("w").info.labels = vec!["fast".to_owned()];
    world.fake("w").draw_session();
    world.report("w");
    world.finish("0.5");
}

#[test]
fn a_device_is_not_leased_while_the_host_says_otherwise() {
    use windlass_shared::device::DeviceState;
    for state in [
        DeviceState::Outsider { who: "pid 7".to_owned() },
        DeviceState::Quarantined { reason: "memory held".to_owned() },
    ] {
        let mut world = World::based(&json!({}));
        world.fake("w").devices[0].state = state;
        world.report("w");
        world.propose(lever("a")).expect("queued");
        assert!(world.said.is_empty(), "I9");
        world.fake("w").devices[0].state = DeviceState::Free;
        world.report("w");
        world.finish("0.6");
    }
}

#[test]
fn a_campaign_stopped_before_its_order_arrived_leaves_no_device_held() {
    let mut world = World::empty();
    world.connect("w", cpus(1));
    world.fake("w").cut = true;
    world.submit("digits", &json!({})).expect("leased, but the answer is lost");
    let campaign = world.id();
    world.ask(Ask::Stop(campaign)).expect("stopped");
    world.fake("w").cut = false;
    world.report("w");
    let (key, reason) = stop(&mut world);
    assert_eq!(reason, StopReason::Cancelled);
    assert!(world.core.durable().live.is_empty(), "{key} was never there, by the worker's own word");
    world.submit("letters", &json!({})).expect("created");
    world.finish("0.5");
}

#[test]
fn p32_stopping_cancels_what_runs_and_nothing_comes_after() {
    let mut world = World::based(&json!({}));
    world.propose(lever("a")).expect("queued");
    let (_, order) = world.order(Kind::Run);
    let campaign = world.id();
    world.ask(Ask::Stop(campaign.clone())).expect("stopped");
    assert_eq!(stop(&mut world), (order.key.clone(), StopReason::Cancelled));
    world.end_on(&w(), &order.key, Outcome::bare(Ending::Cancelled));
    assert_eq!(world.decisions().len(), 1);
    let from = world.records.len();
    assert_eq!(world.ask(Ask::Stop(campaign.clone())), Ok(Answer::Done), "again is nothing");
    assert_eq!(world.records.len(), from + 1, "I4: nothing but its key is remembered");
    for ask in [Ask::Pause(campaign.clone()), Ask::Resume(campaign)] {
        assert!(matches!(world.ask(ask), Err(Refusal::State { .. })));
    }
    assert!(matches!(world.propose(lever("b")), Err(Refusal::State { .. })));
    assert_eq!(world.records.len(), from + 1);
    world.submit("letters", &json!({})).expect("the device is free");
    world.finish("0.5");
}

#[test]
fn a_report_of_phases_shows_in_the_view() {
    let mut world = World::with(&json!({}));
    let (_, order) = world.order(Kind::Run);
    for (phase, word) in [
        (Phase::Preparing, "preparing"),
        (Phase::Running { elapsed_ms: 5 }, "running"),
        (Phase::Collecting, "collecting"),
    ] {
        let mut report = world.fake("w").report();
        report.attempts = vec![AttemptReport { key: order.key.clone(), phase }];
        world.send(report);
        let view = world.core.campaign_view(world.now, &world.id()).expect("known").open.expect("open");
        assert_eq!(view.attempt.expect("live").phase, word);
    }
    world.end_on(&w(), &order.key, good(&order, "0.5"));
}

#[test]
fn an_older_report_of_the_session_is_thrown_away() {
    use windlass_shared::device::DeviceState;
    let mut world = World::based(&json!({}));
    let older = world.fake("w").report();
    world.fake("w").devices[0].state = DeviceState::Outsider { who: "pid 7".to_owned() };
    world.report("w");
    world.send(older);
    world.propose(lever("a")).expect("queued");
    assert!(world.open().live.is_none(), "the device is not free by the newest word");
}

#[test]
fn a_stop_that_was_not_heard_ends_nothing() {
    let mut world = World::empty();
    world.connect("w", cpus(1));
    world.fake("w").cut = true;
    world.submit("digits", &json!({})).expect("leased");
    let campaign = world.id();
    world.ask(Ask::Stop(campaign)).expect("stopped");
    // Its reports arrive, the answers do not: it may have taken the order up by now.
    for _ in 0..3 {
        let report = world.fake("w").report();
        let answer = answer_to(&mut world, report).expect("told again");
        assert_eq!(answer.stop.len(), 1);
    }
    assert_eq!(world.core.durable().live.len(), 1);
}
