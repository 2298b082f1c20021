//! What a change amounts to: net lines (P26), a fingerprint that ignores where it stands (P10), and a
//! diff that people read and [`Patch`](crate::gate::patch::Patch) applies again.

mod unified;

pub use unified::{unified, unified_bytes};

use crate::gate::contents::{self, Contents};
use crate::gate::editable::Editable;
use crate::gate::guard::changed_paths;
use crate::gate::text;
use similar::DiffTag;
use std::collections::BTreeSet;
use windlass_shared::digest::{Digest, Hash};
use windlass_shared::tree::{Manifest, Node};

/// The blobs that the functions of this module read: both sides of every file whose content changed.
pub fn blobs_needed(base: &Manifest, changed: &Manifest) -> Vec<Digest> {
    let mut digests = BTreeSet::new();
    for path in changed_paths(base, changed) {
        let sides = [base, changed].map(|tree| tree.entries.get(&path));
        digests.extend(sides.into_iter().flatten().filter_map(|node| match node {
            Node::File { digest, .. } => Some(*digest),
            Node::Link { .. } => None,
        }));
    }
    digests.into_iter().collect()
}

/// Lines added minus lines removed in editable files, blank ones ignored, as git's numstat counts: a link
/// is one line, a binary file none (P26). Whatever the diff, this is how many lines more there are.
///
/// # Panics
/// When `contents` lacks a blob that [`blobs_needed`] names.
pub fn net_lines(base: &Manifest, changed: &Manifest, editable: &Editable, contents: &Contents) -> i64 {
    let paths = changed_paths(base, changed).into_iter().filter(|path| editable.allows(path));
    let net = paths.map(|path| {
        let sides = [base, changed].map(|tree| contents::of_node(contents, tree.entries.get(&path)));
        if sides.into_iter().any(text::is_binary) {
            return 0;
        }
        let count = |bytes| text::lines(bytes).iter().filter(|line| !text::is_blank(line)).count() as i64;
        count(sides[1]) - count(sides[0])
    });
    net.sum()
}

/// The hash of a change whatever tree it was made to (P10): for each file its path, what became of its
/// kind and mode, and the lines removed and added in their order, trailing blanks and blank lines left
/// out. No context, no line numbers. A file of which nothing remains then is left out itself.
///
/// # Panics
/// When `contents` lacks a blob that [`blobs_needed`] names.
pub fn normalised_diff(base: &Manifest, changed: &Manifest, contents: &Contents) -> Hash {
    let mut form = b"windlass diff 1".to_vec();
    for path in changed_paths(base, changed) {
        let nodes = [base, changed].map(|tree| tree.entries.get(&path));
        let sides = nodes.map(|node| contents::of_node(contents, node));
        let lines = if sides.into_iter().any(text::is_binary) {
            let names = sides.map(|bytes| Digest::of(bytes).to_string());
            vec![(b'-', names[0].clone().into_bytes()), (b'+', names[1].clone().into_bytes())]
        } else {
            normalised_lines(sides[0], sides[1])
        };
        let kinds = nodes.map(kind);
        if kinds[0] == kinds[1] && lines.is_empty() {
            continue;
        }
        append(&mut form, b'/', path.as_str().as_bytes());
        append(&mut form, b'#', &kinds);
        for (sign, line) in lines {
            append(&mut form, sign, &line);
        }
    }
    Hash::of(&form)
}

/// The lines that a change removes and adds, each as a hash with its file and its sign: nearly equal changes have
/// most of them in common, wherever they stand and in whatever order. Of a large change the smallest hashes, which
/// are a sample of it that the same change always gives.
///
/// # Panics
/// When `contents` lacks a blob that [`blobs_needed`] names.
pub fn sketch(base: &Manifest, changed: &Manifest, contents: &Contents) -> BTreeSet<u64> {
    let mut sketch = BTreeSet::new();
    for path in changed_paths(base, changed) {
        let sides = [base, changed].map(|tree| contents::of_node(contents, tree.entries.get(&path)));
        if sides.into_iter().any(text::is_binary) {
            continue;
        }
        for (sign, line) in normalised_lines(sides[0], sides[1]) {
            let mut form = Vec::new();
            append(&mut form, b'/', path.as_str().as_bytes());
            append(&mut form, sign, line.trim_ascii());
            let hash = Hash::of(&form).0;
            sketch.insert(u64::from_le_bytes(std::array::from_fn(|index| hash[index])));
            if sketch.len() > SKETCH_MAX {
                sketch.pop_last();
            }
        }
    }
    sketch
}

/// Lines of a sketch: a change of more is compared by so many of them.
const SKETCH_MAX: usize = 256;

/// Each part carries its sign and its length, so that no two changes run into the same bytes.
fn append(form: &mut Vec<u8>, sign: u8, part: &[u8]) {
    form.push(sign);
    form.extend((part.len() as u64).to_le_bytes());
    form.extend(part);
}

fn normalised_lines(old: &[u8], new: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let [old, new] = [old, new].map(|bytes| {
        let lines = text::lines(bytes).into_iter().map(<[u8]>::trim_ascii_end);
        lines.filter(|line| !line.is_empty()).collect::<Vec<_>>()
    });
    let mut lines = Vec::new();
    for edit in text::edits(&old, &new).iter().filter(|edit| edit.tag() != DiffTag::Equal) {
        lines.extend(old[edit.old_range()].iter().map(|line| (b'-', line.to_vec())));
        lines.extend(new[edit.new_range()].iter().map(|line| (b'+', line.to_vec())));
    }
    lines
}

fn kind(node: Option<&Node>) -> u8 {
    match node {
        None => b'0',
        Some(Node::File { executable: false, .. }) => b'f',
        Some(Node::File { executable: true, .. }) => b'x',
        Some(Node::Link { .. }) => b'l',
    }
}

#[cfg(test)]
#[path = "numstat/tests.rs"]
mod tests;
