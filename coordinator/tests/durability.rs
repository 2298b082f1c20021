//! What a coordinator in a process of its own promises of its disk: nothing leaves before its sync, a
//! kill loses and doubles nothing.

mod common;

use common::process::{self, Process, records};
use common::{Client, FakeWorker, request_id};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::Duration;
use windlass_coordinator::ledger;
use windlass_proto::v1;

/// Not a test but the process under test: the others start this executable again.
#[test]
fn child_coordinator() {
    process::become_the_coordinator();
}

/// I3, I4: at both sides of the commit of every kind that a first campaign writes, the process dies, and
/// the same requests and reports afterwards lead to the same ledger.
#[tokio::test(flavor = "multi_thread")]
async fn i3_i4_a_kill_at_any_commit_loses_and_doubles_nothing() {
    let kinds = [
        "incarnation_started",
        "campaign_created",
        "iteration_opened",
        "attempt_leased",
        "attempt_ended",
        "deliverable_accepted",
        "conclusion_written",
        "iteration_decided",
    ];
    for kind in kinds {
        for side in ["before_commit", "after_commit"] {
            let failpoint = format!("{side}:{kind}");
            let folder = tempfile::tempdir().expect("tempdir");
            let mut process = Process::start(folder.path(), &[], Some(&failpoint));
            let key = request_id();
            let mut acknowledged = None;
            if let Some(client) = process.client().await {
                acknowledged = play(&client, &key).await;
            }
            assert_eq!(process.end().await.signal(), Some(9), "{failpoint}");
            let mut process = Process::start(folder.path(), &[], None);
            let client = process.client().await.expect("it starts again");
            let campaign = play(&client, &key).await.unwrap_or_else(|| panic!("{failpoint}: it goes on"));
            assert!(acknowledged.is_none_or(|before| before == campaign), "{failpoint}");
            process.kill();
            let records = records(folder.path());
            let count = |kind: &str| records.iter().filter(|record| record.body.kind() == kind).count();
            assert_eq!(count("campaign_created"), 1, "{failpoint}");
            assert_eq!(count("iteration_opened"), 1, "{failpoint}");
            assert_eq!(count("iteration_decided"), 1, "{failpoint}");
            assert_eq!(count("attempt_leased"), count("attempt_ended"), "{failpoint}");
        }
    }
}

/// Creates the campaign and carries its baseline to its decision; returns the campaign, as far as it was
/// acknowledged before the coordinator died.
async fn play(client: &Client, key: &str) -> Option<String> {
    let mut request = client.try_create_request("digits").await?;
    key.clone_into(&mut request.request_id);
    let campaign = client.campaigns().create(request).await.ok()?.into_inner().campaign;
    if let Some(mut worker) = FakeWorker::try_new(client).await {
        worker.try_run_until_decided(client, &campaign, "0.5").await;
    }
    Some(campaign)
}

/// Lines of a strace log, in order.
struct Trace(Vec<String>);

impl Trace {
    fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).expect("the trace");
        Self(String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect())
    }

    fn first(&self, from: usize, what: &str, is_it: impl Fn(&str) -> bool) -> usize {
        let found = self.0.iter().skip(from).position(|line| is_it(line));
        from + found.unwrap_or_else(|| panic!("no {what} after line {from} of the trace"))
    }

    /// The order of: the record's bytes go to the log of the ledger, they are synced, the answer leaves.
    fn assert_synced_before(&self, record: &str, answer: &str) {
        let is_send =
            |line: &str| ["write(", "writev(", "sendto(", "sendmsg("].iter().any(|call| line.contains(call));
        let is_answer = |line: &str| is_send(line) && line.contains("socket:") && line.contains(answer);
        let left = self.first(0, "answer", is_answer);
        let written = self.first(0, "write of the record", |line| {
            line.contains("pwrite64(") && line.contains("ledger.sqlite3-wal") && line.contains(record)
        });
        let is_sync = |line: &str| line.contains("fdatasync") || line.contains("fsync");
        let begun = self.first(written, "sync", |line| is_sync(line) && line.contains("ledger.sqlite3-wal"));
        let thread = self.0[begun].split_whitespace().next().unwrap_or_default();
        let synced = self.first(begun, "end of the sync", |line| {
            line.starts_with(thread) && is_sync(line) && line.trim_end().ends_with("= 0")
        });
        assert!(synced < left, "the answer left at line {left}, {record} was synced at line {synced}");
    }
}

/// I3: kill -9 cannot show a missing sync, the system calls can.
#[tokio::test(flavor = "multi_thread")]
async fn i3_no_answer_leaves_before_its_sync() {
    let folder = tempfile::tempdir().expect("tempdir");
    let trace = folder.path().join("trace");
    let data_dir = folder.path().join("data");
    let calls = "trace=fdatasync,fsync,pwrite64,write,writev,sendto,sendmsg";
    let output = trace.display().to_string();
    let wrap = ["strace", "-f", "-y", "-s", "1000000", "-e", calls, "-o", &output];
    let mut process = Process::start(&data_dir, &wrap, None);
    let client = process.client().await.expect("it starts");
    let key = request_id();
    let mut request = client.try_create_request("digits").await.expect("sent");
    key.clone_into(&mut request.request_id);
    let campaign = client.campaigns().create(request).await.expect("create").into_inner().campaign;
    // An answer that leaves too early can send the worker into a long wait; the trace shows it all the same.
    let _ = tokio::time::timeout(Duration::from_secs(10), play(&client, &key)).await;
    process.kill();
    let trace = Trace::read(&trace);
    trace.assert_synced_before("campaign_created", &campaign);
    // The order that a worker receives, and the decision that a client reads.
    trace.assert_synced_before("attempt_leased", "soft_limit_ms");
    trace.assert_synced_before("iteration_decided", "iteration_decided");
}

/// Two coordinators on one folder: the second ends and says whose folder it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_is_kept_out() {
    let folder = tempfile::tempdir().expect("tempdir");
    let mut first = Process::start(folder.path(), &[], None);
    let client = first.client().await.expect("it starts");
    let mut second = Process::start(folder.path(), &[], None);
    assert_eq!(second.end().await.code(), Some(1));
    client.campaigns().list(v1::ListRequest {}).await.expect("the first is untouched");
    let error = ledger::open(folder.path(), drop).expect_err("locked");
    let pid = first.id();
    assert!(matches!(error, ledger::Error::Locked { pid: Some(found), .. } if found == pid), "{error}");
}
