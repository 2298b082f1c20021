//! Lines of a log that a regular expression matches: in linear time and bounded memory, as the log comes.

use windlass_engine::gate::anchor;
use windlass_engine::metric::lines::{Line, Splitter};

/// Lines that one search finds; a reader who wants more wants another pattern.
const FOUND_MAX: u64 = 100_000;

/// One line that matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// From 1.
    pub line: u64,
    /// Its first 4 KiB, without the break; of a line that was drawn again, the last drawing that matches.
    pub text: Vec<u8>,
}

/// A search on its way through a log.
#[derive(Debug)]
pub struct Search {
    pattern: anchor::Pattern,
    splitter: Splitter,
    left: u64,
}

impl Search {
    /// A search for `pattern`; the error is a sentence.
    pub fn new(pattern: &str) -> Result<Self, String> {
        Ok(Self { pattern: anchor::compile(pattern)?, splitter: Splitter::default(), left: FOUND_MAX })
    }

    /// Takes the next bytes; what they complete and matches.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Found> {
        let (mut found, Self { pattern, splitter, left }) = (Vec::new(), self);
        splitter.push(bytes, |line| found.extend(matching(pattern, left, line)));
        found
    }

    /// The last line, if it has no break and matches.
    pub fn finish(&mut self) -> Vec<Found> {
        let mut found = Vec::new();
        let splitter = std::mem::take(&mut self.splitter);
        splitter.finish(|line| found.extend(matching(&self.pattern, &mut self.left, line)));
        found
    }

    /// Whether it has found all that it may.
    pub fn is_full(&self) -> bool {
        self.left == 0
    }
}

/// `\r` redraws a line: each drawing is a line for its reader.
fn matching(pattern: &anchor::Pattern, left: &mut u64, line: Line<'_>) -> Option<Found> {
    if *left == 0 {
        return None;
    }
    let drawings = line.bytes.rsplit(|&byte| byte == b'\r');
    let text = drawings.into_iter().find(|drawing| pattern.is_match(drawing))?;
    *left -= 1;
    Some(Found { line: line.number, text: text.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_with_their_numbers_wherever_the_pieces_end() {
        let log = b"epoch 1\nloss: 0.5\n 1%\r50% loss\r99%\r\nepoch 2\nloss: \xff0.4";
        for size in [1, 3, 1000] {
            let mut search = Search::new("loss").expect("a pattern");
            let mut found: Vec<Found> = log.chunks(size).flat_map(|piece| search.push(piece)).collect();
            found.extend(search.finish());
            let found: Vec<_> = found.iter().map(|it| (it.line, it.text.as_slice())).collect();
            assert_eq!(found, [(2, &b"loss: 0.5"[..]), (3, b"50% loss"), (5, b"loss: \xff0.4")]);
        }
        let empty = Search::new("").expect_err("no pattern");
        assert!(empty.contains("empty"), "{empty}");
        Search::new("(").expect_err("no pattern");
    }

    #[test]
    fn i18_a_search_is_bounded_in_lines_and_in_their_length() {
        let mut search = Search::new("x").expect("a pattern");
        let long = search.push(&[b'x'; 10_000_000]);
        assert!(long.is_empty());
        assert_eq!(search.push(b"\n")[0].text.len(), 4096);
        let many = search.push(&b"x\n".repeat(120_000));
        assert_eq!(many.len() as u64 + 1, FOUND_MAX);
        assert!(search.is_full() && search.push(b"x\n").is_empty());
    }
}
