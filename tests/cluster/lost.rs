//! A worker that falls silent past its lease, and comes back with a late word (I5, I6).

use crate::harness::{Daemon, Fleet, signal};
use crate::project::Project;
use serde_json::Value;

/// Soon, so that the test does not wait; a report comes at least every two thirds of it.
const LOST_AFTER: &str = "8 s";

fn kinds(fleet: &Fleet, campaign: &str) -> Vec<(String, Value)> {
    let output = fleet.client(&["--output", "json", "show", campaign, "1"]);
    let story: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let records = story["records"].as_array().cloned().unwrap_or_default();
    records
        .into_iter()
        .map(|r| (r["body"]["kind"].as_str().unwrap_or_default().to_owned(), r["body"].clone()))
        .collect()
}

/// One worker is stopped in mid-run; another takes the iteration over; the first comes back.
fn run_elsewhere(fleet: &Fleet) -> (String, Daemon, Daemon) {
    let script = "while [ ! -e \"$MARKS/go\" ]; do sleep 0.05; done; echo \"val: $VALUE\"";
    let marks = fleet.path("marks");
    std::fs::create_dir(&marks).expect("a folder");
    let env = format!("  env: {{MARKS: {}}}\n", marks.display());
    let project = Project::default().run(script).windlass(&env).write(&fleet.path("project"));
    let first = fleet.worker("first");
    let campaign = fleet.submit(&project, false);
    fleet.wait_until("the first worker runs it", || {
        fleet.json(&["status", &campaign])["open"]["attempt"]["phase"] == "running"
    });
    let second = fleet.worker("second");
    signal(first.pid(), "STOP");
    fleet.wait_until("the second worker runs it", || {
        fleet.json(&["status", &campaign])["open"]["attempt"]["worker_name"] == "second"
    });
    std::fs::write(marks.join("go"), "").expect("a mark");
    fleet.wait_decided(&campaign, 1);
    signal(first.pid(), "CONT");
    (campaign, first, second)
}

#[test]
fn i5_a_late_report_is_refused_and_recorded_as_superseded() {
    let fleet = Fleet::new();
    let _coordinator = fleet.coordinator_losing_after(LOST_AFTER, &[]);
    let (campaign, _first, _second) = run_elsewhere(&fleet);
    fleet.wait_until("the late report is recorded", || {
        kinds(&fleet, &campaign).iter().any(|(kind, _)| kind == "report_superseded")
    });
    let ended: Vec<String> = kinds(&fleet, &campaign)
        .into_iter()
        .filter(|(kind, _)| kind == "attempt_ended")
        .map(|(_, body)| body["outcome"]["ending"]["kind"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(ended, ["lost", "finished"], "the lost attempt's late word changed nothing");
    assert_eq!(fleet.decided(&campaign), [(1, "keep".to_owned(), "0.5".to_owned())], "P20: not blamed");
    fleet.wait_until("the first worker is free again", || {
        let list = fleet.json(&["workers"]);
        let workers = list["workers"].as_array().cloned().unwrap_or_default();
        workers.iter().all(|worker| worker["state"] == "ready" && worker["devices"][0]["state"] == "free")
    });
    fleet.verify();
}

#[test]
fn i3_kill_9_before_and_after_the_commit_of_a_superseded_report() {
    for point in ["before_commit:report_superseded", "after_commit:report_superseded"] {
        let fleet = Fleet::new();
        let mut coordinator = fleet.coordinator_losing_after(LOST_AFTER, &[("WINDLASS_FAILPOINT", point)]);
        let (campaign, _first, _second) = run_elsewhere(&fleet);
        fleet.wait_until("the coordinator is killed", || coordinator.has_ended());
        let _coordinator = fleet.coordinator_losing_after(LOST_AFTER, &[]);
        fleet.wait_until("the late report is recorded", || {
            kinds(&fleet, &campaign).iter().filter(|(kind, _)| kind == "report_superseded").count() == 1
        });
        assert_eq!(fleet.decided(&campaign).len(), 1, "{point}");
        fleet.verify();
    }
}
