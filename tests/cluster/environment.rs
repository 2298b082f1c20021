//! What a campaign asks of the machines around its runs, through the whole fleet: a setup, secrets, artifacts;
//! and a setup that fails.

use crate::harness::Fleet;
use crate::project::Project;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The value that nothing but its own file may hold. No command has it in it: it would stand in the ledger.
const VALUE: &str = "correct-horse-battery-staple";

/// Every file below `path` with `text` in it.
fn files_with(path: &Path, text: &str) -> Vec<PathBuf> {
    let Ok(metadata) = fs::symlink_metadata(path) else { return Vec::new() };
    if metadata.is_dir() {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        return entries.flat_map(|entry| files_with(&entry.path(), text)).collect();
    }
    let bytes = if metadata.is_file() { fs::read(path).unwrap_or_default() } else { Vec::new() };
    let found = bytes.windows(text.len()).any(|part| part == text.as_bytes());
    found.then(|| path.to_owned()).into_iter().collect()
}

fn write_own(path: &Path, text: &str) {
    // Whole at once, as an editor saves: a half-written file would be read as one.
    let beside = path.with_extension("new");
    fs::write(&beside, text).expect("a file");
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o600)).expect("a mode");
    fs::rename(beside, path).expect("a file");
}

#[test]
fn a_setup_secrets_and_artifacts_serve_a_campaign_and_no_value_is_kept_but_in_its_own_file() {
    let fleet = Fleet::new();
    let marks = fleet.path("marks");
    fs::create_dir(&marks).expect("a folder");
    // It prints the value in one piece and in two, and waits to be looked at.
    let script = "echo \"own $OWN\"; printf '%s' \"${TOKEN%???????}\"; sleep 0.2; echo \"${TOKEN#?????????????????????}\"\n\
                  cat built; mkdir -p out; echo \"weights $VALUE\" > out/last.pt\n\
                  while [ ! -e \"$MARKS/go\" ]; do sleep 0.05; done\necho \"val: $VALUE\"";
    let windlass = format!(
        "  env: {{MARKS: {}}}\n  secrets: [TOKEN, OWN]\n  artifacts: ['out/*.pt']\n  \
         setup: {{run: 'echo \"built with ${{#TOKEN}} bytes\" > built; echo \"setup $TOKEN\"', inputs: [run.sh]}}\n",
        marks.display()
    );
    let project = Project::default().run(script).windlass(&windlass).write(&fleet.path("project"));
    Project::lever(&project, "a", "0.75");
    let coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    let given = fleet.path("given.env");
    write_own(&given, &format!("TOKEN={VALUE}\nUNASKED=x\n"));
    let text = |path: &Path| path.to_str().expect("a UTF-8 path").to_owned();
    let levers = text(&project.join("levers"));
    let submitted =
        fleet.json(&["submit", &text(&project), "--levers", &levers, "--secrets-file", &text(&given)]);
    let campaign = submitted["campaign"].as_str().expect("an id").to_owned();
    // What nobody has yet is waited for by name, and taken up without a restart.
    fleet.wait_until("it waits for the other secret", || {
        let why = fleet.ok(&["explain", &campaign]);
        why.contains("the secret OWN") && !why.contains("TOKEN")
    });
    write_own(&fleet.path("one").join("secrets.env"), "OWN=tr0ub4dor\n");
    fleet.wait_until("the run has printed", || {
        String::from_utf8_lossy(&fleet.client(&["logs", &campaign, "1"]).stdout).contains("built with")
    });
    let processes = fleet.processes();
    assert!(processes.iter().any(|(_, command)| command.contains("run.sh")), "it runs: {processes:?}");
    assert!(!processes.iter().any(|(_, command)| command.contains(VALUE)), "on no command line");
    fs::write(marks.join("go"), "").expect("a mark");
    fleet.wait_decided(&campaign, 1);
    // The value outlives the coordinator: nobody is asked for it again at night.
    coordinator.kill();
    let _coordinator = fleet.coordinator();
    fleet.wait_decided(&campaign, 2);
    let rows = fleet.decided(&campaign);
    assert_eq!(rows[1], (2, "keep".to_owned(), "0.75".to_owned()));
    for (number, value) in [("1", "0.5"), ("2", "0.75")] {
        let log = fleet.ok(&["logs", &campaign, number]);
        let want = format!("own [secret OWN]\n[secret TOKEN]\nbuilt with 28 bytes\nval: {value}\n");
        assert_eq!(log, want);
        let weights = fleet.ok(&["get", &campaign, number, "artifacts/out/last.pt"]);
        assert_eq!(weights, format!("weights {value}\n"));
    }
    let backup = text(&fleet.path("backup"));
    fleet.ok(&["ledger", "backup", &backup]);
    let kept = fleet.data_dir().join("secrets").join(format!("{campaign}.json"));
    assert_eq!(files_with(&fleet.data_dir(), VALUE), std::slice::from_ref(&kept), "the positive control");
    assert_eq!(fs::metadata(&kept).expect("there").permissions().mode() & 0o777, 0o600);
    for place in ["one", "backup", "coordinator.log", "one.log"] {
        assert_eq!(files_with(&fleet.path(place), VALUE), Vec::<PathBuf>::new(), "{place}");
    }
    for place in ["data", "backup", "coordinator.log", "one.log"] {
        assert_eq!(files_with(&fleet.path(place), "tr0ub4dor"), Vec::<PathBuf>::new(), "{place}");
    }
    for args in [
        &["status", &campaign] as &[&str],
        &["show", &campaign, "1"],
        &["explain", &campaign],
        &["workers"],
        &["campaigns"],
    ] {
        let said = fleet.json(args).to_string();
        assert!(!said.contains(VALUE) && !said.contains("tr0ub4dor"), "{args:?}");
    }
    fleet.ok(&["stop", &campaign]);
    fleet.wait_until("it is forgotten", || !kept.exists());
}

#[test]
fn p20_a_setup_that_fails_is_shown_as_such_with_its_log_and_its_lever_is_held() {
    let fleet = Fleet::new();
    let windlass = "  setup: {run: 'echo resolving; if grep -q 0.6 params.sh; then echo no such package >&2; exit 7; fi', \
                    inputs: [params.sh]}\n";
    let project = Project::default().windlass(windlass).write(&fleet.path("project"));
    Project::lever(&project, "a", "0.6");
    Project::lever(&project, "b", "0.7");
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    let campaign = fleet.submit(&project, true);
    fleet.wait_decided(&campaign, 3);
    let log = fleet.ok(&["logs", &campaign, "2"]);
    assert_eq!(log, "resolving\nno such package\n", "the setup's own");
    let shown = fleet.ok(&["show", &campaign, "2"]);
    assert!(shown.contains("setup failed") && shown.contains("exit code 7"), "{shown}");
    let held = fleet.json(&["lever", "show", &campaign, "L1"]);
    assert_eq!(held["lever"]["state"]["reason"], "setup_failed", "held, not blamed: {held}");
    let rows = fleet.decided(&campaign);
    assert_eq!(rows[1].1, "crash");
    assert_eq!(rows[2], (3, "keep".to_owned(), "0.7".to_owned()), "the next one has a setup of its own");
    let workers = fleet.ok(&["workers"]);
    assert!(workers.contains("ready"), "it drains no worker: {workers}");
}
