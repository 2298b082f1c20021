//! The coordinator is gone for long, or a worker's disk is full: runs end as they would have, and what they
//! leave is delivered once.

use crate::harness::{Fleet, WINDLASS};
use crate::joining::{self, TLS};
use crate::project::Project;
use std::path::Path;
use std::process::Command;

/// The ends of an iteration's attempts, and how many were leased.
fn ends(fleet: &Fleet, campaign: &str) -> (Vec<String>, usize) {
    let output = fleet.client(&["--output", "json", "show", campaign, "1"]);
    let story: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let records = story["records"].as_array().cloned().unwrap_or_default();
    let of = |kind: &str| records.iter().filter(|record| record["body"]["kind"] == kind).collect::<Vec<_>>();
    let ended = of("attempt_ended");
    let ended =
        ended.iter().map(|record| record["body"]["outcome"]["ending"]["kind"].as_str().unwrap_or("?"));
    (ended.map(str::to_owned).collect(), of("attempt_leased").len())
}

#[test]
fn what_ends_while_the_coordinator_is_away_is_delivered_once_when_it_is_back() {
    let fleet = Fleet::new();
    let marks = fleet.path("marks");
    std::fs::create_dir(&marks).expect("a folder");
    let env = format!("  sandbox: none\n  env: {{MARKS: {}}}\n", marks.display());
    let go = "while ! [ -e \"$MARKS/go\" ]; do sleep 0.05; done";
    let count = "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo \"line $i\"; done";
    // Two that finish, one that fails, one that only its gate ends: none of them has anybody to ask.
    let runs = [
        ("ends", format!("{go}; {count}; echo \"val: $VALUE\""), "1", "finished", "keep"),
        ("also", format!("{count}; {go}; echo \"val: $VALUE\""), "1", "finished", "keep"),
        ("fails", format!("{go}; echo boom; exit 3"), "1", "crashed", "crash"),
        ("gated", "echo begun; exec sleep 4326.5".to_owned(), "0.1", "soft_timeout", "crash"),
    ];
    let coordinator = fleet.coordinator();
    let _workers = ["one", "two", "three", "four"].map(|name| fleet.worker(name));
    let campaigns = runs.each_ref().map(|(name, script, budget, ..)| {
        let project = Project::default().run(script).windlass(&env).budget_minutes(budget);
        fleet.submit(&project.write(&fleet.path(name)), false)
    });
    for campaign in &campaigns[..3] {
        fleet.wait_until("it runs", || {
            fleet.json(&["status", campaign])["open"]["attempt"]["phase"] == "running"
        });
    }
    fleet.wait_until("the fourth has begun", || {
        fleet.processes().iter().any(|(_, command)| command.contains("4326.5"))
    });
    coordinator.kill();
    std::fs::write(marks.join("go"), "").expect("a mark");
    fleet.wait_until("every run has ended by itself or by its gate", || {
        let lives = |command: &str| command.contains("run.sh") || command.contains("4326.5");
        !fleet.processes().iter().any(|(_, command)| lives(command))
    });
    // The spool waits: nobody has been told.
    let _coordinator = fleet.coordinator();
    for (campaign, (name, _, _, ending, status)) in campaigns.iter().zip(&runs) {
        fleet.wait_decided(campaign, 1);
        assert_eq!(fleet.decided(campaign).len(), 1, "{name}");
        assert_eq!(fleet.decided(campaign)[0].1, *status, "{name}");
        assert_eq!(ends(&fleet, campaign), (vec![(*ending).to_owned()], 1), "{name}: once, and never again");
    }
    let lines: String = (1..=3000).map(|i| format!("line {i}\n")).chain(["val: 0.5\n".to_owned()]).collect();
    for campaign in &campaigns[..2] {
        assert_eq!(fleet.ok(&["logs", campaign, "1"]), lines, "I10");
    }
    assert_eq!(fleet.ok(&["logs", &campaigns[2], "1"]), "boom\n");
    assert_eq!(fleet.ok(&["logs", &campaigns[3], "1"]), "begun\n");
    fleet.wait_until("every spool is empty", || {
        ["one", "two", "three", "four"].iter().all(|worker| {
            let attempts = std::fs::read_dir(fleet.path(worker).join("attempts"));
            attempts.is_ok_and(|mut attempts| attempts.next().is_none())
        })
    });
    fleet.verify();
}

#[test]
fn what_a_run_left_is_sent_once_more_to_a_coordinator_that_began_anew_and_knows_not_who_sent_it() {
    let fleet = Fleet::new();
    // It dies with all of it in its store, and with the end that names it not yet recorded.
    let point = [("WINDLASS_FAILPOINT", "before_commit:attempt_ended")];
    let mut coordinator = fleet.coordinator_in(&TLS, &point);
    let endpoint = std::fs::read(fleet.data_dir().join("endpoint.json")).expect("it");
    let endpoint: serde_json::Value = serde_json::from_slice(&endpoint).expect("JSON");
    let address = endpoint["tcp"].as_str().expect("an address").to_owned();
    let _worker = joining::worker(&fleet, "gpu-1");
    // Too large to travel with the report.
    let script = "i=0; while [ $i -lt 9000 ]; do i=$((i+1)); echo \"weight $i\"; done > model.bin; echo \"val: $VALUE\"";
    let project = Project::default().run(script).windlass("  artifacts: [model.bin]\n");
    let campaign = fleet.submit(&project.write(&fleet.path("project")), false);
    fleet.wait_until("the coordinator was killed", || coordinator.has_ended());
    let _coordinator = fleet.coordinator_with(&["--listen", &address, "--tls", "always"]);
    fleet.wait_decided(&campaign, 1);
    assert_eq!(fleet.decided(&campaign), [(1, "keep".to_owned(), "0.5".to_owned())]);
    assert_eq!(ends(&fleet, &campaign), (vec!["finished".to_owned()], 1), "it was not run again");
    let weights: String = (1..=9000).map(|i| format!("weight {i}\n")).collect();
    assert_eq!(fleet.ok(&["get", &campaign, "1", "artifacts/model.bin"]), weights);
    fleet.verify();
}

/// A command that runs `program` with a small disk of its own mounted at `work_dir`.
fn on_a_small_disk(work_dir: &Path, program: &str) -> Command {
    let mut command = Command::new("unshare");
    // A user namespace where we are nobody special; as root none is needed, and some machines allow none.
    command.arg(if rustix::process::getuid().is_root() { "-m" } else { "-Urm" });
    command.args(["sh", "-c", "mount -t tmpfs -o size=24m none \"$0\" && exec \"$@\""]);
    command.arg(work_dir).arg(program);
    command
}

#[test]
fn i17_a_run_that_fills_its_workers_disk_is_not_blamed_and_runs_elsewhere() {
    let fleet = Fleet::new();
    // Fills the disk by its log alone, then to the last byte by a file; then says all the same what it found.
    let script = "head -c 40000000 /dev/zero | tr '\\0' x > large || head -c 40000000 /dev/zero\necho\n\
                  echo \"val: $VALUE\"";
    let project = Project::default().run(script).write(&fleet.path("project"));
    let _coordinator = fleet.coordinator();
    let small = fleet.path("small");
    std::fs::create_dir(&small).expect("a folder");
    let _small = fleet.worker_under("small", on_a_small_disk(&small, WINDLASS));
    let campaign = fleet.submit(&project, false);
    fleet.wait_until("its end is told from a full disk", || !ends(&fleet, &campaign).0.is_empty());
    fleet.ok(&["drain", "small"]);
    assert_eq!(ends(&fleet, &campaign).0[0], "disk_full");
    let _large = fleet.worker("large");
    fleet.wait_decided(&campaign, 1);
    assert_eq!(fleet.decided(&campaign), [(1, "keep".to_owned(), "0.5".to_owned())], "P20");
    let (ended, leased) = ends(&fleet, &campaign);
    assert_eq!((ended.len(), ended.last().map(String::as_str)), (leased, Some("finished")));
}

#[test]
fn a_drained_worker_finishes_what_it_runs_and_takes_nothing_new() {
    let fleet = Fleet::new();
    let marks = fleet.path("marks");
    std::fs::create_dir(&marks).expect("a folder");
    let env = format!("  sandbox: none\n  env: {{MARKS: {}}}\n", marks.display());
    let script = "echo begun; while ! [ -e \"$MARKS/go\" ]; do sleep 0.05; done; echo \"val: $VALUE\"";
    let project = Project::default().run(script).windlass(&env);
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    let first = fleet.submit(&project.write(&fleet.path("first")), false);
    fleet.wait_until("it runs", || fleet.json(&["status", &first])["open"]["attempt"]["phase"] == "running");
    fleet.ok(&["drain", "one"]);
    let second = fleet.submit(&Project::default().write(&fleet.path("second")), false);
    std::fs::write(marks.join("go"), "").expect("a mark");
    fleet.wait_decided(&first, 1);
    assert_eq!(ends(&fleet, &first), (vec!["finished".to_owned()], 1), "it was let finish");
    assert_eq!(ends(&fleet, &second).1, 0, "nothing new, though its device is free by now");
    // The same lease is given at once when it may be: nothing else held it back.
    fleet.ok(&["undrain", "one"]);
    fleet.wait_decided(&second, 1);
    assert_eq!(ends(&fleet, &second), (vec!["finished".to_owned()], 1));
}
