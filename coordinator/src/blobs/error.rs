//! What can go wrong with a blob.

use crate::ledger;
use std::path::PathBuf;
use windlass_shared::digest::Digest;

/// A blob that cannot be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was sent is not what its digest says (I16).
    #[error("what was sent as blob {claimed} is blob {found}")]
    Mismatch {
        /// As it was announced.
        claimed: Digest,
        /// As it came.
        found: Digest,
    },
    /// What is stored is no longer what its digest says (I16).
    #[error("blob {digest} is damaged in the store")]
    Damaged {
        /// Which.
        digest: Digest,
    },
    /// There is no such blob.
    #[error("blob {digest} is not in the store")]
    Absent {
        /// Which.
        digest: Digest,
    },
    /// More bytes than a blob may have.
    #[error("blob {digest} is larger than {limit_bytes} bytes")]
    TooLarge {
        /// Which.
        digest: Digest,
        /// The bound.
        limit_bytes: u64,
    },
    /// The folder of large blobs cannot be used.
    #[error("failed to prepare the folder of blobs")]
    Folder(#[source] std::io::Error),
    /// A file of the store could not be listed, pinned or removed.
    #[error("failed to {operation} {path}")]
    File {
        /// What was attempted.
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The store of large blobs cannot be used.
    #[error("failed to open the store of blobs")]
    Open(#[source] Box<object_store::Error>),
    /// A large blob could not be written or read.
    #[error("failed to {operation} blob {digest}")]
    Large {
        /// `write` or `read`.
        operation: &'static str,
        /// Which.
        digest: Digest,
        /// Why.
        #[source]
        source: Box<object_store::Error>,
    },
    /// A small blob could not be written or read.
    #[error("failed to reach the ledger's blobs")]
    Small(#[source] Box<ledger::Error>),
}

impl From<ledger::Error> for Error {
    fn from(error: ledger::Error) -> Self {
        Self::Small(Box::new(error))
    }
}

impl Error {
    /// Wraps a failure of the files with what was attempted.
    pub(super) fn large(
        operation: &'static str,
        digest: Digest,
    ) -> impl FnOnce(object_store::Error) -> Self + Copy {
        move |source| Self::Large { operation, digest, source: Box::new(source) }
    }
}
