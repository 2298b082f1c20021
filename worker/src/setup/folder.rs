//! The folder of one setup: where it ran, what it left, whether it is whole. It stays where it was made,
//! since scripts in a virtual environment hold its absolute path.

use crate::durable;
use crate::error::Error;
use crate::spool::AttemptDir;
use crate::workspace::is_hiding;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use windlass_shared::path::TreePath;
use windlass_shared::tree::Manifest;

/// How deep what a setup left is looked at, where its folders mingle with the tree's.
const DEPTH_MAX: usize = 256;

/// Written when a setup is whole, and never before: what has none is done again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// What was run.
    pub command: String,
    /// A layer for overlays, or a folder whose parts are linked.
    pub shape: Shape,
    /// It outlives a power cut. Earlier versions synced the mark alone.
    #[serde(default)]
    pub is_synced: bool,
}

/// How later attempts get at what it left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// The lowest layer of their workspaces.
    Layer,
    /// Links in their workspaces.
    Links,
}

impl Shape {
    /// Its word in a setup's key.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Layer => "layer",
            Self::Links => "links",
        }
    }
}

/// A setup that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// Its folder.
    pub dir: AttemptDir,
    /// How to get at it.
    pub shape: Shape,
}

/// Reads the mark of a whole setup; a torn one is none, and so is one that a power cut may have made untrue.
pub fn ready(dir: &AttemptDir) -> Option<Prepared> {
    let ready: Ready = durable::read(&mark(dir)).ok().flatten()?;
    if !ready.is_synced && dir.is_of_earlier_boot() {
        return None;
    }
    Some(Prepared { dir: dir.clone(), shape: ready.shape })
}

/// Ends a setup that went well: keeps what it created and nothing of the tree, then marks it whole.
pub fn seal(dir: &AttemptDir, command: &str, tree: &Manifest, shape: Shape) -> Result<(), Error> {
    let root = match shape {
        Shape::Layer => dir.upper(),
        Shape::Links => dir.workspace(),
    };
    // A later attempt has files of its own tree; those of this one must never stand in for them.
    for path in tree.entries.keys() {
        remove_file(&root.join(path.as_str()))?;
    }
    prune(&root, tree)?;
    if shape == Shape::Links {
        // No layer keeps it from being written to, so its modes do as far as they can.
        protect(&root)?;
    }
    // An environment of 6 GB in 30,000 files, once for all who use it.
    durable::sync_file_system(&root)?;
    durable::write(&mark(dir), &Ready { command: command.to_owned(), shape, is_synced: true })
}

/// Links what a setup `left` into a workspace: each highest path that is not the tree's own.
pub fn link(left: &Path, workspace: &Path) -> Result<(), Error> {
    let mut folders = vec![(left.to_owned(), workspace.to_owned(), 0)];
    while let Some((from, to, depth)) = folders.pop() {
        for entry in fs::read_dir(&from).map_err(Error::file("list", &from))?.flatten() {
            let (from, to) = (entry.path(), to.join(entry.file_name()));
            match fs::symlink_metadata(&to) {
                Ok(metadata) if metadata.is_dir() && from.is_dir() && depth < DEPTH_MAX => {
                    folders.push((from, to, depth + 1));
                }
                // The tree's own file stands.
                Ok(_) => {}
                Err(_) => symlink(&from, &to).map_err(Error::file("link", &to))?,
            }
        }
    }
    Ok(())
}

fn mark(dir: &AttemptDir) -> PathBuf {
    dir.path().join("ready.json")
}

fn remove_file(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind()) => {
            Ok(())
        }
        Err(error) => Err(Error::file("remove", path)(error)),
        Ok(()) => Ok(()),
    }
}

/// Removes marks of hidden files, and folders of the tree that nothing is left in.
fn prune(root: &Path, tree: &Manifest) -> Result<(), Error> {
    let paths = tree.entries.keys().map(TreePath::as_str);
    let folders = paths.flat_map(|path| path.match_indices('/').map(|(at, _)| root.join(&path[..at])));
    let trees_own: BTreeSet<PathBuf> = folders.collect();
    let mut folders = vec![root.to_owned()];
    let mut seen = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(Error::file("list", &folder))?.flatten() {
            let metadata = entry.metadata().map_err(Error::file("look at", &entry.path()))?;
            if is_hiding(&metadata) {
                remove_file(&entry.path())?;
            } else if metadata.is_dir() {
                folders.push(entry.path());
            }
        }
        seen.push(folder);
    }
    // Children come after their parents, so they are tried before them.
    for folder in seen.iter().rev().filter(|folder| trees_own.contains(*folder)) {
        match fs::remove_dir(folder) {
            Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => {
                return Err(Error::file("remove", folder)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

fn protect(root: &Path) -> Result<(), Error> {
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(Error::file("list", &folder))?.flatten() {
            let metadata = entry.metadata().map_err(Error::file("look at", &entry.path()))?;
            if metadata.is_symlink() {
                continue;
            }
            if metadata.is_dir() {
                folders.push(entry.path());
            }
            let mode = fs::Permissions::from_mode(metadata.permissions().mode() & 0o555);
            fs::set_permissions(entry.path(), mode).map_err(Error::file("protect", &entry.path()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_shared::digest::Digest;
    use windlass_shared::tree::Node;

    fn tree() -> Manifest {
        let node = |text: &str| Node::File { digest: Digest::of(text.as_bytes()), executable: false };
        let mut tree = Manifest::default();
        for path in ["train.py", "src/lib.py", "uv.lock", "data/set.csv"] {
            tree.entries.insert(TreePath::parse(path).expect("a path"), node(path));
        }
        tree
    }

    fn write(path: PathBuf, text: &str) {
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    #[test]
    fn p4_a_setup_keeps_what_it_created_and_nothing_of_the_tree() {
        for shape in [Shape::Layer, Shape::Links] {
            let folder = tempfile::tempdir().expect("a folder");
            let dir = AttemptDir::at(folder.path().to_owned());
            let root = if shape == Shape::Layer { dir.upper() } else { dir.workspace() };
            for (path, text) in [
                (".venv/bin/python", "python"),
                ("src/lib.py", "changed by the setup"),
                ("src/build/ext.so", "built"),
                ("uv.lock", "changed too"),
                ("data/set.csv", "changed as well"),
                ("own/keep", ""),
            ] {
                write(root.join(path), text);
            }
            fs::remove_file(root.join("own/keep")).expect("a file");
            assert_eq!(ready(&dir), None, "half done is not done");
            seal(&dir, "make", &tree(), shape).expect("sealed");
            assert_eq!(ready(&dir), Some(Prepared { dir: dir.clone(), shape }));
            for (path, stays) in [
                (".venv/bin/python", true),
                ("src/build/ext.so", true),
                ("src/lib.py", false),
                ("uv.lock", false),
                ("data", false),
                ("own", true),
            ] {
                assert_eq!(root.join(path).exists(), stays, "{path} {shape:?}");
            }
            fs::write(dir.path().join("ready.json"), "{\"comm").expect("a torn mark");
            assert_eq!(ready(&dir), None);
        }
    }

    #[test]
    fn a_setup_that_a_power_cut_may_have_torn_is_done_again_and_one_that_was_synced_is_not() {
        for (is_synced, stays) in [(false, false), (true, true)] {
            let folder = tempfile::tempdir().expect("a folder");
            let dir = AttemptDir::at(folder.path().to_owned());
            fs::create_dir(dir.upper()).expect("a folder");
            seal(&dir, "make", &tree(), Shape::Layer).expect("sealed");
            let written: Ready = durable::read(&mark(&dir)).expect("whole").expect("there");
            assert!(written.is_synced, "this version syncs what it marks");
            durable::write(&mark(&dir), &Ready { is_synced, ..written }).expect("a mark");
            assert!(ready(&dir).is_some(), "the control");
            dir.note_earlier_boot().expect("noted");
            assert_eq!(ready(&dir).is_some(), stays);
        }
    }

    #[test]
    fn links_reach_what_was_created_and_leave_the_trees_files_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = AttemptDir::at(folder.path().join("setup"));
        for path in [".venv/bin/python", "src/build/ext.so", "notes"] {
            write(dir.workspace().join(path), "made");
        }
        seal(&dir, "make", &tree(), Shape::Links).expect("sealed");
        let workspace = folder.path().join("workspace");
        write(workspace.join("src/lib.py"), "tree");
        write(workspace.join("notes"), "the tree's own");
        link(&dir.workspace(), &workspace).expect("linked");
        let read = |path: &str| fs::read_to_string(workspace.join(path)).expect("a file");
        assert_eq!((read(".venv/bin/python"), read("src/build/ext.so")), ("made".into(), "made".into()));
        assert_eq!((read("src/lib.py"), read("notes")), ("tree".into(), "the tree's own".into()));
        assert!(fs::symlink_metadata(workspace.join(".venv")).expect("a link").is_symlink());
        let mode =
            fs::metadata(dir.workspace().join(".venv/bin/python")).expect("a file").permissions().mode();
        assert_eq!(mode & 0o222, 0);
    }
}
