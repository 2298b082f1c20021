//! Replicates and the noise floor (P27).

use crate::harness::{World, crash, good, infra, lever};
use serde_json::{Value, json};
use windlass_shared::attempt::Kind;
use windlass_shared::conclusion::Status;
use windlass_shared::decimal::Decimal;
use windlass_shared::record::{Arithmetic, Body};
use windlass_shared::refusal::Refusal;

fn noise(baseline: u32, confirm: u32) -> Value {
    json!({"noise": {"baseline_replicates": baseline, "confirm_replicates": confirm, "sigmas": 2}})
}

/// Ends the next run, which must have this seed.
fn run(world: &mut World, seed: u64, metric: &str) {
    let (worker, order) = world.order(Kind::Run);
    assert_eq!(order.seed, Some(seed), "the same seeds in every iteration");
    let outcome = good(&order, metric);
    world.end_on(&worker, &order.key, outcome);
}

fn arithmetic(world: &World) -> Arithmetic {
    let decided = world.bodies().filter_map(|body| match body {
        Body::IterationDecided { arithmetic, .. } => Some(arithmetic.clone()),
        _ => None,
    });
    decided.last().expect("decided")
}

/// A baseline of 0.49, 0.50 and 0.51: the floor is 0.01, and the threshold 0.02.
fn based(confirm: u32) -> World {
    let mut world = World::with(&noise(3, confirm));
    for (seed, metric) in [(0, "0.49"), (1, "0.50"), (2, "0.51")] {
        assert_eq!(world.decisions().len(), 0);
        run(&mut world, seed, metric);
    }
    world
}

#[test]
fn p27_the_baseline_is_the_mean_of_its_replicates_and_its_scatter_the_floor() {
    let world = based(2);
    let sum = arithmetic(&world);
    assert_eq!(sum.metric.as_ref().map(Decimal::text), Some("0.5"));
    assert_eq!(
        sum.sentence,
        "0.5 is the baseline: keep; the mean of 0.49 and 0.50 and 0.51; the noise floor is 0.01"
    );
    assert_eq!(world.state().floor.as_ref().map(Decimal::text), Some("0.01"));
    let view = world.core.campaign_view(world.now, &world.id()).expect("known");
    assert_eq!(view.floor.as_ref().map(Decimal::text), Some("0.01"));
    // Where nobody asked for noise nothing has a seed, and no floor is known.
    let mut world = World::with(&json!({}));
    let (worker, order) = world.order(Kind::Run);
    assert_eq!(order.seed, None);
    let outcome = good(&order, "0.5");
    world.end_on(&worker, &order.key, outcome);
    assert_eq!((arithmetic(&world).noise, world.state().floor.clone()), (None, None));
}

#[test]
fn p27_a_gain_below_the_threshold_is_confirmed_before_it_is_kept() {
    // The metrics by seed, the decision, and whether a kept gain stands above the threshold.
    let check = |metrics: &[&str], want: (Status, &str), is_above: Option<bool>| {
        let mut world = based(3);
        world.propose(lever("a")).expect("queued");
        for (seed, metric) in (0..).zip(metrics) {
            assert_eq!(world.decisions().len(), 1, "{metrics:?}: decided before run {seed}");
            run(&mut world, seed, metric);
        }
        let (_, status, reason) = world.last_decision();
        assert_eq!((status, reason.as_str()), want, "{metrics:?}");
        let noise = arithmetic(&world).noise.expect("replicates are asked for");
        assert_eq!((noise.replicates.len(), noise.is_above), (metrics.len(), is_above), "{metrics:?}");
    };
    check(&["0.52"], (Status::Keep, "better"), Some(true));
    check(&["0.50"], (Status::Discard, "equal"), None);
    check(&["0.4"], (Status::Discard, "worse"), None);
    check(&["0.51", "0.52", "0.50"], (Status::Keep, "better"), Some(false));
    check(&["0.51", "0.56", "0.55"], (Status::Keep, "better"), Some(true));
    check(&["0.51", "0.49", "0.50"], (Status::Discard, "not confirmed"), None);
    check(&["0.51", "0.40", "0.41"], (Status::Discard, "not confirmed"), None);
}

#[test]
fn p27_without_a_floor_or_more_replicates_there_is_nothing_to_confirm() {
    let mut world = World::with(&noise(1, 5));
    run(&mut world, 0, "0.5");
    world.propose(lever("a")).expect("queued");
    run(&mut world, 0, "0.500001");
    assert_eq!(world.last_decision().1, Status::Keep, "one baseline run has no scatter");
    let mut world = based(1);
    world.propose(lever("a")).expect("queued");
    run(&mut world, 0, "0.501");
    assert_eq!(world.last_decision().1, Status::Keep);
    assert_eq!(
        arithmetic(&world).noise.expect("asked for").is_above,
        Some(false),
        "kept, and said to be below"
    );
}

#[test]
fn p20_p27_machines_cost_no_seed_and_a_crash_under_one_seed_is_a_crash() {
    let mut world = based(3);
    world.propose(lever("a")).expect("queued");
    run(&mut world, 0, "0.51");
    world.run_ends(infra());
    world.pass_heard(1_000);
    run(&mut world, 1, "0.52");
    world.run_ends(crash());
    assert_eq!(world.last_decision().1, Status::Crash);
}

#[test]
fn p27_a_restart_between_replicates_goes_on_with_the_next_seed() {
    let mut world = World::with(&noise(2, 1));
    run(&mut world, 0, "0.5");
    world.said.clear();
    world.restart();
    world.all_report();
    world.said.clear();
    assert_eq!(world.open().replicates.len(), 1);
    let order = world.state().live().next().expect("leased").order.clone();
    assert_eq!(order.seed, Some(1));
}

#[test]
fn p27_figures_that_cannot_be_are_refused() {
    let check = |noise: Value| {
        let refusal = World::empty().submit("digits", &json!({"noise": noise})).expect_err("refused");
        assert!(matches!(refusal, Refusal::Binding { .. }), "{noise}: {refusal}");
    };
    check(json!({"baseline_replicates": 0}));
    check(json!({"confirm_replicates": 33}));
    check(json!({"sigmas": -1}));
}
