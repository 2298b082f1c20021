//! `get` and `best --tree`: what lands on the user's disk, and what stays as it is.

use super::fixture::Scene;
use super::{Desk, check};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn a_file_is_handed_on_byte_for_byte() {
    let desk = Desk::new();
    let out = |path: &str| desk.command(&["get", "digits", "2", path]).output().unwrap();
    assert_eq!(out("artifacts/model.bin").stdout, b"\x00\x01weights");
    assert_eq!(out("run.log").stdout, b"epoch 1\nepoch 2\nval_acc: 0.9025\n\x1b[31mred\x1b[0m\n");
    assert_eq!(out("train.py").stdout, b"rate = 0.1\nmomentum = 0.9\n");
    assert_eq!(out("tree/train.py").stdout, out("train.py").stdout);
    assert_eq!(out("run.log").stderr, b"", "nothing but data");
}

#[test]
fn nothing_that_is_there_is_written_over_without_force() {
    let desk = Desk::new();
    let mine = desk.dir.path().join("mine.txt");
    std::fs::write(&mine, "mine").unwrap();
    let get = ["get", "digits", "2", "train.py", "-o", "mine.txt"];
    let refused = desk.say(&get);
    assert!(refused.contains("is there already") && refused.ends_with("exit 2\n"), "{refused}");
    assert_eq!(read(&mine), "mine");
    let forced = desk.say(&[&get[..], &["--force"]].concat());
    assert!(forced.ends_with("exit 0\n"), "{forced}");
    assert_eq!(read(&mine), "rate = 0.1\nmomentum = 0.9\n");
    assert_eq!(std::fs::metadata(&mine).unwrap().permissions().mode() & 0o777, 0o755);
}

#[test]
fn a_folder_comes_whole_and_no_link_of_a_run_is_followed() {
    let desk = Desk::new();
    let said = desk.say(&["get", "digits", "2", "results"]);
    assert!(said.contains("left out results/away") && said.ends_with("exit 0\n"), "{said}");
    let results = desk.dir.path().join("results");
    assert_eq!(read(&results.join("figures/loss.svg")), "<svg/>\n");
    assert!(results.join("away").symlink_metadata().is_err());
    // One file that is there keeps the whole folder from being written.
    std::fs::remove_file(results.join("loss.tsv")).unwrap();
    let refused = desk.say(&["get", "digits", "2", "results"]);
    assert!(refused.contains("is there already"), "{refused}");
    assert!(!results.join("loss.tsv").exists(), "nothing was written");
    let named = desk.say(&["get", "digits", "2", "results/figures", "-o", "deep/er"]);
    assert!(named.ends_with("exit 0\n"), "{named}");
    assert_eq!(read(&desk.dir.path().join("deep/er/loss.svg")), "<svg/>\n");
}

#[test]
fn p31_the_best_tree_is_laid_out_with_its_modes_and_links() {
    let desk = Desk::new();
    let said = desk.say(&["best", "digits", "--tree", "best"]);
    assert!(said.ends_with("exit 0\n"), "{said}");
    let best = desk.dir.path().join("best");
    assert_eq!(read(&best.join("train.py")), "rate = 0.1\nmomentum = 0.9\n");
    assert_eq!(read(&best.join("latest.csv")), "1,2,3\n", "through its link");
    let mode = |name: &str| std::fs::metadata(best.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("train.py"), mode("data/digits.csv")), (0o755, 0o644));
    let again = desk.say(&["best", "digits", "--tree", "best"]);
    assert!(again.contains("is there already") && again.ends_with("exit 2\n"), "{again}");
    let forced = desk.say(&["best", "digits", "--tree", "best", "--force"]);
    assert!(forced.ends_with("exit 0\n"), "{forced}");
    let names: Vec<_> = std::fs::read_dir(&best).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 4, "no temporary file is left: {names:?}");
}

#[test]
fn a_report_is_made_again_over_its_own_and_over_nothing_else() {
    let desk = Desk::new();
    let report = ["report", "digits", "-o", "report.md"];
    for _ in 0..2 {
        let said = desk.say(&report);
        assert!(said.ends_with("exit 0\n"), "{said}");
    }
    let path = desk.dir.path().join("report.md");
    assert!(read(&path).contains("**Best:"));
    std::fs::write(&path, "mine").unwrap();
    let refused = desk.say(&report);
    assert!(refused.contains("is there already"), "{refused}");
    assert_eq!(read(&path), "mine");
}

#[test]
fn what_was_removed_is_said_to_be_gone_with_the_day_and_the_rule() {
    // There the logs of iteration 2 are gone, and nothing else.
    let desk = Desk::in_scene(Scene::Every);
    let said = desk.all(&[
        &["get", "digits", "2", "run.log"],
        &["get", "digits", "2", "run.lgo"],
        &["get", "digits", "2", "results/loss.tsv"],
        &["files", "digits", "2", "--results"],
        &["show", "digits", "2"],
        &["sync", "digits", "copy"],
    ]);
    check("removed", &said);
    assert!(!desk.dir.path().join("copy/iter2/run.log").exists());
    assert!(desk.dir.path().join("copy/iter2/results/loss.tsv").is_file());
    assert!(desk.dir.path().join("copy/iter3/run.log").is_file());
}

/// A rename would put a file into the place of a device or a pipe, and of a link.
#[test]
fn what_is_no_file_is_written_into_and_a_link_is_followed() {
    let desk = Desk::new();
    let commands: [&[&str]; 4] = [
        &["get", "digits", "2", "train.py", "-o", "there"],
        &["report", "digits", "--force", "-o", "there"],
        &["plot", "digits", "-o", "there"],
        &["get", "digits", "2", "run.log", "-o", "there"],
    ];
    let there = desk.dir.path().join("there");
    for args in commands {
        let made = std::process::Command::new("mkfifo").arg(&there).status();
        assert!(made.unwrap().success());
        let pipe = there.clone();
        let reader = std::thread::spawn(move || std::fs::read(pipe).unwrap());
        let said = desk.say(args);
        assert!(said.ends_with("exit 0\n"), "{said}");
        let is_pipe = std::fs::symlink_metadata(&there).unwrap().file_type().is_fifo();
        assert!(is_pipe, "it is still a pipe: {args:?}");
        assert!(!reader.join().unwrap().is_empty(), "{args:?}");
        std::fs::remove_file(&there).unwrap();
    }
    let real = desk.dir.path().join("real");
    std::os::unix::fs::symlink("real", &there).unwrap();
    for args in commands {
        std::fs::write(&real, "").unwrap();
        let said = desk.say(&[args, if args[0] == "get" { &["--force"] } else { &[] }].concat());
        assert!(said.ends_with("exit 0\n"), "{said}");
        assert!(there.is_symlink() && !read(&real).is_empty(), "{args:?}");
    }
}
