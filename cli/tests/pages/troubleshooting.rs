//! docs/troubleshooting.md has a heading for every code that a user can meet, and words of every message. Codes
//! and messages are read from the sources, so that a new one without its place fails here.

use std::collections::BTreeSet;

const PAGE: &str = include_str!("../../../docs/troubleshooting.md");
const REFUSAL: &str = include_str!("../../../shared/src/refusal.rs");
const ERROR: &str = include_str!("../../src/error.rs");
const IDENTITY: &str = include_str!("../../src/error/identity.rs");
const PRINT: &str = include_str!("../../src/error/print.rs");
const ATTEMPT: &str = include_str!("../../../shared/src/attempt.rs");

/// Sources whose messages reach people.
const MESSAGES: [(&str, &str); 7] = [
    ("shared/src/refusal.rs", REFUSAL),
    ("cli/src/error.rs", ERROR),
    ("cli/src/branches/repository.rs", include_str!("../../src/branches/repository.rs")),
    ("coordinator/src/upkeep/error.rs", include_str!("../../../coordinator/src/upkeep/error.rs")),
    ("coordinator/src/ledger/error.rs", include_str!("../../../coordinator/src/ledger/error.rs")),
    ("worker/src/error.rs", include_str!("../../../worker/src/error.rs")),
    ("coordinator/src/grpc/listen.rs", include_str!("../../../coordinator/src/grpc/listen.rs")),
];

/// The texts between quotes in the body of a function.
fn texts_in<'a>(source: &'a str, function: &str) -> Vec<&'a str> {
    let (_, body) = source.split_once(function).unwrap_or_else(|| panic!("no {function}"));
    let end = body.find("\n    }\n").expect("the method's end");
    body[..end].split('"').skip(1).step_by(2).collect()
}

fn is_code(text: &&str) -> bool {
    text.len() > 2
        && !text.starts_with("WINDLASS_")
        && text.chars().all(|c| c.is_ascii_uppercase() || c == '_')
}

/// Every code: refusals', the client's own, and those of calls that came to nothing.
fn codes() -> BTreeSet<&'static str> {
    let mut codes: BTreeSet<&str> = texts_in(REFUSAL, "pub fn reason(&self)").into_iter().collect();
    codes.extend(texts_in(ERROR, "fn code(&self)"));
    codes.extend(texts_in(IDENTITY, "pub fn code(self)"));
    codes.extend(PRINT.split('"').skip(1).step_by(2).filter(is_code));
    codes.extend(["UNAVAILABLE", "CANCELLED", "UNKNOWN", "DEADLINEEXCEEDED", "UNAUTHENTICATED"]);
    codes.extend(["INTERNAL", "DATALOSS", "RESOURCEEXHAUSTED", "UNIMPLEMENTED"]);
    codes
}

fn headings() -> BTreeSet<&'static str> {
    let lines = PAGE.lines().filter_map(|line| line.strip_prefix("### "));
    lines.flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
}

/// The messages of `#[error(…)]`, each as the words that stand between its figures.
fn messages(source: &str) -> Vec<String> {
    let attributes = source.split("#[error(").skip(1).filter_map(|rest| {
        let (before, rest) = rest.split_once('"')?;
        before.trim().is_empty().then_some(rest)
    });
    let mut found = Vec::new();
    for rest in attributes {
        let mut text = String::new();
        let mut characters = rest.chars();
        while let Some(character) = characters.next() {
            match character {
                '"' => break,
                '\\' => match characters.next() {
                    // A line that goes on below.
                    Some('\n') => text.push(' '),
                    Some(other) => text.push(other),
                    None => break,
                },
                other => text.push(other),
            }
        }
        found.push(text);
    }
    found
}

/// The longest run of words without a figure.
fn words_of(message: &str) -> String {
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for character in message.chars() {
        match character {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                parts.push(String::new());
            }
            _ if depth == 0 => parts.last_mut().expect("one at least").push(character),
            _ => {}
        }
    }
    let flat = |part: &String| part.split_whitespace().collect::<Vec<_>>().join(" ");
    let trimmed = |part: String| part.trim_matches([' ', ':', ';', ',', '.', '(', ')', '`', '-']).to_owned();
    parts.iter().map(flat).map(trimmed).max_by_key(String::len).unwrap_or_default()
}

#[test]
fn every_code_has_a_heading_and_every_heading_a_code() {
    let (codes, headings) = (codes(), headings());
    assert!(codes.contains("FROZEN_FILE") && codes.contains("USAGE") && codes.contains("NO_COORDINATOR"));
    let missing: Vec<_> = codes.difference(&headings).collect();
    assert!(
        missing.is_empty(),
        "write `### CODE` with cause and remedy in docs/troubleshooting.md: {missing:?}"
    );
    let gone: Vec<_> = headings.difference(&codes).collect();
    assert!(gone.is_empty(), "docs/troubleshooting.md has codes that nothing answers with: {gone:?}");
}

#[test]
fn every_message_can_be_found_by_its_words() {
    let page = PAGE.split_whitespace().collect::<Vec<_>>().join(" ").replace('`', "");
    let mut missing = Vec::new();
    for (path, source) in MESSAGES {
        let messages = messages(source);
        assert!(messages.len() > 3, "{path} has messages");
        for message in messages {
            let words = words_of(&message).replace('`', "");
            // A message that is all figures has nothing to look for.
            if words.len() > 3 && !page.contains(&words) {
                missing.push(format!("{path}: {words:?} of {message:?}"));
            }
        }
    }
    assert!(missing.is_empty(), "not in docs/troubleshooting.md:\n{}", missing.join("\n"));
}

#[test]
fn every_ending_is_explained() {
    let endings = texts_in(ATTEMPT, "impl Ending {");
    assert!(endings.contains(&"finished") && endings.len() > 8, "{endings:?}");
    let missing: Vec<_> =
        endings.into_iter().filter(|ending| !PAGE.contains(&format!("| `{ending}` |"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_words_of_a_message_are_the_longest_without_figures() {
    let check = |message: &str, want: &str| assert_eq!(words_of(message), want, "{message}");
    check("blob {digest} is not in the store", "is not in the store");
    check("{what} is {state}; {wanted}", "is");
    check("failed to {operation} {}", "failed to");
    assert_eq!(messages("#[error(\n  \"a {x} \\\n   b\", y)] #[error(transparent)]"), ["a {x}     b"]);
}
