//! `windlass init`: a project's bindings, inferred, shown with what they rest on, asked about, written.

use crate::args::Dry;
use crate::campaign_file::NAME;
use crate::error::Error;
use crate::infer::{Guess, Inferred, Limit, Metric, Problem, Project, Side, Stated, guess, usual_direction};
use crate::layout;
use crate::render::text::neutral;
use crate::session::Session;
use crate::{workspace, yaml};
use clap::ValueEnum;
use serde::Serialize;
use std::io::{BufRead, IsTerminal, Read};
use std::path::{Path, PathBuf};
use windlass_shared::bindings::{Bindings, Direction};

/// Which project, and what is known of it already.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The project's folder
    #[arg(value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// Take what is inferred without asking
    #[arg(long)]
    pub yes: bool,
    /// Write over a loop.run.yaml that is there
    #[arg(long)]
    pub force: bool,
    /// The metric's name as the log prints it
    #[arg(long, value_name = "NAME")]
    pub metric: Option<String>,
    /// Which way is better
    #[arg(long, value_name = "WAY")]
    pub direction: Option<Way>,
    /// The command of one experiment
    #[arg(long, value_name = "CMD")]
    pub entrypoint: Option<String>,
    /// A file or pattern that levers may touch; may be given several times
    #[arg(long, value_name = "GLOB")]
    pub editable: Vec<String>,
    /// Minutes that a run may take
    #[arg(long, value_name = "MINUTES")]
    pub budget: Option<String>,
    #[command(flatten)]
    pub dry: Dry,
}

/// See [`Direction`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// Smaller is better.
    Minimize,
    /// Larger is better.
    Maximize,
}

impl From<Way> for Direction {
    fn from(way: Way) -> Self {
        match way {
            Way::Minimize => Self::Minimize,
            Way::Maximize => Self::Maximize,
        }
    }
}

/// What was found and taken: `windlass.bindings/1`.
#[derive(Debug, Serialize)]
struct Written {
    file: String,
    written: bool,
    choices: Vec<Choice>,
    text: String,
}

/// One binding.
#[derive(Debug, Serialize)]
struct Choice {
    key: &'static str,
    value: String,
    reason: String,
    others: Vec<String>,
}

/// What will stand in the file.
#[derive(Debug)]
struct Taken {
    metric: Guess<String>,
    direction: Guess<String>,
    entrypoint: Guess<String>,
    editable: Vec<Guess<String>>,
    gate: &'static str,
    budget: Guess<String>,
    /// Where the epoch cap stands, if `submit` does not find it by itself.
    epochs: Option<Guess<Stated>>,
    repeats: bool,
}

/// Minutes of a run where the project says nothing: long enough for most first runs, short enough to wait.
const BUDGET_MINUTES: &str = "10";

/// Infers, asks, writes.
pub fn run(args: &Args, session: &Session) -> Result<(), Error> {
    let session = &session.asking(args.dry);
    let path = args.dir.join(NAME);
    if path.symlink_metadata().is_ok() && !args.force {
        return Err(Error::Exists { path });
    }
    let project = Project::read(&args.dir)?;
    let inferred = Inferred::of(&project);
    let asks = !args.yes && !session.is_dry && !session.is_json() && std::io::stdin().is_terminal();
    let mut voice = Voice { asks, session, dir: &args.dir };
    let taken = take(args, &inferred, &mut voice)?;
    let text = compose(&taken, &inferred);
    check(args, session, &path, &text)?;
    let choices = choices(&taken, &inferred);
    let is_written = (args.yes || asks) && !session.is_dry;
    if is_written {
        layout::write_file(&path, text.as_bytes())?;
    }
    if session.is_json() {
        let file = path.display().to_string();
        session.json("windlass.bindings/1", &Written { file, written: is_written, choices, text })?;
    } else {
        session.print(&text)?;
    }
    if session.is_dry {
        session.say(&format!("{} would hold this", path.display()));
        return Ok(());
    }
    if !is_written {
        return Err(Problem::NobodyAsked.of(&args.dir));
    }
    session.say(&format!(
        "wrote {}; `windlass submit {} --dry-run` shows what follows from it",
        path.display(),
        args.dir.display()
    ));
    Ok(())
}

/// How questions are asked: on the terminal, or not at all.
struct Voice<'a> {
    asks: bool,
    session: &'a Session,
    dir: &'a Path,
}

impl Voice<'_> {
    /// One value: as given, else as answered, else the likeliest.
    fn pick(
        &mut self,
        question: (&'static str, &'static str),
        given: Option<&String>,
        option: &'static str,
        guesses: &[Guess<String>],
    ) -> Result<Guess<String>, Error> {
        if let Some(given) = given {
            return Ok(guess(given.clone(), option));
        }
        let (key, what) = question;
        if self.asks {
            self.session.say(&format!("\n{key}: {what}"));
            for (index, found) in guesses.iter().enumerate() {
                self.session.say(&format!("  {}  {}   ({})", index + 1, found.value, found.reason));
            }
            let hint = if guesses.is_empty() { String::new() } else { " [1]".to_owned() };
            self.session.say(&format!("{key}{hint}:"));
            let answer = answer(self.dir)?;
            let picked = answer.parse::<usize>().ok().and_then(|n| guesses.get(n.checked_sub(1)?));
            match (picked, answer.as_str()) {
                (Some(found), _) => return Ok(found.clone()),
                (None, "") => {}
                (None, own) => return Ok(guess(own.to_owned(), "as answered")),
            }
        }
        guesses.first().cloned().ok_or_else(|| Problem::Unknown { what, option }.of(self.dir))
    }

    /// The editable files: as given, as answered, or all that were found.
    fn files(&mut self, given: &[String], inferred: &Inferred) -> Result<Vec<Guess<String>>, Error> {
        let found = inferred.editable();
        let as_said =
            |patterns: Vec<String>, why: &str| patterns.into_iter().map(|p| guess(p, why)).collect();
        if !given.is_empty() {
            return Ok(as_said(given.to_vec(), "--editable"));
        }
        if self.asks {
            self.session.say("\neditable_files: what levers may touch");
            for file in &found {
                self.session.say(&format!("  {}   ({})", file.value, file.reason));
            }
            for (path, reason) in frozen(inferred) {
                self.session.say(&format!("  frozen: {path}   ({reason})"));
            }
            self.session.say("editable_files [as listed; or paths with blanks between]:");
            let own: Vec<String> = answer(self.dir)?.split_whitespace().map(str::to_owned).collect();
            if !own.is_empty() {
                return Ok(as_said(own, "as answered"));
            }
        }
        match found.is_empty() {
            true => {
                let unknown =
                    Problem::Unknown { what: "which files a lever may touch", option: "--editable" };
                Err(unknown.of(self.dir))
            }
            false => Ok(found),
        }
    }
}

/// A line of the terminal; an end is no answer.
fn answer(dir: &Path) -> Result<String, Error> {
    /// Longer than any command or list of files that somebody types.
    const ANSWER_MAX_BYTES: u64 = 16 << 10;
    let mut line = String::new();
    let read = std::io::stdin().lock().take(ANSWER_MAX_BYTES).read_line(&mut line);
    match read.map_err(|source| Error::System { operation: "read the answer", source })? {
        0 => Err(Problem::NobodyAsked.of(dir)),
        _ => Ok(line.trim().to_owned()),
    }
}

fn take(args: &Args, inferred: &Inferred, voice: &mut Voice<'_>) -> Result<Taken, Error> {
    let names: Vec<_> =
        inferred.metrics.iter().map(|found| guess(found.value.name.clone(), found.reason.clone())).collect();
    let what = ("metric", "the metric's name as the log prints it");
    let metric = voice.pick(what, args.metric.as_ref(), "--metric", &names)?;
    let known: Option<&Metric> =
        inferred.metrics.iter().map(|found| &found.value).find(|found| found.name == metric.value);
    let direction = known.and_then(|known| Some(guess(known.direction?, known.direction_reason.clone())));
    let direction = direction.or_else(|| usual_direction(&metric.value).map(|way| guess(way, "its name")));
    let ways: Vec<_> = match direction {
        Some(way) => vec![guess(word(way.value).to_owned(), way.reason)],
        None => Vec::new(),
    };
    let given = args.direction.map(|way| word(way.into()).to_owned());
    let what = ("metric_direction", "which way is better, minimize or maximize");
    let direction = voice.pick(what, given.as_ref(), "--direction", &ways)?;
    let what = ("entrypoint", "the command of one experiment");
    let entrypoint = voice.pick(what, args.entrypoint.as_ref(), "--entrypoint", &inferred.commands)?;
    let editable = voice.files(&args.editable, inferred)?;
    let (gate, budget, epochs) = limit(args, inferred, voice)?;
    let repeats = known.is_some_and(|known| known.repeats);
    Ok(Taken { metric, direction, entrypoint, editable, gate, budget, epochs, repeats })
}

fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::Minimize => "minimize",
        Direction::Maximize => "maximize",
    }
}

/// Which gate, its budget, and where the epoch cap stands.
type Gate = (&'static str, Guess<String>, Option<Guess<Stated>>);

/// The gate: the project's own limits, else minutes.
fn limit(args: &Args, inferred: &Inferred, voice: &mut Voice<'_>) -> Result<Gate, Error> {
    let minutes = inferred.limits.iter().filter_map(|limit| match &limit.value {
        Limit::Minutes(minutes) => Some(guess(minutes.clone(), limit.reason.clone())),
        Limit::Epochs(_) => None,
    });
    let mut minutes: Vec<_> = minutes.collect();
    let epochs = inferred.limits.iter().find_map(|limit| match &limit.value {
        Limit::Epochs(epochs) => Some(guess(epochs, limit.reason.clone())),
        Limit::Minutes(_) => None,
    });
    if let (Some(epochs), None, []) = (&epochs, &args.budget, minutes.as_slice()) {
        let what = ("budget", "the number of epochs of a run");
        let count = [guess(epochs.value.count.to_string(), epochs.reason.clone())];
        let stated = epochs.value.stated.clone().map(|stated| guess(stated, epochs.reason.clone()));
        return Ok(("epochs", voice.pick(what, None, "--budget", &count)?, stated));
    }
    let reason = match &epochs {
        Some(epochs) => format!("minutes; {} says {}", epochs.reason, epochs.value.count),
        None => "minutes; nothing in the project says".to_owned(),
    };
    minutes.push(guess(BUDGET_MINUTES.to_owned(), reason));
    let what = ("budget", "the number of minutes that a run may take");
    Ok(("time", voice.pick(what, args.budget.as_ref(), "--budget", &minutes)?, None))
}

fn frozen(inferred: &Inferred) -> impl Iterator<Item = (&String, &String)> {
    inferred.sides.iter().filter_map(|side| match &side.value {
        Side::Frozen(path) => Some((path, &side.reason)),
        Side::Editable(_) => None,
    })
}

/// The file's text: each value with what it rests on.
fn compose(taken: &Taken, inferred: &Inferred) -> String {
    let mut text =
        String::from("# Written by `windlass init`; beside each value stands what it rests on.\n\n");
    let mut line = |key: &str, value: &str, reason: &str| {
        text.push_str(&format!("{key}: {}{}\n", scalar(value), comment(reason)));
    };
    line("metric", &taken.metric.value, &taken.metric.reason);
    line("metric_direction", &taken.direction.value, &taken.direction.reason);
    line("entrypoint", &taken.entrypoint.value, &taken.entrypoint.reason);
    text.push_str("editable_files:\n");
    for file in &taken.editable {
        text.push_str(&format!("  - {}{}\n", scalar(&file.value), comment(&file.reason)));
    }
    for (path, reason) in frozen(inferred).take(FROZEN_MAX) {
        text.push_str(&format!("  # frozen: {} ({})\n", neutral(path), neutral(reason)));
    }
    text.push_str("sandbox_root: ./sandbox\niter_strategy: snapshots\n");
    text.push_str(&format!("gate: {}\n", taken.gate));
    text.push_str(&format!("budget: {}{}\n", taken.budget.value, comment(&taken.budget.reason)));
    text.push_str("literature: off\n");
    if taken.repeats || taken.epochs.is_some() || !inferred.ignore.is_empty() {
        text.push_str("\nwindlass:\n");
    }
    if let Some(Guess { value: Stated { file, pattern }, reason }) = &taken.epochs {
        let (file, pattern) = (scalar(file), scalar(pattern));
        text.push_str(&format!("  epochs:{}\n    file: {file}\n    pattern: {pattern}\n", comment(reason)));
    }
    if taken.repeats {
        text.push_str("  metric_line: last  # it is printed in a loop\n");
    }
    if !inferred.ignore.is_empty() {
        text.push_str("  ignore:\n");
    }
    for path in &inferred.ignore {
        text.push_str(&format!("    - {}{}\n", scalar(&path.value), comment(&path.reason)));
    }
    text
}

/// Frozen files that the file names in a comment; all others are frozen as well.
const FROZEN_MAX: usize = 20;

fn comment(reason: &str) -> String {
    format!("  # {}", neutral(reason))
}

/// A value as YAML reads it back: plain where that is safe, else quoted.
fn scalar(value: &str) -> String {
    const WORDS: [&str; 9] = ["true", "false", "on", "off", "yes", "no", "null", "y", "n"];
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./ =-".contains(c);
    let begins = value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '.');
    let is_word = WORDS.contains(&value.to_lowercase().as_str()) || value.parse::<f64>().is_ok();
    if begins && !is_word && value.chars().all(plain) && value.trim() == value {
        return value.to_owned();
    }
    // A JSON string is a YAML string.
    serde_json::Value::from(value).to_string()
}

/// What is written must be read, validated and sent.
fn check(args: &Args, session: &Session, path: &Path, text: &str) -> Result<(), Error> {
    let bindings: Bindings = yaml::parse(path, text)?;
    bindings.validate().map_err(|refusal| yaml::Problem::refused(path, text, &refusal))?;
    let workspace = workspace::read(&args.dir, &bindings, &[&session.data_dir])?;
    workspace::cap::find(&workspace, &bindings).map(drop)
}

fn choices(taken: &Taken, inferred: &Inferred) -> Vec<Choice> {
    let one = |key, taken: &Guess<String>, others: Vec<String>| Choice {
        key,
        value: taken.value.clone(),
        reason: taken.reason.clone(),
        others: others.into_iter().filter(|other| *other != taken.value).collect(),
    };
    let metrics = inferred.metrics.iter().map(|found| found.value.name.clone()).collect();
    let commands = inferred.commands.iter().map(|found| found.value.clone()).collect();
    let mut all = vec![
        one("metric", &taken.metric, metrics),
        one("metric_direction", &taken.direction, Vec::new()),
        one("entrypoint", &taken.entrypoint, commands),
    ];
    all.extend(taken.editable.iter().map(|file| one("editable_files", file, Vec::new())));
    all.push(one("budget", &taken.budget, Vec::new()));
    if let Some(Guess { value, reason }) = &taken.epochs {
        all.push(one("windlass.epochs.file", &guess(value.file.clone(), reason.clone()), Vec::new()));
        all.push(one("windlass.epochs.pattern", &guess(value.pattern.clone(), reason.clone()), Vec::new()));
    }
    all.extend(inferred.ignore.iter().map(|path| one("windlass.ignore", path, Vec::new())));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_reads_back_as_it_was_whatever_it_holds() {
        for value in
            ["python3 train.py", "a: b", "# x", "*.py", "yes", "5", "-x", "it's \"so\"", " a", "ä\n", "{a}"]
        {
            let text = format!("key: {}  # why\n", scalar(value));
            let read: std::collections::BTreeMap<String, String> =
                yaml::parse(Path::new("f"), &text).unwrap_or_else(|problem| panic!("{value:?}: {problem}"));
            assert_eq!(read["key"], value);
        }
    }
}
