//! `explain` names the rule and the figures of what the core really does.

use crate::harness::{GIB, World, cpus, crash, diff_of, digest, good, gpu, infra, lever, path};
use serde_json::json;
use windlass_engine::core::Ask;
use windlass_engine::explain::{Subject, explain};
use windlass_engine::gate::facts::{Look, Merged};
use windlass_shared::attempt::Kind;
use windlass_shared::bindings::Direction;
use windlass_shared::conclusion::Status;
use windlass_shared::decimal::Decimal;
use windlass_shared::device::DeviceState;
use windlass_shared::foreign::{Foreign, ForeignRow};
use windlass_shared::id::{IterationNumber, LeverNumber, WorkerId};
use windlass_shared::record::Body;
use windlass_shared::refusal::Refusal;
use windlass_shared::view::Explanation;

fn ask(world: &World, name: &str, subject: &Subject) -> Result<Explanation, Refusal> {
    explain(&world.core, world.now, name, subject)
}

fn iteration(world: &World, number: u32) -> Subject {
    let number = IterationNumber(number);
    let of_it = |body: &Body| match body {
        Body::AttemptEnded { attempt, .. } => attempt.iteration == number,
        Body::IterationDecided { iteration, .. } | Body::FixApplied { iteration, .. } => *iteration == number,
        _ => false,
    };
    let campaign = Some(world.id());
    let of_it = world.records.iter().filter(|record| record.campaign == campaign && of_it(&record.body));
    Subject::Iteration(number, of_it.cloned().collect())
}

/// Some sentence has this rule, these words and these figures.
fn check(explanation: &Explanation, rule: Option<&str>, words: &str, figures: &[(&str, &str)]) {
    let fits = explanation.sentences.iter().any(|sentence| {
        sentence.rule.as_deref() == rule
            && sentence.text.contains(words)
            && figures.iter().all(|(name, value)| sentence.figures.get(*name).is_some_and(|is| is == value))
    });
    assert!(fits, "{rule:?} {words:?} {figures:?} is not in {explanation:#?}");
}

#[test]
fn a_campaign_says_what_it_waits_for_and_what_stands_in_line() {
    let mut world = World::based(&json!({"priority": 4}));
    let told = ask(&world, "digits", &Subject::Campaign).expect("known");
    check(
        &told,
        None,
        "it is active",
        &[("priority", "4"), ("in_line", "0"), ("kept", "1"), ("record", "0.5")],
    );
    check(&told, Some("P24"), "it waits for a lever", &[]);
    for name in ["a", "b"] {
        world.propose(lever(name)).expect("queued");
    }
    let campaign = world.id();
    world.ask(Ask::Pause(campaign.clone())).expect("paused");
    let told = ask(&world, "digits", &Subject::Campaign).expect("known");
    check(&told, None, "windlass resume", &[]);
    check(&told, Some("P5"), "it tests L1, a", &[]);
    check(&told, None, "attempt 1, its run, is being prepared on host-w [cpu-0]: best fit", &[]);
    check(&told, Some("P16"), "its gate", &[("budget", "12.0 s"), ("killed_at", "24.0 s")]);
    check(&told, None, "L2 stands at place 1", &[("passes", "0 of 3")]);
    world.finish("0.4");
    world.ask(Ask::Stop(campaign)).expect("stopped");
    check(&ask(&world, "digits", &Subject::Campaign).expect("known"), Some("P32"), "stopped it", &[]);
}

#[test]
fn a_wait_for_devices_tells_every_worker_and_who_comes_first() {
    let mut world = World::empty();
    let big = json!({"resources": {"gpus": 2, "gpu_memory": 80 * GIB, "labels": ["fast"]}, "priority": 9});
    world.submit("urgent", &big).expect("created");
    world
        .submit("digits", &json!({"resources": {"gpus": 1, "gpu_memory": 80 * GIB, "labels": ["fast"]}}))
        .expect("created");
    let told = ask(&world, "digits", &iteration(&world, 1)).expect("known");
    check(&told, None, "no worker is connected", &[("workers", "0")]);
    let mut fake = crate::harness::Fake::new(
        "a",
        (1..=4).map(|n| gpu(&format!("GPU-{n}"), "H200", 140 * GIB)).collect(),
    );
    fake.info.labels = vec!["fast".to_owned()];
    fake.devices[0].state = DeviceState::Outsider { who: "pid 4711 (root, python3)".to_owned() };
    fake.devices[1].state = DeviceState::Quarantined { reason: "memory is not back".to_owned() };
    fake.devices[2].memory_bytes = Some(24 * GIB);
    fake.devices[3].memory_bytes = Some(24 * GIB);
    world.join(fake);
    world.connect("plain", cpus(1));
    let told = ask(&world, "digits", &iteration(&world, 1)).expect("known");
    check(
        &told,
        None,
        "asks for 1 GPU on one worker, each with at least 80 GiB, labelled fast",
        &[("devices", "1")],
    );
    check(
        &told,
        None,
        "worker host-a has 0 of 4 GPUs that suit it free: GPU-1 is used by a process that is not ours, pid 4711 (root, python3); GPU-2 is quarantined [I9], memory is not back",
        &[("free", "0")],
    );
    check(&told, None, "GPU-3 has 24 GiB", &[]);
    check(&told, None, "worker host-plain lacks the label fast", &[]);
    check(&told, None, "comes first: its priority is higher", &[("priority", "0"), ("its_priority", "9")]);
    world.ask(Ask::Drain(WorkerId::from("plain"))).expect("drained");
    let told = ask(&world, "digits", &iteration(&world, 1)).expect("known");
    check(&told, None, "worker host-plain takes nothing new: it is drained, its owner asked", &[]);
    world.pass(31_000);
    let told = ask(&world, "digits", &iteration(&world, 1)).expect("known");
    check(&told, None, "worker host-a takes nothing new: it is lost, its last word was 31 s ago", &[]);
}

#[test]
fn a_decided_iteration_says_rule_and_sum() {
    let mut world = World::based(&json!({}));
    for name in ["a", "b", "c"] {
        world.propose(lever(name)).expect("queued");
    }
    world.finish("0.6");
    world.finish("0.55");
    world.run_ends(crash());
    let told = |number| ask(&world, "digits", &iteration(&world, number)).expect("decided");
    check(&told(1), Some("P1"), "it is kept: 0.5 is the baseline", &[("metric", "0.5")]);
    check(
        &told(2),
        Some("P25"),
        "it is kept: 0.6 > 0.5 by 0.1",
        &[("gain", "0.1"), ("record", "0.5"), ("net_lines", "1"), ("min_gain", "0.001")],
    );
    check(&told(3), Some("P25"), "it is discarded: 0.55 < 0.6 by 0.05", &[("gain", "-0.05")]);
    check(&told(3), Some("P26"), "it is not better", &[]);
    check(&told(4), Some("P25"), "it is a crash: no metric: crashed with exit code 1", &[]);
    check(&told(4), None, "attempt 1, a run, ended crashed with exit code 1", &[]);
    let none = ask(&world, "digits", &iteration(&world, 5));
    assert!(matches!(none, Err(Refusal::NotFound { what: "iteration", .. })));
}

#[test]
fn p27_p39_a_gain_that_was_not_kept_is_not_called_a_loss() {
    let is_called_no_better =
        |told: &Explanation| told.sentences.iter().any(|sentence| sentence.text.contains("it is not better"));
    // Overtaken: it beat its own parent.
    let mut world = World::with(&json!({"lanes": 2}));
    world.connect("v", cpus(1));
    for name in ["a", "b"] {
        world.propose(lever(name)).expect("queued");
    }
    world.finish("0.5");
    world.finish_of(2, "0.6");
    world.finish_of(3, "0.55");
    let told = ask(&world, "digits", &iteration(&world, 3)).expect("decided");
    check(&told, Some("P39"), "it is discarded: 0.55 > 0.5 by 0.05", &[("gain", "0.05")]);
    assert!(!is_called_no_better(&told), "{told:#?}");
    world.said.clear();
    // Recorded elsewhere: nobody here weighed anything.
    let row = |number, metric| ForeignRow {
        iteration: IterationNumber(number),
        metric: Decimal::parse(metric),
        status: Status::Discard,
        summary: String::new(),
        description: "momentum".to_owned(),
        notes: std::collections::BTreeMap::new(),
    };
    let first = ForeignRow { status: Status::Keep, ..row(1, "0.5") };
    let columns = ["iter", "val_acc", "status"].map(str::to_owned).to_vec();
    let ledger = Box::new(Foreign {
        name: "old".to_owned(),
        metric: "val_acc".to_owned(),
        direction: Direction::Maximize,
        columns,
        source: "old.tsv".to_owned(),
        rows: vec![first, row(2, "0.6")],
    });
    world.ask(Ask::Import { ledger, owner: None }).expect("imported");
    let told = ask(&world, "old", &iteration(&world, 2)).expect("decided");
    check(&told, Some("P29"), "it is discarded: 0.6 > 0.5 by 0.1", &[]);
    check(&told, None, "made elsewhere", &[]);
    assert!(!is_called_no_better(&told), "{told:#?}");
}

#[test]
fn p26_a_lever_that_was_tested_names_the_rule_that_decided_it() {
    let mut world = World::based(&json!({}));
    let tree = digest("a long change");
    world.merges.insert(LeverNumber(1), Merged::Clean { tree, net_lines: 20, diff: diff_of(tree) });
    world.propose(lever("a")).expect("queued");
    world.finish("0.5005");
    let told = ask(&world, "digits", &Subject::Lever(LeverNumber(1))).expect("known");
    check(&told, Some("P26"), "iteration 2 tested it: discard (not worth its lines)", &[]);
}

#[test]
fn a_lever_says_where_it_stands_and_why() {
    let mut world = World::with(&json!({"passes": 3}));
    world.looks.insert(LeverNumber(2), Look::FileMissing);
    world.merges.insert(LeverNumber(3), Merged::Conflict(vec![path("train.py").into()]));
    for name in ["a", "b", "c", "d"] {
        world.propose(lever(name)).expect("queued");
    }
    let told =
        |world: &World, number| ask(world, "digits", &Subject::Lever(LeverNumber(number))).expect("known");
    check(&told(&world, 2), Some("P6"), "curve.tsv was not looked up yet", &[]);
    check(&told(&world, 2), Some("P5"), "iteration 1 is open", &[]);
    check(&told(&world, 2), None, "before it stand L1", &[]);
    world.finish("0.5");
    world.finish("0.6");
    check(&told(&world, 1), Some("P25"), "iteration 2 tested it: keep (better)", &[]);
    check(&told(&world, 2), Some("P9"), "was passed over: curve.tsv of iteration", &[("passes", "1 of 3")]);
    check(&told(&world, 3), Some("P8"), "conflicts with the best in train.py", &[]);
    check(&told(&world, 4), Some("P5"), "iteration 3 tests it", &[]);
    let campaign = world.id();
    world.ask(Ask::Retire { campaign, lever: LeverNumber(2) }).expect("retired");
    check(&told(&world, 2), None, "it was taken back", &[]);
    let none = ask(&world, "digits", &Subject::Lever(LeverNumber(9)));
    assert!(matches!(none, Err(Refusal::NotFound { what: "lever", .. })));
    world.finish("0.4");
}

#[test]
fn a_worker_says_why_each_device_is_or_is_not_leased() {
    let mut world = World::empty();
    world.connect("w", cpus(2));
    world.submit("digits", &json!({})).expect("created");
    let told = ask(&world, "w", &Subject::Campaign).expect("known");
    check(
        &told,
        None,
        "it is ready for work",
        &[("silent", "0.0 s"), ("lost_after", "30.0 s"), ("version", "0.1.0")],
    );
    check(&told, None, "cpu-1 is free", &[]);
    check(&told, None, "cpu-0 runs digits", &[]);
    world.run_ends(infra());
    let told = ask(&world, "w", &Subject::Campaign).expect("known");
    check(&told, Some("P20"), "no fault of their own", &[("in_a_row", "1"), ("drained_at", "3")]);
    let campaign = ask(&world, "digits", &Subject::Campaign).expect("known");
    check(&campaign, Some("P20"), "the machinery failed it", &[("failures", "1"), ("tries", "3")]);
    check(&campaign, None, "the next try is in 1 s", &[]);
    world.pass(2_000);
    let (worker, order) = world.order(Kind::Run);
    world.end_on(&worker, &order.key, good(&order, "0.5"));
    let none = ask(&world, "nobody", &Subject::Campaign);
    assert!(matches!(none, Err(Refusal::NotFound { what: "campaign or worker", .. })));
}
