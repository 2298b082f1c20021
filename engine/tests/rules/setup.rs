//! Setup: the baseline comes first (P1).

use crate::harness::{World, crash, good, infra, lever, scripted, workspace};
use serde_json::json;
use windlass_shared::attempt::{Kind, Outcome};
use windlass_shared::conclusion::Status;
use windlass_shared::record::{Answer, Body};
use windlass_shared::refusal::Refusal;

#[test]
fn p1_nothing_is_pulled_before_the_baseline_is_decided() {
    let mut world = World::with(&json!({}));
    world.propose(lever("a")).expect("form is all that is asked before anything was analysed");
    assert_eq!(world.bodies().filter(|body| body.kind() == "iteration_opened").count(), 1);
    assert_eq!((world.open().number.0, world.open().lever), (1, None));
    assert_eq!(world.open().tree, workspace(), "the workspace unmodified");
    world.finish("0.5");
    assert_eq!(world.last_decision(), (1, Status::Keep, "baseline".to_owned()));
    assert_eq!(world.open().number.0, 2);
    world.finish("0.6");
}

#[test]
fn p1_a_measured_baseline_is_kept_whatever_its_metric() {
    for metric in ["0", "-3.5", "1e-9", "0.99"] {
        let mut world = World::with(&json!({}));
        world.finish(metric);
        assert_eq!(world.last_decision(), (1, Status::Keep, "baseline".to_owned()), "{metric}");
    }
}

/// A baseline that is no ground to build on pauses the campaign; `repair` says each of `wants`.
fn check_repair(windlass: &serde_json::Value, ends: impl Fn(&mut World), wants: &[&str]) {
    let mut world = World::with(windlass);
    world.propose(lever("a")).expect("queued");
    world.propose(lever("b")).expect("queued");
    ends(&mut world);
    let wait = world.waits_for();
    for want in wants {
        assert!(wait.contains(want), "{want:?} is not in {wait:?}");
    }
    let campaign = world.id();
    let resumed = world.ask(windlass_engine::core::Ask::Resume(campaign.clone()));
    assert!(matches!(resumed, Err(Refusal::State { .. })), "{resumed:?}");

    let answer = world.submit("digits", &json!({})).expect("the same name again");
    let Answer::Campaign { id, levers_taken } = answer else { panic!("{answer:?}") };
    assert_eq!(levers_taken, 2, "the queue is taken along");
    assert!(world.core.campaign(&campaign).expect("known").is_stopped());
    assert_eq!(world.core.resolve_campaign("digits"), Ok(id), "the name is the new one's");
    for metric in ["0.5", "0.6", "0.4"] {
        world.finish(metric);
    }
    let statuses: Vec<Status> = world.decisions().iter().rev().take(3).map(|d| d.1).collect();
    assert_eq!(statuses, [Status::Discard, Status::Keep, Status::Keep]);
}

#[test]
fn p1_a_baseline_that_is_no_ground_pauses_and_submitting_again_takes_the_queue() {
    let crashes = |world: &mut World| {
        world.run_ends(crash());
    };
    check_repair(&json!({}), crashes, &["crashed with exit code 1", "ValueError: shapes", "submit it again"]);
    // P21: an unanalysed one as well.
    let unanalysed = |world: &mut World| {
        world.finish("0.5");
        for _ in 0..2 {
            world.end(Kind::Analysis, |order| Outcome { outputs: Vec::new(), ..good(order, "0") });
        }
        assert_eq!(world.last_decision(), (1, Status::Discard, "unanalysed".to_owned()));
    };
    check_repair(&json!({"baseline": [scripted("errors")]}), unanalysed, &["unanalysed"]);
    // P20: and one whose machines failed, which says so.
    let failed = |world: &mut World| {
        world.connect("other", crate::harness::cpus(1));
        for _ in 0..3 {
            world.run_ends(infra());
            world.pass_heard(10_000);
        }
    };
    check_repair(&json!({}), failed, &["infrastructure: infra: no blobs"]);
    // Also when its owner had paused it meanwhile.
    let paused = |world: &mut World| {
        let campaign = world.id();
        world.ask(windlass_engine::core::Ask::Pause(campaign)).expect("paused");
        world.run_ends(crash());
    };
    check_repair(&json!({}), paused, &["crashed with exit code 1"]);
}

#[test]
fn p1_another_name_or_a_sound_campaign_is_left_alone() {
    let check = |name: &str, ends: fn(&mut World)| {
        let mut world = World::with(&json!({}));
        world.propose(lever("a")).expect("queued");
        ends(&mut world);
        let before = world.id();
        let answer = world.submit(name, &json!({})).expect("submitted");
        assert!(matches!(answer, Answer::Campaign { levers_taken: 0, .. }), "{answer:?}");
        assert!(!world.core.campaign(&before).expect("known").is_stopped());
        while !world.said.is_empty() {
            world.take();
        }
    };
    check("letters", |world| {
        world.run_ends(crash());
    });
    check("digits", |world| {
        world.finish("0.5");
    });
}

#[test]
fn p1_bindings_that_cannot_be_are_refused_and_leave_nothing() {
    let mut world = World::empty();
    let twice = json!([{"script": "builtin:log", "output": "a.tsv", "dimension": "a", "question": "q",
        "if_helped": "h", "if_not": "n"}, {"script": "builtin:log", "output": "a.tsv", "dimension": "b",
        "question": "q", "if_helped": "h", "if_not": "n"}]);
    for (windlass, rule) in [
        (json!({"lanes": 0}), None),
        (json!({"lanes": 65}), None),
        (json!({"baseline": twice}), Some("P12")),
        (json!({"always": twice}), Some("P12")),
    ] {
        let refusal = world.submit("digits", &windlass).expect_err("refused");
        assert_eq!(refusal.rule(), rule, "{windlass}: {refusal}");
    }
    assert_eq!(world.kinds(0), ["incarnation_started"]);
}

#[test]
fn p14_the_plan_is_in_the_ledger_before_the_lease() {
    let mut world = World::based(&json!({}));
    world.propose(lever("a")).expect("queued");
    world.finish("0.6");
    let mut planned = Vec::new();
    for body in world.bodies() {
        match body {
            Body::IterationOpened { iteration, plan, .. } if !plan.is_empty() => planned.push(*iteration),
            Body::AttemptLeased { order, .. } => assert!(planned.contains(&order.key.id.iteration)),
            _ => {}
        }
    }
    assert_eq!(planned.len(), 2);
}
