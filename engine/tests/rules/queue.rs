//! The lever queue: proposals and turns (P5 to P10, P12, P13).

use crate::harness::{World, anchor, crash, diff_of, digest, holds, infra, lever, path, row};
use serde_json::json;
use windlass_engine::core::Ask;
use windlass_engine::gate::facts::{Look, Merged};
use windlass_shared::conclusion::Status;
use windlass_shared::digest::Digest;
use windlass_shared::id::{IterationNumber, LeverNumber};
use windlass_shared::lever::{Anchor, Kind, Lever, Pin};
use windlass_shared::plan::Compares;
use windlass_shared::record::{Body, HoldReason, RetireReason};
use windlass_shared::refusal::Refusal;
use windlass_shared::view::LeverState;

fn state_of(world: &World, lever: LeverNumber) -> LeverState {
    world.lever_state(lever)
}

/// The rule by which a lever was retired, and the sentence.
fn stale_by(world: &World, lever: LeverNumber) -> (String, String) {
    match state_of(world, lever) {
        LeverState::Retired { reason: RetireReason::Stale { rule, detail } } => (rule, detail),
        other => panic!("{lever} is not stale: {other:?}"),
    }
}

fn several() -> Look {
    Look::Several { line: 2, value: "0.4".to_owned(), other_line: 5, other: "0.2".to_owned() }
}

fn contradicted(value: &str) -> Look {
    Look::Contradicted { line: 3, value: value.to_owned() }
}

#[test]
fn p5_i12_one_open_iteration_whose_parent_is_the_best() {
    let mut world = World::based(&json!({}));
    for name in ["a", "b", "c"] {
        world.propose(lever(name)).expect("queued");
    }
    // Keep, discard, keep: the model in the harness holds each parent against the best (P28).
    for (metric, parent, status) in
        [("0.6", 1, Status::Keep), ("0.4", 2, Status::Discard), ("0.7", 2, Status::Keep)]
    {
        assert_eq!(world.open().parent, Some(IterationNumber(parent)));
        assert_eq!(world.state().parent_tree(), tree_of(&world, parent));
        world.finish(metric);
        assert_eq!(world.last_decision().1, status);
    }
    assert!(world.state().open.is_empty());
}

fn tree_of(world: &World, number: u32) -> Digest {
    let opened = world.bodies().find_map(|body| match body {
        Body::IterationOpened { iteration, tree, .. } if iteration.0 == number => Some(*tree),
        _ => None,
    });
    opened.expect("it was opened")
}

/// Proposes with a look-up of the anchor, after the baseline was analysed.
fn propose_looking(look: Look) -> Result<(World, LeverNumber), Refusal> {
    let mut world = World::based(&json!({}));
    let proposed = world.propose_with(lever("a"), |facts| facts.look = look);
    if proposed.is_ok() {
        world.take();
    }
    proposed.map(|(number, _)| (world, number))
}

#[test]
fn p6_the_anchor_must_hold_once_anything_was_analysed_and_is_pinned() {
    let (world, number) = propose_looking(holds(IterationNumber(1), "0.25")).expect("it holds");
    let pin = world.bodies().find_map(|body| match body {
        Body::LeverQueued { lever, pin, .. } if *lever == number => pin.clone(),
        _ => None,
    });
    assert_eq!(pin, Some(Pin { iteration: IterationNumber(1), line: 1, value: "0.25".to_owned() }));
    for (look, says) in [
        (contradicted("0.9"), "line 3 says 0.9"),
        (several(), "several matches that differ: line 2 says 0.4, line 5 says 0.2"),
        (Look::NoMatch, "no line matches"),
        (Look::FileMissing, "no such file"),
        (Look::NotLooked, "no such file"),
    ] {
        let refusal = propose_looking(look).map(|_| ()).expect_err(says);
        assert_eq!(refusal.rule(), Some("P6"));
        assert!(refusal.to_string().contains(says), "{refusal}");
    }
}

#[test]
fn p6_before_anything_was_analysed_form_is_all() {
    for iteration in [None, Some(IterationNumber(1)), Some(IterationNumber(9))] {
        let mut world = World::with(&json!({}));
        let named = Anchor { iteration, ..anchor() };
        let number = world.propose(Lever { anchor: Some(named), ..lever("a") }).expect("form is right");
        assert_eq!(world.state().levers[&number].pin, None, "pinned at its turn");
        world.finish("0.5");
        let pinned = Some(Pin { iteration: IterationNumber(1), line: 1, value: "1".to_owned() });
        assert_eq!(world.open().pin, pinned);
        world.take();
    }
}

#[test]
fn p6_the_default_evidence_is_the_latest_analysed_and_a_named_one_must_be_decided() {
    let mut world = World::based(&json!({}));
    let wanted = |world: &World, iteration: Option<u32>| {
        let named = Anchor { iteration: iteration.map(IterationNumber), ..anchor() };
        let lever = Box::new(Lever { anchor: Some(named), ..lever("z") });
        world.core.proposal_wanted(&world.id(), lever).map(|wanted| wanted.evidence.map(|e| e.iteration.0))
    };
    world.propose(lever("a")).expect("queued");
    assert_eq!(wanted(&world, None), Ok(Some(1)), "iteration 2 is open");
    assert!(matches!(wanted(&world, Some(2)), Err(Refusal::Anchor { iteration: 2, .. })));
    world.finish("0.4");
    assert_eq!(wanted(&world, None), Ok(Some(2)), "analysed, though discarded");
    assert_eq!(wanted(&world, Some(1)), Ok(Some(1)));
    world.propose(lever("b")).expect("queued");
    world.run_ends(crash());
    assert_eq!(wanted(&world, None), Ok(Some(2)), "a crash has no analysis");
    assert_eq!(wanted(&world, Some(3)), Ok(Some(3)), "but its log is evidence");
    let log = world.state().evidence_of(IterationNumber(3)).expect("decided").log;
    assert_eq!(log.map(|key| key.id.number), Some(1));
}

#[test]
fn p6_a_simplification_needs_no_anchor() {
    let mut world = World::based(&json!({}));
    world.propose(Lever { kind: Kind::Simplification, anchor: None, ..lever("a") }).expect("queued");
    assert_eq!(world.open().pin, None);
    world.take();
}

/// Queues `a` and `b` pinned on the baseline, and lets `a` win or lose; `b` is looked up as `look` then.
fn second_turn(metric: &str, look: Look) -> (World, LeverNumber) {
    let mut world = World::based(&json!({}));
    world.propose(lever("a")).expect("queued");
    let (b, _) =
        world.propose_with(lever("b"), |f| f.look = holds(IterationNumber(1), "0.25")).expect("queued");
    world.looks.insert(b, look);
    world.finish(metric);
    (world, b)
}

#[test]
fn p7_an_anchor_is_looked_up_again_when_the_best_has_moved() {
    let holds_anew = holds(IterationNumber(2), "0.75");
    let (mut world, _) = second_turn("0.6", holds_anew);
    assert_eq!(world.open().pin.as_ref().map(|pin| (pin.iteration.0, pin.value.as_str())), Some((2, "0.75")));
    world.take();

    for (look, says) in [(contradicted("0.9"), "says 0.9"), (Look::NoMatch, "has no line like")] {
        let (world, b) = second_turn("0.6", look);
        let (rule, detail) = stale_by(&world, b);
        assert_eq!(rule, "P7");
        assert!(detail.contains(says) && detail.contains("iteration 1 said 0.25"), "both values: {detail}");
        assert!(world.state().open.is_empty());
    }

    for look in [Look::FileMissing, several()] {
        let (mut world, _) = second_turn("0.6", look);
        let pinned = world.open().pin.as_ref().map(|pin| pin.value.as_str());
        assert_eq!(pinned, Some("0.25"), "the old pin stands");
        world.take();
    }
}

#[test]
fn p7_while_the_best_has_not_moved_the_pin_stands_unasked() {
    for look in [contradicted("0.9"), Look::NoMatch, Look::FileMissing] {
        let (mut world, _) = second_turn("0.4", look);
        assert_eq!(world.open().pin.as_ref().map(|pin| pin.value.as_str()), Some("0.25"));
        world.take();
    }
}

#[test]
fn p7_the_guard_is_asked_again() {
    let mut world = World::based(&json!({}));
    let refused = Merged::Refused(Refusal::Frozen { path: "evaluate.py".to_owned() });
    world.merges.insert(LeverNumber(1), refused);
    let number = world.propose(lever("a")).expect("queued");
    let (rule, detail) = stale_by(&world, number);
    assert_eq!(rule, "P2");
    assert!(detail.contains("evaluate.py"), "{detail}");
}

#[test]
fn p8_a_conflict_holds_the_lever_and_blocks_nobody() {
    let mut world = World::based(&json!({}));
    world.merges.insert(LeverNumber(1), Merged::Conflict(vec![path("train.py").into()]));
    let a = world.propose(lever("a")).expect("queued");
    let held = LeverState::Held {
        reason: HoldReason::NeedsRebase { files: vec![path("train.py")], clashes: Vec::new() },
    };
    assert_eq!(state_of(&world, a), held);
    let b = world.propose(lever("b")).expect("queued");
    assert_eq!(world.open().lever, Some(b));
    assert_eq!(world.state().levers[&a].passes, 0, "P9: a rebase is not being passed over");
    world.finish("0.6");
    // Its researcher helps: the same change may be proposed anew while the old one is held.
    let again = world.propose(lever("a")).expect("what is held is not in line");
    assert_eq!(world.open().lever, Some(again));
    world.take();
}

#[test]
fn p7_p8_what_the_evidence_refutes_is_stale_though_it_conflicts_and_missing_evidence_is_no_pass() {
    let conflict = || Merged::Conflict(vec![path("train.py").into()]);
    for (look, want) in [
        (contradicted("0.5"), Some("P7")),
        (Look::NoMatch, Some("P7")),
        (Look::FileMissing, None),
        (several(), None),
        (holds(IterationNumber(2), "0.5"), None),
    ] {
        let mut world = World::based(&json!({}));
        world.propose(lever("a")).expect("queued");
        let b = world.propose(lever("b")).expect("queued");
        world.merges.insert(b, conflict());
        world.looks.insert(b, look.clone());
        world.finish("0.6");
        match want {
            Some(rule) => assert_eq!(stale_by(&world, b).0, rule, "{look:?}"),
            None => {
                let state = state_of(&world, b);
                let is_held = matches!(state, LeverState::Held { reason: HoldReason::NeedsRebase { .. } });
                assert!(is_held && world.state().levers[&b].passes == 0, "{look:?}: {state:?}");
            }
        }
    }
    // While the best has not moved its pin stands unasked.
    let mut world = World::based(&json!({}));
    world.merges.insert(LeverNumber(1), conflict());
    world.looks.insert(LeverNumber(1), Look::NoMatch);
    let a = world.propose(lever("a")).expect("queued");
    assert!(matches!(state_of(&world, a), LeverState::Held { .. }));
}

/// Levers queued before the baseline was decided, of which the first never finds its evidence.
fn never_found(passes: u32, others: usize) -> (World, LeverNumber) {
    let mut world = World::with(&json!({"passes": passes}));
    let lost = world.propose(lever("lost")).expect("queued");
    world.looks.insert(lost, Look::FileMissing);
    for index in 0..others {
        world.propose(lever(&format!("other-{index}"))).expect("queued");
    }
    world.finish("0.5");
    (world, lost)
}

#[test]
fn p9_a_lever_is_passed_over_once_per_opened_iteration_and_stale_at_passes() {
    let (mut world, lost) = never_found(3, 3);
    let passes = |world: &World| world.state().levers[&lost].passes;
    assert_eq!((world.open().number.0, passes(&world)), (2, 1));
    world.finish("0.6");
    assert_eq!((world.open().number.0, passes(&world)), (3, 2));
    world.finish("0.7");
    let (rule, detail) = stale_by(&world, lost);
    assert_eq!(rule, "P9");
    assert!(detail.contains("3 turns") && detail.contains("curve.tsv"), "{detail}");
    world.finish("0.8");
}

#[test]
fn p9_without_an_opened_iteration_nobody_is_passed_over_again() {
    let (mut world, lost) = never_found(3, 0);
    for name in ["x", "y"] {
        world.pass_heard(50_000);
        let campaign = world.id();
        world.ask(Ask::Pause(campaign.clone())).expect("paused");
        world.ask(Ask::Resume(campaign)).expect("resumed");
        assert_eq!(world.state().levers[&lost].passes, 1, "{name}");
    }
    assert!(world.waits_for().contains("L1 for its evidence"), "P24: {}", world.waits_for());
}

#[test]
fn p9_standing_in_line_is_not_being_passed_over() {
    let mut world = World::based(&json!({"passes": 1}));
    for name in ["a", "b", "c", "d"] {
        world.propose(lever(name)).expect("queued");
    }
    for metric in ["0.4", "0.6", "0.5", "0.7"] {
        assert!(world.state().levers.values().all(|entry| entry.passes == 0));
        world.finish(metric);
    }
    assert_eq!(world.decisions().len(), 5);
}

#[test]
fn p10_what_was_tried_is_refused_naming_the_iteration() {
    let mut world = World::based(&json!({}));
    world.propose(lever("a")).expect("queued");
    world.finish("0.4");
    assert_eq!(world.propose(lever("a")), Err(Refusal::Duplicate { iteration: 2 }), "by diff");
    let tree = tree_of(&world, 2);
    let by_tree = world.propose_with(lever("b"), |facts| facts.merged = Some(tree));
    assert_eq!(by_tree, Err(Refusal::Duplicate { iteration: 2 }));
    let baseline = world.propose_with(lever("b"), |facts| facts.merged = Some(crate::harness::workspace()));
    assert_eq!(baseline, Err(Refusal::Duplicate { iteration: 1 }), "back to the baseline");
    let changed_assumption = Some("longer".to_owned());
    let assumed = Lever { changed_assumption, analysis: vec![row("new")], ..lever("a") };
    world.propose(assumed).expect("something is different now");
    assert_eq!(world.open().number.0, 3, "and its turn lets it through too");
    world.take();
}

#[test]
fn p10_a_crash_counts_as_tried() {
    let mut world = World::based(&json!({}));
    world.propose(lever("a")).expect("queued");
    world.run_ends(crash());
    assert_eq!(world.propose(lever("a")), Err(Refusal::Duplicate { iteration: 2 }));
}

#[test]
fn p10_what_stands_in_line_or_is_being_tested_is_refused() {
    let mut world = World::with(&json!({}));
    let a = world.propose(lever("a")).expect("queued");
    assert_eq!(world.propose(lever("a")), Err(Refusal::DuplicateQueued { lever: a.0 }));
    world.finish("0.5");
    assert_eq!(world.propose(lever("a")), Err(Refusal::Duplicate { iteration: 2 }), "being tested");
    world.take();
}

#[test]
fn p10_a_repeat_that_shows_at_its_turn_is_stale() {
    let mut world = World::based(&json!({}));
    world.propose(lever("a")).expect("queued");
    let b = world.propose(lever("b")).expect("another diff against the workspace");
    let tried = tree_of(&world, 2);
    world.merges.insert(b, Merged::Clean { tree: tried, net_lines: 1, diff: diff_of(digest("other")) });
    world.finish("0.4");
    let (rule, detail) = stale_by(&world, b);
    assert_eq!(rule, "P10");
    assert!(detail.contains("iteration 2"), "{detail}");
}

#[test]
fn p10_what_the_machinery_or_the_analysis_ended_was_not_tried() {
    let mut world = World::based(&json!({}));
    world.connect("other", crate::harness::cpus(1));
    world.propose(lever("a")).expect("queued");
    for _ in 0..3 {
        world.run_ends(infra());
        world.pass_heard(10_000);
    }
    world.propose(lever("a")).expect("P20: not blamed");
    world.finish("0.6");

    let mut world = World::based(&json!({}));
    let unanalysed = Lever { analysis: vec![crate::harness::scripted("errors")], ..lever("a") };
    world.propose(unanalysed.clone()).expect("queued");
    world.finish("0.6");
    for _ in 0..2 {
        world.end(windlass_shared::attempt::Kind::Analysis, |_| crash());
    }
    assert_eq!(world.last_decision(), (2, Status::Discard, "unanalysed".to_owned()));
    world.propose(unanalysed).expect("P21: its lever may be queued again");
    world.take();
}

#[test]
fn p12_p13_the_plan_is_completed_at_its_turn() {
    let dimensions = |world: &World| -> Vec<String> {
        world.open().plan.iter().map(|row| row.dimension.clone()).collect()
    };
    let always = json!({"always": [row("speed")], "diagnostics": [row("one"), row("two")]});
    let mut world = World::based(&always);
    let repeat = |name: &str| {
        let compares = Some(Compares { iteration: IterationNumber(1), reason: "again".to_owned() });
        Lever {
            analysis: vec![windlass_shared::plan::Deliverable { compares, ..row("speed") }],
            ..lever(name)
        }
    };
    let fresh = world.propose_with(lever("a"), |_| {}).expect("queued");
    assert_eq!(fresh.1, Vec::<String>::new());
    assert_eq!(dimensions(&world), ["a", "speed"], "every iteration has what `always` says");
    world.finish("0.4");
    // Nothing new in it: the next of the catalogue, in order; a crash uses nothing up.
    let (_, warnings) = world.propose_with(repeat("b"), |_| {}).expect("queued");
    assert_eq!(warnings.len(), 1, "P13 warns when it is proposed: {warnings:?}");
    assert_eq!(dimensions(&world), ["speed", "one"]);
    world.run_ends(crash());
    world.propose(repeat("c")).expect("queued");
    assert_eq!(dimensions(&world), ["speed", "one"], "the crash used nothing up");
    world.finish("0.4");
    world.propose(repeat("d")).expect("queued");
    assert_eq!(dimensions(&world), ["speed", "two"]);
    world.finish("0.4");
    let used_up = world.propose(repeat("e")).expect("queued");
    assert_eq!(state_of(&world, used_up), LeverState::Held { reason: HoldReason::NeedsPlan });
    assert_eq!(world.state().levers[&used_up].passes, 0, "P9: a missing plan is not being passed over");
    world.propose(lever("f")).expect("it blocks nobody");
    assert_eq!(dimensions(&world), ["f", "speed"]);
    world.finish("0.4");
}

#[test]
fn p13_a_repeat_without_a_reason_is_warned_of() {
    let mut world = World::based(&json!({"diagnostics": [row("one")]}));
    let plan = vec![row("new"), row("log-facts")];
    let (_, warnings) = world.propose_with(Lever { analysis: plan, ..lever("a") }, |_| {}).expect("queued");
    assert!(warnings.len() == 1 && warnings[0].contains("log-facts"), "{warnings:?}");
    world.take();
}

#[test]
fn p9_a_queue_of_a_hundred_levers_written_in_advance_goes_through() {
    // Written before anything was analysed: their anchors are looked up at their turns.
    let mut world = World::with(&json!({"passes": 2}));
    for number in 1..=100 {
        world.propose(lever(&format!("lever-{number}"))).expect("queued");
    }
    world.finish("0.5");
    for number in 1..=100 {
        assert_eq!(world.open().lever, Some(LeverNumber(number)), "in their order");
        // Every fourth is kept, so that those behind it are pulled on another best than they were written for.
        let metric = if number % 4 == 0 { format!("0.{}", 500 + number) } else { "0.4".to_owned() };
        world.finish(&metric);
    }
    assert_eq!(world.decisions().len(), 101);
    let left = world.bodies().filter(|body| {
        matches!(body, Body::LeverRetired { .. } | Body::LeverHeld { .. } | Body::LeverPassed { .. })
    });
    assert_eq!(left.count(), 0, "nothing is retired for merely waiting");
}

#[test]
fn p9_priorities_and_moves_are_no_passes() {
    let mut world = World::based(&json!({"passes": 1}));
    for name in ["a", "b", "c"] {
        world.propose(lever(name)).expect("queued");
    }
    let campaign = world.id();
    for _ in 0..3 {
        let place = windlass_engine::core::Place::Last;
        world.ask(Ask::Move { campaign: campaign.clone(), lever: LeverNumber(2), place }).expect("moved");
        let place = windlass_engine::core::Place::First;
        world.ask(Ask::Move { campaign: campaign.clone(), lever: LeverNumber(2), place }).expect("moved");
    }
    let passes = world.core.levers(&campaign, 0, 10).expect("known");
    assert!(
        passes
            .iter()
            .all(|listed| matches!(listed, windlass_engine::core::Listed::Whole(view) if view.passes == 0))
    );
    for _ in 0..3 {
        world.finish("0.4");
    }
    assert_eq!(world.decisions().len(), 4);
}
