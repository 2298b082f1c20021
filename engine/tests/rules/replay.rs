//! Recorded campaigns of both directions, generated with crashes, ties, simplifications, gains that are not
//! worth their lines, and levers that go stale: what is decided is what was recorded, row by row (P25, P26).

use crate::harness::{World, bindings, cpus, crash, diff_of, digest, lever, workspace};
use serde_json::json;
use windlass_engine::core::Ask;
use windlass_engine::gate::facts::{Look, Merged};
use windlass_shared::bindings::Direction;
use windlass_shared::conclusion::Status;
use windlass_shared::id::LeverNumber;
use windlass_shared::record::{Body, RetireReason};

/// What a row of the recorded ledger is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Better,
    /// Better, and a lever behind it whose evidence the new best contradicts.
    BetterWithStaleBehind,
    Worse,
    Equal,
    EqualWithFewerLines,
    LittleForManyLines,
    Crash,
}

const EVENTS: [Event; 7] = [
    Event::Better,
    Event::BetterWithStaleBehind,
    Event::Worse,
    Event::Equal,
    Event::EqualWithFewerLines,
    Event::LittleForManyLines,
    Event::Crash,
];

/// A row: how it came about, and what the ledger says.
#[derive(Clone, Debug)]
struct Row {
    event: Event,
    metric: Option<String>,
    net_lines: i64,
    status: Status,
    reason: &'static str,
}

/// A generator of numbers that is the same everywhere.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// A recorded ledger of this many levers; metrics in ten-thousandths around 0.5, digits as a run prints them.
fn recorded(direction: Direction, seed: u64, levers: usize) -> Vec<Row> {
    let mut draw = Draw(seed);
    let sign = if direction == Direction::Maximize { 1 } else { -1 };
    let mut record: i64 = if direction == Direction::Maximize { 1_000 } else { 90_000 };
    let text = |value: i64, draw: &mut Draw| {
        let zeros = "0".repeat(draw.below(3) as usize);
        format!("{}.{:04}{zeros}", value / 10_000, value % 10_000)
    };
    let baseline = text(record, &mut draw);
    let mut rows = vec![Row {
        event: Event::Better,
        metric: Some(baseline),
        net_lines: 0,
        status: Status::Keep,
        reason: "baseline",
    }];
    for _ in 0..levers {
        let event = EVENTS[draw.below(EVENTS.len() as u64) as usize];
        let (change, net_lines, status, reason) = match event {
            Event::Better | Event::BetterWithStaleBehind => {
                (11 + draw.below(40) as i64, draw.below(60) as i64 - 20, Status::Keep, "better")
            }
            Event::Worse => (-1 - draw.below(500) as i64, draw.below(9) as i64 - 4, Status::Discard, "worse"),
            Event::Equal => (0, draw.below(5) as i64, Status::Discard, "equal"),
            Event::EqualWithFewerLines => (0, -1 - draw.below(5) as i64, Status::Keep, "simpler"),
            // The baseline is outside 0.1 to 10 in neither direction: a gain of 0.001 at most.
            Event::LittleForManyLines => {
                (1 + draw.below(10) as i64, 20 + draw.below(9) as i64, Status::Discard, "not worth its lines")
            }
            Event::Crash => (0, 1, Status::Crash, ""),
        };
        let value = record + sign * change;
        let metric = (event != Event::Crash).then(|| text(value, &mut draw));
        if status == Status::Keep {
            record = value;
        }
        rows.push(Row { event, metric, net_lines, status, reason });
    }
    rows
}

fn replay(direction: Direction, seed: u64, levers: usize) {
    let rows = recorded(direction, seed, levers);
    let mut world = World::empty();
    world.connect("w", cpus(1));
    let mut bindings = bindings(&json!({"fix_wait": "0", "analysis": {"wait": "0"}}));
    bindings.metric_direction = direction;
    let create = Ask::Create {
        name: "replay".to_owned(),
        bindings: Box::new(bindings),
        tree: workspace(),
        cap: None,
        git: None,
        owner: None,
    };
    world.ask(create).expect("a campaign");
    world.finish(rows[0].metric.as_deref().expect("a baseline has a metric"));
    let (mut number, mut stale) = (0, Vec::new());
    for (index, row) in rows.iter().enumerate().skip(1) {
        number += 1;
        let tree = digest(&format!("tree {number}"));
        let merged = Merged::Clean { tree, net_lines: row.net_lines, diff: diff_of(tree) };
        world.merges.insert(LeverNumber(number), merged);
        let queued = world.propose(lever(&format!("row-{}", index + 1))).expect("queued");
        assert_eq!(queued, LeverNumber(number));
        if row.event == Event::BetterWithStaleBehind {
            number += 1;
            let says = Look::Contradicted { line: 3, value: "0".to_owned() };
            world.looks.insert(LeverNumber(number), says);
            stale.push(world.propose(lever(&format!("stale-{}", index + 1))).expect("queued"));
        }
        match &row.metric {
            Some(metric) => _ = world.finish(metric),
            None => _ = world.run_ends(crash()),
        }
    }
    let decided: Vec<_> = world
        .bodies()
        .filter_map(|body| match body {
            Body::IterationDecided { iteration, status, reason, arithmetic, description, .. } => {
                Some((iteration.0, *status, reason.clone(), arithmetic.metric.clone(), description.clone()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(decided.len(), rows.len(), "seed {seed}");
    for (index, (row, (iteration, status, reason, metric, description))) in
        rows.iter().zip(&decided).enumerate()
    {
        let place = format!("{direction:?}, seed {seed}, row {}: {row:?}", index + 1);
        assert_eq!((*iteration as usize, *status), (index + 1, row.status), "{place}");
        assert_eq!(metric.as_ref().map(|metric| metric.text().to_owned()), row.metric, "{place}");
        let title = if index == 0 { "baseline".to_owned() } else { format!("row-{}", index + 1) };
        assert_eq!(description, &title, "{place}");
        assert!(row.status == Status::Crash || reason == row.reason, "{place}: {reason}");
    }
    let retired: Vec<LeverNumber> = world
        .bodies()
        .filter_map(|body| match body {
            Body::LeverRetired { lever, reason: RetireReason::Stale { rule, .. } } if rule == "P7" => {
                Some(*lever)
            }
            _ => None,
        })
        .collect();
    assert_eq!(retired, stale, "{direction:?}, seed {seed}: stale levers have no row");
    let kinds = rows.iter().map(|row| row.event as usize).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(kinds.len(), EVENTS.len(), "every sort of row was there");
}

#[test]
fn p7_p25_p26_long_recorded_campaigns_that_maximise_are_decided_as_they_were() {
    for seed in 1..=3 {
        replay(Direction::Maximize, seed, 120);
    }
}

#[test]
fn p7_p25_p26_long_recorded_campaigns_that_minimise_are_decided_as_they_were() {
    for seed in 1..=3 {
        replay(Direction::Minimize, seed, 120);
    }
}
