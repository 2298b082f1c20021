//! The blob store by itself: I16 on write and on read, small and large, whole and in pieces.

use bytes::Bytes;
use std::path::{Path, PathBuf};
use windlass_coordinator::blobs::{Blobs, Error, SMALL_MAX_BYTES};
use windlass_coordinator::ledger::{self, Ledger};
use windlass_shared::digest::Digest;

fn open(folder: &Path) -> (Ledger, Blobs) {
    let ledger = ledger::open(folder, drop).expect("open");
    let blobs = Blobs::open(&folder.join("blobs"), ledger.readers.clone(), ledger.writer.blob_writer())
        .expect("blobs");
    (ledger, blobs)
}

fn bytes(length: u64) -> Bytes {
    (0..length).map(|index| (index * 7 % 251) as u8).collect::<Vec<_>>().into()
}

const LENGTHS: [u64; 6] = [0, 1, SMALL_MAX_BYTES, SMALL_MAX_BYTES + 1, 1 << 20, (5 << 20) + 3];

#[tokio::test]
async fn blobs_come_back_after_a_restart() {
    let folder = tempfile::tempdir().expect("tempdir");
    for length in LENGTHS {
        let (_ledger, blobs) = open(folder.path());
        let digest = Digest::of(&bytes(length));
        assert_eq!(blobs.missing(vec![digest]).await.expect("missing"), [digest], "{length}");
        assert!(matches!(blobs.read(digest).await, Err(Error::Absent { .. })), "{length}");
        blobs.write(digest, bytes(length)).await.expect("write");
        blobs.write(digest, bytes(length)).await.expect("sent twice, stored once");
    }
    let (_ledger, blobs) = open(folder.path());
    for length in LENGTHS {
        let digest = Digest::of(&bytes(length));
        assert!(blobs.contains(digest).expect("contains"));
        assert_eq!(blobs.read(digest).await.expect("read"), bytes(length), "{length}");
    }
}

#[tokio::test]
async fn i16_what_is_not_its_digest_is_not_stored() {
    let folder = tempfile::tempdir().expect("tempdir");
    let (_ledger, blobs) = open(folder.path());
    for length in [10, SMALL_MAX_BYTES * 3] {
        let digest = Digest::of(&bytes(length));
        let mut wrong = bytes(length).to_vec();
        wrong[5] ^= 1;
        let error = blobs.write(digest, wrong.clone().into()).await.expect_err("whole");
        assert!(matches!(error, Error::Mismatch { .. }), "{error}");
        for sent in [wrong.clone(), wrong[..wrong.len() - 1].to_vec(), [&wrong[..], b"x"].concat()] {
            let mut incoming = blobs.incoming();
            incoming.begin(digest).await.expect("begin");
            let pushed = incoming.push(sent.into()).await;
            let ended = incoming.finish().await;
            assert!(pushed.is_err() || ended.is_err(), "{length}");
        }
        assert_eq!(blobs.missing(vec![digest]).await.expect("missing"), [digest], "{length}");
    }
    assert_eq!(files(&folder.path().join("blobs")), Vec::<PathBuf>::new(), "nothing half-written stays");
}

#[tokio::test]
async fn a_stream_of_blobs_is_durable_when_it_ends() {
    let folder = tempfile::tempdir().expect("tempdir");
    let (_ledger, blobs) = open(folder.path());
    let mut incoming = blobs.incoming();
    for length in LENGTHS {
        incoming.begin(Digest::of(&bytes(length))).await.expect("begin");
        for piece in bytes(length).chunks(100_000) {
            assert!(incoming.push(Bytes::copy_from_slice(piece)).await.expect("push"));
        }
    }
    assert_eq!(incoming.finish().await.expect("finish"), LENGTHS.len() as u64);
    for length in LENGTHS {
        assert_eq!(blobs.read(Digest::of(&bytes(length))).await.expect("read"), bytes(length), "{length}");
    }
}

#[tokio::test]
async fn i16_a_flipped_bit_is_found_on_read_and_healed_by_sending_again() {
    let folder = tempfile::tempdir().expect("tempdir");
    let large = bytes(SMALL_MAX_BYTES * 2);
    let digest = Digest::of(&large);
    let (_ledger, blobs) = open(folder.path());
    blobs.write(digest, large.clone()).await.expect("write");
    let file = files(&folder.path().join("blobs")).pop().expect("a file");
    let mut damaged = large.to_vec();
    damaged[1000] ^= 4;
    std::fs::write(&file, damaged).expect("damage");
    let error = blobs.read(digest).await.expect_err("damaged");
    assert!(matches!(error, Error::Damaged { digest: found } if found == digest), "{error}");
    blobs.write(digest, large.clone()).await.expect("send again");
    assert_eq!(blobs.read(digest).await.expect("healed"), large);
}

#[tokio::test]
async fn i16_a_flipped_bit_in_a_small_blob_is_found_on_read() {
    let folder = tempfile::tempdir().expect("tempdir");
    let digest = Digest::of(b"small");
    {
        let (_ledger, blobs) = open(folder.path());
        blobs.write(digest, Bytes::from_static(b"small")).await.expect("write");
    }
    let connection = rusqlite::Connection::open(ledger::file_in(folder.path())).expect("open");
    connection.execute("UPDATE blobs SET data = CAST('smell' AS BLOB)", []).expect("damage");
    drop(connection);
    let (_ledger, blobs) = open(folder.path());
    assert!(matches!(blobs.read(digest).await, Err(Error::Damaged { .. })));
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("read folder").map(|entry| entry.expect("entry").path()) {
        if entry.is_dir() { found.extend(files(&entry)) } else { found.push(entry) }
    }
    found
}
