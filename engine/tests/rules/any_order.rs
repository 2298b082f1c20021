//! Whatever researchers, owners and workers do, in any order: the ledger stays legal (the harness checks
//! every record), a replay gives the same bytes, and afterwards everything moves on (I14). The simulator
//! goes deeper; this is quick.

use crate::harness::{Said, World, cpus, crash, good, infra, lever, path};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeSet;
use windlass_engine::core::{Ask, Observation, Place, Removal};
use windlass_engine::gate::facts::{Look, Merged};
use windlass_shared::attempt::{AttemptKey, Ending, Order, Outcome, Phase};
use windlass_shared::device::DeviceState;
use windlass_shared::id::{IterationNumber, LeverNumber, WorkerId};
use windlass_shared::lever::{FixTrigger, Kind, Lever};
use windlass_shared::quota::Quota;
use windlass_shared::record::Body;
use windlass_shared::reference::Evidence;
use windlass_shared::session::Report;
use windlass_shared::view::CampaignState;

/// Whose all campaigns are.
const OWNER: &str = "ada";

#[derive(Clone, Copy, Debug)]
enum Deed {
    Propose(u8),
    Wrong(u8),
    Conflict(u8),
    Missing(u8),
    Retire(u8),
    Move(u8, u8),
    Retry(u8),
    Cancel,
    Help(u8),
    Priority(i8),
    Review(u8),
    Pause,
    Resume,
    Stop,
    Resubmit,
    Drain(bool),
    Remove(u8),
    Quarantine(bool),
    Release(bool),
    Quota(u8),
    End(bool, u8),
    Cut(bool, bool),
    Reconnect(bool),
    Disconnect(bool),
    Report(bool),
    Late(u8),
    Pass(u16),
    Restart,
}

/// Campaigns of every sort: what waits for whom differs between them.
fn campaigns() -> [Value; 5] {
    [
        json!({"passes": 2}),
        json!({"passes": 2, "lanes": 3}),
        json!({"passes": 2, "move_scheduler": {"swing_budget": 1, "stagnation_limit": 1}, "lanes": 2}),
        json!({
            "passes": 2, "fix_wait": "1 min", "analysis": {"wait": "1 min"},
            "conclusion": {"mode": "required", "wait": "1 min"},
            "noise": {"baseline_replicates": 2, "confirm_replicates": 2, "sigmas": 2},
        }),
        json!({"passes": 2, "literature": "on", "architecture": "mlp"}),
    ]
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let worker = any::<bool>;
    let deed = prop_oneof![
        4 => (0..8_u8).prop_map(Deed::Propose),
        1 => any::<u8>().prop_map(Deed::Wrong),
        1 => (1..9_u8).prop_map(Deed::Conflict),
        1 => (1..9_u8).prop_map(Deed::Missing),
        1 => (1..9_u8).prop_map(Deed::Retire),
        1 => ((1..9_u8), (0..9_u8)).prop_map(|(lever, to)| Deed::Move(lever, to)),
        2 => (1..9_u8).prop_map(Deed::Retry),
        1 => Just(Deed::Cancel),
        4 => (0..5_u8).prop_map(Deed::Help),
        1 => any::<i8>().prop_map(Deed::Priority),
        2 => any::<u8>().prop_map(Deed::Review),
        1 => Just(Deed::Pause),
        2 => Just(Deed::Resume),
        1 => prop_oneof![1 => Just(Deed::Stop), 8 => Just(Deed::Resubmit)],
        1 => worker().prop_map(Deed::Drain),
        2 => (1..5_u8).prop_map(Deed::Remove),
        1 => worker().prop_map(Deed::Quarantine),
        1 => worker().prop_map(Deed::Release),
        1 => (0..3_u8).prop_map(Deed::Quota),
        12 => (worker(), any::<u8>()).prop_map(|(worker, how)| Deed::End(worker, how)),
        2 => (worker(), any::<bool>()).prop_map(|(worker, cut)| Deed::Cut(worker, cut)),
        1 => worker().prop_map(Deed::Reconnect),
        1 => worker().prop_map(Deed::Disconnect),
        4 => worker().prop_map(Deed::Report),
        2 => any::<u8>().prop_map(Deed::Late),
        4 => any::<u16>().prop_map(Deed::Pass),
        1 => Just(Deed::Restart),
    ];
    prop::collection::vec(deed, 1..80)
}

fn name(worker: bool) -> &'static str {
    if worker { "w" } else { "x" }
}

fn a_lever(which: u8) -> Lever {
    let fixes = vec![crate::harness::carried(FixTrigger::On("crashed".to_owned()))];
    let analysis = if which.is_multiple_of(2) {
        vec![crate::harness::scripted(&format!("d{which}"))]
    } else {
        vec![crate::harness::row(&format!("d{which}"))]
    };
    let kinds = [Kind::Change, Kind::Swing, Kind::Exploit, Kind::Merge, Kind::Instrumentation];
    let kind = kinds[usize::from(which) % kinds.len()];
    let parents = if kind == Kind::Merge { vec![IterationNumber(1), IterationNumber(2)] } else { Vec::new() };
    Lever { fixes, analysis, kind, parents, ..lever(&format!("lever-{which}")) }
}

/// A proposal that is wrong in every state of a campaign: it is refused, and at most noted.
fn wrong(world: &mut World, which: u8) {
    let before = world.records.len();
    let literature = which.is_multiple_of(4).then(|| "F999".to_owned());
    let refused = world.propose_with(Lever { literature, ..a_lever(which) }, |facts| match which % 4 {
        0 => {}
        1 if facts.evidence.is_some() => facts.look = Look::NoMatch,
        2 if facts.evidence.is_some() => {
            facts.look = Look::Contradicted { line: 3, value: "0.9".to_owned() };
        }
        // Before anything was analysed the anchor is looked up nowhere.
        _ => facts.parent = crate::harness::digest("a best that never was"),
    });
    assert!(refused.is_err(), "it was taken: {which}");
    let more: Vec<&Body> = world.records[before..].iter().map(|record| &record.body).collect();
    let is_note = |body: &&Body| matches!(body, Body::LeverRefused { .. });
    assert!(more.iter().all(is_note), "a refusal left more than a note: {more:?}");
}

/// A fix, a repaired script or a conclusion for the latest iteration; a follow-up on the best or on the latest.
fn help(world: &mut World, how: u8) {
    let best = world.state().best.as_ref().map(|best| best.iteration);
    let followed = if how == 3 { best } else { world.state().latest() };
    if let Some(iteration) = followed.filter(|_| how >= 3) {
        drop(crate::follow_ups::add(world, iteration.0, "late"));
        return;
    }
    let Some(iteration) = world.state().last_opened else { return };
    let open = world.state().open.get(&iteration);
    let missing = open.and_then(|open| open.missing().next()).map(|row| row.output.to_string());
    let there: Vec<String> =
        open.map(|open| open.accepted.keys().map(ToString::to_string).collect()).unwrap_or_default();
    let there: Vec<&str> = there.iter().map(String::as_str).collect();
    drop(match (how, missing) {
        (0, _) => crate::help::fix(world, "helped"),
        (1, Some(output)) => crate::help::replace(world, &output, "repaired"),
        _ => crate::help::conclude(world, iteration.0, &there, &there),
    });
}

fn order_of(world: &World, key: &AttemptKey) -> Option<Order> {
    world.bodies().find_map(|body| match body {
        Body::AttemptLeased { order, .. } if order.key == *key => Some((**order).clone()),
        _ => None,
    })
}

fn unfinished(world: &mut World, worker: &str) -> Option<AttemptKey> {
    let attempts = &world.fake(worker).attempts;
    attempts.iter().find(|(_, (_, phase))| !matches!(phase, Phase::Ended(_))).map(|(key, _)| key.clone())
}

fn end(world: &mut World, worker: &str, how: u8) {
    let Some(key) = unfinished(world, worker) else { return };
    let Some(order) = order_of(world, &key) else { return };
    let outcome = match how % 8 {
        0 => crash(),
        1 => infra(),
        2 => Outcome::bare(Ending::Lost),
        3 => Outcome { outputs: Vec::new(), ..good(&order, "0.5") },
        how => good(&order, &format!("0.{how}{}", how_fine(&key))),
    };
    world.end_on(&WorkerId::from(worker), &key, outcome);
}

fn how_fine(key: &AttemptKey) -> u32 {
    key.id.iteration.0
}

fn obey_stops(world: &mut World) {
    while let Some((worker, said)) = world.said.pop_front() {
        let Said::Stop(key, _) = said else { continue };
        let fake = world.fake(worker.as_str());
        if fake.attempts.get(&key).is_some_and(|(_, phase)| !matches!(phase, Phase::Ended(_))) {
            world.end_on(&worker, &key, Outcome::bare(Ending::Cancelled));
        }
    }
}

fn perform(world: &mut World, windlass: &Value, deed: Deed, sent: &mut Vec<Report>) {
    let campaign = world.id();
    // A refusal is an answer as good as any.
    let mut ask = |ask: Ask| drop(world.ask(ask));
    match deed {
        Deed::Retire(lever) => ask(Ask::Retire { campaign, lever: LeverNumber(lever.into()) }),
        Deed::Move(lever, to) => {
            let place = match to {
                0 => Place::First,
                1 => Place::Last,
                to if to.is_multiple_of(2) => Place::Before(LeverNumber((to / 2).into())),
                to => Place::After(LeverNumber((to / 2).into())),
            };
            ask(Ask::Move { campaign, lever: LeverNumber(lever.into()), place });
        }
        Deed::Retry(lever) => {
            let lever = LeverNumber(lever.into());
            if let Ok(wanted) = world.core.retry_wanted(&campaign, lever) {
                let facts = Ok(Box::new(world.pull_facts(&wanted)));
                drop(world.ask(Ask::Retry { campaign, lever, facts }));
            }
        }
        Deed::Cancel => {
            if let Some(iteration) = world.state().last_opened {
                drop(world.ask(Ask::Cancel { campaign, iteration }));
            }
        }
        // What does not fit the moment is refused.
        Deed::Help(how) => help(world, how),
        Deed::Priority(priority) => {
            ask(Ask::Update { campaign, priority: Some(priority.into()), weight: None, name: None });
        }
        Deed::Pause => ask(Ask::Pause(campaign)),
        Deed::Resume => ask(Ask::Resume(campaign)),
        Deed::Stop => ask(Ask::Stop(campaign)),
        Deed::Drain(worker) => ask(Ask::Drain(WorkerId::from(name(worker)))),
        Deed::Remove(iteration) => {
            let iteration = IterationNumber(iteration.into());
            let removals = vec![Removal { iteration, evidence: Evidence::Logs, bytes: 1 }];
            ask(Ask::Remove { campaign, removals, why: "logs are kept for 1 d".to_owned() });
        }
        Deed::Quarantine(worker) => {
            let reason = "memory is held".to_owned();
            world.fake(name(worker)).devices[0].state = DeviceState::Quarantined { reason };
            world.report(name(worker));
        }
        Deed::Release(worker) => ask(Ask::ReleaseDevice(WorkerId::from(name(worker)), "cpu-0".into())),
        Deed::Quota(most) => {
            let devices = (most > 0).then(|| u32::from(most) - 1);
            let quota = devices.map(|devices| Quota { devices: Some(devices), time: None });
            ask(Ask::SetQuota { owner: OWNER.to_owned(), quota });
        }
        Deed::Resubmit => {
            let paused = matches!(world.state().state, CampaignState::Paused { .. });
            if paused {
                world.submit("digits", windlass).expect("sound bindings");
            }
        }
        Deed::Propose(which) => {
            let literature = crate::literature::some_basis(world, which);
            drop(world.propose(Lever { literature, ..a_lever(which) }));
        }
        Deed::Wrong(which) => wrong(world, which),
        Deed::Review(which) => drop(crate::literature::some_review(world, which)),
        Deed::Conflict(lever) => {
            let conflict = Merged::Conflict(vec![path("train.py").into()]);
            world.merges.insert(LeverNumber(lever.into()), conflict);
        }
        Deed::Missing(lever) => drop(world.looks.insert(LeverNumber(lever.into()), Look::FileMissing)),
        Deed::End(worker, how) => end(world, name(worker), how),
        Deed::Cut(worker, cut) => world.fake(name(worker)).cut = cut,
        Deed::Reconnect(worker) => {
            world.fake(name(worker)).draw_session();
            world.report(name(worker));
        }
        Deed::Disconnect(worker) => world.observe(Observation::Disconnected(WorkerId::from(name(worker)))),
        Deed::Report(worker) => {
            let report = world.fake(name(worker)).report();
            sent.push(report.clone());
            world.send(report);
        }
        Deed::Late(which) => {
            if let Some(report) = sent.get(usize::from(which) % sent.len().max(1)).cloned() {
                world.send(report);
            }
        }
        Deed::Pass(ms) => world.pass(u64::from(ms)),
        Deed::Restart => world.restart(),
    }
    obey_stops(world);
}

/// No more faults: whatever is open must be decided.
fn heal(world: &mut World) {
    for worker in ["w", "x"] {
        world.fake(worker).cut = false;
        world.fake(worker).devices[0].state = DeviceState::Free;
        world.ask(Ask::Undrain(WorkerId::from(worker))).expect("undrained");
    }
    world.ask(Ask::SetQuota { owner: OWNER.to_owned(), quota: None }).expect("lifted");
    let campaign = world.id();
    let _ = world.ask(Ask::Resume(campaign));
    for _ in 0..60 {
        world.pass_heard(20_000);
        obey_stops(world);
        for worker in ["w", "x"] {
            end(world, worker, 5);
            obey_stops(world);
        }
    }
    let is_stopped = world.state().is_stopped();
    assert!(is_stopped || world.state().open.is_empty(), "I14: {:?}", world.state().open);
    assert!(world.core.durable().live.is_empty(), "I14: {:?}", world.core.durable().live);
}

fn check(windlass: &Value, deeds: Vec<Deed>) -> BTreeSet<&'static str> {
    let mut world = World::empty();
    world.owner = Some(OWNER.to_owned());
    world.connect("w", cpus(1));
    world.connect("x", cpus(2));
    world.submit("digits", windlass).expect("sound bindings");
    let mut sent = Vec::new();
    for deed in deeds {
        perform(&mut world, windlass, deed, &mut sent);
    }
    heal(&mut world);
    world.bodies().map(Body::kind).collect()
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 160, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn i13_i14_any_order_of_deeds_leaves_a_legal_ledger_that_moves_on(which in 0..5_usize, deeds in deeds()) {
        check(&campaigns()[which], deeds);
    }
}

#[test]
fn i13_the_deeds_reach_every_kind_of_record() {
    let mut runner = TestRunner::new_with_rng(config(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let seen = RefCell::new(BTreeSet::new());
    let ran = runner.run(&deeds(), |deeds| {
        let [plain, .., reading] = campaigns();
        seen.borrow_mut().extend(check(&plain, deeds.clone()));
        seen.borrow_mut().extend(check(&reading, deeds));
        Ok(())
    });
    ran.expect("legal in any order");
    // An import begins a campaign that has stopped: no deed can follow it.
    let wanted = Body::KINDS.iter().filter(|kind| **kind != "ledger_imported");
    let missing: Vec<_> = wanted.filter(|kind| !seen.borrow().contains(*kind)).collect();
    assert!(missing.is_empty(), "never reached: {missing:?}");
}
