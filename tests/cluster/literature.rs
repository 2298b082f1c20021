//! Literature through real processes (P33 to P37): a review comes in, levers rest on its findings, and the copy
//! has the corpus.

use crate::harness::Fleet;
use crate::project::Project;
use serde_json::{Value, json};
use std::path::Path;

const CORPUS: &str = "iter\tlevel\tpaper_id\ttitle\tscope\trelevance\tverdict\timplemented\tresult\n\
    2\t2\t2001.00001\tOn Larger Values\tmlp\thigh\tkeep\ty\thelped\n\
    2\t1\tnone\tFrom Memory\tagnostic\tlow\treject\tn\tpending\n\
    2\t2\t10.1/small\tOn Small Values; revisited\tagnostic\tmed\tkeep\ty\thurt\n\
    4\t2\t10.1/small\tOn Small Values; revisited\tagnostic\tmed\treject\tn\tpending\n";

fn finding(title: &str, id: (&str, &str), strength: &str, change: &str) -> Value {
    json!({
        "question": "which value?", "abstraction_level": 2, "claim": "values matter",
        "evidence": {"strength": strength}, "citations": [{"title": title, id.0: id.1}],
        "applicability_to_our_setup": "the same sum and budget", "proposed_change": change,
        "files_to_edit": ["params.sh"], "how_to_verify": "the printed value", "verdict": "keep",
    })
}

fn write(dir: &Path, name: &str, review: &Value) -> String {
    let path = dir.join(name);
    std::fs::write(&path, review.to_string()).expect("a file");
    path.to_str().expect("a UTF-8 path").to_owned()
}

fn verdicts(added: &Value) -> Vec<(u64, String)> {
    let rows = added["findings"].as_array().expect("findings");
    rows.iter()
        .map(|row| {
            (row["finding"].as_u64().expect("a number"), row["verdict"].as_str().expect("a word").to_owned())
        })
        .collect()
}

#[test]
fn p35_p37_a_lever_that_cites_a_finding_goes_to_keep_and_the_copy_has_the_corpus() {
    let fleet = Fleet::new();
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    let dir = fleet.path("project");
    Project::default().literature().windlass("  architecture: mlp\n").write(&dir);
    Project::lever(&dir, "larger", "0.75");
    Project::lever(&dir, "smaller", "0.4");
    let campaign = fleet.submit(&dir, false);
    fleet.wait_decided(&campaign, 1);
    let lever = |name: &str| dir.join(format!("levers/{name}.yaml")).to_str().expect("UTF-8").to_owned();
    let refused = fleet.client(&["--output", "json", "lever", "add", &campaign, &lever("larger")]);
    assert_eq!(refused.status.code(), Some(3), "it states no basis");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("P37"));

    // The same request twice is one review (I4).
    let mut memory = finding("From Memory", ("venue", "a bar"), "weak", "hope");
    memory["abstraction_level"] = json!(1);
    let small = finding("On Small Values, revisited", ("doi", "10.1/small"), "moderate", "set VALUE to 0.4");
    let large = finding("On Larger Values", ("arxiv_id", "2001.00001"), "strong", "set VALUE to 0.75");
    let file = write(&dir, "review.json", &json!({"iteration": 2, "findings": [large, memory, small]}));
    let request = uuid::Uuid::now_v7().to_string();
    for _ in 0..2 {
        let added =
            fleet.json(&["--request-id", &request, "findings", "add", &campaign, &file, "--scope", "1=mlp"]);
        let want = [(1, "keep"), (2, "reject"), (3, "keep")].map(|(n, word)| (n, word.to_owned()));
        assert_eq!(verdicts(&added), want);
    }
    // One after the other: both change the same line.
    for (name, basis, iteration) in [("larger", "F1", 2), ("smaller", "F3", 3)] {
        let text = std::fs::read_to_string(lever(name)).expect("a lever");
        std::fs::write(lever(name), format!("literature: {basis}\n{text}")).expect("written");
        fleet.json(&["lever", "add", &campaign, &lever(name)]);
        fleet.wait_decided(&campaign, iteration);
    }
    let small = finding("On Small Values, revisited", ("doi", "10.1/small"), "moderate", "Set VALUE to 0.4!");
    let again = write(&dir, "again.json", &json!({"iteration": 4, "findings": [small]}));
    let added = fleet.json(&["findings", "add", &campaign, &again]);
    assert_eq!(verdicts(&added), [(4, "reject".to_owned())]);
    let reasons = added["findings"][0]["reasons"].to_string();
    assert!(reasons.contains("iteration 3 tested the same change for F3 (hurt)"), "{reasons}");

    let shown = fleet.json(&["show", &campaign, "2"]);
    let rows = shown["deliverables"].as_array().expect("a plan");
    let verify = rows.iter().find(|row| row["dimension"] == "verify-f1").expect("the verify-todo");
    assert_eq!(verify["question"], "the printed value");
    assert!(verify["first_line"].is_string(), "it was made");
    let counts = fleet.json(&["status", &campaign])["literature"]["counts"].clone();
    let want = json!({"pending": 0, "helped": 1, "no_effect": 0, "hurt": 1, "stale": 0, "rejected": 2});
    assert_eq!(counts, want);

    let copy = fleet.path("copy");
    fleet.json(&["sync", &campaign, copy.to_str().expect("UTF-8")]);
    let read = |name: &str| std::fs::read_to_string(copy.join(name)).expect(name);
    assert_eq!(read("literature/corpus.tsv"), CORPUS);
    let results = read("results.tsv");
    let rows: Vec<Vec<&str>> = results.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows[0], ["iter", "val", "status", "analysis_summary", "literature_basis", "description"]);
    let told: Vec<_> = rows[1..].iter().map(|row| (row[0], row[2], row[4])).collect();
    let want = [
        ("1", "keep", "none (baseline)"),
        ("2", "keep", "F1 On Larger Values (2001.00001)"),
        ("3", "discard", "F3 On Small Values; revisited (10.1/small)"),
    ];
    assert_eq!(told, want);
    let files = fleet.same_copies(&campaign);
    assert!(files.iter().any(|file| file == "literature/corpus.tsv"), "{files:?}");
    // Such a ledger comes in again, its basis as a note.
    let results = copy.join("results.tsv");
    let imported = fleet.json(&["ledger", "import", results.to_str().expect("UTF-8"), "--name", "earlier"]);
    let imported = imported["campaign"].as_str().expect("an id");
    let tsv = fleet.ok(&["results", imported, "--format", "tsv"]);
    assert_eq!(tsv, std::fs::read_to_string(&results).expect("read"), "import after export is the identity");
    fleet.verify();
}

#[test]
fn p33_a_review_of_another_shape_is_refused_with_finding_and_place_and_leaves_nothing() {
    let fleet = Fleet::new();
    let _coordinator = fleet.coordinator();
    let dir = fleet.path("project");
    Project::default().literature().write(&dir);
    let campaign = fleet.submit(&dir, false);
    let mut bad = finding("t", ("doi", "10.1/t"), "huge", "x");
    bad["claim"] = json!("");
    let file = write(&dir, "bad.json", &json!({"iteration": 1, "findings": [bad]}));
    let refused = fleet.client(&["--output", "json", "findings", "add", &campaign, &file]);
    assert_eq!(refused.status.code(), Some(3));
    let said: Value = serde_json::from_slice(&refused.stderr).expect("a document");
    let problems = said["problems"].as_array().expect("two problems");
    let told: Vec<&str> = problems.iter().map(|one| one["message"].as_str().expect("a sentence")).collect();
    assert_eq!(told[0], "finding 1 at /findings/0/claim: is empty");
    assert!(told[1].starts_with("finding 1 at /findings/0/evidence/strength: \"huge\""), "{told:?}");
    assert!(problems.iter().all(|one| one["code"] == "FINDING" && one["rule"] == "P33"), "{problems:?}");
    let listed = fleet.json(&["findings", "list", &campaign]);
    assert_eq!(listed["findings"], json!([]));
    // The positive control.
    let good = write(&dir, "good.json", &json!({"iteration": 1, "findings": []}));
    fleet.json(&["findings", "add", &campaign, &good]);
}
