//! Text from elsewhere, made safe for a terminal and for an agent (RELIABILITY, "Access").

/// One line: control characters out, line breaks and tabs as blanks.
pub fn neutral(text: &str) -> String {
    text.chars()
        .filter_map(|c| match c {
            '\n' | '\r' | '\t' => Some(' '),
            c if is_dangerous(c) => None,
            c => Some(c),
        })
        .collect()
}

/// Several lines: the breaks stay.
pub fn neutral_block(text: &str) -> String {
    text.chars().filter(|c| matches!(c, '\n' | '\t') || !is_dangerous(*c)).collect()
}

/// At most `width` columns, the cut marked.
pub fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// Columns that a text takes; escape sequences of our own take none.
pub fn visible_width(text: &str) -> usize {
    anstream::adapter::strip_str(text).to_string().chars().count()
}

/// A stretch of a log for display: `\r` counts as a line break, other control characters are shown as
/// their pictures, bytes that are no text as a replacement character.
#[derive(Debug, Default)]
pub struct LogText {
    pending: Vec<u8>,
    after_return: bool,
}

impl LogText {
    /// Takes bytes in, answers what can be shown; a character cut in two waits for its rest.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.pending.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&self.pending) {
            Ok(_) => self.pending.len(),
            Err(problem) if problem.error_len().is_none() => problem.valid_up_to(),
            Err(_) => {
                // Hold back an unfinished character at the very end only.
                let tail = self.pending.len().saturating_sub(3);
                let starts = (tail..self.pending.len()).rev().find(|&i| self.pending[i] >= 0xc0);
                starts
                    .filter(|&i| {
                        std::str::from_utf8(&self.pending[i..]).is_err_and(|e| e.error_len().is_none())
                    })
                    .unwrap_or(self.pending.len())
            }
        };
        let rest = self.pending.split_off(whole);
        let text = String::from_utf8_lossy(&self.pending).into_owned();
        self.pending = rest;
        self.show(&text)
    }

    /// What is left at the end.
    pub fn finish(&mut self) -> String {
        let text = String::from_utf8_lossy(&std::mem::take(&mut self.pending)).into_owned();
        self.show(&text)
    }

    fn show(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            let doubled = self.after_return && c == '\n';
            self.after_return = c == '\r';
            match c {
                '\n' if doubled => {}
                '\n' | '\r' => out.push('\n'),
                '\t' => out.push('\t'),
                '\u{7f}' => out.push('␡'),
                c if c < ' ' => out.push(char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}')),
                c if is_dangerous(c) => out.push('\u{fffd}'),
                c => out.push(c),
            }
        }
        out
    }
}

/// Control characters, and the marks that turn the direction of text around.
fn is_dangerous(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_of_a_run_reach_no_terminal() {
        assert_eq!(neutral("a\x1b[2Jb\r\nc\u{202e}d"), "a[2Jb  cd");
        assert_eq!(neutral_block("a\nb\x07"), "a\nb");
        assert_eq!(cut("abcdef", 4), "abc…");
        let mut log = LogText::default();
        assert_eq!(log.push(b"50%\r100%\r\nx\x1b[31m\xff"), "50%\n100%\nx␛[31m\u{fffd}");
    }

    #[test]
    fn a_character_cut_in_two_is_shown_whole() {
        let mut log = LogText::default();
        let bytes = "é…x".as_bytes();
        let mut shown = String::new();
        for byte in bytes {
            shown.push_str(&log.push(&[*byte]));
        }
        shown.push_str(&log.finish());
        assert_eq!(shown, "é…x");
        assert_eq!(log.push(b"\xff\xe2\x80"), "\u{fffd}");
        assert_eq!(log.push(b"\xa6"), "…");
    }
}
