//! Copies of single files: whole, synced and checked, or not there.

use super::Error;
use super::manifest::sync_folder;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use windlass_shared::digest::{Digest, Hash};

/// Read and written at once.
const BLOCK_BYTES: usize = 1 << 20;

/// Makes a folder that is its owner's alone.
pub(super) fn folder(path: &Path) -> Result<(), Error> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(Error::file("make", path))
}

/// Copies a blob, unless its copy is there. What is copied is checked on the way (I16). Returns the bytes
/// that were written.
pub(super) fn blob(from: &Path, to: &Path, digest: Digest) -> Result<u64, Error> {
    if std::fs::metadata(to).is_ok_and(|there| there.len() == digest.size_bytes) {
        return Ok(0);
    }
    let mut hasher = blake3::Hasher::new();
    let copied = stream(from, to, u64::MAX, |block| {
        hasher.update(block);
    })?;
    let found = Digest { hash: Hash(*hasher.finalize().as_bytes()), size_bytes: copied.bytes };
    if found != digest {
        std::fs::remove_file(&copied.beside).map_err(Error::file("remove", &copied.beside))?;
        return Err(Error::Damaged { digest, path: from.to_owned() });
    }
    copied.publish(to)
}

/// Copies a file as far as it reaches now. Returns its bytes.
pub(super) fn file(from: &Path, to: &Path) -> Result<u64, Error> {
    let length = std::fs::metadata(from).map_err(Error::file("look at", from))?.len();
    stream(from, to, length, |_| {})?.publish(to)
}

/// A copy beside its place.
struct Copied {
    beside: PathBuf,
    bytes: u64,
}

impl Copied {
    fn publish(self, to: &Path) -> Result<u64, Error> {
        std::fs::rename(&self.beside, to).map_err(Error::file("put into place", to))?;
        to.parent().map_or(Ok(()), sync_folder)?;
        Ok(self.bytes)
    }
}

fn stream(from: &Path, to: &Path, limit: u64, mut seen: impl FnMut(&[u8])) -> Result<Copied, Error> {
    if let Some(parent) = to.parent() {
        folder(parent)?;
    }
    let name = to.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let beside = to.with_file_name(format!("{name}#new"));
    let mut source = File::open(from).map_err(Error::file("open", from))?.take(limit);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut target = options.open(&beside).map_err(Error::file("make", &beside))?;
    let mut block = vec![0; BLOCK_BYTES];
    let mut bytes = 0;
    loop {
        let read = source.read(&mut block).map_err(Error::file("read", from))?;
        if read == 0 {
            break;
        }
        seen(&block[..read]);
        target.write_all(&block[..read]).map_err(Error::file("write", &beside))?;
        bytes += read as u64;
    }
    target.sync_all().map_err(Error::file("sync", &beside))?;
    Ok(Copied { beside, bytes })
}
