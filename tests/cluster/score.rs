//! The independent scorer on real processes: what a run leaves behind does not reach it.

use crate::harness::Fleet;
use crate::project::Project;

/// It prints what the artifact says, unless something in its folder or its environment says otherwise.
const SCORER: &str = "SCORE=$(cat preds.csv)\nif [ -f trap.sh ]; then . ./trap.sh; fi\n\
                      if [ -f helper/trap.sh ]; then . ./helper/trap.sh; fi\necho \"val: $SCORE\"\n";

#[test]
fn p2_p25_a_scorer_begins_in_a_fresh_workspace_of_the_frozen_tree_whatever_its_run_left_behind() {
    let fleet = Fleet::new();
    let run = "echo 0.4 > preds.csv\nprintf 'SCORE=99\\n' > trap.sh\nmkdir -p helper\n\
               printf 'SCORE=98\\n' > helper/trap.sh\nexport SCORE=97\necho \"val: 96\"";
    let score = "  score: {run: sh score.sh, artifact: preds.csv}\n  analysis: {wait: 0}\n";
    let project = Project::default().run(run).windlass(score).write(&fleet.path("project"));
    std::fs::write(project.join("score.sh"), SCORER).expect("written");
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    let campaign = fleet.submit(&project, false);
    fleet.wait_decided(&campaign, 1);
    let shown = fleet.ok(&["show", &campaign, "1"]);
    let results = fleet.json(&["results", &campaign]);
    let row = &results["iterations"][0];
    assert_eq!((&row["metric"], &row["status"]), (&"0.4".into(), &"keep".into()), "{results} {shown}");
    // The summary tells the scorer's number first; what the run printed is only noted.
    assert!(row["analysis_summary"].as_str().is_some_and(|text| text.starts_with("0.4")), "{results}");
    assert!(shown.contains("96") && shown.contains("only noted"), "{shown}");
    fleet.verify();
}
