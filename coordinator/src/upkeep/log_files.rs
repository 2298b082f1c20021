//! The files of logs, by the attempt that they belong to.

use super::Error;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use windlass_shared::attempt::AttemptKey;

/// One file.
#[derive(Debug)]
pub(super) struct LogFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Its attempt; none when the ledger knows no such attempt.
    pub key: Option<AttemptKey>,
    /// Its bytes.
    pub bytes: u64,
    /// When it was last written to.
    pub modified: SystemTime,
}

/// Every file in the folder of logs, beside the attempts that the ledger knows. A log's files are named
/// `<campaign>/<iteration>.<attempt>.<fence>.<what>`.
pub(super) fn list<'a>(
    root: &Path,
    known: impl Iterator<Item = &'a AttemptKey>,
) -> Result<Vec<LogFile>, Error> {
    let name = |key: &AttemptKey| {
        format!("{}/{}.{}.{}", key.id.campaign, key.id.iteration, key.id.number, key.fence)
    };
    let known: BTreeMap<String, &AttemptKey> = known.map(|key| (name(key), key)).collect();
    let mut found = Vec::new();
    if !root.is_dir() {
        return Ok(found);
    }
    for folder in entries(root)?.into_iter().filter(|path| path.is_dir()) {
        let campaign = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        for path in entries(&folder)?.into_iter().filter(|path| path.is_file()) {
            let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let stem: Vec<&str> = file.split('.').take(3).collect();
            let key = known.get(&format!("{campaign}/{}", stem.join("."))).map(|key| (*key).clone());
            let metadata = match std::fs::metadata(&path) {
                // Compressed meanwhile, under another name: the next look sees it.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                metadata => metadata.map_err(Error::file("look at", &path))?,
            };
            let modified = metadata.modified().map_err(Error::file("look at", &path))?;
            found.push(LogFile { path, key, bytes: metadata.len(), modified });
        }
    }
    Ok(found)
}

/// What a folder holds, by name.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let fail = || Error::file("list", folder);
    let entries = std::fs::read_dir(folder).map_err(fail())?;
    let mut paths =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>().map_err(fail())?;
    paths.sort();
    Ok(paths)
}
