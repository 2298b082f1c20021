//! What a researcher gives an iteration from the command line: a fix (P19), a repaired script (P21), a
//! conclusion (P23).

use crate::harness::Fleet;
use crate::project::Project;
use std::path::Path;

/// What the open iteration waits for, as `status` shows it.
fn waits(fleet: &Fleet, campaign: &str) -> serde_json::Value {
    fleet.wait_until("somebody is waited for", || {
        let output = fleet.client(&["--output", "json", "status", campaign]);
        let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        !status["open"]["wait"].is_null()
    });
    fleet.json(&["status", campaign])["open"]["wait"].clone()
}

fn text(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, text).expect("a file");
    path.display().to_string()
}

#[test]
fn p19_p21_p23_a_fix_a_script_and_a_conclusion_go_through_to_the_row() {
    let fleet = Fleet::new();
    let run = "[ \"$VALUE\" != bad ] || { echo boom; exit 3; }\necho \"val: $VALUE\"";
    let extra = "  fix_wait: 30 min\n  conclusion: required\n";
    let project = Project::default().run(run).windlass(extra).write(&fleet.path("project"));
    let config = std::fs::read_to_string(project.join("loop.run.yaml")).expect("there");
    text(&project, "loop.run.yaml", &config.replacen("  fix_wait: 0\n", "", 1));
    Project::lever(&project, "one", "bad");
    text(&project.join("levers"), "broken.sh", "exit 4\n");
    let lever = std::fs::read_to_string(project.join("levers/one.yaml")).expect("there");
    text(&project.join("levers"), "one.yaml", &lever.replace("builtin:log", "broken.sh"));
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    let campaign = fleet.submit(&project, false);

    assert_eq!(waits(&fleet, &campaign)["what"], "conclusion");
    let short =
        "examined: all\nfinding: it runs\nbullets: [a, b]\ndeliverables: {log_facts.tsv: as_helped}\n";
    let file = text(&project, "conclusion.yaml", short);
    let refused = fleet.client(&["conclude", &campaign, "1", &file]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(3) && said.contains("P23") && said.contains("bullets"), "{said}");
    let file = text(&project, "conclusion.yaml", &short.replace("[a, b]", "[a, b, c]"));
    fleet.ok(&["conclude", &campaign, "1", &file]);
    fleet.wait_decided(&campaign, 1);
    assert!(fleet.ok(&["results", &campaign]).contains("it runs"), "its finding is the row's summary");

    let levers = project.join("levers").display().to_string();
    fleet.ok(&["lever", "add", &campaign, &format!("{levers}/one.yaml")]);
    let wait = waits(&fleet, &campaign);
    assert!(
        wait["what"] == "fix" && wait["log_tail"].as_str().is_some_and(|log| log.contains("boom")),
        "{wait}"
    );
    let frozen = fleet.path("frozen");
    std::fs::create_dir_all(&frozen).expect("a folder");
    text(&frozen, "run.sh", "echo val: 9\n");
    let refused = fleet.client(&["fix", &campaign, "2", "--tree", &frozen.display().to_string()]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(3) && said.contains("P2"), "editable files only: {said}");
    let patch =
        "--- a/params.sh\n+++ b/params.sh\n@@ -1,2 +1,2 @@\n # the one number\n-VALUE=bad\n+VALUE=0.8\n";
    let patch = text(&project, "fix.patch", patch);
    fleet.ok(&["fix", &campaign, "2", "--patch", &patch]);

    assert_eq!(waits(&fleet, &campaign)["what"], "script");
    let script = text(&project, "repaired.sh", "echo repaired\n");
    fleet.ok(&["analyze", &campaign, "2", "--script", &script, "--result", "one.tsv"]);
    assert_eq!(waits(&fleet, &campaign)["what"], "conclusion");
    let file =
        text(&project, "conclusion.yaml", &short.replace("[a, b]", "[a, b, c]").replace("log_facts", "one"));
    fleet.ok(&["conclude", &campaign, "2", &file]);
    fleet.wait_decided(&campaign, 2);
    assert_eq!(fleet.decided(&campaign)[1], (2, "keep".to_owned(), "0.8".to_owned()));

    let late =
        short.replace("[a, b]", "[a, b, c]").replace("it runs", "late words").replace("log_facts", "one");
    let file = text(&project, "late.yaml", &late);
    fleet.ok(&["conclude", &campaign, "2", &file]);
    let show = fleet.ok(&["show", &campaign, "2"]);
    assert!(show.contains("late words") && show.contains("one of its researcher"), "{show}");
    assert_eq!(fleet.decided(&campaign)[1].2, "0.8", "never status or metric");
}
