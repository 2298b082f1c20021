//! Anchors: a pattern in an iteration's evidence, perhaps a comparison of what it captures (P6, P7).
//! Linear time, bounded memory, whatever the expression and whatever the file.

use regex::bytes::{Regex, RegexBuilder};
use std::ops::Range;
use windlass_shared::decimal::Decimal;
use windlass_shared::lever::Anchor;
use windlass_shared::refusal::Refusal;

/// The longest pattern.
pub const PATTERN_MAX_BYTES: usize = 1000;
/// The sizes that a compiled pattern may have, KiB. An ordinary pattern has less than 2; each `\w`, which knows
/// every alphabet, has about 64.
const PROGRAMS_KIB: [u64; 10] = [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
/// The most that is spent on looking a pattern up, KiB of its program × bytes looked at. A pattern built to be
/// slow costs each byte as many steps as its program has, which is about 60 ns for each KiB: a quarter
/// of a minute in the worst case. An ordinary pattern may look at 128 MiB.
const COST_MAX: u64 = 1 << 28;
/// What a longer line is cut to before it is matched.
const LINE_MAX_BYTES: usize = 64 << 10;
/// The most matches looked at in one line: a row of numbers, not a dump.
const MATCHES_PER_LINE_MAX: usize = 64;
/// The most characters of a pinned value.
const VALUE_MAX_CHARS: usize = 200;

/// What the evidence says to an anchor. Lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The pattern matches, and the comparison holds if there is one.
    Holds {
        /// Where.
        line: u64,
        /// The first capture, else the whole match.
        value: String,
    },
    /// The pattern matches, and what it captures does not satisfy the comparison.
    Contradicted {
        /// Where.
        line: u64,
        /// As for [`Finding::Holds`]; perhaps no number at all.
        value: String,
    },
    /// It matches more than once, and the matches differ in what they say: no value is the one that is meant.
    Several {
        /// The first match.
        line: u64,
        /// As for [`Finding::Holds`].
        value: String,
        /// The first that says something else.
        other_line: u64,
        /// What that says.
        other: String,
    },
    /// The pattern matches nowhere.
    NoMatch,
    /// The pattern is too large for as much evidence: nobody can say in time.
    TooCostly,
}

/// A compiled pattern, and what each byte that it looks at costs at most.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
    program_kib: u64,
}

/// What may still be spent on looking patterns up.
#[derive(Clone, Copy, Debug)]
pub struct Purse {
    left: u64,
}

impl Purse {
    /// A full one.
    pub fn full() -> Self {
        Self { left: COST_MAX }
    }

    /// Pays for looking at so many bytes; false when there is not enough left.
    pub fn pay(&mut self, pattern: &Pattern, bytes: usize) -> bool {
        // A line costs something however short it is.
        let cost = pattern.program_kib.saturating_mul(bytes as u64 + 1);
        match self.left.checked_sub(cost) {
            Some(left) => self.left = left,
            None => return false,
        }
        true
    }
}

impl Pattern {
    /// Whether it matches somewhere in these bytes.
    pub fn is_match(&self, bytes: &[u8]) -> bool {
        self.regex.is_match(bytes)
    }

    /// Whether it captures anything.
    pub fn has_group(&self) -> bool {
        self.regex.captures_len() > 1
    }

    /// Where its first group stands in the first match.
    pub fn first_group(&self, line: &[u8]) -> Option<Range<usize>> {
        self.regex.captures(line)?.get(1).map(|group| group.range())
    }
}

/// Refuses an anchor whose pattern is none or too large, or whose comparison has nothing to compare.
pub fn check_form(anchor: &Anchor) -> Result<(), Refusal> {
    let refuse = |field: &str, problem| Refusal::Lever { rule: "P6", field: field.to_owned(), problem };
    let pattern = compile(&anchor.pattern).map_err(|problem| refuse("anchor.pattern", problem))?;
    if anchor.compare.is_some() && pattern.regex.captures_len() < 2 {
        let problem = "needs a group `(…)` in the pattern, around the number that is compared";
        return Err(refuse("anchor.compare", problem.to_owned()));
    }
    Ok(())
}

/// Compiles a pattern of an anchor or a fix within its bounds; the error is a sentence.
pub fn compile(pattern: &str) -> Result<Pattern, String> {
    if pattern.is_empty() {
        return Err("is empty".to_owned());
    }
    if pattern.len() > PATTERN_MAX_BYTES {
        return Err(format!("has {} bytes; at most {PATTERN_MAX_BYTES} are taken", pattern.len()));
    }
    for program_kib in PROGRAMS_KIB {
        let limit = usize::try_from(program_kib << 10).unwrap_or(usize::MAX);
        match RegexBuilder::new(pattern).size_limit(limit).build() {
            Ok(regex) => return Ok(Pattern { regex, program_kib }),
            Err(regex::Error::CompiledTooBig(_)) => {}
            Err(error) => {
                // The last line of the several says what is wrong.
                let text = error.to_string();
                let line = text.lines().last().unwrap_or_default().trim();
                return Err(format!("is no regular expression: {}", line.trim_start_matches("error: ")));
            }
        }
    }
    Err("is too large once compiled; use smaller repetitions".to_owned())
}

/// Looks an anchor up in its evidence, line by line. Matches that say the same are one; where they differ,
/// the anchor says nothing ([`Finding::Several`]). A pattern that [`check_form`] refuses matches nowhere.
pub fn search(anchor: &Anchor, bytes: &[u8]) -> Finding {
    let Ok(pattern) = compile(&anchor.pattern) else {
        return Finding::NoMatch;
    };
    let mut purse = Purse::full();
    let mut first: Option<(u64, String)> = None;
    for (number, line) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = &line[..line.len().min(LINE_MAX_BYTES)];
        let mut matches = pattern.regex.captures_iter(line).take(MATCHES_PER_LINE_MAX);
        let mut ahead_bytes = line.len();
        loop {
            // Each match may look at all that is left of the line.
            if !purse.pay(&pattern, ahead_bytes) {
                return Finding::TooCostly;
            }
            let Some(captures) = matches.next() else { break };
            ahead_bytes = captures.get(0).map_or(0, |whole| line.len() - whole.end());
            let Some(found) = captures.get(1).or_else(|| captures.get(0)) else { continue };
            let value = presentable(found.as_bytes());
            match &first {
                None => first = Some((number, value)),
                Some((_, said)) if *said == value => {}
                Some((line, said)) => {
                    let (line, said) = (*line, said.clone());
                    return Finding::Several { line, value: said, other_line: number, other: value };
                }
            }
        }
    }
    match (first, &anchor.compare) {
        (None, _) => Finding::NoMatch,
        (Some((line, value)), Some(comparison))
            if !Decimal::parse(value.trim()).is_some_and(|figure| comparison.holds(&figure)) =>
        {
            Finding::Contradicted { line, value }
        }
        (Some((line, value)), _) => Finding::Holds { line, value },
    }
}

/// A value as the ledger keeps it: bounded, no control characters, invalid UTF-8 marked.
fn presentable(bytes: &[u8]) -> String {
    let bytes = &bytes[..bytes.len().min(4 * VALUE_MAX_CHARS)];
    let text = String::from_utf8_lossy(bytes);
    text.chars().take(VALUE_MAX_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_shared::lever::Comparison;
    use windlass_shared::path::TreePath;

    fn anchor(pattern: &str, compare: &str) -> Anchor {
        Anchor {
            file: TreePath::parse("loss.tsv").expect("path"),
            pattern: pattern.to_owned(),
            compare: (!compare.is_empty()).then(|| Comparison::parse(compare).expect(compare)),
            iteration: None,
        }
    }

    #[track_caller]
    fn check(pattern: &str, compare: &str, evidence: &[u8], want: Finding) {
        assert_eq!(search(&anchor(pattern, compare), evidence), want);
    }

    fn holds(line: u64, value: &str) -> Finding {
        Finding::Holds { line, value: value.to_owned() }
    }
    fn several((line, value): (u64, &str), (other_line, other): (u64, &str)) -> Finding {
        Finding::Several { line, value: value.to_owned(), other_line, other: other.to_owned() }
    }
    fn contradicted(line: u64, value: &str) -> Finding {
        Finding::Contradicted { line, value: value.to_owned() }
    }

    #[test]
    fn p6_the_pattern_is_found_line_by_line_with_its_first_capture() {
        let evidence = b"epoch\tloss\r\n1\t0.9\r\nfinal_slope\t-0.02\r\n";
        check(r"^final_slope\t(-?[0-9.]+)$", "", evidence, holds(3, "-0.02"));
        check(r"loss", "", evidence, holds(1, "loss"));
        check(r"epoch\tloss", "", evidence, holds(1, "epoch loss"));
        check(r"(x)?0\.9", "", evidence, holds(2, "0.9"));
        check(r"loss.*slope", "", evidence, Finding::NoMatch);
        check(r"(?-u:\xff)(\w+)", "", b"a\n\xff\xfe\xffok\n", holds(2, "ok"));
        check(r".", "", b"", Finding::NoMatch);
    }

    #[test]
    fn p6_matches_that_say_the_same_are_one_and_those_that_differ_say_nothing() {
        let evidence = b"err 8->1: 0.4\nerr 7->9: 0.2 err 3->5: 0.1\nerr 2->2: 0.4\nerr x: many\n";
        check(r"err [28]\S+: (\S+)", "== 0.40", evidence, holds(1, "0.4"));
        check(r"err [28]\S+: (\S+)", "> 0.5", evidence, contradicted(1, "0.4"));
        check(r"err 3->5: (\S+)", "< 0.15", evidence, holds(2, "0.1"));
        check(r"err \d->", "", evidence, several((1, "err 8->"), (2, "err 7->")));
        check(r"err (?:7|3)->\d: (\S+)", "", evidence, several((2, "0.2"), (2, "0.1")));
        // One that some match satisfies, and others do not, is no evidence for anything.
        check(r"err \d->\d: (\S+)", "< 0.3", evidence, several((1, "0.4"), (2, "0.2")));
        check(r"err x: (\w+)", "> 0.5", evidence, contradicted(4, "many"));
        check(r"nothing (\d)", "> 0.5", evidence, Finding::NoMatch);
    }

    #[test]
    fn p6_a_pattern_built_to_be_slow_is_given_up_and_an_ordinary_one_is_not() {
        let line = "ab".repeat(500) + "\n";
        let evidence = (line.repeat(4000) + "loss 7\n").into_bytes();
        check("[ab]*a[ab]{9000}c", "", &evidence, Finding::TooCostly);
        check(r"(?:\w+ )+(\w+)=", "", &evidence, Finding::TooCostly);
        check(r"loss ([0-9]+)", "> 0", &evidence, holds(4001, "7"));
        check(r"(?-u:\w)+ ([0-9]+)", "> 0", &evidence, holds(4001, "7"));
        check("[ab]*a[ab]{9000}c", "", &line.into_bytes(), Finding::NoMatch);
    }

    #[test]
    fn p6_a_million_matches_are_looked_through_for_one_that_differs() {
        let mut evidence = "x 1 x 1\n".repeat(500_000).into_bytes();
        check(r"x ([0-9])", "> 5", &evidence, contradicted(1, "1"));
        check(r"x ([0-9])", "< 5", &evidence, holds(1, "1"));
        evidence.extend(b"x 9\n");
        check(r"x ([0-9])", "< 5", &evidence, several((1, "1"), (500_001, "9")));
        // On one line only so many are looked at.
        check("(x)", "> 5", "x".repeat(1 << 20).as_bytes(), contradicted(1, "x"));
    }

    #[test]
    fn p6_what_is_pinned_is_bounded_and_without_control_characters() {
        let long = "é".repeat(1000);
        check("^.*$", "", long.as_bytes(), holds(1, &"é".repeat(200)));
        check("(?s-u)a.*z", "", b"a\x1b[31m\xffz", holds(1, "a [31m\u{fffd}z"));
        let mut line = vec![b'x'; 64 << 10];
        line.extend(b"needle\nneedle");
        check("needle", "", &line, holds(2, "needle"));
    }

    #[test]
    fn p6_a_pattern_that_is_none_or_too_large_is_refused() {
        assert_eq!(check_form(&anchor(r"slope\t(\S+)", "< 1")), Ok(()));
        assert_eq!(check_form(&anchor(r"slope", "")), Ok(()));
        let long = "x".repeat(PATTERN_MAX_BYTES + 1);
        for (pattern, compare, at, what) in [
            ("", "", "anchor.pattern", "empty"),
            ("(", "", "anchor.pattern", "no regular expression"),
            (r"(a)\1", "", "anchor.pattern", "no regular expression"),
            ("(?:a{1000}){1000}", "", "anchor.pattern", "too large"),
            (long.as_str(), "", "anchor.pattern", "at most"),
            (r"slope\t\S+", "< 1", "anchor.compare", "group"),
            (r"(?:slope)", "< 1", "anchor.compare", "group"),
        ] {
            match check_form(&anchor(pattern, compare)) {
                Err(Refusal::Lever { rule: "P6", field, problem }) => {
                    assert_eq!(field, at);
                    assert!(problem.contains(what), "{problem}");
                }
                other => panic!("{pattern:?} gave {other:?}"),
            }
        }
    }
}
