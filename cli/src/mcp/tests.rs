//! What hosts rely on: names and order of the tools, schemas that refuse what they do not know, pages that
//! are bounded and lose nothing, texts that cannot act or hide.

use super::catalogue::TOOLS;
use super::output::{LIST_BYTES, PAGE_BYTES, Page, encode, list, plain, result};
use super::parts;
use crate::error::Error;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use windlass_shared::refusal::Refusal;

#[test]
fn the_tools_have_stable_names_in_a_stable_order_and_are_at_most_fourteen() {
    let names = TOOLS.map(|tool| tool.name).join(" ");
    let want = "context propose queue status wait log metrics file diff analyze fix conclude findings report";
    assert_eq!(names, want, "names and order are what hosts and prompts rely on");
}

#[test]
fn every_input_has_a_schema_that_describes_each_field_and_knows_no_other() {
    for tool in TOOLS {
        let described = serde_json::to_value(tool.described()).expect("JSON");
        let schema = &described["inputSchema"];
        assert_eq!(schema["type"], "object", "{}", tool.name);
        assert_eq!(schema["additionalProperties"], json!(false), "{}", tool.name);
        let fields = schema["properties"].as_object().expect("fields");
        assert!(!fields.is_empty(), "{}", tool.name);
        for (field, said) in fields {
            assert!(said["description"].is_string(), "{}.{field}", tool.name);
        }
        assert_eq!(tool.changes, fields.contains_key("request_id"), "{}", tool.name);
        assert_eq!(tool.changes, fields.contains_key("dry_run"), "{}", tool.name);
        assert_eq!(described["annotations"]["readOnlyHint"], json!(!tool.changes), "{}", tool.name);
    }
}

/// All pages of a text, joined.
fn joined(text: &str) -> String {
    let (mut all, mut cursor) = (String::new(), None);
    loop {
        let page = Page::of(text, cursor.as_deref()).expect("a page");
        assert!(page.text.len() <= PAGE_BYTES);
        all.push_str(&page.text);
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => return all,
        }
    }
}

#[test]
fn pages_of_a_text_are_bounded_and_lose_nothing() {
    let lines: String = (0..9_000).map(|n| format!("line {n} 🙂é\n")).collect();
    for text in
        ["", "a", "🙂", &lines, &"é".repeat(40_000), &"x".repeat(PAGE_BYTES), &"x".repeat(PAGE_BYTES + 1)]
    {
        assert!(joined(text) == *text, "{} bytes", text.len());
    }
    assert!(Page::of(&lines, None).expect("a page").text.ends_with('\n'), "whole lines where a line fits");
    // A cursor from elsewhere gives a page or a refusal, never a panic.
    for cursor in ["3", "99999999", "18446744073709551615"] {
        assert!(Page::of("🙂🙂", Some(cursor)).is_ok(), "{cursor}");
    }
    for cursor in ["-1", "x", "99999999999999999999999"] {
        assert_eq!(Page::of("x", Some(cursor)).expect_err(cursor).to_report().code, "INPUT", "{cursor}");
    }
}

#[test]
fn pages_of_a_list_are_bounded_and_lose_nothing() {
    let items: Vec<Value> = (0..2_000).map(|n| json!({"n": n, "text": "x".repeat(n % 300)})).collect();
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let (page, next) = list(&items, cursor.as_deref()).expect("a page");
        let bytes: usize = page.iter().map(|item| item.to_string().len()).sum();
        assert!(bytes <= LIST_BYTES && !page.is_empty());
        all.extend(page);
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(all, items);
    let huge = [json!("x".repeat(LIST_BYTES * 2)), json!(1)];
    assert_eq!(
        list(&huge, None).expect("a page").0.len(),
        1,
        "one item that is too long is a page of its own"
    );
}

#[test]
fn what_acts_on_a_terminal_turns_text_around_or_hides_in_it_is_taken_out() {
    let odd = "a\u{1b}[2J\u{202e}b\u{e0041}\u{200b}c\u{9b}\td\n";
    assert_eq!(plain(odd), "a[2Jbc\td\n");
    let value = encode(&json!({"k\u{1b}": [odd, {"x": odd}], "n": 1})).expect("JSON");
    assert_eq!(value, json!({"k": ["a[2Jbc\td\n", {"x": "a[2Jbc\td\n"}], "n": 1}));
}

#[test]
fn a_refusal_is_a_result_with_rule_reason_and_remedy() {
    let told = result(Err(Error::from(Refusal::Frozen { path: "evaluate.py".to_owned() })));
    assert_eq!(told.is_error, Some(true));
    let value = told.structured_content.expect("a document");
    assert_eq!((&value["code"], &value["rule"]), (&json!("FROZEN_FILE"), &json!("P2")));
    assert!(value["message"].is_string() && value["remedy"].is_string());
    let told = result(Ok(json!({"x": "y".repeat(1 << 20)})));
    assert_eq!(told.is_error, Some(true), "an answer past the bound is a refusal that says so");
}

#[test]
fn a_lever_of_texts_becomes_files_that_stay_inside_their_folder_and_go_again() {
    let parts = BTreeMap::from([("a.patch".to_owned(), "--- a\n".to_owned())]);
    let (folder, path) = parts::lever("title: t\n", &parts).expect("written");
    let home = path.parent().expect("a folder").to_owned();
    assert_eq!(std::fs::read_to_string(home.join("a.patch")).expect("read"), "--- a\n");
    drop(folder);
    assert!(!home.exists());
    for name in ["../x", "/x", "a/../../x", "", "lever.yaml"] {
        let parts = BTreeMap::from([(name.to_owned(), String::new())]);
        assert_eq!(parts::lever("t", &parts).expect_err(name).to_report().code, "INPUT", "{name:?}");
    }
    let many = (0..65).map(|n| (n.to_string(), String::new())).collect();
    assert!(parts::lever("t", &many).is_err());
}
