//! The reader of patches: headers first, hunks after. It looks at no tree.

use super::cursor::Cursor;
use super::hunks::hunk;
use super::names::{Header, pair_of_headers, unquoted};
use super::{FILES_MAX, FilePatch, Mode, Operation, refuse};
use windlass_shared::path::TreePath;
use windlass_shared::refusal::Refusal;

/// What a refusal names while no file is known.
const THE_PATCH: &str = "the tree";

pub(super) fn parse(bytes: &[u8]) -> Result<Vec<FilePatch>, Refusal> {
    let mut cursor = Cursor::new(bytes);
    let mut files = Vec::new();
    while let Some(line) = cursor.peek() {
        if files.len() > FILES_MAX {
            let (figure, limit) = (files.len() as u64, FILES_MAX as u64);
            return Err(Refusal::TooMuch {
                what: "the number of files in a patch".to_owned(),
                figure,
                limit,
            });
        }
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
