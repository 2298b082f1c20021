//! The command line as a program's seat: a proposal that is sent again is one lever, a change can be asked
//! about without being made, a wait says when time ended first, errors are documents, and a context fits.

use crate::harness::Fleet;
use crate::project::Project;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A run of anything but the baseline that ends when the folder of marks says so.
const WAITS: &str = "if [ \"$VALUE\" != 0.5 ]; then while [ ! -e \"$MARKS/go\" ]; do sleep 0.05; done; fi\necho \"val: $VALUE\"";

fn waiting_project(fleet: &Fleet, levers: &[(&str, &str)]) -> PathBuf {
    let marks = fleet.path("marks");
    std::fs::create_dir(&marks).expect("a folder");
    let env = format!("  env: {{MARKS: {}}}\n", marks.display());
    let project = Project::default().run(WAITS).windlass(&env).write(&fleet.path("project"));
    for (name, value) in levers {
        Project::lever(&project, name, value);
    }
    project
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

fn lever_file(project: &Path, name: &str) -> String {
    text(&project.join(format!("levers/{name}.yaml"))).to_owned()
}

/// The error document of a command, with its exit code.
fn refused(fleet: &Fleet, args: &[&str]) -> (Option<i32>, Value) {
    let output = fleet.client(&[&["--output", "json"], args].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let error = said.lines().find(|line| line.starts_with("{\"schema\":\"windlass.error/1\""));
    let error = error.unwrap_or_else(|| panic!("{args:?} says no error: {said}"));
    (output.status.code(), serde_json::from_str(error).expect("a document"))
}

#[test]
fn i4_the_same_proposal_sent_ten_times_makes_one_lever() {
    let fleet = Fleet::new();
    let project = waiting_project(&fleet, &[("a", "0.75")]);
    let _coordinator = fleet.coordinator();
    let campaign = fleet.submit(&project, false);
    let file = lever_file(&project, "a");
    let id = uuid::Uuid::now_v7().to_string();
    let answers: Vec<Value> = (0..10)
        .map(|_| fleet.json(&["--request-id", &id, "lever", "add", &campaign, &file])["queued"].clone())
        .collect();
    assert!(answers.iter().all(|answer| answer[0]["lever"] == 1 && *answer == answers[0]), "{answers:?}");
    // Under a key of its own each is another proposal, and P10 says that it stands in line already.
    for _ in 0..10 {
        let output = fleet.client(&["--output", "json", "lever", "add", &campaign, &file]);
        let answer: Value = serde_json::from_slice(&output.stdout).expect("a document");
        assert_eq!(
            (output.status.code(), &answer["refused"][0]["rule"]),
            (Some(3), &"P10".into()),
            "{answer}"
        );
    }
    let levers = fleet.json(&["lever", "list", &campaign]);
    assert_eq!(levers["levers"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_change_that_is_only_asked_about_is_gated_answered_and_leaves_the_ledger_as_it_was() {
    let fleet = Fleet::new();
    let project = waiting_project(&fleet, &[("a", "0.75"), ("b", "0.8"), ("c", "0.85")]);
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    let campaign = fleet.submit(&project, false);
    fleet.wait_decided(&campaign, 1);
    for name in ["a", "b"] {
        fleet.ok(&["lever", "add", &campaign, &lever_file(&project, name)]);
    }
    // Until the mark is there nothing more happens: the run waits.
    fleet.wait_until("the second run is there", || {
        fleet.json(&["status", &campaign])["open"]["attempt"]["phase"] == "running"
    });
    let conclusion = fleet.path("conclusion.yaml");
    let conclusion = text(&conclusion).to_owned();
    std::fs::write(
        &conclusion,
        "examined: the log\nfinding: it runs\nbullets: [a, b, c]\ndeliverables: {log_facts.tsv: neither}\n",
    )
    .expect("a file");
    let foreign = fleet.path("old.tsv");
    std::fs::write(&foreign, "iter\tval\tstatus\tdescription\n1\t1\tkeep\tbaseline\n").expect("a file");
    let c = lever_file(&project, "c");
    let changes: [&[&str]; 15] = [
        &["lever", "add", &campaign, &c],
        &["lever", "move", &campaign, "L2", "--first"],
        &["lever", "retire", &campaign, "L2"],
        &["pause", &campaign],
        &["stop", &campaign],
        &["update", &campaign, "--priority", "4"],
        &["cancel", &campaign, "2"],
        &["conclude", &campaign, "1", &conclusion],
        &["drain", "one"],
        &["undrain", "one"],
        &["ledger", "import", text(&foreign), "--direction", "maximize"],
        &["gc", "--older-than", "1 d"],
        &["share", &campaign, "bob", "--as", "read"],
        &["token", "create", "--role", "client", "--name", "bob", "--address", "head:7070"],
        &["claim", &campaign, "--researcher", "ada", "--about", "the rate"],
    ];
    let records = || fleet.exported(&[]).len();
    let before = records();
    for args in changes {
        let answer = fleet.json(&[args, &["--dry-run"]].concat());
        assert_eq!(answer["dry_run"], true, "{args:?}: {answer}");
        assert_eq!(records(), before, "{args:?} was done");
    }
    assert_eq!(fleet.json(&["claim", &campaign])["claims"], serde_json::json!([]), "nothing was claimed");
    let answer = fleet.json(&["lever", "add", &campaign, &c, "--dry-run"]);
    assert_eq!(answer["queued"][0]["lever"], 3, "what it would be: {answer}");
    // It is refused by the rules that would refuse the change.
    let (code, error) = refused(&fleet, &["lever", "retire", &campaign, "L1", "--dry-run"]);
    assert_eq!(code, Some(3), "{error}");
    let (code, _) = refused(&fleet, &["fix", &campaign, "1", &c, "--dry-run"]);
    assert_eq!(code, Some(3));
    assert_eq!(records(), before);
    let done = fleet.json(&["pause", &campaign]);
    assert!(done.get("dry_run").is_none() && records() == before + 1, "and without the option it is done");
    std::fs::write(fleet.path("marks/go"), "").expect("a mark");
    fleet.wait_decided(&campaign, 2);
}

#[test]
fn what_writes_files_or_uses_a_token_up_can_be_asked_about_and_then_be_done() {
    let fleet = Fleet::new();
    let project = waiting_project(&fleet, &[]);
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    let campaign = fleet.submit(&project, false);
    fleet.wait_decided(&campaign, 1);
    // What is asked, what it would make, and a figure that it tells beforehand.
    let check = |args: &[&str], place: &Path, figure: &str| {
        let asked = fleet.json(&[args, &["--dry-run"]].concat());
        assert_eq!(asked["dry_run"], true, "{args:?}: {asked}");
        assert!(!place.exists(), "{args:?} wrote {}", place.display());
        let done = fleet.json(args);
        assert!(place.exists() && done.get("dry_run").is_none(), "{args:?}: {done}");
        assert_eq!(asked.pointer(figure), done.pointer(figure), "{args:?}: {asked} and {done}");
        assert!(asked.pointer(figure).is_some(), "{figure} in {asked}");
    };
    let (copy, backup, restored) = (fleet.path("copy"), fleet.path("backup"), fleet.path("restored"));
    check(&["sync", &campaign, text(&copy)], &copy, "/written");
    check(&["ledger", "backup", text(&backup)], &backup, "/backup/blobs");
    check(&["ledger", "restore", text(&backup), text(&restored)], &restored, "/backup/head");
    let bare = fleet.path("bare");
    std::fs::create_dir(&bare).expect("a folder");
    std::fs::write(bare.join("train.py"), "print(f'val_acc: {x}')\n").expect("a file");
    check(&["init", text(&bare), "--yes"], &bare.join("loop.run.yaml"), "/text");
    let token =
        fleet.json(&["token", "create", "--role", "client", "--name", "bob", "--address", "head:7070"]);
    let token = token["token"].as_str().expect("a token").to_owned();
    let (code, said, _) = fleet.run_as("elsewhere", &["--output", "json", "join", &token, "--dry-run"]);
    let joined: Value = serde_json::from_str(&said).expect("a document");
    assert_eq!((code, &joined["name"], &joined["coordinator"]), (0, &"bob".into(), &"head:7070".into()));
    assert!(!fleet.path("elsewhere").exists(), "and its token is not used");
    assert_eq!(refused(&fleet, &["certs", "revoke", "nobody", "--dry-run"]).0, Some(4));
}

#[test]
fn a_wait_that_ends_before_what_it_waits_for_exits_with_6() {
    let fleet = Fleet::new();
    let project = waiting_project(&fleet, &[("a", "0.75")]);
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    let campaign = fleet.submit(&project, true);
    let (code, error) = refused(&fleet, &["wait", &campaign, "2", "--timeout", "1 s"]);
    assert_eq!((code, &error["code"]), (Some(6), &"WAIT_ENDED".into()), "{error}");
    std::fs::write(fleet.path("marks/go"), "").expect("a mark");
    let waited = fleet.json(&["wait", &campaign, "2", "--timeout", "2 min"]);
    assert_eq!((&waited["iteration"], &waited["status"]), (&2.into(), &"keep".into()));
    // What is so already needs no time.
    let waited = fleet.json(&["wait", &campaign, "2", "--timeout", "0"]);
    assert_eq!(waited["status"], "keep");
}

#[test]
fn every_error_is_a_document_with_code_rule_message_and_remedy() {
    let fleet = Fleet::new();
    let nobody = refused(&fleet, &["campaigns"]);
    assert_eq!((nobody.0, &nobody.1["code"]), (Some(5), &"NO_COORDINATOR".into()));
    assert!(nobody.1["remedy"].is_string(), "{}", nobody.1);
    let _coordinator = fleet.coordinator();
    let project = Project::default().write(&fleet.path("project"));
    let campaign = fleet.submit(&project, false);
    let nowhere = fleet.path("nowhere");
    let key = "01890000-0000-7000-8000-000000000000";
    let endless = "x".repeat(5000);
    let cases: [(&[&str], i32, &str, bool); 13] = [
        // As the unset variable of a script says it.
        (&["status", ""], 4, "NOT_FOUND", false),
        (&["status", &endless], 4, "NOT_FOUND", false),
        (&["explain", ""], 4, "NOT_FOUND", false),
        (&["conclude", &campaign, "1", text(&nowhere)], 1, "SYSTEM", false),
        (&["pause"], 2, "USAGE", false),
        (&["context", "x", "--max-bytes", "1999"], 2, "USAGE", false),
        (&["submit", text(&nowhere)], 2, "FILE", false),
        (&["agent-info", "--schema", "windlass.nothing"], 2, "INPUT", false),
        // A key that is none is refused before the worker is looked for, as is one that is long over.
        (&["--request-id", "7", "drain", "one"], 3, "REQUEST_ID", true),
        (&["--request-id", key, "pause", &campaign], 3, "REQUEST_ID", true),
        (&["cancel", &campaign, "7"], 4, "NOT_FOUND", false),
        (&["status", "nothing"], 4, "NOT_FOUND", false),
        (&["wait", &campaign, "7", "--timeout", "100 ms"], 6, "WAIT_ENDED", false),
    ];
    for (args, code, name, has_rule) in cases {
        let (found, error) = refused(&fleet, args);
        assert_eq!((found, error["code"].as_str()), (Some(code), Some(name)), "{args:?}: {error}");
        assert!(error["message"].is_string() && error["remedy"].is_string(), "{args:?}: {error}");
        assert_eq!(error["rule"].is_string(), has_rule, "{args:?}: {error}");
    }
}

#[test]
fn a_context_of_a_real_campaign_fits_and_tells_what_a_lever_needs() {
    let fleet = Fleet::new();
    let project = waiting_project(&fleet, &[("a", "0.75")]);
    std::fs::write(fleet.path("marks/go"), "").expect("a mark");
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    let campaign = fleet.submit(&project, true);
    fleet.wait_decided(&campaign, 2);
    let context = fleet.json(&["context", &campaign]);
    assert_eq!(context["best_iteration"], 2);
    assert_eq!(context["recent"][0]["iteration"], 2);
    let files = context["evidence"].as_array().expect("evidence");
    let value = files.iter().find(|file| file["path"] == "value.tsv").expect("what the run wrote");
    assert_eq!((&value["lines"], &value["size_bytes"]), (&"value\t0.75".into(), &11.into()));
    let dimensions = context["dimensions"].as_array().expect("dimensions");
    assert!(dimensions.contains(&"a".into()), "{dimensions:?}");
    for max_bytes in ["2000", "3000", "8 KiB", "24 KiB"] {
        for form in ["json", "markdown"] {
            let said = fleet.ok(&["--output", form, "context", &campaign, "--max-bytes", max_bytes]);
            let limit = match max_bytes {
                "2000" => 2_000,
                "3000" => 3_000,
                "8 KiB" => 8_192,
                _ => 24_576,
            };
            assert!(said.len() <= limit, "{form} {max_bytes}: {}", said.len());
            assert!(
                said.contains(&format!("windlass lever add {campaign} FILE")),
                "{form} {max_bytes}: {said}"
            );
        }
    }
}
