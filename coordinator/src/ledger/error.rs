//! What can go wrong with the ledger, each with the path or the record it concerns.

use std::io;
use std::path::PathBuf;

/// A ledger that cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data folder cannot be made or entered.
    #[error("failed to prepare data folder {path}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The data folder lies on a file system whose locks and syncs cannot be relied on.
    #[error(
        "data folder {path} lies on a network file system ({kind}); choose one on a local disk with --data-dir"
    )]
    Network {
        /// The folder.
        path: PathBuf,
        /// The file system's name.
        kind: &'static str,
    },
    /// Another coordinator runs on this folder.
    #[error(
        "another coordinator{} runs on data folder {path}; stop it first, or choose another folder with --data-dir",
        pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
    )]
    Locked {
        /// The folder.
        path: PathBuf,
        /// What the lock file says.
        pid: Option<u32>,
    },
    /// The lock file cannot be used.
    #[error("failed to lock {path}")]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file cannot be opened.
    #[error("failed to open ledger {path}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// SQLite did not take a setting that durability stands on.
    #[error("ledger refuses to start: SQLite answers {name} = {found}, it must be {wanted}")]
    Pragma {
        /// The setting.
        name: &'static str,
        /// What it must be.
        wanted: &'static str,
        /// What it is.
        found: String,
    },
    /// A migration failed.
    #[error("failed to bring the schema of ledger {path} up to date")]
    Migrate {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<refinery::Error>,
    },
    /// A newer Windlass has written here.
    #[error(
        "ledger {path} has schema {found}, this version knows {known}; it was written by windlass {written_by}: use that version or a newer one"
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// Ours.
        known: i64,
        /// Who wrote it last.
        written_by: String,
    },
    /// The list of what was done to the schema is not what any version writes: somebody changed the file.
    #[error("the ledger {path} is damaged where it lists its migrations: {problem}; restore a backup")]
    History {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A record of a kind that this version does not know.
    #[error(
        "record {seq} is of the unknown kind {kind:?}; the ledger was written by windlass {written_by}: use that version or a newer one"
    )]
    UnknownKind {
        /// The record.
        seq: u64,
        /// Its kind.
        kind: String,
        /// Who wrote it last.
        written_by: String,
    },
    /// A record is not what was written.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// An SQL statement failed.
    #[error("failed to {operation}")]
    Sqlite {
        /// What was attempted.
        operation: &'static str,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// A batch that does not go on where the ledger ends.
    #[error("record {found} was to be appended where {expected} comes next")]
    OutOfOrder {
        /// The number that comes next.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// No room for blobs; nothing was stored and nothing else is affected.
    #[error("the disk of the data folder is full")]
    Full,
    /// The writer thread could not be started.
    #[error("failed to start the ledger's writer")]
    Thread(#[source] io::Error),
    /// The writer has ended; nothing more is acknowledged.
    #[error("the ledger's writer has ended")]
    WriterEnded,
}

/// SQLite's word for shared memory that could not be made as large as it must be: the disk is full.
const SHARED_MEMORY_SIZE: i32 = rusqlite::ffi::SQLITE_IOERR_SHMSIZE;

impl Error {
    /// Whether there was no room. Anything else, a failed sync above all, leaves it open what is on the disk.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Full => true,
            Self::Sqlite { source: rusqlite::Error::SqliteFailure(failure, _), .. } => {
                failure.code == rusqlite::ErrorCode::DiskFull || failure.extended_code == SHARED_MEMORY_SIZE
            }
            _ => false,
        }
    }

    /// Wraps an SQL error with what was attempted.
    pub(crate) fn sqlite(operation: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |source| Self::Sqlite { operation, source }
    }
}

/// A record, or what should be one, that is not what was written.
#[derive(Debug, thiserror::Error)]
#[error("ledger is damaged at record {seq}")]
pub struct Damage {
    /// The first bad one.
    pub seq: u64,
    /// What is wrong.
    #[source]
    pub kind: DamageKind,
}

/// What is wrong with a record.
#[derive(Debug, thiserror::Error)]
pub enum DamageKind {
    /// Rows are missing.
    #[error("the next row is {found}")]
    Gap {
        /// The row found in its place.
        found: u64,
    },
    /// It does not follow the record before it.
    #[error("its previous hash is not the hash of the record before it")]
    Unchained,
    /// Its content is not what was hashed.
    #[error("its content does not match its hash")]
    Changed,
    /// A column does not match the body.
    #[error("column `{column}` does not match its body")]
    Column {
        /// Which.
        column: &'static str,
    },
    /// The body is no record.
    #[error("its body cannot be read")]
    Body(#[source] serde_json::Error),
    /// SQLite cannot read on.
    #[error("the file cannot be read from here on")]
    Unreadable(#[source] rusqlite::Error),
}
