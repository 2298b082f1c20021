//! The planted faults of `tests/mutants` are of use only while they fit: an edit elsewhere must not leave one
//! behind in silence. That each is found is for `run.sh` and `rules.sh`, which build it; this only reads.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The rules of the protocol.
const RULES: u32 = 39;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The patches, by name, with their text.
fn patches() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(repository().join("tests/mutants")).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|end| end == "patch") {
            let name = path.file_stem().and_then(|name| name.to_str()).expect("a UTF-8 name").to_owned();
            found.push((name, std::fs::read_to_string(&path).expect("a patch")));
        }
    }
    found.sort();
    assert!(!found.is_empty(), "there are planted faults");
    found
}

/// The rule that a patch takes out, where it is of `rules.sh`: `p07-…` is rule 7.
fn rule(name: &str) -> Option<u32> {
    name.strip_prefix('p')?.get(..2)?.parse().ok()
}

/// The texts of all sources below a folder, one after the other.
fn sources(folder: &Path, texts: &mut String) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, texts);
        } else if path.extension().is_some_and(|end| end == "rs") {
            texts.push_str(&std::fs::read_to_string(&path).expect("a source"));
        }
    }
}

#[test]
fn every_planted_fault_applies_to_the_sources_as_they_are() {
    let mut stale = Vec::new();
    for (name, _) in patches() {
        let patch = format!("tests/mutants/{name}.patch");
        // As `run.sh` and `rules.sh` apply them.
        let mut git = Command::new("git");
        git.args(["apply", "--check", "-C1", &patch]).current_dir(repository());
        let said = git.output().expect("git is there");
        if !said.status.success() {
            stale.push(format!("{name}: {}", String::from_utf8_lossy(&said.stderr).trim_end()));
        }
    }
    assert!(stale.is_empty(), "make these anew after the edit that they describe:\n{}", stale.join("\n"));
}

#[test]
fn every_rule_has_a_planted_fault_and_each_names_a_test_of_its_rule_that_is_there() {
    let patches = patches();
    let absent: Vec<u32> =
        (1..=RULES).filter(|number| patches.iter().all(|(name, _)| rule(name) != Some(*number))).collect();
    assert!(absent.is_empty(), "rules that no planted fault takes out: {absent:?}");
    let mut texts = String::new();
    for folder in ["shared", "engine", "coordinator", "worker", "cli"] {
        for part in ["src", "tests"] {
            let folder = repository().join(folder).join(part);
            if folder.is_dir() {
                sources(&folder, &mut texts);
            }
        }
    }
    let mut wrong = Vec::new();
    for (name, text) in &patches {
        let Some(rule) = rule(name) else { continue };
        let line = text.lines().find_map(|line| line.strip_prefix("test: ")).unwrap_or_default();
        let test = line.rsplit([':', ' ']).next().unwrap_or_default();
        // A test of `processes` is a row of a table, under its name.
        let is_there = !test.is_empty()
            && (texts.contains(&format!("fn {test}()")) || texts.contains(&format!("\"{test}\"")));
        let names_it = format!("_{test}").contains(&format!("_p{rule}_"));
        let asks = text.contains(&format!("planted(\"{name}\")"));
        if !(is_there && names_it && asks) {
            wrong.push(format!("{name}: {line:?}: there {is_there}, names P{rule} {names_it}, asks {asks}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
