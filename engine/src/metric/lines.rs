//! A stream of bytes, cut into lines at any boundary of its pieces, in bounded memory.

/// The longest line that is kept whole. A metric's text has at most 400 bytes and its name fits a
/// screen; what is longer than 4 KiB is a progress bar or a dump.
pub const LINE_MAX_BYTES: usize = 4096;

/// One line, without its newline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// From 1.
    pub number: u64,
    /// Its first [`LINE_MAX_BYTES`] bytes.
    pub bytes: &'a [u8],
    /// Whether that is all of it.
    pub whole: bool,
}

/// Cuts lines out of the pieces that it is given.
#[derive(Clone, Debug, Default)]
pub struct Splitter {
    begun: Vec<u8>,
    overlong: bool,
    ended: u64,
}

impl Splitter {
    /// Takes the next piece and hands on each line that it ends.
    pub fn push(&mut self, mut piece: &[u8], mut each: impl FnMut(Line<'_>)) {
        while let Some(end) = piece.iter().position(|&byte| byte == b'\n') {
            self.keep(&piece[..end]);
            self.end(&mut each);
            piece = &piece[end + 1..];
        }
        self.keep(piece);
    }

    /// Hands on the last line, if it lacks its newline, and says how many lines there were.
    pub fn finish(mut self, mut each: impl FnMut(Line<'_>)) -> u64 {
        if !self.begun.is_empty() {
            self.end(&mut each);
        }
        self.ended
    }

    /// Lines that have ended so far.
    pub fn lines(&self) -> u64 {
        self.ended
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = LINE_MAX_BYTES - self.begun.len();
        self.overlong |= bytes.len() > room;
        self.begun.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn end(&mut self, each: &mut impl FnMut(Line<'_>)) {
        self.ended += 1;
        each(Line { number: self.ended, bytes: &self.begun, whole: !self.overlong });
        self.begun.clear();
        self.overlong = false;
    }
}
