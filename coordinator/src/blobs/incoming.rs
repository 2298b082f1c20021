//! Blobs that arrive in pieces, one after another: small ones are gathered into one commit, a large one
//! goes to its file as it comes and appears there only when it is whole and is what it claims.

use super::{Blobs, Error, SMALL_MAX_BYTES};
use crate::ledger::Blob;
use bytes::{Bytes, BytesMut};
use object_store::{MultipartUpload, PutPayload};
use windlass_shared::digest::{Digest, Hash};

/// Small blobs that are gathered before they are committed: memory of one stream.
const GATHERED_MAX_BYTES: u64 = 4 << 20;
/// Bytes of a large blob that are gathered before they are written.
const PART_BYTES: usize = 1 << 20;
/// The largest blob: a checkpoint of a large model is of this order, a runaway writer is not.
const BLOB_MAX_BYTES: u64 = 64 << 30;

/// The receiving side of one stream.
pub struct Incoming {
    store: Blobs,
    current: Option<Current>,
    gathered: Vec<Blob>,
    gathered_bytes: u64,
    stored: u64,
}

struct Current {
    digest: Digest,
    received_bytes: u64,
    hasher: blake3::Hasher,
    buffer: BytesMut,
    upload: Option<Box<dyn MultipartUpload>>,
}

impl Incoming {
    pub(super) fn new(store: Blobs) -> Self {
        Self { store, current: None, gathered: Vec::new(), gathered_bytes: 0, stored: 0 }
    }

    /// Ends the blob before, if there is one, and begins the next.
    pub async fn begin(&mut self, digest: Digest) -> Result<(), Error> {
        self.end_current().await?;
        if digest.size_bytes > BLOB_MAX_BYTES {
            return Err(Error::TooLarge { digest, limit_bytes: BLOB_MAX_BYTES });
        }
        self.store.pins.touch_settled(digest).await;
        let upload = match digest.size_bytes {
            0..=SMALL_MAX_BYTES => None,
            _ => Some(self.store.large.begin(digest).await?),
        };
        self.current = Some(Current {
            digest,
            received_bytes: 0,
            hasher: blake3::Hasher::new(),
            buffer: BytesMut::new(),
            upload,
        });
        Ok(())
    }

    /// The next piece of the current blob. False: no blob was begun.
    pub async fn push(&mut self, piece: Bytes) -> Result<bool, Error> {
        let Some(current) = &mut self.current else { return Ok(piece.is_empty()) };
        current.received_bytes += piece.len() as u64;
        if current.received_bytes > current.digest.size_bytes {
            let digest = current.digest;
            self.abandon().await;
            return Err(Error::TooLarge { digest, limit_bytes: digest.size_bytes });
        }
        current.hasher.update(&piece);
        current.buffer.extend_from_slice(&piece);
        if current.upload.is_some() && current.buffer.len() >= PART_BYTES {
            current.flush().await?;
        }
        Ok(true)
    }

    /// Ends the stream: everything is durable. Returns how many blobs came.
    pub async fn finish(mut self) -> Result<u64, Error> {
        self.end_current().await?;
        self.commit().await?;
        Ok(self.stored)
    }

    /// Drops the current blob; what was written of it does not stay behind.
    pub async fn abandon(&mut self) {
        if let Some(upload) = self.current.take().and_then(|current| current.upload) {
            let mut upload = upload;
            if let Err(error) = upload.abort().await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a half-written blob was left behind"
                );
            }
        }
    }

    async fn end_current(&mut self) -> Result<(), Error> {
        let Some(current) = &self.current else { return Ok(()) };
        let hash = Hash(*current.hasher.finalize().as_bytes());
        let found = Digest { hash, size_bytes: current.received_bytes };
        let digest = current.digest;
        if found != digest {
            self.abandon().await;
            return Err(Error::Mismatch { claimed: digest, found });
        }
        let Some(mut current) = self.current.take() else { return Ok(()) };
        self.stored += 1;
        if current.upload.is_some() {
            current.flush().await?;
            if let Some(mut upload) = current.upload.take() {
                let fail = Error::large("write", digest);
                upload.complete().await.map_err(fail)?;
            }
            return Ok(());
        }
        self.gathered_bytes += digest.size_bytes;
        self.gathered.push(Blob { digest, bytes: current.buffer.freeze() });
        if self.gathered_bytes >= GATHERED_MAX_BYTES { self.commit().await } else { Ok(()) }
    }

    async fn commit(&mut self) -> Result<(), Error> {
        self.gathered_bytes = 0;
        let blobs = std::mem::take(&mut self.gathered);
        if blobs.is_empty() { Ok(()) } else { Ok(self.store.writer.store(blobs).await?) }
    }
}

impl Current {
    async fn flush(&mut self) -> Result<(), Error> {
        let digest = self.digest;
        let part = self.buffer.split().freeze();
        let Some(upload) = &mut self.upload else { return Ok(()) };
        if part.is_empty() {
            return Ok(());
        }
        let fail = Error::large("write", digest);
        upload.put_part(PutPayload::from(part)).await.map_err(fail)
    }
}
