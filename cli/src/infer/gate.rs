//! Limits that the project already has: a time budget, a number of epochs; as a line of its own, or as the default
//! of a command line's option.

use super::editable::is_code;
use super::project::{File, Project};
use super::{Guess, guess};
use regex::Regex;

/// How one run ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Minutes, as they are written in the file.
    Minutes(String),
    /// Epochs (P17).
    Epochs(Epochs),
}

/// A number of epochs that one line caps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epochs {
    /// How many.
    pub count: u64,
    /// What `windlass.epochs` must say, where the line is not of the form that `submit` looks for by itself.
    pub stated: Option<Stated>,
}

/// Where a cap stands that is found by a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stated {
    /// The file.
    pub file: String,
    /// Its first capture is the number.
    pub pattern: String,
}

/// The names that cap epochs, of a line or of an option.
const EPOCHS: [&str; 3] = ["epochs", "max_epochs", "num_epochs"];

/// What lines of a project say, once compiled.
struct Forms {
    time: Regex,
    epochs: Regex,
    option: Regex,
    names_time: Regex,
}

impl Forms {
    fn compiled() -> Option<Self> {
        const TIME: &str = r"[a-z_]*(?:time_?(?:budget|limit)|max_?(?:time|seconds|minutes|hours)|train_?(?:seconds|minutes|time))[a-z_]*";
        let time = format!(
            r#"^\s*["']?((?i:{TIME}))["']?\s*[:=]\s*([0-9]+(?:\.[0-9]+)?)(\s*\*\s*60)?\s*,?\s*(?:#.*)?$"#
        );
        let epochs =
            r#"^\s*["']?((?i:epochs|max_epochs|num_epochs))["']?\s*[:=]\s*([0-9]{1,6})\s*,?\s*(?:#.*)?$"#;
        let option =
            r#"["']--([A-Za-z][A-Za-z0-9_-]*)["'].*\bdefault\s*=\s*([0-9]+(?:\.[0-9]+)?)\s*(?:[,)]|$)"#;
        Some(Self {
            time: Regex::new(&time).ok()?,
            epochs: Regex::new(epochs).ok()?,
            option: Regex::new(option).ok()?,
            names_time: Regex::new(&format!("^(?i:{TIME})$")).ok()?,
        })
    }
}

/// The limits found in scripts and configuration; epochs only where a single line caps them (P17).
pub fn limits(project: &Project, is_editable: impl Fn(&str) -> bool) -> Vec<Guess<Limit>> {
    let Some(forms) = Forms::compiled() else { return Vec::new() };
    let (mut found, mut caps, mut defaults) = (Vec::new(), Vec::new(), Vec::new());
    let is_config = |ending: &str| ["yaml", "yml", "toml", "json", "cfg", "ini"].contains(&ending);
    for file in project.files.iter().filter(|file| is_code(file) || is_config(&file.ending())) {
        for (number, line) in file.lines() {
            let place = format!("{}:{number}", file.path);
            if let Some(capture) = forms.time.captures(line) {
                let times = if capture.get(3).is_some() { 60.0 } else { 1.0 };
                found.extend(minutes(&capture[1], &capture[2], times, &place));
            }
            if let Some(capture) = forms.epochs.captures(line).filter(|_| is_editable(&file.path)) {
                let count = capture[2].parse().unwrap_or(0);
                caps.push((Epochs { count, stated: None }, format!("{} of {place}", &capture[1])));
            }
            let Some(capture) = forms.option.captures(line).filter(|_| is_code(file)) else { continue };
            let (option, figure) = (&capture[1], &capture[2]);
            let name = option.replace('-', "_").to_lowercase();
            if forms.names_time.is_match(&name) {
                found.extend(minutes(&format!("--{option}"), figure, 1.0, &place));
            } else if EPOCHS.contains(&name.as_str()) && is_editable(&file.path) {
                let count = figure.parse().unwrap_or(0);
                let cap = Epochs { count, stated: Some(stated(file, option)) };
                defaults.push((cap, format!("--{option} of {place}"), option.to_owned()));
            }
        }
    }
    // A line of the usual form is what `submit` finds; a default caps epochs only where no caller sets another.
    let cap = match (caps.as_slice(), defaults.as_slice()) {
        ([(cap, why)], _) => Some((cap, why)),
        ([], [(cap, why, option)]) if !is_passed(project, option) => Some((cap, why)),
        _ => None,
    };
    if let Some((cap, why)) = cap.filter(|(cap, _)| cap.count > 0) {
        found.push(guess(Limit::Epochs(cap.clone()), why.clone()));
    }
    found
}

/// A time limit of the project's own, in minutes.
fn minutes(name: &str, figure: &str, times: f64, place: &str) -> Option<Guess<Limit>> {
    let lower = name.to_lowercase();
    let figure = figure.parse::<f64>().ok()? * times;
    let own_minutes = match () {
        () if lower.contains("minute") || lower.ends_with("_min") => figure,
        () if lower.contains("hour") => figure * 60.0,
        () => figure / 60.0,
    };
    // Twice its own limit: start-up and evaluation come on top, and the gate is no part of the idea.
    let minutes = (own_minutes * 2.0 * 100.0).ceil() / 100.0;
    let is_one = minutes > 0.0 && minutes <= 60.0 * 24.0 * 365.0;
    is_one.then(|| guess(Limit::Minutes(minutes.to_string()), format!("twice {name} of {place}")))
}

/// What finds the default of this option again, in its file alone.
fn stated(file: &File, option: &str) -> Stated {
    let pattern = format!(r#"["']--{option}["'].*\bdefault\s*=\s*([0-9]+)"#);
    Stated { file: file.path.clone(), pattern }
}

/// Whether some line of the project calls a script with this option: its default is then no cap.
fn is_passed(project: &Project, option: &str) -> bool {
    let Ok(passed) = Regex::new(&format!(r#"--{option}(?:=|\s+)["']?[0-9$]"#)) else { return true };
    project.files.iter().any(|file| file.lines().any(|(_, line)| passed.is_match(line)))
}
