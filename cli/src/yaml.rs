//! Reads a YAML file that a person wrote; what is wrong is said with file, line, column, the line
//! itself, and the nearest right key. Never decides what the values mean.

use crate::bounded;
use crate::error::Error;
use crate::nearest::nearest;
use serde::de::DeserializeOwned;
use serde_saphyr::Error as Saphyr;
use std::fmt;
use std::path::{Path, PathBuf};
use windlass_shared::refusal::Refusal;

/// The largest file that is taken, bytes: ten thousand deliverables fit.
const FILE_MAX_BYTES: u64 = 4 << 20;

/// A file that cannot be what it should be.
#[derive(Debug)]
pub struct Problem {
    path: PathBuf,
    place: Option<Place>,
    message: String,
    remedy: Option<String>,
    rule: Option<&'static str>,
}

/// Where in a file.
#[derive(Debug)]
struct Place {
    line: u64,
    column: u64,
    text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(place) = &self.place {
            write!(f, ":{}:{}", place.line, place.column)?;
        }
        write!(f, ": {}", self.message)?;
        if let Some(place) = self.place.as_ref().filter(|place| !place.text.is_empty()) {
            let margin = place.line.to_string();
            let text: String = place.text.chars().take(160).collect();
            let before = place.column.saturating_sub(1).min(160) as usize;
            write!(f, "\n{margin} | {text}\n{:1$} | {2:3$}^", "", margin.len(), "", before)?;
        }
        Ok(())
    }
}

impl Problem {
    /// A problem of the file as a whole.
    pub fn whole(path: &Path, message: String) -> Self {
        Self { path: path.to_owned(), place: None, message, remedy: None, rule: None }
    }

    /// A problem at a place of the file.
    pub fn at(path: &Path, line: u64, column: u64, text: &str, message: String) -> Self {
        let place = Place { line, column, text: text.to_owned() };
        Self { place: Some(place), ..Self::whole(path, message) }
    }

    /// A problem of the value under `key` (`windlass.stop.target`), found again in the text.
    pub fn at_key(path: &Path, text: &str, key: &str, message: String) -> Self {
        Self { place: find_key(text, key), ..Self::whole(path, message) }
    }

    /// A refusal about one key, with its rule and remedy.
    pub fn refused(path: &Path, text: &str, refusal: &Refusal) -> Self {
        let key = match refusal {
            Refusal::Binding { key, .. } | Refusal::Unsupported { key } => key,
            _ => "",
        };
        let name = key.split([':', ' ']).next().unwrap_or_default();
        let remedy = refusal.remedy().map(str::to_owned);
        Self { remedy, rule: refusal.rule(), ..Self::at_key(path, text, name, refusal.to_string()) }
    }

    /// With what to do.
    pub fn with_remedy(self, remedy: &str) -> Self {
        Self { remedy: Some(remedy.to_owned()), ..self }
    }

    /// With the rule behind it.
    pub fn with_rule(self, rule: &'static str) -> Self {
        Self { rule: Some(rule), ..self }
    }

    /// With this rule, where none is behind it yet: the rule of the file's form.
    pub fn of_form(self, rule: &'static str) -> Self {
        Self { rule: self.rule.or(Some(rule)), ..self }
    }

    /// The key that is missing, where one is.
    pub fn missing(&self) -> Option<&str> {
        self.message.strip_prefix("the key `")?.strip_suffix("` is missing")
    }

    /// What to do.
    pub fn remedy(&self) -> Option<String> {
        self.remedy.clone()
    }

    /// The rule behind it.
    pub fn rule(&self) -> Option<&'static str> {
        self.rule
    }
}

/// The text of a file, bounded.
pub fn read_text(path: &Path) -> Result<String, Error> {
    let failed = |source| Error::File { operation: "read", path: path.to_owned(), source };
    let Some(bytes) = bounded::read(path, FILE_MAX_BYTES).map_err(failed)? else {
        let message = format!("it has more than {FILE_MAX_BYTES} bytes; at most as many are taken");
        let remedy = "is it the file that was meant? what is long goes into files that it names";
        return Err(Problem::whole(path, message).with_remedy(remedy).into());
    };
    String::from_utf8(bytes).map_err(|_| {
        let remedy = "is it the file that was meant? save it as UTF-8";
        Problem::whole(path, "it is not UTF-8 text".to_owned()).with_remedy(remedy).into()
    })
}

/// Reads the text of `path` as a `T`.
pub fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, Box<Problem>> {
    serde_saphyr::from_str(text).map_err(|error| Box::new(explain(path, text, error.without_snippet())))
}

fn explain(path: &Path, text: &str, error: &Saphyr) -> Problem {
    let place = error.location().filter(|at| at.line() > 0).map(|at| Place {
        line: at.line(),
        column: at.column(),
        text: line_of(text, at.line()),
    });
    let (message, remedy) = match error {
        Saphyr::SerdeUnknownField { field, expected, .. } => {
            let meant = nearest(field, expected.iter().copied());
            let remedy = match meant {
                Some(key) => format!("write `{key}`"),
                None => format!("known keys here: {}", expected.join(", ")),
            };
            (format!("unknown key `{field}`"), Some(remedy))
        }
        Saphyr::SerdeUnknownVariant { variant, expected, .. } => {
            let remedy = match nearest(variant, expected.iter().copied()) {
                Some(word) => format!("write `{word}`"),
                None => format!("one of: {}", expected.join(", ")),
            };
            (format!("unknown value `{variant}`"), Some(remedy))
        }
        Saphyr::SerdeMissingField { field, .. } => {
            (format!("the key `{field}` is missing"), Some(format!("add `{field}:` beside what stands here")))
        }
        Saphyr::DuplicateMappingKey { key: Some(key), .. } => {
            (format!("the key `{key}` stands twice"), Some("take one of the two out".to_owned()))
        }
        other => in_our_words(first_line(&other.to_string())),
    };
    // So begins whatever a path's type says of a text that is none.
    let is_path = message.starts_with("path \"") || message == "a path is empty";
    let rule = is_path.then_some("P3");
    let remedy = if is_path { Some("write a path within its folder".to_owned()) } else { remedy };
    Problem { place, remedy, rule, ..Problem::whole(path, message) }
}

/// A parser's message without its own words for the place, which is told already, and in ours for forms.
fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    let line = line.rfind(" at line ").map_or(line, |place| &line[..place]);
    line.replace(
        "externally tagged enum expected scalar or mapping",
        "expected one word, or a key with its value",
    )
}

/// What a parser says of a value of the wrong kind, as its writer would say it, and what to write instead.
fn in_our_words(said: String) -> (String, Option<String>) {
    const KINDS: [(&str, &str, &str); 6] = [
        ("expected sequence start", "a list is expected here", "write it in brackets: `[a, b]`"),
        (
            "expected mapping start",
            "keys with values are expected here",
            "write each as `key: value` on a line of its own, or all in braces: `{key: value}`",
        ),
        ("expected string scalar", "one word or text is expected here", "write it between quotes"),
        ("invalid u", "this is no whole number, or one too large", "write digits alone"),
        ("invalid i", "this is no whole number, or one too large", "write digits alone"),
        ("non-finite float", "this is no finite number", "write an ordinary decimal number"),
    ];
    const FORMS: &str = "docs/bindings.md and docs/levers.md have the forms of each key";
    // Serde's own words begin alike, and name what they expect.
    let is_serdes = said.starts_with("invalid type") || said.starts_with("invalid value");
    match KINDS.iter().find(|(theirs, ..)| said.starts_with(theirs)).filter(|_| !is_serdes) {
        Some((_, ours, remedy)) => ((*ours).to_owned(), Some((*remedy).to_owned())),
        None => (said, Some(FORMS.to_owned())),
    }
}

fn line_of(text: &str, line: u64) -> String {
    text.lines().nth(line.saturating_sub(1) as usize).unwrap_or_default().to_owned()
}

/// The number of the line on which a dotted key stands, where it has a line of its own.
pub fn line_of_key(text: &str, key: &str) -> Option<u64> {
    find_key(text, key).map(|place| place.line)
}

/// The line on which a dotted key stands, by indentation: enough to point a reader there.
fn find_key(text: &str, key: &str) -> Option<Place> {
    let mut parts = key.split('.').peekable();
    let mut part = parts.next()?;
    let mut depth: Option<usize> = None;
    for (index, line) in text.lines().enumerate() {
        let content = line.trim_start();
        let indent = line.len() - content.len();
        let deep_enough = depth.is_none_or(|parent| indent > parent) && (depth.is_some() || indent == 0);
        let rest = content.strip_prefix(part).map(str::trim_start);
        if deep_enough && rest.is_some_and(|rest| rest.starts_with(':')) {
            match parts.next() {
                Some(next) => (part, depth) = (next, Some(indent)),
                None => {
                    let column = indent as u64 + 1;
                    return Some(Place { line: index as u64 + 1, column, text: line.to_owned() });
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_shared::bindings::Bindings;

    fn check(text: &str) -> (String, Option<String>) {
        let problem = parse::<Bindings>(Path::new("loop.run.yaml"), text).expect_err("must be refused");
        (problem.to_string(), problem.remedy())
    }

    const GOOD: &str = "metric: val_acc\nmetric_direction: maximize\nentrypoint: python3 train.py\n\
                        editable_files: [train.py]\ngate: time\nbudget: 0.2\n";

    #[test]
    fn a_wrong_key_is_named_with_line_column_and_the_nearest_right_one() {
        parse::<Bindings>(Path::new("x"), GOOD).expect("the positive control");
        let (message, remedy) = check(&format!("{GOOD}sandbox_rot: ./x\n"));
        assert_eq!(message, "loop.run.yaml:7:1: unknown key `sandbox_rot`\n7 | sandbox_rot: ./x\n  | ^");
        assert_eq!(remedy.as_deref(), Some("write `sandbox_root`"));
        let (message, remedy) = check(&format!("{GOOD}windlass:\n  fixs: 1\n"));
        assert!(message.starts_with("loop.run.yaml:8:3: unknown key `fixs`"), "{message}");
        assert_eq!(remedy.as_deref(), Some("write `fixes`"));
    }

    #[test]
    fn wrong_values_and_missing_keys_are_named() {
        let (message, remedy) = check(&GOOD.replace("maximize", "maximise"));
        assert!(message.starts_with("loop.run.yaml:2:19: unknown value `maximise`"), "{message}");
        assert_eq!(remedy.as_deref(), Some("write `maximize`"));
        let (message, remedy) = check(&GOOD.replace("budget: 0.2\n", ""));
        assert!(message.contains("the key `budget` is missing"), "{message}");
        assert_eq!(remedy.as_deref(), Some("add `budget:` beside what stands here"));
        let (message, _) = check(&GOOD.replace("gate: time", "gate: [time]"));
        assert!(message.starts_with("loop.run.yaml:5:7: expected one word, or a key"), "{message}");
        let (message, _) = check(&GOOD.replace("0.2", "soon"));
        assert!(message.starts_with("loop.run.yaml:6:9:") && !message.contains(" at line "), "{message}");
        let (message, _) = check(&format!("{GOOD}gate: time\n"));
        assert!(message.contains("`gate` stands twice"), "{message}");
        let (message, _) = check("metric: [");
        assert!(message.starts_with("loop.run.yaml:"), "{message}");
    }

    #[test]
    fn a_refused_value_is_found_again_in_its_file() {
        let text = format!("{GOOD}windlass:\n  analysis:\n    wait: 0 s\n  lanes: 0\n");
        let place = find_key(&text, "windlass.lanes").expect("found");
        assert_eq!((place.line, place.column), (10, 3));
        assert!(find_key(&text, "windlass.weight").is_none());
    }

    #[test]
    fn i18_what_has_no_end_is_given_up_after_so_many_bytes() {
        for endless in ["/dev/zero", "/dev/full"] {
            let said = read_text(Path::new(endless)).expect_err("it has no end").to_string();
            assert!(said.contains(endless) && said.contains("more than 4194304 bytes"), "{said}");
        }
    }
}
