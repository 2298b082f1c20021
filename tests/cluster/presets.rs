//! Agents whose command lines are known, each with a stand-in of its name on the path: what it is started with, what is
//! read from what it prints, and that a limit of its service is a wait.

use crate::harness::Fleet;
use crate::project::Project;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// Notes how it was started, is limited at first, and then proposes and concludes.
const STAND_IN: &str = r#"#!/bin/sh
set -eu
printf '%s\n' "$@" > "$FLEET/argv"
cat > "$FLEET/stdin"
if [ ! -e "$FLEET/limited" ]; then
  touch "$FLEET/limited"
  echo "$LIMITED"
  exit 1
fi
if [ "$WINDLASS_TURN" = propose ]; then
  printf '# the one number\nVALUE=0.75\n' > params.sh
  cat > "$WINDLASS_TURN_DIR/lever.yaml" <<END
title: set 0.75
files: [params.sh]
anchor: {file: value.tsv, pattern: 'value\t([0-9.]+)', compare: '> 0'}
prediction: val becomes 0.75
analysis:
  - {script: 'builtin:log', output: end.tsv, dimension: end, question: how did it end?, if_helped: well, if_not: otherwise}
END
fi
echo "$SAYS"
"#;

/// What one prints, and how it is to be started and understood.
struct Case {
    agent: &'static str,
    argv: &'static [&'static str],
    limited: &'static str,
    says: &'static str,
    tokens: (u64, u64),
    cost_usd: f64,
}

const CASES: [Case; 2] = [
    Case {
        agent: "claude",
        argv: &[
            "-p",
            "--add-dir",
            "..",
            "--permission-mode",
            "acceptEdits",
            "--allowedTools",
            "Read,Edit,Write,Glob,Grep,Bash",
            "--output-format",
            "json",
            "--model",
            "a-model",
        ],
        limited: r#"{"type":"result","subtype":"success","is_error":true,"result":"You've hit your session limit"}"#,
        says: r#"{"type":"result","subtype":"success","is_error":false,"result":"done","total_cost_usd":0.25,"usage":{"input_tokens":10,"cache_read_input_tokens":5,"output_tokens":2}}"#,
        // Two turns that were not limited.
        tokens: (30, 4),
        cost_usd: 0.5,
    },
    Case {
        agent: "codex",
        argv: &[
            "exec",
            "--json",
            "--skip-git-repo-check",
            "--sandbox",
            "workspace-write",
            "--cd",
            "..",
            "--model",
            "a-model",
            "-",
        ],
        limited: r#"{"type":"error","message":"You've hit your usage limit."}"#,
        says: r#"{"type":"turn.completed","usage":{"input_tokens":10,"cached_input_tokens":5,"output_tokens":2}}"#,
        tokens: (20, 4),
        cost_usd: 0.0,
    },
];

fn stand_in(fleet: &Fleet, agent: &str) -> PathBuf {
    let bin = fleet.path("bin");
    std::fs::create_dir_all(&bin).expect("a folder");
    let place = bin.join(agent);
    std::fs::write(&place, STAND_IN).expect("a script");
    std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o755)).expect("it can be started");
    bin
}

fn check(case: &Case) {
    let fleet = Fleet::new();
    let project = Project::default().write(&fleet.path("project"));
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    let campaign = fleet.submit(&project, false);
    let bin = stand_in(&fleet, case.agent);
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let args = ["--output", "json", "research", &campaign, "--agent", case.agent, "--backoff", "1 ms"];
    let rest = ["--max-iterations", "1", "--", "--model", "a-model"];
    let mut command = fleet.command_of("data", &[&args[..], &rest[..]].concat());
    command
        .env("PATH", path)
        .env("FLEET", fleet.path(""))
        .env("LIMITED", case.limited)
        .env("SAYS", case.says);
    let output = command.output().expect("the binary starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}: {said} {}", case.agent, String::from_utf8_lossy(&output.stderr));
    let events: Vec<Value> =
        said.lines().map(|line| serde_json::from_str(line).expect("a document")).collect();

    let argv = std::fs::read_to_string(fleet.path("argv")).expect("it was started");
    assert_eq!(argv.lines().collect::<Vec<_>>(), case.argv, "{}", case.agent);
    let turns = fleet.path(&format!("data/research/{campaign}/researcher/turns"));
    let prompt = std::fs::read_to_string(turns.join("3/prompt.md")).expect("a prompt");
    let stdin = std::fs::read_to_string(fleet.path("stdin")).expect("its input");
    assert!(prompt.contains("Conclude iteration 2") && stdin == prompt, "it is asked on its standard input");
    let waited = events.iter().filter(|event| event["event"] == "backs_off").count();
    assert_eq!(waited, 1, "{}: a limit is a wait: {said}", case.agent);
    let cost = &events.last().expect("a summary")["cost"];
    let tokens = (cost["input_tokens"].as_u64(), cost["output_tokens"].as_u64());
    assert_eq!(tokens, (Some(case.tokens.0), Some(case.tokens.1)), "{cost}");
    assert_eq!(cost["cost_usd"].as_f64(), Some(case.cost_usd), "{cost}");
    assert_eq!(fleet.decided(&campaign)[1], (2, "keep".to_owned(), "0.75".to_owned()));
}

#[test]
fn a_known_agent_is_started_as_its_own_pages_say_and_its_account_is_read() {
    CASES.iter().for_each(check);
}
