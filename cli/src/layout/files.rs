//! Files of the copy: each written whole or not at all, and only when it differs.

use super::Done;
use crate::error::Error;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use windlass_shared::digest::{Digest, Hash};

/// The folder that is being filled.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    done: Done,
    writes: Writes,
}

/// What becomes of a file that is not there as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// It is written.
    Done,
    /// It is counted.
    Counted,
}

impl Folder {
    /// At `root`, made when the first file is.
    pub fn new(root: &Path, writes: Writes) -> Self {
        Self { root: root.to_owned(), done: Done::default(), writes }
    }

    /// What was done so far.
    pub fn done(&self) -> Done {
        self.done
    }

    /// Puts a file at a path of ours below the root.
    pub fn put(&mut self, relative: &str, bytes: &[u8]) -> Result<(), Error> {
        if !self.has(relative, &Digest::of(bytes)) {
            if self.writes == Writes::Done {
                replace(&self.root.join(relative), bytes)?;
            }
            self.done.written += 1;
        }
        self.done.files += 1;
        Ok(())
    }

    /// Whether the file is there with this content; then it needs no fetching.
    pub fn has(&self, relative: &str, digest: &Digest) -> bool {
        let path = self.root.join(relative);
        let is_size = std::fs::symlink_metadata(&path)
            .is_ok_and(|meta| meta.is_file() && meta.len() == digest.size_bytes);
        is_size && hash(&path).is_ok_and(|found| found == digest.hash)
    }

    /// Counts a file that [`Folder::has`] found.
    pub fn keep(&mut self) {
        self.done.files += 1;
    }
}

fn hash(path: &Path) -> std::io::Result<Hash> {
    let mut file = std::fs::File::open(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Hash(*hasher.finalize().as_bytes())),
            n => hasher.update(&buffer[..n]),
        };
    }
}

/// Where a file that a user named comes to lie: at the end of a link; nowhere for what is no file. A device, a
/// pipe or a socket is written into: a rename would put a file into its place.
pub fn place(path: &Path) -> Option<PathBuf> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() => Some(path.canonicalize().unwrap_or_else(|_| path.to_owned())),
        Ok(found) if !found.is_dir() => None,
        _ => Some(path.to_owned()),
    }
}

/// Writes a file that a user named: whole or not at all.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    match place(path) {
        Some(place) => replace(&place, bytes),
        None => std::fs::OpenOptions::new()
            .write(true)
            .open(path)
            .and_then(|mut file| file.write_all(bytes))
            .map_err(|source| Error::File { operation: "write", path: path.to_owned(), source }),
    }
}

/// Writes a file through a temporary one beside it, its folder made first.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let failed = |source| Error::File { operation: "write", path: path.to_owned(), source };
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(parent).map_err(failed)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = parent.join(format!(".{name}.windlass-{}", std::process::id()));
    let written = std::fs::File::create(&temporary)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| std::fs::rename(&temporary, path));
    written.map_err(|source| {
        // Ours, and unfinished.
        let _ = std::fs::remove_file(&temporary);
        failed(source)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p30_a_file_is_written_once_and_again_only_when_it_differs() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("mine.txt"), "not ours").expect("written");
        let fill_as = |writes| {
            let mut folder = Folder::new(dir.path(), writes);
            folder.put("iter1/run.log", b"one\n").expect("written");
            folder.put("results.tsv", b"iter\n").expect("written");
            folder.done()
        };
        let fill = || fill_as(Writes::Done);
        assert_eq!(fill_as(Writes::Counted), Done { files: 2, written: 2 });
        assert!(!dir.path().join("results.tsv").exists(), "counting writes nothing");
        assert_eq!(fill(), Done { files: 2, written: 2 });
        assert_eq!(fill(), Done { files: 2, written: 0 });
        std::fs::remove_dir_all(dir.path().join("iter1")).expect("removed");
        assert_eq!(fill(), Done { files: 2, written: 1 });
        assert_eq!(std::fs::read(dir.path().join("mine.txt")).expect("read"), b"not ours");
        let left: Vec<_> = std::fs::read_dir(dir.path()).expect("read").collect();
        assert_eq!(left.len(), 3, "no temporary file is left");
    }
}
