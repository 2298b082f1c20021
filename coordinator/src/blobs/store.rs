//! The store as a whole: small blobs in the ledger's file, large ones in a folder, and those whose
//! batch is being written at this moment.

use super::large::Large;
use super::pins::{Pins, RENEW_AFTER, now_ms};
use super::{Error, Incoming};
use crate::driver::blocking;
use crate::ledger::{Blob, BlobWriter, Readers};
use bytes::Bytes;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use windlass_proto::CHUNK_BYTES;
use windlass_shared::digest::{Digest, Hash};

/// Up to here a blob lies beside the records: one sync for both.
pub const SMALL_MAX_BYTES: u64 = 32 << 10;

/// Blobs by digest. Cloning shares the store.
#[derive(Clone, Debug)]
pub struct Blobs {
    pub(super) large: Large,
    pub(super) writer: BlobWriter,
    pub(super) readers: Readers,
    pub(super) pins: Pins,
    pending: Arc<Mutex<HashMap<Digest, Bytes>>>,
}

impl Blobs {
    /// Opens the store: `folder` holds the large ones.
    pub fn open(folder: &Path, readers: Readers, writer: BlobWriter) -> Result<Self, Error> {
        let large = Large::open(folder)?;
        Ok(Self { large, writer, readers, pins: Pins::new(), pending: Arc::default() })
    }

    /// Shows blobs to readers while the batch that makes them durable is on its way.
    pub(crate) fn hold(&self, blobs: &[Blob]) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        for blob in blobs {
            // One that is being removed at this moment is committed after that.
            self.pins.touch(blob.digest);
            pending.insert(blob.digest, blob.bytes.clone());
        }
    }

    /// Forgets what [`Blobs::hold`] showed, once it is durable.
    pub(crate) fn release(&self, digests: &[Digest]) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        for digest in digests {
            pending.remove(digest);
        }
    }

    /// Whether a blob is on its way with the batch being written, or the next.
    pub(crate) fn is_pending(&self, digest: Digest) -> bool {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&digest)
    }

    fn pending(&self, digest: Digest) -> Option<Bytes> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).get(&digest).cloned()
    }

    /// Whether the blob is stored or on its way with the batch being written. A key look-up or a stat:
    /// the loop may ask before it appends a record.
    pub fn contains(&self, digest: Digest) -> Result<bool, Error> {
        let stays = self.pins.touch(digest);
        if digest.size_bytes > SMALL_MAX_BYTES {
            return Ok(stays && self.large.contains(digest));
        }
        Ok(self.pending(digest).is_some() || (stays && self.readers.has_blob(digest)?))
    }

    /// Which of these are not stored, in the order given. Those that are found are pinned.
    pub async fn missing(&self, digests: Vec<Digest>) -> Result<Vec<Digest>, Error> {
        let store = self.clone();
        let (missing, old) = blocking(move || {
            let (mut missing, mut old) = (Vec::new(), Vec::new());
            for digest in digests {
                if !store.contains(digest)? {
                    missing.push(digest);
                } else if store.renews(digest)? {
                    old.push(digest);
                }
            }
            Ok::<_, Error>((missing, old))
        })
        .await?;
        if !old.is_empty() {
            self.writer.pin(old).await?;
        }
        Ok(missing)
    }

    /// Renews a large blob's pin; whether a small one's is to be renewed by the writer.
    fn renews(&self, digest: Digest) -> Result<bool, Error> {
        if digest.size_bytes > SMALL_MAX_BYTES {
            self.large.pin(digest)?;
            return Ok(false);
        }
        let renew_after_ms = i64::try_from(RENEW_AFTER.as_millis()).unwrap_or(i64::MAX);
        let pinned_ms = self.readers.blob_pinned_ms(digest)?;
        Ok(pinned_ms.is_some_and(|pinned_ms| now_ms() - pinned_ms > renew_after_ms))
    }

    /// Stores one blob; it is durable on return.
    pub async fn write(&self, digest: Digest, bytes: Bytes) -> Result<(), Error> {
        let found = Digest::of(&bytes);
        if found != digest {
            return Err(Error::Mismatch { claimed: digest, found });
        }
        self.pins.touch_settled(digest).await;
        if digest.size_bytes > SMALL_MAX_BYTES {
            return self.large.write(digest, bytes).await;
        }
        Ok(self.writer.store(vec![Blob { digest, bytes }]).await?)
    }

    /// A stream of blobs that comes in pieces.
    pub fn incoming(&self) -> Incoming {
        Incoming::new(self.clone())
    }

    /// Reads one blob whole and checks it.
    pub async fn read(&self, digest: Digest) -> Result<Bytes, Error> {
        if digest.size_bytes > SMALL_MAX_BYTES {
            return self.large.read(digest).await;
        }
        if let Some(bytes) = self.pending(digest) {
            return Ok(bytes);
        }
        let readers = self.readers.clone();
        let found = blocking(move || readers.blob(digest)).await?;
        let bytes = found.ok_or(Error::Absent { digest })?;
        if Digest::of(&bytes) == digest { Ok(bytes) } else { Err(Error::Damaged { digest }) }
    }

    /// The same, for a thread that may wait for the disk.
    pub(crate) fn read_now(&self, digest: Digest) -> Result<Bytes, Error> {
        let found = match self.pending(digest) {
            Some(bytes) => Some(bytes),
            None if digest.size_bytes > SMALL_MAX_BYTES => self.large.read_now(digest)?,
            None => self.readers.blob(digest)?,
        };
        let bytes = found.ok_or(Error::Absent { digest })?;
        if Digest::of(&bytes) == digest { Ok(bytes) } else { Err(Error::Damaged { digest }) }
    }

    /// Reads one blob piece by piece, so that a large one is never in memory whole. The whole is checked
    /// with the last piece: an error after pieces means that they must be thrown away.
    pub(crate) fn read_pieces(&self, digest: Digest) -> Pieces {
        Pieces { store: self.clone(), digest, offset: 0, hasher: blake3::Hasher::new(), started: false }
    }
}

/// See [`Blobs::read_pieces`].
pub(crate) struct Pieces {
    store: Blobs,
    digest: Digest,
    offset: u64,
    hasher: blake3::Hasher,
    started: bool,
}

impl Pieces {
    /// The next piece; an empty blob has one empty piece.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let size_bytes = self.digest.size_bytes;
        if self.started && self.offset == size_bytes {
            return Ok(None);
        }
        self.started = true;
        if size_bytes <= SMALL_MAX_BYTES {
            self.offset = size_bytes;
            return self.store.read(self.digest).await.map(Some);
        }
        let to = size_bytes.min(self.offset + CHUNK_BYTES as u64);
        let piece = self.store.large.read_range(self.digest, self.offset, to).await?;
        self.hasher.update(&piece);
        self.offset = to;
        let whole = to == size_bytes;
        if whole && Hash(*self.hasher.finalize().as_bytes()) != self.digest.hash {
            return Err(Error::Damaged { digest: self.digest });
        }
        Ok(Some(piece))
    }
}
