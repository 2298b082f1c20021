//! Moves (P11) and instrumentation (P26) on real processes: what waits, what is pulled, what is written down.

use crate::harness::Fleet;
use crate::project::Project;
use std::path::{Path, PathBuf};

/// A lever that sets the number, with more keys in its file; the file's path.
fn lever(project: &Path, name: &str, value: &str, keys: &str) -> PathBuf {
    Project::lever(project, name, value);
    let path = project.join(format!("levers/{name}.yaml"));
    let text = std::fs::read_to_string(&path).expect("written");
    std::fs::write(&path, format!("{keys}{text}")).expect("written");
    path
}

struct Research<'a> {
    fleet: &'a Fleet,
    project: PathBuf,
    campaign: String,
}

impl Research<'_> {
    fn add(&self, name: &str, value: &str, keys: &str) {
        let path = lever(&self.project, name, value, keys);
        self.fleet.ok(&["lever", "add", &self.campaign, path.to_str().expect("UTF-8")]);
    }

    fn status(&self) -> serde_json::Value {
        self.fleet.json(&["status", &self.campaign])
    }

    /// Waits until the campaign says that it waits for this.
    fn waits_for(&self, what: &str) {
        self.fleet
            .wait_until(what, || self.status()["waits_for"].as_str().is_some_and(|text| text.contains(what)));
    }
}

#[test]
fn p11_swings_come_first_exploits_stop_at_the_limit_and_the_registry_tells_all() {
    let fleet = Fleet::new();
    let scheduled = "  move_scheduler: {swing_budget: 1, stagnation_limit: 2}\n";
    let project = Project::default().windlass(scheduled).write(&fleet.path("project"));
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    let campaign = fleet.submit(&project, false);
    fleet.wait_decided(&campaign, 1);
    let research = Research { fleet: &fleet, project, campaign: campaign.clone() };

    research.add("a", "0.6", "");
    research.waits_for("for a swing: the first lever is to be one");
    assert_eq!(research.status()["moves"]["allowed"], serde_json::json!(["swing"]));
    let told = fleet.ok(&["explain", &campaign, "L1"]);
    assert!(told.contains("[P11]") && told.contains("its move waits for a swing"), "{told}");
    // The swing overtakes what waits; it loses, so that the exploit still fits.
    research.add("b", "0.25", "kind: swing\naxes: [family, head]\n");
    fleet.wait_decided(&campaign, 3);
    research.add("c", "0.55", "kind: exploit\n");
    fleet.wait_decided(&campaign, 4);
    research.add("d", "0.65", "");
    research.waits_for("for a swing or a merge: 2 exploits were pulled in a row");
    assert_eq!(research.status()["moves"]["exploits_in_a_row"], 2);
    fleet.ok(&["lever", "retire", &campaign, "L4"]);
    research.add("e", "0.7", "kind: swing\naxes: [family]\n");
    fleet.wait_decided(&campaign, 5);
    let without = lever(&research.project, "f", "0.75", "kind: merge\n");
    let refused = fleet.client(&["lever", "add", &campaign, without.to_str().expect("UTF-8")]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(3) && said.contains("P11"), "a merge names what it joins: {said}");
    research.add("f", "0.75", "kind: merge\nparents: [3, 5]\naxes: [family]\n");
    fleet.wait_decided(&campaign, 6);
    research.add("g", "0.72", "kind: ablation\n");
    fleet.wait_decided(&campaign, 7);

    let moves = &research.status()["moves"];
    assert_eq!((&moves["swings"], &moves["exploits_in_a_row"]), (&2.into(), &1.into()), "{moves}");
    let tsv = fleet.ok(&["results", &campaign, "--format", "tsv"]);
    let column: Vec<&str> = tsv.lines().map(|line| line.split('\t').nth(3).expect("a column")).collect();
    assert_eq!(column, ["move_type", "baseline", "swing", "exploit", "exploit", "swing", "merge", "exploit"]);
    let copy = fleet.path("copy");
    fleet.ok(&["sync", &campaign, copy.to_str().expect("UTF-8")]);
    let files = fleet.same_copies(&campaign);
    for file in ["approaches.md", "results.tsv", "iter2/change.patch", "iter2/analysis/plan.md"] {
        assert!(files.iter().any(|known| known == file), "{file}: {files:?}");
    }
    let registry = std::fs::read_to_string(copy.join("approaches.md")).expect("the registry");
    assert!(
        registry.contains("| iter | name | move | axes changed | val | strengths | weaknesses | ablated |"),
        "{registry}"
    );
    let rows: Vec<Vec<&str>> = registry
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| iter"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let shown: Vec<_> = rows.iter().map(|row| (row[0], row[1], row[2], row[3], row[4], row[7])).collect();
    let want = [
        ("2", "set 0.25", "swing", "family; head", "0.25", "n"),
        ("5", "set 0.7", "swing", "family", "0.7", "n"),
        ("6", "set 0.75", "merge of 3 and 5", "family", "0.75", "y"),
    ];
    assert_eq!(shown, want, "{registry}");
    assert!(rows[0][5].is_empty() && rows[0][6].contains("0.5 by 0.25"), "a weakness: {registry}");
    assert!(rows[1][5].contains("0.7 > 0.6") && rows[1][6].is_empty(), "a strength: {registry}");
    assert_eq!(std::fs::read_to_string(copy.join("results.tsv")).expect("it"), tsv);
    fleet.verify();
}

#[test]
fn p26_instrumentation_is_kept_when_it_is_not_worse_and_a_patch_of_it_counts_no_line() {
    let fleet = Fleet::new();
    let project = Project::default()
        .run("[ -z \"$LOUD\" ] || echo \"the number is $VALUE\"\necho \"val: $VALUE\"")
        .windlass("  simplicity: {lines: 2, min_gain: 0.2}\n")
        .write(&fleet.path("project"));
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    let campaign = fleet.submit(&project, false);
    fleet.wait_decided(&campaign, 1);
    let edited = |name: &str, text: &str| {
        std::fs::write(project.join(format!("levers/{name}.tree/params.sh")), text).expect("written");
    };
    let add = |name: &str| {
        let path = project.join(format!("levers/{name}.yaml"));
        fleet.ok(&["lever", "add", &campaign, path.to_str().expect("UTF-8")]);
    };

    // Three lines more and the same metric: a change is discarded for it, logging alone is kept.
    let logging = "# the one number\nVALUE=0.5\nLOUD=1\n# one\n# two\n";
    lever(&project, "a", "0.5", "");
    edited("a", &logging.replace("one\n", "1\n"));
    add("a");
    fleet.wait_decided(&campaign, 2);
    lever(&project, "b", "0.5", "kind: instrumentation\n");
    edited("b", logging);
    add("b");
    fleet.wait_decided(&campaign, 3);
    assert!(fleet.ok(&["logs", &campaign, "3"]).contains("the number is 0.5"));

    // A small gain with a patch that only logs: the patch is run along, and its many lines are not counted.
    lever(&project, "c", "0.6", "instrumentation: c.patch\n");
    edited("c", &logging.replace("0.5", "0.6"));
    let patch = "--- a/params.sh\n+++ b/params.sh\n@@ -5 +5,4 @@\n # two\n+# three\n+# four\n+echo logged\n";
    std::fs::write(project.join("levers/c.patch"), patch).expect("written");
    add("c");
    fleet.wait_decided(&campaign, 4);
    assert!(fleet.ok(&["logs", &campaign, "4"]).contains("logged\n"));
    // Its control: as many lines as a part of the change are not worth so small a gain.
    lever(&project, "d", "0.7", "");
    let logged = format!("{}# three\n# four\necho logged\n", logging.replace("0.5", "0.7"));
    let text = format!("{logged}# five\n# six\n# seven\n");
    edited("d", &text);
    add("d");
    fleet.wait_decided(&campaign, 5);
    let tsv = fleet.ok(&["results", &campaign, "--format", "tsv"]);
    let status: Vec<&str> = tsv.lines().skip(1).map(|line| line.split('\t').nth(2).expect("it")).collect();
    assert_eq!(status, ["keep", "discard", "keep", "keep", "discard"], "{tsv}");
    let shown = fleet.ok(&["show", &campaign, "5"]);
    assert!(shown.contains("not worth its lines"), "{shown}");
    fleet.verify();
}
