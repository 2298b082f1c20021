//! The three-way merge under a rebase (P8): of texts by line, of trees by file. A conflict is an answer,
//! never a text with markers in it.

use crate::gate::contents::{self, Contents};
use crate::gate::guard;
use crate::gate::patch::Applied;
use crate::gate::text;
use similar::{DiffOp, DiffTag};
use std::collections::BTreeSet;
use std::ops::Range;
use windlass_shared::digest::Digest;
use windlass_shared::path::TreePath;
use windlass_shared::record::Clash;
use windlass_shared::tree::{Manifest, Node};

/// What came of merging two trees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merge {
    /// Both changes are in it.
    Clean(Applied),
    /// Where they contradict each other: the first place in each file, by file.
    Conflict(Vec<Clash>),
}

/// Merges line by line, as diff3 and git do; `None` is a conflict. Changes that overlap or touch
/// conflict unless both sides made the same one. Binary contents merge only as wholes.
pub fn merge_text(base: &[u8], ours: &[u8], theirs: &[u8]) -> Option<Vec<u8>> {
    merge_lines(base, ours, theirs).ok()
}

/// Stretches of lines of either side that conflict: first and last from 1. None for contents without lines.
type Stretches = Option<[(u64, u64); 2]>;

fn merge_lines(base: &[u8], ours: &[u8], theirs: &[u8]) -> Result<Vec<u8>, Stretches> {
    if ours == theirs || base == theirs {
        return Ok(ours.to_vec());
    }
    if base == ours {
        return Ok(theirs.to_vec());
    }
    if [base, ours, theirs].into_iter().any(text::is_binary) {
        return Err(None);
    }
    let [base, ours, theirs] = [base, ours, theirs].map(text::lines);
    let mut sides = [Side::new(&base, &ours), Side::new(&base, &theirs)];
    let mut merged = Vec::new();
    let mut done = 0;
    while let Some(start) = sides.iter().filter_map(Side::next_start).min() {
        merged.extend(base[done..start].iter().copied().flatten());
        // Grows while a change of either side touches what is gathered.
        let mut end = start;
        while let Some(reached) = sides.iter_mut().find_map(|side| side.gather(end)) {
            end = end.max(reached);
        }
        let stretches = [0, 1].map(|index| sides[index].stretch(start, end));
        let [our, their] = [0, 1].map(|index| &sides[index].lines[stretches[index].clone()]);
        let chosen = match [&sides[0], &sides[1]].map(|side| side.gathered.is_some()) {
            [true, false] => our,
            [false, true] => their,
            _ if our == their => our,
            _ => return Err(Some(stretches.map(|lines| (lines.start as u64 + 1, lines.end as u64)))),
        };
        merged.extend(chosen.iter().copied().flatten());
        for side in &mut sides {
            side.pass();
        }
        done = end;
    }
    merged.extend(base[done..].iter().copied().flatten());
    Ok(merged)
}

/// One side's changes, in order, as they are passed.
struct Side<'a> {
    lines: &'a [&'a [u8]],
    /// Ranges of the base and what stands in their place.
    changes: std::vec::IntoIter<(Range<usize>, Range<usize>)>,
    /// The first and the last change of the group that is being gathered.
    gathered: Option<(Range<usize>, Range<usize>)>,
    /// `lines` index minus base index, after all that was passed.
    shift: isize,
}

impl<'a> Side<'a> {
    fn new(base: &[&[u8]], lines: &'a [&'a [u8]]) -> Self {
        let changed = |op: &DiffOp| op.tag() != DiffTag::Equal;
        let edits = text::edits(base, lines).into_iter().filter(changed);
        let changes: Vec<_> = edits.map(|op| (op.old_range(), op.new_range())).collect();
        Self { lines, changes: changes.into_iter(), gathered: None, shift: 0 }
    }

    fn next_start(&self) -> Option<usize> {
        self.changes.as_slice().first().map(|(base, _)| base.start)
    }

    /// Takes the next change if it begins at or before `end`; says where in the base it ends.
    fn gather(&mut self, end: usize) -> Option<usize> {
        self.next_start().filter(|&start| start <= end)?;
        let (base, own) = self.changes.next()?;
        let end = base.end;
        self.gathered = Some(match self.gathered.take() {
            None => (base, own),
            Some((first_base, first_own)) => (first_base.start..base.end, first_own.start..own.end),
        });
        Some(end)
    }

    /// The lines that this side has in place of the base's `start..end`.
    fn stretch(&self, start: usize, end: usize) -> Range<usize> {
        let own =
            |base: usize, shift: isize| base.checked_add_signed(shift).expect("a base line has its place");
        match &self.gathered {
            None => own(start, self.shift)..own(end, self.shift),
            Some((base, range)) => range.start - (base.start - start)..range.end + (end - base.end),
        }
    }

    /// Leaves the group behind.
    fn pass(&mut self) {
        if let Some((base, own)) = self.gathered.take() {
            self.shift = own.end as isize - base.end as isize;
        }
    }
}

/// The blobs that [`merge_trees`] reads: of files that both sides changed, differently.
pub fn blobs_needed(base: &Manifest, ours: &Manifest, theirs: &Manifest) -> Vec<Digest> {
    let mut digests = BTreeSet::new();
    for path in base.entries.keys() {
        let nodes = [base, ours, theirs].map(|tree| tree.entries.get(path));
        if let [
            Some(Node::File { digest: base, .. }),
            Some(Node::File { digest: ours, .. }),
            Some(Node::File { digest: theirs, .. }),
        ] = nodes
            && base != ours
            && base != theirs
            && ours != theirs
        {
            digests.extend([*base, *ours, *theirs]);
        }
    }
    digests.into_iter().collect()
}

/// Merges two trees that come from one base. A path that one side left alone is the other's; a file that
/// both changed is merged as text; a deletion against a change, two new files that differ, two links
/// that differ, and a result in which paths collide are conflicts.
///
/// # Panics
/// When `contents` lacks a blob that [`blobs_needed`] names.
pub fn merge_trees(base: &Manifest, ours: &Manifest, theirs: &Manifest, contents: &Contents) -> Merge {
    let mut applied = Applied { manifest: Manifest::default(), blobs: Contents::new() };
    let mut conflicts = Vec::new();
    let paths: BTreeSet<&TreePath> =
        [base, ours, theirs].iter().flat_map(|tree| tree.entries.keys()).collect();
    for path in paths {
        let [base, ours, theirs] = [base, ours, theirs].map(|tree| tree.entries.get(path));
        match merge_nodes([base, ours, theirs], contents, &mut applied.blobs) {
            Ok(Some(node)) => _ = applied.manifest.entries.insert(path.clone(), node),
            Ok(None) => {}
            Err(stretches) => conflicts.push(Clash {
                file: path.clone(),
                best_lines: stretches.map(|[ours, _]| ours),
                lever_lines: stretches.map(|[_, theirs]| theirs),
            }),
        }
    }
    if conflicts.is_empty() {
        conflicts.extend(guard::collision(&applied.manifest).map(|(path, _)| Clash::from(path)));
    }
    if conflicts.is_empty() { Merge::Clean(applied) } else { Merge::Conflict(conflicts) }
}

/// What stands at a path after the merge (perhaps nothing), or where it conflicts.
fn merge_nodes(
    nodes: [Option<&Node>; 3],
    contents: &Contents,
    blobs: &mut Contents,
) -> Result<Option<Node>, Stretches> {
    if let Some(node) = either(&nodes[0], &nodes[1], &nodes[2]) {
        return Ok(node.cloned());
    }
    let [
        Some(Node::File { digest: base, executable: base_executable }),
        Some(Node::File { digest: ours, executable: our_executable }),
        Some(Node::File { digest: theirs, executable: their_executable }),
    ] = nodes
    else {
        return Err(None);
    };
    let executable = *either(base_executable, our_executable, their_executable).ok_or(None)?;
    if let Some(digest) = either(base, ours, theirs) {
        return Ok(Some(Node::File { digest: *digest, executable }));
    }
    let [base, ours, theirs] = nodes.map(|node| contents::of_node(contents, node));
    let merged = merge_lines(base, ours, theirs)?;
    let digest = Digest::of(&merged);
    if !contents.contains_key(&digest) {
        blobs.insert(digest, merged);
    }
    Ok(Some(Node::File { digest, executable }))
}

/// The value of the side that changed it, where one did or both alike.
fn either<'a, T: PartialEq>(base: &T, ours: &'a T, theirs: &'a T) -> Option<&'a T> {
    if ours == theirs || base == theirs {
        return Some(ours);
    }
    (base == ours).then_some(theirs)
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
