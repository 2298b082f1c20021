//! What each command prints, at the 80 columns of a pipe, for people and as JSON: the whole of stdout,
//! stderr and the exit code. Moments that move with the clock are redacted.

#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

mod fake;
mod upkeep;

use std::process::{Command, Stdio};
use tempfile::TempDir;

struct Desk {
    dir: TempDir,
    _server: Option<tokio::runtime::Runtime>,
}

impl Desk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = fake::serve(dir.path());
        Self { dir, _server: Some(server) }
    }

    fn unattended() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), _server: None }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_windlass"));
        command.arg("--data-dir").arg(self.dir.path()).args(args).current_dir(self.dir.path());
        command.env_clear().env("TZ", "UTC").stdin(Stdio::null());
        command
    }

    /// Everything that a command says.
    fn say(&self, args: &[&str]) -> String {
        let output = self.command(args).output().unwrap();
        let (out, err) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        let code = output.status.code().unwrap();
        let all = format!("$ windlass {}\n{out}--- stderr\n{err}--- exit {code}\n", args.join(" "));
        let dir = self.dir.path().to_str().unwrap();
        all.replace(&format!("/private{dir}"), "DIR").replace(dir, "DIR")
    }

    fn all(&self, commands: &[&[&str]]) -> String {
        commands.iter().map(|args| self.say(args)).collect::<Vec<_>>().join("\n")
    }
}

fn check(name: &str, said: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\d+ (min|h|d) ago|just now", "[ago]");
    settings.bind(|| insta::assert_snapshot!(name, said));
}

#[test]
fn pages_for_people_fit_80_columns() {
    let desk = Desk::new();
    let said = desk.all(&[
        &["campaigns"],
        &["status", "digits"],
        &["lever", "list", "digits"],
        &["lever", "show", "digits", "L1"],
        &["results", "digits"],
        &["results", "digits", "--format", "tsv"],
        &["show", "digits", "3"],
        &["plot", "digits"],
        &["workers"],
        &["device", "release", "gpu-1", "GPU-1"],
        &["pause", "digits"],
        &["drain", "node"],
    ]);
    let wide = said.lines().find(|line| line.chars().count() > 80 && !line.contains('\t'));
    assert_eq!(wide, None);
    check("people", &said);
}

#[test]
fn documents_for_programs() {
    let desk = Desk::new();
    let json = |args: &[&str]| desk.say(&[&["--output", "json"], args].concat());
    let said = [
        json(&["status", "digits"]),
        json(&["lever", "list", "digits"]),
        json(&["results", "digits"]),
        json(&["plot", "digits"]),
        json(&["workers"]),
        json(&["device", "release", "gpu-1", "GPU-1"]),
        json(&["pause", "digits"]),
        json(&["lever", "retire", "digits", "L1"]),
        json(&["status", "nothing"]),
        json(&["lever", "show", "digits", "seven"]),
    ]
    .join("\n");
    check("programs", &said);
    let schemas = include_str!("../../../docs/json.md");
    for schema in said.split('"').filter(|word| word.starts_with("windlass.") && word.contains('/')) {
        assert!(schemas.contains(schema), "{schema} is documented");
    }
}

#[test]
fn steering_says_what_it_did_or_why_not() {
    let desk = Desk::new();
    let commands: [&[&str]; 8] = [
        &["cancel", "digits", "6"],
        &["update", "digits", "--priority", "-3", "--name", "late digits"],
        &["update", "digits"],
        &["lever", "move", "digits", "L5", "--before", "L4"],
        &["lever", "move", "digits", "L5", "--first", "--last"],
        &["lever", "retry", "digits", "L1"],
        &["explain", "digits", "6"],
        &["lever", "retry", "digits", "L2"],
    ];
    let said = desk.all(&commands);
    let wide = said.lines().find(|line| line.chars().count() > 80 && !line.contains("remedy"));
    assert_eq!(wide, None);
    check("steering", &said);
    let json = commands.map(|args| desk.say(&[&["--output", "json"], args].concat())).join("\n");
    check("steering_json", &json);
    documented(&json);
}

/// Every schema that was printed stands in docs/json.md.
fn documented(said: &str) {
    let schemas = include_str!("../../../docs/json.md");
    for schema in said.split('"').filter(|word| word.starts_with("windlass.") && word.contains('/')) {
        assert!(schemas.contains(schema), "{schema} is documented");
    }
}

#[test]
fn errors_say_what_where_and_what_to_do() {
    let desk = Desk::new();
    let project = desk.dir.path().join("project");
    std::fs::create_dir(&project).unwrap();
    let campaign = "metric: val_acc\nmetric_direction: maximize\nentrypoint: python3 train.py\n\
                    editable_files: [train.py]\ngate: time\nbugdet: 0.2\n";
    std::fs::write(project.join("loop.run.yaml"), campaign).unwrap();
    let said = desk.all(&[
        &["status", "nothing"],
        &["resume", "digits"],
        &["undrain", "elsewhere"],
        &["show", "digits", "9"],
        &["submit", "project"],
        &["submit", "nowhere"],
        &["--coordinator", "ftp://x", "campaigns"],
        &["stauts"],
    ]);
    check("errors", &said);
    check("nobody", &Desk::unattended().all(&[&["campaigns"], &["ledger", "verify"]]));
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let desk = Desk::new();
    let mut child =
        desk.command(&["results", "digits"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}
