//! Lanes, replicates and the scorer on real processes.

use crate::harness::Fleet;
use crate::project::Project;

#[test]
fn p39_two_levers_run_at_once_and_of_two_that_conflict_the_better_is_the_best() {
    let fleet = Fleet::new();
    let open = fleet.path("open");
    // Levers wait until both are under way; the baseline does not.
    let run = format!(
        "[ \"$WINDLASS_ITERATION\" = 1 ] || until [ -e {} ]; do sleep 0.1; done\necho \"val: $VALUE\"",
        open.display()
    );
    let project = Project::default().run(&run).windlass("  lanes: 2\n").write(&fleet.path("project"));
    Project::lever(&project, "a", "0.75");
    Project::lever(&project, "b", "0.8");
    let _coordinator = fleet.coordinator();
    let _one = fleet.worker("one");
    let _two = fleet.worker("two");
    let campaign = fleet.submit(&project, true);
    fleet.wait_until("both lanes run", || {
        let status = fleet.json(&["status", &campaign]);
        let lanes = status["lanes"].as_array().cloned().unwrap_or_default();
        lanes.len() == 2 && lanes.iter().all(|lane| lane["attempt"]["phase"] == "running")
    });
    let page = fleet.ok(&["status", &campaign]);
    assert!(page.contains("set 0.75") && page.contains("set 0.8"), "both are on the page: {page}");
    std::fs::write(&open, "").expect("opened");
    fleet.wait_decided(&campaign, 3);
    // Whichever ended first: the better one is the best in the end, and the other lever is held for its conflict.
    fleet.wait_until("the other lever is held", || {
        fleet.ok(&["lever", "show", &campaign, "L1"]).contains("needs a rebase")
    });
    let status = fleet.json(&["status", &campaign]);
    assert_eq!(status["best"]["metric"], "0.8");
    let held = fleet.ok(&["lever", "show", &campaign, "L1"]);
    assert!(held.contains("line 2 of the best against line 2 of the lever"), "P8: {held}");
    fleet.verify();
}

#[test]
fn p27_replicates_run_under_their_seeds_and_the_metric_is_their_mean() {
    let fleet = Fleet::new();
    let project = Project::default()
        .run("echo \"val: $VALUE$WINDLASS_SEED\"")
        .windlass("  noise: {baseline_replicates: 3, confirm_replicates: 2, sigmas: 2}\n")
        .write(&fleet.path("project"));
    Project::lever(&project, "a", "0.51");
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    let campaign = fleet.submit(&project, true);
    fleet.wait_decided(&campaign, 2);
    // 0.50, 0.51, 0.52: the floor is 0.01. Then 0.510, which is below 0.51 already.
    let decided = fleet.decided(&campaign);
    assert_eq!(decided[0], (1, "keep".to_owned(), "0.51".to_owned()));
    assert_eq!(decided[1].1, "discard");
    let status = fleet.ok(&["status", &campaign]);
    assert!(status.contains("the floor is 0.01"), "{status}");
    fleet.verify();
}

#[test]
fn the_scorer_prints_the_metric_from_what_the_run_made() {
    let fleet = Fleet::new();
    // The run prints a number that is too good; one lever makes nothing.
    let run = "[ \"$VALUE\" = 0.9 ] || echo \"$VALUE\" > made.txt\necho \"val: 99\"";
    let project = Project::default()
        .run(run)
        .windlass("  score: {run: sh score.sh, artifact: made.txt}\n")
        .write(&fleet.path("project"));
    let score = ". ./params.sh\necho \"frozen $VALUE\"\necho \"val: $(cat made.txt)\"\n";
    std::fs::write(project.join("score.sh"), score).expect("written");
    Project::lever(&project, "a", "0.75");
    Project::lever(&project, "b", "0.9");
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    let campaign = fleet.submit(&project, true);
    fleet.wait_decided(&campaign, 3);
    let decided = fleet.decided(&campaign);
    assert_eq!(decided[0], (1, "keep".to_owned(), "0.5".to_owned()));
    assert_eq!(decided[1], (2, "keep".to_owned(), "0.75".to_owned()));
    assert_eq!(decided[2].1, "crash");
    let missing = fleet.ok(&["show", &campaign, "3"]);
    assert!(missing.contains("artifact missing: the run left no file made.txt"), "{missing}");
    assert!(fleet.ok(&["logs", &campaign, "2"]).contains("val: 99"), "the run's own log is the evidence");
    fleet.verify();
}
