//! `findings add|list`: what they print, at widths of a terminal and with text that somebody else wrote, and how a
//! review of another shape is refused.

use super::Desk;
use super::fixture::Scene;
use serde_json::{Value, json};

fn lines(said: &str) -> Vec<&str> {
    said.lines().skip(1).take_while(|line| *line != "--- stderr").collect()
}

fn review(desk: &Desk, text: &str) {
    std::fs::write(desk.dir.path().join("review.json"), text).unwrap();
}

#[test]
fn p35_the_corpus_is_a_table_that_fits_and_says_where_each_finding_stands() {
    for columns in ["60", "80", "200"] {
        let desk = Desk { columns: Some(columns), ..Desk::new() };
        let said = desk.say(&["findings", "list", "digits"]);
        let limit: usize = columns.parse().unwrap();
        assert!(said.lines().all(|line| line.chars().count() <= limit), "at {columns} columns:\n{said}");
        let plain = said.split_whitespace().collect::<Vec<_>>().join(" ");
        for words in ["F1", "no-effect in", "F2", "rejected: its", "evidence is", "F3", "stale: it holds"] {
            assert!(plain.contains(words), "{words} at {columns} columns:\n{said}");
        }
    }
    let fresh = Desk::in_scene(Scene::Fresh);
    let said = fresh.say(&["findings", "list", "digits"]);
    assert_eq!(lines(&said), ["no findings yet: `windlass findings add C FILE` records a review"]);
}

#[test]
fn p34_each_finding_of_a_review_is_told_with_its_verdict() {
    let desk = Desk::new();
    review(&desk, r#"{"iteration": 2, "findings": []}"#);
    let said = desk.say(&["findings", "add", "digits", "review.json", "--scope", "mlp"]);
    let want = ["F1 kept, A Closer Look", "F2 rejected: its evidence is weak", "F3 kept, A Closer Look"];
    assert_eq!(lines(&said), want);
    assert!(said.ends_with("--- exit 0\n"), "{said}");
}

#[test]
fn p33_a_review_of_another_shape_is_refused_before_anything_is_sent() {
    let desk = Desk::unattended();
    let check = |text: &str, args: &[&str], want: &str, code: i32| {
        review(&desk, text);
        let said = desk.say(&[&["findings", "add", "digits", "review.json"], args].concat());
        assert!(said.contains(want) && said.ends_with(&format!("--- exit {code}\n")), "{said}");
    };
    check("{", &[], "the review: it is no JSON: EOF while parsing an object at line 1 column 1", 3);
    check(r#"{"findings": []}"#, &[], "the review at /iteration: is missing", 3);
    let claimless = json!({"iteration": 1, "findings": [{"question": "q"}]}).to_string();
    check(&claimless, &[], "finding 1 at /findings/0/abstraction_level: is missing", 3);
    check(
        r#"{"iteration": 1, "findings": []}"#,
        &["--scope", "1=mlp"],
        "names finding 1, and the review has 0",
        3,
    );
    check(r#"{"iteration": 1, "findings": []}"#, &["--scope", "A Net"], "invalid value 'A Net'", 2);
    review(&desk, "{");
    let output =
        desk.command(&["--output", "json", "findings", "add", "digits", "review.json"]).output().unwrap();
    let said: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!((&said["code"], &said["rule"]), (&json!("FINDING"), &json!("P33")));
    assert!(said["remedy"].as_str().unwrap().contains("docs/literature.md"), "{said}");
    // The control: it is sent, and nobody answers.
    check(r#"{"iteration": 1, "findings": []}"#, &[], "no coordinator is running", 5);
}
