//! Runs and what becomes of them: crashes (P18), fixes (P19), the analysis (P21), the conclusion (P23).

use crate::harness::{Fake, World, carried, cpus, crash, digest, good, infra, lever, path, row, scripted};
use crate::machinery::two_workers;
use serde_json::json;
use windlass_engine::core::Observation;
use windlass_shared::attempt::{DiskUse, Ending, Kind, Memory, Order, Outcome, Reading};
use windlass_shared::conclusion::{Conclusion, Status};
use windlass_shared::id::WorkerId;
use windlass_shared::lever::{FixTrigger, Lever};
use windlass_shared::record::Body;
use windlass_shared::refusal::Refusal;

/// How the second iteration is decided when its run ends so.
fn check_ending(change: impl FnOnce(Outcome) -> Outcome, want: (Status, &str)) {
    let mut world = World::based(&json!({}));
    world.propose(lever("a")).expect("queued");
    world.end(Kind::Run, |order| change(good(order, "0.9")));
    let (iteration, status, reason) = world.last_decision();
    assert_eq!((iteration, status, reason.as_str()), (2, want.0, want.1));
    let best = if status == Status::Keep { 2 } else { 1 };
    assert_eq!(world.state().best.as_ref().map(|best| best.iteration.0), Some(best), "P28");
    let metric = world.state().recent.back().expect("decided").metric.is_some();
    assert_eq!(metric, status != Status::Crash, "a crash has no metric");
    if status == Status::Crash {
        assert!(!world.state().measured.contains("a"), "P13: a crash uses no dimension up");
        assert_eq!(world.state().latest_analysed.map(|latest| latest.0), Some(1));
    }
}

#[test]
fn p18_without_a_metric_that_counts_it_is_a_crash() {
    check_ending(|good| good, (Status::Keep, "better"));
    let none = || Some(Reading::None { reason: "two lines differ (metric_line)".to_owned() });
    let no_metric = "no metric: two lines differ (metric_line)";
    check_ending(|good| Outcome { reading: none(), ..good }, (Status::Crash, no_metric));
    check_ending(|good| Outcome { reading: None, ..good }, (Status::Crash, "no metric"));
    let frozen = |good| Outcome { frozen_changed: Some(path("evaluate.py")), ..good };
    check_ending(frozen, (Status::Crash, "the run changed the frozen file evaluate.py (P2)"));
    for (ending, reason) in [
        (Ending::Crashed { code: Some(3), signal: None }, "crashed with exit code 3"),
        (Ending::Crashed { code: None, signal: Some(11) }, "crashed by signal 11"),
        (Ending::SoftTimeout, "soft_timeout"),
        (Ending::HardTimeout, "hard_timeout"),
        (Ending::OutOfMemory { memory: Memory::Host }, "out_of_memory"),
        // Its own limit, which it would pass on every machine (P20).
        (
            Ending::DiskFull { over: Some(DiskUse { used_bytes: 5_000, limit_bytes: 4_000 }) },
            "disk_full: 5000 bytes in its folders, `limits: disk_bytes: 4000`",
        ),
    ] {
        // The metric was printed, and counts for nothing.
        check_ending(|good| Outcome { ending, ..good }, (Status::Crash, reason));
    }
}

#[test]
fn p16_the_order_carries_the_gate() {
    let mut world = World::with(&json!({"analysis": {"time_limit": "1 min"}, "baseline": [scripted("e")]}));
    let (worker, order) = world.order(Kind::Run);
    assert_eq!((order.soft_limit_ms, order.hard_limit_ms), (12_000, 24_000));
    world.end_on(&worker, &order.key, good(&order, "0.5"));
    let (_, order) = world.order(Kind::Analysis);
    assert_eq!((order.soft_limit_ms, order.metric), (60_000, None));
}

// ---- P19

fn on(ending: &str) -> FixTrigger {
    FixTrigger::On(ending.to_owned())
}

fn pattern(text: &str) -> FixTrigger {
    FixTrigger::Pattern(text.to_owned())
}

fn fixed(triggers: Vec<FixTrigger>) -> Lever {
    Lever { fixes: triggers.into_iter().map(carried).collect(), ..lever("a") }
}

/// The runs of iteration 2 end as `runs` say (`None`: with a better metric); the fixes applied, in order.
fn check_fixes(
    fixes: u32,
    triggers: Vec<FixTrigger>,
    refused: &[u32],
    runs: Vec<Option<Outcome>>,
    want: (&[u32], Status),
) {
    let mut world = World::based(&json!({"fixes": fixes}));
    for index in refused {
        world.fixes.insert(*index, Refusal::NoChange);
    }
    world.propose(fixed(triggers.clone())).expect("queued");
    let mut trees = Vec::new();
    for run in runs {
        world.end(Kind::Run, |order| {
            trees.push(order.tree);
            run.unwrap_or_else(|| good(order, "0.9"))
        });
    }
    let applied: Vec<u32> = world
        .bodies()
        .filter_map(|body| match body {
            Body::FixApplied { fix, .. } => Some(*fix),
            _ => None,
        })
        .collect();
    let status = world.last_decision();
    assert_eq!((applied.as_slice(), status.0, status.1), (want.0, 2, want.1), "{triggers:?}");
    trees.dedup();
    assert_eq!(trees.len(), applied.len() + 1, "each fix gives a tree of its own");
    if status.1 == Status::Keep {
        assert_eq!(world.state().parent_tree(), trees[trees.len() - 1], "the fix is part of what is kept");
    }
}

#[test]
fn p19_a_carried_fix_answers_an_ending_or_a_pattern() {
    let oom = || Some(Outcome::bare(Ending::OutOfMemory { memory: Memory::Host }));
    let matching = |fix_matches: Vec<u32>| Some(Outcome { fix_matches, ..crash() });
    let keep = Status::Keep;
    check_fixes(1, vec![on("out_of_memory")], &[], vec![oom(), None], (&[0], keep));
    check_fixes(1, vec![on("crashed"), on("out_of_memory")], &[], vec![oom(), None], (&[1], keep));
    check_fixes(1, vec![on("out_of_memory")], &[], vec![Some(crash())], (&[], Status::Crash));
    // `fix_matches` counts patterns alone: the second pattern is the third fix.
    let mixed = || vec![pattern("shape"), on("out_of_memory"), pattern("nan")];
    check_fixes(1, mixed(), &[], vec![matching(vec![1]), None], (&[2], keep));
    check_fixes(1, mixed(), &[], vec![matching(vec![1, 0]), None], (&[0], keep));
    check_fixes(1, mixed(), &[], vec![matching(vec![])], (&[], Status::Crash));
}

#[test]
fn p19_at_most_fixes_are_tried_each_once() {
    let bad = || Some(crash());
    let three = || vec![on("crashed"), on("crashed"), on("crashed")];
    check_fixes(0, three(), &[], vec![bad()], (&[], Status::Crash));
    check_fixes(1, three(), &[], vec![bad(), bad()], (&[0], Status::Crash));
    check_fixes(2, three(), &[], vec![bad(), bad(), bad()], (&[0, 1], Status::Crash));
    check_fixes(9, three(), &[], vec![bad(), bad(), bad(), bad()], (&[0, 1, 2], Status::Crash));
    check_fixes(9, three(), &[], vec![bad(), bad(), None], (&[0, 1], Status::Keep));
}

#[test]
fn p19_a_fix_that_does_not_go_is_passed_over() {
    let three = || vec![on("crashed"), on("crashed"), on("crashed")];
    let bad = || Some(crash());
    check_fixes(1, three(), &[0], vec![bad(), None], (&[1], Status::Keep));
    check_fixes(1, three(), &[0, 1], vec![bad(), None], (&[2], Status::Keep));
    check_fixes(1, three(), &[0, 1, 2], vec![bad()], (&[], Status::Crash));
    check_fixes(2, three(), &[1], vec![bad(), bad(), None], (&[0, 2], Status::Keep));
    // An infrastructure failure needs no fix, and takes none.
    let mut world = World::based(&json!({}));
    world.propose(fixed(vec![on("infra"), on("crashed")])).expect("queued");
    world.run_ends(infra());
    world.pass_heard(10_000);
    world.finish("0.9");
    assert_eq!(world.bodies().filter(|body| body.kind() == "fix_applied").count(), 0);
}

#[test]
fn p10_p19_the_tree_with_its_fix_was_tried_as_well() {
    let mut world = World::based(&json!({}));
    world.propose(fixed(vec![on("crashed")])).expect("queued");
    world.run_ends(crash());
    let (_, order) = world.order(Kind::Run);
    world.end_on(&WorkerId::from("w"), &order.key, crash());
    let by_tree = world.propose_with(lever("b"), |facts| facts.merged = Some(order.tree));
    assert_eq!(by_tree, Err(Refusal::Duplicate { iteration: 2 }));
}

// ---- P21

fn analysed(world: &mut World, rows: &[&str]) {
    let analysis = rows.iter().map(|row| scripted(row)).collect();
    world.propose(Lever { analysis, ..lever("a") }).expect("queued");
}

/// An outcome with these outputs alone.
fn only(order: &Order, outputs: &[&str]) -> Outcome {
    let mut outcome = good(order, "0");
    outcome.outputs.retain(|output| outputs.iter().any(|name| output.path == path(&format!("{name}.tsv"))));
    outcome
}

#[test]
fn p21_a_measured_run_is_decided_after_its_analysis_alone() {
    let mut world = World::based(&json!({}));
    analysed(&mut world, &["errors", "norms"]);
    let run = world.finish("0.9");
    assert_eq!(world.decisions().len(), 1, "not before its analysis");
    let (worker, order) = world.order(Kind::Analysis);
    assert_eq!(order.run, Some(run.clone()));
    assert_eq!(order.results, Some(digest(&format!("results of {run}"))));
    assert_eq!((order.scripts.len(), order.devices.len()), (2, 0));
    assert_eq!(order.history.iter().map(|(iteration, _)| iteration.0).collect::<Vec<_>>(), [1]);
    world.end_on(&worker, &order.key, good(&order, "0"));
    assert_eq!(world.last_decision(), (2, Status::Keep, "better".to_owned()));
    assert!(world.state().measured.contains("errors") && world.state().measured.contains("norms"));
    assert_eq!(world.bodies().filter(|body| body.kind() == "deliverable_accepted").count(), 3);
}

#[test]
fn p21_what_is_missing_is_tried_once_more_and_only_that() {
    let mut world = World::based(&json!({}));
    analysed(&mut world, &["errors", "norms"]);
    world.finish("0.9");
    world.end(Kind::Analysis, |order| only(order, &["norms"]));
    let (worker, order) = world.order(Kind::Analysis);
    let wanted: Vec<&str> = order.scripts.iter().map(|script| script.output.as_str()).collect();
    assert_eq!(wanted, ["errors.tsv"]);
    world.end_on(&worker, &order.key, good(&order, "0"));
    assert_eq!(world.last_decision(), (2, Status::Keep, "better".to_owned()));
}

#[test]
fn p21_after_two_failures_it_is_unanalysed() {
    let mut world = World::based(&json!({}));
    analysed(&mut world, &["errors", "norms"]);
    world.finish("0.9");
    for _ in 0..2 {
        world.end(Kind::Analysis, |order| only(order, &["norms"]));
    }
    assert_eq!(world.last_decision(), (2, Status::Discard, "unanalysed".to_owned()));
    assert_eq!(world.state().best.as_ref().map(|best| best.iteration.0), Some(1));
    let sentence = world.bodies().find_map(|body| match body {
        Body::IterationDecided { iteration, arithmetic, .. } if iteration.0 == 2 => {
            Some(arithmetic.sentence.clone())
        }
        _ => None,
    });
    let sentence = sentence.expect("decided");
    assert!(sentence.contains("results/errors.tsv is not there"), "{sentence}");
}

#[test]
fn p21_an_empty_output_is_no_output() {
    let mut world = World::based(&json!({}));
    analysed(&mut world, &["errors"]);
    world.finish("0.9");
    for _ in 0..2 {
        world.end(Kind::Analysis, |order| {
            let mut outcome = good(order, "0");
            outcome.outputs[0].digest = Some(digest(""));
            outcome
        });
    }
    assert_eq!(world.last_decision().2, "unanalysed");
}

#[test]
fn p21_a_crash_needs_no_deliverables() {
    let mut world = World::with(&json!({"always": [scripted("speed")]}));
    world.finish("0.5");
    world.end(Kind::Analysis, |order| good(order, "0"));
    analysed(&mut world, &["errors"]);
    world.run_ends(crash());
    assert_eq!(world.last_decision().1, Status::Crash);
}

#[test]
fn p20_p21_an_analysis_that_the_machinery_ended_is_run_again_elsewhere() {
    let mut world = two_workers(&json!({}));
    analysed(&mut world, &["errors"]);
    let (ran_on, order) = world.order(Kind::Run);
    world.end_on(&ran_on, &order.key, good(&order, "0.9"));
    let (first, order) = world.order(Kind::Analysis);
    assert_eq!(first, ran_on, "where the workspace still is");
    world.end_on(&first, &order.key, infra());
    world.pass_heard(1_000);
    let (second, order) = world.order(Kind::Analysis);
    assert_ne!(second, first);
    world.end_on(&second, &order.key, good(&order, "0"));
    assert_eq!(world.last_decision().1, Status::Keep);
}

// ---- P23

fn conclusions(world: &World) -> Vec<&Conclusion> {
    let written = world.bodies().filter_map(|body| match body {
        Body::ConclusionWritten { conclusion, .. } => Some(conclusion),
        _ => None,
    });
    written.collect()
}

#[test]
fn p23_the_automatic_conclusion_is_three_to_eight_bullets_of_facts() {
    for (deliverables, bullets) in [(1, 4), (5, 8), (6, 8), (20, 8)] {
        let mut world = World::based(&json!({}));
        let analysis: Vec<_> = (10..10 + deliverables).map(|index| row(&format!("d{index}"))).collect();
        world.propose(Lever { analysis, ..lever("a") }).expect("queued");
        world.finish("0.9");
        let conclusion = conclusions(&world)[1];
        assert_eq!(conclusion.bullets.len(), bullets, "{deliverables} deliverables");
        assert_eq!(conclusion.deliverables.len(), deliverables as usize);
        assert!(conclusion.automatic);
        let text = conclusion.bullets.join("\n");
        for fact in ["0.9 > 0.5 by 0.4", "ended finished", "3.0 s of 12.0 s (25 %", "first line of d10.tsv"] {
            assert!(text.contains(fact), "{fact:?} is not in:\n{text}");
        }
        if deliverables > 5 {
            assert!(text.contains(&format!("{} more deliverables", deliverables - 4)), "{text}");
        }
    }
}

#[test]
fn p23_what_several_deliverables_begin_with_is_said_once() {
    let mut world = World::based(&json!({}));
    world.propose(Lever { analysis: vec![row("x"), row("y"), row("z")], ..lever("a") }).expect("queued");
    world.end(Kind::Run, |order| {
        let mut outcome = good(order, "0.9");
        for (output, line) in outcome.outputs.iter_mut().zip(["the log", "a curve", "the log"]) {
            output.first_line = line.to_owned();
        }
        outcome
    });
    assert_eq!(conclusions(&world)[1].finding, "the log; a curve");
    assert_eq!(conclusions(&world)[1].deliverables.len(), 3, "each is judged all the same");
}

#[test]
fn p23_a_crash_is_concluded_from_its_ending() {
    let mut world = World::based(&json!({"fixes": 1}));
    world.propose(fixed(vec![on("crashed")])).expect("queued");
    world.run_ends(crash());
    world.run_ends(crash());
    let text = conclusions(&world)[1].bullets.join("\n");
    assert!(text.contains("crashed with exit code 1") && text.contains("carried fixes applied: 1"), "{text}");
}

#[test]
fn p28_after_discard_or_crash_the_next_parent_is_still_the_best() {
    for (metric, status) in
        [(Some("0.1"), Status::Discard), (None, Status::Crash), (Some("0.9"), Status::Keep)]
    {
        let mut world = World::based(&json!({}));
        let best = world.state().parent_tree();
        world.propose(lever("a")).expect("queued");
        world.propose(lever("b")).expect("queued");
        let tried = world.open().tree;
        world.end(Kind::Run, |order| match metric {
            Some(metric) => good(order, metric),
            None => crash(),
        });
        assert_eq!(world.last_decision().1, status);
        let (parent, tree) = if status == Status::Keep { (2, tried) } else { (1, best) };
        assert_eq!(world.open().parent.map(|parent| parent.0), Some(parent), "{status:?}");
        assert_eq!(world.state().parent_tree(), tree, "{status:?}");
        assert!(world.state().tried.contains_key(&tried.hash), "the losing tree stays in the ledger");
        world.finish("0.2");
    }
}

#[test]
fn p20_a_run_that_was_cancelled_is_run_again_and_counts_for_nothing() {
    let mut world = World::based(&json!({}));
    world.propose(lever("a")).expect("queued");
    for _ in 0..5 {
        world.end(Kind::Run, |_| Outcome::bare(Ending::Cancelled));
    }
    world.finish("0.9");
    assert_eq!(world.last_decision(), (2, Status::Keep, "better".to_owned()));
    assert!(world.bodies().all(|body| !matches!(body, Body::WorkerDrained { .. })));
}

#[test]
fn p22_an_analysis_sees_the_baseline_and_the_latest_iterations() {
    let mut world = World::with(&json!({"always": [scripted("e")]}));
    for n in 0..40 {
        if n > 0 {
            world.propose(lever(&format!("l{n}"))).expect("queued");
        }
        world.end(Kind::Run, |order| good(order, &format!("0.{}", 600 + n)));
        let (worker, order) = world.order(Kind::Analysis);
        let seen: Vec<u32> = order.history.iter().map(|(number, _)| number.0).collect();
        assert!(seen.len() <= 32, "bounded: {}", seen.len());
        if n > 0 {
            assert_eq!((seen.first(), seen.last()), (Some(&1), Some(&n)), "the baseline and the latest");
        }
        world.end_on(&worker, &order.key, good(&order, "0"));
    }
}

#[test]
fn p24_a_secret_that_nobody_has_is_a_wait_that_names_it() {
    let mut world = World::with(&json!({"secrets": ["HF_TOKEN", "WANDB"]}));
    assert!(world.said.is_empty(), "nothing is leased");
    let wait = world.waits_for();
    assert!(wait.contains("HF_TOKEN and WANDB") && wait.contains("windlass submit --secret"), "{wait}");
    // What the submitter gave is no matter of the worker's any more.
    let given = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    world.observe(Observation::Secrets(world.id(), given(&["HF_TOKEN"])));
    assert!(world.waits_for().contains("the secret WANDB:"), "{}", world.waits_for());
    let mut other = Fake::new("x", cpus(1));
    other.info.secrets = vec!["WANDB".to_owned()];
    world.join(other);
    let (worker, order) = world.order(Kind::Run);
    assert_eq!(worker, WorkerId::from("x"), "the one that has the rest");
    assert_eq!(order.secrets, ["HF_TOKEN", "WANDB"], "names alone");
    // Given both, any worker does.
    let mut world = World::with(&json!({"secrets": ["WANDB"]}));
    world.observe(Observation::Secrets(world.id(), given(&["WANDB"])));
    assert_eq!(world.order(Kind::Run).0, WorkerId::from("w"));
}
