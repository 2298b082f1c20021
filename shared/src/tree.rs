//! A tree: a sorted manifest of paths, itself a blob (DESIGN "The ledger").

use crate::digest::Digest;
use crate::path::TreePath;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
