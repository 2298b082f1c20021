//! Documents on disk that are whole or not there: written beside, synced, renamed. Knows no meaning.

use crate::error::Error;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Writes `value` as JSON so that after a crash the old bytes or the new ones are there, never half.
pub fn write<T: Serialize>(path: &Path, value: &T) -> Result<(), Error> {
    let bytes = serde_json::to_vec(value).expect("our documents are always representable");
    let beside = path.with_extension("new");
    let mut file = File::create(&beside).map_err(Error::file("create", &beside))?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(Error::file("write", &beside))?;
    fs::rename(&beside, path).map_err(Error::file("rename into", path))?;
    sync_folder(path.parent().unwrap_or(Path::new("/")))
}

/// Reads a document; `None` when there is none.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::file("read", path)(error)),
    };
    let parsed = serde_json::from_slice(&bytes);
    parsed.map(Some).map_err(|source| Error::Document { path: path.to_owned(), source })
}

/// Makes a rename in `folder` outlive a power cut.
pub fn sync_folder(folder: &Path) -> Result<(), Error> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::file("sync folder", folder))
}
