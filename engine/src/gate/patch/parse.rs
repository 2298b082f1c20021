//! The reader of patches: headers first, hunks after. It looks at no tree.

use super::names::{Header, pair_of_headers, plain_name, unquoted};
use super::{FilePatch, Hunk, Mode, Operation, refuse};
use crate::gate::text;
use windlass_shared::path::TreePath;
use windlass_shared::refusal::Refusal;

/// What a refusal names while no file is known.
const THE_PATCH: &str = "the tree";

pub(super) fn parse(bytes: &[u8]) -> Result<Vec<FilePatch>, Refusal> {
    let mut cursor = Cursor { lines: text::lines(bytes), next: 0 };
    let mut files = Vec::new();
    while let Some(line) = cursor.peek() {
        if line.starts_with(b"diff --git ") {
            files.push(git_file(&mut cursor)?);
        } else if cursor.at_plain_header() {
            files.push(plain_file(&mut cursor)?);
        } else if line.starts_with(b"@@ -") {
            return Err(refuse(THE_PATCH, cursor.number(), "a hunk stands there before any `---` and `+++`"));
        } else if line.starts_with(b"diff --cc ") || line.starts_with(b"diff --combined ") {
            return Err(refuse(THE_PATCH, cursor.number(), "a combined diff of a merge is no patch"));
        } else if is_binary(line) {
            return Err(refuse_binary(THE_PATCH, &cursor));
        } else {
            cursor.next += 1;
        }
    }
    if files.is_empty() {
        return Err(refuse(THE_PATCH, None, "there is no diff in it"));
    }
    Ok(files)
}

struct Cursor<'a> {
    lines: Vec<&'a [u8]>,
    next: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<&'a [u8]> {
        self.lines.get(self.next).copied()
    }

    /// The number of the line that is peeked at.
    fn number(&self) -> Option<u64> {
        Some(self.next as u64 + 1)
    }

    /// The rest of a header line that begins with `prefix`, which is then passed.
    fn header(&mut self, prefix: &str) -> Option<&'a [u8]> {
        let rest = self.peek()?.strip_prefix(prefix.as_bytes())?;
        self.next += 1;
        let rest = rest.strip_suffix(b"\n").unwrap_or(rest);
        Some(rest.strip_suffix(b"\r").unwrap_or(rest))
    }

    fn at_plain_header(&self) -> bool {
        let starts = |at: usize, with: &[u8]| self.lines.get(at).is_some_and(|line| line.starts_with(with));
        starts(self.next, b"--- ") && starts(self.next + 1, b"+++ ")
    }

    /// The names after `---` and `+++`; a `/dev/null` is none.
    fn plain_names(&mut self) -> Option<[Option<Vec<u8>>; 2]> {
        if !self.at_plain_header() {
            return None;
        }
        Some([plain_name(self.header("--- ")?), plain_name(self.header("+++ ")?)])
    }
}

/// A file under a `diff --git` header.
fn git_file(cursor: &mut Cursor<'_>) -> Result<FilePatch, Refusal> {
    let start = cursor.number();
    let header = Header::read(cursor.header("diff --git ").unwrap_or_default());
    let name = header.name.as_ref().map_or(THE_PATCH.into(), |name| String::from_utf8_lossy(name));
    let (mut mode, mut created, mut deleted) = (None, false, false);
    let (mut from, mut to, mut is_copy) = (None, None, false);
    while let Some(line) = cursor.peek() {
        let at = cursor.number();
        if let Some(text) = cursor.header("new file mode ") {
            (mode, created) = (Some(read_mode(text, &name, at)?), true);
        } else if let Some(text) = cursor.header("new mode ") {
            mode = Some(read_mode(text, &name, at)?);
        } else if cursor.header("deleted file mode ").is_some() {
            deleted = true;
        } else if let Some(text) = cursor.header("rename from ") {
            from = Some(unquoted(text));
        } else if let Some(text) = cursor.header("rename to ") {
            to = Some(unquoted(text));
        } else if let Some(text) = cursor.header("copy from ") {
            (from, is_copy) = (Some(unquoted(text)), true);
        } else if let Some(text) = cursor.header("copy to ") {
            to = Some(unquoted(text));
        } else if is_binary(line) {
            return Err(refuse_binary(&name, cursor));
        } else if ["old mode ", "index ", "similarity index ", "dissimilarity index "]
            .iter()
            .all(|prefix| cursor.header(prefix).is_none())
        {
            break;
        }
    }
    let plain = cursor.plain_names();
    let operation = if let (Some(from), Some(to)) = (from, to) {
        let (from, to) = (tree_path(&from, start)?, tree_path(&to, start)?);
        if is_copy { Operation::Copy { from, to } } else { Operation::Rename { from, to } }
    } else {
        let (created, deleted) = match &plain {
            Some([old, new]) => (created || old.is_none(), deleted || new.is_none()),
            None => (created, deleted),
        };
        let file = tree_path(&header.resolve(plain).map_err(|p| refuse(&name, start, p))?, start)?;
        match (created, deleted) {
            (true, false) => Operation::Create(file),
            (false, true) => Operation::Delete(file),
            (false, false) => Operation::Edit(file),
            (true, true) => return Err(refuse(&name, start, "it is both created and deleted")),
        }
    };
    finish(cursor, start, operation, mode)
}

/// A file under `---` and `+++` alone.
fn plain_file(cursor: &mut Cursor<'_>) -> Result<FilePatch, Refusal> {
    let start = cursor.number();
    let names = cursor.plain_names().unwrap_or_default();
    let (is_new, is_gone) = (names[0].is_none(), names[1].is_none());
    let file = tree_path(&pair_of_headers(names).map_err(|p| refuse(THE_PATCH, start, p))?, start)?;
    let operation = match (is_new, is_gone) {
        (true, _) => Operation::Create(file),
        (_, true) => Operation::Delete(file),
        _ => Operation::Edit(file),
    };
    finish(cursor, start, operation, None)
}

fn finish(
    cursor: &mut Cursor<'_>,
    start: Option<u64>,
    operation: Operation,
    mode: Option<Mode>,
) -> Result<FilePatch, Refusal> {
    let name = operation.name().to_string();
    let mut hunks = Vec::new();
    while cursor.peek().is_some_and(|line| line.starts_with(b"@@ -")) {
        hunks.push(hunk(cursor, &name)?);
    }
    if hunks.is_empty() {
        if cursor.peek().is_some_and(is_binary) {
            return Err(refuse_binary(&name, cursor));
        }
        if matches!(operation, Operation::Edit(_)) && mode.is_none() {
            return Err(refuse(&name, start, "its header has no hunk after it"));
        }
    }
    Ok(FilePatch { line: start.unwrap_or_default(), operation, mode, hunks })
}

fn hunk(cursor: &mut Cursor<'_>, name: &str) -> Result<Hunk, Refusal> {
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
                        side.last_mut().map(Vec::pop);
                    }
                }
            }
            _ if !is_open => break,
            // A context line that is empty may have lost its blank to an editor.
            Some(&sign @ (b' ' | b'-' | b'+' | b'\n')) => {
                let (takes_old, takes_new) = (sign != b'+', sign != b'-');
                if (takes_old && old_left == 0) || (takes_new && new_left == 0) {
                    return Err(refuse(
                        name,
                        cursor.number(),
                        "its hunk has more lines than its header counts",
                    ));
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
        return Err(refuse(name, cursor.number(), "its hunk has more lines than its header counts"));
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
    let text = str::from_utf8(&text[..text.len().min(200)].trim_ascii_end()).ok().or_else(|| {
        // What follows the second `@@` is a line of the file, in whatever encoding.
        let end = text.windows(3).position(|window| window == b" @@")?;
        str::from_utf8(&text[..end + 3]).ok()
    })?;
    let (ranges, _) = text.split_once(" @@")?;
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

fn is_binary(line: &[u8]) -> bool {
    line.starts_with(b"GIT binary patch")
        || (line.starts_with(b"Binary files ") && line.trim_ascii_end().ends_with(b" differ"))
}

fn refuse_binary(name: &str, cursor: &Cursor<'_>) -> Refusal {
    refuse(name, cursor.number(), "a binary change cannot be patched; send the whole file (`tree:`)")
}

fn read_mode(text: &[u8], name: &str, line: Option<u64>) -> Result<Mode, Refusal> {
    match text.trim_ascii() {
        b"100644" | b"100664" => Ok(Mode::Plain),
        b"100755" => Ok(Mode::Executable),
        b"120000" => Ok(Mode::Link),
        _ => Err(refuse(name, line, "its mode is neither that of a file nor that of a link")),
    }
}

fn tree_path(name: &[u8], line: Option<u64>) -> Result<TreePath, Refusal> {
    let text = str::from_utf8(name)
        .map_err(|_| refuse(&String::from_utf8_lossy(name), line, "its name is not UTF-8"))?;
    Ok(TreePath::parse(text)?)
}
