//! `ledger verify`: offline or beside a running coordinator, read-only. It changes nothing, not even by
//! repairing.

use super::{Error, Head, file_in, open::walk, schema};
use crate::snapshot::{self, Snapshot};
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use std::path::{Path, PathBuf};
use windlass_engine::core::Durable;
use windlass_shared::digest::{Digest, Hash};

/// A ledger whose every record is what was written. A cut tail leaves a whole chain behind: only a
/// head noted elsewhere shows it, which is why the head is part of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Records checked.
    pub records: u64,
    /// The hash of the last one; 32 zero bytes when there is none.
    pub head: Hash,
    /// Small blobs checked against their digests (I16).
    pub blobs: u64,
    /// The snapshot beside it.
    pub snapshot: Found,
}

/// What a ledger's snapshot is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// There is none.
    None,
    /// It is what a replay of the records up to this one gives, byte for byte.
    Agrees {
        /// The last record that it rests on.
        seq: u64,
    },
    /// A start would not believe it and replay every record; harmless.
    Unused {
        /// Why.
        why: String,
    },
}

/// Why a ledger does not verify.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// There is no such file.
    #[error("there is no ledger at {path}")]
    Absent {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file cannot be read, or a record in it is not what was written.
    #[error(transparent)]
    Ledger(#[from] Error),
    /// A blob is not what its digest says.
    #[error("blob {digest} in the ledger is not what its digest says")]
    Blob {
        /// Which.
        digest: Digest,
    },
    /// A start would believe a snapshot that is not what the records say.
    #[error("the snapshot after record {seq} is not what a replay gives; remove {path}")]
    Snapshot {
        /// The last record that it rests on.
        seq: u64,
        /// The file.
        path: PathBuf,
    },
    /// SQLite's own check found something.
    #[error("the ledger's file is damaged: {finding}")]
    File {
        /// In SQLite's words, the first finding only.
        finding: String,
    },
}

/// Checks a ledger: the file of one, or the data folder it lies in.
pub fn verify(path: &Path) -> Result<Verified, VerifyError> {
    let path = if path.is_dir() { file_in(path) } else { path.to_owned() };
    if !path.is_file() {
        return Err(VerifyError::Absent { path });
    }
    let connection = open_read_only(&path)?;
    schema::refuse_newer(&connection, &path)?;
    schema::check_history(&connection, &path)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let (head, snapshot) = check_records(&connection, folder)?;
    let blobs = check_blobs(&connection)?;
    check_file(&connection)?;
    Ok(Verified { records: head.seq, head: head.hash, blobs, snapshot })
}

/// Every record, and the snapshot against a fold of them.
fn check_records(connection: &Connection, folder: &Path) -> Result<(Head, Found), VerifyError> {
    let unused = |why: &dyn std::error::Error| Found::Unused { why: why.to_string() };
    let snapshot = match Snapshot::open(folder) {
        Ok(snapshot) => snapshot,
        Err(refused) => return Ok((walk(connection, Head::EMPTY, None, drop)?, unused(&refused))),
    };
    let Some(snapshot) = snapshot else {
        return Ok((walk(connection, Head::EMPTY, None, drop)?, Found::None));
    };
    let mut fold = Durable::default();
    let there = walk(connection, Head::EMPTY, Some(snapshot.head.seq), |record| fold.apply(&record))?;
    let found = if there != snapshot.head {
        unused(&snapshot::Refused::Unchained { seq: snapshot.head.seq })
    } else if snapshot.is_of(&fold) {
        Found::Agrees { seq: there.seq }
    } else {
        let path = snapshot::file_in(folder);
        return Err(VerifyError::Snapshot { seq: there.seq, path });
    };
    Ok((walk(connection, there, None, drop)?, found))
}

/// A reader of a WAL file wants to make the shared-memory file beside it; where the folder cannot be
/// written, nobody else can write either, and the file can be read as it stands.
pub(crate) fn open_read_only(path: &Path) -> Result<Connection, Error> {
    let connection = schema::open_reader(path)?;
    let probe = connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get::<_, i64>(0));
    match probe {
        Err(rusqlite::Error::SqliteFailure(failure, _))
            if failure.code == rusqlite::ErrorCode::CannotOpen
                || failure.code == rusqlite::ErrorCode::ReadOnly =>
        {
            let open = |source| Error::Open { path: path.to_owned(), source };
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
            Connection::open_with_flags(immutable_uri(path), flags).map_err(open)
        }
        Err(source) => Err(Error::Open { path: path.to_owned(), source }),
        Ok(_) => Ok(connection),
    }
}

/// `file:` with everything but plain characters escaped.
fn immutable_uri(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                uri.push(char::from(*byte))
            }
            byte => uri.push_str(&format!("%{byte:02x}")),
        }
    }
    uri + "?immutable=1"
}

fn check_blobs(connection: &Connection) -> Result<u64, VerifyError> {
    let read = || Error::sqlite("read the blobs");
    let mut statement = connection.prepare("SELECT hash, size, data FROM blobs").map_err(read())?;
    let mut rows = statement.query([]).map_err(read())?;
    let mut blobs = 0;
    while let Some(row) = rows.next().map_err(read())? {
        let hash = Hash(row.get(0).map_err(read())?);
        let size_bytes = row.get::<_, i64>(1).map_err(read())?.cast_unsigned();
        let data: Vec<u8> = row.get(2).map_err(read())?;
        let digest = Digest { hash, size_bytes };
        if Digest::of(&data) != digest {
            return Err(VerifyError::Blob { digest });
        }
        blobs += 1;
    }
    Ok(blobs)
}

/// Pages that no record lies on: indexes, free lists.
fn check_file(connection: &Connection) -> Result<(), VerifyError> {
    let finding: String = connection
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(Error::sqlite("check the file"))?;
    if finding == "ok" { Ok(()) } else { Err(VerifyError::File { finding }) }
}

/// Where the ledger in this file ends, unchecked; none when there is no such file.
pub(crate) fn head_of(path: &Path) -> Result<Option<Head>, Error> {
    if !path.is_file() {
        return Ok(None);
    }
    let connection = open_read_only(path)?;
    let last = connection
        .query_row("SELECT seq, hash FROM records ORDER BY seq DESC LIMIT 1", [], |row| {
            Ok(Head { seq: row.get::<_, i64>(0)?.cast_unsigned(), hash: Hash(row.get(1)?) })
        })
        .optional()
        .map_err(Error::sqlite("read the head"))?;
    Ok(Some(last.unwrap_or(Head::EMPTY)))
}
