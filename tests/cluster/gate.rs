//! The time gate against processes that do not want to end (P16, I7).

use crate::harness::Fleet;
use crate::project::Project;

/// A run that ends only by force, with a sleep whose length marks its processes.
fn check(script: &str, mark: &str, ending: &str) {
    let fleet = Fleet::new();
    let project = Project::default().run(script).budget_minutes("0.02").write(&fleet.path("project"));
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    let campaign = fleet.submit(&project, false);
    fleet.wait_decided(&campaign, 1);
    assert_eq!(fleet.decided(&campaign)[0].1, "crash");
    let show = fleet.ok(&["show", &campaign, "1"]);
    assert!(show.contains(ending), "the ending is {ending}: {show}");
    let left: Vec<_> = fleet.processes().into_iter().filter(|(_, command)| command.contains(mark)).collect();
    assert!(left.is_empty(), "the whole tree is gone: {left:?}");
    assert!(fleet.ok(&["logs", &campaign, "1"]).contains("begun"), "what it printed is kept");
    let paused = fleet.json(&["status", &campaign]);
    assert_eq!(paused["state"]["state"], "paused", "P1: a crashed baseline pauses the campaign");
}

#[test]
fn p16_sigterm_at_the_budget_ends_an_ordinary_run() {
    check("echo begun; exec sleep 4321.5", "4321.5", "soft_timeout");
}

#[test]
fn i7_a_run_that_ignores_sigterm_dies_at_twice_its_budget() {
    check("trap '' TERM; echo begun; while :; do sleep 4322.5; done", "4322.5", "hard_timeout");
}

#[test]
fn i7_a_grandchild_in_its_own_session_does_not_escape() {
    check(
        "trap '' TERM; echo begun; setsid sh -c 'trap \"\" TERM; sleep 4323.5' & while :; do sleep 4323.5; done",
        "4323.5",
        "hard_timeout",
    );
}

#[test]
fn a_daemon_left_behind_ends_with_its_run() {
    let fleet = Fleet::new();
    let script = "setsid sh -c 'sleep 4324.5; echo val: 9' &\necho \"val: $VALUE\"";
    let project = Project::default().run(script).write(&fleet.path("project"));
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    let campaign = fleet.submit(&project, false);
    fleet.wait_decided(&campaign, 1);
    assert_eq!(fleet.decided(&campaign), [(1, "keep".to_owned(), "0.5".to_owned())]);
    let left: Vec<_> =
        fleet.processes().into_iter().filter(|(_, command)| command.contains("4324.5")).collect();
    assert!(left.is_empty(), "nothing prints later: {left:?}");
}

#[test]
fn p16_overrun_measure_counts_what_was_printed_in_time_though_the_daemon_was_killed() {
    // It hears no SIGTERM, passes its budget of 6 s and the grace, prints another metric, and ends by itself.
    let script = "trap '' TERM; echo \"val: $VALUE\"; sleep 8; echo 'val: 0.9'";
    let check = |extra: &str, want: (u64, &str, &str)| {
        let fleet = Fleet::new();
        let project = Project::default().run(script).budget_minutes("0.1").windlass(extra);
        let project = project.write(&fleet.path("project"));
        let _coordinator = fleet.coordinator();
        let worker = fleet.worker("one");
        let campaign = fleet.submit(&project, false);
        fleet.wait_until("it has printed", || {
            fleet.client(&["logs", &campaign, "1"]).stdout.starts_with(b"val: 0.5")
        });
        worker.kill();
        let _again = fleet.worker_unready("one");
        fleet.wait_decided(&campaign, 1);
        let decided = fleet.decided(&campaign);
        let show = fleet.ok(&["show", &campaign, "1"]);
        assert_eq!(decided, [(want.0, want.1.to_owned(), want.2.to_owned())], "{show}");
        assert!(fleet.ok(&["show", &campaign, "1"]).contains("soft_timeout"), "it is marked");
    };
    std::thread::scope(|scope| {
        scope.spawn(|| check("  overrun: measure\n", (1, "keep", "0.5")));
        // Its control: without the setting the same run is a crash.
        scope.spawn(|| check("", (1, "crash", "")));
    });
}
