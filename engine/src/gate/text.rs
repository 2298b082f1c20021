//! Bytes as lines, and the difference of two sequences of lines. Never decodes: a line is bytes.

use similar::{Algorithm, DiffOp};

/// The lines of `bytes`, each with its newline; the last one may lack it.
pub(super) fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split_inclusive(|&byte| byte == b'\n').collect()
}

/// Whether git would call it binary: a NUL among its first 8000 bytes.
pub(super) fn is_binary(bytes: &[u8]) -> bool {
    bytes.iter().take(8000).any(|&byte| byte == 0)
}

/// Whether a line holds nothing but blanks.
pub(super) fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

/// The edits that lead from `old` to `new`, equal stretches included. The same input gives the same
/// edits on every machine: no deadline, no hash order.
pub(super) fn edits(old: &[&[u8]], new: &[&[u8]]) -> Vec<DiffOp> {
    similar::capture_diff_slices(Algorithm::Myers, old, new)
}
