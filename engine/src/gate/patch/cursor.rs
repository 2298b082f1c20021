//! Where the reader of a patch stands.

use super::names::plain_name;
use crate::gate::text;

/// The lines of a patch, passed one by one.
pub(super) struct Cursor<'a> {
    lines: Vec<&'a [u8]>,
    /// The index of the line that comes next.
    pub next: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { lines: text::lines(bytes), next: 0 }
    }

    pub(super) fn peek(&self) -> Option<&'a [u8]> {
        self.lines.get(self.next).copied()
    }

    /// The number of the line that is peeked at.
    pub(super) fn number(&self) -> Option<u64> {
        Some(self.next as u64 + 1)
    }

    /// The rest of a header line that begins with `prefix`, which is then passed.
    pub(super) fn header(&mut self, prefix: &str) -> Option<&'a [u8]> {
        let rest = self.peek()?.strip_prefix(prefix.as_bytes())?;
        self.next += 1;
        let rest = rest.strip_suffix(b"\n").unwrap_or(rest);
        Some(rest.strip_suffix(b"\r").unwrap_or(rest))
    }

    pub(super) fn at_plain_header(&self) -> bool {
        let starts = |at: usize, with: &[u8]| self.lines.get(at).is_some_and(|line| line.starts_with(with));
        starts(self.next, b"--- ") && starts(self.next + 1, b"+++ ")
    }

    /// The names after `---` and `+++`; a `/dev/null` is none.
    pub(super) fn plain_names(&mut self) -> Option<[Option<Vec<u8>>; 2]> {
        if !self.at_plain_header() {
            return None;
        }
        Some([plain_name(self.header("--- ")?), plain_name(self.header("+++ ")?)])
    }
}
