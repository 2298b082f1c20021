//! Text that came from a run, a lever or a worker reaches no terminal with a control byte in it.

use super::fixture::Scene;
use super::{Desk, PAGES};

/// What is left once our own colours are taken out; only a line feed may be a control character then.
fn controls(said: &str) -> Vec<char> {
    let mut plain = String::new();
    let mut rest = said;
    while let Some(at) = rest.find("\u{1b}[") {
        plain.push_str(&rest[..at]);
        let body = &rest[at + 2..];
        let end = body.find(|c: char| !c.is_ascii_digit() && c != ';').unwrap_or(body.len());
        // Only the end of a colour is skipped; anything else is left for the reader below.
        if !body[end..].starts_with('m') {
            plain.push('\u{1b}');
        }
        rest = body[end..].strip_prefix('m').unwrap_or(body);
    }
    plain.push_str(rest);
    let is_harmful = |c: &char| (c.is_control() && *c != '\n') || matches!(c, '\u{202a}'..='\u{202e}');
    plain.chars().filter(is_harmful).collect()
}

#[test]
fn control_bytes_of_others_reach_no_terminal() {
    let desk = Desk::in_scene(Scene::Hostile);
    let more: [&[&str]; 4] = [
        &["report", "digits"],
        &["show", "digits", "1"],
        &["lever", "show", "digits", "L4"],
        &["status", "nope"],
    ];
    let mut seen = 0;
    // What a file holds is handed to a pipe as it is; a terminal is shown safe text.
    for args in PAGES.iter().chain(&more).filter(|args| !matches!(args[0], "get" | "diff")) {
        let said = desk.say(&[&["--color", "always"], *args].concat());
        assert!(controls(&said).is_empty(), "{args:?}\n{said:?}");
        seen += usize::from(said.contains("]0;owned"));
    }
    for args in PAGES {
        let said = desk.say(&[&["--output", "json"], args].concat());
        assert!(controls(&said).is_empty(), "{args:?} as JSON\n{said:?}");
    }
    assert!(seen > 10, "the hostile text itself is shown, made safe: {seen}");
}

#[test]
fn the_reader_of_control_bytes_sees_them() {
    assert!(controls("\u{1b}[1mbold\u{1b}[0m\n").is_empty());
    assert_eq!(controls("a\u{7}b\u{1b}[2Jc\u{9b}"), ['\u{7}', '\u{1b}', '\u{9b}']);
}
