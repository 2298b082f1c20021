//! Anchors: a pattern in an iteration's evidence, perhaps a comparison of what it captures (P6, P7).
//! Linear time, bounded memory, whatever the expression and whatever the file.

use regex::bytes::{Regex, RegexBuilder};
use windlass_shared::decimal::Decimal;
use windlass_shared::lever::Anchor;
use windlass_shared::refusal::Refusal;

/// The longest pattern.
pub const PATTERN_MAX_BYTES: usize = 1000;
/// The most memory of a compiled pattern.
const PROGRAM_MAX_BYTES: usize = 1 << 20;
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
    /// The pattern matches, and no match satisfies the comparison: the first of them.
    Contradicted {
        /// Where.
        line: u64,
        /// As for [`Finding::Holds`]; perhaps no number at all.
        value: String,
    },
    /// The pattern matches nowhere.
    NoMatch,
}

/// Refuses an anchor whose pattern is none or too large, or whose comparison has nothing to compare.
pub fn check_form(anchor: &Anchor) -> Result<(), Refusal> {
    let refuse = |field: &str, problem| Refusal::Lever { rule: "P6", field: field.to_owned(), problem };
    let pattern = compile(&anchor.pattern).map_err(|problem| refuse("anchor.pattern", problem))?;
    if anchor.compare.is_some() && pattern.captures_len() < 2 {
        let problem = "needs a group `(…)` in the pattern, around the number that is compared";
        return Err(refuse("anchor.compare", problem.to_owned()));
    }
    Ok(())
}

/// Compiles a pattern of an anchor or a fix within its bounds; the error is a sentence.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    if pattern.is_empty() {
        return Err("is empty".to_owned());
    }
    if pattern.len() > PATTERN_MAX_BYTES {
        return Err(format!("has {} bytes; at most {PATTERN_MAX_BYTES} are taken", pattern.len()));
    }
    let built = RegexBuilder::new(pattern).size_limit(PROGRAM_MAX_BYTES).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "is too large once compiled; use smaller repetitions".to_owned(),
        // The last line of the several says what is wrong.
        error => {
            let text = error.to_string();
            let line = text.lines().last().unwrap_or_default().trim();
            format!("is no regular expression: {}", line.trim_start_matches("error: "))
        }
    })
}

/// Looks an anchor up in its evidence, line by line. The first match that satisfies the comparison
/// counts. A pattern that [`check_form`] refuses matches nowhere.
pub fn search(anchor: &Anchor, bytes: &[u8]) -> Finding {
    let Ok(pattern) = compile(&anchor.pattern) else {
        return Finding::NoMatch;
    };
    let mut contradicted = None;
    for (number, line) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = &line[..line.len().min(LINE_MAX_BYTES)];
        for captures in pattern.captures_iter(line).take(MATCHES_PER_LINE_MAX) {
            let Some(found) = captures.get(1).or_else(|| captures.get(0)) else { continue };
            let value = presentable(found.as_bytes());
            let Some(comparison) = &anchor.compare else {
                return Finding::Holds { line: number, value };
            };
            if Decimal::parse(value.trim()).is_some_and(|figure| comparison.holds(&figure)) {
                return Finding::Holds { line: number, value };
            }
            contradicted.get_or_insert(Finding::Contradicted { line: number, value });
        }
    }
    contradicted.unwrap_or(Finding::NoMatch)
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
    fn p6_the_first_match_that_satisfies_the_comparison_counts() {
        let evidence = b"err 8->1: 0.4\nerr 7->9: 0.2 err 3->5: 0.1\nerr x: many\n";
        check(r"err \S+: (\S+)", "< 0.3", evidence, holds(2, "0.2"));
        check(r"err \S+: (\S+)", "< 0.15", evidence, holds(2, "0.1"));
        check(r"err \S+: (\S+)", "== 0.40", evidence, holds(1, "0.4"));
        check(r"err \S+: (\S+)", "> 0.5", evidence, contradicted(1, "0.4"));
        check(r"err x: (\w+)", "> 0.5", evidence, contradicted(3, "many"));
        check(r"nothing (\d)", "> 0.5", evidence, Finding::NoMatch);
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
