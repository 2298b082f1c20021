//! The writer of unified diffs, in git's form.

use crate::gate::contents::{self, Contents};
use crate::gate::guard::changed_paths;
use crate::gate::text;
use similar::{DiffOp, DiffTag};
use windlass_shared::tree::{Manifest, Node};

/// Lines shown around a change.
const CONTEXT_LINES: usize = 3;

/// The change as people read it. Bytes that are not UTF-8 are marked as such; where the diff is to be
/// applied again, take [`unified_bytes`].
///
/// # Panics
/// When `contents` lacks a blob that [`blobs_needed`](super::blobs_needed) names.
pub fn unified(base: &Manifest, changed: &Manifest, contents: &Contents) -> String {
    String::from_utf8_lossy(&unified_bytes(base, changed, contents)).into_owned()
}

/// The change as a unified diff with `a/` and `b/` before the names, byte for byte. A binary file is only
/// said to differ.
///
/// # Panics
/// When `contents` lacks a blob that [`blobs_needed`](super::blobs_needed) names.
pub fn unified_bytes(base: &Manifest, changed: &Manifest, contents: &Contents) -> Vec<u8> {
    let mut out = Vec::new();
    for path in changed_paths(base, changed) {
        let [old, new] = [base, changed].map(|tree| tree.entries.get(&path));
        let is_link = |node: &Node| matches!(node, Node::Link { .. });
        let name = path.as_str();
        // A file that becomes a link goes, and a link comes.
        if old.is_some() && new.is_some() && old.map(is_link) != new.map(is_link) {
            write_file(&mut out, name, [old, None], contents);
            write_file(&mut out, name, [None, new], contents);
        } else {
            write_file(&mut out, name, [old, new], contents);
        }
    }
    out
}

fn write_file(out: &mut Vec<u8>, name: &str, nodes: [Option<&Node>; 2], contents: &Contents) {
    let sides = nodes.map(|node| contents::of_node(contents, node));
    let [old_name, new_name] = ["a/", "b/"].map(|prefix| quoted(&format!("{prefix}{name}")));
    let mut line = |text: String| {
        out.extend(text.into_bytes());
        out.push(b'\n');
    };
    line(format!("diff --git {old_name} {new_name}"));
    match nodes.map(|node| node.map(mode)) {
        [None, Some(new)] => line(format!("new file mode {new}")),
        [Some(old), None] => line(format!("deleted file mode {old}")),
        [Some(old), Some(new)] if old != new => {
            line(format!("old mode {old}"));
            line(format!("new mode {new}"));
        }
        _ => {}
    }
    if sides[0] == sides[1] {
        return;
    }
    // A tab ends a name with blanks in it, as git has it.
    let end = if name.contains(' ') { "\t" } else { "" };
    let old_name = nodes[0].map_or("/dev/null".to_owned(), |_| format!("{old_name}{end}"));
    let new_name = nodes[1].map_or("/dev/null".to_owned(), |_| format!("{new_name}{end}"));
    if sides.into_iter().any(text::is_binary) {
        line(format!("Binary files {old_name} and {new_name} differ"));
        return;
    }
    line(format!("--- {old_name}"));
    line(format!("+++ {new_name}"));
    let [old, new] = sides.map(text::lines);
    for group in similar::group_diff_ops(text::edits(&old, &new), CONTEXT_LINES) {
        write_hunk(out, &group, &old, &new);
    }
}

fn write_hunk(out: &mut Vec<u8>, group: &[DiffOp], old: &[&[u8]], new: &[&[u8]]) {
    let (Some(first), Some(last)) = (group.first(), group.last()) else { return };
    let old_range = range(first.old_range().start, last.old_range().end);
    let new_range = range(first.new_range().start, last.new_range().end);
    out.extend(format!("@@ -{old_range} +{new_range} @@\n").into_bytes());
    let mut lines = |sign: u8, lines: &[&[u8]]| {
        for line in lines {
            out.push(sign);
            out.extend(*line);
            if !line.ends_with(b"\n") {
                out.extend(b"\n\\ No newline at end of file\n");
            }
        }
    };
    for edit in group {
        if edit.tag() == DiffTag::Equal {
            lines(b' ', &old[edit.old_range()]);
        } else {
            lines(b'-', &old[edit.old_range()]);
            lines(b'+', &new[edit.new_range()]);
        }
    }
}

/// `start,count` with lines from 1; where there are none, the line before.
fn range(start: usize, end: usize) -> String {
    match end - start {
        0 => format!("{start},0"),
        1 => format!("{}", start + 1),
        count => format!("{},{count}", start + 1),
    }
}

fn mode(node: &Node) -> &'static str {
    match node {
        Node::File { executable: false, .. } => "100644",
        Node::File { executable: true, .. } => "100755",
        Node::Link { .. } => "120000",
    }
}

/// A tree's path has no control character and no backslash, so only quotes need quoting.
fn quoted(name: &str) -> String {
    if name.contains('"') { format!("\"{}\"", name.replace('"', "\\\"")) } else { name.to_owned() }
}
