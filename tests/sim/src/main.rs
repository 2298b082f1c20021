//! Replays one seed: `cargo run -p windlass-sim -- --seed N --trace`.

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let (mut seed, mut wants_trace) = (0, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seed" => match arguments.next().and_then(|text| text.parse().ok()) {
                Some(number) => seed = number,
                None => return usage(),
            },
            "--trace" => wants_trace = true,
            _ => return usage(),
        }
    }
    match windlass_sim::run(seed, wants_trace) {
        Ok(stats) => {
            say(&format!(
                "seed {seed}: {} events, {} records, all invariants hold",
                stats.events, stats.records
            ));
            ExitCode::SUCCESS
        }
        Err(failure) => {
            for line in &failure.trace {
                say(line);
            }
            say(&failure.to_string());
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    say("usage: windlass-sim --seed N [--trace]");
    ExitCode::from(2)
}

/// A closed pipe ends the talk, not the program.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
