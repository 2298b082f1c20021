//! The ledger by itself: group commit, the chain, the lock, unique decisions, and damage of every sort.

use bytes::Bytes;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use windlass_coordinator::ledger::{self, Batch, Blob, Error, Ledger, Page, VerifyError, Written, verify};
use windlass_shared::conclusion::Status;
use windlass_shared::digest::Digest;
use windlass_shared::id::{CampaignId, IterationNumber};
use windlass_shared::record::{Arithmetic, Body, Record};

fn record(seq: u64, body: Body) -> Record {
    let campaign = Some(CampaignId::from("digits-1a2b3c"));
    Record { seq, wall_ms: 1_700_000_000_000 + seq.cast_signed(), campaign, request: None, body }
}

fn resumed(seq: u64) -> Record {
    record(seq, Body::CampaignResumed {})
}

fn decided(seq: u64, iteration: u32) -> Record {
    let arithmetic = Arithmetic {
        noise: None,
        metric: None,
        record: None,
        gain: None,
        net_lines: 0,
        sentence: "no metric: crash".to_owned(),
    };
    record(
        seq,
        Body::IterationDecided {
            iteration: IterationNumber(iteration),
            status: Status::Crash,
            reason: "crashed".to_owned(),
            arithmetic,
            best: None,
            summary: String::new(),
            description: "baseline".to_owned(),
            notes: Default::default(),
        },
    )
}

fn open(folder: &Path) -> (Ledger, Vec<Record>) {
    let mut records = Vec::new();
    let ledger = ledger::open(folder, |record| records.push(record)).expect("open");
    (ledger, records)
}

/// Appends one batch and waits for its fate.
async fn append(ledger: &Ledger, records: Vec<Record>) -> Result<u64, String> {
    let mut durable = ledger.writer.durable();
    let wanted = durable.borrow().batches + 1;
    ledger.writer.append(Batch { records, blobs: Vec::new() }).expect("hand over");
    let state = durable
        .wait_for(|durable| durable.batches >= wanted || durable.failure.is_some())
        .await
        .expect("the writer lives")
        .clone();
    match state.failure {
        Some(error) => Err(format!("{error}: {:?}", std::error::Error::source(&*error))),
        None => Ok(state.seq),
    }
}

async fn filled(folder: &Path, records: u64) -> Digest {
    let (ledger, _) = open(folder);
    append(&ledger, (1..=records).map(resumed).collect()).await.expect("append");
    let bytes = Bytes::from_static(b"a small blob of the ledger");
    let digest = Digest::of(&bytes);
    ledger.writer.blob_writer().store(vec![Blob { digest, bytes }]).await.expect("store");
    digest
}

#[tokio::test]
async fn records_come_back_in_order_and_go_on_where_they_ended() {
    let folder = tempfile::tempdir().expect("tempdir");
    filled(folder.path(), 3).await;
    let (ledger, records) = open(folder.path());
    assert_eq!(records, (1..=3).map(resumed).collect::<Vec<_>>());
    assert_eq!(append(&ledger, vec![decided(4, 1)]).await, Ok(4));
    let campaign = CampaignId::from("digits-1a2b3c");
    assert_eq!(ledger.readers.after(None, 2, 10).expect("read"), [resumed(3), decided(4, 1)]);
    assert_eq!(ledger.readers.after(Some(&campaign), 0, 2).expect("read"), [resumed(1), resumed(2)]);
    assert_eq!(ledger.readers.after(Some(&"other".into()), 0, 2).expect("read"), []);
    // As they are written: the same records, and a changed one is named and not passed on.
    let written = ledger.readers.written_after(Some(&campaign), 1, 10).expect("read");
    let read = |one: &Written| serde_json::from_slice::<Record>(&one.document).expect("a record's own text");
    assert_eq!(written.iter().map(read).collect::<Vec<_>>(), [resumed(2), resumed(3), decided(4, 1)]);
    assert_eq!((written[2].seq, written[2].kind.as_str()), (4, "iteration_decided"));
    assert_eq!(written[2].campaign.as_ref(), Some(&campaign));
    let page = Page { records: vec![decided(4, 1)], next_after: None };
    assert_eq!(ledger.readers.iteration_page(&campaign, IterationNumber(1), 0).expect("read"), page);
    assert_eq!(ledger.readers.decisions_page(&campaign, 3).expect("read"), page);
    assert_eq!(ledger.readers.decisions_page(&campaign, 4).expect("read").records, []);
    drop(ledger);
    assert_eq!(verify(folder.path()).expect("verify").records, 4);
}

#[tokio::test]
async fn a_long_answer_comes_page_by_page_and_whole() {
    let folder = tempfile::tempdir().expect("tempdir");
    let (ledger, _) = open(folder.path());
    let decisions: Vec<Record> = (1..=2_500).map(|seq| decided(seq, seq as u32)).collect();
    append(&ledger, decisions.clone()).await.expect("append");
    let campaign = CampaignId::from("digits-1a2b3c");
    let (mut found, mut pages, mut after) = (Vec::new(), 0, Some(0));
    while let Some(after_seq) = after {
        let page = ledger.readers.decisions_page(&campaign, after_seq).expect("read");
        assert!(page.records.len() <= 1_000);
        found.extend(page.records);
        after = page.next_after;
        pages += 1;
    }
    assert_eq!((pages, found.len()), (3, 2_500));
    assert_eq!(found, decisions);
}

#[tokio::test]
async fn i1_an_iteration_is_decided_once_and_a_failed_append_is_final() {
    let folder = tempfile::tempdir().expect("tempdir");
    let (ledger, _) = open(folder.path());
    assert_eq!(append(&ledger, vec![decided(1, 1)]).await, Ok(1));
    let error = append(&ledger, vec![resumed(2), decided(3, 1)]).await.expect_err("a second decision");
    assert!(error.contains("append a record"), "{error}");
    // The writer has ended: what comes now is not taken, and nothing of the failed batch is there.
    let bytes = Bytes::from_static(b"x");
    let blob = Blob { digest: Digest::of(&bytes), bytes };
    assert!(matches!(ledger.writer.blob_writer().store(vec![blob]).await, Err(Error::WriterEnded)));
    assert_eq!(ledger.writer.durable().borrow().seq, 1);
    drop(ledger);
    assert_eq!(open(folder.path()).1, [decided(1, 1)]);
}

#[tokio::test]
async fn a_batch_that_leaves_a_gap_is_not_written() {
    let folder = tempfile::tempdir().expect("tempdir");
    let (ledger, _) = open(folder.path());
    let error = append(&ledger, vec![resumed(2)]).await.expect_err("a gap");
    assert!(error.contains("record 2 was to be appended where 1 comes next"), "{error}");
}

#[tokio::test]
async fn stores_that_wait_together_are_committed_together() {
    let folder = tempfile::tempdir().expect("tempdir");
    let (ledger, _) = open(folder.path());
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..500_u32 {
        let writer = ledger.writer.blob_writer();
        tasks.spawn(async move {
            let bytes = Bytes::from(number.to_le_bytes().to_vec());
            writer.store(vec![Blob { digest: Digest::of(&bytes), bytes }]).await
        });
    }
    for stored in tasks.join_all().await {
        stored.expect("stored");
    }
    drop(ledger);
    assert_eq!(verify(folder.path()).expect("verify").blobs, 500);
}

#[tokio::test]
async fn a_second_coordinator_is_kept_out_and_verify_is_not() {
    let folder = tempfile::tempdir().expect("tempdir");
    let (ledger, _) = open(folder.path());
    append(&ledger, vec![resumed(1)]).await.expect("append");
    let error = ledger::open(folder.path(), drop).expect_err("locked");
    assert!(matches!(&error, Error::Locked { pid: Some(pid), .. } if *pid == std::process::id()), "{error}");
    assert_eq!(verify(folder.path()).expect("verify beside a coordinator").records, 1);
}

/// Changes a closed ledger by SQL, as no Windlass does.
fn tamper(folder: &Path, sql: &str) {
    let connection = rusqlite::Connection::open(ledger::file_in(folder)).expect("open");
    connection.execute_batch(sql).expect(sql);
}

#[tokio::test]
async fn verify_names_the_first_bad_record() {
    let cases = [
        ("UPDATE records SET wall_ms = wall_ms + 1 WHERE seq = 7", "at record 7"),
        (
            "UPDATE records SET body = CAST(replace(CAST(body AS TEXT), 'digits', 'digitz') AS BLOB) WHERE seq = 4",
            "at record 4",
        ),
        ("UPDATE records SET prev_hash = zeroblob(32) WHERE seq = 5", "at record 5"),
        ("UPDATE records SET iteration = 9 WHERE seq = 3", "at record 3"),
        ("UPDATE records SET kind = 'campaign_paused' WHERE seq = 2", "at record 2"),
        ("DELETE FROM records WHERE seq = 6", "at record 6"),
        ("DELETE FROM records WHERE seq = 1", "at record 1"),
        (
            "UPDATE records SET kind = 'lever_improved' WHERE seq = 8",
            "unknown kind \"lever_improved\"; the ledger was written by windlass",
        ),
        (
            "INSERT INTO refinery_schema_history (version, name, applied_on, checksum) VALUES (99, 'x', '', '')",
            "has schema 99",
        ),
        ("UPDATE blobs SET data = CAST('a small blob of the lodger' AS BLOB)", "is not what its digest says"),
    ];
    for (sql, wanted) in cases {
        let folder = tempfile::tempdir().expect("tempdir");
        filled(folder.path(), 10).await;
        verify(folder.path()).expect("whole before");
        tamper(folder.path(), sql);
        let error = verify(folder.path()).expect_err(sql);
        assert!(error.to_string().contains(wanted), "{sql}: {error}");
    }
}

#[tokio::test]
async fn opening_refuses_what_verify_refuses_and_says_who_wrote_it() {
    let cases = [
        ("UPDATE records SET kind = 'lever_improved' WHERE seq = 8", "unknown kind"),
        (
            "INSERT INTO refinery_schema_history (version, name, applied_on, checksum) VALUES (99, 'x', '', '')",
            "has schema 99",
        ),
        ("UPDATE records SET wall_ms = 0 WHERE seq = 2", "at record 2"),
    ];
    for (sql, wanted) in cases {
        let folder = tempfile::tempdir().expect("tempdir");
        filled(folder.path(), 10).await;
        tamper(folder.path(), &format!("{sql}; UPDATE meta SET value = '9.9.9' WHERE key = 'written_by'"));
        let error = ledger::open(folder.path(), drop).expect_err(sql).to_string();
        assert!(error.contains(wanted), "{sql}: {error}");
        assert!(wanted == "at record 2" || error.contains("windlass 9.9.9"), "{error}");
    }
}

#[tokio::test]
async fn a_cut_tail_leaves_a_whole_chain_and_another_head() {
    let folder = tempfile::tempdir().expect("tempdir");
    filled(folder.path(), 10).await;
    let before = verify(folder.path()).expect("whole");
    tamper(folder.path(), "DELETE FROM records WHERE seq > 8");
    let after = verify(folder.path()).expect("a chain alone cannot show it");
    assert_eq!(after.records, 8);
    assert_ne!(after.head, before.head);
}

#[tokio::test]
async fn flipped_bytes_and_a_truncated_file_are_found() {
    let folder = tempfile::tempdir().expect("tempdir");
    filled(folder.path(), 200).await;
    let path = ledger::file_in(folder.path());
    let good = std::fs::read(&path).expect("read");
    // A byte in the body of a record. The last place in the file, because pages that were split keep
    // dead copies of what they held before.
    let place = find_last(&good, b"\"campaign\":\"digits-1a2b3c").expect("a record's text");
    let damages: [(&str, Damage); 3] = [
        (
            "flipped",
            Box::new(move |path: &Path| {
                let mut file = std::fs::OpenOptions::new().write(true).open(path).expect("open");
                file.seek(SeekFrom::Start(place as u64)).expect("seek");
                file.write_all(b"D").expect("write");
            }),
        ),
        (
            "truncated",
            Box::new(|path: &Path| {
                let file = std::fs::OpenOptions::new().write(true).open(path).expect("open");
                file.set_len(file.metadata().expect("metadata").len() / 2).expect("cut");
            }),
        ),
        (
            "torn",
            Box::new(|path: &Path| {
                let file = std::fs::OpenOptions::new().write(true).open(path).expect("open");
                let length = file.metadata().expect("metadata").len();
                file.set_len(length - 4096).expect("cut");
                file.set_len(length).expect("zeroes");
            }),
        ),
    ];
    for (name, damage) in damages {
        std::fs::write(&path, &good).expect("restore");
        verify(folder.path()).expect("whole before");
        damage(&path);
        assert!(verify(folder.path()).is_err(), "{name} must be found");
    }
}

/// Something that happens to a file.
type Damage = Box<dyn Fn(&Path)>;

fn find_last(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).rposition(|window| window == needle)
}

#[test]
fn verify_says_where_it_looked() {
    let folder = tempfile::tempdir().expect("tempdir");
    let error = verify(folder.path()).expect_err("nothing there");
    assert!(matches!(&error, VerifyError::Absent { path } if path.starts_with(folder.path())), "{error}");
}
