//! One seed, from the first event to rest.

use crate::coverage::Coverage;
use crate::random::Random;
use crate::world::World;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What one history saw.
#[derive(Debug)]
pub struct Stats {
    /// Events handled.
    pub events: u64,
    /// Events handled before the faults stopped.
    pub storm_events: u64,
    /// Records in the ledger at the end.
    pub records: u64,
    /// Faults beside records.
    pub coverage: Coverage,
}

/// A history that broke an invariant.
#[derive(Debug)]
pub struct Failure {
    /// Whose.
    pub seed: u64,
    /// The invariant and what was seen.
    pub violation: String,
    /// Every event up to there, when asked for.
    pub trace: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {}", self.seed, self.violation)?;
        write!(f, "replay it: cargo run -p windlass-sim -- --seed {} --trace", self.seed)
    }
}

impl std::error::Error for Failure {}

/// Runs one seed; the trace comes with a failure.
///
/// # Errors
/// The first invariant that does not hold, or a panic of the engine.
pub fn run(seed: u64, wants_trace: bool) -> Result<Stats, Box<Failure>> {
    let mut world = World::new(seed, wants_trace);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let events = Random::new(seed ^ 0x0057_1231).range(400, 700);
        world.storm(events)?;
        let storm_events = world.handled;
        world.liveness()?;
        world.replay()?;
        Ok(storm_events)
    }));
    let storm_events = match outcome {
        Ok(Ok(storm_events)) => storm_events,
        Ok(Err(violation)) => return Err(failure(world, violation)),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            let seen = text.unwrap_or_else(|| "something that is no text".to_owned());
            return Err(failure(world, crate::violation::Violation { invariant: "a panic", seen }));
        }
    };
    let records = world.coordinator.ledger.seq();
    Ok(Stats { events: world.handled, storm_events, records, coverage: world.coverage })
}

fn failure(world: World, violation: crate::violation::Violation) -> Box<Failure> {
    let moment = format!("event {} at {} ms", world.handled, world.now_ms);
    let violation = format!("{violation} ({moment})");
    Box::new(Failure { seed: world.seed, violation, trace: world.trace.unwrap_or_default() })
}
