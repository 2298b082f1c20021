//! Refused proposals on real processes: listed with rule, reason and the evidence looked at, also after a restart,
//! and bounded. Rows of an imported ledger, cited by a lever and told of wherever the lever is.

use crate::harness::Fleet;
use crate::project::Project;
use serde_json::Value;
use std::path::Path;

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A lever that touches a frozen file.
fn frozen(project: &Path) -> String {
    Project::lever(project, "frozen", "0.9");
    let file = project.join("levers/frozen.yaml");
    let lever = std::fs::read_to_string(&file).expect("there");
    std::fs::rename(project.join("levers/frozen.tree/params.sh"), project.join("levers/frozen.tree/run.sh"))
        .expect("renamed");
    std::fs::write(&file, lever.replace("files: [params.sh]", "files: [run.sh]")).expect("written");
    file.display().to_string()
}

#[test]
fn p24_refused_proposals_are_listed_with_rule_reason_and_evidence_also_after_a_restart() {
    let fleet = Fleet::new();
    let project = Project::default().write(&fleet.path("project"));
    let lever = frozen(&project);
    let coordinator = fleet.coordinator();
    let campaign = fleet.submit(&project, false);
    // P30: the copy has its headers from the submission on.
    let copy = fleet.path("copy");
    fleet.ok(&["sync", &campaign, text(&copy)]);
    let header = "iter\tval\tstatus\tanalysis_summary\tdescription\n";
    assert_eq!(std::fs::read_to_string(copy.join("results.tsv")).expect("the rows"), header);

    let listed = |fleet: &Fleet| -> Vec<Value> {
        let told = fleet.json(&["lever", "list", &campaign, "--refused"]);
        told["refused"].as_array().expect("a list").clone()
    };
    assert!(listed(&fleet).is_empty());
    assert!(fleet.ok(&["lever", "list", &campaign, "--refused"]).contains("no proposal was refused"));
    assert_eq!(fleet.client(&["lever", "add", &campaign, &lever, "--dry-run"]).status.code(), Some(3));
    assert!(listed(&fleet).is_empty(), "what is only asked leaves nothing");
    assert_eq!(fleet.client(&["lever", "add", &campaign, &lever]).status.code(), Some(3));
    let told = |fleet: &Fleet| {
        let refused = listed(fleet);
        assert_eq!(refused.len(), 1);
        let proposal = &refused[0]["body"]["proposal"];
        let rules: Vec<&str> = proposal["problems"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|one| one["rule"].as_str())
            .collect();
        assert!(rules.contains(&"P2"), "{proposal}");
        assert!(proposal["anchor"].as_str().is_some_and(|anchor| anchor.starts_with("value.tsv: /")));
        let page = fleet.ok(&["lever", "list", &campaign, "--refused"]);
        assert!(page.contains("run.sh is frozen") && page.contains("[P2]"), "{page}");
        let status = fleet.json(&["status", &campaign]);
        assert_eq!((&status["refused"]["recorded"], &status["queued"]), (&1.into(), &0.into()));
        assert!(fleet.ok(&["status", &campaign]).contains("--refused"));
        assert!(fleet.ok(&["context", &campaign]).contains("last refused proposal"));
    };
    told(&fleet);
    coordinator.kill();
    let _coordinator = fleet.coordinator();
    told(&fleet);
    // Whoever proposes without end fills no ledger.
    for _ in 0..40 {
        assert_eq!(fleet.client(&["lever", "add", &campaign, &lever]).status.code(), Some(3));
    }
    assert_eq!(listed(&fleet).len(), 32, "the rest was answered and not recorded");
    fleet.verify();
}

#[test]
fn p24_a_lever_cites_a_row_of_an_imported_ledger_and_every_page_says_so() {
    let fleet = Fleet::new();
    let old = fleet.path("old.tsv");
    std::fs::write(&old, include_str!("../data/showcase-ml-autoresearch.results.tsv")).expect("a file");
    let project = Project::default().write(&fleet.path("project"));
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    let imported = fleet.json(&["ledger", "import", text(&old), "--name", "first loop"]);
    let imported = imported["campaign"].as_str().expect("an id").to_owned();
    let campaign = fleet.submit(&project, false);
    let lever = |name: &str, cites: &str| {
        Project::lever(&project, name, "0.6");
        let file = project.join(format!("levers/{name}.yaml"));
        let lever = std::fs::read_to_string(&file).expect("there");
        std::fs::write(&file, format!("{lever}cites: [{cites}]\n")).expect("written");
        file.display().to_string()
    };
    for (cites, says) in [
        ("{campaign: first loop, iteration: 99}", "iteration 99 of"),
        ("{campaign: second loop, iteration: 9}", "there is no campaign"),
    ] {
        let refused = fleet.client(&["lever", "add", &campaign, &lever("bad", cites)]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(3), "{said}");
        assert!(said.contains("[P24]") && said.contains("cites[0]") && said.contains(says), "{said}");
    }
    fleet.ok(&["lever", "add", &campaign, &lever("good", "{campaign: first loop, iteration: 9}")]);
    fleet.wait_decided(&campaign, 2);
    let shown = fleet.json(&["lever", "show", &campaign, "L1"]);
    let cited = &shown["record"]["body"]["cited"][0];
    assert_eq!((&cited["campaign"], &cited["iteration"]), (&imported.as_str().into(), &9.into()));
    assert_eq!((&cited["status"], &cited["metric"]), (&"keep".into(), &"0.6700".into()));
    assert_eq!(fleet.json(&["show", &campaign, "2"])["lever"]["cites"][0], *cited);
    for page in [&["lever", "show", &campaign, "L1"][..], &["show", &campaign, "2"], &["report", &campaign]] {
        let page = fleet.ok(page);
        assert!(page.contains(&imported) && page.contains("0.6700"), "{page}");
    }
    let copy = fleet.path("copy");
    fleet.ok(&["sync", &campaign, text(&copy)]);
    let laid_out = std::fs::read_to_string(copy.join("iter2/lever.yaml")).expect("the lever");
    assert!(laid_out.contains("cites:") && laid_out.contains("first loop"), "{laid_out}");
    fleet.verify();
}
