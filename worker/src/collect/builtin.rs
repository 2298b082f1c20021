//! The deliverables that cost no process: made of what the worker knows of a run.

use super::log::LogReading;
use crate::error::Error;
use crate::spool::AttemptDir;
use std::fmt::Write;
use std::fs;
use std::io::{self, Write as _};
use windlass_engine::attempt::ExitRecord;
use windlass_shared::attempt::{Order, Outcome, Reading};
use windlass_shared::plan::Script;

/// Lines of the log's end in `builtin:log`.
const LAST_LINES: usize = 20;

/// Writes the outputs of the order's builtins into the results folder. What stood there goes: the run may
/// have written a link.
pub fn write(
    order: &Order,
    dir: &AttemptDir,
    exit: &ExitRecord,
    outcome: &Outcome,
    log: &LogReading,
) -> Result<(), Error> {
    for one in &order.scripts {
        let text = match &one.script {
            Script::Named(name) if name == Script::BUILTIN_LOG => log_facts(exit, outcome, log),
            Script::Named(name) if name == Script::BUILTIN_TELEMETRY => telemetry(exit, outcome),
            _ => continue,
        };
        let path = dir.results().join(one.output.as_str());
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                // A folder stands there, or a file where a folder should: the output is then missing.
                tracing::warn!(path = %path.display(), %error, "the run left no place for a builtin's output");
                continue;
            }
            _ => {}
        }
        let folder = path.parent().unwrap_or(&path);
        let inside = fs::create_dir_all(folder).and_then(|()| folder.canonicalize());
        let inside = inside.map_err(Error::file("create", folder))?;
        let root = dir.results().canonicalize().map_err(Error::file("find", &dir.results()))?;
        if !inside.starts_with(root) {
            tracing::warn!(path = %path.display(), "the run led a builtin's output out of its results");
            continue;
        }
        let file = fs::File::options().write(true).create_new(true).open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(Error::file("write", &path))?;
    }
    Ok(())
}

/// The first line is what a conclusion quotes.
fn log_facts(exit: &ExitRecord, outcome: &Outcome, log: &LogReading) -> String {
    let mut text = String::new();
    let metric = match &outcome.reading {
        Some(Reading::Metric { value, line }) => format!("{value} (line {line})"),
        Some(Reading::None { reason }) => format!("none: {reason}"),
        None => "none asked for".to_owned(),
    };
    let seconds = seconds(exit.duration_ms);
    writeln!(text, "{} after {seconds} s, {} lines of log, metric {metric}", outcome.ending, log.lines)
        .expect(TAKES);
    for (name, value) in [
        ("ending", outcome.ending.as_str().to_owned()),
        ("seconds", seconds.clone()),
        ("log_lines", log.lines.to_string()),
        ("log_bytes", log.bytes.to_string()),
        ("log_cut_bytes", exit.log_cut_bytes.to_string()),
        ("metric", metric),
    ] {
        writeln!(text, "{name}\t{value}").expect(TAKES);
    }
    text.push_str("last lines:\n");
    let lines: Vec<&str> = log.end.lines().collect();
    for line in &lines[lines.len().saturating_sub(LAST_LINES)..] {
        let line: String = line.chars().filter(|c| !c.is_control() || *c == '\t').take(500).collect();
        writeln!(text, "{line}").expect(TAKES);
    }
    text
}

fn telemetry(exit: &ExitRecord, outcome: &Outcome) -> String {
    let seconds = seconds(exit.duration_ms);
    format!(
        "{seconds} s on the worker\nname\tvalue\nseconds\t{seconds}\nstarted_unix_ms\t{}\nending\t{}\n",
        exit.started_wall_ms,
        outcome.ending.as_str()
    )
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

const TAKES: &str = "a string takes everything";
