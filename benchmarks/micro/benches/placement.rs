//! 10,000 workers with eight GPUs each and 100,000 attempts that wait for one: all of them placed or told what
//! they wait for, and one device that comes free among them.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use serde_json::json;
use std::time::{Duration, Instant};
use windlass_engine::core::{Command, Core, Input, Observation};
use windlass_engine::placement::{Ask, Reservations, Scene, place};
use windlass_engine::session::Fleet;
use windlass_micro::{bindings, gpu_worker, report};
use windlass_shared::attempt::{Ending, Order, Outcome};
use windlass_shared::bindings::Resources;
use windlass_shared::digest::Digest;
use windlass_shared::id::{AttemptId, CampaignId, Incarnation, IterationNumber, WorkerId};
use windlass_shared::record::{Body, Record};
use windlass_shared::time::Time;

const WORKERS: usize = 10_000;
const GPUS: usize = 8;
const QUEUED: usize = 100_000;
/// With fewer than these waiting for a GPU it begins anew.
const WAITING_MIN: usize = 5_000;
const NOW: Time = Time { wall_ms: 1_750_000_000_000, mono_ms: 1 };

fn full_pass(criterion: &mut Criterion) {
    let mut fleet = Fleet::default();
    for number in 0..WORKERS {
        fleet.hear(report(&gpu_worker(number, GPUS), None, 1, Vec::new()), 1);
    }
    let ask = Ask::run(&Resources::default());
    let reservations = Reservations::default();
    let attempt = |number: usize| AttemptId {
        campaign: CampaignId(format!("campaign-{number:06}")),
        iteration: IterationNumber::BASELINE,
        number: 1,
    };
    let attempts: Vec<AttemptId> = (0..QUEUED).map(attempt).collect();
    let mut group = criterion.benchmark_group("placement");
    group.sample_size(10);
    group.bench_function("a full pass: 100,000 attempts on 80,000 GPUs", |bencher| {
        let pass = |mut fleet: Fleet| {
            let (mut placed, mut order) = (0, order());
            for attempt in &attempts {
                let (reservations, is_drained) = (&reservations, &|_: &WorkerId| false);
                let campaign = &attempt.campaign;
                let scene = Scene { fleet: &fleet, is_drained, reservations, campaign, priority: 0 };
                if let Some(place) = place(&ask, &scene) {
                    order.key.id = attempt.clone();
                    order.devices = place.devices;
                    fleet.hold(&place.worker, &order);
                    placed += 1;
                }
            }
            assert_eq!(placed, WORKERS * GPUS);
            fleet
        };
        bencher.iter_batched(|| fleet.clone(), pass, BatchSize::LargeInput);
    });
    group.finish();
}

/// A campaign's baseline as it is ordered; whose, and where, is still to be said.
fn order() -> Order {
    let document = json!({
        "key": {
            "id": {"campaign": "digits-1a2b3c", "iteration": 1, "number": 1},
            "fence": {"incarnation": 7, "n": 1},
        },
        "kind": "run", "tree": Digest::of(b"workspace"), "devices": [], "command": "python3 train.py",
        "soft_limit_ms": 60_000, "hard_limit_ms": 120_000, "metric": null, "editable": ["train.py"], "env": {},
        "scripts": [], "python": "python3", "run": null, "results": null, "history": [], "fix_patterns": [],
    });
    serde_json::from_value(document).expect("an order")
}

/// A core whose every GPU is leased, with 20,000 more attempts waiting.
fn busy_core() -> Core {
    let mut core = Core::new();
    let start = Input::Start { incarnation: Incarnation(7), version: String::new() };
    feed(&mut core, start);
    for number in 0..WORKERS {
        let heard = report(&gpu_worker(number, GPUS), Some(Incarnation(7)), 1, Vec::new());
        core.observe(NOW, Observation::Report(heard));
    }
    let tree = Digest::of(b"workspace");
    for number in 0..QUEUED {
        let id = CampaignId(format!("campaign-{number:06}"));
        let created = Body::CampaignCreated {
            name: id.0.clone(),
            bindings: bindings(),
            tree,
            cap: None,
            git: None,
            owner: None,
        };
        let seq = core.durable().seq + 1;
        let wall_ms = NOW.wall_ms + number as i64;
        core.apply(&Record { seq, wall_ms, campaign: Some(id), request: None, body: created });
    }
    settle(&mut core);
    let leased: usize = core.durable().live.values().map(std::collections::BTreeMap::len).sum();
    assert_eq!(leased, WORKERS * GPUS, "every GPU is leased");
    core
}

fn feed(core: &mut Core, input: Input) -> usize {
    let records = core.decide(NOW, input).expect("it is not refused");
    for record in &records {
        core.apply(record);
    }
    records.len()
}

/// Takes every step that is due; how many records came of them.
fn settle(core: &mut Core) -> usize {
    let mut recorded = 0;
    loop {
        let steps: Vec<CampaignId> = core
            .wants(NOW)
            .into_iter()
            .filter_map(|command| match command {
                Command::Step(campaign) => Some(campaign),
                _ => None,
            })
            .collect();
        if steps.is_empty() {
            return recorded;
        }
        for campaign in steps {
            recorded += feed(core, Input::Step(campaign));
        }
    }
}

/// Attempts end on this worker by their campaigns' order; their iterations fail and stay decided, so that the
/// device goes to one that has waited.
fn end_one(core: &Core) -> Record {
    let (worker, attempt) = core
        .durable()
        .live
        .iter()
        .find_map(|(worker, live)| Some((worker.clone(), live.keys().next()?.clone())))
        .expect("something runs");
    ended(core, &worker, &attempt)
}

fn ended(core: &Core, worker: &WorkerId, attempt: &AttemptId) -> Record {
    let open = core.durable().campaigns[&attempt.campaign].open.values().next().expect("open");
    let live = open.live.as_ref().expect("live");
    let body = Body::AttemptEnded {
        attempt: attempt.clone(),
        fence: live.key.fence,
        attempt_kind: live.kind,
        worker: worker.clone(),
        devices: live.devices.clone(),
        outcome: Box::new(Outcome::bare(Ending::Crashed { code: Some(1), signal: None })),
    };
    let campaign = Some(attempt.campaign.clone());
    Record { seq: core.durable().seq + 1, wall_ms: NOW.wall_ms, campaign, request: None, body }
}

fn one_change(criterion: &mut Criterion) {
    let busy = busy_core();
    let (mut core, mut waiting) = (busy.clone(), QUEUED - WORKERS * GPUS);
    let mut group = criterion.benchmark_group("placement");
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(500));
    group.bench_function("one change: a GPU comes free and thousands wait", |bencher| {
        bencher.iter_custom(|times| {
            let mut spent = Duration::ZERO;
            for _ in 0..times {
                if waiting < WAITING_MIN {
                    (core, waiting) = (busy.clone(), QUEUED - WORKERS * GPUS);
                }
                let record = end_one(&core);
                let began = Instant::now();
                core.apply(&record);
                let recorded = settle(&mut core);
                spent += began.elapsed();
                assert!(recorded > 0, "the end of a run has consequences");
                waiting -= 1;
            }
            spent
        });
    });
    group.finish();
}

criterion_group!(benches, full_pass, one_change);
criterion_main!(benches);
