//! Every command in README.md and docs/ is run. A page's `sh` blocks are one script, in order, in a folder
//! of its own with `examples/` beside it; `text`, `yaml` and other blocks are not run. A page that does not
//! start a coordinator itself finds one. What a `text said` block shows must have been said, line by line. Agents that
//! need an account have stand-ins on the path that propose nothing.

use crate::harness::{Fleet, WINDLASS};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What the script runs in a line's place, with the reason.
const INSTEAD: [(&str, &str); 10] = [
    // The demo's own test runs it whole.
    ("cargo run --release -- demo", "windlass demo --help > demo-help.txt"),
    // This is what is running.
    ("bash tests/run.sh", "test -n \"$REPOSITORY\" && test -f \"$REPOSITORY/tests/run.sh\""),
    // The binary under test is on the path already.
    ("cargo install --path cli", "command -v windlass > which.txt"),
    // These go on for ever (P32): the same line with an end, and a researcher where the page leaves that to its reader.
    (
        "windlass research line --agent claude --max-hours 12",
        "windlass research line --agent claude --max-hours 12 --max-dry 1",
    ),
    (
        "windlass research line --agent claude --max-hours 12 --max-cost 20",
        "windlass research line --agent claude --max-hours 12 --max-cost 20 --max-dry 1",
    ),
    (
        "windlass research line --agent claude --max-hours 12 --max-cost 50",
        "windlass research line --agent claude --max-hours 12 --max-cost 50 --max-dry 1",
    ),
    (
        "windlass research line --agent codex -- --model gpt-5-codex",
        "windlass research line --agent codex --max-dry 1 -- --model gpt-5-codex",
    ),
    (
        "windlass research line -- python3 my_researcher.py",
        "echo pass > my_researcher.py; windlass research line --max-dry 1 -- python3 my_researcher.py",
    ),
    (
        "windlass research digits -- windlass researcher levers examples/digits/levers",
        "windlass --quiet submit examples/digits && windlass wait digits 1 --timeout '5 min' && \
         windlass research digits --max-iterations 1 -- windlass researcher levers examples/digits/levers",
    ),
    // It is started by the loop, in a turn.
    (
        "windlass researcher levers line/levers",
        "windlass research line --name ada --max-dry 1 -- windlass researcher levers line/levers",
    ),
];

/// Stands for an agent that needs an account: it says what a turn has cost, and proposes nothing.
const STAND_IN: &str =
    "#!/bin/sh\ncat > /dev/null\necho '{\"type\":\"result\",\"total_cost_usd\":0.01,\"usage\":{}}'\n";

/// How long a page may take, seconds: the slowest takes half a minute.
const PAGE_MAX_S: &str = "600";

/// A person types slower than a coordinator and a worker come up.
const UNTIL_READY: &str =
    "for i in $(seq 600); do windlass --quiet workers 2> up.err | grep -q ready && break; sleep 0.1; done\n";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The `sh` blocks of a page as one script that names the line at which it fails.
fn script(page: &str) -> String {
    let mut script = String::from("set -eu\n");
    let mut in_block = false;
    let mut in_document = None;
    for (number, line) in (1..).zip(page.lines()) {
        if let Some(end) = &in_document {
            script.push_str(line);
            script.push('\n');
            if line == end {
                in_document = None;
            }
            continue;
        }
        match line.trim_end() {
            "```sh" if !in_block => in_block = true,
            "```" if in_block => in_block = false,
            line if in_block => {
                let command = line.split(" #").next().unwrap_or_default().trim_end();
                let instead = INSTEAD.iter().find(|(written, _)| *written == command);
                if !command.is_empty() && !line.starts_with([' ', '#']) {
                    script.push_str(&format!("LINE={number}\n"));
                }
                script.push_str(instead.map_or(line, |(_, instead)| instead));
                script.push('\n');
                if command == "windlass up &" {
                    script.push_str(UNTIL_READY);
                }
                in_document =
                    line.split_once("<<'").and_then(|(_, rest)| Some(rest.split_once('\'')?.0.to_owned()));
            }
            _ => {}
        }
    }
    script
}

fn check(page: &str) {
    let fleet = Fleet::new();
    let text = std::fs::read_to_string(repository().join(page)).expect("the page");
    let body = script(&text);
    let place = fleet.path("page");
    let bin = fleet.path("bin");
    std::fs::create_dir_all(&place).expect("a folder");
    std::fs::create_dir_all(&bin).expect("a folder");
    std::os::unix::fs::symlink(WINDLASS, bin.join("windlass")).expect("a link");
    for agent in ["claude", "codex"] {
        std::fs::write(bin.join(agent), STAND_IN).expect("a script");
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(bin.join(agent), executable).expect("it can be started");
    }
    let copied = Command::new("cp").arg("-r").arg(repository().join("examples")).arg(&place).status();
    assert!(copied.expect("cp runs").success());
    // On the way out: what the page started in the background ends, and the failing line is named.
    let start = "trap 'status=$?; [ $status = 0 ] || echo \"stopped at line $LINE\" >&2; \
                 for job in $(jobs -p); do kill -INT $job || true; done; wait; exit $status' EXIT\nLINE=0\n";
    let up = format!("windlass --quiet up 2> up.log &\n{UNTIL_READY}");
    let up = if body.contains("windlass up ") { String::new() } else { up };
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    // One that waits for ever fails, instead of all tests waiting with it.
    let output = Command::new("timeout")
        .args([PAGE_MAX_S, "bash", "-c"])
        .arg(format!("{start}{up}{body}"))
        .current_dir(&place)
        .env("PATH", path)
        .env("HOME", fleet.path("home"))
        .env("WINDLASS_DATA_DIR", fleet.data_dir())
        .env("REPOSITORY", repository())
        .env_remove("WINDLASS_COORDINATOR")
        .env_remove("WINDLASS_OUTPUT")
        .stdin(Stdio::null())
        .output()
        .expect("timeout and bash run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{page}: {said}");
    let all = squeezed(&[output.stdout.as_slice(), b"\n", &output.stderr].concat());
    for line in shown(&text) {
        assert!(all.contains(&squeezed(line.as_bytes())), "{page} shows {line:?}, which is not in: {all}");
    }
}

/// The lines of a page that its commands are to have said.
fn shown(page: &str) -> Vec<&str> {
    let mut is_shown = false;
    let mut lines = Vec::new();
    for line in page.lines() {
        match line.trim_end() {
            "```text said" => is_shown = true,
            "```" => is_shown = false,
            line if is_shown => lines.push(line),
            _ => {}
        }
    }
    lines
}

/// Text with single blanks, so that it does not matter how a page was laid out.
fn squeezed(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn every_command_in_the_readme_works() {
    check("README.md");
}

#[test]
fn every_command_of_the_searched_example_works() {
    check("examples/search/README.md");
}

#[test]
fn every_command_in_the_docs_works() {
    let pages = std::fs::read_dir(repository().join("docs")).expect("docs");
    let mut names: Vec<String> =
        pages.flatten().map(|page| page.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    let with_commands = names.iter().filter(|name| name.ends_with(".md")).filter(|name| {
        let page = std::fs::read_to_string(repository().join("docs").join(name)).expect("a page");
        page.lines().any(|line| line == "```sh")
    });
    for name in with_commands {
        check(&format!("docs/{name}"));
    }
}
