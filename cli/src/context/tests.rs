//! A context of any size is whole, within its bytes, and names what it leaves out.

use super::budget::{MAX_BYTES_MIN, check_max_bytes, parse_max_bytes};
use super::facts::{Facts, File};
use super::{Form, sections, write};
use crate::history::test_story;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use windlass_shared::attempt::Kind;
use windlass_shared::claim::ClaimView;
use windlass_shared::id::IterationNumber;
use windlass_shared::view::{CampaignView, LeverView};

/// What attacks a document: fences, headings, quotes, control characters, characters of four bytes.
const ODD: &str = "```\n# x\n\"\\\u{1b}[2J\u{202e}\u{9b}🙂🙂` end ``` {\"a\":[1,2";

fn view(campaign: &str, text: &str) -> CampaignView {
    let view = json!({
        "campaign": campaign, "name": text, "created_wall_ms": 0, "state": {"state": "active"},
        "metric": text, "direction": "maximize", "tree": digest(), "best_tree": digest(),
        "best": null, "record": "0.5", "decided": {"keep": 1, "discard": 2, "crash": 3}, "queued": 9,
        "open": null, "waits_for": text, "recent": [],
        "lanes": [{"iteration": 7, "lever": 8, "title": text, "stage": text, "attempt": null,
            "wait": {"what": "fix", "until_wall_ms": 0, "problem": text, "remedy": text, "log_tail": text}}],
    });
    serde_json::from_value(view).expect("the current form")
}

fn digest() -> String {
    windlass_shared::digest::Digest::of(b"x").to_string()
}

fn lever(number: u32, title: &str, state: Value) -> LeverView {
    let view = json!({"lever": number, "title": title, "lever_kind": "change", "state": state, "passes": 2,
        "queued_wall_ms": 0});
    serde_json::from_value(view).expect("the current form")
}

/// A campaign of so many iterations of each sort, whose texts are so long.
fn claim(index: u32, text: &str) -> ClaimView {
    let claim = serde_json::json!({"researcher": text, "about": text, "dimensions": ["one", "two"],
        "files": ["train.py"], "left_ms": 60_000 * u64::from(index + 1)});
    serde_json::from_value(claim).expect("a claim")
}

fn facts(count: u32, length: usize) -> Facts {
    let text: String = ODD.chars().cycle().take(length).collect();
    let mut story = test_story();
    let samples: Vec<_> = story.iterations.values().cloned().collect();
    for number in 0..count {
        for sample in &samples {
            let mut iteration = sample.clone();
            iteration.number = IterationNumber(story.iterations.len() as u32 + 1);
            iteration.title.clone_from(&text);
            if let Some(decision) = &mut iteration.decision {
                decision.reason.clone_from(&text);
                decision.summary.clone_from(&text);
                decision.arithmetic.sentence.clone_from(&text);
                decision.arithmetic.gain = decision.arithmetic.metric.clone();
                if number % 3 == 0 && iteration.conclusion.is_some() {
                    decision.status = windlass_shared::conclusion::Status::Discard;
                }
            }
            for attempt in &mut iteration.attempts {
                if let Some(outcome) = attempt.outcome.as_mut().filter(|_| attempt.order.kind == Kind::Run) {
                    outcome.log_tail = text.repeat(3);
                }
            }
            if let Some(conclusion) = &mut iteration.conclusion {
                conclusion.finding.clone_from(&text);
                conclusion.bullets = vec![text.clone(); 8];
            }
            for row in &mut iteration.plan {
                row.question.clone_from(&text);
            }
            story.decided.push(iteration.number);
            story.iterations.insert(iteration.number, iteration);
        }
    }
    let file = |index: u32| File {
        iteration: IterationNumber(2),
        path: format!("{index}-{text}").chars().take(200).collect(),
        size_bytes: u64::from(index),
        text: index.is_multiple_of(2).then(|| text.repeat(9)),
    };
    let states = [json!({"state": "queued"}), json!({"state": "held", "reason": "needs_plan"})];
    let levers = (0..count * 2).map(|number| lever(number, &text, states[(number % 2) as usize].clone()));
    let campaign = format!("{}-0a1b2c", "x".repeat(40));
    Facts {
        view: view(&campaign, &text),
        levers: levers.collect(),
        story,
        dimensions: (0..count * 10).map(|index| format!("dimension-{index}")).collect(),
        claims: (0..count).map(|index| claim(index, &text)).collect(),
        files: (0..count).map(file).collect(),
        trouble: None,
        whole: format!("windlass context {campaign} --max-bytes 4194304"),
    }
}

/// What stands between two fences is closed, whatever it holds.
fn fences_are_closed(markdown: &str) -> bool {
    let mut open: Option<&str> = None;
    for line in markdown.lines() {
        let ticks = line.trim_start().split(|c| c != '`').next().unwrap_or_default();
        match open {
            None if ticks.len() >= 3 => open = Some(ticks),
            Some(fence) if line.trim() == fence => open = None,
            _ => {}
        }
    }
    open.is_none()
}

fn check(facts: &Facts, max_bytes: usize) {
    let all: Vec<(&str, usize)> =
        sections(facts).iter().map(|section| (section.name, section.total)).collect();
    let text = write(facts, Form::Json, max_bytes);
    assert!(text.len() <= max_bytes, "{} of {max_bytes}", text.len());
    let value: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{max_bytes}: {e} in {text}"));
    let cut: BTreeSet<&str> = value["cut"]
        .as_array()
        .expect("a list")
        .iter()
        .inspect(|cut| assert!(cut["command"].as_str().expect("a text").starts_with("windlass ")))
        .flat_map(|cut| cut["sections"].as_array().expect("a list"))
        .map(|name| name.as_str().expect("a text"))
        .collect();
    for (name, total) in &all {
        let shown = value[name].as_array().map_or(0, Vec::len);
        assert!(
            shown == *total || cut.contains(name),
            "{name} lacks entries and is not named at {max_bytes}"
        );
    }
    for needed in ["now", "next"] {
        assert!(
            !value[needed].as_array().map_or(&[][..], Vec::as_slice).is_empty(),
            "{needed} at {max_bytes}"
        );
    }
    let text = write(facts, Form::Markdown, max_bytes);
    assert!(text.len() <= max_bytes, "{} of {max_bytes}", text.len());
    assert!(fences_are_closed(&text), "{max_bytes}: {text}");
    assert!(text.contains("## Now") && text.contains("## What can be done next"), "{max_bytes}: {text}");
    assert!(!text.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{max_bytes}");
    for (name, total) in all {
        let heading = sections(facts).into_iter().find(|it| it.name == name).map_or("", |it| it.heading);
        assert!(total == 0 || text.contains(&format!("## {heading}\n")) || text.contains(name), "{name}");
    }
}

#[test]
fn a_context_of_any_size_is_whole_within_its_bytes_and_names_what_it_leaves_out() {
    for (count, length) in [(0, 1), (1, 3), (2, 40), (5, 300), (40, 5_000)] {
        let facts = facts(count, length);
        let small = (MAX_BYTES_MIN..6_000).step_by(211);
        for max_bytes in small.chain([8_192, 12_001, 24_576, 65_537, 1 << 20]) {
            check(&facts, max_bytes);
        }
    }
}

#[test]
fn more_bytes_never_tell_less_of_what_is_needed_most() {
    let facts = facts(5, 300);
    let newest = |max_bytes| {
        let value: Value = serde_json::from_str(&write(&facts, Form::Json, max_bytes)).expect("JSON");
        value["recent"].as_array().map_or(0, Vec::len)
    };
    assert!(newest(24_576) > newest(4_096), "{} and {}", newest(24_576), newest(4_096));
    let value: Value = serde_json::from_str(&write(&facts, Form::Json, 24_576)).expect("JSON");
    let numbers: Vec<u64> = value["recent"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|row| row["iteration"].as_u64())
        .collect();
    assert!(numbers.is_sorted_by(|a, b| a > b), "the newest first: {numbers:?}");
}

#[test]
fn a_small_campaign_is_told_whole() {
    let facts = facts(0, 10);
    let value: Value = serde_json::from_str(&write(&facts, Form::Json, 24_576)).expect("JSON");
    assert_eq!(value["cut"], json!([]));
    assert_eq!(value["crashes"][0]["iteration"], 3);
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"until \d\d:\d\d(:\d\d)?", "until [time]");
    settings.bind(|| insta::assert_snapshot!(write(&facts, Form::Markdown, 24_576)));
}

#[test]
fn a_size_below_the_least_is_refused_with_the_least() {
    for (text, want) in
        [("24 KiB", Ok(24_576)), ("2000", Ok(2_000)), ("2kb", Ok(2_000)), ("1 MiB", Ok(1 << 20))]
    {
        assert_eq!(parse_max_bytes(text), want, "{text}");
    }
    for text in ["0", "1999", "1 KiB", "", "-1", "much", "9 TiB"] {
        assert!(parse_max_bytes(text).is_err(), "{text}");
    }
    assert!(check_max_bytes(10).is_err_and(|problem| problem.contains("2000")));
}
