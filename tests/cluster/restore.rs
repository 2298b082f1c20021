//! A ledger that is backed up while work goes on, and restored under a worker that knows more than it (I15).

use crate::harness::{Daemon, Fleet};
use crate::project::Project;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Requests that are committed while backups are taken.
const UPDATES: u64 = 60;

fn text(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

/// A project whose runs other than the baseline wait while there is a mark, and the folder of marks.
fn holding(fleet: &Fleet) -> (PathBuf, PathBuf) {
    let marks = fleet.path("marks");
    std::fs::create_dir(&marks).expect("a folder");
    let env = format!("  env: {{MARKS: {}}}\n", marks.display());
    let script = "while [ -e \"$MARKS/hold\" ]; do sleep 0.05; done; echo \"val: $VALUE\"";
    (Project::default().run(script).windlass(&env).write(&fleet.path("project")), marks)
}

/// The lines' records.
fn records(lines: &[Value]) -> impl Iterator<Item = &Value> {
    lines.iter().map(|line| &line["record"])
}

/// The leases of a ledger: each with its fencing number.
fn leased(lines: &[Value]) -> BTreeSet<String> {
    let leases = records(lines).filter(|record| record["body"]["kind"] == "attempt_leased");
    leases.map(|record| record["body"]["order"]["key"].to_string()).collect()
}

/// Waits until the one worker is there with a free device.
fn wait_free(fleet: &Fleet) {
    fleet.wait_until("the unknown attempt is stopped and its device free", || {
        let list = fleet.json(&["workers"]);
        let workers = list["workers"].as_array().cloned().unwrap_or_default();
        workers.len() == 1 && workers[0]["state"] == "ready" && workers[0]["devices"][0]["state"] == "free"
    });
}

/// Loses the data folder and makes it again from a backup.
fn lose_and_restore(fleet: &Fleet, coordinator: Daemon, backup: &Path) {
    coordinator.kill();
    std::fs::rename(fleet.data_dir(), fleet.path("lost")).expect("the data folder is lost");
    fleet.ok(&["ledger", "restore", text(backup), text(&fleet.data_dir())]);
}

#[test]
fn i15_a_restored_ledger_stops_what_it_does_not_know_and_goes_on_under_new_numbers() {
    let fleet = Fleet::new();
    let (project, marks) = holding(&fleet);
    Project::lever(&project, "a", "0.75");
    Project::lever(&project, "b", "0.8");
    let lever = |name: &str| project.join(format!("levers/{name}.yaml"));
    let coordinator = fleet.coordinator();
    let _worker = fleet.worker("w");
    let campaign = fleet.submit(&project, false);
    fleet.wait_decided(&campaign, 1);
    let backup = fleet.path("backup");
    let taken = fleet.json(&["ledger", "backup", text(&backup)]);
    let kept = fleet.exported(&[]);
    assert_eq!(taken["backup"]["records"], kept.len(), "nothing happens meanwhile");

    // After the backup: one lever is decided and acknowledged, the next one runs.
    fleet.ok(&["lever", "add", &campaign, text(&lever("a"))]);
    fleet.wait_decided(&campaign, 2);
    std::fs::write(marks.join("hold"), "").expect("a mark");
    fleet.ok(&["lever", "add", &campaign, text(&lever("b"))]);
    fleet.wait_until("the lever runs", || {
        let open = &fleet.json(&["status", &campaign])["open"];
        open["iteration"] == 3 && open["attempt"]["phase"] == "running"
    });
    let before = fleet.exported(&[]);
    let forgotten: Vec<String> = leased(&before).difference(&leased(&kept)).cloned().collect();
    assert_eq!(forgotten.len(), 2, "{forgotten:?}");
    lose_and_restore(&fleet, coordinator, &backup);

    let _coordinator = fleet.coordinator();
    wait_free(&fleet);
    let runs = |fleet: &Fleet| fleet.processes().iter().any(|(_, command)| command.contains("sh run.sh"));
    fleet.wait_until("the unknown run is gone, though its mark still holds it", || !runs(&fleet));
    let aside = std::fs::read_dir(fleet.path("w/aside")).expect("spools set aside").count();
    assert_eq!(aside, 1, "what the ledger does not know it does not judge: its spool is kept");
    let restored = fleet.decided(&campaign);
    assert_eq!(restored, [(1, "keep".to_owned(), "0.5".to_owned())], "what came later is not claimed");
    let unknown = fleet.client(&["show", &campaign, "2"]);
    assert_eq!(unknown.status.code(), Some(4), "the lever is to be added again");

    std::fs::remove_file(marks.join("hold")).expect("a mark");
    fleet.ok(&["lever", "add", &campaign, text(&lever("b"))]);
    fleet.wait_decided(&campaign, 2);
    let decided = fleet.decided(&campaign);
    assert_eq!(decided[1], (2, "keep".to_owned(), "0.8".to_owned()), "the campaign goes on");
    let after = fleet.exported(&[]);
    assert_eq!(after[..kept.len()], kept[..], "every record that was backed up is there as it was");
    let starts = records(&after).filter(|record| record["body"]["kind"] == "incarnation_started");
    let lives: BTreeSet<String> = starts.map(|record| record["body"]["incarnation"].to_string()).collect();
    assert_eq!(lives.len(), 2, "the restored ledger began a life of its own");
    let reused: Vec<&String> = forgotten.iter().filter(|key| leased(&after).contains(*key)).collect();
    assert!(reused.is_empty(), "given twice: {reused:?}");
    fleet.verify();
}

#[test]
fn i15_a_backup_taken_while_records_are_committed_is_the_ledger_of_one_moment() {
    let fleet = Fleet::new();
    let project = Project::default().write(&fleet.path("project"));
    let levers = [("a", "0.6"), ("b", "0.7"), ("c", "0.65"), ("d", "0.8")];
    levers.iter().for_each(|(name, value)| Project::lever(&project, name, value));
    let coordinator = fleet.coordinator();
    let _worker = fleet.worker("w");
    let campaign = fleet.submit(&project, false);
    fleet.wait_decided(&campaign, 1);
    let acknowledged = AtomicU64::new(0);
    // A priority more with each request: the acknowledged ones can be counted in every backup.
    let heads: Vec<(PathBuf, Value, u64)> = std::thread::scope(|scope| {
        scope.spawn(|| {
            for priority in 1..=UPDATES {
                fleet.ok(&["update", &campaign, "--priority", &priority.to_string()]);
                acknowledged.store(priority, Ordering::SeqCst);
            }
        });
        let take = |(iteration, (name, _)): (u64, &(&str, &str))| {
            fleet.ok(&["lever", "add", &campaign, text(&project.join(format!("levers/{name}.yaml")))]);
            let backup = fleet.path(&format!("backup-{name}"));
            let at_least = acknowledged.load(Ordering::SeqCst);
            let taken = fleet.json(&["ledger", "backup", text(&backup)]);
            fleet.wait_decided(&campaign, iteration);
            (backup, taken["backup"].clone(), at_least)
        };
        (2..).zip(&levers).map(take).collect()
    });
    let whole = fleet.exported(&[]);
    for (backup, manifest, at_least) in &heads {
        let verified = fleet.json(&["ledger", "verify", "--data-dir", text(backup)]);
        assert_eq!(verified["backup"]["head"], manifest["head"]);
        let held = fleet.exported(&["--data-dir", text(backup)]);
        assert_eq!(held[..], whole[..held.len()], "a beginning of the ledger, and nothing else");
        let latest = records(&held).filter_map(|record| record["body"]["priority"].as_u64()).max();
        assert!(latest.unwrap_or(0) >= *at_least, "I3: {at_least} was acknowledged before the backup began");
    }
    let (latest, ..) = heads.last().expect("one was taken");
    lose_and_restore(&fleet, coordinator, latest);
    let _coordinator = fleet.coordinator();
    wait_free(&fleet);
    fleet.wait_until("it goes on where the backup ends", || {
        let view = fleet.json(&["status", &campaign]);
        view["queued"] == 0 && view["open"].is_null()
    });
    fleet.verify();
}

#[test]
fn a_restore_touches_no_folder_that_has_something_in_it() {
    let fleet = Fleet::new();
    let coordinator = fleet.coordinator();
    let backup = fleet.path("backup");
    fleet.ok(&["ledger", "backup", text(&backup)]);
    let mine = fleet.path("mine");
    std::fs::create_dir(&mine).expect("a folder");
    std::fs::write(mine.join("thesis.txt"), "mine").expect("a file");
    let refused = |source: &Path, dir: &Path, code: i32, want: &str| {
        let output = fleet.client(&["ledger", "restore", text(source), text(dir)]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(want) && said.contains("remedy:"), "{want}: {said}");
    };
    refused(&backup, &mine, 2, "has something in it");
    refused(&backup, &fleet.data_dir(), 2, "has something in it");
    refused(&mine, &fleet.path("new"), 4, "holds no backup");
    assert_eq!(std::fs::read_to_string(mine.join("thesis.txt")).expect("untouched"), "mine");
    assert_eq!(std::fs::read_dir(&mine).expect("listed").count(), 1);
    // A backup of one ledger does not take another's place.
    let other = Fleet::new();
    let _other_coordinator = other.coordinator();
    let foreign = other.client(&["ledger", "backup", text(&backup)]);
    let said = String::from_utf8_lossy(&foreign.stderr).into_owned();
    assert!(
        !foreign.status.success() && said.contains("another ledger") && said.contains("remedy:"),
        "{said}"
    );
    fleet.ok(&["ledger", "restore", text(&backup), text(&fleet.path("new"))]);
    drop(coordinator);
    fleet.verify();
}

#[test]
fn an_export_is_the_ledger_record_by_record_and_its_chain_can_be_checked_from_it_alone() {
    let fleet = Fleet::new();
    let project = Project::default().write(&fleet.path("project"));
    Project::lever(&project, "a", "0.75");
    let coordinator = fleet.coordinator();
    let _worker = fleet.worker("w");
    let campaign = fleet.submit(&project, true);
    let other = fleet.submit(&project, false);
    fleet.wait_decided(&campaign, 2);
    fleet.wait_decided(&other, 1);
    let out = fleet.path("ledger.jsonl");
    fleet.ok(&["ledger", "export", "--out", text(&out)]);
    coordinator.kill();
    let file = std::fs::read_to_string(&out).expect("the export");
    let database = rusqlite::Connection::open(fleet.data_dir().join("ledger.sqlite3")).expect("a ledger");
    let mut select =
        database.prepare("SELECT seq, body, prev_hash, hash FROM records ORDER BY seq").expect("records");
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let stored = select.query_map([], |row| {
        let body = String::from_utf8(row.get(1)?).expect("JSON");
        let (seq, prev, hash): (i64, _, _) = (row.get(0)?, hex(row.get(2)?), hex(row.get(3)?));
        Ok(format!(
            "{{\"schema\":\"windlass.record/1\",\"seq\":{seq},\"prev_hash\":\"{prev}\",\"hash\":\"{hash}\",\"record\":{body}}}"
        ))
    });
    let stored: Vec<String> = stored.expect("rows").map(|row| row.expect("a row")).collect();
    assert_eq!(file.lines().collect::<Vec<_>>(), stored, "byte for byte");
    // As docs/json.md says how to.
    let mut before = "0".repeat(64);
    for line in file.lines() {
        let value: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(value["prev_hash"], before);
        let body = line.split_once("\"record\":").expect("a record").1;
        let body = &body[..body.len() - 1];
        before = link(&value, body);
        assert_eq!(value["hash"], before, "{line}");
    }
    let of_one = fleet.exported(&[&campaign]);
    let whole: Vec<Value> = fleet.exported(&[]);
    let wanted: Vec<&Value> =
        whole.iter().filter(|line| line["record"]["campaign"] == campaign.as_str()).collect();
    assert_eq!(of_one.iter().collect::<Vec<_>>(), wanted);
    let kinds = records(&of_one).fold(BTreeMap::new(), |mut kinds: BTreeMap<String, u32>, record| {
        *kinds.entry(record["body"]["kind"].to_string()).or_default() += 1;
        kinds
    });
    assert_eq!(kinds.get("\"iteration_decided\""), Some(&2), "{kinds:?}");
    // A pipe stays one: a rename would put a file into its place.
    let pipe = fleet.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs").success());
    let place = pipe.clone();
    let reader = std::thread::spawn(move || std::fs::read_to_string(place).expect("read"));
    fleet.ok(&["ledger", "export", "--out", text(&pipe)]);
    assert_eq!(reader.join().expect("it read"), file);
    let ambiguous = fleet.client(&["ledger", "export", "tiny-"]);
    assert_eq!(ambiguous.status.code(), Some(2), "two campaigns begin so");
}

/// The hash of a line, from what stands in it.
fn link(line: &Value, body: &str) -> String {
    let record = &line["record"];
    let prev = line["prev_hash"].as_str().expect("hex");
    let byte = |at: usize| u8::from_str_radix(&prev[at..at + 2], 16).expect("hex");
    let prev: Vec<u8> = (0..prev.len()).step_by(2).map(byte).collect();
    let mut hasher = blake3::Hasher::new();
    hasher.update(&prev).update(&line["seq"].as_u64().expect("a number").to_le_bytes());
    hasher.update(&record["wall_ms"].as_i64().expect("a moment").to_le_bytes());
    let kind = record["body"]["kind"].as_str().expect("a kind");
    for part in [kind, record["campaign"].as_str().unwrap_or_default(), body] {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}
