//! The README's first command, whole: real machine learning, every kind of outcome.

use crate::harness::WINDLASS;
use std::collections::BTreeSet;
use std::process::{Command, Stdio};

#[test]
fn the_demo_pulls_every_kind_of_lever_and_leaves_a_ledger() {
    let dir = tempfile::Builder::new().prefix("windlass-demo-").tempdir().expect("a folder");
    let place = dir.path().join("demo");
    let output = Command::new(WINDLASS)
        .args(["demo", "--dir"])
        .arg(&place)
        .stdin(Stdio::null())
        .env("NO_COLOR", "1")
        .output()
        .expect("the binary starts");
    let (said, talk) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{talk}");

    let all = format!("{said}{talk}");
    assert!(
        all.contains("P2") && all.contains("evaluate.py is frozen"),
        "the refusal names rule and file: {all}"
    );

    let find = |name: &str| {
        let mut open = vec![place.clone()];
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                if entry.file_name() == name {
                    return entry.path();
                }
                if entry.path().is_dir() {
                    open.push(entry.path());
                }
            }
        }
        panic!("{name} is not below {}", place.display());
    };
    let tsv = std::fs::read_to_string(find("results.tsv")).expect("the ledger");
    let rows: Vec<Vec<&str>> = tsv.lines().skip(1).map(|line| line.split('\t').collect()).collect();
    let statuses: BTreeSet<&str> = rows.iter().map(|row| row[2]).collect();
    assert_eq!(statuses, BTreeSet::from(["crash", "discard", "keep"]), "{tsv}");
    assert_eq!((rows[0][0], rows[0][2]), ("1", "keep"), "P1: the baseline first");
    let kept = rows.iter().filter(|row| row[2] == "keep").count();
    assert!(kept >= 5, "several levers win: {tsv}");
    let svg = std::fs::read_to_string(find("progress.svg")).expect("the plot");
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));

    let data = find("ledger.sqlite3");
    let data = data.parent().expect("the data folder");
    let verify =
        Command::new(WINDLASS).arg("--data-dir").arg(data).args(["ledger", "verify"]).output().expect("runs");
    assert!(verify.status.success(), "{}", String::from_utf8_lossy(&verify.stderr));
    outcomes(&find("ledger.sqlite3"));
    nothing_is_left(place.to_str().expect("UTF-8"));
}

/// Every outcome that the example promises, read from the ledger itself.
fn outcomes(ledger: &std::path::Path) {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let ledger = rusqlite::Connection::open_with_flags(ledger, flags).expect("it opens");
    let mut select =
        ledger.prepare("SELECT kind, body FROM records ORDER BY seq").expect("the table is there");
    let rows =
        select.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?))).expect("rows");
    let rows: Vec<(String, String)> = rows
        .map(|row| row.expect("a row"))
        .map(|(kind, body)| (kind, String::from_utf8_lossy(&body).into_owned()))
        .collect();
    let has = |kind: &str, words: &str| rows.iter().any(|(k, body)| k == kind && body.contains(words));
    for (kind, words, what) in [
        ("iteration_decided", "\"simpler\"", "a simplification kept for deleting code at an equal metric"),
        ("iteration_decided", "not worth its lines", "a gain that is less than its lines are worth"),
        ("iteration_decided", "\"worse\"", "a lever that loses"),
        ("iteration_decided", "crashed with exit code", "a lever that crashes"),
        ("attempt_ended", "soft_timeout", "a lever that runs over its gate"),
        ("fix_applied", "", "a lever that is saved by the fix it brought along"),
        ("lever_retired", "P7", "a lever whose anchor no longer holds"),
    ] {
        assert!(has(kind, words), "{what}: no {kind} with {words:?}");
    }
    let queued = rows.iter().filter(|(kind, _)| kind == "lever_queued").count();
    assert_eq!(queued, 12, "of thirteen levers one touches a frozen file and is refused at once");
}

fn nothing_is_left(mark: &str) {
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        assert!(!command.contains(mark), "left behind: {command}");
    }
}
