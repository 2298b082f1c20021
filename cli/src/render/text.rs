//! Text from elsewhere, made safe for a terminal and for an agent (RELIABILITY, "Access").

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// One line: control characters out, line breaks and tabs as blanks.
pub fn neutral(text: &str) -> String {
    text.chars()
        .filter_map(|c| match c {
            '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => Some(' '),
            c if is_dangerous(c) => None,
            c => Some(c),
        })
        .collect()
}

/// Several lines: the breaks stay.
pub fn neutral_block(text: &str) -> String {
    text.chars().filter(|c| matches!(c, '\n' | '\t') || !is_dangerous(*c)).collect()
}

/// A JSON document with everything escaped that a terminal could take for a command. JSON itself escapes
/// only what lies below a blank.
pub fn json_safe(text: String) -> String {
    if !text.contains(is_dangerous) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        // All of them have four hex digits, and occur inside strings alone.
        if is_dangerous(c) { out.push_str(&format!("\\u{:04x}", u32::from(c))) } else { out.push(c) }
    }
    out
}

/// Whether bytes are text that a person can read: UTF-8 without a NUL.
pub fn is_text(bytes: &[u8]) -> bool {
    !bytes.contains(&0) && std::str::from_utf8(bytes).is_ok()
}

/// At most `width` columns, the cut marked. Escape sequences of our own take no room and all stay, so that
/// a style which was begun is ended.
pub fn cut(text: &str, width: usize) -> String {
    if visible_width(text) <= width {
        return text.to_owned();
    }
    let mut short = String::new();
    let mut left = width.saturating_sub(1);
    let mut is_open = width > 0;
    let mut is_escape = false;
    for c in text.chars() {
        is_escape |= c == '\x1b';
        if is_escape {
            short.push(c);
            is_escape = c != 'm';
            continue;
        }
        let columns = c.width().unwrap_or(0);
        if is_open && columns <= left {
            left -= columns;
            short.push(c);
        } else if is_open {
            is_open = false;
            short.push('…');
        }
    }
    short
}

/// Columns that a text takes; escape sequences of our own take none.
pub fn visible_width(text: &str) -> usize {
    if text.contains('\x1b') { anstream::adapter::strip_str(text).to_string().width() } else { text.width() }
}

/// A text on lines of `first` columns, then of `rest`: broken between words; a word that is longer than a
/// line is cut, and marked so. At least one line.
pub fn wrap(text: &str, first: usize, rest: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut line, mut used, mut limit) = (String::new(), 0, first.max(1));
    let mut blanks = 0;
    for word in text.trim().split(' ') {
        blanks += 1;
        if word.is_empty() {
            continue;
        }
        let columns = visible_width(word);
        let gap = std::mem::take(&mut blanks);
        if used > 0 && used + gap + columns > limit {
            lines.push(std::mem::take(&mut line));
            (used, limit) = (0, rest.max(1));
        }
        if used > 0 {
            line.push_str(&" ".repeat(gap));
            used += gap;
        }
        line.push_str(&cut(word, limit));
        used += columns.min(limit);
    }
    lines.push(line);
    lines
}

/// Lines that are too long for a terminal, broken between words; the others as they are.
pub fn fit(text: &str, width: Option<u16>) -> String {
    let Some(width) = width.map(usize::from) else { return text.to_owned() };
    let whole = |line: &str| match visible_width(line) <= width {
        true => line.to_owned(),
        false => wrap(line, width, width).join("\n"),
    };
    text.split('\n').map(whole).collect::<Vec<_>>().join("\n")
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

/// Characters that nobody sees and a language model reads: tags, and the marks that select how another is
/// drawn.
pub fn is_invisible(c: char) -> bool {
    matches!(c, '\u{e0000}'..='\u{e007f}' | '\u{e0100}'..='\u{e01ef}' | '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

/// Control characters, and the marks that turn the direction of text around.
fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_of_a_run_reach_no_terminal() {
        assert_eq!(neutral("a\x1b[2Jb\r\nc\u{202e}d"), "a[2Jb  cd");
        assert_eq!(neutral_block("a\nb\x07"), "a\nb");
        let mut log = LogText::default();
        assert_eq!(log.push(b"50%\r100%\r\nx\x1b[31m\xff"), "50%\n100%\nx␛[31m\u{fffd}");
    }

    #[test]
    fn a_cut_is_marked_counts_columns_and_ends_what_it_began() {
        for (text, width, want) in [
            ("abcdef", 6, "abcdef"),
            ("abcdef", 4, "abc…"),
            ("abcdef", 0, ""),
            ("日本語日本語", 6, "日本…"),
            ("日本語日本語", 5, "日本…"),
            ("\x1b[32mgreen\x1b[0m", 3, "\x1b[32mgr…\x1b[0m"),
        ] {
            assert_eq!(cut(text, width), want, "{text:?} {width}");
            assert!(visible_width(&cut(text, width)) <= width, "{text:?} {width}");
        }
    }

    #[test]
    fn lines_break_between_words_and_long_words_are_cut() {
        for (text, first, rest, want) in [
            ("", 5, 5, &[""][..]),
            ("one two three", 7, 5, &["one two", "three"]),
            ("a  b", 80, 80, &["a  b"]),
            ("aaa   b", 4, 4, &["aaa", "b"]),
            ("see /a/very/long/path.py there", 10, 8, &["see", "/a/very…", "there"]),
            ("\x1b[1mone two\x1b[0m", 3, 3, &["\x1b[1mone", "two\x1b[0m"]),
        ] {
            assert_eq!(wrap(text, first, rest), want, "{text:?}");
        }
    }

    #[test]
    fn a_json_document_says_the_same_without_a_control_byte() {
        let value = serde_json::json!({"title": "a\u{9b}31m\u{7f}\u{202e}b\u{1b}"});
        let text = json_safe(value.to_string());
        assert_eq!(text, r#"{"title":"a\u009b31m\u007f\u202eb\u001b"}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).expect("JSON"), value);
    }

    #[test]
    fn talk_is_broken_between_words_where_there_is_a_terminal() {
        assert_eq!(fit("one two\n  ^ three", Some(9)), "one two\n  ^ three");
        assert_eq!(fit("one two\n  ^", Some(5)), "one\ntwo\n  ^");
        assert_eq!(fit("one two", None), "one two");
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
