//! Metric candidates: what scripts print as `NAME: number` on a line of its own (P18), and what a README
//! says of it.

use super::editable::is_code;
use super::project::{File, Project};
use super::{Guess, guess};
use regex::Regex;
use std::collections::BTreeMap;
use windlass_shared::bindings::Direction;

/// Candidates that are told; more is a list that nobody reads.
const SHOWN_MAX: usize = 8;

/// A metric as a script prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// Which way is better, if its name or the README says so.
    pub direction: Option<Direction>,
    /// What says so.
    pub direction_reason: String,
    /// Whether it is printed in a loop, so that the last line is the one that counts.
    pub repeats: bool,
}

/// Words in a metric's name for which larger is better.
const LARGER: [&str; 20] = [
    "acc",
    "accuracy",
    "f1",
    "auc",
    "auroc",
    "bleu",
    "rouge",
    "r2",
    "score",
    "reward",
    "return",
    "map",
    "iou",
    "miou",
    "dice",
    "precision",
    "recall",
    "psnr",
    "ssim",
    "throughput",
];
/// And for which smaller is.
const SMALLER: [&str; 20] = [
    "loss",
    "error",
    "err",
    "ppl",
    "perplexity",
    "bpb",
    "bpc",
    "mse",
    "rmse",
    "mae",
    "nll",
    "wer",
    "cer",
    "fid",
    "latency",
    "ece",
    "kl",
    "regret",
    "mape",
    "crossentropy",
];
/// Words that label a figure which is no result.
const NO_METRIC: [&str; 14] = [
    "epoch",
    "step",
    "iter",
    "iteration",
    "lr",
    "device",
    "params",
    "seed",
    "time",
    "seconds",
    "elapsed",
    "batch",
    "usage",
    "warning",
];

/// Which way a metric's name usually goes.
pub fn usual_direction(name: &str) -> Option<Direction> {
    let has = |words: &[&str]| parts(name).iter().any(|part| words.contains(&part.as_str()));
    match (has(&LARGER), has(&SMALLER)) {
        (true, false) => Some(Direction::Maximize),
        (_, true) => Some(Direction::Minimize),
        (false, false) => None,
    }
}

fn parts(name: &str) -> Vec<String> {
    let name = name.to_lowercase();
    name.split(|c: char| !c.is_ascii_alphanumeric()).map(str::to_owned).collect()
}

/// The metrics that the project's scripts print, the likeliest first.
pub fn metrics(project: &Project, is_editable: impl Fn(&str) -> bool) -> Vec<Guess<Metric>> {
    // A literal that begins with the name, then one placeholder, a number or nothing, then its end.
    let literal = r#"["'](?:\\n)?([A-Za-z][A-Za-z0-9_.@/-]{0,63}): *(?:\{[^{}]*\}|%[-+0-9.]*[a-zA-Z]|\$\{?\w+\}?|[-+0-9.eE]+|)(?:\\n)?["']"#;
    let Ok(literal) = Regex::new(literal) else { return Vec::new() };
    let mut found: BTreeMap<String, (i32, Guess<Metric>)> = BTreeMap::new();
    for file in project.files.iter().filter(|file| is_code(file) && !is_test(file)) {
        let lines: Vec<&str> = file.text.iter().flat_map(|text| text.lines()).collect();
        for (index, line) in lines.iter().enumerate() {
            if !["print", "echo", "write", "puts", "cat("].iter().any(|verb| line.contains(verb)) {
                continue;
            }
            for capture in literal.captures_iter(line) {
                let name = capture[1].to_owned();
                if parts(&name).iter().any(|part| NO_METRIC.contains(&part.as_str())) {
                    continue;
                }
                let (score, said) = weigh(project, file, &name, is_editable(&file.path));
                let direction = said.clone().or_else(|| by_name(&name));
                let (direction, direction_reason) =
                    direction.map_or((None, String::new()), |(d, why)| (Some(d), why));
                let repeats = is_in_loop(&lines, index);
                let place = format!("{}:{} prints it", file.path, index + 1);
                let metric = Metric { name: name.clone(), direction, direction_reason, repeats };
                let score = score - i32::from(repeats);
                match found.get_mut(&name) {
                    // Printed more than once, wherever that is: several lines may differ.
                    Some((best, known)) => {
                        known.value.repeats |= repeats;
                        if score > *best {
                            (*best, known.reason) = (score, place);
                        }
                    }
                    None => _ = found.insert(name, (score, guess(metric, place))),
                }
            }
        }
    }
    let mut found: Vec<(i32, Guess<Metric>)> = found.into_values().collect();
    found.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.value.name.cmp(&b.1.value.name)));
    found.into_iter().take(SHOWN_MAX).map(|(_, metric)| metric).collect()
}

/// What a test prints is no experiment's metric.
fn is_test(file: &File) -> bool {
    file.name().starts_with("test_") || file.path.split('/').any(|part| part == "tests" || part == "test")
}

fn by_name(name: &str) -> Option<(Direction, String)> {
    usual_direction(name).map(|direction| (direction, "its name".to_owned()))
}

/// How likely a name is the metric, and which way the README says is better.
fn weigh(
    project: &Project,
    file: &File,
    name: &str,
    is_editable: bool,
) -> (i32, Option<(Direction, String)>) {
    let parts = parts(name);
    let has = |words: &[&str]| parts.iter().any(|part| words.contains(&part.as_str()));
    let mut score = 0;
    score += if usual_direction(name).is_some() { 4 } else { 0 };
    score += if has(&["val", "valid", "validation", "dev", "eval", "heldout"]) { 4 } else { 0 };
    score += if has(&["test"]) { 2 } else { 0 };
    score -= if has(&["train", "training"]) { 4 } else { 0 };
    score -= if has(&["loss"]) { 1 } else { 0 };
    // What a frozen file prints is the ground truth.
    score += if is_editable { 0 } else { 1 };
    score -= if file.path.contains('/') { 1 } else { 0 };
    let mut direction = None;
    for readme in project.readmes() {
        for (number, line) in readme.lines().filter(|(_, line)| names(line, name)) {
            score += if direction.is_none() { 3 } else { 0 };
            let line = line.to_lowercase();
            let says = |words: &[&str]| words.iter().any(|word| line.contains(word));
            let place = format!("{}:{number}", readme.path);
            if says(&["lower is better", "minimi", "smaller is better"]) {
                direction = Some((Direction::Minimize, place));
            } else if says(&["higher is better", "maximi", "larger is better"]) {
                direction = Some((Direction::Maximize, place));
            }
        }
    }
    (score, direction)
}

/// Whether a line names `name` as a word of its own.
fn names(line: &str, name: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(name).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + name.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

/// Whether the line at `index` lies in a loop, by indentation, within its function.
fn is_in_loop(lines: &[&str], index: usize) -> bool {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut depth = indent(lines[index]);
    for line in lines[..index].iter().rev().filter(|line| !line.trim().is_empty()) {
        if depth == 0 {
            return false;
        }
        if indent(line) < depth {
            depth = indent(line);
            let word = line.trim_start();
            if word.starts_with("for ") || word.starts_with("while ") {
                return true;
            }
            if word.starts_with("def ") || word.starts_with("async def ") {
                return false;
            }
        }
    }
    false
}
