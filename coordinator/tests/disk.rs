//! Disks that are full, nearly full, or fail to sync (I17): acknowledgement stops at once and loudly, nothing
//! acknowledged is lost, nothing else is believed, and reads go on.

mod common;

use common::process::{self, Process, records};
use common::{Client, FakeWorker, request_id, wait_for};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tonic_health::pb::health_check_response::ServingStatus::{self, NotServing, Serving};
use windlass_proto::refusal::from_status;
use windlass_proto::{document, v1};
use windlass_shared::record::Body;
use windlass_shared::view::CampaignView;

/// Not a test but the process under test: the others start this executable again.
#[test]
fn child_coordinator() {
    process::become_the_coordinator();
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

/// What needs a ledger that can be written is said to serve or not, and what only reads to serve.
async fn serve(client: &Client, writing: ServingStatus) {
    wait_for(async || client.serving("").await == writing).await;
    for service in ["windlass.v1.CampaignService", "windlass.v1.WorkerService"] {
        wait_for(async || client.serving(service).await == writing).await;
    }
    for service in ["windlass.v1.LogService", "windlass.v1.FleetService", "windlass.v1.UpkeepService"] {
        assert_eq!(client.serving(service).await, Serving, "{service}");
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
    serve(client, NotServing).await;
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
    serve(&client, Serving).await;
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

/// I17: a sync that failed is never tried again, and nothing that it was to make durable is acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn i17_a_failed_sync_is_final_and_reads_go_on() {
    let folder = tempfile::tempdir().expect("tempdir");
    let data_dir = folder.path().join("data");
    let (wal, trace) = (data_dir.join("ledger.sqlite3-wal"), folder.path().join("trace"));
    let (wal, output) = (wal.display().to_string(), trace.display().to_string());
    // The start's own syncs come first; then a few campaigns are acknowledged.
    let inject = "inject=fdatasync,fsync:error=EIO:when=12+";
    let wrap = ["strace", "-f", "-y", "-P", &wal, "-e", "trace=fdatasync,fsync", "-e", inject, "-o", &output];
    let mut process = Process::start(&data_dir, &wrap, None);
    let client = process.client().await.expect("it starts");
    let (acknowledged, status) = create_until_refused(&client).await;
    let refused = from_status(&status);
    assert_eq!(refused.reason, "READ_ONLY", "{status}");
    assert!(refused.remedy.expect("a remedy").contains("start the coordinator again"));
    only_reads(&client, &acknowledged).await;
    process.kill();
    let trace = std::fs::read_to_string(&trace).expect("the trace");
    let failed = trace.lines().filter(|line| line.contains("EIO")).count();
    assert_eq!(failed, 1, "a failed sync is not tried again: {trace}");
    acknowledged_are_there(&data_dir, &acknowledged);
    let mut process = Process::start(&data_dir, &[], None);
    let client = process.client().await.expect("it starts again");
    client.create("more").await;
}

/// A small disk of its own, unmounted when it is dropped.
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    /// None where this user may not mount one; that is said.
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("tempdir");
        let options = format!("size={size}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "windlass-test"]).arg(folder.path());
        if mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
            return Some(Self { folder });
        }
        eprintln!("NOT TESTED: this user may not mount a tmpfs; full disks are tested as root");
        None
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A file that leaves so much free.
    fn ballast(&self, leave_bytes: u64) -> PathBuf {
        let path = self.path().join("ballast");
        let stat = rustix::fs::statvfs(self.path()).expect("statvfs");
        let bytes = (stat.f_bavail * stat.f_frsize).saturating_sub(leave_bytes);
        std::fs::write(&path, vec![0; usize::try_from(bytes).expect("a small disk")]).expect("written");
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "it can be unmounted");
    }
}

/// I17: a disk that is really full: reads go on, and with room again it goes on by itself.
#[tokio::test(flavor = "multi_thread")]
async fn i17_a_full_disk_is_waited_out_and_nothing_acknowledged_is_lost() {
    let Some(disk) = SmallDisk::mount("16m") else { return };
    let data_dir = disk.path().join("data");
    // No mark: the disk is to fill up to its last byte.
    let mut process = Process::start_with(&data_dir, &[], None, Some(0));
    let client = process.client().await.expect("it starts");
    let first = client.create("first").await;
    let ballast = disk.ballast(600_000);
    let (mut acknowledged, status) = create_until_refused(&client).await;
    assert_eq!(from_status(&status).reason, "READ_ONLY", "{status}");
    acknowledged.push(first);
    only_reads(&client, &acknowledged).await;
    std::fs::remove_file(ballast).expect("room again");
    let socket = data_dir.join("windlass.sock");
    wait_for(async || {
        let Some(client) = Client::connect(&socket).await else { return false };
        let Some(request) = client.try_create_request("again").await else { return false };
        let created = client.campaigns().create(request).await;
        acknowledged.extend(created.iter().map(|created| created.get_ref().campaign.clone()));
        created.is_ok()
    })
    .await;
    assert!(!process.has_ended(), "it is the same process");
    serve(&Client::connect(&socket).await.expect("it answers"), Serving).await;
    process.kill();
    acknowledged_are_there(&data_dir, &acknowledged);
}

/// Below its mark a coordinator takes nothing new, says so, ends what runs, and goes on by itself.
#[tokio::test(flavor = "multi_thread")]
async fn i17_a_disk_that_is_nearly_full_takes_no_work_until_there_is_room() {
    let Some(disk) = SmallDisk::mount("24m") else { return };
    let data_dir = disk.path().join("data");
    let mut process = Process::start(&data_dir, &[], None);
    let client = process.client().await.expect("it starts");
    client.create("digits").await;
    let mut worker = FakeWorker::try_new(&client).await.expect("a session");
    let order = worker.next_order().await;
    // The one slot is taken: this one waits for it.
    let second = client.create("second").await;
    let unsent = client.try_create_request("other").await.expect("sent while there is room");
    // A twentieth of 24 MiB is 1.2 MiB.
    let ballast = disk.ballast(900_000);
    wait_for(async || client.health().await.notice.is_some()).await;
    let health = client.health().await;
    assert!(health.free_bytes < health.stop_bytes && health.read_only.is_none(), "{health:?}");
    let refused = client.campaigns().create(unsent.clone()).await.expect_err("no new work");
    let refused = from_status(&refused);
    assert_eq!((refused.reason.as_str(), refused.exit_code), ("NO_ROOM", 5), "{refused:?}");
    assert!(refused.message.contains(&data_dir.display().to_string()), "{}", refused.message);
    assert!(refused.remedy.is_some_and(|remedy| remedy.contains("windlass gc")));
    assert!(client.try_send_blobs(&[b"a client's".to_vec()]).await.is_none(), "no upload");
    // What runs is still taken; what waits for its device gets no lease.
    worker.end(&order, Some("0.5"), 0).await;
    wait_for(async || {
        let waits = client.view(&second).await.waits_for.unwrap_or_default();
        waits.contains("room on the coordinator's disk")
    })
    .await;
    std::fs::remove_file(ballast).expect("room again");
    let decided = worker.try_run_until_decided(&client, &second, "0.5").await;
    assert!(decided.is_some(), "it goes on by itself");
    wait_for(async || client.campaigns().create(unsent.clone()).await.is_ok()).await;
    process.kill();
}
