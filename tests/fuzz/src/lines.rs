//! The line splitter: whatever the pieces, the lines are those of the whole, each cut to its bound.

use crate::bytes::Bytes;
use windlass_engine::metric::lines::{LINE_MAX_BYTES, Splitter};

/// A line as it was handed on.
type Seen = (u64, Vec<u8>, bool);

/// The first bytes say how long pieces are; the rest is the log. A byte of 0xff in the log stands for 4,090
/// blanks, so that short inputs reach the bound of a line.
pub(crate) fn check(data: &[u8]) {
    let mut input = Bytes::new(data);
    let sizes: Vec<usize> = (0..4).map(|_| usize::from(input.short()) % 5000 + 1).collect();
    let log = stretched(input.rest());
    let mut splitter = Splitter::default();
    let mut seen: Vec<Seen> = Vec::new();
    let mut rest = log.as_slice();
    for size in sizes.iter().cycle() {
        let (piece, after) = rest.split_at((*size).min(rest.len()));
        splitter.push(piece, |line| seen.push((line.number, line.bytes.to_vec(), line.whole)));
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    let count = splitter.finish(|line| seen.push((line.number, line.bytes.to_vec(), line.whole)));
    assert_eq!(seen, expected(&log));
    assert_eq!(count, seen.len() as u64);
}

/// Short inputs for long lines.
pub(crate) fn stretched(data: &[u8]) -> Vec<u8> {
    let mut log = Vec::new();
    for &byte in data {
        match byte {
            0xff => log.extend([b' '; 4090]),
            byte => log.push(byte),
        }
    }
    log
}

/// The same by the plainest means.
fn expected(log: &[u8]) -> Vec<Seen> {
    let mut lines: Vec<&[u8]> = log.split(|&byte| byte == b'\n').collect();
    if lines.last().is_some_and(|last| last.is_empty()) {
        lines.pop();
    }
    let line = |(number, line): (u64, &&[u8])| {
        let kept = &line[..line.len().min(LINE_MAX_BYTES)];
        (number, kept.to_vec(), line.len() <= LINE_MAX_BYTES)
    };
    (1..).zip(&lines).map(line).collect()
}
