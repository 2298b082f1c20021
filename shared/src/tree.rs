//! A tree: a sorted manifest of paths, itself a blob (DESIGN "The ledger").

use crate::digest::Digest;
use crate::path::TreePath;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The most entries of one tree: 100,000 files are an ordinary monorepo, a million is a mistake.
pub const ENTRIES_MAX: usize = 200_000;

/// What stands at one path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Node {
    /// A regular file: its bytes, and whether its owner may execute it.
    File {
        /// The content.
        digest: Digest,
        /// Mode 0755 rather than 0644.
        executable: bool,
    },
    /// A symbolic link, kept as its target text.
    Link {
        /// Where it points, relative, and inside the tree (P3).
        target: String,
    },
}

/// Every file and link of a workspace by its path. Folders exist because of what is in them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Sorted by path.
    pub entries: BTreeMap<TreePath, Node>,
}

impl Manifest {
    /// The canonical bytes: JSON with sorted keys. Their digest is the tree's.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a manifest is always representable")
    }

    /// Reads what [`Manifest::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ManifestError> {
        let manifest: Self = serde_json::from_slice(bytes).map_err(ManifestError::Malformed)?;
        if manifest.entries.len() > ENTRIES_MAX {
            return Err(ManifestError::TooMany(manifest.entries.len()));
        }
        Ok(manifest)
    }

    /// The tree's digest.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }

    /// The blobs that its files need.
    pub fn blobs(&self) -> impl Iterator<Item = Digest> + '_ {
        self.entries.values().filter_map(|node| match node {
            Node::File { digest, .. } => Some(*digest),
            Node::Link { .. } => None,
        })
    }
}

/// What makes one tree of another: small where little was edited, whatever the size of both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeChange {
    /// Paths that are there no more.
    pub gone: BTreeSet<TreePath>,
    /// What is new at its path, or another.
    pub entries: BTreeMap<TreePath, Node>,
}

impl TreeChange {
    /// What makes `to` of `from`.
    pub fn between(from: &Manifest, to: &Manifest) -> Self {
        let is_gone = |path: &&TreePath| !to.entries.contains_key(*path);
        let is_new = |(path, node): &(&TreePath, &Node)| from.entries.get(*path) != Some(*node);
        Self {
            gone: from.entries.keys().filter(is_gone).cloned().collect(),
            entries: to
                .entries
                .iter()
                .filter(is_new)
                .map(|(path, node)| (path.clone(), node.clone()))
                .collect(),
        }
    }

    /// The other tree. Whoever asked for it checks its digest.
    pub fn make_of(self, mut from: Manifest) -> Manifest {
        from.entries.retain(|path, _| !self.gone.contains(path));
        from.entries.extend(self.entries);
        from
    }

    /// As JSON.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a change is always representable")
    }

    /// Reads what [`TreeChange::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ManifestError> {
        let change: Self = serde_json::from_slice(bytes).map_err(ManifestError::Malformed)?;
        let count = change.entries.len().max(change.gone.len());
        if count > ENTRIES_MAX { Err(ManifestError::TooMany(count)) } else { Ok(change) }
    }
}

/// A manifest that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not the canonical JSON.
    #[error("failed to read a manifest")]
    Malformed(#[source] serde_json::Error),
    /// Past [`ENTRIES_MAX`].
    #[error("a manifest has {0} entries; at most {ENTRIES_MAX} are taken")]
    TooMany(usize),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(files: &[(&str, &str)]) -> Manifest {
        let node = |text: &str| Node::File { digest: Digest::of(text.as_bytes()), executable: false };
        let entry = |(path, text): &(&str, &str)| (TreePath::parse(path).expect("a path"), node(text));
        Manifest { entries: files.iter().map(entry).collect() }
    }

    #[test]
    fn a_change_makes_one_tree_of_another_and_holds_only_what_differs() {
        let base = [("a", "1"), ("d/e", "2"), ("d/f", "3")];
        for (files, gone, new) in [
            (&base[..], 0, 0),
            (&[("a", "1"), ("d/e", "edited"), ("d/f", "3")], 0, 1),
            (&[("a", "1"), ("d/e", "2")], 1, 0),
            (&[("a/b", "a file became a folder"), ("d", "and the reverse")], 3, 2),
            (&[], 3, 0),
        ] {
            let (from, to) = (manifest(&base), manifest(files));
            let change = TreeChange::between(&from, &to);
            assert_eq!((change.gone.len(), change.entries.len()), (gone, new), "{files:?}");
            let read = TreeChange::from_bytes(&change.to_bytes()).expect("readable");
            assert_eq!(read.make_of(from).to_bytes(), to.to_bytes());
        }
    }
}
