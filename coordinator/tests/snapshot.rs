//! Snapshots: what a start goes on from is what the records say, and whatever else lies there is not
//! believed, with the reason said.

use std::path::Path;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use windlass_coordinator::Settings;
use windlass_coordinator::grpc::listen::Endpoint;
use windlass_coordinator::ledger::{self, Batch, Found, Head, Ledger, Opening, VerifyError, verify};
use windlass_coordinator::snapshot::{self, EVERY_RECORDS, Refused, Snapshot};
use windlass_engine::core::{Durable, VERSION};
use windlass_shared::digest::{Digest, Hash};
use windlass_shared::id::CampaignId;
use windlass_shared::record::{Answer, Body, PauseReason, Record, Request};

/// A ledger of campaigns that are paused and go on, each change asked for by a request.
fn record(seq: u64) -> Record {
    let campaign = Some(CampaignId(format!("digits-{:02}", seq % 7)));
    let body = match seq {
        1..=7 => Body::CampaignCreated {
            name: "digits".to_owned(),
            bindings: serde_json::from_value(serde_json::json!({
                "metric": "val_acc", "metric_direction": "maximize", "entrypoint": "python3 train.py",
                "editable_files": ["train.py"], "gate": "time", "budget": 0.2,
            }))
            .expect("bindings"),
            tree: Digest::of(b"workspace"),
            cap: None,
            git: None,
            owner: None,
        },
        _ if seq.is_multiple_of(2) => Body::CampaignPaused { reason: PauseReason::Owner },
        _ => Body::CampaignResumed {},
    };
    let id = format!("request {seq}");
    let request = Request { body: Hash::of(id.as_bytes()), id: id.as_str().into(), answer: Answer::Done };
    Record { seq, wall_ms: 1_700_000_000_000 + seq.cast_signed(), campaign, request: Some(request), body }
}

async fn append(ledger: &Ledger, records: impl Iterator<Item = Record>) {
    let mut durable = ledger.writer.durable();
    let wanted = durable.borrow().batches + 1;
    ledger.writer.append(Batch { records: records.collect(), blobs: Vec::new() }).expect("hand over");
    let state = durable.wait_for(|state| state.batches >= wanted).await.expect("the writer lives");
    assert!(state.failure.is_none());
}

/// A closed ledger of so many records.
async fn filled(folder: &Path, records: u64) {
    let ledger = ledger::open(folder, drop).expect("open");
    append(&ledger, (1..=records).map(record)).await;
}

/// A start: where it went on from, how many records it read, and the state.
fn start(folder: &Path) -> (u64, u64, Durable, Ledger) {
    let opening = Opening::begin(folder).expect("open");
    let (mut state, from) = snapshot::load(folder, |head| opening.holds(head)).expect("the ledger answers");
    let mut replayed = 0;
    let ledger = opening
        .finish(from, |record| {
            replayed += 1;
            state.apply(&record);
        })
        .expect("a whole ledger");
    (from.seq, replayed, state, ledger)
}

fn replay(folder: &Path) -> Durable {
    let mut state = Durable::default();
    drop(ledger::open(folder, |record| state.apply(&record)).expect("a whole ledger"));
    state
}

fn text(state: &Durable) -> String {
    serde_json::to_string(state).expect("a state is representable")
}

fn take(folder: &Path) -> Option<Head> {
    snapshot::take(folder, 1, || false).expect("a snapshot")
}

#[tokio::test]
async fn a_start_reads_the_tail_alone_and_its_state_is_that_of_a_whole_replay() {
    let folder = tempfile::tempdir().expect("tempdir");
    filled(folder.path(), 3_000).await;
    assert_eq!(take(folder.path()).map(|head| head.seq), Some(3_000));
    assert_eq!(take(folder.path()), None, "nothing has come since");
    let (from, replayed, state, ledger) = start(folder.path());
    assert_eq!((from, replayed), (3_000, 0));
    append(&ledger, (3_001..=3_050).map(record)).await;
    // Beside a coordinator that has the ledger open, from the snapshot before.
    assert_eq!(snapshot::take(folder.path(), 51, || false).expect("a snapshot"), None, "too few");
    assert_eq!(snapshot::take(folder.path(), 1, || true).expect("a snapshot"), None, "it was told to end");
    drop((state, ledger));
    let (from, replayed, state, _ledger) = start(folder.path());
    assert_eq!((from, replayed), (3_000, 50));
    drop(_ledger);
    assert_eq!(text(&state), text(&replay(folder.path())));
    assert_eq!(take(folder.path()).map(|head| head.seq), Some(3_050));
    assert_eq!(verify(folder.path()).expect("whole").snapshot, Found::Agrees { seq: 3_050 });
}

/// Something that happens to a snapshot's bytes.
type Damage = fn(&mut Vec<u8>);

/// Finds a text in the first line and puts another of the same length there.
fn rewrite(bytes: &mut [u8], from: &str, to: &str) {
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).expect(from);
    bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
}

#[tokio::test]
async fn a_damaged_snapshot_is_refused_by_name_and_every_record_replayed() {
    let folder = tempfile::tempdir().expect("tempdir");
    filled(folder.path(), 60).await;
    take(folder.path());
    let good = std::fs::read(snapshot::file_in(folder.path())).expect("read");
    let whole = text(&replay(folder.path()));
    let cases: [(&str, Damage, &str); 9] = [
        ("empty", Vec::clear, "first line"),
        ("torn in its first line", |bytes| bytes.truncate(100), "first line"),
        ("cut", |bytes| bytes.truncate(bytes.len() - 1), "bytes of state and says"),
        ("longer", |bytes| bytes.push(0), "bytes of state and says"),
        (
            "torn to zeroes",
            |bytes| {
                let half = bytes.len() / 2;
                bytes[half..].fill(0);
            },
            "does not match its hash",
        ),
        (
            "a flipped bit",
            |bytes| {
                let last = bytes.len() - 9;
                bytes[last] ^= 1;
            },
            "does not match its hash",
        ),
        ("another file", |bytes| *bytes = vec![b'x'; 4_096], "first line"),
        (
            "another version",
            |bytes| {
                let other = format!("9{}", &VERSION[1..]);
                rewrite(bytes, VERSION, &other);
            },
            "wrote it, and this is",
        ),
        (
            "another record",
            |bytes| rewrite(bytes, "\"seq\":60", "\"seq\":59"),
            "does not go through its record 59",
        ),
    ];
    for (name, damage, why) in cases {
        let mut bytes = good.clone();
        damage(&mut bytes);
        std::fs::write(snapshot::file_in(folder.path()), &bytes).expect("write");
        let (from, replayed, state, _ledger) = start(folder.path());
        drop(_ledger);
        assert_eq!((from, replayed), (0, 60), "{name}");
        assert_eq!(text(&state), whole, "{name}");
        let found = verify(folder.path()).expect("the ledger is whole").snapshot;
        assert!(matches!(&found, Found::Unused { why: said } if said.contains(why)), "{name}: {found:?}");
        // The next one takes its place.
        assert_eq!(take(folder.path()).map(|head| head.seq), Some(60), "{name}");
        assert_eq!(std::fs::read(snapshot::file_in(folder.path())).expect("read"), good, "{name}");
    }
}

#[tokio::test]
async fn i15_a_snapshot_of_a_newer_or_another_ledger_is_not_believed() {
    let (folder, other) = (tempfile::tempdir().expect("tempdir"), tempfile::tempdir().expect("tempdir"));
    filled(folder.path(), 40).await;
    let older = std::fs::read(ledger::file_in(folder.path())).expect("read");
    let ledger = ledger::open(folder.path(), drop).expect("open");
    append(&ledger, (41..=50).map(record)).await;
    drop(ledger);
    take(folder.path());
    // An older copy of the ledger comes back, and the snapshot is still there.
    std::fs::write(ledger::file_in(folder.path()), &older).expect("restore");
    assert_eq!(start(folder.path()).0, 0);
    // It goes on otherwise: the record is there again, and is another one.
    let ledger = ledger::open(folder.path(), drop).expect("open");
    append(&ledger, (41..=50).map(|seq| Record { wall_ms: 5, ..record(seq) })).await;
    drop(ledger);
    assert_eq!(start(folder.path()).0, 0);
    assert!(matches!(verify(folder.path()).expect("whole").snapshot, Found::Unused { .. }));
    // A foreign snapshot of the same length.
    filled(other.path(), 50).await;
    take(other.path());
    std::fs::copy(snapshot::file_in(other.path()), snapshot::file_in(folder.path())).expect("copy");
    assert_eq!(start(folder.path()).0, 0);
    // The positive control: its own is believed.
    take(folder.path());
    assert_eq!(start(folder.path()).0, 50);
}

#[tokio::test]
async fn verify_finds_a_snapshot_that_would_be_believed_and_is_wrong() {
    let folder = tempfile::tempdir().expect("tempdir");
    filled(folder.path(), 30).await;
    let head = take(folder.path()).expect("a snapshot");
    let mut state = replay(folder.path());
    state.leases_given += 1;
    snapshot::write(folder.path(), head, &state).expect("write");
    assert_eq!(start(folder.path()).0, 30, "nothing but a replay can tell");
    let error = verify(folder.path()).expect_err("a replay tells");
    assert!(matches!(&error, VerifyError::Snapshot { seq: 30, .. }), "{error}");
    // A state of another record is refused at once.
    state.seq = 29;
    snapshot::write(folder.path(), head, &state).expect("write");
    let opened = Snapshot::open(folder.path()).expect("whole").expect("there");
    assert!(matches!(opened.state(), Err(Refused::State { seq: 30 })));
    assert_eq!(start(folder.path()).0, 0);
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_written_leaves_the_one_before() {
    let folder = tempfile::tempdir().expect("tempdir");
    filled(folder.path(), 20).await;
    take(folder.path());
    let ledger = ledger::open(folder.path(), drop).expect("open");
    append(&ledger, (21..=25).map(record)).await;
    drop(ledger);
    // A folder stands where the new one is written.
    std::fs::create_dir(folder.path().join("snapshot.new")).expect("mkdir");
    let error = snapshot::take(folder.path(), 1, || false).expect_err("it cannot be made");
    assert!(error.to_string().contains("snapshot.new"), "{error}");
    assert_eq!(start(folder.path()).0, 20);
    std::fs::remove_dir(folder.path().join("snapshot.new")).expect("rmdir");
    assert_eq!(take(folder.path()).map(|head| head.seq), Some(25));
}

/// Runs a coordinator to its readiness and ends it cleanly; the snapshot's record at both moments.
async fn run_and_end(folder: &Path) -> (Option<u64>, Option<u64>) {
    let head = || Snapshot::open(folder).expect("whole").map(|snapshot| snapshot.head.seq);
    let shutdown = CancellationToken::new();
    let settings = Settings::new(folder.to_owned());
    let mut at_start = None;
    let ready = |_: &Endpoint| {
        at_start = head();
        shutdown.cancel();
    };
    let ran = windlass_coordinator::run(settings, ready, shutdown.clone());
    tokio::time::timeout(Duration::from_secs(60), ran).await.expect("in time").expect("cleanly");
    (at_start, head())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_end_and_a_long_replay_leave_a_snapshot() {
    for (records, at_start, at_end) in [
        (50, None, None),
        (1_000, None, Some(1_001)),
        (EVERY_RECORDS, Some(EVERY_RECORDS), Some(EVERY_RECORDS)),
    ] {
        let folder = tempfile::tempdir().expect("tempdir");
        filled(folder.path(), records).await;
        assert_eq!(run_and_end(folder.path()).await, (at_start, at_end), "{records} records");
        verify(folder.path()).expect("whole");
    }
}
