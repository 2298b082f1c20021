//! What needs no campaign: settings, doctor, completions, manual pages, and how a command that cannot even
//! begin says so.

use crate::fixture::Scene;
use crate::{Desk, check};
use serde_json::Value;
use std::path::Path;

fn lines(said: &str) -> Vec<&str> {
    said.split("--- stderr\n").nth(1).unwrap().split("--- exit").next().unwrap().lines().collect()
}

#[test]
fn doctor_tells_each_finding_with_its_remedy_and_each_setting_with_its_source() {
    let desk = Desk::new();
    std::fs::write(desk.dir.path().join("windlass.toml"), "[worker]\nlabels = ['a100']\n").unwrap();
    let said = desk.say(&["--output", "json", "doctor"]);
    let report: Value = serde_json::from_str(said.lines().nth(1).unwrap()).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let of = |check: &str| findings.iter().find(|finding| finding["check"] == check).unwrap();
    for check in ["coordinator", "ledger", "clock", "data folder", "file system", "workers", "work folder"] {
        assert_eq!(of(check)["level"], "ok", "{check}: {said}");
        assert_eq!(of(check)["remedy"], Value::Null);
    }
    assert_eq!(of("versions")["level"], "warn", "the fake is of another version");
    assert!(of("versions")["text"].as_str().unwrap().contains("the coordinator has 0.0.9"));
    assert!(of("versions")["remedy"].as_str().unwrap().contains("same version"));
    for check in ["open files", "git", "disk"] {
        assert!(of(check)["text"].is_string());
    }
    assert!(of("ledger")["text"].as_str().unwrap().contains("31 durable records in /data"), "{said}");
    // What a machine lacks depends on the machine, and each of it has a remedy.
    for check in [
        "work sync",
        "work disk",
        "GPU driver",
        "cgroup",
        "namespaces",
        "containment",
        "isolation guarded",
        "isolation sealed",
        "overlay",
        "time service",
    ] {
        let finding = of(check);
        assert!(!finding["text"].as_str().unwrap().is_empty(), "{check}");
        assert_eq!(finding["remedy"].is_null(), finding["level"] == "ok", "{finding}");
    }
    let settings = report["settings"].as_array().unwrap();
    let from = |key: &str| settings.iter().find(|setting| setting["key"] == key).unwrap()["from"].clone();
    assert_eq!(from("client.output"), "--output");
    assert_eq!(from("client.data_dir"), "--data-dir");
    assert_eq!(from("worker.labels"), "DIR/windlass.toml:2");
    assert_eq!(from("coordinator.listen"), "default");
    let said = desk.say(&["doctor"]);
    assert!(said.contains("ok         coordinator: it answers at"), "{said}");
    assert!(said.contains("a100 (DIR/windlass.toml:2)"), "{said}");
}

#[test]
fn doctor_says_when_the_coordinator_takes_nothing_new() {
    let said = Desk::in_scene(Scene::Every).say(&["doctor"]);
    assert!(said.contains("fail       ledger: the disk of /data has 1.5 GiB left"), "{said}");
    assert!(said.contains("or let `windlass gc` do it"), "{said}");
    assert!(said.ends_with("--- exit 1\n"), "{said}");
}

#[test]
fn doctor_fails_when_something_does_not_work_and_says_how_to_mend_it() {
    let desk = Desk::unattended();
    let is_well = desk.say(&["doctor"]);
    assert!(is_well.ends_with("--- exit 0\n"), "nothing was ever started here: {is_well}");
    std::fs::write(desk.dir.path().join("ledger.sqlite3"), "").unwrap();
    let said = desk.say(&["doctor"]);
    assert!(said.contains("fail       coordinator: no coordinator is running in DIR"), "{said}");
    assert!(said.contains("remedy: windlass up --data-dir DIR"), "{said}");
    assert!(said.ends_with("--- exit 1\n"), "{said}");
    let json = desk.say(&["--output", "json", "doctor"]);
    let error: Value = serde_json::from_str(lines(&json)[0]).unwrap();
    assert_eq!((&error["code"], &error["schema"]), (&"UNWELL".into(), &"windlass.error/1".into()));
}

#[test]
fn a_configuration_file_that_is_none_is_one_sentence_with_its_place() {
    let desk = Desk::new();
    let write = |name: &str, text: &str| std::fs::write(desk.dir.path().join(name), text).unwrap();
    write("windlass.toml", "[client]\noutput = \"json\"\ncolour = \"never\"\n");
    write("other.toml", "[client]\noutput = \"json\"\n");
    write("loose.toml", "[client]\ncoordinator = \"http://example.org:7\"\n");
    let said = desk.all(&[
        &["campaigns"],
        &["--output", "json", "campaigns"],
        &["--config", "other.toml", "pause", "digits"],
        &["--config", "other.toml", "--output", "human", "pause", "digits"],
        &["--no-config", "pause", "digits"],
        &["--config", "absent.toml", "campaigns"],
    ]);
    check("configuration", &said);
}

#[test]
fn a_command_that_cannot_begin_says_one_sentence_with_the_documented_code() {
    let desk = Desk::unattended();
    let said = desk.all(&[
        &["--output", "json", "campaigns"],
        &["--output", "json", "stauts", "digits"],
        &["--output", "json", "explain"],
        &["--output", "json", "lever", "show", "digits", "seven"],
        &["explain", "digits", "L"],
    ]);
    let elsewhere = [
        said_at(&["--data-dir", "/proc/none", "up"]),
        said_at(&["--output", "json", "--data-dir", "/proc/none", "up"]),
        said_at(&["--data-dir", "/proc/none", "coordinator"]),
    ];
    for said in &elsewhere {
        let errors = lines(said).iter().filter(|line| !line.starts_with("remedy:")).count();
        assert_eq!(errors, 1, "one sentence each: {said}");
    }
    check("beginnings", &format!("{said}\n{}", elsewhere.join("\n")));
}

/// What a command says that names its own folders.
fn said_at(args: &[&str]) -> String {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_windlass"));
    let output = command.args(args).env_clear().stdin(std::process::Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    format!("$ windlass {}\n{out}--- stderr\n{err}--- exit {code}\n", args.join(" "))
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    let desk = Desk::unattended();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = desk.say(&["completions", shell]);
        assert!(script.contains("retire") && script.ends_with("--- exit 0\n"), "{shell}");
    }
    assert!(desk.say(&["completions", "tcsh"]).ends_with("--- exit 2\n"));
    assert!(desk.say(&["man"]).contains(".TH windlass 1"));
    let written = desk.say(&["man", "--dir", "pages"]);
    let pages = std::fs::read_dir(desk.dir.path().join("pages")).unwrap().count();
    assert!(written.contains(&format!("{pages} pages in pages")), "{written}");
    let page = |name: &str| std::fs::read_to_string(desk.dir.path().join("pages").join(name)).unwrap();
    assert!(page("windlass-lever-move.1").contains("Before this lever"));
    assert!(Path::new(&desk.dir.path().join("pages/windlass-explain.1")).is_file());
}

#[test]
fn a_setting_of_the_environment_does_not_change_how_a_usage_error_reads() {
    let said = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_windlass"));
        let command = command.args(args).env_clear().envs(variables.iter().copied());
        let output = command.stdin(std::process::Stdio::null()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let folder = [("WINDLASS_DATA_DIR", "/nowhere"), ("WINDLASS_COLOR", "never")];
    for args in [&["status"][..], &["update", "x"], &["show", "x", "one"], &["stauts"], &["lever"], &[]] {
        let plain = said(args, &[]);
        assert_eq!(said(args, &folder).1.replace("/nowhere", ""), plain.1, "{args:?}");
        assert_eq!(plain.0, Some(2), "{args:?}");
    }
    let (_, help) = said(&[], &folder);
    assert!(help.contains("campaigns") && help.contains("Usage: windlass"), "{help}");
    let (_, wrong) = said(&["show", "x", "one"], &folder);
    assert!(wrong.contains("an iteration is named by its number, like 7"), "{wrong}");
    let (code, json) = said(&[], &[("WINDLASS_OUTPUT", "json")]);
    let error: Value = serde_json::from_str(json.trim()).unwrap();
    assert_eq!((code, &error["code"]), (Some(2), &"USAGE".into()));
    // What is wrong with the environment itself is still said.
    let (code, bad) = said(&["campaigns"], &[("WINDLASS_COLOR", "mauve")]);
    assert!(code == Some(2) && bad.contains("mauve"), "{bad}");
}
