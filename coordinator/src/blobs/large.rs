//! Large blobs: files behind `object_store`, synced before they count, never changed afterwards.

use super::{Error, RENEW_AFTER, Stored};
use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use windlass_shared::digest::Digest;

/// The folder of large blobs. Cloning shares it.
#[derive(Clone, Debug)]
pub(crate) struct Large {
    root: PathBuf,
    files: Arc<LocalFileSystem>,
}

impl Large {
    /// Opens the folder, making it if it is not there.
    pub fn open(root: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(root).map_err(Error::Folder)?;
        clean(root)?;
        let files = LocalFileSystem::new_with_prefix(root)
            .map_err(|error| Error::Open(Box::new(error)))?
            .with_fsync(true);
        Ok(Self { root: root.to_owned(), files: Arc::new(files) })
    }

    /// `ab/<hash>.<size>`: 256 folders keep each one short.
    pub(crate) fn place(digest: Digest) -> String {
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

    /// Notes that somebody counts on it: a file's own time is its pin. One that is young is left as it is.
    pub fn pin(&self, digest: Digest) -> Result<(), Error> {
        let path = self.root.join(Self::place(digest));
        let fail = |source| Error::File { operation: "pin", path: path.clone(), source };
        let modified = std::fs::metadata(&path).and_then(|metadata| metadata.modified()).map_err(fail)?;
        let now = SystemTime::now();
        if now.duration_since(modified).is_ok_and(|age| age <= RENEW_AFTER) {
            return Ok(());
        }
        OpenOptions::new().append(true).open(&path).and_then(|file| file.set_modified(now)).map_err(fail)
    }

    /// Every blob in the folder, with its pin.
    pub fn list(&self) -> Result<Vec<Stored>, Error> {
        let mut stored = Vec::new();
        for (path, digest) in files(&self.root)? {
            let Some(digest) = digest else { continue };
            let fail = |source| Error::File { operation: "look at", path: path.clone(), source };
            let modified = std::fs::metadata(&path).and_then(|metadata| metadata.modified()).map_err(fail)?;
            let since = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let pinned_ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
            stored.push(Stored { digest, pinned_ms });
        }
        Ok(stored)
    }

    /// Removes one; it is no failure that it is gone already.
    pub fn remove(&self, digest: Digest) -> Result<(), Error> {
        let path = self.root.join(Self::place(digest));
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                Err(Error::File { operation: "remove", path, source })
            }
            _ => Ok(()),
        }
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

    /// Reads it whole, unchecked, on a thread that may wait for the disk.
    pub fn read_now(&self, digest: Digest) -> Result<Option<Bytes>, Error> {
        let path = self.root.join(Self::place(digest));
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(source) if source.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::File { operation: "read", path, source }),
        }
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

/// Every file of the folder; a name that is no blob's gives none.
pub(crate) fn files(root: &Path) -> Result<Vec<(PathBuf, Option<Digest>)>, Error> {
    let list = |folder: &Path| {
        let fail = |source| Error::File { operation: "list", path: folder.to_owned(), source };
        let entries =
            std::fs::read_dir(folder).map_err(fail)?.collect::<Result<Vec<_>, _>>().map_err(fail)?;
        Ok::<_, Error>(entries.into_iter().map(|entry| entry.path()).collect::<Vec<_>>())
    };
    let mut found = Vec::new();
    for folder in list(root)?.into_iter().filter(|path| path.is_dir()) {
        for path in list(&folder)? {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let digest =
                name.split_once('.').and_then(|(hash, size)| Digest::parse(&format!("{hash}:{size}")));
            found.push((path, digest));
        }
    }
    Ok(found)
}

/// Removes what an upload left that was killed in the middle: nobody can go on with it.
fn clean(root: &Path) -> Result<(), Error> {
    for (path, digest) in files(root)? {
        if digest.is_some() {
            continue;
        }
        std::fs::remove_file(&path).map_err(|source| Error::File {
            operation: "remove",
            path: path.clone(),
            source,
        })?;
        tracing::info!(path = %path.display(), "an upload that was cut off is removed");
    }
    Ok(())
}
