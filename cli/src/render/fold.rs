//! A log for display: of a line that `\r` draws again and again only the last state is shown, and what could
//! act on a terminal is neutralised.

use super::text::LogText;

/// A line that is longer is shown before its end is known.
const LINE_MAX_BYTES: usize = 64 << 10;

/// How a log is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// From beginning to end, as fast as it comes.
    Whole,
    /// As it grows, into a file or a pipe: a line that is not over yet is shown so far.
    Growing,
    /// As it grows, on a terminal: a line that is drawn again is drawn again there.
    Terminal,
}

/// Folds one log.
#[derive(Debug)]
pub struct Fold {
    look: Look,
    text: LogText,
    /// The line as drawn last, as far as it is not shown.
    line: Vec<u8>,
    /// A `\r` came: what comes next draws the line again, unless the line ends.
    returned: bool,
    /// A part of the present line is shown.
    shown: bool,
}

impl Fold {
    /// For one log.
    pub fn new(look: Look) -> Self {
        Self { look, text: LogText::default(), line: Vec::new(), returned: false, shown: false }
    }

    /// Takes the next bytes, answers what can be shown.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        let mut out = String::new();
        for part in bytes.split_inclusive(|&byte| byte == b'\n' || byte == b'\r') {
            let (body, end) = match part.split_last() {
                Some((&end @ (b'\n' | b'\r'), body)) => (body, Some(end)),
                _ => (part, None),
            };
            if !body.is_empty() {
                self.draw(body, &mut out);
            }
            match end {
                Some(b'\n') => {
                    self.line.push(b'\n');
                    self.show(&mut out);
                    (self.returned, self.shown) = (false, false);
                }
                Some(_) => self.returned = true,
                None => {}
            }
        }
        if self.look != Look::Whole {
            self.show(&mut out);
        }
        out
    }

    /// What is left at the end.
    pub fn finish(&mut self) -> String {
        let mut out = String::new();
        self.show(&mut out);
        out.push_str(&self.text.finish());
        out
    }

    fn draw(&mut self, body: &[u8], out: &mut String) {
        if std::mem::take(&mut self.returned) {
            self.line.clear();
            if std::mem::take(&mut self.shown) {
                out.push_str(&self.text.finish());
                out.push_str(if self.look == Look::Terminal { "\r\x1b[K" } else { "\n" });
            }
        }
        self.line.extend_from_slice(body);
        if self.line.len() > LINE_MAX_BYTES {
            self.show(out);
        }
    }

    fn show(&mut self, out: &mut String) {
        self.shown |= !self.line.is_empty();
        out.push_str(&self.text.push(&self.line));
        self.line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows `pieces` one after the other.
    #[track_caller]
    fn check(look: Look, pieces: &[&str], want: &str) {
        let mut fold = Fold::new(look);
        let mut shown: String = pieces.iter().map(|piece| fold.push(piece.as_bytes())).collect();
        shown.push_str(&fold.finish());
        assert_eq!(shown, want, "{look:?} {pieces:?}");
    }

    #[test]
    fn a_progress_bar_is_its_last_state() {
        let bar = ["start\n 10%\r 50%", "\r100%\r", "\ndone\n", "\r1%\r2%"];
        check(Look::Whole, &bar, "start\n100%\ndone\n2%");
        check(Look::Growing, &bar, "start\n 50%\n100%\ndone\n2%");
        check(Look::Terminal, &bar, "start\n 50%\r\x1b[K100%\ndone\n2%");
        for look in [Look::Whole, Look::Growing, Look::Terminal] {
            check(look, &["a\r\nb\r\n\r\n", "c"], "a\nb\n\nc");
            check(look, &["a", "b", "c\n"], "abc\n");
            check(look, &["x\x1b[2Jy\r\x1b[1Az\n"], "␛[1Az\n");
            check(look, &[""], "");
        }
    }

    #[test]
    fn i18_a_line_of_millions_is_shown_as_it_comes() {
        let mut fold = Fold::new(Look::Whole);
        let piece = "x".repeat(100_000);
        let shown: usize = (0..100).map(|_| fold.push(piece.as_bytes()).len()).sum();
        assert!(fold.line.len() <= LINE_MAX_BYTES);
        assert_eq!(shown + fold.finish().len(), 10_000_000);
    }
}
