//! docs/json.md is held against what the commands print: every key is documented with its type, every
//! documented key that must be there is, and every schema that the program can print has its section.

use super::Desk;
use super::fixture::Scene;
use super::types::{Document, Object};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};
use windlass_coordinator::snapshot;
use windlass_shared::record::Body;

const DOCUMENT: &str = include_str!("../../../docs/json.md");

/// Commands that print a document, whatever they exit with.
const COMMANDS: [&[&str]; 59] = [
    &["campaigns"],
    &["status", "--usage"],
    &["quota", "set", "ada", "--devices", "4", "--device-hours", "10"],
    &["quota", "lift", "ada"],
    &["quota", "set", "ada", "--devices", "4", "--dry-run"],
    &["quota", "list"],
    &["status", "digits"],
    &["watch", "digits"],
    &["wait", "digits", "3"],
    &["lever", "list", "digits"],
    &["lever", "list", "digits", "--refused"],
    &["lever", "show", "digits", "L1"],
    &["lever", "retire", "digits", "L1"],
    &["lever", "add", "digits", "lever.yaml"],
    &["lever", "move", "digits", "L5", "--before", "L4"],
    &["lever", "retry", "digits", "L1"],
    &["lever", "retry", "digits", "L2"],
    &["lever", "retry", "digits", "L3"],
    &["cancel", "digits", "4"],
    &["fix", "digits", "4", "lever.yaml"],
    &["analyze", "digits", "4", "--script", "builtin:log", "--result", "init.tsv"],
    &["conclude", "digits", "4", "conclusion.yaml"],
    &["findings", "add", "digits", "review.json"],
    &["findings", "list", "digits"],
    &["update", "digits", "--priority", "3"],
    &["explain", "digits", "6"],
    &["claim", "digits"],
    &["context", "digits", "--max-bytes", "64 KiB"],
    &["context", "digits", "--max-bytes", "2000"],
    &["agent-info"],
    &["agent-info", "--schema", "windlass.context/1"],
    &["research", "digits", "--dry-run", "--", "true"],
    &["mcp", "--print-config", "codex"],
    &["pause", "digits", "--dry-run"],
    &["doctor"],
    &["doctor", "--fingerprint", "project"],
    &["results", "digits"],
    &["show", "digits", "1"],
    &["show", "digits", "2"],
    &["show", "digits", "3"],
    &["show", "digits", "4"],
    &["files", "digits", "2"],
    &["get", "digits", "2", "train.py"],
    &["get", "digits", "2", "results"],
    &["best", "digits"],
    &["best", "digits", "--tree", "tree"],
    &["report", "digits"],
    &["plot", "digits"],
    &["diff", "digits", "2"],
    &["logs", "digits", "2"],
    &["logs", "digits", "2", "--grep", "val"],
    &["workers"],
    &["pause", "digits"],
    &["drain", "node"],
    &["device", "release", "gpu-1", "GPU-1"],
    &["submit", "project", "--dry-run"],
    &["submit", "capped", "--dry-run"],
    &["init", "bare", "--yes"],
    &["ledger", "import", "old.tsv", "--lenient"],
];

/// Every JSON document that these commands print, on stdout and on stderr.
fn printed(desk: &Desk, args: &[&str]) -> Vec<Value> {
    let output = desk.command(&[&["--output", "json"], args].concat()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    text.lines()
        .filter(|line| line.starts_with("{\"schema\""))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn write_project(dir: &Path) {
    std::fs::create_dir(dir.join("project")).unwrap();
    let campaign = "metric: val_acc\nmetric_direction: maximize\nentrypoint: python3 train.py\n\
                    editable_files: [train.py]\ngate: time\nbudget: 0.2\n";
    std::fs::write(dir.join("project/loop.run.yaml"), campaign).unwrap();
    std::fs::write(dir.join("project/train.py"), "rate = 0.1\n").unwrap();
    std::fs::create_dir(dir.join("capped")).unwrap();
    let capped = campaign.replace("gate: time\nbudget: 0.2", "gate: epochs\nbudget: 5");
    std::fs::write(dir.join("capped/loop.run.yaml"), capped).unwrap();
    std::fs::write(dir.join("capped/train.py"), "epochs = 50\n").unwrap();
    std::fs::create_dir(dir.join("bare")).unwrap();
    std::fs::write(dir.join("bare/train.py"), "print(f'val_acc: {x}')\n").unwrap();
    let ledger = "iter\tval\tstatus\tdescription\n1\t1\tkeep\tbaseline\n2\t2\tkeep\tmore\n3\n";
    std::fs::write(dir.join("old.tsv"), ledger).unwrap();
    let lever = "title: t\nfiles: [train.py]\npatch: x.patch\nprediction: p\n\
                 anchor: {file: run.log, pattern: x}\nanalysis:\n  - {script: 'builtin:log', output: l.tsv, \
                 dimension: d, question: q, if_helped: h, if_not: n}\n";
    std::fs::write(dir.join("lever.yaml"), lever).unwrap();
    std::fs::write(dir.join("review.json"), "{\"iteration\": 2, \"findings\": []}").unwrap();
    let conclusion = "examined: the log\nfinding: it learns\nbullets: [a, b, c]\n";
    std::fs::write(dir.join("conclusion.yaml"), conclusion).unwrap();
    std::fs::write(dir.join("x.patch"), "--- a/train.py\n+++ b/train.py\n@@ -1 +1 @@\n-a\n+b\n").unwrap();
}

/// What is said about who is known: somebody joins, has a campaign, shares it, and is known no more.
fn known(desk: &Desk) -> Vec<Value> {
    let elsewhere = Desk::unattended();
    write_project(elsewhere.dir.path());
    let mut all = printed(desk, &["token", "create", "--role", "client", "--name", "ada"]);
    let token = all[0]["token"].as_str().unwrap().to_owned();
    all.extend(printed(&elsewhere, &["join", &token]));
    let imported = printed(&elsewhere, &["ledger", "import", "old.tsv", "--lenient"]);
    let over = imported[0]["campaign"].as_str().unwrap().to_owned();
    all.extend(imported);
    all.extend(printed(&elsewhere, &["research", &over, "--", "/bin/true"]));
    all.extend(printed(&elsewhere, &["submit", "project", "--name", "hers"]));
    all.extend(printed(&elsewhere, &["share", "hers", "bob", "--as", "read"]));
    all.extend(printed(&elsewhere, &["share", "hers", "bob", "--end"]));
    let worker = printed(desk, &["token", "create", "--role", "worker"]);
    let token = worker[0]["token"].as_str().unwrap().to_owned();
    let mut joining = elsewhere.command(&["worker", "--join", &token, "--name", "gpu-1"]).spawn().unwrap();
    let begun = Instant::now();
    while printed(desk, &["certs", "list"])[0]["certificates"].as_array().unwrap().len() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(60), "the worker did not join");
        std::thread::sleep(Duration::from_millis(50));
    }
    // It is ordered to run what she has submitted, under the request by which she did.
    let is_leased = |line: &Value| line["record"]["body"]["kind"] == "attempt_leased";
    let is_over = || begun.elapsed() > Duration::from_secs(120);
    while !printed(desk, &["ledger", "export"]).iter().any(is_leased) && !is_over() {
        std::thread::sleep(Duration::from_millis(50));
    }
    joining.kill().unwrap();
    joining.wait().unwrap();
    all.extend(printed(desk, &["certs", "list"]));
    all.extend(printed(desk, &["certs", "revoke", "ada"]));
    all
}

/// The upkeep of a ledger that a coordinator really made.
fn kept_up() -> Vec<Value> {
    let desk = Desk::unattended();
    let tls = ["coordinator", "--listen", "127.0.0.2:0", "--tls", "always", "--share-half-life", "2 h"];
    let mut coordinator = desk.command(&tls).spawn().unwrap();
    let begun = Instant::now();
    while printed(&desk, &["campaigns"]).iter().any(|answer| answer["schema"] == "windlass.error/1") {
        assert!(begun.elapsed() < Duration::from_secs(60), "the coordinator did not come up");
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut all = known(&desk);
    all.extend(printed(&desk, &["gc", "--dry-run"]));
    all.extend(with_branch(&desk));
    all.extend(printed(&desk, &["ledger", "export"]));
    let elsewhere = Desk::unattended();
    let copy = elsewhere.dir.path().join("copy");
    let copy = copy.to_str().unwrap();
    all.extend(printed(&desk, &["ledger", "backup", copy]));
    coordinator.kill().unwrap();
    coordinator.wait().unwrap();
    let restored = format!("{copy}-restored");
    all.extend(printed(&desk, &["ledger", "restore", copy, &restored]));
    let taken = snapshot::take(desk.dir.path(), 1, || false).unwrap();
    assert!(taken.is_some(), "there are records to take a snapshot of");
    all.extend(printed(&desk, &["ledger", "verify"]));
    std::fs::write(snapshot::file_in(Path::new(&restored)), "no snapshot").unwrap();
    all.extend(printed(&desk, &["ledger", "verify", "--data-dir", &restored]));
    all.extend(printed(&desk, &["ledger", "verify", "--data-dir", copy]));
    all
}

/// A campaign that keeps a branch, in a repository of its own.
fn with_branch(desk: &Desk) -> Vec<Value> {
    let dir = desk.dir.path().join("repository/inner");
    std::fs::create_dir_all(&dir).unwrap();
    let campaign = "metric: val_acc\nmetric_direction: maximize\nentrypoint: python3 train.py\n\
                    editable_files: [train.py]\ngate: time\nbudget: 0.2\niter_strategy: branches\nrun_tag: one\n";
    std::fs::write(dir.join("loop.run.yaml"), campaign).unwrap();
    std::fs::write(dir.join("train.py"), "rate = 0.1\n").unwrap();
    let repository = desk.dir.path().join("repository");
    let user = ["-c", "user.name=A", "-c", "user.email=a@example.org"];
    for args in [&["init", "--quiet"][..], &["add", "."], &["commit", "--quiet", "-m", "begin"]] {
        let mut git = std::process::Command::new("git");
        let done = git.arg("-C").arg(&repository).args(user).args(args).status().unwrap();
        assert!(done.success(), "git {args:?}");
    }
    let said = |args: &[&str]| {
        let mut command = desk.command(&[&["--output", "json"], args].concat());
        let path = std::env::var_os("PATH").unwrap_or_default();
        let output = command.current_dir(&dir).env("PATH", path).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        let documents = text.lines().filter(|line| line.starts_with("{\"schema\""));
        documents.map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    let mut all = said(&["submit", "."]);
    let campaign = all[0]["campaign"].as_str().unwrap_or_else(|| panic!("{all:?}")).to_owned();
    all.extend(said(&["sync", &campaign]));
    all
}

/// A turn of a scripted researcher that finds two levers: one cannot be read, the other is refused.
fn researched(desk: &Desk) -> Vec<Value> {
    let folder = desk.dir.path().join("levers");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("broken.yaml"), "title: [\n").unwrap();
    for name in ["lever.yaml", "x.patch"] {
        std::fs::copy(desk.dir.path().join(name), folder.join(name)).unwrap();
    }
    let args = ["--output", "json", "researcher", "levers", folder.to_str().unwrap()];
    let mut command = desk.command(&args);
    command.env("WINDLASS_TURN", "propose").env("WINDLASS_TURN_DIR", desk.dir.path().join("turn"));
    let output = command.env("WINDLASS_CAMPAIGN", "digits").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn everything_printed() -> Vec<Value> {
    let desk = Desk::in_scene(Scene::Every);
    write_project(desk.dir.path());
    let mut all: Vec<Value> = COMMANDS.iter().flat_map(|args| printed(&desk, args)).collect();
    let fresh = Desk::in_scene(Scene::Fresh);
    write_project(fresh.dir.path());
    // There a lever is refused.
    all.extend(printed(&fresh, &["lever", "add", "digits", "lever.yaml"]));
    for args in
        [&["status", "digits"][..], &["best", "digits"], &["report", "digits"], &["sync", "digits", "copy"]]
    {
        all.extend(printed(&fresh, args));
    }
    all.extend(researched(&fresh));
    all.extend(printed(&desk, &["status", "nothing"]));
    all.extend(kept_up());
    all
}

#[test]
fn every_document_is_as_its_schema_says() {
    let document = Document::read(DOCUMENT);
    let printed = everything_printed();
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    for value in &printed {
        let name = value["schema"].as_str().unwrap();
        seen.insert(name.to_owned());
        match document.schemas.get(name) {
            Some(schema) => document.check(schema, value, name, &mut wrong),
            None => wrong.push(format!("{name} has no section in docs/json.md")),
        }
    }
    wrong.dedup();
    assert!(wrong.is_empty(), "docs/json.md and the program differ:\n{}", wrong.join("\n"));
    let unseen: Vec<&String> = document.schemas.keys().filter(|name| !seen.contains(*name)).collect();
    assert!(unseen.is_empty(), "documented, and printed by no command of this test: {unseen:?}");
    let never = document.never_seen();
    assert!(never.is_empty(), "documented keys that no document has: {never:?}");
}

#[test]
fn every_schema_of_the_program_and_every_kind_of_record_is_documented() {
    let mut missing = Vec::new();
    let document = Document::read(DOCUMENT);
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let named = text.split('"').filter(|word| word.starts_with("windlass.") && word.contains('/'));
            missing.extend(named.filter(|name| !document.mentions(name)).map(str::to_owned));
        }
    }
    missing.extend(
        Body::KINDS
            .iter()
            .filter(|kind| !document.objects.contains_key(**kind))
            .map(|kind| (*kind).to_owned()),
    );
    assert!(missing.is_empty(), "write a section with a table of keys in docs/json.md for {missing:?}");
}

#[test]
fn a_key_too_many_too_few_or_of_another_type_is_found() {
    let document = Document::read(
        "## `windlass.x/1` (`x`)\n\n| key | type | meaning |\n|---|---|---|\n| `n` | integer | |\n\
         | `of` | list of part or null | |\n| `word`, may be absent | one of `a`, `b` | |\n\n## Objects\n\n### `part`\n\n\
         | key | type | meaning |\n|---|---|---|\n| `at_wall_ms` | moment | |\n",
    );
    let check = |text: &str, want: &str| {
        let mut wrong = Vec::new();
        let schema: &Object = &document.schemas["windlass.x/1"];
        document.check(schema, &serde_json::from_str(text).unwrap(), "x", &mut wrong);
        assert_eq!(wrong.join("; "), want, "{text}");
    };
    check(r#"{"schema":"windlass.x/1","n":1,"of":[{"at_wall_ms":2}],"word":"b"}"#, "");
    check(r#"{"n":1,"of":null}"#, "");
    check(r#"{"n":1,"of":null,"more":1}"#, "x.more is not documented");
    check(r#"{"of":null}"#, "x.n is documented and not there");
    check(r#"{"n":"1","of":null}"#, "x.n is no integer: \"1\"");
    check(r#"{"n":1,"of":null,"word":"c"}"#, "x.word is no one of `a`, `b`: \"c\"");
    check(r#"{"n":1,"of":[{}]}"#, "x.of[].at_wall_ms is documented and not there");
}
