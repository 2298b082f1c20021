//! A campaign that a command drives while client, coordinator, worker and the command itself are killed in turn:
//! no iteration is lost, no lever is proposed twice, and the ledger verifies (I1, I3, I4).
//!
//! `WINDLASS_RESEARCH_ITERATIONS=500 WINDLASS_RESEARCH_EVERY=20` is the long mode: each of the four is killed once
//! in so many iterations.

use crate::harness::{Daemon, Fleet, WINDLASS, signal};
use crate::project::Project;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Each turn proposes a number that no other turn does, so that a lever sent twice would be seen.
const AGENT: &str = r#"set -eu
if [ "$WINDLASS_TURN" = conclude ]; then
  output=$(ls "$WINDLASS_EVIDENCE/iter$WINDLASS_ITERATION/results" | grep '^l')
  printf 'examined: the log\nfinding: it ran\nbullets: [a, b, c]\ndeliverables: {%s: as_helped}\n' "$output" > "$WINDLASS_TURN_DIR/conclusion.yaml"
  exit
fi
turn=$(basename "$WINDLASS_TURN_DIR")
sleep 0.1
printf '# the one number\nVALUE=1.%06d\n' "$turn" > params.sh
cat > "$WINDLASS_TURN_DIR/lever.yaml" <<END
title: of turn $turn
files: [params.sh]
anchor: {file: value.tsv, pattern: 'value\t([0-9.]+)', compare: '> 0'}
prediction: val grows
analysis:
  - {script: 'builtin:log', output: l$turn.tsv, dimension: d$turn, question: how did it end?, if_helped: finished, if_not: otherwise}
END
"#;

fn number(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// A fleet whose parts are killed and come back.
struct Stage {
    fleet: Fleet,
    campaign: String,
    iterations: usize,
    coordinator: Option<Daemon>,
    worker: Option<Daemon>,
    research: Option<Child>,
}

impl Stage {
    fn start(&mut self) {
        let said = std::fs::OpenOptions::new().create(true).append(true).open(self.said()).expect("a log");
        let errors =
            std::fs::OpenOptions::new().create(true).append(true).open(self.fleet.path("research.log"));
        let mut command = Command::new(WINDLASS);
        command.arg("--data-dir").arg(self.fleet.data_dir()).args(["--output", "json", "research"]);
        command.args([&self.campaign, "--backoff", "1 ms", "--max-iterations", &self.iterations.to_string()]);
        command.args(["--", "sh"]).arg(self.fleet.path("agent.sh")).stdin(Stdio::null());
        command.env_remove("WINDLASS_COORDINATOR").env_remove("WINDLASS_OUTPUT");
        command.stdout(said).stderr(errors.expect("a log"));
        self.research = Some(command.spawn().expect("it starts"));
    }

    fn said(&self) -> PathBuf {
        self.fleet.path("said.jsonl")
    }

    fn folder(&self) -> PathBuf {
        self.fleet.path(&format!("data/research/{}/researcher", self.campaign))
    }

    /// Iterations that have landed: the loop writes a file for each.
    fn landed(&self) -> usize {
        std::fs::read_dir(self.folder().join("costs")).map_or(0, |files| files.flatten().count())
    }

    /// Kills the `n`th of them, and starts it again where nobody else does.
    fn kill(&mut self, n: usize) {
        match n % 4 {
            0 => {
                let mut research = self.research.take().expect("it runs");
                research.kill().expect("it can be killed");
                research.wait().expect("it is reaped");
                self.start();
            }
            1 => {
                self.coordinator.take().expect("it runs").kill();
                self.coordinator = Some(self.fleet.coordinator_unready(&[]));
            }
            2 => {
                self.worker.take().expect("it runs").kill();
                self.worker = Some(self.fleet.worker_unready("one"));
            }
            _ => self.kill_the_command(),
        }
    }

    fn kill_the_command(&mut self) {
        let landed = self.landed();
        // It may be between two turns, for good if the campaign has just come to its end.
        while self.landed() < landed + 2 && !self.has_ended() {
            let agent = self
                .fleet
                .processes()
                .into_iter()
                .find(|(_, command)| command.starts_with("sh ") && command.contains("agent.sh"));
            if let Some((pid, _)) = agent {
                return signal(pid, "KILL");
            }
        }
    }

    fn has_ended(&mut self) -> bool {
        self.research.as_mut().is_none_or(|research| research.try_wait().expect("its state").is_some())
    }

    /// Drives it to its end, killing each of the four once in `every` iterations.
    fn drive(&mut self, every: usize) -> usize {
        let mut kills = 0;
        let mut starts = 0;
        loop {
            if let Some(status) = self.research.as_mut().expect("it runs").try_wait().expect("its state") {
                if status.success() {
                    return kills;
                }
                // The coordinator was away when it started: worth a retry.
                assert_eq!(status.code(), Some(5), "{}", self.fleet.logs());
                starts += 1;
                assert!(starts < 2_000, "it never came up again: {}", self.fleet.logs());
                std::thread::park_timeout(Duration::from_millis(100));
                self.start();
            }
            if self.landed() * 4 >= (kills + 1) * every && self.landed() < self.iterations {
                self.kill(kills);
                kills += 1;
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

#[test]
fn i4_nothing_is_lost_or_proposed_twice_while_each_part_is_killed_again_and_again() {
    let iterations = number("WINDLASS_RESEARCH_ITERATIONS", 16);
    let every = number("WINDLASS_RESEARCH_EVERY", 8);
    let fleet = Fleet::new();
    let project = Project::default().write(&fleet.path("project"));
    std::fs::write(fleet.path("agent.sh"), AGENT).expect("an agent");
    let coordinator = fleet.coordinator();
    let worker = fleet.worker("one");
    let campaign = fleet.submit(&project, false);
    let (coordinator, worker) = (Some(coordinator), Some(worker));
    let mut stage = Stage { fleet, campaign, iterations, coordinator, worker, research: None };
    stage.start();
    let kills = stage.drive(every);
    assert!(kills >= 4 * (iterations / every) - 4 && kills >= 4, "{kills} kills");
    stage.fleet.wait_until("the coordinator answers", || stage.fleet.client(&["campaigns"]).status.success());
    check(&stage, iterations);
    let left: Vec<_> =
        stage.fleet.processes().into_iter().filter(|(_, command)| command.contains("agent.sh")).collect();
    assert!(left.is_empty(), "{left:?}");
    drop((stage.coordinator.take(), stage.worker.take()));
    stage.fleet.verify();
}

fn check(stage: &Stage, iterations: usize) {
    // None is lost: the baseline and one for each lever, in order, each with a metric.
    let decided = stage.fleet.decided(&stage.campaign);
    let numbers: Vec<u64> = decided.iter().map(|row| row.0).collect();
    let last = u64::try_from(iterations + 1).expect("a small number");
    assert_eq!(numbers, (1..=last).collect::<Vec<u64>>());
    assert!(decided.iter().all(|row| row.1 == "keep"), "each is better than the one before: {decided:?}");
    // None is proposed twice: as many levers as iterations, each of a turn of its own.
    let levers = stage.fleet.json(&["lever", "list", &stage.campaign]);
    let levers = levers["levers"].as_array().expect("a list");
    let titles: BTreeSet<&str> =
        levers.iter().map(|lever| lever["title"].as_str().expect("a title")).collect();
    assert_eq!((levers.len(), titles.len()), (iterations, iterations));
    let events = events(&stage.said());
    let count = |event: &str| events.iter().filter(|said| said["event"] == event).count();
    assert_eq!(count("refused"), 0, "nothing was sent that had been sent before");
    let proposed: Vec<u64> = events
        .iter()
        .filter(|said| said["event"] == "proposed")
        .filter_map(|said| said["lever"].as_u64())
        .collect();
    assert_eq!(proposed.iter().collect::<BTreeSet<_>>().len(), proposed.len(), "{proposed:?}");
    // The command was really killed, and asked again.
    let killed = events
        .iter()
        .filter(|said| said["sentence"].as_str().is_some_and(|it| it.contains("killed by signal 9")));
    assert!(killed.count() >= 1, "the command was killed in a turn");
}

/// What the loop said over all of its lives; a kill may have torn a line.
fn events(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("what it said");
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
