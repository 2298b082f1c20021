//! The file that declares a space of settings. Whatever is wrong with it is said with line and key.

use crate::error::Error;
use crate::yaml::{self, Problem};
use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use windlass_engine::gate::anchor;
use windlass_shared::lever::Anchor;
use windlass_shared::path::TreePath;

/// Settings of one space: a lever's title names what it changes.
const SETTINGS_MAX: usize = 64;
/// Values of one choice.
const VALUES_MAX: usize = 1_000;
/// Draws from the whole space before the search stays near the best.
const RANDOM_MAX: u32 = 100_000;
/// Bytes of a key or of a value: a title of 200 has room for one of each.
const WORD_BYTES_MAX: usize = 60;

/// What is searched.
#[derive(Debug)]
pub struct Space {
    /// Where it was read.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
    /// Two searches with different seeds take different ways.
    pub seed: u64,
    /// How many draws come from the whole space.
    pub random: u32,
    /// At least one.
    pub settings: Vec<Setting>,
    /// Evidence that a lever may rest on, the first that holds; empty where any will do.
    pub anchors: Vec<Anchor>,
    /// A script that measures each point, beside this file; the log's own facts where none is given.
    pub script: Option<String>,
}

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// How it is called, in titles too.
    pub key: String,
    /// The editable file that has it.
    pub file: TreePath,
    /// Where it stands there; by its YAML key where there is none.
    pub pattern: Option<Regex>,
    /// What it may be.
    pub domain: Domain,
    /// Evidence for moving this one.
    pub anchors: Vec<Anchor>,
    /// Where it stands in the space's file.
    pub place: Place,
}

/// A line of the space's file, from 1, and a column of it; line 0 where nobody knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    line: u64,
    column: u64,
}

/// What a setting may be.
#[derive(Clone, Debug, PartialEq)]
pub enum Domain {
    /// Any number from `min` to `max`, both included.
    Float { min: f64, max: f64, scale: Scale },
    /// Any whole number of these.
    Int { min: i64, max: i64, scale: Scale },
    /// One of these words.
    Choice(Vec<String>),
}

/// How far two values are from each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// By their difference.
    #[default]
    Linear,
    /// By their ratio.
    Log,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    file: Option<TreePath>,
    #[serde(default = "first_seed")]
    seed: u64,
    random: Option<u32>,
    settings: Vec<WrittenSetting>,
    #[serde(default)]
    anchors: Vec<Anchor>,
    script: Option<String>,
}

fn first_seed() -> u64 {
    1
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSetting {
    key: String,
    kind: Kind,
    range: Option<Vec<f64>>,
    #[serde(default)]
    scale: Scale,
    values: Option<Vec<Word>>,
    pattern: Option<String>,
    file: Option<TreePath>,
    #[serde(default)]
    anchors: Vec<Anchor>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Float,
    Int,
    Choice,
}

/// A scalar as it is written: `8` stays `8` and `yes` stays `yes`.
struct Word(String);

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

impl Space {
    /// Reads one.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = yaml::read_text(path)?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        let written: Written = yaml::parse(path, text)?;
        let refuse = |key: &str, message: String, remedy: &str| -> Error {
            Problem::at_key(path, text, key, message).with_remedy(remedy).into()
        };
        let count = written.settings.len();
        if !(1..=SETTINGS_MAX).contains(&count) {
            let message = format!("settings: there are {count}; 1 to {SETTINGS_MAX} are taken");
            return Err(refuse("settings", message, "write a setting for each number to search"));
        }
        if written.random.is_some_and(|random| random > RANDOM_MAX) {
            let message = format!("random: at most {RANDOM_MAX} draws");
            return Err(refuse("random", message, "write a smaller number"));
        }
        for anchor in &written.anchors {
            check_anchor(anchor)
                .map_err(|problem| refuse("anchors", format!("anchors: {problem}"), ANCHOR_FORM))?;
        }
        let places = places(text);
        let place = |index: usize| places.get(index).copied().unwrap_or_default();
        let mut settings: Vec<Setting> = Vec::new();
        let mut keys = BTreeSet::new();
        for (index, one) in written.settings.into_iter().enumerate() {
            let key = one.key.clone();
            let refuse = |(field, problem, remedy): Wrong| -> Error {
                let message = format!("settings: `{key}`: {field} {problem}");
                problem_at(path, text, place(index), message).with_remedy(remedy).into()
            };
            if !keys.insert(one.key.clone()) {
                return Err(refuse(("key", "stands twice".to_owned(), "take one of the two out")));
            }
            let setting = one.check(written.file.as_ref()).map_err(refuse)?;
            settings.push(Setting { place: place(index), ..setting });
        }
        // As many as show each setting at more than two values, and a few more.
        let random = written.random.unwrap_or(2 * count as u32 + 2);
        Ok(Self {
            path: path.to_owned(),
            text: text.to_owned(),
            seed: written.seed,
            random,
            settings,
            anchors: written.anchors,
            script: written.script,
        })
    }

    /// What is wrong with a setting in the campaign's own files.
    pub fn problem(&self, setting: &Setting, problem: &str) -> Error {
        let message = format!("settings: `{}`: {problem}", setting.key);
        let remedy = "correct the key, the pattern or the file; the file is the best's, not the one that was submitted";
        problem_at(&self.path, &self.text, setting.place, message).with_remedy(remedy).into()
    }
}

fn problem_at(path: &Path, text: &str, place: Place, message: String) -> Problem {
    match text.lines().nth(place.line.saturating_sub(1) as usize).filter(|_| place.line > 0) {
        Some(line) => Problem::at(path, place.line, place.column, line, message),
        None => Problem::at_key(path, text, "settings", message),
    }
}

const ANCHOR_FORM: &str = "an anchor has a file, a pattern and perhaps a comparison (docs/levers.md)";

/// A field, what is wrong with it, what to do.
type Wrong = (&'static str, String, &'static str);

impl WrittenSetting {
    fn check(self, file: Option<&TreePath>) -> Result<Setting, Wrong> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if self.key.is_empty() || self.key.len() > WORD_BYTES_MAX || !self.key.chars().all(is_plain) {
            let remedy = "name it by its YAML key, such as `optimizer.lr`, or by a word and a `pattern`";
            return Err(("key", "is no name of letters, digits, `.`, `_` and `-`".to_owned(), remedy));
        }
        let Some(file) = self.file.as_ref().or(file).cloned() else {
            return Err((
                "file",
                "is missing".to_owned(),
                "name the editable file, here or for the whole space",
            ));
        };
        let domain = self.domain()?;
        let pattern = self.pattern.as_deref().map(compile).transpose()?;
        for anchor in &self.anchors {
            check_anchor(anchor).map_err(|problem| ("anchors", problem, ANCHOR_FORM))?;
        }
        let place = Place::default();
        Ok(Setting { key: self.key, file, pattern, domain, anchors: self.anchors, place })
    }

    fn domain(&self) -> Result<Domain, Wrong> {
        if self.kind == Kind::Choice {
            if self.range.is_some() || self.scale == Scale::Log {
                let remedy = "give a choice `values`, or make it a float or an int";
                return Err(("range", "and `scale` are for numbers".to_owned(), remedy));
            }
            let values: Vec<String> = self.values.iter().flatten().map(|Word(value)| value.clone()).collect();
            let is_word = |value: &String| {
                !value.is_empty() && value.len() <= WORD_BYTES_MAX && !value.chars().any(char::is_control)
            };
            let distinct: BTreeSet<&String> = values.iter().collect();
            let is_well = (2..=VALUES_MAX).contains(&values.len())
                && distinct.len() == values.len()
                && values.iter().all(is_word);
            let problem = format!("must be 2 to {VALUES_MAX} different words of a line each");
            let remedy = "write them in brackets: `values: [8, 16, 32]`";
            return if is_well { Ok(Domain::Choice(values)) } else { Err(("values", problem, remedy)) };
        }
        if self.values.is_some() {
            return Err(("values", "are for a choice".to_owned(), "give a `range`, or make it a choice"));
        }
        let wrong = |problem: &str, remedy| Err(("range", problem.to_owned(), remedy));
        let Some(&[min, max]) = self.range.as_deref() else {
            return wrong("must be two numbers", "write the least and the greatest: `range: [0.001, 0.1]`");
        };
        if !(min.is_finite() && max.is_finite() && min < max) {
            return wrong("must lead from a smaller number to a greater one", "write the least one first");
        }
        if self.scale == Scale::Log && min <= 0.0 {
            return wrong("of a log scale must lie above 0", "raise the least one, or use `scale: linear`");
        }
        if self.kind == Kind::Float {
            return Ok(Domain::Float { min, max, scale: self.scale });
        }
        // Whole numbers of binary64 are exact up to here.
        let is_whole = |number: f64| number.fract() == 0.0 && number.abs() <= 2f64.powi(53);
        if !(is_whole(min) && is_whole(max)) {
            return wrong("of an int must be whole numbers", "write digits alone, or make it a float");
        }
        Ok(Domain::Int { min: min as i64, max: max as i64, scale: self.scale })
    }
}

fn compile(pattern: &str) -> Result<Regex, Wrong> {
    let wrong = |problem| ("pattern", problem, "write one group around the value: `lr = ([0-9.]+)`");
    let regex = RegexBuilder::new(pattern).multi_line(true).size_limit(1 << 20).build();
    let regex = regex.map_err(|problem| {
        let said = problem.to_string();
        wrong(format!("is no regular expression: {}", said.lines().last().unwrap_or_default()))
    })?;
    match regex.captures_len() {
        2 => Ok(regex),
        groups => Err(wrong(format!("has {} groups", groups - 1))),
    }
}

fn check_anchor(one: &Anchor) -> Result<(), String> {
    anchor::check_form(one).map_err(|problem| problem.to_string())
}

/// Where each setting's own `key:` stands.
fn places(text: &str) -> Vec<Place> {
    let mut is_below = false;
    let mut places = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if !line.starts_with([' ', '-', '#']) && !line.trim().is_empty() {
            is_below = line.starts_with("settings:");
        }
        let at = line.find("key:").filter(|_| is_below && !line.trim_start().starts_with('#'));
        places.extend(at.map(|at| Place { line: number, column: at as u64 + 1 }));
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "file: config.yaml\nseed: 3\nsettings:\n  \
        - {key: learning_rate, kind: float, range: [0.005, 0.5], scale: log}\n  \
        - key: hidden\n    kind: int\n    range: [8, 32]\n  \
        - {key: batch, kind: choice, values: [8, 16, yes], pattern: '^batch: (\\w+)$', file: b.yaml}\n";

    fn read(text: &str) -> Result<Space, Error> {
        Space::parse(Path::new("space.yaml"), text)
    }

    fn check_refused(from: &str, to: &str, want: &str) {
        let report = read(&GOOD.replacen(from, to, 1)).expect_err(want).to_report();
        assert!(report.message.contains(want), "{want}: {}", report.message);
        assert!(report.message.starts_with("space.yaml:"), "with its line: {}", report.message);
        assert!(report.remedy.is_some(), "{want} without a remedy");
    }

    #[test]
    fn a_space_is_read_with_what_it_leaves_out() {
        let space = read(GOOD).expect("a space");
        assert_eq!((space.seed, space.random, space.settings.len()), (3, 8, 3));
        let [rate, hidden, batch] = &space.settings[..] else { panic!("three") };
        assert_eq!(rate.domain, Domain::Float { min: 0.005, max: 0.5, scale: Scale::Log });
        assert_eq!(hidden.domain, Domain::Int { min: 8, max: 32, scale: Scale::Linear });
        assert_eq!(batch.domain, Domain::Choice(["8", "16", "yes"].map(str::to_owned).to_vec()));
        assert_eq!((rate.file.as_str(), batch.file.as_str()), ("config.yaml", "b.yaml"));
    }

    #[test]
    fn what_is_wrong_with_a_space_is_said_with_line_and_key() {
        check_refused("seed: 3", "sed: 3", "space.yaml:2:1: unknown key `sed`");
        check_refused("kind: float", "kind: flot", "unknown value `flot`");
        check_refused(
            "range: [0.005, 0.5], ",
            "",
            "space.yaml:4:6: settings: `learning_rate`: range must be two",
        );
        check_refused("[0.005, 0.5]", "[0.5, 0.005]", "from a smaller number to a greater");
        check_refused("[0.005, 0.5]", "[0, 0.5]", "of a log scale must lie above 0");
        check_refused(
            "[8, 32]",
            "[8.5, 32]",
            "space.yaml:5:5: settings: `hidden`: range of an int must be whole",
        );
        check_refused("[8, 16, yes]", "[8]", "space.yaml:8:6: settings: `batch`: values must be 2");
        check_refused("[8, 16, yes]", "[8, 8]", "different words");
        check_refused("(\\w+)", "\\w+", "`batch`: pattern has 0 groups");
        check_refused("(\\w+)", "(\\w+", "is no regular expression");
        check_refused("file: config.yaml\n", "", "`learning_rate`: file is missing");
        check_refused("file: config.yaml", "file: ../config.yaml", "has a `..`");
        check_refused("key: hidden", "key: learning_rate", "`learning_rate`: key stands twice");
        check_refused("key: hidden", "key: the width", "is no name of letters");
        check_refused("seed: 3", "seed: 3\nanchors: [{file: a.tsv, pattern: '('}]", "anchors: ");
        let message = read("file: a\nsettings: []\n").expect_err("none").to_report().message;
        assert!(message.contains("space.yaml:2:1: settings: there are 0"), "{message}");
    }
}
