//! What stays in memory of what is over: small rows, a bounded number of whole levers, and one page at a time.

use crate::harness::{World, lever};
use serde_json::json;
use windlass_engine::campaign::{Past, RECENT_MAX, RETRIABLE_MAX};
use windlass_engine::core::{Ask, Durable, Listed};
use windlass_shared::bindings::Bindings;
use windlass_shared::conclusion::Status;
use windlass_shared::digest::Digest;
use windlass_shared::id::{CampaignId, IterationNumber, LeverNumber};
use windlass_shared::record::{Answer, Body, Record, RetireReason};
use windlass_shared::refusal::Refusal;
use windlass_shared::view::LeverState;

fn retire(world: &mut World, lever: LeverNumber) -> Result<Answer, Refusal> {
    let campaign = world.id();
    world.ask(Ask::Retire { campaign, lever })
}

/// A world whose baseline still runs, so that levers stay in line.
fn queued(count: usize) -> (World, Vec<LeverNumber>) {
    let mut world = World::with(&json!({}));
    let levers =
        (0..count).map(|name| world.propose(lever(&format!("lever {name}"))).expect("queued")).collect();
    (world, levers)
}

fn done(mut world: World) {
    world.said.clear();
}

#[test]
fn a_decided_lever_is_a_row_and_its_iteration_is_shown_while_it_is_recent() {
    let (mut world, levers) = queued(RECENT_MAX + 2);
    world.finish("0.5");
    for _ in &levers {
        world.finish("0.4");
    }
    let state = world.state();
    assert!(state.levers.is_empty(), "no document stays: {:?}", state.levers);
    assert_eq!((state.past_levers.len(), state.decided.len()), (levers.len(), levers.len() + 1));
    assert_eq!((state.recent.len(), state.queued_diffs.len()), (RECENT_MAX, 0));
    let decided = Past::Decided { iteration: IterationNumber(2), status: Status::Discard };
    assert_eq!(world.core.lever(&world.id(), levers[0]), Ok(Listed::Past(levers[0], decided)));
    // What later decisions rest on is there: evidence, the best, and what was tried (P6, P10, P31).
    assert!(state.evidence_of(IterationNumber(2)).is_some_and(|evidence| evidence.log.is_some()));
    assert_eq!(
        (state.reason_of(IterationNumber(2)), state.reason_of(IterationNumber(12))),
        (None, Some("worse"))
    );
    let view = world.core.campaign_view(world.now, &world.id()).expect("known");
    assert_eq!(view.best.map(|best| (best.iteration.0, best.title)), Some((1, "baseline".to_owned())));
    assert_eq!(world.propose(lever("lever 0")), Err(Refusal::Duplicate { iteration: 2 }));
    assert!(matches!(retire(&mut world, levers[0]), Err(Refusal::State { .. })), "decided");
}

#[test]
fn levers_that_may_be_put_back_are_kept_whole_up_to_a_bound() {
    let (mut world, levers) = queued(RETRIABLE_MAX + 2);
    for lever in &levers {
        retire(&mut world, *lever).expect("taken back");
    }
    let state = world.state();
    assert_eq!((state.levers.len(), state.retriable.len()), (RETRIABLE_MAX, RETRIABLE_MAX));
    for (lever, whole) in [(levers[0], false), (levers[1], false), (levers[2], true)] {
        assert_eq!(world.state().levers.contains_key(&lever), whole, "{lever}");
        assert_eq!(retire(&mut world, lever), Ok(Answer::Done), "{lever}: again is nothing");
    }
    let last = *levers.last().expect("some");
    assert_eq!(world.lever_state(last), LeverState::Retired { reason: RetireReason::Owner });
    let put_back = world.core.retry_wanted(&world.id(), levers[0]);
    assert!(matches!(put_back, Err(Refusal::Settled { .. })), "{put_back:?}");
    world.core.retry_wanted(&world.id(), last).expect("it may be put back");
    assert_eq!(world.propose(lever("again")).expect("queued").0, last.0 + 1, "no number is used twice");
    done(world);
}

#[test]
fn a_listing_is_the_same_however_it_is_cut_into_pages() {
    let (mut world, levers) = queued(12);
    world.finish("0.5");
    world.finish("0.6");
    world.finish("0.4");
    for index in [3, 7, 5] {
        retire(&mut world, levers[index]).expect("taken back");
    }
    let whole = world.core.levers(&world.id(), 0, 100).expect("known");
    let numbers: Vec<u32> = whole.iter().map(|listed| listed.number().0).collect();
    assert_eq!(numbers, [5, 7, 9, 10, 11, 12, 8, 6, 4, 3, 2, 1], "the queue, then the rest, newest first");
    for size in 1..=13 {
        let mut paged = Vec::new();
        loop {
            let page = world.core.levers(&world.id(), paged.len(), size).expect("known");
            assert!(page.len() <= size);
            let is_last = page.len() < size;
            paged.extend(page);
            if is_last {
                break;
            }
        }
        assert_eq!(paged, whole, "pages of {size}");
    }
    done(world);
}

#[test]
fn every_setting_of_a_campaign_outlives_a_snapshot() {
    let bindings: Bindings = serde_json::from_value(json!({
        "metric": "val_acc", "metric_direction": "maximize", "entrypoint": "python3 train.py",
        "editable_files": ["train.py"], "gate": "time", "budget": 0.2,
        "windlass": {
            "overrun": {"mode": "measure", "grace": "30 s"}, "conclusion": {"mode": "required", "wait": "2 h"},
            "epochs": {"file": "train.py", "safety_limit": "1 h"}, "noise": {"sigmas": "2.5"},
            "score": {"run": "python3 score.py", "artifact": "preds.csv"}, "move_scheduler": {},
            "metric_range": ["0", "1"], "sandbox": "sealed", "env": {"SEED": "1"},
            "limits": {"log_bytes": 1000, "pids": 64},
            "data": [{"path": "/data", "fingerprint": "00"}], "caches": [{"name": "c", "writable": true}],
            "setup": {"run": "pip install -r r.txt", "inputs": ["r.txt"]}, "artifacts": ["*.pt"],
            "secrets": ["TOKEN"], "architecture": "mlp", "comparable": "any", "stop": {"iterations": 9},
            "always": [{
                "script": "builtin:log", "output": "l.tsv", "dimension": "d", "question": "q",
                "if_helped": "h", "if_not": "n",
            }],
        },
    }))
    .expect("bindings");
    let mut state = Durable::default();
    state.apply(&Record {
        seq: 1,
        wall_ms: 5,
        campaign: Some(CampaignId("digits-0a1b2c".to_owned())),
        request: None,
        body: Body::CampaignCreated {
            name: "digits".to_owned(),
            bindings: Box::new(bindings),
            tree: Digest::of(b"workspace"),
            cap: None,
            git: None,
            owner: None,
        },
    });
    let mut bytes = Vec::new();
    state.write_to(&mut bytes).expect("a state is representable");
    let read = Durable::read_from(bytes.as_slice()).expect("a state reads back");
    // Debug names every field, also one that is left out of what is written.
    assert_eq!(format!("{read:?}"), format!("{state:?}"));
}
