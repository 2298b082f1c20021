//! Limits that the project already has: a time budget, a number of epochs.

use super::editable::is_code;
use super::project::Project;
use super::{Guess, guess};
use regex::Regex;

/// How one run ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Minutes, as they are written in the file.
    Minutes(String),
    /// Epochs (P17).
    Epochs(u64),
}

/// The limits found in scripts and configuration; epochs only where a single line caps them (P17).
pub fn limits(project: &Project, is_editable: impl Fn(&str) -> bool) -> Vec<Guess<Limit>> {
    let time = r#"^\s*["']?((?i:[a-z_]*(?:time_?(?:budget|limit)|max_?(?:time|seconds|minutes|hours)|train_?(?:seconds|minutes|time))[a-z_]*))["']?\s*[:=]\s*([0-9]+(?:\.[0-9]+)?)(\s*\*\s*60)?\s*,?\s*(?:#.*)?$"#;
    let epochs =
        r#"^\s*["']?((?i:epochs|max_epochs|num_epochs))["']?\s*[:=]\s*([0-9]{1,6})\s*,?\s*(?:#.*)?$"#;
    let (Ok(time), Ok(epochs)) = (Regex::new(time), Regex::new(epochs)) else { return Vec::new() };
    let (mut found, mut caps) = (Vec::new(), Vec::new());
    let is_config = |ending: &str| ["yaml", "yml", "toml", "json", "cfg", "ini"].contains(&ending);
    for file in project.files.iter().filter(|file| is_code(file) || is_config(&file.ending())) {
        for (number, line) in file.lines() {
            let place = format!("{}:{number}", file.path);
            if let Some(capture) = time.captures(line) {
                let (name, figure) = (capture[1].to_lowercase(), capture[2].parse::<f64>().unwrap_or(0.0));
                let figure = if capture.get(3).is_some() { figure * 60.0 } else { figure };
                let own_minutes = match () {
                    () if name.contains("minute") || name.ends_with("_min") => figure,
                    () if name.contains("hour") => figure * 60.0,
                    () => figure / 60.0,
                };
                // Twice its own limit: start-up and evaluation come on top, and the gate is no part of the idea.
                let minutes = (own_minutes * 2.0 * 100.0).ceil() / 100.0;
                if minutes > 0.0 && minutes <= 60.0 * 24.0 * 365.0 {
                    let reason = format!("twice {} of {place}", &capture[1]);
                    found.push(guess(Limit::Minutes(minutes.to_string()), reason));
                }
            }
            if let Some(capture) = epochs.captures(line).filter(|_| is_editable(&file.path)) {
                let count = capture[2].parse().unwrap_or(0);
                caps.push(guess(Limit::Epochs(count), format!("{} of {place}", &capture[1])));
            }
        }
    }
    if let ([cap], true) = (caps.as_slice(), caps.iter().all(|cap| cap.value != Limit::Epochs(0))) {
        found.push(cap.clone());
    }
    found
}
