//! A results folder becomes a tree: regular files only, within bounds; whatever else lies there is
//! skipped and named.

use crate::blobs::Cache;
use crate::error::{Error, is_absence};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use windlass_shared::path::TreePath;
use windlass_shared::tree::{Manifest, Node};

/// Files of one results folder: an analysis writes dozens.
pub(super) const FILES_MAX: usize = 10_000;
/// Bytes of one results folder, 4 GiB: plots and tables, not checkpoints of every epoch.
pub(super) const TOTAL_MAX_BYTES: u64 = 4 << 30;
/// How deep folders may lie.
const DEPTH_MAX: usize = 32;

/// Names that are given for what was left out.
const SKIPPED_MAX: usize = 20;
/// Characters of a name in a reason.
const NAME_CHARS: usize = 120;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gathered {
    /// The files, in the cache.
    pub tree: Manifest,
    /// What was left out, each with its reason; the first [`SKIPPED_MAX`].
    pub skipped: Vec<String>,
    /// How many were left out in all.
    pub skipped_count: usize,
}

impl Gathered {
    /// What was left out, for people: the first names with their reasons, and how many more.
    pub fn left_out(&self) -> Vec<String> {
        let mut said = self.skipped.clone();
        match self.skipped_count - said.len() {
            0 => {}
            more => said.push(format!("and {more} more")),
        }
        said
    }

    pub(super) fn skip(&mut self, reason: String) {
        self.skipped_count += 1;
        if self.skipped.len() < SKIPPED_MAX {
            self.skipped.push(reason);
        }
    }
}

/// Takes the files under `root` into the cache.
pub fn gather(cache: &Cache, root: &Path) -> Result<Gathered, Error> {
    let mut gathered = Gathered::default();
    let mut total_bytes = 0;
    if !fs::symlink_metadata(root).is_ok_and(|it| it.is_dir()) {
        gathered.skip("the results folder is gone".to_owned());
        return Ok(gathered);
    }
    let mut folders = vec![(root.to_owned(), String::new(), 0)];
    while let Some((folder, prefix, depth)) = folders.pop() {
        let listed = fs::read_dir(&folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let entries = match listed {
            Ok(entries) => entries,
            Err(error) if is_absence(&error) => {
                gathered.skip(format!("{prefix:?} cannot be listed: {error}"));
                continue;
            }
            Err(error) => return Err(Error::file("list", &folder)(error)),
        };
        for entry in entries {
            let name = entry.file_name();
            let shown = format!("{prefix}{}", name.to_string_lossy());
            let metadata = match fs::symlink_metadata(entry.path()) {
                Ok(metadata) => metadata,
                Err(error) if is_absence(&error) => {
                    gathered.skip(format!("{shown:?} cannot be looked at: {error}"));
                    continue;
                }
                Err(error) => return Err(Error::file("look at", &entry.path())(error)),
            };
            if metadata.is_dir() && depth < DEPTH_MAX {
                folders.push((entry.path(), format!("{shown}/"), depth + 1));
                continue;
            }
            let reason = if !metadata.is_file() {
                Some(format!("is {}, not a regular file", kind(&metadata)))
            } else if gathered.tree.entries.len() >= FILES_MAX {
                Some(format!("is past the {FILES_MAX} files that are kept of results"))
            } else if total_bytes + metadata.len() > TOTAL_MAX_BYTES {
                Some(format!("is past the {} GiB that are kept of results", TOTAL_MAX_BYTES >> 30))
            } else {
                None
            };
            let path = name.to_str().and_then(|_| TreePath::parse(&shown).ok());
            match (reason, path) {
                (None, Some(path)) => {
                    let digest = match cache.take_in(&entry.path()) {
                        Ok(digest) => digest,
                        Err(error) if error.is_absence_below(root) => {
                            gathered.skip(format!("{shown:?} cannot be read: {}", error.chain()));
                            continue;
                        }
                        Err(error) => return Err(error),
                    };
                    total_bytes += digest.size_bytes;
                    let executable = metadata.permissions().mode() & 0o100 != 0;
                    gathered.tree.entries.insert(path, Node::File { digest, executable });
                }
                (reason, _) => {
                    let reason = reason.unwrap_or_else(|| "has a name that is not taken".to_owned());
                    let shown: String = shown.chars().take(NAME_CHARS).collect();
                    gathered.skip(format!("{shown:?} {reason}"));
                }
            }
        }
    }
    Ok(gathered)
}

/// What stands in a file's place.
fn kind(metadata: &fs::Metadata) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    let kind = metadata.file_type();
    match () {
        () if kind.is_symlink() => "a link",
        () if kind.is_dir() => "a folder too deep",
        () if kind.is_fifo() => "a pipe",
        () if kind.is_socket() => "a socket",
        () if kind.is_block_device() || kind.is_char_device() => "a device",
        () => "something else",
    }
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

    #[test]
    fn a_results_folder_that_is_gone_or_replaced_is_empty() {
        let dir = tempfile::tempdir().expect("a folder");
        let cache = Cache::open(&dir.path().join("blobs")).expect("a cache");
        let root = dir.path().join("results");
        let check = || {
            let gathered = gather(&cache, &root).expect("no failure of the machine");
            assert_eq!((gathered.tree, gathered.skipped_count), (Manifest::default(), 1));
        };
        check();
        fs::write(&root, "a file").expect("a file");
        check();
        fs::remove_file(&root).expect("a file");
        std::os::unix::fs::symlink("/etc", &root).expect("a link");
        check();
    }

    #[test]
    fn only_so_many_skipped_names_are_kept() {
        let dir = tempfile::tempdir().expect("a folder");
        let cache = Cache::open(&dir.path().join("blobs")).expect("a cache");
        let root = dir.path().join("results");
        fs::create_dir(&root).expect("a folder");
        for n in 0..SKIPPED_MAX + 5 {
            std::os::unix::fs::symlink("x", root.join(n.to_string())).expect("a link");
        }
        let gathered = gather(&cache, &root).expect("gathered");
        assert_eq!((gathered.skipped.len(), gathered.skipped_count), (SKIPPED_MAX, SKIPPED_MAX + 5));
        let said = gathered.left_out();
        assert!(said[0].ends_with("is a link, not a regular file"), "{said:?}");
        assert_eq!((said.len(), said.last().map(String::as_str)), (SKIPPED_MAX + 1, Some("and 5 more")));
    }
}
