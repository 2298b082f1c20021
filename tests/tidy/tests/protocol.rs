//! docs/protocol.md explains every rule there is, and every rule by which anything is refused.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The rules of the protocol.
const RULES: u32 = 39;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn page() -> String {
    std::fs::read_to_string(repository().join("docs/protocol.md")).expect("the page")
}

/// Rule numbers in quotes in the sources below a folder, such as `"P12"`, which a refusal may carry.
fn named(folder: &Path, rules: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            named(&path, rules);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = std::fs::read_to_string(&path).expect("a source");
            let quoted = text.split('"').filter(|part| {
                let number = part.strip_prefix(['P', 'I']);
                number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
            });
            rules.extend(quoted.map(str::to_owned));
        }
    }
}

#[test]
fn every_rule_has_a_heading_of_its_own_and_says_something() {
    let page = page();
    let mut told = Vec::new();
    for section in page.split("\n### ").skip(1) {
        let (heading, text) = section.split_once('\n').unwrap_or((section, ""));
        let rule = heading.split(' ').next().unwrap_or_default();
        let text = text.split("\n## ").next().unwrap_or_default();
        assert!(text.trim().len() > 100, "{heading} explains nothing");
        told.push(rule.to_owned());
    }
    told.sort_by_key(|rule| rule[1..].parse::<u32>().unwrap_or(0));
    let want: Vec<String> = (1..=RULES).map(|number| format!("P{number}")).collect();
    assert_eq!(told, want);
}

#[test]
fn every_rule_that_a_refusal_names_is_explained() {
    let mut rules = BTreeSet::new();
    for folder in ["shared/src", "engine/src", "cli/src"] {
        named(&repository().join(folder), &mut rules);
    }
    assert!(rules.contains("P2") && rules.contains("I17"), "the sources name rules: {rules:?}");
    let page = page();
    let is_told =
        |rule: &&String| page.contains(&format!("### {rule} ")) || page.contains(&format!("| {rule} |"));
    let untold: Vec<&String> = rules.iter().filter(|rule| !is_told(rule)).collect();
    assert!(untold.is_empty(), "docs/protocol.md says nothing of {untold:?}");
}
