//! What a researcher gives an iteration, what it waits for, and what becomes of it where nobody is there
//! (P19, P21, P23, P24).

use crate::harness::{World, carried, crash, digest, good, lever, path, row, scripted};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use windlass_engine::core::{Ask, Observation};
use windlass_engine::gate::facts::{FixFacts, Look, Merged};
use windlass_shared::attempt::{Ending, Kind, Memory, Outcome};
use windlass_shared::conclusion::{Conclusion, Verdict};
use windlass_shared::id::{IterationNumber, LeverNumber};
use windlass_shared::lever::{Change, FixTrigger, Lever};
use windlass_shared::path::TreePath;
use windlass_shared::plan::{Deliverable, Script};
use windlass_shared::record::{Body, PauseReason};
use windlass_shared::refusal::Refusal;
use windlass_shared::view::{CampaignState, WaitFor, WaitView};

const MIN: u64 = 60_000;

/// A block whose owner is there to help, as by default; unless it says otherwise.
fn attended(windlass: &Value) -> Value {
    let mut windlass = windlass.clone();
    let block = windlass.as_object_mut().expect("a block");
    block.entry("fix_wait").or_insert_with(|| json!("30 min"));
    windlass
}

/// A baseline at 0.5, and a lever whose first run crashed.
fn crashed(windlass: &Value) -> World {
    let mut world = World::based(&attended(windlass));
    world.propose(lever("a")).expect("a lever");
    world.run_ends(crash());
    world
}

/// Sends a fix of the open iteration.
pub fn fix(world: &mut World, name: &str) -> Result<(), Refusal> {
    let (campaign, change) = (world.id(), Change::Patch(digest(name)));
    let iteration = world.state().last_opened.expect("opened");
    let wanted = world.core.fix_wanted(&campaign, iteration, change.clone())?;
    let facts = FixFacts {
        campaign: campaign.clone(),
        iteration,
        fix: wanted.fix,
        on: wanted.tree,
        applied: Ok((digest(&format!("{name} on {}", wanted.tree)), 2)),
    };
    world.ask(Ask::Fix { campaign, iteration, change, facts: Ok(Box::new(facts)) }).map(|_| ())
}

/// Replaces a script of the latest iteration, or adds one.
pub fn replace(world: &mut World, output: &str, script: &str) -> Result<(), Refusal> {
    let script = Script::Blob { name: format!("{script}.py"), digest: digest(script) };
    let deliverable = Box::new(Deliverable { script, output: path(output), ..row("errors") });
    let (campaign, iteration) = (world.id(), world.state().last_opened.expect("opened"));
    world.ask(Ask::AddDeliverable { campaign, iteration, deliverable }).map(|_| ())
}

fn conclusion(outputs: &[&str]) -> Conclusion {
    Conclusion {
        finding: "the slope halves".to_owned(),
        bullets: ["one", "two", "three"].map(str::to_owned).to_vec(),
        deliverables: outputs.iter().map(|output| (path(output), Verdict::AsHelped)).collect(),
        automatic: false,
        examined: "the curve".to_owned(),
        ceiling_near: None,
        anchor: None,
    }
}

/// Concludes an iteration.
pub fn conclude(
    world: &mut World,
    iteration: u32,
    outputs: &[&str],
    delivered: &[&str],
) -> Result<(), Refusal> {
    let campaign = world.id();
    let delivered: BTreeSet<TreePath> = delivered.iter().map(|output| path(output)).collect();
    let conclusion = Box::new(conclusion(outputs));
    let iteration = IterationNumber(iteration);
    world.ask(Ask::Conclude { campaign, iteration, conclusion, delivered }).map(|_| ())
}

/// What the open iteration waits for, as `status` shows it.
fn wait(world: &World) -> Option<WaitView> {
    world.core.campaign_view(world.now, &world.id()).expect("known").open.and_then(|open| open.wait)
}

fn last(world: &World) -> (u32, &'static str, String) {
    let (number, status, reason) = world.decisions().pop().expect("a decision");
    (number, status.as_str(), reason)
}

/// An analysis whose scripts made nothing.
fn no_outputs() -> Outcome {
    let log_tail = "Traceback\nKeyError: loss".to_owned();
    Outcome { log_tail, ..Outcome::bare(Ending::Crashed { code: Some(1), signal: None }) }
}

#[test]
fn p19_a_failed_run_stays_open_for_fix_wait_and_then_is_a_crash() {
    let mut world = crashed(&json!({}));
    assert_eq!(world.decisions().len(), 1, "30 min by default");
    let shown = wait(&world).expect("a wait");
    assert_eq!(shown.what, WaitFor::Fix);
    assert!(shown.log_tail.ends_with("ValueError: shapes"), "{shown:?}");
    assert!(shown.remedy.contains("windlass fix") && shown.remedy.contains("30 min"), "{shown:?}");
    assert_eq!(shown.until_wall_ms, world.now.wall_ms + 30 * MIN as i64);
    assert!(world.waits_for().contains("a fix: the run of iteration 2 failed"), "{}", world.waits_for());
    world.pass_heard(29 * MIN);
    assert_eq!(world.decisions().len(), 1);
    world.pass_heard(MIN);
    assert_eq!(last(&world), (2, "crash", "crashed with exit code 1".to_owned()));
    // Its control: nobody is there.
    let world = crashed(&json!({"fix_wait": 0}));
    assert_eq!(last(&world), (2, "crash", "crashed with exit code 1".to_owned()));
    let world = crashed(&json!({"fixes": 0}));
    assert_eq!(last(&world).1, "crash");
}

#[test]
fn p19_a_restart_and_a_clock_that_jumps_lose_no_deadline() {
    let mut world = crashed(&json!({}));
    world.pass_heard(20 * MIN);
    world.restart();
    world.all_report();
    world.pass_heard(9 * MIN);
    assert_eq!(world.decisions().len(), 1, "one minute is left");
    world.pass_heard(MIN);
    assert_eq!(world.decisions().len(), 2);
    // Within one life the wall clock says nothing; a clock that was set back makes no wait longer than it is.
    let mut world = crashed(&json!({}));
    world.now.wall_ms += 120 * MIN as i64;
    world.pass_heard(MIN);
    assert_eq!(world.decisions().len(), 1);
    world.now.wall_ms -= 240 * MIN as i64;
    world.restart();
    world.all_report();
    world.pass_heard(30 * MIN);
    assert_eq!(world.decisions().len(), 2);
}

#[test]
fn p19_a_fix_of_its_researcher_is_recorded_and_run_within_fixes() {
    let mut world = crashed(&json!({"fixes": 2}));
    fix(&mut world, "shapes").expect("a fix");
    assert_eq!(wait(&world), None);
    let applied = world.records.iter().rev().find(|record| record.body.kind() == "fix_applied");
    let Some(Body::FixApplied { change: Some(Change::Patch(patch)), tree, .. }) = applied.map(|r| &r.body)
    else {
        panic!("recorded beside its lever: {applied:?}");
    };
    assert_eq!(*patch, digest("shapes"));
    let tree = *tree;
    let (worker, order) = world.order(Kind::Run);
    assert_eq!(order.tree, tree);
    world.end_on(&worker, &order.key.clone(), crash());
    fix(&mut world, "again").expect("the second of two");
    world.run_ends(crash());
    assert_eq!(last(&world).1, "crash", "no third is waited for");
    // Control: one that helps is judged like any other.
    let mut world = crashed(&json!({}));
    fix(&mut world, "shapes").expect("a fix");
    world.finish("0.7");
    assert_eq!(last(&world), (2, "keep", "better".to_owned()));
}

#[test]
fn p19_a_fix_that_answers_no_failure_or_comes_too_late_is_refused_by_rule() {
    let refused = |world: &mut World| {
        let refusal = fix(world, "late").expect_err("refused");
        (refusal.rule().unwrap_or("").to_owned(), refusal.to_string())
    };
    let mut world = World::with(&attended(&json!({})));
    assert!(refused(&mut world).1.contains("baseline"));
    world.finish("0.5");
    let mut world = World::based(&attended(&json!({})));
    world.propose(lever("a")).expect("a lever");
    assert_eq!(refused(&mut world).0, "P19", "it runs");
    world.run_ends(crash());
    fix(&mut world, "shapes").expect("its control: in time it is taken");
    world.run_ends(crash());
    assert_eq!(refused(&mut world).0, "I1", "it is decided");
    let mut world = crashed(&json!({}));
    world.ask(Ask::Stop(world.id())).expect("stopped");
    assert!(fix(&mut world, "late").is_err());
}

#[test]
fn p19_carried_fixes_come_first_and_out_of_memory_is_told_from_a_plain_crash() {
    let mut world = World::based(&attended(&json!({"fixes": 2})));
    let fixes = vec![carried(FixTrigger::On("out_of_memory".to_owned()))];
    world.propose(windlass_shared::lever::Lever { fixes, ..lever("a") }).expect("a lever");
    let out = || Outcome {
        log_tail: "CUDA out of memory".to_owned(),
        ..Outcome::bare(Ending::OutOfMemory { memory: Memory::Device })
    };
    world.run_ends(out());
    assert_eq!(wait(&world), None, "the carried one is tried at once");
    world.run_ends(out());
    let shown = wait(&world).expect("a wait");
    assert!(shown.problem.contains("out_of_memory on the device"), "{shown:?}");
    assert_eq!(shown.log_tail, "CUDA out of memory");
    fix(&mut world, "smaller").expect("a fix");
    world.finish("0.6");
    assert_eq!(last(&world).1, "keep");
}

/// A lever whose analysis has failed twice.
fn unanalysed(windlass: &Value) -> World {
    let mut world = World::based(&attended(windlass));
    let analysis = vec![Deliverable { output: path("errors.tsv"), ..scripted("errors") }];
    world.propose(windlass_shared::lever::Lever { analysis, ..lever("a") }).expect("a lever");
    world.finish("0.7");
    world.end(Kind::Analysis, |_| no_outputs());
    world.end(Kind::Analysis, |_| no_outputs());
    world
}

#[test]
fn p21_a_script_that_fails_can_be_replaced_within_wait() {
    let mut world = unanalysed(&json!({}));
    let shown = wait(&world).expect("a wait");
    assert_eq!(shown.what, WaitFor::Script);
    assert!(shown.log_tail.contains("KeyError") && shown.remedy.contains("windlass analyze"), "{shown:?}");
    replace(&mut world, "errors.tsv", "repaired").expect("replaced");
    let (worker, order) = world.order(Kind::Analysis);
    assert_eq!(order.scripts[0].script.label(), "repaired.py");
    world.end_on(&worker, &order.key.clone(), good(&order, ""));
    assert_eq!(last(&world), (2, "keep", "better".to_owned()));
    // Without help it is discarded when the wait is over, and its lever may be queued again.
    let mut world = unanalysed(&json!({}));
    world.pass_heard(30 * MIN);
    assert_eq!(last(&world), (2, "discard", "unanalysed".to_owned()));
    // At once where nobody is there.
    for nobody in [json!({"fix_wait": 0}), json!({"analysis": {"wait": 0}})] {
        assert_eq!(last(&unanalysed(&nobody)), (2, "discard", "unanalysed".to_owned()));
    }
}

#[test]
fn p21_only_what_is_missing_is_replaced() {
    let mut world = unanalysed(&json!({}));
    replace(&mut world, "errors.tsv", "repaired").expect("replaced");
    let (worker, order) = world.order(Kind::Analysis);
    world.end_on(&worker, &order.key.clone(), good(&order, ""));
    assert_eq!(replace(&mut world, "errors.tsv", "x").expect_err("there").rule(), Some("P21"));
}

#[test]
fn p23_a_required_conclusion_is_waited_for_and_an_automatic_one_stands_in_its_place() {
    let required = json!({"conclusion": {"mode": "required", "wait": "5 min"}});
    let baseline = ["log_facts.tsv"];
    let mut world = World::with(&required);
    let refusal = conclude(&mut world, 1, &baseline, &[]).expect_err("it runs");
    assert_eq!(refusal.rule(), Some("P23"));
    world.finish("0.5");
    assert_eq!(wait(&world).map(|wait| wait.what), Some(WaitFor::Conclusion));
    let refusal = conclude(&mut world, 1, &[], &[]).expect_err("a deliverable is not judged");
    assert!(refusal.rule() == Some("P23") && refusal.to_string().contains("log_facts.tsv"), "{refusal}");
    conclude(&mut world, 1, &baseline, &[]).expect("written");
    assert_eq!(last(&world), (1, "keep", "baseline".to_owned()));
    let written = |world: &World| {
        let all = world.records.iter().filter_map(|record| match &record.body {
            Body::ConclusionWritten { conclusion, .. } => Some(conclusion.automatic),
            _ => None,
        });
        all.collect::<Vec<_>>()
    };
    assert_eq!(written(&world), [false], "no automatic one beside it");
    let Some(Body::IterationDecided { summary, .. }) =
        world.records.iter().rev().map(|r| &r.body).find(|body| body.kind() == "iteration_decided")
    else {
        panic!("decided")
    };
    assert_eq!(summary, "the slope halves", "its finding is the row's summary");
    let mut world = World::with(&required);
    world.finish("0.5");
    world.pass_heard(5 * MIN);
    assert_eq!(last(&world).1, "keep");
    assert_eq!(written(&world), [true]);
    // A crash needs none.
    let mut world = World::with(&required);
    world.run_ends(crash());
    assert_eq!(last(&world).1, "crash");
}

#[test]
fn p23_a_late_conclusion_replaces_the_text_never_status_or_metric() {
    let mut world = World::based(&json!({}));
    let before = serde_json::to_value(world.core.durable()).expect("state");
    conclude(&mut world, 1, &["log_facts.tsv"], &["log_facts.tsv"]).expect("written");
    let after = serde_json::to_value(world.core.durable()).expect("state");
    assert_eq!(before["campaigns"], after["campaigns"], "the ledger has the text, and nothing else changes");
    let refusal = conclude(&mut world, 9, &[], &[]).expect_err("no such iteration");
    assert!(matches!(refusal, Refusal::NotFound { .. }));
}

/// Where an unattended campaign ends, and what it then says that it waits for.
fn check_unattended(windlass: &Value, play: impl FnOnce(&mut World), want: (&str, &str), waits_for: &str) {
    let mut world = World::with(windlass);
    play(&mut world);
    let (_, status, reason) = last(&world);
    assert!(status == want.0 && reason.contains(want.1), "{status} {reason}, not {want:?}");
    assert!(world.waits_for().contains(waits_for), "{:?} does not say {waits_for:?}", world.waits_for());
    assert_eq!(wait(&world), None, "it waits for nobody");
}

#[test]
fn p24_an_unattended_campaign_never_gets_stuck_in_silence() {
    let alone = json!({"fix_wait": 0});
    let propose = |world: &mut World, name: &str| {
        world.propose(lever(name)).expect("a lever");
    };
    check_unattended(&alone, |w| _ = w.run_ends(crash()), ("crash", "exit code 1"), "submit it again");
    check_unattended(
        &json!({"fix_wait": 0, "baseline": [serde_json::to_value(scripted("errors")).expect("a row")]}),
        |w| {
            w.finish("0.5");
            w.end(Kind::Analysis, |_| no_outputs());
            w.end(Kind::Analysis, |_| no_outputs());
        },
        ("discard", "unanalysed"),
        "submit it again",
    );
    let lever_crashes = |w: &mut World| {
        w.finish("0.5");
        propose(w, "a");
        w.run_ends(crash());
    };
    check_unattended(&alone, lever_crashes, ("crash", "exit code 1"), "a lever: `windlass lever add`");
    let poisoned = |w: &mut World| {
        w.connect("v", crate::harness::cpus(1));
        w.connect("x", crate::harness::cpus(1));
        w.finish("0.5");
        for name in ["a", "b"] {
            propose(w, name);
            for _ in 0..3 {
                w.pass_heard(6_000);
                w.run_ends(crate::harness::infra());
            }
        }
    };
    check_unattended(&alone, poisoned, ("crash", "infrastructure"), "windlass resume");
    let unanalysed = |w: &mut World| {
        w.finish("0.5");
        w.propose(Lever { analysis: vec![scripted("errors")], ..lever("a") }).expect("a lever");
        w.finish("0.6");
        w.end(Kind::Analysis, |_| no_outputs());
        w.end(Kind::Analysis, |_| no_outputs());
    };
    check_unattended(&alone, unanalysed, ("discard", "unanalysed"), "a lever: `windlass lever add`");
    let without_evidence = |w: &mut World| {
        propose(w, "a");
        w.looks.insert(LeverNumber(1), Look::FileMissing);
        w.finish("0.5");
    };
    check_unattended(
        &alone,
        without_evidence,
        ("keep", "baseline"),
        "L1 for its evidence (curve.tsv of iteration 1 is not there), which the test of another lever may bring",
    );
    let in_conflict = |w: &mut World| {
        w.merges.insert(LeverNumber(1), Merged::Conflict(vec![path("train.py").into()]));
        propose(w, "a");
        w.finish("0.5");
    };
    let held = "queues one; one is held, and `windlass lever list` says for what";
    check_unattended(&alone, in_conflict, ("keep", "baseline"), held);
    let by_moves = json!({"fix_wait": 0, "move_scheduler": {"swing_budget": 1}});
    let no_swing = |w: &mut World| {
        propose(w, "a");
        w.finish("0.5");
    };
    check_unattended(&by_moves, no_swing, ("keep", "baseline"), "L1 for a swing");
    let no_worker = |w: &mut World| {
        w.finish("0.5");
        w.observe(Observation::Disconnected("w".into()));
        w.pass(31_000);
        propose(w, "a");
    };
    check_unattended(&alone, no_worker, ("keep", "baseline"), "a worker: none is connected");
}

#[test]
fn p1_p21_a_baseline_that_is_no_ground_pauses_its_campaign_and_says_what_to_repair() {
    let mut world = World::with(&attended(&json!({})));
    world.run_ends(crash());
    let CampaignState::Paused { reason: PauseReason::Baseline { repair } } = &world.state().state else {
        panic!("{:?}", world.state().state)
    };
    assert!(repair.contains("ValueError: shapes"), "{repair}");
    assert_eq!(wait(&world), None, "no fix is waited for: the workspace is run as it is");
}
