//! Log offsets (I10): whatever arrives twice, late, out of order or with a hole, the log is the run's own
//! bytes without gap and without duplicate; over restarts, and after it was put away compressed.

use crate::bytes::Bytes;
use bytes::Bytes as Piece;
use std::path::Path;
use windlass_coordinator::logs::{Error, Logs};
use windlass_shared::attempt::AttemptKey;
use windlass_shared::id::{AttemptId, FencingNumber, Incarnation, IterationNumber};

/// Steps of one history.
const STEPS_MAX: usize = 64;

thread_local! {
    static RUNTIME: tokio::runtime::Runtime =
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
}

/// The input is a history of appends, reads, restarts and a seal.
pub(crate) fn check(data: &[u8]) {
    let dir = tempfile::tempdir().expect("a folder");
    RUNTIME.with(|runtime| runtime.block_on(history(Bytes::new(data), dir.path())));
}

/// What the log must be.
struct Model {
    length: u64,
    is_sealed: bool,
}

/// What the run printed at an offset: the same however often it is sent.
fn byte_at(offset: u64) -> u8 {
    match offset % 7 {
        3 => b'\n',
        rest => b'a' + (rest as u8) + (offset / 7 % 13) as u8,
    }
}

fn text(from: u64, length: u64) -> Vec<u8> {
    (from..from + length).map(byte_at).collect()
}

async fn history(mut input: Bytes<'_>, folder: &Path) {
    let id = AttemptId { campaign: "fuzz-1".into(), iteration: IterationNumber(1), number: 1 };
    let key = AttemptKey { id, fence: FencingNumber { incarnation: Incarnation(1), n: 1 } };
    let mut logs = Logs::new(folder.join("logs"));
    let mut model = Model { length: 0, is_sealed: false };
    for _ in 0..STEPS_MAX {
        if input.is_empty() {
            break;
        }
        match input.byte() % 8 {
            0..=3 => append(&mut input, &logs, &key, &mut model).await,
            4 => read(&mut input, &logs, &key, &model).await,
            5 => tail(&mut input, &logs, &key, &model).await,
            6 => logs = Logs::new(folder.join("logs")),
            _ => seal(&mut input, &logs, &key, &mut model).await,
        }
    }
    let log = logs.readable(&key).await.expect("readable");
    let whole = match &log {
        Some(log) => log.read(0, usize::MAX).await.expect("whole").to_vec(),
        None => Vec::new(),
    };
    assert_eq!(whole, text(0, model.length), "no gap, no duplicate");
}

async fn append(input: &mut Bytes<'_>, logs: &Logs, key: &AttemptKey, model: &mut Model) {
    let offset = match input.byte() % 4 {
        0 => model.length,
        1 => model.length.saturating_sub(u64::from(input.byte())),
        2 => u64::from(input.short()),
        _ => u64::MAX - u64::from(input.byte()),
    };
    let lengths = [input.byte(), input.byte(), input.byte()].map(u64::from);
    let mut pieces = Vec::new();
    let mut at = offset;
    for length in lengths {
        // Near the end of all offsets there is nothing that a run could have printed.
        let bytes = if offset > 1 << 40 { vec![b'x'; length as usize] } else { text(at, length) };
        at = at.saturating_add(length);
        pieces.push(Piece::from(bytes));
    }
    let total: u64 = lengths.iter().sum();
    let log = logs.writable(key).await.expect("writable");
    let appended = log.append(key, offset, pieces).await;
    match appended {
        Ok(length) => {
            let end = offset.saturating_add(total).max(model.length);
            assert!(
                offset <= model.length && (length == end),
                "{length} after {offset}+{total} on {}",
                model.length
            );
            assert!(!model.is_sealed || length == model.length, "what is whole does not grow");
            model.length = length;
        }
        Err(Error::Gap { length_bytes, .. }) => {
            assert!(
                offset > model.length && length_bytes == model.length,
                "a gap at {offset} of {}",
                model.length
            );
        }
        Err(Error::Whole { length_bytes, .. }) => {
            assert!(
                model.is_sealed
                    && length_bytes == model.length
                    && offset.saturating_add(total) > model.length
            );
        }
        Err(other) => panic!("{other:?}"),
    }
    assert_eq!(*log.length().borrow(), model.length);
    assert_eq!(log.sync().await.expect("synced"), model.length);
}

async fn read(input: &mut Bytes<'_>, logs: &Logs, key: &AttemptKey, model: &Model) {
    let offset = if input.byte() % 8 == 7 { u64::MAX } else { u64::from(input.short()) };
    let limit = usize::from(input.short());
    let Some(log) = logs.readable(key).await.expect("readable") else { return };
    let found = log.read(offset, limit).await.expect("a read past the end is empty");
    let want = (model.length.saturating_sub(offset)).min(limit as u64);
    assert_eq!(found, text(offset.min(model.length), want));
}

async fn tail(input: &mut Bytes<'_>, logs: &Logs, key: &AttemptKey, model: &Model) {
    let lines = u32::from(input.byte()) + 1;
    let Some(log) = logs.readable(key).await.expect("readable") else { return };
    let found = log.tail_offset(lines).await.expect("found");
    let begins = (0..model.length.saturating_sub(1)).filter(|&at| byte_at(at) == b'\n').map(|at| at + 1);
    let want = begins.rev().nth(lines as usize - 1).unwrap_or(0);
    assert_eq!(found, want, "{lines} lines of {}", model.length);
}

async fn seal(input: &mut Bytes<'_>, logs: &Logs, key: &AttemptKey, model: &mut Model) {
    let whole = if input.byte().is_multiple_of(4) { u64::from(input.byte()) } else { model.length };
    let goes_on = !input.byte().is_multiple_of(8);
    let there = logs.readable(key).await.expect("readable").is_some();
    match logs.seal(key, whole, move || goes_on).await {
        Ok(sealed) => {
            assert!(!sealed || (whole == model.length && !model.is_sealed && there));
            model.is_sealed |= sealed;
        }
        Err(error) => assert!(!goes_on, "{error:?}"),
    }
}
