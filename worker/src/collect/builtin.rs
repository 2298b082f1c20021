//! The deliverables that cost no process: made of what the worker knows of a run.

use super::log::LogReading;
use crate::error::{Error, is_absence};
use crate::spool::AttemptDir;
use crate::telemetry::{self, Summary};
use std::fmt::Write;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use windlass_engine::attempt::ExitRecord;
use windlass_shared::attempt::{Order, Outcome, Reading};
use windlass_shared::plan::Script;

/// Lines of the log's end in `builtin:log`.
const LAST_LINES: usize = 20;

/// Writes the run's table and the outputs of the order's builtins into the results folder. What stood there
/// goes: the run may have written a link, or figures of its own.
pub fn write(
    order: &Order,
    dir: &AttemptDir,
    exit: &ExitRecord,
    outcome: &Outcome,
    log: &LogReading,
    telemetry: &Summary,
) -> Result<(), Error> {
    let builtins = order.scripts.iter().filter_map(|one| {
        let text = match &one.script {
            Script::Named(name) if name == Script::BUILTIN_LOG => log_facts(exit, outcome, log),
            Script::Named(name) if name == Script::BUILTIN_TELEMETRY => {
                format!("{}\n{}", telemetry.line(&seconds(exit.duration_ms)), telemetry.table())
            }
            _ => return None,
        };
        Some((one.output.as_str(), text))
    });
    // The table first: a builtin may be declared with its very name.
    for (name, text) in std::iter::once((telemetry::FILE, telemetry.table())).chain(builtins) {
        let path = dir.results().join(name);
        match place(&dir.results(), &path, &text) {
            // The output is then missing, which is the run's doing.
            Err(error) if is_absence(&error) => {
                tracing::warn!(path = %path.display(), %error, "the run left no place for a builtin's output");
            }
            result => result.map_err(Error::file("write", &path))?,
        }
    }
    Ok(())
}

/// Puts one output below `root`. Nothing is touched through a link: the run may have laid one to a file of others
/// with the very name that its lever gave the output.
fn place(root: &Path, path: &Path, text: &str) -> io::Result<()> {
    let elsewhere = || io::Error::from(rustix::io::Errno::ACCESS);
    let within = path.strip_prefix(root).map_err(|_| elsewhere())?;
    let mut folder = root.to_owned();
    let own = |folder: &Path| match fs::symlink_metadata(folder) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(elsewhere()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir(folder),
        Err(error) => Err(error),
    };
    own(&folder)?;
    for part in within.parent().into_iter().flat_map(Path::components) {
        folder.push(part);
        own(&folder)?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::File::options().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
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
    let lines = if log.lines == 1 { "1 line".to_owned() } else { format!("{} lines", log.lines) };
    writeln!(text, "{} after {seconds} s, {lines} of log, metric {metric}", outcome.ending).expect(TAKES);
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

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

const TAKES: &str = "a string takes everything";

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn an_output_is_never_laid_or_removed_through_a_link() {
        let folder = tempfile::tempdir().expect("a folder");
        let (root, others) = (folder.path().join("results"), folder.path().join("others"));
        fs::create_dir_all(&others).expect("a folder");
        fs::create_dir_all(root.join("own")).expect("a folder");
        fs::write(others.join("precious"), "precious").expect("a file");
        symlink(&others, root.join("x")).expect("a link");
        symlink(others.join("precious"), root.join("own/file")).expect("a link");
        let lay = |name: &str| place(&root, &root.join(name), "text");
        for name in ["x/precious", "x/made/here"] {
            assert!(is_absence(&lay(name).expect_err(name)), "{name} is the run's doing");
        }
        lay("own/file").expect("a link at the very place gives way");
        lay("own/deeper/file").expect("folders are made");
        for name in ["own/file", "own/deeper/file"] {
            assert_eq!(fs::read_to_string(root.join(name)).expect("a file"), "text");
        }
        let left: Vec<_> = fs::read_dir(&others).expect("a folder").flatten().collect();
        assert_eq!(
            (left.len(), fs::read(others.join("precious")).expect("there")),
            (1, b"precious".to_vec())
        );
    }
}
