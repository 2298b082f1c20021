//! The seeds that every test run goes through, and what they must have met.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use windlass_shared::record::Body;
use windlass_sim::{Coverage, Failure, INFEASIBLE, SIGHTS, Stats, run};

/// Seeds of a whole run; `WINDLASS_SIM_SEEDS` asks for fewer, or for more.
const SEEDS: u64 = 5_000;
/// Events that every history has before its faults stop.
const EVENTS_MIN: u64 = 300;
/// Histories run side by side.
const THREADS: u64 = 2;

fn seeds() -> u64 {
    let asked = std::env::var("WINDLASS_SIM_SEEDS").ok();
    asked.map_or(SEEDS, |text| text.parse().expect("WINDLASS_SIM_SEEDS is a number"))
}

/// I1 to I6, I12 to I15, replay and wants hold in every history; every fault meets every kind of record.
#[test]
fn every_invariant_holds_in_every_history() {
    let (seeds, start) = (seeds(), Instant::now());
    let next = AtomicU64::new(0);
    let worker = || -> Result<(Coverage, u64), Box<Failure>> {
        let (mut coverage, mut events) = (Coverage::default(), 0);
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return Ok((coverage, events));
            }
            let stats: Stats = run(seed, false).inspect_err(|_| next.store(seeds, Ordering::Relaxed))?;
            assert!(stats.storm_events >= EVENTS_MIN, "seed {seed} had {} events", stats.storm_events);
            coverage.merge(&stats.coverage);
            events += stats.events;
        }
    };
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(worker)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a history's thread")).collect()
    });
    let (mut coverage, mut events) = (Coverage::default(), 0);
    for result in results {
        match result {
            Ok((one, count)) => {
                coverage.merge(&one);
                events += count;
            }
            Err(failure) => panic!("{failure}"),
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    eprintln!("{seeds} histories, {events} events, {seconds:.1} s");
    for kind in Body::KINDS {
        eprintln!("{kind:22} {}", coverage.records(kind));
    }
    for sight in SIGHTS {
        eprintln!("{sight}: {}", coverage.sights(sight));
        // The rarest are met once in some thousand histories.
        assert!(seeds < SEEDS || coverage.sights(sight) > 0, "never seen: {sight}");
    }
    if seeds >= SEEDS {
        for times in [3, 6] {
            eprintln!("met fewer than {times} times: {:?}", coverage.rarer_than(times));
        }
        assert_eq!(coverage.rarer_than(1), Vec::new(), "faults that never met a kind of record");
        for (fault, kind, reason) in INFEASIBLE {
            assert_eq!(coverage.count(fault, kind), 0, "{fault:?} × {kind} met after all: {reason}");
        }
    }
}

/// One seed is one history.
#[test]
fn a_seed_replays_to_the_same_history() {
    for seed in [1, 77] {
        let history = || run(seed, true).map(|stats| (stats.events, stats.records));
        assert_eq!(history().expect("it holds"), history().expect("it holds"));
    }
}

/// The command that a failure names runs.
#[test]
fn the_replay_command_runs_one_seed() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_windlass-sim"))
        .args(["--seed", "1", "--trace"])
        .output()
        .expect("the simulator's program");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("seed 1: "), "{said}");
}
