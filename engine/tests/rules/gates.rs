//! The two gates of a run: what is ordered under them, and what counts (P16, P17).

use crate::harness::{World, bindings, digest, good, path, workspace};
use serde_json::json;
use windlass_engine::core::Ask;
use windlass_shared::attempt::{Ending, Kind, Order, Outcome, Reading};
use windlass_shared::bindings::{Bindings, EpochCap};
use windlass_shared::decimal::Decimal;
use windlass_shared::machine::Flag;
use windlass_shared::refusal::Refusal;

const MIN: u64 = 60_000;

fn cap() -> EpochCap {
    EpochCap { file: path("train.py"), line: 2, given: 50, set: 5, submitted: digest("submitted") }
}

fn under_epochs(windlass: &serde_json::Value) -> Bindings {
    let mut bindings = bindings(windlass);
    bindings.gate = windlass_shared::bindings::GateKind::Epochs;
    bindings.budget = Decimal::parse("5").expect("five");
    bindings
}

fn create(bindings: Bindings, cap: Option<EpochCap>) -> Ask {
    Ask::Create {
        name: "digits".to_owned(),
        bindings: Box::new(bindings),
        tree: workspace(),
        cap,
        git: None,
        owner: None,
    }
}

fn limits(order: &Order) -> (u64, u64) {
    (order.soft_limit_ms, order.hard_limit_ms)
}

/// The limits of the baseline and of the first lever, whose baseline took so long.
fn check(windlass: &serde_json::Value, baseline_ms: u64, want: [u64; 2]) {
    let mut world = World::empty();
    world.connect("w", crate::harness::cpus(1));
    world.ask(create(under_epochs(windlass), Some(cap()))).expect("a campaign");
    let (worker, order) = world.order(Kind::Run);
    assert_eq!(limits(&order), (want[0], 2 * want[0]), "of the baseline");
    assert_eq!(order.env.get("WINDLASS_EPOCHS").map(String::as_str), Some("5"));
    assert_eq!(order.tree, workspace(), "the tree whose cap is set");
    world.end_on(&worker, &order.key, Outcome { duration_ms: baseline_ms, ..good(&order, "0.5") });
    world.propose(crate::harness::lever("a")).expect("a lever");
    let (_, order) = world.order(Kind::Run);
    assert_eq!(limits(&order), (want[1], 2 * want[1]), "of a lever");
    assert_eq!(order.env.get("WINDLASS_EPOCHS").map(String::as_str), Some("5"));
}

#[test]
fn p17_a_safety_limit_stands_behind_the_epoch_gate() {
    let day = 24 * 60 * MIN;
    check(&json!({}), 2 * MIN, [day, 10 * MIN]);
    check(&json!({}), 20 * MIN, [day, 60 * MIN]);
    check(&json!({"epochs": {"safety_limit": "90 min"}}), 2 * MIN, [90 * MIN, 90 * MIN]);
}

#[test]
fn p17_the_cap_is_found_before_a_campaign_is_created_and_stands_in_its_record() {
    let mut world = World::empty();
    let unfound = world.ask(create(under_epochs(&json!({})), None));
    assert!(matches!(unfound, Err(Refusal::Malformed { field: "tree", .. })), "{unfound:?}");
    let needless = world.ask(create(bindings(&json!({})), Some(cap())));
    assert!(matches!(needless, Err(Refusal::Malformed { field: "tree", .. })), "{needless:?}");
    world.ask(create(under_epochs(&json!({})), Some(cap()))).expect("a campaign");
    assert_eq!(world.state().cap, Some(cap()));
    let created = world.records.iter().find(|record| record.body.kind() == "campaign_created");
    assert!(created.expect("recorded").body.blobs().contains(&digest("submitted")), "kept beside it (I16)");
}

#[test]
fn p16_a_time_gate_ends_at_the_budget_and_kills_at_twice_the_budget() {
    let mut world = World::with(&json!({}));
    let (_, order) = world.order(Kind::Run);
    assert_eq!(limits(&order), (12_000, 24_000));
    assert_eq!(order.env.get("WINDLASS_EPOCHS"), None);
}

/// What becomes of a run that passed its budget, its outcome changed so, under this rule.
fn overrun(rule: &serde_json::Value, change: impl FnOnce(&mut Outcome)) -> (String, String) {
    let mut world = World::based(&json!({"overrun": rule, "fix_wait": 0}));
    world.propose(crate::harness::lever("a")).expect("a lever");
    let (worker, order) = world.order(Kind::Run);
    let mut outcome = Outcome { ending: Ending::SoftTimeout, ..good(&order, "0.7") };
    change(&mut outcome);
    world.end_on(&worker, &order.key, outcome);
    let (_, status, reason) = world.decisions().pop().expect("a decision");
    (status.as_str().to_owned(), reason)
}

#[test]
fn p16_with_overrun_measure_a_metric_within_budget_and_grace_counts_marked_soft_timeout() {
    let until = |rule: serde_json::Value| {
        let mut world = World::with(&json!({"overrun": rule}));
        world.order(Kind::Run).1.measure_until_ms
    };
    assert_eq!(until(json!("crash")), None);
    assert_eq!(until(json!("measure")), Some(12_600), "5 % of 12 s");
    assert_eq!(until(json!({"mode": "measure", "grace": "3 s"})), Some(15_000));
    assert_eq!(until(json!({"mode": "measure", "grace": "1 h"})), Some(24_000), "it is killed then");
    let marked = |outcome: &mut Outcome| outcome.flags.push(Flag::SoftTimeout);
    assert_eq!(overrun(&json!("measure"), marked).0, "keep");
    // Its control: ended by its gate, not by itself; and a metric that came too late.
    assert_eq!(overrun(&json!("measure"), |_| {}), ("crash".to_owned(), "soft_timeout".to_owned()));
    let late = |outcome: &mut Outcome| {
        marked(outcome);
        outcome.reading = Some(Reading::None { reason: "it was not printed in time".to_owned() });
    };
    assert_eq!(overrun(&json!("measure"), late).0, "crash");
    assert_eq!(overrun(&json!("crash"), |_| {}).0, "crash");
    let killed = |outcome: &mut Outcome| {
        marked(outcome);
        outcome.ending = Ending::HardTimeout;
    };
    assert_eq!(overrun(&json!("measure"), killed).0, "crash");
}
