//! Ctrl-C ends everything, and holds nothing against the campaign.

use crate::harness::{Fleet, WINDLASS, signal};
use crate::project::Project;
use std::process::{Child, Command, Stdio};

/// `windlass up` in the fleet's folder; what is left of it goes with the fleet.
fn up(fleet: &Fleet) -> Child {
    let log = std::fs::File::create(fleet.path("up.log")).expect("a log");
    Command::new(WINDLASS)
        .arg("--data-dir")
        .arg(fleet.data_dir())
        .args(["up", "--cpu-slots", "1"])
        .env_remove("WINDLASS_COORDINATOR")
        .env_remove("WINDLASS_OUTPUT")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("the binary starts")
}

/// Interrupts `up` as soon as `is_time` holds of the processes' command lines; then the campaign goes on
/// in the same folder.
fn interrupted(script: &str, is_time: impl Fn(&str) -> bool) {
    let fleet = Fleet::new();
    let marks = fleet.path("marks");
    std::fs::create_dir(&marks).expect("a folder");
    let env = format!("  env: {{MARKS: {}}}\n", marks.display());
    let project = Project::default().run(script).windlass(&env).write(&fleet.path("project"));
    let mut up = up(&fleet);
    fleet.wait_until("the worker is ready", || {
        let workers = fleet.client(&["workers"]);
        String::from_utf8_lossy(&workers.stdout).contains("ready")
    });
    let campaign = fleet.submit(&project, false);
    fleet.wait_until("it is time", || fleet.processes().iter().any(|(_, command)| is_time(command)));
    signal(up.id(), "INT");
    assert!(up.wait().expect("it is reaped").success(), "{}", fleet.logs());
    assert_eq!(fleet.processes(), [], "{}", fleet.logs());

    std::fs::write(marks.join("go"), "").expect("a mark");
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker_unready("data/worker");
    fleet.wait_decided(&campaign, 1);
    assert_eq!(fleet.decided(&campaign), [(1, "keep".to_owned(), "0.5".to_owned())]);
    let story = fleet.json(&["show", &campaign, "1"]);
    let records = story["records"].as_array().expect("its records");
    let ended: Vec<&str> = records
        .iter()
        .filter(|record| record["body"]["kind"] == "attempt_ended")
        .filter_map(|record| record["body"]["outcome"]["ending"]["kind"].as_str())
        .collect();
    assert_eq!(ended, ["cancelled", "finished"], "P20: no attempt is infrastructure's or the idea's");
    fleet.verify();
}

const WAITS: &str = "while [ ! -e \"$MARKS/go\" ]; do sleep 0.05; done; echo \"val: $VALUE\"";

#[test]
fn p20_a_run_that_is_interrupted_is_run_again() {
    interrupted(WAITS, |command| command.contains("sh run.sh") && !command.contains("-c"));
}

#[test]
fn p20_a_run_that_is_just_being_started_is_interrupted_too() {
    interrupted(WAITS, |command| command.contains("windlass shim"));
}

#[test]
fn p20_a_run_that_ignores_sigterm_is_interrupted_too() {
    let script = format!("trap '' TERM; {WAITS}");
    interrupted(&script, |command| command.contains("sleep 0.05"));
}
