//! What a coordinator in a process of its own promises of its disk: nothing leaves before its sync, a
//! kill loses and doubles nothing, a ledger that cannot be written ends all writing and no reading.

mod common;

use common::{Client, FakeWorker, request_id};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use windlass_coordinator::{Settings, ledger, run};
use windlass_proto::refusal::from_status;
use windlass_proto::{document, v1};
use windlass_shared::record::{Body, Record};
use windlass_shared::view::CampaignView;

const DATA_DIR: &str = "WINDLASS_TEST_DATA_DIR";

/// Not a test but the process under test: the others start this executable again with [`DATA_DIR`] set.
#[test]
fn child_coordinator() {
    let Some(data_dir) = std::env::var_os(DATA_DIR) else { return };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let settings = Settings::new(data_dir.into());
    let ended = runtime.block_on(run(settings, |_| {}, CancellationToken::new()));
    std::process::exit(i32::from(ended.is_err()));
}

/// A coordinator in a process of its own, killed when it is dropped.
struct Process {
    child: Child,
    data_dir: PathBuf,
}

impl Process {
    /// Starts one; `wrap` goes before its command.
    fn start(data_dir: &Path, wrap: &[&str], failpoint: Option<&str>) -> Self {
        let this = std::env::current_exe().expect("this executable");
        let mut words: Vec<String> = wrap.iter().map(|word| (*word).to_owned()).collect();
        words.push(this.display().to_string());
        words.extend(["--exact", "child_coordinator", "--nocapture"].map(str::to_owned));
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env(DATA_DIR, data_dir).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some(failpoint) = failpoint {
            command.env("WINDLASS_FAILPOINT", failpoint);
        }
        let child = command.spawn().unwrap_or_else(|error| panic!("{} is needed: {error}", words[0]));
        Self { child, data_dir: data_dir.to_owned() }
    }

    /// Connects once it listens; none when it has ended before.
    async fn client(&mut self) -> Option<Client> {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(client) = Client::connect(&self.data_dir.join("windlass.sock")).await {
                return Some(client);
            }
            if self.child.try_wait().expect("wait").is_some() {
                return None;
            }
            assert!(Instant::now() < until, "it never listened");
            tokio::task::yield_now().await;
        }
    }

    async fn end(&mut self) -> ExitStatus {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                return status;
            }
            assert!(Instant::now() < until, "it never ended");
            tokio::task::yield_now().await;
        }
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn records(data_dir: &Path) -> Vec<Record> {
    let mut records = Vec::new();
    drop(ledger::open(data_dir, |record| records.push(record)).expect("a whole ledger"));
    records
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

fn acknowledged_are_there(data_dir: &Path, acknowledged: &[String]) {
    let mut created = Vec::new();
    for record in records(data_dir) {
        if let (Some(campaign), Body::CampaignCreated { .. }) = (record.campaign, record.body) {
            created.push(campaign.0);
        }
    }
    for campaign in acknowledged {
        assert!(created.contains(campaign), "{campaign} was acknowledged");
    }
}

/// Creates campaigns until one is refused; what was acknowledged, and the refusal.
async fn create_until_refused(client: &Client) -> (Vec<String>, tonic::Status) {
    let mut acknowledged = Vec::new();
    // Sent while there is room: what fails is then the record, not a blob before it.
    let request = client.try_create_request("digits").await.expect("sent");
    loop {
        let request = v1::CreateRequest { request_id: request_id(), ..request.clone() };
        match client.campaigns().create(request).await {
            Ok(created) => acknowledged.push(created.into_inner().campaign),
            Err(status) => return (acknowledged, status),
        }
        assert!(acknowledged.len() < 20_000, "the disk never filled up");
    }
}

/// Reads are answered from what is durable, and every change is refused with the reason.
async fn only_reads(client: &Client, acknowledged: &[String]) {
    let listed = client.campaigns().list(v1::ListRequest {}).await.expect("reads go on").into_inner();
    let views: Vec<CampaignView> =
        listed.view_documents.iter().map(|bytes| document::read("view", bytes).expect("a view")).collect();
    let mut shown: Vec<&str> = views.iter().map(|view| view.campaign.as_str()).collect();
    let mut wanted: Vec<&str> = acknowledged.iter().map(String::as_str).collect();
    shown.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(shown, wanted, "what was never acknowledged is not believed");
    let watch = v1::WatchRequest { follow: false, ..v1::WatchRequest::default() };
    let mut watched = client.campaigns().watch(watch).await.expect("watches go on").into_inner();
    assert!(watched.message().await.expect("a record").is_some());
    let campaign = acknowledged.first().expect("one was acknowledged").clone();
    let pause = v1::PauseRequest { request_id: request_id(), campaign };
    let refused = client.campaigns().pause(pause).await.expect_err("no change is taken");
    let refused = from_status(&refused);
    assert_eq!((refused.reason.as_str(), refused.exit_code), ("READ_ONLY", 5), "{refused:?}");
    assert_eq!(refused.rule.as_deref(), Some("I17"));
    let health = client.health().await;
    assert!(health.read_only.is_some() && health.notice.is_some(), "{health:?}");
    assert!(client.try_send_blobs(&[vec![7; 40_000]]).await.is_none(), "no blob is taken");
    assert!(FakeWorker::try_new(client).await.is_none(), "no report is taken");
}

/// I17: a ledger that cannot be written ends acknowledgement at once; reads go on, a restart recovers.
#[tokio::test(flavor = "multi_thread")]
async fn i17_a_ledger_that_cannot_be_written_is_read_on_and_loses_nothing() {
    let folder = tempfile::tempdir().expect("tempdir");
    // Past this many 512-byte blocks every write of a file fails.
    let wrap = ["sh", "-c", "trap '' XFSZ; ulimit -f 600; exec \"$0\" \"$@\""];
    let mut process = Process::start(folder.path(), &wrap, None);
    let client = process.client().await.expect("it starts");
    let (acknowledged, status) = create_until_refused(&client).await;
    assert_eq!(from_status(&status).reason, "READ_ONLY", "{status}");
    assert!(!acknowledged.is_empty());
    only_reads(&client, &acknowledged).await;
    process.kill();
    acknowledged_are_there(folder.path(), &acknowledged);
    let mut process = Process::start(folder.path(), &[], None);
    let client = process.client().await.expect("it starts again");
    client.create("more").await;
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
    let pid = first.child.id();
    assert!(matches!(error, ledger::Error::Locked { pid: Some(found), .. } if found == pid), "{error}");
}
