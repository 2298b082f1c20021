//! Opening a ledger: lock, migrate, and replay every record with its link in the chain checked.

use super::row::{COLUMNS, Row};
use super::writer::Writer;
use super::{Damage, DamageKind, DataLock, Error, Head, Readers, place, schema};
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use windlass_shared::record::{Body, Record};

/// The ledger of a data folder.
pub fn file_in(data_dir: &Path) -> PathBuf {
    data_dir.join("ledger.sqlite3")
}

/// An open ledger: one writer, any number of readers, and the lock on the folder.
#[derive(Debug)]
pub struct Ledger {
    /// Appends; there is one.
    pub writer: Writer,
    /// Read what is committed.
    pub readers: Readers,
    /// The last record found.
    pub head: Head,
    /// Kept until the ledger is closed.
    pub lock: DataLock,
}

/// Opens the ledger of `data_dir`, making it if it is not there, and gives every record to `each`.
pub fn open(data_dir: &Path, each: impl FnMut(Record)) -> Result<Ledger, Error> {
    prepare(data_dir)?;
    place::refuse_network(data_dir)?;
    let lock = DataLock::take(data_dir)?;
    let path = file_in(data_dir);
    let connection = schema::open_writer(&path)?;
    let head = walk(&connection, each)?;
    schema::sign(&connection)?;
    let readers = Readers::new(path);
    let writer = Writer::start(connection, head)?;
    Ok(Ledger { writer, readers, head, lock })
}

/// The data folder is its owner's alone: logs and blobs may hold what a campaign must not leak.
fn prepare(data_dir: &Path) -> Result<(), Error> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data_dir)
        .map_err(|source| Error::Folder { path: data_dir.to_owned(), source })
}

/// Streams every record in order, checking the chain; returns where it ends.
pub(crate) fn walk(connection: &Connection, mut each: impl FnMut(Record)) -> Result<Head, Error> {
    let mut head = Head::EMPTY;
    let unreadable =
        |head: Head| move |error| Damage { seq: head.seq + 1, kind: DamageKind::Unreadable(error) };
    let mut statement = connection
        .prepare(&format!("SELECT {COLUMNS} FROM records ORDER BY seq"))
        .map_err(Error::sqlite("read the records"))?;
    let mut rows = statement.query([]).map_err(Error::sqlite("read the records"))?;
    while let Some(row) = rows.next().map_err(unreadable(head))? {
        let row = Row::read(row).map_err(unreadable(head))?;
        if !Body::KINDS.contains(&row.kind.as_str()) {
            let written_by = schema::written_by(connection);
            return Err(Error::UnknownKind { seq: row.seq, kind: row.kind, written_by });
        }
        let record = row.check(head)?;
        head = Head { seq: row.seq, hash: row.hash };
        each(record);
    }
    Ok(head)
}
