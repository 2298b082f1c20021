//! Replay of a ledger that somebody changed: it verifies, and then every record is what was written, or the
//! first bad record is named. It is the same for `verify` and for a coordinator that opens it.

use crate::bytes::Bytes;
use rusqlite::types::Value;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use windlass_coordinator::ledger::{self, Batch, VerifyError, verify};
use windlass_engine::core::Core;
use windlass_shared::record::Record;

/// One record of every kind: the sample that the command line's own tests read.
const RECORDS: &str = include_str!("../../../cli/tests/records.json");
/// Columns that are changed one by one; `seq` is apart, since it moves a row.
const COLUMNS: [&str; 10] =
    ["campaign", "iteration", "attempt", "lever", "request", "wall_ms", "kind", "body", "prev_hash", "hash"];

/// The first byte says whether bytes of the file are changed or values of its rows.
pub(crate) fn check(data: &[u8]) {
    let mut input = Bytes::new(data);
    let dir = tempfile::tempdir().expect("a folder");
    let file = ledger::file_in(dir.path());
    if input.byte().is_multiple_of(2) {
        let mut image = image().to_vec();
        spoil(&mut image, &mut input);
        std::fs::write(&file, &image).expect("written");
        replay(dir.path());
    } else {
        std::fs::write(&file, image()).expect("written");
        let first = change_rows(&file, &mut input);
        let named = replay(dir.path());
        if let (Some(first), Some(named)) = (first, named) {
            assert!(named <= first, "the first bad record is {first}, not {named}");
        }
    }
}

/// Opens the ledger as a coordinator does, after `verify` has looked at it; the record that `verify` names.
fn replay(dir: &Path) -> Option<u64> {
    let verified = verify(dir);
    let mut core = Core::new();
    let mut seen = Vec::new();
    let opened = ledger::open(dir, |record| {
        core.apply(&record);
        seen.push(record);
    });
    match (&verified, &opened) {
        (Ok(verified), Ok(opened)) => {
            assert_eq!((verified.records, verified.head), (opened.head.seq, opened.head.hash));
            assert_eq!(core.durable().seq, verified.records);
        }
        // What no record lies on is `verify`'s to look at: a start reads records.
        (Err(_), Ok(_)) => {}
        (Ok(_), Err(error)) => assert!(!is_damage(error), "opening finds {error}, verify does not"),
        (Err(_), Err(_)) => {}
    }
    let written = records();
    assert!(
        seen.len() <= written.len() && seen == written[..seen.len()],
        "no record is another than was written"
    );
    match verified {
        Ok(verified) => {
            assert_eq!(seen.len() as u64, verified.records, "{:?}", opened.err());
            None
        }
        Err(error) => named(&error),
    }
}

fn is_damage(error: &ledger::Error) -> bool {
    matches!(error, ledger::Error::Damaged(_) | ledger::Error::UnknownKind { .. })
}

fn named(error: &VerifyError) -> Option<u64> {
    match error {
        VerifyError::Ledger(ledger::Error::Damaged(damage)) => Some(damage.seq),
        VerifyError::Ledger(ledger::Error::UnknownKind { seq, .. }) => Some(*seq),
        other => {
            assert!(!other.to_string().is_empty());
            None
        }
    }
}

/// Flips, cuts and lengthens.
fn spoil(image: &mut Vec<u8>, input: &mut Bytes<'_>) {
    while !input.is_empty() {
        let at = (usize::from(input.short()) << 8 | usize::from(input.byte())) % image.len().max(1);
        match input.byte() {
            0 => image.truncate(at),
            1 => image.extend([0; 512]),
            mask => {
                if let Some(byte) = image.get_mut(at) {
                    *byte ^= mask;
                }
            }
        }
    }
}

/// Changes values by SQL, as no Windlass does; the lowest record that is no longer what it was.
fn change_rows(file: &Path, input: &mut Bytes<'_>) -> Option<u64> {
    let connection = rusqlite::Connection::open(file).expect("a ledger");
    let count = records().len();
    let mut first: Option<u64> = None;
    while !input.is_empty() {
        let seq = input.below(count) as u64 + 1;
        let column = input.pick(&COLUMNS);
        let read = || -> Option<Value> {
            let sql = format!("SELECT {column} FROM records WHERE seq = ?1");
            connection.query_row(&sql, [seq.cast_signed()], |row| row.get(0)).ok()
        };
        let before = read();
        let sql = match input.byte() % 8 {
            0 => "DELETE FROM records WHERE seq = ?1".to_owned(),
            _ => format!("UPDATE records SET {column} = ?2 WHERE seq = ?1"),
        };
        let value = value(input, before.as_ref());
        let changed = match sql.starts_with("DELETE") {
            true => connection.execute(&sql, [seq.cast_signed()]),
            false => connection.execute(&sql, rusqlite::params![seq.cast_signed(), value]),
        };
        // A value that the table itself refuses leaves the row as it was.
        let is_last = seq == count as u64 && sql.starts_with("DELETE");
        if changed.is_ok_and(|rows| rows > 0) && read() != before && !is_last {
            first = Some(first.map_or(seq, |first| first.min(seq)));
        }
    }
    first
}

/// A value of any type; now and then the old one with a byte changed.
fn value(input: &mut Bytes<'_>, before: Option<&Value>) -> Value {
    let length = usize::from(input.byte() % 40);
    match input.byte() % 5 {
        0 => Value::Null,
        1 => Value::Integer(i64::from(input.short())),
        2 => Value::Text(String::from_utf8_lossy(input.take(length)).into_owned()),
        3 => Value::Blob(input.take(length).to_vec()),
        _ => {
            let at = usize::from(input.short());
            let mask = input.byte();
            let flip = |bytes: &mut Vec<u8>| {
                let length = bytes.len().max(1);
                if let Some(byte) = bytes.get_mut(at % length) {
                    *byte ^= mask;
                }
            };
            match before.cloned().unwrap_or(Value::Null) {
                Value::Blob(mut bytes) => {
                    flip(&mut bytes);
                    Value::Blob(bytes)
                }
                Value::Text(text) => {
                    let mut bytes = text.into_bytes();
                    flip(&mut bytes);
                    Value::Text(String::from_utf8_lossy(&bytes).into_owned())
                }
                other => other,
            }
        }
    }
}

fn records() -> &'static [Record] {
    static RECORDS_READ: OnceLock<Vec<Record>> = OnceLock::new();
    RECORDS_READ.get_or_init(|| serde_json::from_str(RECORDS).expect("records"))
}

/// The bytes of a whole ledger, made once by the writer itself.
fn image() -> &'static [u8] {
    static IMAGE: OnceLock<Vec<u8>> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a folder");
        let made = make(dir.path());
        std::fs::read(made).expect("a ledger")
    })
}

fn make(dir: &Path) -> PathBuf {
    let ledger = ledger::open(dir, drop).expect("a new ledger");
    let mut durable = ledger.writer.durable();
    ledger.writer.append(Batch { records: records().to_vec(), blobs: Vec::new() }).expect("taken");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let last = records().len() as u64;
    let reached =
        runtime.block_on(durable.wait_for(|durable| durable.seq == last || durable.failure.is_some()));
    assert!(reached.expect("the writer lives").failure.is_none());
    drop(ledger);
    let file = ledger::file_in(dir);
    // What is still beside the file goes into it, and the image stands alone.
    let connection = rusqlite::Connection::open(&file).expect("a ledger");
    connection.pragma_update(None, "journal_mode", "DELETE").expect("one file");
    file
}
