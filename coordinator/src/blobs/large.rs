//! Large blobs: files behind `object_store`, synced before they count, never changed afterwards.

use super::Error;
use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use windlass_shared::digest::Digest;

/// The folder of large blobs. Cloning shares it.
#[derive(Clone, Debug)]
pub(super) struct Large {
    root: PathBuf,
    files: Arc<LocalFileSystem>,
}

impl Large {
    /// Opens the folder, making it if it is not there.
    pub fn open(root: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(root).map_err(Error::Folder)?;
        let files = LocalFileSystem::new_with_prefix(root)
            .map_err(|error| Error::Open(Box::new(error)))?
            .with_fsync(true);
        Ok(Self { root: root.to_owned(), files: Arc::new(files) })
    }

    /// `ab/<hash>.<size>`: 256 folders keep each one short.
    fn place(digest: Digest) -> String {
        let hash = digest.hash.to_string();
        format!("{}/{hash}.{}", &hash[..2], digest.size_bytes)
    }

    fn object(digest: Digest) -> ObjectPath {
        ObjectPath::from(Self::place(digest))
    }

    /// Whether it is there with its size; one stat.
    pub fn contains(&self, digest: Digest) -> bool {
        let path = self.root.join(Self::place(digest));
        std::fs::metadata(path).is_ok_and(|metadata| metadata.len() == digest.size_bytes)
    }

    /// Writes checked bytes; they are synced on return.
    pub async fn write(&self, digest: Digest, bytes: Bytes) -> Result<(), Error> {
        let object = Self::object(digest);
        let fail = Error::large("write", digest);
        let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.files.put_opts(&object, PutPayload::from(bytes.clone()), create).await {
            Ok(_) => return Ok(()),
            Err(object_store::Error::AlreadyExists { .. }) => {}
            Err(source) => return Err(fail(source)),
        }
        // Sent again: the good bytes in hand replace a copy that has been damaged meanwhile.
        match self.read(digest).await {
            Ok(_) => Ok(()),
            Err(_) => {
                let payload = PutPayload::from(bytes);
                self.files.put_opts(&object, payload, PutOptions::default()).await.map(|_| ()).map_err(fail)
            }
        }
    }

    /// Begins a blob that comes in pieces; it appears when the upload is completed, synced.
    pub async fn begin(&self, digest: Digest) -> Result<Box<dyn MultipartUpload>, Error> {
        let fail = Error::large("write", digest);
        self.files.put_multipart(&Self::object(digest)).await.map_err(fail)
    }

    /// Reads it whole and checks it.
    pub async fn read(&self, digest: Digest) -> Result<Bytes, Error> {
        let bytes = match self.files.get(&Self::object(digest)).await {
            Ok(found) => found.bytes().await.map_err(|source| Self::unreadable(digest, source))?,
            Err(source) => return Err(Self::unreadable(digest, source)),
        };
        if Digest::of(&bytes) == digest { Ok(bytes) } else { Err(Error::Damaged { digest }) }
    }

    /// One piece, unchecked: who reads in pieces checks the whole.
    pub async fn read_range(&self, digest: Digest, from: u64, to: u64) -> Result<Bytes, Error> {
        self.files
            .get_range(&Self::object(digest), from..to)
            .await
            .map_err(|source| Self::unreadable(digest, source))
    }

    fn unreadable(digest: Digest, source: object_store::Error) -> Error {
        match source {
            object_store::Error::NotFound { .. } => Error::Absent { digest },
            source => Error::large("read", digest)(source),
        }
    }
}
