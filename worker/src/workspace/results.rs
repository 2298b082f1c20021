//! A results folder becomes a tree: regular files only, within bounds; whatever else lies there is
//! skipped and named.

use crate::blobs::Cache;
use crate::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use windlass_shared::path::TreePath;
use windlass_shared::tree::{Manifest, Node};

/// Files of one results folder: an analysis writes dozens.
const FILES_MAX: usize = 10_000;
/// Bytes of one results folder, 4 GiB: plots and tables, not checkpoints of every epoch.
const TOTAL_MAX_BYTES: u64 = 4 << 30;
/// How deep folders may lie.
const DEPTH_MAX: usize = 32;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gathered {
    /// The files, in the cache.
    pub tree: Manifest,
    /// What was left out, each with its reason.
    pub skipped: Vec<String>,
}

/// Takes the files under `root` into the cache.
pub fn gather(cache: &Cache, root: &Path) -> Result<Gathered, Error> {
    let mut gathered = Gathered::default();
    let mut total_bytes = 0;
    let mut folders = vec![(root.to_owned(), String::new(), 0)];
    while let Some((folder, prefix, depth)) = folders.pop() {
        let entries = fs::read_dir(&folder).map_err(Error::file("list", &folder))?;
        for entry in entries {
            let entry = entry.map_err(Error::file("list", &folder))?;
            let name = entry.file_name();
            let shown = format!("{prefix}{}", name.to_string_lossy());
            let metadata =
                fs::symlink_metadata(entry.path()).map_err(Error::file("look at", &entry.path()))?;
            if metadata.is_dir() && depth < DEPTH_MAX {
                folders.push((entry.path(), format!("{shown}/"), depth + 1));
                continue;
            }
            let reason = if !metadata.is_file() {
                Some("is not a regular file")
            } else if gathered.tree.entries.len() >= FILES_MAX {
                Some("is past the most files that are kept")
            } else if total_bytes + metadata.len() > TOTAL_MAX_BYTES {
                Some("is past the most bytes that are kept")
            } else {
                None
            };
            let path = name.to_str().and_then(|_| TreePath::parse(&shown).ok());
            match (reason, path) {
                (None, Some(path)) => {
                    total_bytes += metadata.len();
                    let executable = metadata.permissions().mode() & 0o100 != 0;
                    let digest = cache.take_in(&entry.path())?;
                    gathered.tree.entries.insert(path, Node::File { digest, executable });
                }
                (reason, _) => {
                    let reason = reason.unwrap_or("has a name that is not taken");
                    gathered.skipped.push(format!("{shown:?} {reason}"));
                }
            }
        }
    }
    Ok(gathered)
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_shared::digest::Digest;

    #[test]
    fn only_regular_files_are_gathered_and_the_rest_is_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let cache = Cache::open(&dir.path().join("blobs")).expect("a cache");
        let root = dir.path().join("results");
        fs::create_dir_all(root.join("plots/deep")).expect("folders");
        fs::write(root.join("loss.tsv"), "1\t2\n").expect("a file");
        fs::write(root.join("plots/deep/a.svg"), "<svg/>").expect("a file");
        fs::write(root.join("new\nline"), "x").expect("a file");
        std::os::unix::fs::symlink("/etc/passwd", root.join("link")).expect("a link");
        let gathered = gather(&cache, &root).expect("gathered");
        let paths: Vec<_> = gathered.tree.entries.keys().map(TreePath::as_str).collect();
        assert_eq!(paths, ["loss.tsv", "plots/deep/a.svg"]);
        assert_eq!(gathered.skipped.len(), 2, "{:?}", gathered.skipped);
        assert_eq!(cache.read(&Digest::of(b"1\t2\n")).expect("in the cache"), b"1\t2\n");
    }
}
