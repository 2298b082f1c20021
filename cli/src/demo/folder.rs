//! The demo's folder: what lies where, and whether it is ours to fill.

use crate::error::Error;
use crate::example;
use std::path::{Path, PathBuf};

/// What says that a folder is a demo's.
const MARK: &str = ".windlass-demo";

/// A folder that is the demo's own.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Makes it, or takes up that of an earlier demo; refuses one with anything else in it.
    pub fn prepare(dir: &Path) -> Result<Self, Error> {
        let failed = |source| Error::File { operation: "prepare the folder", path: dir.to_owned(), source };
        std::fs::create_dir_all(dir).map_err(failed)?;
        let root = std::fs::canonicalize(dir).map_err(failed)?;
        let is_ours = root.join(MARK).is_file();
        let is_empty = std::fs::read_dir(&root).map_err(failed)?.next().is_none();
        if !is_ours && !is_empty {
            return Err(Error::ForeignFolder { path: dir.to_owned() });
        }
        std::fs::write(root.join(MARK), "made by `windlass demo`\n").map_err(failed)?;
        let folder = Self { root };
        example::unpack(&folder.workspace())?;
        std::fs::create_dir_all(folder.data_dir()).map_err(failed)?;
        Ok(folder)
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The example's workspace.
    pub fn workspace(&self) -> PathBuf {
        self.root.join("digits")
    }

    /// The coordinator's data folder.
    pub fn data_dir(&self) -> PathBuf {
        self.root.join("data")
    }

    /// The user's copy.
    pub fn sandbox(&self) -> PathBuf {
        self.workspace().join("sandbox")
    }

    /// The plot.
    pub fn plot(&self) -> PathBuf {
        self.root.join("progress.svg")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_folder_is_left_alone_and_ones_own_is_taken_up_again() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("thesis.tex"), "").expect("written");
        let problem = Folder::prepare(dir.path()).expect_err("foreign");
        assert!(matches!(problem, Error::ForeignFolder { .. }));
        assert_eq!(std::fs::read_dir(dir.path()).expect("read").count(), 1, "nothing was put there");
        let own = dir.path().join("demo");
        let folder = Folder::prepare(&own).expect("new");
        let edited = folder.workspace().join("config.yaml");
        std::fs::write(&edited, "mine").expect("written");
        Folder::prepare(&own).expect("one's own");
        assert_eq!(std::fs::read_to_string(edited).expect("read"), "mine");
    }
}
