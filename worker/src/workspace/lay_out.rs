//! A tree becomes a fresh folder: copies, never hard links, so that nothing a run does reaches a blob.

use crate::blobs::Cache;
use crate::error::Error;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use windlass_engine::gate::editable::Editable;
use windlass_shared::path::TreePath;
use windlass_shared::tree::{Manifest, Node};

/// Characters of a path that is too long to be said whole.
const PATH_HEAD_CHARS: usize = 80;

/// Which files of a folder can be written.
#[derive(Clone, Copy, Debug)]
pub enum Access<'a> {
    /// What is editable; frozen files are laid read-only (P2), so that an accident is noticed at once.
    Editable(&'a Editable),
    /// Everything.
    All,
    /// Nothing.
    None,
}

impl Access<'_> {
    fn mode(self, path: &TreePath, executable: bool) -> u32 {
        let writable = match self {
            Self::Editable(editable) => editable.allows(path),
            Self::All => true,
            Self::None => false,
        };
        let base = if executable { 0o755 } else { 0o644 };
        if writable { base } else { base & 0o555 }
    }
}

/// Lays `tree` out in the new or empty folder `root`. Every blob must be in the cache.
pub fn lay_out(cache: &Cache, tree: &Manifest, root: &Path, access: Access<'_>) -> Result<(), Error> {
    fs::create_dir_all(root).map_err(Error::file("create", root))?;
    let folders: BTreeSet<&str> = tree.entries.keys().filter_map(TreePath::parent).collect();
    for folder in folders {
        let path = root.join(folder);
        fs::create_dir_all(&path).map_err(|source| unlaid(folder, &path, source))?;
    }
    for (path, node) in &tree.entries {
        if let Node::File { digest, executable } = node {
            let placed = cache.place(digest, &root.join(path.as_str()), access.mode(path, *executable));
            placed.map_err(|error| named(path.as_str(), error))?;
        }
    }
    // Links come last: no file is ever written through one.
    for (path, node) in &tree.entries {
        if let Node::Link { target } = node {
            let to = root.join(path.as_str());
            symlink(target, &to).map_err(Error::file("link", &to))?;
        }
    }
    Ok(())
}

/// Lays files over what is there, each in place of what stands at its path.
pub fn lay_over(cache: &Cache, files: &Manifest, root: &Path) -> Result<(), Error> {
    for (path, node) in &files.entries {
        let to = root.join(path.as_str());
        let folder = to.parent().unwrap_or(root);
        fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
        let removed = match fs::symlink_metadata(&to) {
            Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(&to),
            Ok(_) => fs::remove_file(&to),
            Err(_) => Ok(()),
        };
        removed.map_err(Error::file("replace", &to))?;
        match node {
            Node::File { digest, executable } => {
                cache.place(digest, &to, if *executable { 0o755 } else { 0o644 })?;
            }
            Node::Link { target } => symlink(target, &to).map_err(Error::file("link", &to))?,
        }
    }
    Ok(())
}

/// Why a folder of a tree could not be made.
fn unlaid(folder: &str, path: &Path, source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
            Error::Layout { path: folder.to_owned() }
        }
        _ => named(folder, Error::file("create", path)(source)),
    }
}

/// A path that is fine by itself may be too long below a work folder; that is said without all of it.
fn named(path: &str, error: Error) -> Error {
    match &error {
        Error::File { source, .. } if source.kind() == io::ErrorKind::InvalidFilename => {
            Error::PathTooLong { head: path.chars().take(PATH_HEAD_CHARS).collect(), bytes: path.len() }
        }
        _ => error,
    }
}
