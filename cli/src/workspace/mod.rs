//! A workspace on its way to becoming a tree: walked as git would, refused by name where no tree can
//! hold it (P3), hashed in passing. Never changes anything on disk.

pub mod cap;
mod exclude;
mod link;
mod walk;

pub use link::stays_inside;

use crate::blobs::Blobs;
use crate::error::Error;
use std::path::Path;
use windlass_engine::gate::editable::Editable;
use windlass_shared::bindings::Bindings;
use windlass_shared::refusal::Refusal;
use windlass_shared::tree::{Manifest, Node};

/// A workspace, read.
#[derive(Debug)]
pub struct Workspace {
    /// Its tree.
    pub manifest: Manifest,
    /// Its files, to be streamed from disk, and the manifest itself.
    pub blobs: Blobs,
    /// Files and links.
    pub entries: u64,
    /// Bytes of its files.
    pub bytes: u64,
}

/// Reads the workspace at `root`; `apart` are folders that never belong to it (the data folder).
pub fn read(root: &Path, bindings: &Bindings, apart: &[&Path]) -> Result<Workspace, Error> {
    let root = std::fs::canonicalize(root).map_err(|source| Error::File {
        operation: "open the workspace",
        path: root.to_owned(),
        source,
    })?;
    let exclude = exclude::Exclude::new(&root, bindings, apart)?;
    let (manifest, mut blobs) = walk::walk(&root, &exclude)?;
    require_editable(&manifest, bindings)?;
    let bytes = manifest
        .entries
        .values()
        .map(|node| match node {
            Node::File { digest, .. } => digest.size_bytes,
            Node::Link { .. } => 0,
        })
        .sum();
    let entries = manifest.entries.len() as u64;
    blobs.hold(manifest.to_bytes());
    Ok(Workspace { manifest, blobs, entries, bytes })
}

/// A campaign in which no lever could touch anything is a mistake that is cheap to find here.
fn require_editable(manifest: &Manifest, bindings: &Bindings) -> Result<(), Error> {
    let editable = Editable::new(&bindings.editable_files)?;
    if manifest.entries.keys().any(|path| editable.allows(path)) {
        return Ok(());
    }
    let problem = "no file of the workspace matches it (a file that git ignores is sent only when \
                   windlass.include names it)";
    Err(Refusal::Binding { key: "editable_files", problem: problem.to_owned() }.into())
}

#[cfg(test)]
mod tests;
