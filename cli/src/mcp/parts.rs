//! A lever and its parts as texts become files for as long as they are read: so that a proposal by an agent
//! goes through the very code that reads lever files.

use super::output::invalid;
use crate::error::Error;
use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use windlass_shared::path::TreePath;

/// Parts of one lever: patches, scripts, edited files. The same bound as a lever's own lists have.
const PARTS_MAX: usize = 64;
/// Bytes of a lever with all of its parts; one message of the protocol may have 16 MiB.
const BYTES_MAX: usize = 8 << 20;
/// The lever among its parts.
const LEVER: &str = "lever.yaml";

/// A folder of our own that goes when it is dropped.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// An empty one, which nobody else may read.
    pub fn new() -> Result<Self, Error> {
        let path = std::env::temp_dir().join(format!("windlass-{}", uuid::Uuid::new_v4()));
        let failed = |source| Error::File { operation: "make the folder", path: path.clone(), source };
        std::fs::DirBuilder::new().mode(0o700).create(&path).map_err(failed)?;
        Ok(Self { path })
    }

    /// Writes a file into it; the name is a path that stays inside.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf, Error> {
        let inside = TreePath::parse(name)
            .map_err(|problem| invalid(format!("{name:?}: {problem}"), "name it by a relative path"))?;
        let path = self.path.join(inside.as_str());
        let failed = |source| Error::File { operation: "write", path: path.clone(), source };
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).map_err(failed)?;
        std::fs::write(&path, text).map_err(failed)?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed lies in the system's folder for such things.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// The lever file that these texts are.
pub fn lever(text: &str, parts: &BTreeMap<String, String>) -> Result<(Folder, PathBuf), Error> {
    let bytes: usize = parts.values().map(String::len).sum::<usize>() + text.len();
    if parts.len() > PARTS_MAX || bytes > BYTES_MAX {
        let message = format!("the lever has {} parts and {bytes} bytes", parts.len());
        return Err(invalid(message, "one lever is one change: at most 64 parts and 8 MiB"));
    }
    if parts.contains_key(LEVER) {
        return Err(invalid(format!("a part is called {LEVER}"), "give the lever itself under `lever`"));
    }
    let folder = Folder::new()?;
    for (name, text) in parts {
        folder.write(name, text)?;
    }
    let path = folder.write(LEVER, text)?;
    Ok((folder, path))
}
