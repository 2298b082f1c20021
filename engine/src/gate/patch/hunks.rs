//! The reader of hunks.

use super::cursor::Cursor;
use super::{Hunk, refuse};
use crate::gate::text;
use windlass_shared::refusal::Refusal;

const MORE_LINES: &str = "its hunk has more lines than its header counts";

/// Reads the hunk whose header comes next: exactly the lines that it counts.
pub(super) fn hunk(cursor: &mut Cursor<'_>, name: &str) -> Result<Hunk, Refusal> {
    let start = cursor.number();
    let header = cursor.header("@@ -").unwrap_or_default();
    let Some((old_start, mut old_left, mut new_left)) = hunk_header(header) else {
        return Err(refuse(name, start, "its hunk header is malformed; one reads `@@ -1,3 +1,4 @@`"));
    };
    let (mut old, mut new): (Vec<Vec<u8>>, Vec<Vec<u8>>) = (Vec::new(), Vec::new());
    let mut last = b' ';
    loop {
        let is_open = old_left > 0 || new_left > 0;
        let line = cursor.peek();
        match line.and_then(|line| line.first()) {
            Some(b'\\') => {
                for (side, other) in [(&mut old, b'+'), (&mut new, b'-')] {
                    if last != other {
                        side.last_mut().and_then(|line| line.pop_if(|byte| *byte == b'\n'));
                    }
                }
            }
            _ if !is_open => break,
            // A context line that is empty may have lost its blank to an editor.
            Some(&sign @ (b' ' | b'-' | b'+' | b'\n')) => {
                let (takes_old, takes_new) = (sign != b'+', sign != b'-');
                if (takes_old && old_left == 0) || (takes_new && new_left == 0) {
                    return Err(refuse(name, cursor.number(), MORE_LINES));
                }
                let content = line.map(content).unwrap_or_default();
                if takes_old {
                    old.push(content.clone());
                    old_left -= 1;
                }
                if takes_new {
                    new.push(content);
                    new_left -= 1;
                }
                last = sign;
            }
            _ => {
                let problem = "its hunk is cut short: fewer lines than its header counts";
                return Err(refuse(name, cursor.number(), problem));
            }
        }
        cursor.next += 1;
    }
    if [&old, &new].iter().any(|side| side.iter().rev().skip(1).any(|line| !line.ends_with(b"\n"))) {
        return Err(refuse(name, start, "its hunk has lines after the end of the file"));
    }
    if is_excess(cursor) {
        return Err(refuse(name, cursor.number(), MORE_LINES));
    }
    Ok(Hunk { line: start.unwrap_or_default(), old_start, old, new })
}

/// Whether a hunk that has all its lines is followed by what looks like another one of them.
fn is_excess(cursor: &Cursor<'_>) -> bool {
    let line = cursor.peek().unwrap_or_default();
    let is_signature = line.trim_ascii_end() == b"--";
    matches!(line.first(), Some(b' ' | b'+' | b'-'))
        && !text::is_blank(line)
        && !is_signature
        && !cursor.at_plain_header()
}

/// What follows the sign, always with its newline: only a `\` line takes it away.
fn content(line: &[u8]) -> Vec<u8> {
    let mut content = if line == b"\n" { line.to_vec() } else { line[1..].to_vec() };
    if !content.ends_with(b"\n") {
        content.push(b'\n');
    }
    content
}

/// `1,3 +1,4 @@ …`: the old start and both counts.
fn hunk_header(text: &[u8]) -> Option<(u64, u64, u64)> {
    // What follows the second `@@` is a line of the file, in whatever encoding.
    let end = text.windows(3).position(|window| window == b" @@")?;
    let ranges = str::from_utf8(&text[..end]).ok()?;
    let (old, new) = ranges.split_once(" +")?;
    let range = |text: &str| -> Option<(u64, u64)> {
        let (start, count) = text.split_once(',').unwrap_or((text, "1"));
        let number = |text: &str| {
            text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u32>().ok().map(u64::from))?
        };
        Some((number(start)?, number(count)?))
    };
    let ((old_start, old_count), (_, new_count)) = (range(old)?, range(new)?);
    Some((old_start, old_count, new_count))
}
