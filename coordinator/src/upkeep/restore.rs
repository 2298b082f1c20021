//! `ledger restore`: a backup becomes a data folder. Every blob is checked on its way; the ledger comes last,
//! so that a copy that was cut off never looks like a data folder. The next start records a new incarnation:
//! no fencing number is ever used again (I15).

use super::log_files::entries;
use super::manifest::{self, Manifest};
use super::{Error, copy};
use crate::blobs;
use crate::ledger;
use std::path::Path;

/// What restoring `source` into `data_dir` would give: the whole backup is read and checked, and nothing is written.
pub fn restore_plan(source: &Path, data_dir: &Path) -> Result<Manifest, Error> {
    if data_dir.exists() && !entries(data_dir)?.is_empty() {
        return Err(Error::Occupied { path: data_dir.to_owned() });
    }
    super::check(source)?.ok_or_else(|| Error::NoBackup { path: source.to_owned() })
}

/// Restores `source` into `data_dir`, which must be empty or absent.
pub fn restore(source: &Path, data_dir: &Path) -> Result<Manifest, Error> {
    let manifest = Manifest::of(source)?;
    copy::folder(data_dir)?;
    if !entries(data_dir)?.is_empty() {
        return Err(Error::Occupied { path: data_dir.to_owned() });
    }
    manifest::begin(data_dir)?;
    let from = source.join("blobs");
    if from.is_dir() {
        for (path, digest) in blobs::files(&from)? {
            let (Some(digest), Ok(place)) = (digest, path.strip_prefix(source)) else { continue };
            copy::blob(&path, &data_dir.join(place), digest)?;
        }
    }
    let logs = source.join("logs");
    if logs.is_dir() {
        for folder in entries(&logs)?.into_iter().filter(|path| path.is_dir()) {
            for file in entries(&folder)?.into_iter().filter(|path| path.is_file()) {
                let Ok(place) = file.strip_prefix(source) else { continue };
                copy::file(&file, &data_dir.join(place))?;
            }
        }
    }
    copy::file(&ledger::file_in(source), &ledger::file_in(data_dir))?;
    manifest::end(data_dir)?;
    Ok(manifest)
}
