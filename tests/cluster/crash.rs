//! The coordinator is killed at every kind of record, before and after its commit (I1, I3, I4): the
//! ledger that is left is the ledger of a run that nobody disturbed.

use crate::harness::{Daemon, Fleet};
use crate::project::Project;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use windlass_shared::record::Body;

/// What the campaign below leaves in the ledger, whoever was killed meanwhile. `incarnation_started` is
/// one more per start; `report_superseded` takes a worker that was lost and `device_released` a GPU that was
/// quarantined, `evidence_removed` a retention whose time is over: each has its own test.
const LEFT: [(&str, i64); 27] = [
    ("campaign_created", 1),
    ("ledger_imported", 1),
    ("lever_queued", 6),
    ("lever_retired", 3),
    ("lever_requeued", 1),
    ("lever_moved", 1),
    ("campaign_updated", 1),
    ("campaign_paused", 1),
    ("campaign_resumed", 1),
    ("iteration_opened", 4),
    ("iteration_cancelled", 1),
    ("attempt_leased", 4),
    ("attempt_ended", 4),
    ("fix_applied", 1),
    // One of them is what the finding's verify-todo became.
    ("deliverable_accepted", 4),
    ("conclusion_written", 4),
    // Four of the campaign, one of the imported ledger.
    ("iteration_decided", 5),
    ("lever_held", 2),
    ("lever_passed", 2),
    ("worker_drained", 1),
    ("worker_undrained", 1),
    ("campaign_stopped", 1),
    ("request_answered", 1),
    ("quota_set", 2),
    ("review_recorded", 1),
    ("finding_recorded", 2),
    ("finding_marked", 1),
];

#[test]
fn i3_kill_9_before_and_after_the_commit_of_every_record_kind() {
    // A refusal whose answer was lost is refused again, and recorded again: its count is none to hold here.
    let elsewhere =
        ["report_superseded", "device_released", "evidence_removed", "deliverable_added", "lever_refused"];
    let kinds = Body::KINDS.iter().filter(|kind| !elsewhere.contains(kind));
    let points = kinds.flat_map(|kind| [format!("before_commit:{kind}"), format!("after_commit:{kind}")]);
    let points = Mutex::new(points.collect::<Vec<String>>());
    let next = || points.lock().expect("no thread panicked").pop();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(point) = next() {
                    check(&point);
                }
            });
        }
    });
}

/// One campaign, with the coordinator killed once at `point`.
fn check(point: &str) {
    let fleet = Fleet::new();
    let project = fleet.path("project");
    write_project(&project);
    let mut script = Script { fleet: &fleet, coordinator: None, point, was_killed: false };
    script.start(&[("WINDLASS_FAILPOINT", point)]);
    let campaign = script.json(&["submit", path(&project)])["campaign"].as_str().expect("an id").to_owned();
    script.json(&["findings", "add", &campaign, path(&project.join("review.json"))]);
    for lever in ["a-better", "b-conflict", "c-evidence", "d-fixed", "e-retired"] {
        let file = project.join(format!("levers/{lever}.yaml"));
        script.json(&["lever", "add", &campaign, path(&file)]);
    }
    script.json(&["lever", "retire", &campaign, "L5"]);
    script.json(&["lever", "retry", &campaign, "L5"]);
    script.json(&["lever", "move", &campaign, "L5", "--before", "L2"]);
    script.json(&["lever", "retire", &campaign, "L5"]);
    script.json(&["update", &campaign, "--priority", "3"]);
    script.json(&["pause", &campaign]);
    script.json(&["resume", &campaign]);
    let _worker = fleet.worker_unready("one");
    script.wait_until("three iterations are decided and the rest waits", |fleet| {
        let status = fleet.client(&["--output", "json", "status", &campaign]);
        let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap_or_default();
        fleet.decided(&campaign).len() == 3
            && status["waits_for"].as_str().is_some_and(|wait| wait.contains("L3"))
    });
    script.json(&["drain", "one"]);
    let file = project.join("levers/f-cancelled.yaml");
    script.json(&["lever", "add", &campaign, path(&file)]);
    script.wait_until("the fourth waits for a device", |fleet| {
        let status = fleet.client(&["--output", "json", "status", &campaign]);
        let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap_or_default();
        status["open"]["iteration"] == 4
    });
    script.json(&["cancel", &campaign, "4"]);
    script.wait_until("it is decided, and the lever without evidence is stale", |fleet| {
        let levers = fleet.client(&["--output", "json", "lever", "list", &campaign]);
        let levers: serde_json::Value = serde_json::from_slice(&levers.stdout).unwrap_or_default();
        let levers = levers["levers"].as_array().cloned().unwrap_or_default();
        levers.iter().any(|lever| lever["lever"] == 3 && lever["state"]["state"] == "retired")
    });
    let foreign = fleet.path("old.tsv");
    std::fs::write(&foreign, "iter\tval\tstatus\tdescription\n1\t0.5\tkeep\tbaseline\n").expect("a file");
    script.json(&["ledger", "import", path(&foreign), "--direction", "maximize"]);
    script.json(&["quota", "set", "ada", "--devices", "4"]);
    script.json(&["quota", "lift", "ada"]);
    script.json(&["undrain", "one"]);
    script.json(&["stop", &campaign]);
    script.json(&["stop", &campaign]);
    assert!(script.was_killed, "{point} was never reached{}", fleet.logs());

    let values = fleet.decided(&campaign);
    let want = [(1, "keep", "0.5"), (2, "keep", "0.75"), (3, "discard", "0.75"), (4, "crash", "")];
    assert_eq!(values, want.map(|(n, s, m)| (n, s.to_owned(), m.to_owned())), "{point}");
    assert_eq!(left(&fleet), LEFT.map(|(kind, n)| (kind.to_owned(), n)).into(), "{point}: lost or doubled");
    fleet.verify();
}

/// Records by kind, starts left out.
fn left(fleet: &Fleet) -> BTreeMap<String, i64> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let ledger = rusqlite::Connection::open_with_flags(fleet.data_dir().join("ledger.sqlite3"), flags)
        .expect("it opens");
    let mut select = ledger
        .prepare("SELECT kind, count(*) FROM records WHERE kind != 'incarnation_started' GROUP BY kind")
        .expect("the table is there");
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
    rows.map(|row| row.expect("a row")).collect()
}

/// A client that does not give up: it repeats each call, with its own request id, until it is answered,
/// and starts the coordinator again when that was killed.
struct Script<'a> {
    fleet: &'a Fleet,
    coordinator: Option<Daemon>,
    point: &'a str,
    was_killed: bool,
}

impl Script<'_> {
    fn start(&mut self, env: &[(&str, &str)]) {
        self.coordinator = Some(self.fleet.coordinator_unready(env));
    }

    fn revive(&mut self) {
        if self.coordinator.as_mut().is_some_and(Daemon::has_ended) {
            assert!(!self.was_killed, "{}: it ended twice{}", self.point, self.fleet.logs());
            self.was_killed = true;
            self.start(&[]);
        }
    }

    fn json(&mut self, args: &[&str]) -> serde_json::Value {
        let request = uuid::Uuid::now_v7().to_string();
        let mut all = vec!["--output", "json", "--request-id", &request];
        all.extend(args);
        let mut answer = None;
        let fleet = self.fleet;
        self.wait_until(&args.join(" "), |_| {
            let output = fleet.client(&all);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            match output.status.code() {
                Some(0) => answer = Some(serde_json::from_slice(&output.stdout).unwrap_or_default()),
                // Not there (yet): a coordinator or worker that is coming back.
                Some(4 | 5) => {}
                code => panic!("windlass {}: {code:?}: {said}{}", all.join(" "), fleet.logs()),
            }
            answer.is_some()
        });
        answer.expect("it was answered")
    }

    fn wait_until(&mut self, what: &str, mut condition: impl FnMut(&Fleet) -> bool) {
        let what = format!("{}: {what}", self.point);
        let fleet = self.fleet;
        fleet.wait_until(&what, || {
            self.revive();
            condition(fleet)
        });
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

/// Levers: one is kept, one then conflicts with it, one cites evidence that never comes, one crashes
/// and is saved by its fix, one is taken back. A sixth is cancelled before it runs.
fn write_project(dir: &Path) {
    const NONE: &str = "literature: none\n";
    let script = "if [ \"$MODE\" = broken ]; then echo boom; exit 3; fi\necho \"val: $VALUE\"";
    Project::default().literature().run(script).write(dir);
    // A rejected one, and one that the first lever rests on.
    let finding = |strength: &str| {
        format!(
            r#"{{"question": "q", "abstraction_level": 2, "claim": "c", "evidence": {{"strength": "{strength}"}},
                "citations": [{{"title": "t", "doi": "10.1/t"}}], "applicability_to_our_setup": "it does",
                "proposed_change": "p", "how_to_verify": "look", "verdict": "keep"}}"#
        )
    };
    let review = format!(r#"{{"iteration": 2, "findings": [{}, {}]}}"#, finding("weak"), finding("strong"));
    std::fs::write(dir.join("review.json"), review).expect("a file");
    let params =
        |value: &str, mode: &str| format!("VALUE={value}\n# one\n# two\n# three\n# four\nMODE={mode}\n");
    std::fs::write(dir.join("params.sh"), params("0.5", "fine")).expect("a file");
    let lever = |name: &str, text: &str, anchor: &str, extra: &str| {
        let tree = dir.join(format!("levers/{name}.tree"));
        std::fs::create_dir_all(&tree).expect("a folder");
        std::fs::write(tree.join("params.sh"), text).expect("a file");
        let yaml = format!(
            "title: {name}\nkind: ablation\nfiles: [params.sh]\ntree: {name}.tree\nanchor: {{file: {anchor}, pattern: 'value'}}\n\
             prediction: it shows\n{extra}analysis:\n  - script: builtin:log\n    output: {name}.tsv\n    \
             dimension: {name}\n    question: how did it end?\n    if_helped: finished\n    if_not: otherwise\n"
        );
        std::fs::write(dir.join(format!("levers/{name}.yaml")), yaml).expect("a file");
    };
    lever("a-better", &params("0.75", "fine"), "value.tsv", "literature: F2\n");
    lever("b-conflict", &params("0.6", "fine"), "value.tsv", NONE);
    lever("c-evidence", &params("0.5", "curious"), "never.tsv", NONE);
    let fix = "--- a/params.sh\n+++ b/params.sh\n@@ -3,4 +3,4 @@\n # two\n # three\n # four\n-MODE=broken\n+MODE=mended\n";
    std::fs::write(dir.join("levers/mend.patch"), fix).expect("a file");
    let fixes = "literature: none\nfixes:\n  - on: crashed\n    patch: mend.patch\n";
    lever("d-fixed", &params("0.5", "broken"), "value.tsv", fixes);
    lever("e-retired", &params("0.9", "fine"), "value.tsv", NONE);
    lever("f-cancelled", &params("0.55", "fine"), "value.tsv", NONE);
}
