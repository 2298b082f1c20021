//! Follow-ups (P22): scripts on the best and on the latest, also when they are decided. What they write is
//! evidence, and changes neither status nor metric.

use crate::harness::{World, cpus, crash, digest, good, infra, lever, path, row};
use crate::help::{conclude, replace};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use windlass_engine::campaign::{DELIVERABLES_MAX, FOLLOW_UPS_WAITING_MAX};
use windlass_engine::core::{Ask, KEPT_MAX, Removal};
use windlass_engine::gate::facts::Look;
use windlass_shared::attempt::{AttemptKey, Ending, Kind, Order, Outcome};
use windlass_shared::conclusion::Status;
use windlass_shared::id::{CampaignId, IterationNumber, LeverNumber, WorkerId};
use windlass_shared::plan::{Deliverable, Script};
use windlass_shared::record::Body;
use windlass_shared::reference::Evidence;
use windlass_shared::refusal::Refusal;
use windlass_shared::view::FollowUpView;

/// Adds a script that measures `dimension` to an iteration.
pub fn add(world: &mut World, iteration: u32, dimension: &str) -> Result<(), Refusal> {
    let script = Script::Blob { name: format!("{dimension}.py"), digest: digest(dimension) };
    let deliverable = Deliverable { script, output: path(&format!("{dimension}.tsv")), ..row(dimension) };
    let (campaign, iteration) = (world.id(), IterationNumber(iteration));
    world.ask(Ask::AddDeliverable { campaign, iteration, deliverable: Box::new(deliverable) }).map(|_| ())
}

/// A baseline at 0.5 and a lever that was tried with this outcome.
fn tried(outcome: impl FnOnce(&Order) -> Outcome) -> World {
    let mut world = World::based(&json!({"fix_wait": 0}));
    world.propose(lever("a")).expect("a lever");
    world.end(Kind::Run, outcome);
    world
}

fn discarded() -> World {
    tried(|order| good(order, "0.4"))
}

fn analysis_ends(world: &mut World) -> AttemptKey {
    world.end(Kind::Analysis, |order| good(order, ""))
}

/// Scripts that made nothing.
fn nothing() -> Outcome {
    Outcome::bare(Ending::Crashed { code: Some(1), signal: None })
}

fn shown(world: &World) -> Vec<FollowUpView> {
    world.core.campaign_view(world.now, &world.id()).expect("known").follow_ups
}

fn given_up(world: &World) -> String {
    shown(world).into_iter().filter_map(|one| one.problem).collect::<Vec<_>>().join("; ")
}

#[test]
fn p22_scripts_are_added_to_the_best_and_to_the_latest_when_they_are_decided() {
    let check = |iteration: u32, metric: &str| {
        let mut world = discarded();
        let before = (world.decisions(), world.state().record.clone(), world.state().counts);
        add(&mut world, iteration, "late").expect("the best, or the latest");
        let (worker, order) = world.order(Kind::Analysis);
        assert_eq!(order.key.id.iteration.0, iteration);
        let attempts = world.bodies().filter(
            |body| matches!(body, Body::AttemptLeased { order, .. } if order.key.id.iteration.0 == iteration),
        );
        assert_eq!(order.key.id.number as usize, attempts.count(), "a number of its own");
        assert!(order.adds_only && order.metric.is_none(), "{order:?}");
        assert_eq!(order.scripts.len(), 1, "not its plan again");
        assert!(order.results.is_some() && order.run.is_some(), "it lies on the run's workspace and results");
        assert!(order.history.iter().all(|(number, _)| number.0 != iteration), "{:?}", order.history);
        assert_eq!(shown(&world)[0].stage, "running");
        let key = order.key.clone();
        world.end_on(&worker, &key, good(&order, metric));
        assert_eq!(shown(&world), [], "it is through");
        assert_eq!((world.decisions(), world.state().record.clone(), world.state().counts), before);
        let results = world.state().decided.get(&IterationNumber(iteration)).expect("decided").results;
        assert_eq!(results, Some(digest(&format!("results of {key}"))), "its evidence has grown");
        let history = world.state().history.iter().find(|(number, _)| number.0 == iteration);
        assert_eq!(history.map(|(_, tree)| Some(*tree)), Some(results), "and later analyses see it");
    };
    check(1, "");
    check(2, "");
    // A number that a script prints is no metric.
    check(2, "0.9");
    // What is neither is refused, and so is what is unknown.
    let mut world = discarded();
    world.propose(lever("b")).expect("a lever");
    world.finish("0.3");
    assert_eq!(add(&mut world, 2, "late").expect_err("an older one").rule(), Some("P22"));
    assert!(matches!(add(&mut world, 9, "late"), Err(Refusal::NotFound { .. })));
    add(&mut world, 3, "late").expect("its control: the latest");
    analysis_ends(&mut world);
    add(&mut world, 1, "late").expect("its control: the best");
    analysis_ends(&mut world);
}

#[test]
fn p22_what_follow_ups_find_counts_in_the_history_of_dimensions_and_stands_in_the_summary() {
    let mut world = discarded();
    add(&mut world, 2, "late").expect("the latest");
    assert!(!world.state().measured.contains("late"), "nothing is measured yet");
    analysis_ends(&mut world);
    assert!(world.state().measured.contains("late"));
    let view = world.core.campaign_view(world.now, &world.id()).expect("known");
    let late = &view.recent[0].late;
    assert_eq!((late.len(), late[0].dimension.as_str(), late[0].output.as_str()), (1, "late", "late.tsv"));
    assert_eq!(late[0].first_line, "first line of late.tsv");
    // A lever that measures it again has nothing new (P13).
    let mut again = lever("b");
    again.analysis = vec![Deliverable { output: path("again.tsv"), ..row("late") }];
    world.propose(again).expect("queued, with a warning");
    assert_eq!(world.decisions().len(), 2);
    assert!(world.state().open.is_empty(), "it is held: nothing of its plan is new");
    // A crash uses nothing up.
    let mut world = tried(|_| crash());
    add(&mut world, 2, "late").expect("a crash has a log to look at");
    analysis_ends(&mut world);
    assert!(!world.state().measured.contains("late"));
    assert!(world.state().decided.get(&IterationNumber(2)).expect("decided").results.is_some());
}

#[test]
fn p7_p22_a_lever_that_was_passed_over_is_pulled_when_a_follow_up_brings_its_evidence() {
    // Queued before anything was analysed: checked for form only, and looked up at its turn.
    let mut world = World::with(&json!({}));
    world.propose(lever("a")).expect("a lever");
    world.looks.insert(LeverNumber(1), Look::FileMissing);
    world.finish("0.5");
    assert!(world.waits_for().contains("is not there"), "{}", world.waits_for());
    let gathered = world.pulls_gathered().len();
    add(&mut world, 1, "late").expect("the best");
    assert_eq!(world.pulls_gathered().len(), gathered, "its evidence is what it was");
    world.looks.clear();
    analysis_ends(&mut world);
    assert_eq!(world.pulls_gathered().len(), gathered + 1, "looked up anew");
    let pin = world.open().pin.as_ref().expect("pinned at its turn");
    assert_eq!((world.open().number.0, pin.iteration.0), (2, 1));
    world.finish("0.6");
}

#[test]
fn p22_a_follow_up_that_fails_twice_is_given_up_and_may_be_sent_again() {
    let mut world = discarded();
    add(&mut world, 2, "late").expect("the latest");
    add(&mut world, 2, "later").expect("and one while the first runs");
    let first = world.run_analysis(nothing());
    assert_eq!(first.id.number, 2);
    let (worker, order) = world.order(Kind::Analysis);
    assert_eq!(order.scripts.len(), 2, "both, since the first is tried again: {:?}", order.scripts);
    let made = Outcome { outputs: good(&order, "").outputs.split_off(1), ..good(&order, "") };
    world.end_on(&worker, &order.key.clone(), made);
    assert!(given_up(&world).contains("finished"), "{:?}", shown(&world));
    let accepted = world.bodies().filter(
        |body| matches!(body, Body::DeliverableAccepted { output, .. } if output.as_str() == "later.tsv"),
    );
    assert_eq!(accepted.count(), 1, "the other is there");
    assert_eq!(world.last_decision().1, Status::Discard, "it changes no status");
    add(&mut world, 2, "late").expect("sent again");
    assert_eq!(given_up(&world), "");
    analysis_ends(&mut world);
    assert_eq!(shown(&world), []);
}

#[test]
fn p20_p22_a_follow_up_runs_elsewhere_when_machines_fail_and_blames_nobody() {
    let mut world = discarded();
    world.connect("v", crate::harness::cpus(1));
    add(&mut world, 2, "late").expect("the latest");
    let mut workers = BTreeSet::new();
    for _ in 0..2 {
        let (worker, order) = world.order(Kind::Analysis);
        workers.insert(worker.clone());
        world.end_on(&worker, &order.key.clone(), infra());
        world.pass_heard(10_000);
    }
    assert_eq!(workers.len(), 2, "elsewhere");
    let held = world.state().held_in_a_row;
    analysis_ends(&mut world);
    assert_eq!((shown(&world), held), (Vec::new(), 0));
    // Three times is enough.
    add(&mut world, 2, "more").expect("the latest");
    for _ in 0..3 {
        world.run_analysis(infra());
        world.pass_heard(10_000);
    }
    assert!(given_up(&world).contains("3 times"), "{:?}", shown(&world));
    assert_eq!(world.state().held_in_a_row, 0);
    assert!(!world.bodies().any(|body| matches!(body, Body::LeverHeld { .. })));
}

#[test]
fn p22_a_lost_worker_and_a_restart_lose_no_follow_up() {
    let mut world = discarded();
    world.connect("v", crate::harness::cpus(1));
    add(&mut world, 1, "late").expect("the best");
    let (worker, order) = world.order(Kind::Analysis);
    world.restart();
    world.all_report();
    world.fake(worker.as_str()).cut = true;
    world.pass_heard(61_000);
    let (elsewhere, again) = world.order(Kind::Analysis);
    assert_ne!(elsewhere, worker);
    assert_eq!((again.key.id.number, &again.scripts), (order.key.id.number + 1, &order.scripts));
    assert!(again.key.fence > order.key.fence, "another lease");
    world.end_on(&elsewhere, &again.key.clone(), good(&again, ""));
    // The late word of the lost worker changes nothing (I5).
    let results = world.state().decided.get(&IterationNumber(1)).expect("decided").results;
    world.fake(worker.as_str()).cut = false;
    world.fake(worker.as_str()).end(&order.key, good(&order, ""));
    world.report(worker.as_str());
    world.report(worker.as_str());
    assert_eq!(world.state().decided.get(&IterationNumber(1)).expect("decided").results, results);
    assert_eq!(world.records.iter().filter(|r| r.body.kind() == "report_superseded").count(), 1);
}

#[test]
fn p22_a_stopped_campaign_ends_its_follow_ups_and_takes_none() {
    let mut world = discarded();
    add(&mut world, 2, "late").expect("the latest");
    let (worker, order) = world.order(Kind::Analysis);
    world.ask(Ask::Stop(world.id())).expect("stopped");
    let (told, said) = world.take();
    assert_eq!(told, worker);
    assert!(matches!(&said, crate::harness::Said::Stop(key, _) if *key == order.key), "{said:?}");
    world.end_on(&worker, &order.key.clone(), Outcome::bare(Ending::Cancelled));
    assert!(world.core.durable().live.is_empty(), "its worker is free");
    assert!(world.state().settled.is_empty() && world.core.durable().kept.is_empty());
    assert!(add(&mut world, 2, "more").expect_err("stopped").to_string().contains("stopped"));
}

#[test]
fn p22_a_limit_waits_for_what_was_asked_before_it() {
    let stop = json!({"stop": {"iterations": 1}});
    let mut world = World::with(&stop);
    add(&mut world, 1, "late").expect("the latest, and open");
    world.finish("0.5");
    assert!(!world.state().is_stopped(), "its follow-up first");
    analysis_ends(&mut world);
    assert!(world.state().is_stopped());
}

#[test]
fn p22_follow_ups_of_an_open_iteration_never_change_its_decision() {
    // Added while it runs: carried out when it is decided.
    let mut world = World::based(&json!({}));
    world.propose(lever("a")).expect("a lever");
    replace(&mut world, "beside.tsv", "beside").expect("a follow-up");
    assert_eq!(shown(&world)[0].stage, "waiting for the plan");
    world.finish("0.7");
    assert_eq!(world.last_decision(), (2, Status::Keep, "better".to_owned()));
    let (worker, order) = world.order(Kind::Analysis);
    assert_eq!(order.scripts[0].output.as_str(), "beside.tsv");
    world.end_on(&worker, &order.key.clone(), nothing());
    world.run_analysis(nothing());
    assert_eq!(world.decisions().len(), 2);
    // Added while its conclusion is waited for: carried out at once, so that the conclusion can rest on it.
    let required = json!({"conclusion": {"mode": "required", "wait": "5 min"}});
    let mut world = World::with(&required);
    world.finish("0.5");
    replace(&mut world, "beside.tsv", "beside").expect("a follow-up");
    let (worker, order) = world.order(Kind::Analysis);
    assert!(world.decisions().is_empty());
    world.end_on(&worker, &order.key.clone(), good(&order, ""));
    conclude(&mut world, 1, &["log_facts.tsv", "beside.tsv"], &[]).expect("of both");
    assert_eq!(world.last_decision(), (1, Status::Keep, "baseline".to_owned()));
    // One that fails lengthens no wait and blames nobody.
    let mut world = World::with(&required);
    world.finish("0.5");
    replace(&mut world, "beside.tsv", "beside").expect("a follow-up");
    world.pass_heard(4 * 60_000);
    world.run_analysis(nothing());
    world.run_analysis(nothing());
    assert!(world.decisions().is_empty());
    world.pass_heard(60_000);
    assert_eq!(world.last_decision(), (1, Status::Keep, "baseline".to_owned()));
}

#[test]
fn p22_follow_ups_are_bounded_and_keep_their_outputs_apart() {
    let mut world = discarded();
    for worker in world.workers.keys().cloned().collect::<Vec<_>>() {
        world.ask(Ask::Drain(worker)).expect("drained");
    }
    for n in 0..FOLLOW_UPS_WAITING_MAX {
        add(&mut world, 2, &format!("d{n}")).expect("within the bound");
    }
    assert!(matches!(add(&mut world, 2, "more"), Err(Refusal::TooMuch { .. })));
    const { assert!(DELIVERABLES_MAX > FOLLOW_UPS_WAITING_MAX) };
    let mut world = discarded();
    let refused = |world: &mut World, output: &str| replace(world, output, "x").expect_err(output).rule();
    let there = world.state().settled[&IterationNumber(2)].accepted.keys().next().expect("one").clone();
    assert_eq!(refused(&mut world, there.as_str()), Some("P21"));
    assert_eq!(refused(&mut world, &format!("{there}/below")), Some("P22"));
    assert_eq!(refused(&mut world, "run.log"), Some("P12"));
    // What never ran has nothing to look at.
    let mut world = World::based(&json!({}));
    world.propose(lever("a")).expect("a lever");
    for _ in 0..3 {
        world.end(Kind::Run, |_| infra());
        world.pass_heard(10_000);
    }
    assert_eq!(add(&mut world, 2, "late").expect_err("no run").rule(), Some("P22"));
}

#[test]
fn p22_evidence_is_not_removed_under_a_follow_up() {
    let mut world = discarded();
    let remove = |world: &mut World| {
        let removal = Removal { iteration: IterationNumber(2), evidence: Evidence::Outputs, bytes: 1 };
        let campaign = world.id();
        world.ask(Ask::Remove { campaign, removals: vec![removal], why: "its time is over".to_owned() })
    };
    add(&mut world, 2, "late").expect("the latest");
    assert!(matches!(remove(&mut world), Err(Refusal::State { .. })));
    analysis_ends(&mut world);
    remove(&mut world).expect("its control");
    assert_eq!(add(&mut world, 2, "more").expect_err("nothing is left to look at").rule(), Some("P22"));
}

#[test]
fn p22_a_worker_is_asked_to_keep_the_workspaces_of_the_best_and_the_latest() {
    let check = |windlass: Value, metrics: &[&str], want: &[u32]| {
        let mut world = World::based(&windlass);
        for (n, metric) in metrics.iter().enumerate() {
            world.propose(lever(&format!("lever {n}"))).expect("a lever");
            world.finish(metric);
        }
        let mut kept = world.core.durable().kept.get(&WorkerId::from("w")).cloned().unwrap_or_default();
        kept.sort();
        let numbers: Vec<u32> = kept.iter().map(|key| key.id.iteration.0).collect();
        assert_eq!(numbers, want, "after {metrics:?}");
        let answer = world.core.answer_now(&WorkerId::from("w")).expect("its call is open");
        assert_eq!(answer.keep, kept);
    };
    check(json!({}), &[], &[1]);
    check(json!({}), &["0.4"], &[1, 2]);
    check(json!({}), &["0.4", "0.3"], &[1, 3]);
    check(json!({}), &["0.4", "0.7"], &[3]);
}

#[test]
fn p22_a_worker_that_has_too_much_to_keep_keeps_the_newest_and_what_is_still_to_be_analysed() {
    let mut world = World::empty();
    world.connect("w", cpus(1));
    let mut run = |name: &str, windlass: &Value| {
        world.submit(name, windlass).expect("a good campaign");
        world.finish("0.5");
        world.id()
    };
    // Its run has ended, and its conclusion is waited for.
    let open = run("open", &json!({"conclusion": {"mode": "required", "wait": "5 min"}}));
    let settled: Vec<CampaignId> = (0..40).map(|number| run(&format!("a{number:02}"), &json!({}))).collect();
    let keep = world.core.answer_now(&WorkerId::from("w")).expect("its call is open").keep;
    assert_eq!(keep.len(), KEPT_MAX);
    assert!(keep.is_sorted(), "so that the same is said in the same words");
    let is_kept = |id: &CampaignId| keep.iter().any(|key| key.id.campaign == *id);
    assert!(is_kept(&open), "{keep:?}");
    for (number, id) in settled.iter().enumerate() {
        assert_eq!(is_kept(id), number > 40 - KEPT_MAX, "campaign {number} of 40");
    }
}

impl World {
    /// Ends the next analysis with this outcome.
    fn run_analysis(&mut self, outcome: Outcome) -> AttemptKey {
        self.end(Kind::Analysis, |_| outcome)
    }
}
