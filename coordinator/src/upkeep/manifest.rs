//! `backup.json`: what tells a whole backup from one that was cut off.

use super::Error;
use crate::ledger::{self, Head};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use windlass_shared::digest::Hash;

/// The manifest of a whole backup.
const WHOLE: &str = "backup.json";
/// The same while it is put in place: valid where the ledger is the one that it describes.
const NEXT: &str = "backup.json.new";
/// Stands in a folder while something is copied into it.
const PARTIAL: &str = "backup.partial";

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// `windlass.backup/1`.
    pub schema: String,
    /// The version that took it.
    pub version: String,
    /// When, wall time.
    pub taken_wall_ms: i64,
    /// Records in its ledger: the head's number.
    pub records: u64,
    /// The head's hash.
    pub head: Hash,
    /// Blobs that its records need, small and large.
    pub blobs: u64,
    /// Their bytes.
    pub blob_bytes: u64,
    /// Log files; none when logs were left out.
    pub logs: Option<u64>,
    /// Their bytes.
    pub log_bytes: u64,
}

impl Manifest {
    /// Where the ledger of its backup ends.
    pub(super) fn head(&self) -> Head {
        Head { seq: self.records, hash: self.head }
    }

    /// The manifest of a whole backup.
    ///
    /// # Errors
    /// Says whether there is none, whether the backup was cut off, and whether its ledger is another by now.
    pub fn of(folder: &Path) -> Result<Self, Error> {
        let mut is_any = false;
        for name in [WHOLE, NEXT] {
            let Some(manifest) = read(&folder.join(name))? else { continue };
            is_any = true;
            if ledger::head_of(&ledger::file_in(folder))? == Some(manifest.head()) {
                return Ok(manifest);
            }
        }
        let path = folder.to_owned();
        match is_any {
            true => Err(Error::Moved { path }),
            false if folder.join(PARTIAL).exists() => Err(Error::Unfinished { path }),
            false => Err(Error::NoBackup { path }),
        }
    }

    /// Whether a folder holds a backup, whole or begun.
    pub(super) fn is_in(folder: &Path) -> bool {
        [WHOLE, NEXT, PARTIAL].iter().any(|name| folder.join(name).exists())
    }

    /// Writes it beside its place, synced.
    pub(super) fn prepare(&self, folder: &Path) -> Result<(), Error> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("a manifest is always representable");
        bytes.push(b'\n');
        write(&folder.join(NEXT), &bytes)
    }

    /// Puts the prepared one into its place.
    pub(super) fn publish(folder: &Path) -> Result<(), Error> {
        let (next, whole) = (folder.join(NEXT), folder.join(WHOLE));
        std::fs::rename(&next, &whole).map_err(Error::file("put into place", next))?;
        sync_folder(folder)
    }
}

fn read(path: &Path) -> Result<Option<Manifest>, Error> {
    match std::fs::read(path) {
        Ok(bytes) => {
            let read = serde_json::from_slice(&bytes);
            read.map(Some).map_err(|source| Error::Manifest { path: path.to_owned(), source })
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::file("read", path)(source)),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(path).map_err(Error::file("make", path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(Error::file("write", path))
}

/// Marks a folder as one that is being filled.
pub(super) fn begin(folder: &Path) -> Result<(), Error> {
    write(&folder.join(PARTIAL), b"a copy into this folder has begun and has not ended\n")?;
    sync_folder(folder)
}

/// It is filled.
pub(super) fn end(folder: &Path) -> Result<(), Error> {
    let path = folder.join(PARTIAL);
    std::fs::remove_file(&path).map_err(Error::file("remove", path))?;
    sync_folder(folder)
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> Result<(), Error> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::file("sync", folder))
}

/// Refuses a data folder in which a copy was cut off before its ledger was there: an empty ledger made in
/// its place would look like the one that was to be restored.
pub fn refuse_unfinished(data_dir: &Path) -> Result<(), Error> {
    match data_dir.join(PARTIAL).exists() && !ledger::file_in(data_dir).exists() {
        true => Err(Error::Unfinished { path: data_dir.to_owned() }),
        false => Ok(()),
    }
}
