//! Several researchers at one campaign: each is seen to be at work, what one has claimed the other is refused, and
//! nothing of it outlives them.

use crate::harness::{Fleet, WINDLASS, signal};
use crate::project::Project;
use serde_json::Value;
use std::path::Path;
use std::process::{Child, Stdio};

/// A lever that measures a dimension.
const LEVER: &str = r#"set -eu
lever() {
  printf '# the one number\nVALUE=%s\n' "$1" > params.sh
  cat > "$WINDLASS_TURN_DIR/lever.yaml" <<END
title: set $1
files: [params.sh]
anchor: {file: value.tsv, pattern: 'value\t([0-9.]+)', compare: '> 0'}
prediction: val becomes $1
analysis:
  - {script: 'builtin:log', output: $2.tsv, dimension: $2, question: how did it end?, if_helped: finished, if_not: otherwise}
END
}
think() { touch "$FLEET/$1"; while :; do sleep 0.1; done; }
"#;
/// Looks at what is claimed, claims more closely, and thinks for ever.
const ADA: &str = r#"
"$WINDLASS" --output json claim "$WINDLASS_CAMPAIGN" > "$FLEET/first.json"
"$WINDLASS" --quiet claim "$WINDLASS_CAMPAIGN" --about 'the number' --dimension shared --file params.sh
think claimed
"#;
/// Proposes what ada has claimed, and thinks for ever when that is refused.
const BOB: &str = r#"
case $WINDLASS_TURN in
  propose) lever 0.6 shared ;;
  *) think repairing ;;
esac
"#;

fn research(fleet: &Fleet, campaign: &str, name: &str, script: &str) -> Child {
    let agent = fleet.path(&format!("{name}.sh"));
    std::fs::write(&agent, format!("{LEVER}{script}")).expect("an agent");
    let mut command = fleet.command_of("data", &["research", campaign, "--name", name, "--", "sh"]);
    command.arg(&agent).env("FLEET", fleet.path("")).env("WINDLASS", WINDLASS);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts")
}

/// Who works on what now, by name.
fn claims(fleet: &Fleet, campaign: &str) -> Vec<(String, String)> {
    let document = fleet.json(&["claim", campaign]);
    let mut claims = pairs(&document);
    claims.sort();
    claims
}

fn pairs(document: &Value) -> Vec<(String, String)> {
    let text = |claim: &Value, key: &str| claim[key].as_str().expect("a text").to_owned();
    let all = document["claims"].as_array().expect("a list");
    all.iter().map(|claim| (text(claim, "researcher"), text(claim, "about"))).collect()
}

fn pair(researcher: &str, about: &str) -> (String, String) {
    (researcher.to_owned(), about.to_owned())
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn p39_two_researchers_see_each_other_and_what_one_has_claimed_the_other_is_refused() {
    let fleet = Fleet::new();
    let project = Project::default().windlass("  lanes: 2\n").write(&fleet.path("project"));
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    let campaign = fleet.submit(&project, false);
    fleet.wait_decided(&campaign, 1);
    let general = "a lever on the evidence of iteration 1";

    let mut ada = research(&fleet, &campaign, "ada", ADA);
    fleet.wait_until("ada has claimed", || fleet.path("claimed").exists());
    let first: Value = serde_json::from_str(&read(&fleet.path("first.json"))).expect("a document");
    assert_eq!(pairs(&first), [pair("ada", general)], "the loop had claimed for her");
    assert_eq!(claims(&fleet, &campaign), [pair("ada", "the number")], "what she claims herself counts");

    let mut bob = research(&fleet, &campaign, "bob", BOB);
    fleet.wait_until("bob was refused", || fleet.path("repairing").exists());
    let turn = |number: u32| fleet.path(&format!("data/research/{campaign}/bob/turns/{number}"));
    let context: Value = serde_json::from_str(&read(&turn(1).join("context.json"))).expect("a context");
    assert_eq!(pairs(&context), [pair("ada", "the number")], "he is told of her, and not of himself");
    assert!(read(&turn(1).join("prompt.md")).contains("Others are at this campaign too"));
    let refusal: Value = serde_json::from_str(&read(&turn(2).join("refusal.json"))).expect("a document");
    let message = refusal["message"].as_str().expect("a sentence");
    assert_eq!(refusal["rule"], "P39", "{refusal}");
    assert!(message.contains("is claimed by ada") && message.contains("the number"), "{message}");
    // What his lever was about is hers, so that his claim says only that he is at it.
    assert_eq!(claims(&fleet, &campaign), [pair("ada", "the number"), pair("bob", general)]);

    for loop_ in [&mut ada, &mut bob] {
        signal(loop_.id(), "INT");
        assert_eq!(loop_.wait().expect("it ends").code(), Some(130));
    }
    assert!(claims(&fleet, &campaign).is_empty(), "both have given back what they were at");
    fleet.verify();
}
