//! The independent scorer: a run makes an artifact, the scorer's metric counts.

use crate::harness::{World, crash, good, infra, lever, scripted};
use serde_json::{Value, json};
use windlass_shared::attempt::{Kind, Outcome, Reading};
use windlass_shared::conclusion::Status;
use windlass_shared::decimal::Decimal;
use windlass_shared::record::Body;
use windlass_shared::refusal::Refusal;

fn scored() -> Value {
    json!({"score": {"run": "python3 score.py", "artifact": "preds.csv"}})
}

/// A baseline at 0.5 and a lever whose run is ordered.
fn based() -> World {
    let mut world = World::with(&scored());
    world.finish("0.9");
    world.end(Kind::Score, |order| good(order, "0.5"));
    world.propose(lever("a")).expect("queued");
    world
}

fn metric(world: &World) -> Option<String> {
    let decided = world.bodies().filter_map(|body| match body {
        Body::IterationDecided { arithmetic, .. } => Some(arithmetic.metric.clone()),
        _ => None,
    });
    decided.last().expect("decided").map(|metric| metric.text().to_owned())
}

#[test]
fn the_scorers_metric_counts_and_what_the_run_printed_is_only_noted() {
    let mut world = based();
    assert_eq!(metric(&world).as_deref(), Some("0.5"));
    let (worker, run) = world.order(Kind::Run);
    assert_eq!(run.score_artifact.as_ref().map(|path| path.as_str()), Some("preds.csv"));
    let outcome = good(&run, "99");
    world.end_on(&worker, &run.key, outcome.clone());
    let (worker, score) = world.order(Kind::Score);
    // The tree that was submitted, the artifact of this very run, a command of its own.
    assert_eq!((score.tree, score.command.as_str()), (world.state().tree, "python3 score.py"));
    assert_eq!((score.run_artifacts, score.run.clone()), (outcome.score_artifact, Some(run.key)));
    assert!(score.scripts.is_empty() && score.history.is_empty() && score.artifacts.is_empty());
    let outcome = good(&score, "0.4");
    world.end_on(&worker, &score.key, outcome);
    assert_eq!((metric(&world).as_deref(), world.last_decision().1), (Some("0.4"), Status::Discard));
    let noted = world.bodies().filter_map(|body| match body {
        Body::ConclusionWritten { conclusion, .. } => Some(conclusion.bullets.join("\n")),
        _ => None,
    });
    assert!(noted.last().expect("concluded").contains("the run itself printed 99, which is only noted"));
    // The summary begins with what the scorer said, whatever the deliverables quote.
    let summary = world.bodies().filter_map(|body| match body {
        Body::IterationDecided { summary, .. } => Some(summary.clone()),
        _ => None,
    });
    let summary = summary.last().expect("decided");
    assert!(summary.starts_with("0.4 < 0.5"), "{summary}");
}

#[test]
fn p19_p20_what_cannot_be_scored_is_a_crash_and_what_a_machine_failed_is_scored_again() {
    // The run ends so; the scorer too, where it is reached.
    let check = |run: fn(&mut Outcome), score: Option<Outcome>, want: &str| {
        let mut world = based();
        world.end(Kind::Run, |order| {
            let mut outcome = good(order, "0.9");
            run(&mut outcome);
            outcome
        });
        if let Some(score) = score {
            world.end(Kind::Score, |_| score);
        }
        let (_, status, reason) = world.last_decision();
        assert_eq!((status, reason.as_str()), (Status::Crash, want));
        assert_eq!(metric(&world), None);
    };
    check(|run| run.score_artifact = None, None, "artifact missing: the run left no file preds.csv");
    check(|run| *run = crash(), None, "crashed with exit code 1");
    check(|_| {}, Some(crash()), "scorer: crashed with exit code 1");
    let silent = Outcome {
        reading: Some(Reading::None { reason: "no such line".to_owned() }),
        ..Outcome::bare(windlass_shared::attempt::Ending::Finished)
    };
    check(|_| {}, Some(silent), "scorer: no metric: no such line");
    // A machine that fails under the scorer costs no run.
    let mut world = based();
    world.finish("0.9");
    world.end(Kind::Score, |_| infra());
    world.pass_heard(1_000);
    world.end(Kind::Score, |order| good(order, "0.6"));
    assert_eq!((metric(&world).as_deref(), world.last_decision().1), (Some("0.6"), Status::Keep));
}

#[test]
fn p21_p27_every_replicate_is_scored_before_the_analysis() {
    let mut windlass = scored();
    windlass["noise"] = json!({"baseline_replicates": 2, "confirm_replicates": 1, "sigmas": 2});
    windlass["baseline"] = json!([scripted("errors")]);
    let mut world = World::with(&windlass);
    for (seed, metric) in [(0, "0.5"), (1, "0.6")] {
        let (worker, run) = world.order(Kind::Run);
        assert_eq!(run.seed, Some(seed));
        let outcome = good(&run, "99");
        world.end_on(&worker, &run.key, outcome);
        world.end(Kind::Score, |order| good(order, metric));
    }
    world.end(Kind::Analysis, |order| good(order, "0"));
    assert_eq!(metric(&world).as_deref(), Some("0.55"));
    assert_eq!(world.state().record.as_ref().map(Decimal::text), Some("0.55"));
}

#[test]
fn a_scorer_without_a_command_is_refused() {
    let windlass = json!({"score": {"run": " ", "artifact": "preds.csv"}});
    let refusal = World::empty().submit("digits", &windlass).expect_err("refused");
    assert!(matches!(refusal, Refusal::Binding { key: "windlass.score.run", .. }), "{refusal}");
}
