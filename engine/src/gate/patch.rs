//! Unified diffs as git and diff write them: read, and applied to a tree (P5). A hunk may have moved, but
//! its lines match byte for byte or it is refused by file and line; there is no fuzz.

mod apply;
mod cursor;
mod hunks;
mod names;
mod parse;
mod place;

use crate::gate::contents::Contents;
use std::collections::BTreeSet;
use windlass_shared::digest::Digest;
use windlass_shared::path::TreePath;
use windlass_shared::refusal::Refusal;
use windlass_shared::tree::{Manifest, Node};

/// The largest patch: a lever is one change, not an import.
pub const PATCH_MAX_BYTES: usize = 16 << 20;
/// The most files of one patch. A lever declares 64; each costs a look at the whole of its file.
const FILES_MAX: usize = 1000;

/// A patch that was read; whether it fits a tree is another matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    files: Vec<FilePatch>,
}

/// A tree that came of a change, and the blobs that it has and its base had not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The whole tree.
    pub manifest: Manifest,
    /// Only new ones.
    pub blobs: Contents,
}

/// What a patch does to one file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FilePatch {
    /// Where its header stands, from 1.
    line: u64,
    operation: Operation,
    mode: Option<Mode>,
    hunks: Vec<Hunk>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Operation {
    Edit(TreePath),
    Create(TreePath),
    Delete(TreePath),
    Rename { from: TreePath, to: TreePath },
    Copy { from: TreePath, to: TreePath },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Plain,
    Executable,
    Link,
}

/// The lines before and after, context in both, each with its newline unless the file ends without one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hunk {
    /// Where its header stands in the patch, from 1.
    line: u64,
    /// As its header says; 0 with nothing before.
    old_start: u64,
    old: Vec<Vec<u8>>,
    new: Vec<Vec<u8>>,
}

impl Operation {
    /// The file that the hunks apply to, if there is one.
    fn source(&self) -> Option<&TreePath> {
        match self {
            Self::Create(_) => None,
            Self::Edit(path) | Self::Delete(path) => Some(path),
            Self::Rename { from, .. } | Self::Copy { from, .. } => Some(from),
        }
    }

    /// The file that a refusal names.
    fn name(&self) -> &TreePath {
        match self {
            Self::Create(path) | Self::Edit(path) | Self::Delete(path) => path,
            Self::Rename { to, .. } | Self::Copy { to, .. } => to,
        }
    }
}

impl Patch {
    /// Reads a patch. Text around the diffs is passed over, as git does. Refused, by file and line:
    /// binary changes, hunks with fewer or more lines than their header counts, paths that are none,
    /// and a text in which there is no diff.
    pub fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.len() > PATCH_MAX_BYTES {
            let (figure, limit) = (bytes.len() as u64, PATCH_MAX_BYTES as u64);
            return Err(Refusal::TooMuch { what: "bytes of a patch".to_owned(), figure, limit });
        }
        parse::parse(bytes).map(|files| Self { files })
    }

    /// The paths that it changes, sorted.
    pub fn paths(&self) -> Vec<TreePath> {
        let mut paths = BTreeSet::new();
        for file in &self.files {
            paths.insert(file.operation.name().clone());
            if let Operation::Rename { from, .. } = &file.operation {
                paths.insert(from.clone());
            }
        }
        paths.into_iter().collect()
    }

    /// The blobs of `base` that [`Patch::apply`] reads.
    pub fn blobs_needed(&self, base: &Manifest) -> Vec<Digest> {
        let reads = self.files.iter().filter(|file| !file.hunks.is_empty() || file.is_deletion());
        let nodes = reads.filter_map(|file| base.entries.get(file.operation.source()?));
        let digests = nodes.filter_map(|node| match node {
            Node::File { digest, .. } => Some(*digest),
            Node::Link { .. } => None,
        });
        digests.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The tree with the patch applied. `contents` holds what [`Patch::blobs_needed`] named; a blob that
    /// is not there is [`Refusal::AbsentBlob`], a file or hunk that does not fit [`Refusal::Patch`].
    /// Whether the change is allowed is the guard's question.
    pub fn apply(&self, base: &Manifest, contents: &Contents) -> Result<Applied, Refusal> {
        apply::apply(&self.files, base, contents)
    }
}

impl FilePatch {
    fn is_deletion(&self) -> bool {
        matches!(self.operation, Operation::Delete(_))
    }
}

fn refuse(file: &str, line: Option<u64>, problem: impl Into<String>) -> Refusal {
    Refusal::Patch { file: file.to_owned(), line, problem: problem.into() }
}

#[cfg(test)]
#[path = "patch/tests.rs"]
mod tests;
