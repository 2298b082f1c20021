//! Opening a ledger: lock, migrate, and replay with every link in the chain checked, from the beginning or
//! from a place that the chain is known to go through.

use super::row::{COLUMNS, Row};
use super::writer::Writer;
use super::{Damage, DamageKind, DataLock, Error, Head, Readers, place, schema};
use rusqlite::{Connection, OptionalExtension};
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
    Opening::begin(data_dir)?.finish(Head::EMPTY, each)
}

/// A ledger that is locked and migrated and whose records are still to be read.
#[derive(Debug)]
pub struct Opening {
    path: PathBuf,
    connection: Connection,
    lock: DataLock,
}

impl Opening {
    /// Locks the folder and opens the file in it, making both if they are not there.
    pub fn begin(data_dir: &Path) -> Result<Self, Error> {
        prepare(data_dir)?;
        place::refuse_network(data_dir)?;
        let lock = DataLock::take(data_dir)?;
        let path = file_in(data_dir);
        let connection = schema::open_writer(&path)?;
        Ok(Self { path, connection, lock })
    }

    /// Whether the chain goes through `head`.
    pub fn holds(&self, head: Head) -> Result<bool, Error> {
        holds(&self.connection, head)
    }

    /// Gives every record after `from`, which the chain must hold, to `each`, and opens the ledger for
    /// writing. What lies before `from` is not looked at: that is `ledger verify`'s.
    pub fn finish(self, from: Head, each: impl FnMut(Record)) -> Result<Ledger, Error> {
        let Self { path, connection, lock } = self;
        let head = walk(&connection, from, None, each)?;
        schema::sign(&connection)?;
        let readers = Readers::new(path);
        let writer = Writer::start(connection, head)?;
        Ok(Ledger { writer, readers, head, lock })
    }
}

/// A ledger that is read and never written, beside the coordinator that has it open.
#[derive(Debug)]
pub struct Chain {
    connection: Connection,
}

impl Chain {
    /// Opens the ledger of `data_dir`.
    pub fn open(data_dir: &Path) -> Result<Self, Error> {
        Ok(Self { connection: schema::open_reader(&file_in(data_dir))? })
    }

    /// Whether the chain goes through `head`.
    pub fn holds(&self, head: Head) -> Result<bool, Error> {
        holds(&self.connection, head)
    }

    /// Gives at most `limit` records after `from` to `each`; returns where the last one stands.
    pub fn walk(&self, from: Head, limit: u32, each: impl FnMut(Record)) -> Result<Head, Error> {
        walk(&self.connection, from, Some(limit.into()), each)
    }
}

fn holds(connection: &Connection, head: Head) -> Result<bool, Error> {
    if head == Head::EMPTY {
        return Ok(true);
    }
    let row = connection
        .query_row(
            &format!("SELECT {COLUMNS} FROM records WHERE seq = ?1"),
            [head.seq.cast_signed()],
            Row::read,
        )
        .optional()
        .map_err(Error::sqlite("look a record up"))?;
    Ok(row.is_some_and(|row| row.hash == head.hash && row.is_whole()))
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

/// Streams the records after `from` in order, at most `limit` of them, checking the chain; returns where it
/// ends.
pub(crate) fn walk(
    connection: &Connection,
    from: Head,
    limit: Option<u64>,
    mut each: impl FnMut(Record),
) -> Result<Head, Error> {
    let mut head = from;
    let unreadable =
        |head: Head| move |error| Damage { seq: head.seq + 1, kind: DamageKind::Unreadable(error) };
    let mut statement = connection
        .prepare(&format!("SELECT {COLUMNS} FROM records WHERE seq > ?1 ORDER BY seq LIMIT ?2"))
        .map_err(Error::sqlite("read the records"))?;
    // SQLite takes a negative limit for none.
    let limit = limit.map_or(-1, u64::cast_signed);
    // From the beginning on, also what should not be there: a row before the first.
    let after = if from == Head::EMPTY { i64::MIN } else { from.seq.cast_signed() };
    let mut rows = statement.query([after, limit]).map_err(Error::sqlite("read the records"))?;
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
