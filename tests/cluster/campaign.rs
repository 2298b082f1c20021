//! A campaign from submit to results.tsv.

use crate::harness::Fleet;
use crate::project::Project;

#[test]
fn p1_p25_the_baseline_runs_first_and_the_evidence_decides() {
    let fleet = Fleet::new();
    let project = Project::default().write(&fleet.path("project"));
    Project::lever(&project, "a-better", "0.75");
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    let campaign = fleet.submit(&project, true);
    fleet.wait_decided(&campaign, 2);
    Project::lever(&project, "b-worse", "0.25");
    let worse = project.join("levers/b-worse.yaml");
    fleet.ok(&["lever", "add", &campaign, worse.to_str().expect("UTF-8")]);
    fleet.wait_decided(&campaign, 3);
    let want = [(1, "keep", "0.5"), (2, "keep", "0.75"), (3, "discard", "0.25")];
    let want: Vec<_> = want.map(|(n, status, metric)| (n, status.to_owned(), metric.to_owned())).into();
    assert_eq!(fleet.decided(&campaign), want);

    let tsv = fleet.ok(&["results", &campaign, "--format", "tsv"]);
    assert!(tsv.starts_with("iter\tval\tstatus\tanalysis_summary\tdescription\n1\t0.5\tkeep\t"), "{tsv}");
    let status = fleet.json(&["status", &campaign]);
    assert_eq!(status["best"]["iteration"], 2, "P31: the best, not the last");
    assert!(fleet.ok(&["logs", &campaign, "2"]).contains("val: 0.75"));
    assert!(fleet.ok(&["diff", &campaign, "2"]).contains("+VALUE=0.75"));
    assert_eq!(
        std::fs::read_to_string(project.join("params.sh")).expect("it"),
        "# the one number\nVALUE=0.5\n"
    );
    fleet.verify();
}

#[test]
fn p15_what_a_run_prints_goes_to_its_log_and_never_into_the_researchers_stream() {
    let fleet = Fleet::new();
    let script = "echo a flood of words; echo more of them >&2; echo \"val: $VALUE\"";
    let project = Project::default().run(script).write(&fleet.path("project"));
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    let submitted = fleet.client(&["submit", project.to_str().expect("UTF-8")]);
    let waited = fleet.client(&["wait", "tiny", "1"]);
    for output in [&submitted, &waited] {
        let said = [output.stdout.as_slice(), &output.stderr].concat();
        assert!(!String::from_utf8_lossy(&said).contains("words"), "{}", String::from_utf8_lossy(&said));
    }
    fleet.wait_decided("tiny", 1);
    assert_eq!(fleet.ok(&["logs", "tiny", "1"]), "a flood of words\nmore of them\nval: 0.5\n");
    let copy = fleet.path("copy");
    fleet.ok(&["sync", "tiny", copy.to_str().expect("UTF-8")]);
    let log = std::fs::read_to_string(copy.join("iter1/run.log")).expect("the log in the layout");
    assert!(log.contains("a flood of words"));
}

#[test]
fn p30_the_users_copy_is_a_projection_that_can_be_made_again() {
    let fleet = Fleet::new();
    let project = Project::default().write(&fleet.path("project"));
    Project::lever(&project, "a-better", "0.75");
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    let campaign = fleet.submit(&project, true);
    fleet.wait_decided(&campaign, 2);
    let copy = fleet.path("copy");
    let copy_text = copy.to_str().expect("UTF-8").to_owned();
    fleet.ok(&["sync", &campaign, &copy_text]);
    for name in [
        "results.tsv",
        "loop.run.yaml",
        "iter1/run.log",
        "iter2/change.patch",
        "iter2/lever.yaml",
        "iter2/code_snapshot/params.sh",
        "iter2/analysis/plan.md",
        "iter2/analysis/summary.md",
        "iter2/results/value.tsv",
    ] {
        assert!(copy.join(name).is_file(), "{name} is in the layout");
    }
    let before = std::fs::read_to_string(copy.join("iter2/code_snapshot/params.sh")).expect("it");
    assert!(before.contains("VALUE=0.5"), "the snapshot is the file before the change");
    let first = std::fs::read(copy.join("results.tsv")).expect("it");
    std::fs::write(copy.join("mine.txt"), "the user's own").expect("a file");
    std::fs::remove_file(copy.join("results.tsv")).expect("removed");
    fleet.ok(&["sync", &campaign, &copy_text]);
    assert_eq!(std::fs::read(copy.join("results.tsv")).expect("made again"), first);
    assert!(copy.join("mine.txt").is_file(), "what Windlass did not write stays");
}

#[test]
fn p2_a_frozen_file_is_refused_at_once_and_a_run_that_changes_one_is_a_crash() {
    let fleet = Fleet::new();
    let script =
        "if [ \"$VALUE\" = 0.9 ]; then chmod u+w run.sh; echo '# mine' >> run.sh; fi\necho \"val: $VALUE\"";
    let project = Project::default().run(script).write(&fleet.path("project"));
    Project::lever(&project, "cheat", "0.9");
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    let campaign = fleet.submit(&project, true);
    fleet.wait_decided(&campaign, 2);
    let decided = fleet.decided(&campaign);
    assert_eq!((decided[0].1.as_str(), decided[1].1.as_str()), ("keep", "crash"));
    let show = fleet.ok(&["show", &campaign, "2"]);
    assert!(show.contains("run.sh"), "the changed file is named: {show}");

    let lever = fleet.path("frozen.yaml");
    std::fs::write(&lever, "title: touch the grader\nfiles: [run.sh]\ntree: frozen\nanchor: {file: value.tsv, pattern: value}\nprediction: more\nanalysis:\n  - {script: 'builtin:log', output: x.tsv, dimension: x, question: q, if_helped: a, if_not: b}\n").expect("a file");
    std::fs::create_dir(fleet.path("frozen")).expect("a folder");
    std::fs::write(fleet.path("frozen/run.sh"), "echo val: 1\n").expect("a file");
    // What is wrong is said with `--quiet` too.
    for quiet in [&[][..], &["--quiet"]] {
        let args = [quiet, &["lever", "add", &campaign, lever.to_str().expect("UTF-8")]].concat();
        let refused = fleet.client(&args);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(3), "{said}");
        assert!(said.contains("P2") && said.contains("run.sh"), "rule and place are named: {said}");
    }
}

#[test]
fn p32_pause_opens_nothing_new_and_resume_goes_on() {
    let fleet = Fleet::new();
    let project = Project::default().write(&fleet.path("project"));
    Project::lever(&project, "a", "0.75");
    let _coordinator = fleet.coordinator();
    let campaign = fleet.submit(&project, true);
    fleet.ok(&["pause", &campaign]);
    fleet.ok(&["pause", &campaign]);
    let _worker = fleet.worker("one");
    assert_eq!(fleet.json(&["status", &campaign])["state"]["state"], "paused");
    fleet.ok(&["resume", &campaign]);
    fleet.wait_decided(&campaign, 2);
    fleet.wait_until("the campaign says what it waits for", || {
        fleet.json(&["status", &campaign])["waits_for"].as_str().is_some_and(|wait| wait.contains("lever"))
    });
    fleet.ok(&["stop", &campaign]);
    let refused = fleet.client(&["resume", &campaign]);
    assert_eq!(refused.status.code(), Some(3));
}
