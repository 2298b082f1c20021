//! What steers a campaign, through every layer: cancel ends a real run, a lever is put back and run, and a
//! request that is sent twice happens once.

use crate::harness::Fleet;
use crate::project::Project;
use serde_json::Value;
use std::path::Path;

/// A run that ends when the folder of marks says so.
const WAITS: &str = "if [ \"$VALUE\" != 0.5 ]; then while [ ! -e \"$MARKS/go\" ]; do sleep 0.05; done; fi\necho \"val: $VALUE\"";

fn waiting_project(fleet: &Fleet) -> std::path::PathBuf {
    let marks = fleet.path("marks");
    std::fs::create_dir(&marks).expect("a folder");
    let env = format!("  env: {{MARKS: {}}}\n", marks.display());
    Project::default().run(WAITS).windlass(&env).write(&fleet.path("project"))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

#[test]
fn p10_a_cancelled_run_is_ended_blames_nobody_and_may_be_tried_again() {
    let fleet = Fleet::new();
    let project = waiting_project(&fleet);
    Project::lever(&project, "a", "0.75");
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    let campaign = fleet.submit(&project, true);
    let is_running = || fleet.processes().iter().any(|(_, command)| command.contains("sh run.sh"));
    fleet.wait_until("the second run is there", || {
        fleet.json(&["status", &campaign])["open"]["iteration"] == 2 && is_running()
    });
    let told = fleet.ok(&["explain", &campaign, "2"]);
    assert!(told.contains("attempt 1, its run,") && told.contains("[P16]"), "{told}");
    fleet.ok(&["cancel", &campaign, "2"]);
    fleet.ok(&["cancel", &campaign, "2"]);
    fleet.wait_decided(&campaign, 2);
    assert_eq!(fleet.decided(&campaign)[1], (2, "crash".to_owned(), String::new()));
    fleet.wait_until("nothing of it runs", || !is_running());
    let refused = fleet.client(&["cancel", &campaign, "1"]);
    assert_eq!(refused.status.code(), Some(3));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("[I1]") && said.contains("remedy:"), "{said}");

    let lever = fleet.json(&["lever", "show", &campaign, "L1"]);
    assert_eq!(lever["lever"]["state"]["reason"]["cancelled"]["iteration"], 2);
    std::fs::write(fleet.path("marks/go"), "").expect("a mark");
    fleet.ok(&["lever", "retry", &campaign, "L1"]);
    fleet.wait_decided(&campaign, 3);
    assert_eq!(fleet.decided(&campaign)[2], (3, "keep".to_owned(), "0.75".to_owned()));
    let bad = "title: peek\nfiles: [run.sh]\ntree: bad\nanchor: {file: never.tsv, pattern: x}\n\
               prediction: more\nanalysis: []\n";
    std::fs::write(fleet.path("bad.yaml"), bad).expect("a file");
    std::fs::create_dir(fleet.path("bad")).expect("a folder");
    std::fs::write(fleet.path("bad/run.sh"), "echo val: 1\n").expect("a file");
    let refused =
        fleet.client(&["--output", "json", "lever", "add", &campaign, text(&fleet.path("bad.yaml"))]);
    assert_eq!(refused.status.code(), Some(3));
    let added: Value = serde_json::from_slice(&refused.stdout).expect("a document");
    let problems = added["refused"][0]["problems"].as_array().cloned().unwrap_or_default();
    let rules: Vec<&str> = problems.iter().filter_map(|problem| problem["rule"].as_str()).collect();
    assert_eq!(rules, ["P2", "P12", "P6"], "{added}");
    let refused = fleet.client(&["lever", "retry", &campaign, "L1"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("[P10]"));
    let told = fleet.json(&["explain", &campaign, "3"]);
    assert_eq!(told["sentences"][0]["rule"], "P25");
    assert_eq!(told["sentences"][0]["figures"]["gain"], "0.25");
    fleet.verify();
}

#[test]
fn i4_the_same_request_id_gets_the_same_answer_whatever_is_asked() {
    let fleet = Fleet::new();
    let project = waiting_project(&fleet);
    for (name, value) in [("a", "0.75"), ("b", "0.8"), ("c", "0.85")] {
        Project::lever(&project, name, value);
    }
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    let twice = |args: &[&str]| -> Value {
        let id = uuid::Uuid::now_v7().to_string();
        let all = [&["--output", "json", "--request-id", &id], args].concat();
        let first = fleet.client(&all);
        let said = String::from_utf8_lossy(&first.stderr).into_owned();
        assert!(first.status.success(), "{args:?}: {said}");
        let second = fleet.client(&all);
        let answer = |bytes: &[u8]| -> Value {
            let mut answer: Value = serde_json::from_slice(bytes).expect("a document");
            // What the store lacked the first time it has the second time.
            for sent in ["sent_blobs", "sent_bytes"] {
                answer.as_object_mut().expect("an object").remove(sent);
            }
            answer
        };
        assert_eq!(
            (second.status.code(), answer(&second.stdout)),
            (Some(0), answer(&first.stdout)),
            "I4: {args:?}"
        );
        answer(&first.stdout)
    };
    let submitted = twice(&["submit", text(&project)]);
    let campaign = submitted["campaign"].as_str().expect("an id").to_owned();
    assert_eq!(fleet.json(&["campaigns"])["campaigns"].as_array().map(Vec::len), Some(1));
    fleet.wait_decided(&campaign, 1);
    for name in ["a", "b", "c"] {
        twice(&["lever", "add", &campaign, text(&project.join(format!("levers/{name}.yaml")))]);
    }
    fleet.wait_until("the first is being tested", || {
        fleet.json(&["status", &campaign])["open"]["iteration"] == 2
    });
    twice(&["lever", "move", &campaign, "L3", "--first"]);
    twice(&["pause", &campaign]);
    twice(&["cancel", &campaign, "2"]);
    fleet.wait_decided(&campaign, 2);
    twice(&["lever", "retry", &campaign, "L1"]);
    twice(&["lever", "retire", &campaign, "L2"]);
    twice(&["update", &campaign, "--priority", "2"]);
    twice(&["update", "tiny", "--name", "huge"]);
    twice(&["drain", "one"]);
    twice(&["undrain", "one"]);
    twice(&["resume", "huge"]);
    std::fs::write(fleet.path("marks/go"), "").expect("a mark");
    fleet.wait_decided(&campaign, 3);
    twice(&["stop", &campaign]);
    let levers = fleet.json(&["lever", "list", &campaign]);
    assert_eq!(levers["levers"].as_array().map(Vec::len), Some(3), "nothing happened twice");

    fleet.ok(&["submit", text(&project)]);
    fleet.ok(&["update", "tiny", "--name", "huger"]);
    let unclear = fleet.client(&["--output", "json", "pause", "hug"]);
    let error: Value = serde_json::from_slice(&unclear.stderr).expect("a document");
    assert_eq!((unclear.status.code(), &error["code"]), (Some(2), &"AMBIGUOUS_NAME".into()));
    assert!(error["message"].as_str().is_some_and(|said| said.contains(&campaign)), "candidates: {error}");
    fleet.ok(&["stop", "huger"]);

    let id = uuid::Uuid::now_v7().to_string();
    fleet.ok(&["--request-id", &id, "drain", "one"]);
    let other = fleet.client(&["--request-id", &id, "undrain", "one"]);
    assert_eq!(other.status.code(), Some(3), "another request under a used id");
    assert!(String::from_utf8_lossy(&other.stderr).contains("[I4]"));
    fleet.verify();
}
