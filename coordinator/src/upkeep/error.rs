//! What can go wrong with upkeep, each with the path or blob it concerns.

use crate::{blobs, ledger};
use std::io;
use std::path::PathBuf;
use windlass_shared::digest::Digest;

/// Upkeep that could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file failed.
    #[error("failed to {operation} {path}")]
    File {
        /// What was attempted.
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    /// A ledger that does not verify.
    #[error(transparent)]
    Verify(#[from] ledger::VerifyError),
    /// The blobs failed.
    #[error(transparent)]
    Blobs(#[from] blobs::Error),
    /// SQLite could not copy the ledger.
    #[error("failed to copy the ledger to {path}")]
    Copy {
        /// Where to.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// A record names a blob that is not there.
    #[error("blob {digest}, which the ledger names, is not in the store")]
    Missing {
        /// Which.
        digest: Digest,
    },
    /// A blob whose bytes are not what its name says (I16).
    #[error("blob {digest} at {path} is damaged")]
    Damaged {
        /// Which.
        digest: Digest,
        /// Its file.
        path: PathBuf,
    },
    /// A blob that a record names as a tree and that is none.
    #[error("blob {digest} is named as a tree and cannot be read as one")]
    NoTree {
        /// Which.
        digest: Digest,
        /// Why.
        #[source]
        source: windlass_shared::tree::ManifestError,
    },
    /// There is no ledger to copy.
    #[error("there is no ledger in {path}")]
    Absent {
        /// The folder.
        path: PathBuf,
    },
    /// A folder with other things in it.
    #[error("{path} is not empty and holds no backup")]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// A folder that is to be restored into, with something in it.
    #[error("{path} has something in it already, and nothing is restored over that")]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// A backup of another ledger, or of one that has gone another way since.
    #[error("{path} holds the backup of another ledger: its record {seq} is not in this one")]
    Foreign {
        /// The backup.
        path: PathBuf,
        /// The backup's last record.
        seq: u64,
    },
    /// Copying into itself.
    #[error("{path} lies in the folder that is copied")]
    Inside {
        /// The destination.
        path: PathBuf,
    },
    /// A copy that was cut off.
    #[error("{path} holds a copy that was never finished; take it again, or choose another folder")]
    Unfinished {
        /// The folder.
        path: PathBuf,
    },
    /// A folder that holds no backup.
    #[error("{path} holds no backup")]
    NoBackup {
        /// The folder.
        path: PathBuf,
    },
    /// A backup whose ledger is not the one that its manifest describes.
    #[error(
        "the ledger in {path} is not the one that its backup.json describes: it was used or cut off since"
    )]
    Moved {
        /// The folder.
        path: PathBuf,
    },
    /// A manifest that cannot be read.
    #[error("failed to read {path}")]
    Manifest {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// Somebody else is at it.
    #[error("{what} is under way in {path}")]
    Busy {
        /// `a backup`, `a collection of garbage`.
        what: &'static str,
        /// The data folder.
        path: PathBuf,
    },
}

impl Error {
    /// Wraps a failure of a file with what was attempted.
    pub(super) fn file(operation: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { operation, path, source }
    }
}
