//! Setup: the baseline comes first (P1).

use crate::harness::{World, crash, lever};
use serde_json::json;
use windlass_shared::conclusion::Status;
use windlass_shared::record::Answer;

#[test]
fn p1_nothing_is_pulled_before_the_baseline_is_decided() {
    let mut world = World::with(&json!({}));
    world.propose(lever("a")).expect("form is all that is asked before anything was analysed");
    assert_eq!(world.kinds(0).iter().filter(|kind| **kind == "iteration_opened").count(), 1);
    assert_eq!((world.open().number.0, world.open().lever), (1, None));
    assert_eq!(world.open().tree, crate::harness::workspace(), "the workspace unmodified");
    world.finish("0.5");
    assert_eq!(world.last_decision(), (1, Status::Keep, "baseline".to_owned()));
    assert_eq!(world.open().number.0, 2);
    world.finish("0.6");
}

#[test]
fn p1_a_crashed_baseline_pauses_and_says_what_to_repair() {
    let mut world = World::with(&json!({}));
    world.propose(lever("a")).expect("queued");
    world.propose(lever("b")).expect("queued");
    world.run_ends(crash());
    assert_eq!(world.last_decision().1, Status::Crash);
    let wait = world.waits_for();
    assert!(wait.contains("crashed with exit code 1") && wait.contains("ValueError: shapes"), "{wait}");
    let answer = world.submit("digits", &json!({})).expect("the same name again");
    let Answer::Campaign { levers_taken, .. } = answer else { panic!("{answer:?}") };
    assert_eq!(levers_taken, 2, "the queue is taken along");
    world.finish("0.5");
    world.finish("0.6");
    world.finish("0.4");
    assert_eq!(world.decisions().len(), 4);
}
