//! Lanes (P39): several levers at once, each against the best of its own start.

use crate::harness::{World, crash, infra, lever, merged_tree, path, row};
use serde_json::{Value, json};
use windlass_engine::core::Ask;
use windlass_engine::gate::facts::Merged;
use windlass_shared::conclusion::Status;
use windlass_shared::id::{IterationNumber, LeverNumber};
use windlass_shared::record::{Body, HoldReason};
use windlass_shared::refusal::Refusal;
use windlass_shared::view::LeverState;

/// Four slots, a baseline at 0.5, and these levers in line.
fn with(windlass: &Value, levers: &[&str]) -> World {
    let mut world = World::empty();
    world.connect("w", crate::harness::cpus(4));
    world.submit("digits", windlass).expect("a good campaign");
    world.finish("0.5");
    for name in levers {
        world.propose(lever(name)).expect("queued");
    }
    world
}

fn open(world: &World) -> Vec<(u32, u32)> {
    let lever = |lever: Option<LeverNumber>| lever.map_or(0, |lever| lever.0);
    world.state().open.values().map(|open| (open.number.0, lever(open.lever))).collect()
}

fn queue(world: &World) -> Vec<u32> {
    world.state().queue.iter().map(|lever| lever.0).collect()
}

fn sentence(world: &World, number: u32) -> String {
    let decided = world.bodies().find_map(|body| match body {
        Body::IterationDecided { iteration, arithmetic, .. } if iteration.0 == number => {
            Some(arithmetic.sentence.clone())
        }
        _ => None,
    });
    decided.expect("decided")
}

fn best(world: &World) -> u32 {
    world.state().best.as_ref().map_or(0, |best| best.iteration.0)
}

#[test]
fn p39_i12_as_many_levers_run_at_once_as_there_are_lanes() {
    for (lanes, want) in [(1, vec![(2, 1)]), (2, vec![(2, 1), (3, 2)]), (3, vec![(2, 1), (3, 2), (4, 3)])] {
        let mut world = with(&json!({ "lanes": lanes }), &["a", "b", "c", "d"]);
        assert_eq!(open(&world), want, "{lanes} lanes");
        let view = world.core.campaign_view(world.now, &world.id()).expect("known");
        let shown: Vec<u32> = view.lanes.iter().map(|open| open.iteration.0).collect();
        assert_eq!(shown, want.iter().map(|(number, _)| *number).collect::<Vec<_>>());
        assert_eq!(view.open, view.lanes.first().cloned(), "the oldest stands alone too");
        // The last one ends first: rows stand in the order of decision.
        let last = want.last().expect("one").0;
        world.finish_of(last, "0.4");
        assert_eq!(world.last_decision().0, last);
        assert_eq!(world.state().open.len(), lanes, "the next one has its turn");
        world.said.clear();
    }
}

#[test]
fn p1_p39_the_baseline_runs_alone() {
    let mut world = World::empty();
    world.connect("w", crate::harness::cpus(4));
    world.submit("digits", &json!({"lanes": 3})).expect("a good campaign");
    for name in ["a", "b"] {
        world.propose(lever(name)).expect("queued");
    }
    assert_eq!(open(&world), [(1, 0)]);
    world.finish("0.5");
    assert_eq!(open(&world), [(2, 1), (3, 2)]);
    world.said.clear();
}

#[test]
fn p39_a_sibling_that_beats_its_own_parent_is_superseded_and_runs_again_first() {
    let mut world = with(&json!({"lanes": 2}), &["a", "b", "c", "d"]);
    let parent = world.state().parent_tree();
    world.finish_of(2, "0.6");
    assert_eq!((best(&world), open(&world)), (2, vec![(3, 2), (4, 3)]));
    let of_start = world.state().open[&IterationNumber(3)].clone();
    assert_eq!((of_start.parent, of_start.parent_tree), (Some(IterationNumber(1)), parent));
    // It beats 0.5, its own parent, and not the new record.
    world.finish_of(3, "0.55");
    assert_eq!(world.decisions()[2], (3, Status::Discard, "superseded".to_owned()));
    assert_eq!(
        sentence(&world, 3),
        "0.55 > 0.5 by 0.05, +1 line, but iteration 2 was kept meanwhile: discard (superseded)"
    );
    // At the front, and at once in the lane that is free, on the new best.
    assert_eq!(open(&world), [(4, 3), (5, 2)]);
    assert_eq!(world.state().open[&IterationNumber(5)].parent, Some(IterationNumber(2)));
    assert_eq!(queue(&world), [4]);
    world.finish_of(5, "0.7");
    assert_eq!((best(&world), world.last_decision().1), (5, Status::Keep));
    world.said.clear();
}

#[test]
fn p39_a_better_metric_alone_does_not_keep_a_sibling_that_fits_the_new_best() {
    let mut world = with(&json!({"lanes": 2}), &["a", "b"]);
    world.finish_of(2, "0.6");
    world.finish_of(3, "0.9");
    assert_eq!(world.decisions()[2], (3, Status::Discard, "superseded".to_owned()));
    assert_eq!((best(&world), open(&world)), (2, vec![(4, 2)]));
    world.said.clear();
}

#[test]
fn p25_p39_a_sibling_that_does_not_beat_its_own_parent_is_what_it_is() {
    let mut world = with(&json!({"lanes": 3}), &["a", "b", "c"]);
    world.finish_of(2, "0.6");
    world.finish_of(3, "0.5");
    world.end_run_of(4, |_| crash());
    let decided = world.decisions();
    assert_eq!(decided[2], (3, Status::Discard, "equal".to_owned()));
    assert_eq!(decided[3].1, Status::Crash);
    assert_eq!(open(&world), []);
    assert_eq!(
        world.lever_state(LeverNumber(2)),
        LeverState::Decided { iteration: IterationNumber(3), status: Status::Discard }
    );
}

#[test]
fn p39_in_conflict_the_better_metric_is_kept_and_the_other_lever_goes_to_the_front() {
    let mut world = with(&json!({"lanes": 2}), &["a", "b", "c", "d"]);
    let conflict = Merged::Conflict(vec![path("train.py").into()]);
    world.merges.insert(LeverNumber(2), conflict);
    world.finish_of(2, "0.6");
    assert_eq!(open(&world), [(3, 2), (4, 3)]);
    let tree = world.state().open[&IterationNumber(3)].tree;
    world.finish_of(3, "0.8");
    assert_eq!(world.decisions()[2], (3, Status::Keep, "better".to_owned()));
    assert_eq!(
        sentence(&world, 3),
        "0.8 > 0.5 by 0.3, +1 line, better than iteration 2 and in conflict with it in train.py: keep"
    );
    assert_eq!((best(&world), world.state().parent_tree()), (3, tree));
    // The first lever runs again on the new best though its diff was decided (P10).
    assert_eq!(open(&world), [(4, 3), (5, 1)]);
    assert_eq!(world.state().open[&IterationNumber(5)].parent, Some(IterationNumber(3)));
    // A decision stays what it was (I1).
    assert_eq!(world.decisions()[1], (2, Status::Keep, "better".to_owned()));
    world.said.clear();
}

#[test]
fn p39_in_conflict_the_worse_metric_is_superseded_and_then_waits_for_its_researcher() {
    let mut world = with(&json!({"lanes": 2}), &["a", "b"]);
    world.merges.insert(LeverNumber(2), Merged::Conflict(vec![path("train.py").into()]));
    world.finish_of(2, "0.6");
    world.finish_of(3, "0.55");
    assert_eq!(world.decisions()[2], (3, Status::Discard, "superseded".to_owned()));
    let reason = HoldReason::NeedsRebase { files: vec![path("train.py")], clashes: Vec::new() };
    assert_eq!(world.lever_state(LeverNumber(2)), LeverState::Held { reason });
}

#[test]
fn p39_all_that_was_kept_meanwhile_goes_to_the_front_in_its_order() {
    let mut world = with(&json!({"lanes": 2}), &["slow", "a", "b"]);
    world.merges.insert(LeverNumber(1), Merged::Conflict(vec![path("train.py").into()]));
    world.finish_of(3, "0.6");
    world.finish_of(4, "0.7");
    assert_eq!((best(&world), open(&world)), (4, vec![(2, 1)]));
    world.ask(Ask::Pause(world.id())).expect("paused");
    world.finish_of(2, "0.9");
    assert_eq!(best(&world), 2);
    assert_eq!(queue(&world), [2, 3], "the earlier kept first");
    world.ask(Ask::Resume(world.id())).expect("goes on");
    assert_eq!(open(&world), [(5, 2), (6, 3)]);
    world.said.clear();
}

#[test]
fn p13_p39_a_lane_reserves_the_dimensions_that_it_takes() {
    let windlass = json!({"lanes": 3, "diagnostics": [row("spare")]});
    let mut world = with(&windlass, &[]);
    // Three levers that measure the same thing: the first takes it, the second the catalogue's, the third waits.
    for name in ["a", "b", "c"] {
        let mut one = lever(name);
        one.analysis = vec![row("errors")];
        world.propose(one).expect("queued");
    }
    let dimensions = |world: &World, number: u32| -> Vec<String> {
        let plan = &world.state().open[&IterationNumber(number)].plan;
        plan.iter().map(|row| row.dimension.clone()).collect()
    };
    assert_eq!(open(&world), [(2, 1), (3, 2)]);
    assert_eq!(dimensions(&world, 2), ["errors"]);
    assert_eq!(dimensions(&world, 3), ["errors", "spare"]);
    assert_eq!(queue(&world), [3], "not held: a crash may free what it needs");
    // A crash uses nothing up; the other lane measures it still.
    world.end_run_of(2, |_| crash());
    assert_eq!(open(&world), [(3, 2)]);
    world.end_run_of(3, |_| crash());
    assert_eq!((open(&world), dimensions(&world, 4)), (vec![(4, 3)], vec!["errors".to_owned()]));
    world.said.clear();
    // Once it is measured, the lever that was left is held.
    let mut world = with(&windlass, &[]);
    for name in ["a", "b", "c"] {
        let mut one = lever(name);
        one.analysis = vec![row("errors")];
        world.propose(one).expect("queued");
    }
    world.finish_of(2, "0.4");
    assert_eq!(queue(&world), [3], "the other lane still has the spare one");
    world.finish_of(3, "0.4");
    assert_eq!(world.lever_state(LeverNumber(3)), LeverState::Held { reason: HoldReason::NeedsPlan });
    world.said.clear();
}

#[test]
fn p10_p39_the_same_change_waits_for_the_lane_that_tries_it() {
    let mut world = with(&json!({"lanes": 2}), &["a", "b"]);
    // On the best of that moment, `c` is what iteration 2 tries.
    let tree = world.state().open[&IterationNumber(2)].tree;
    let same = Merged::Clean { tree, net_lines: 1, diff: crate::harness::diff_of(tree) };
    world.propose(lever("c")).expect("queued");
    world.propose(lever("d")).expect("queued");
    world.merges.insert(LeverNumber(3), same);
    world.finish_of(3, "0.4");
    assert_eq!(
        (open(&world), queue(&world)),
        (vec![(2, 1), (4, 4)], vec![3]),
        "the next in line has its turn"
    );
    let explained = world.explain_lever(3);
    assert!(explained.contains("waits for iteration 2, which tries the same change"), "{explained}");
    world.finish_of(2, "0.4");
    assert!(matches!(world.lever_state(LeverNumber(3)), LeverState::Retired { .. }), "a repeat now");
    world.said.clear();
}

#[test]
fn p39_each_lane_is_cancelled_by_its_number() {
    let mut world = with(&json!({"lanes": 2}), &["a", "b"]);
    let campaign = world.id();
    let ask = |iteration| Ask::Cancel { campaign: campaign.clone(), iteration: IterationNumber(iteration) };
    world.ask(ask(3)).expect("cancelled");
    assert!(world.state().open[&IterationNumber(3)].is_cancelled);
    assert!(!world.state().open[&IterationNumber(2)].is_cancelled);
    let unknown = world.ask(ask(4)).expect_err("never opened");
    assert!(matches!(unknown, Refusal::NotFound { .. }), "{unknown:?}");
    world.said.clear();
}

#[test]
fn p20_p39_each_lane_has_its_own_pause_after_the_machinery_failed() {
    let mut world = with(&json!({"lanes": 2}), &["a", "b"]);
    world.end_run_of(2, |_| infra());
    assert!(world.state().open[&IterationNumber(2)].live.is_none());
    world.end_run_of(3, |_| infra());
    world.pass_heard(1_000);
    assert_eq!(world.state().live().count(), 2, "both are tried again");
    world.finish_of(3, "0.4");
    world.finish_of(2, "0.4");
    assert_eq!(world.decisions().len(), 3);
}

#[test]
fn p32_p39_a_limit_of_iterations_counts_those_that_are_open() {
    let mut world = with(&json!({"lanes": 3, "stop": {"iterations": 3}}), &["a", "b", "c", "d"]);
    assert_eq!(open(&world), [(2, 1), (3, 2)]);
    world.finish_of(2, "0.4");
    assert_eq!(open(&world), [(3, 2)], "three are decided or open");
    world.finish_of(3, "0.4");
    assert!(world.state().is_stopped());
}

#[test]
fn p39_a_restart_between_two_decisions_loses_nothing() {
    let mut world = with(&json!({"lanes": 2}), &["a", "b", "c"]);
    world.merges.insert(LeverNumber(2), Merged::Conflict(vec![path("train.py").into()]));
    world.finish_of(2, "0.6");
    world.restart();
    world.all_report();
    world.finish_of(3, "0.8");
    assert_eq!((best(&world), world.decisions()[2].1), (3, Status::Keep));
    assert_eq!(open(&world), [(4, 3), (5, 1)], "the lever that was replaced is at hand still");
    let parent = world.state().parent_tree();
    assert_ne!(parent, merged_tree(parent, parent));
    world.said.clear();
}
