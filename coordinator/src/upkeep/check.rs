//! Whether a backup is whole: its ledger is the one that its manifest describes, and every blob that its
//! records need is there and is what its digest says (I16).

use super::backup::read;
use super::needs::Needs;
use super::{Error, Manifest};
use crate::ledger::{self, Head, VerifyError};
use std::path::Path;

/// Checks a backup and everything in it; returns its manifest, none where the folder is no backup.
pub fn check(folder: &Path) -> Result<Option<Manifest>, Error> {
    if !Manifest::is_in(folder) {
        return Ok(None);
    }
    let manifest = Manifest::of(folder)?;
    let connection = ledger::open_read_only(&ledger::file_in(folder)).map_err(VerifyError::from)?;
    let mut needs = Needs::default();
    ledger::walk(&connection, Head::EMPTY, None, |record| needs.take(&record))?;
    let blobs = folder.join("blobs");
    for digest in needs.blobs(|digest| read(&connection, &blobs, digest))? {
        read(&connection, &blobs, digest)?;
    }
    Ok(Some(manifest))
}
