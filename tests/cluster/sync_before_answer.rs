//! The sync against the answer: no answer leaves before the sync of its record has returned (I3).
//!
//! strace watches the coordinator while a client pauses a campaign. Between the write of the record into
//! the write-ahead log and the bytes that answer the client there must be a sync that returned.

use crate::harness::{Fleet, signal};
use crate::project::Project;
use std::process::{Command, Stdio};

/// What strace saw of one system call.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Call {
    /// The record went into the write-ahead log.
    Record,
    /// A sync of that log returned.
    Sync,
    /// Bytes left on a socket.
    Answer,
}

#[test]
fn i3_no_answer_leaves_before_its_sync() {
    let fleet = Fleet::new();
    let project = Project::default().write(&fleet.path("project"));
    let coordinator = fleet.coordinator();
    let campaign = fleet.submit(&project, false);
    let trace = fleet.path("trace");
    let mut strace = Command::new("strace")
        .args([
            "-f",
            "-y",
            "-s",
            "4096",
            "-e",
            "trace=pwrite64,write,fsync,fdatasync,sendto,sendmsg,writev",
            "-p",
        ])
        .arg(coordinator.pid().to_string())
        .arg("-o")
        .arg(&trace)
        .stderr(Stdio::null())
        .spawn()
        .expect("strace is there: tests/run.sh installs it");
    fleet.wait_until("strace is attached", || {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", coordinator.pid())).unwrap_or_default();
        status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"))
    });
    fleet.ok(&["pause", &campaign]);
    signal(strace.id(), "INT");
    strace.wait().expect("strace ends");
    let text = std::fs::read_to_string(&trace).expect("a trace");
    let calls = calls(&text);
    check(&calls, &text);
    // The control: the same trace with its syncs taken out must fail the same check.
    let unsynced: Vec<Call> = calls.into_iter().filter(|call| *call != Call::Sync).collect();
    assert!(first_answer_after_record_is_synced(&unsynced).is_err(), "the check can fail");
}

fn check(calls: &[Call], text: &str) {
    if let Err(problem) = first_answer_after_record_is_synced(calls) {
        panic!("{problem}: {calls:?}\n{text}");
    }
}

/// After the record, a sync must come before the next answer.
fn first_answer_after_record_is_synced(calls: &[Call]) -> Result<(), &'static str> {
    let record = calls.iter().position(|call| *call == Call::Record).ok_or("the record was never seen")?;
    let rest = &calls[record..];
    let answer = rest.iter().position(|call| *call == Call::Answer).ok_or("the answer was never seen")?;
    match rest[..answer].contains(&Call::Sync) {
        true => Ok(()),
        false => Err("an answer left before its sync"),
    }
}

fn calls(trace: &str) -> Vec<Call> {
    let mut syncing = std::collections::BTreeSet::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let (thread, rest) = line.split_once(char::is_whitespace).unwrap_or(("", line));
        let is_sync = rest.contains("fsync(") || rest.contains("fdatasync(");
        if is_sync && rest.contains("-wal>") && rest.contains("<unfinished") {
            syncing.insert(thread.to_owned());
        } else if is_sync && rest.contains("-wal>") && rest.contains("= 0") {
            calls.push(Call::Sync);
        } else if rest.contains("sync resumed>") && rest.contains("= 0") && syncing.remove(thread) {
            calls.push(Call::Sync);
        } else if rest.contains("-wal>") && rest.contains("campaign_paused") {
            calls.push(Call::Record);
        } else if rest.contains("<socket:") || rest.contains("<UNIX") {
            calls.push(Call::Answer);
        }
    }
    calls
}
