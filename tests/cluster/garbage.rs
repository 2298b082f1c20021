//! `gc` in a life of its own: what it says it would do is what it does; nothing that is pinned, unfinished or
//! the best is touched; and what is gone is said to be gone, with the day and the rule.

use crate::harness::{Daemon, Fleet};
use crate::project::Project;
use serde_json::Value;
use std::path::Path;

/// Every retention is over at once.
const AT_ONCE: [&str; 4] = ["--older-than", "0", "--logs-older-than", "0"];

fn text(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

fn gc(fleet: &Fleet, args: &[&str]) -> Value {
    fleet.json(&[&["gc"], args].concat())
}

/// What a collection says, whether it was a dry one left out.
fn told(mut collected: Value) -> Value {
    collected.as_object_mut().expect("an object").remove("dry_run");
    collected
}

/// A stopped campaign with a best, a loser and a baseline, and an open one whose first run waits for a mark.
fn two_campaigns(fleet: &Fleet) -> (String, String) {
    let marks = fleet.path("marks");
    std::fs::create_dir(&marks).expect("a folder");
    let env = format!("  env: {{MARKS: {}}}\n", marks.display());
    // More than fits the ledger's own file: results of both stores.
    let script = "while [ -e \"$MARKS/hold\" ]; do sleep 0.05; done\n\
                  i=0; while [ $i -lt 9000 ]; do echo \"$i $VALUE\"; i=$((i + 1)); done > \"$WINDLASS_RESULTS/large.tsv\"\n\
                  echo \"val: $VALUE\"";
    let project = Project::default().run(script).windlass(&env).write(&fleet.path("project"));
    Project::lever(&project, "a", "0.75");
    Project::lever(&project, "b", "0.3");
    let ended = fleet.submit(&project, false);
    fleet.wait_decided(&ended, 1);
    for (name, iteration) in [("a", 2), ("b", 3)] {
        fleet.ok(&["lever", "add", &ended, text(&project.join(format!("levers/{name}.yaml")))]);
        fleet.wait_decided(&ended, iteration);
    }
    fleet.ok(&["stop", &ended]);
    std::fs::write(marks.join("hold"), "").expect("a mark");
    std::fs::remove_dir_all(project.join("levers")).expect("no levers");
    let open = fleet.submit(&project, false);
    fleet.wait_until("its run is there", || {
        fleet.json(&["status", &open])["open"]["attempt"]["phase"] == "running"
    });
    (ended, open)
}

/// Lets every pin seem this much older; the coordinator is not running.
fn age_pins(fleet: &Fleet, hours: i64) {
    let database = rusqlite::Connection::open(fleet.data_dir().join("ledger.sqlite3")).expect("a ledger");
    let aged = database.execute("UPDATE blobs SET pinned_ms = pinned_ms - ?1", [hours * 3_600_000]);
    assert!(aged.expect("aged") > 0);
    let mut folders = vec![fleet.data_dir().join("blobs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("blobs").flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let file = std::fs::File::options().append(true).open(entry.path()).expect("a blob");
            let modified = file.metadata().and_then(|meta| meta.modified()).expect("a time");
            let age = std::time::Duration::from_secs(hours.unsigned_abs() * 3600);
            file.set_modified(modified - age).expect("aged");
        }
    }
}

fn restart(fleet: &Fleet, coordinator: Daemon, between: impl FnOnce(&Fleet)) -> Daemon {
    coordinator.terminate();
    between(fleet);
    fleet.coordinator()
}

/// What `get` says of a path: its exit code and its talk.
fn get(fleet: &Fleet, campaign: &str, iteration: &str, path: &str) -> (Option<i32>, String) {
    let output = fleet.client(&["get", campaign, iteration, path]);
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn gc_does_what_its_dry_run_says_and_touches_nothing_pinned_unfinished_or_best() {
    let fleet = Fleet::new();
    let coordinator = fleet.coordinator();
    let _worker = fleet.worker("w");
    let (ended, open) = two_campaigns(&fleet);
    let nothing = gc(&fleet, &[]);
    assert_eq!((&nothing["evidence_count"], &nothing["blobs"]), (&0.into(), &0.into()), "kept for ever");
    let before = fleet.exported(&[]);

    let dry = gc(&fleet, &[&AT_ONCE[..], &["--dry-run"]].concat());
    assert_eq!(fleet.exported(&[]), before, "a dry run records nothing");
    let parts: Vec<String> = dry["evidence"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|part| format!("{} {} {}", part["campaign"], part["iteration"], part["evidence"]))
        .collect();
    let ended_json = Value::from(ended.as_str());
    let wanted = ["1 \"logs\"", "1 \"outputs\"", "3 \"logs\"", "3 \"outputs\""];
    let mut parts = parts;
    parts.sort();
    assert_eq!(parts, wanted.map(|part| format!("{ended_json} {part}")), "neither the best nor what is open");
    assert_eq!(dry["blobs"], 0, "all of them were written within 48 h");
    assert!(dry["pinned_blobs"].as_u64() > Some(0), "{dry}");
    assert!(dry["logs"].as_u64() > Some(0), "{dry}");
    assert_eq!(told(gc(&fleet, &AT_ONCE)), told(dry), "what it said is what it did");

    // What is gone is told as gone, by everything that could ask for it.
    for (path, part) in [("results/large.tsv", "outputs"), ("results", "outputs"), ("run.log", "logs")] {
        let (code, said) = get(&fleet, &ended, "3", path);
        assert_eq!(code, Some(4), "{path}: {said}");
        let sentence = format!("the {part} of iteration 3 were removed on ");
        let flat = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(&sentence) && flat.contains(&format!(": {part} are kept for 0")), "{said}");
    }
    let (_, said) = get(&fleet, &ended, "3", "results/never.tsv");
    assert!(said.contains("removed on"), "nobody knows any more what was there: {said}");
    let logs = fleet.client(&["logs", &ended, "3"]);
    assert!(String::from_utf8_lossy(&logs.stderr).contains("removed on"));
    assert_eq!(get(&fleet, &ended, "2", "results/large.tsv").0, Some(0), "the best has everything");
    assert_eq!(get(&fleet, &ended, "3", "params.sh").0, Some(0), "P28: a tree is never removed");
    let files = fleet.json(&["files", &ended, "3"]);
    assert_eq!(files["removed"].as_array().map(Vec::len), Some(2));
    assert!(fleet.ok(&["show", &ended, "3"]).contains("Evidence that is gone"));
    fleet.ok(&["sync", &ended, text(&fleet.path("copy"))]);
    assert!(fleet.path("copy/iter2/results/large.tsv").is_file());
    assert!(!fleet.path("copy/iter3/results").exists() && fleet.path("copy/iter3/change.patch").is_file());

    // 48 h after the last that asked for them the blobs go, and not before.
    let coordinator = restart(&fleet, coordinator, |fleet| age_pins(fleet, 47));
    assert_eq!(gc(&fleet, &["--dry-run"])["blobs"], 0);
    let _coordinator = restart(&fleet, coordinator, |fleet| age_pins(fleet, 2));
    let dry = gc(&fleet, &["--dry-run"]);
    assert!(dry["blobs"].as_u64() > Some(0) && dry["blob_bytes"].as_u64() > Some(100_000), "{dry}");
    assert_eq!(told(gc(&fleet, &[])), told(dry.clone()));
    let again = gc(&fleet, &[]);
    assert_eq!((&again["blobs"], &again["kept_blobs"]), (&0.into(), &dry["kept_blobs"]), "twice is once");

    assert_eq!(get(&fleet, &ended, "2", "results/large.tsv").0, Some(0));
    std::fs::remove_file(fleet.path("marks/hold")).expect("a mark");
    fleet.wait_decided(&open, 1);
    assert_eq!(get(&fleet, &open, "1", "results/large.tsv").0, Some(0), "what was open is whole");
    fleet.verify();
    let backup = fleet.path("backup");
    fleet.ok(&["ledger", "backup", text(&backup)]);
    fleet.ok(&["ledger", "verify", "--data-dir", text(&backup)]);
}

/// I3: what is to be removed is noted first, so that a coordinator killed at either side of the commit removes
/// it once, and says so.
#[test]
fn i3_kill_9_before_and_after_the_commit_of_a_removal() {
    for point in ["before_commit:evidence_removed", "after_commit:evidence_removed"] {
        let fleet = Fleet::new();
        let coordinator = fleet.coordinator();
        let _worker = fleet.worker("w");
        let (ended, _open) = two_campaigns(&fleet);
        coordinator.terminate();
        let mut coordinator = fleet.coordinator_unready(&[("WINDLASS_FAILPOINT", point)]);
        fleet.wait_until("the coordinator answers", || fleet.client(&["campaigns"]).status.success());
        let cut_off = fleet.client(&[&["gc"], &AT_ONCE[..]].concat());
        assert!(!cut_off.status.success(), "{point}: it died meanwhile");
        fleet.wait_until("the coordinator is killed", || coordinator.has_ended());
        let _coordinator = fleet.coordinator();
        gc(&fleet, &AT_ONCE);
        let removed = fleet.exported(&[&ended]);
        let removed = removed.iter().filter(|line| line["record"]["body"]["kind"] == "evidence_removed");
        assert_eq!(removed.count(), 4, "{point}: each once");
        assert_eq!(get(&fleet, &ended, "3", "run.log").0, Some(4), "{point}");
        assert_eq!(get(&fleet, &ended, "2", "run.log").0, Some(0), "{point}");
        fleet.verify();
    }
}
