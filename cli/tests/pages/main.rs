//! What each command prints, at the 80 columns of a pipe and at 60, for people and as JSON: the whole of
//! stdout, stderr and the exit code. Moments that move with the clock are redacted.

#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

mod fake;
mod files;
mod findings;
mod fixture;
mod hostile;
mod pipes;
mod schema;
mod store;
mod terminal;
mod troubleshooting;
mod types;
mod upkeep;

use fixture::Scene;
use std::process::{Command, Stdio};
use tempfile::TempDir;

struct Desk {
    dir: TempDir,
    columns: Option<&'static str>,
    _server: Option<tokio::runtime::Runtime>,
}

impl Desk {
    fn new() -> Self {
        Self::in_scene(Scene::Plain)
    }

    fn in_scene(scene: Scene) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = fake::serve(dir.path(), scene);
        Self { dir, columns: None, _server: Some(server) }
    }

    fn unattended() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), columns: None, _server: None }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_windlass"));
        command.arg("--data-dir").arg(self.dir.path()).args(args).current_dir(self.dir.path());
        command.env_clear().env("TZ", "UTC").stdin(Stdio::null());
        command.envs(self.columns.map(|columns| ("COLUMNS", columns)));
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

/// Every command that reads, as people use it.
const PAGES: [&[&str]; 26] = [
    &["campaigns"],
    &["status", "digits"],
    &["watch", "digits"],
    &["lever", "list", "digits"],
    &["lever", "list", "digits", "--refused"],
    &["lever", "show", "digits", "L1"],
    &["lever", "show", "digits", "L2"],
    &["results", "digits"],
    &["show", "digits", "2"],
    &["show", "digits", "3"],
    &["show", "digits", "4"],
    &["diff", "digits", "2"],
    &["files", "digits", "2"],
    &["files", "digits", "4"],
    &["files", "digits", "2", "--changed"],
    &["files", "digits", "2", "--results"],
    &["get", "digits", "2", "results/loss.tsv"],
    &["best", "digits"],
    &["plot", "digits"],
    &["sync", "digits", "copy"],
    &["wait", "digits", "3"],
    &["workers"],
    &["status", "--usage"],
    &["status", "digits", "--usage"],
    &["quota", "list"],
    &["logs", "digits", "2"],
];

/// Columns that are told to every command; what is longer than that fails.
fn pages_at(columns: &'static str) -> String {
    let desk = Desk { columns: Some(columns), ..Desk::new() };
    let said = desk.all(&PAGES);
    let limit: usize = columns.parse().unwrap();
    let wide = said.lines().find(|line| line.chars().count() > limit);
    assert_eq!(wide, None, "at {columns} columns");
    said
}

#[test]
fn pages_for_people_fit_80_columns() {
    check("people", &pages_at("80"));
    let desk = Desk::new();
    let said = desk.all(&[
        &["results", "digits", "--format", "tsv"],
        &["device", "release", "gpu-1", "GPU-1"],
        &["report", "digits"],
        &["pause", "digits"],
        &["drain", "node"],
    ]);
    check("people_unbroken", &said);
}

#[test]
fn pages_for_people_fit_60_columns() {
    check("people_60", &pages_at("60"));
}

#[test]
fn lines_that_match_are_shown_with_their_numbers_and_cannot_act_on_a_terminal() {
    let desk = Desk::new();
    let said = desk.say(&["logs", "digits", "2", "--grep", "e"]);
    let lines: Vec<&str> = said.lines().skip(1).take_while(|line| *line != "--- stderr").collect();
    assert_eq!(lines, ["1:epoch 1", "2:epoch 2", "4:[31mred[0m"]);
}

#[test]
fn a_pipe_without_columns_is_80_wide_and_breaks_no_line_of_data() {
    let (piped, stated) = (Desk::new(), Desk { columns: Some("80"), ..Desk::new() });
    for args in [&["status", "digits"][..], &["workers"], &["results", "digits"], &["show", "digits", "3"]] {
        assert_eq!(piped.say(args), stated.say(args), "{args:?}");
    }
    let lines = |desk: &Desk| desk.say(&["watch", "digits"]).lines().count();
    assert!(lines(&piped) < lines(&stated), "an event is one line in a pipe");
}

#[test]
fn a_campaign_that_has_only_been_created_has_pages() {
    let desk = Desk::in_scene(Scene::Fresh);
    let said = desk.all(&[
        &["status", "digits"],
        &["lever", "list", "digits"],
        &["results", "digits"],
        &["results", "digits", "--format", "tsv"],
        &["best", "digits"],
        &["best", "digits", "--tree", "out"],
        &["plot", "digits"],
        &["report", "digits"],
        &["workers"],
        &["show", "digits", "1"],
        &["files", "digits", "1"],
    ]);
    check("fresh", &said);
}

#[test]
fn documents_for_programs() {
    let desk = Desk::new();
    let json = |args: &[&str]| desk.say(&[&["--output", "json"], args].concat());
    let said = [
        json(&["status", "digits"]),
        json(&["lever", "list", "digits"]),
        json(&["results", "digits"]),
        json(&["show", "digits", "2"]),
        json(&["files", "digits", "2"]),
        json(&["get", "digits", "2", "results/loss.tsv"]),
        json(&["best", "digits"]),
        json(&["report", "digits"]),
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
}

#[test]
fn a_dry_run_tells_the_campaign_its_files_and_what_would_travel() {
    let project = |desk: &Desk| {
        let dir = desk.dir.path().join("project");
        std::fs::create_dir(&dir).unwrap();
        let campaign = "metric: val_acc\nmetric_direction: maximize\nrun_cmd: python3 train.py\n\
                        editable_files: [train.py]\ngate: time\nbudget: 0.2\n\
                        windlass:\n  resources: {gpu_memory: 24 GiB}\n  fixes: 2\n";
        for (name, text) in [("loop.run.yaml", campaign), ("train.py", "rate = 0.1\n"), ("evaluate.py", "")] {
            std::fs::write(dir.join(name), text).unwrap();
        }
    };
    let (desk, alone) = (Desk::new(), Desk::unattended());
    project(&desk);
    project(&alone);
    let said = [&desk, &alone].map(|desk| desk.say(&["submit", "project", "--dry-run"])).join("\n");
    check("dry_run", &said);
}

#[test]
fn init_shows_what_it_infers_and_writes_over_nothing_unasked() {
    let desk = Desk::unattended();
    let loops = "for e in range(3):\n    print(f'val_acc: {e}')\n";
    let options =
        "p.add_argument('--epochs', type=int, default=12, help='how long')\nprint(f'val_acc: {1}')\n";
    for (name, files) in [
        ("full", &[("train.py", loops), ("evaluate.py", ""), ("c.yaml", "epochs: 5\n")][..]),
        ("mute", &[("train.py", "print('done')\n")]),
        ("odd", &[("run.sh", "echo \"quality: $q\"\n")]),
        ("opts", &[("main.py", options), (".env", "TOKEN=1\n")]),
    ] {
        let dir = desk.dir.path().join(name);
        std::fs::create_dir_all(dir.join("wandb")).unwrap();
        for (file, text) in files {
            std::fs::write(dir.join(file), text).unwrap();
        }
    }
    let said = desk.all(&[
        &["init", "full"],
        &["init", "full", "--yes"],
        &["init", "full", "--yes"],
        &["init", "full", "--yes", "--force", "--budget", "0.5", "--editable", "train.py"],
        &["init", "mute", "--yes"],
        &["init", "mute", "--yes", "--metric", "val acc", "--direction", "maximize"],
        &["init", "odd", "--yes"],
        &["init", "odd", "--yes", "--direction", "maximize"],
        &["init", "opts", "--yes"],
        &["init", "nowhere", "--yes"],
    ]);
    check("init", &said);
    for project in ["full", "odd", "opts"] {
        let output = desk.command(&["submit", project, "--dry-run"]).output().unwrap();
        assert!(output.status.success(), "{project}");
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
        &["status", "digts"],
        &["resume", "digits"],
        &["undrain", "elsewhere"],
        &["undrain", "nod"],
        &["show", "digits", "9"],
        &["files", "digits", "9"],
        &["logs", "digits", "9"],
        &["get", "digits", "2", "tran.py"],
        &["get", "digits", "2", "../loop.run.yaml"],
        &["lever", "show", "digits", "L9"],
        &["submit", "project"],
        &["submit", "nowhere"],
        &["--coordinator", "ftp://x", "campaigns"],
        &["stauts"],
    ]);
    check("errors", &said);
    check("nobody", &Desk::unattended().all(&[&["campaigns"], &["ledger", "verify"]]));
}
