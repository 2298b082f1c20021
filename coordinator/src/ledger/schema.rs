//! Connections, the settings that durability stands on, and the schema's migrations.

use super::Error;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use std::path::Path;
use std::time::Duration;

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// This version, as it is written into the ledger.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Checkpoints of the writer and an offline `verify` may meet for a moment; nobody else writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The one connection that writes: WAL, FULL, both read back.
pub(super) fn open_writer(path: &Path) -> Result<Connection, Error> {
    let open = |source| Error::Open { path: path.to_owned(), source };
    let mut connection = Connection::open(path).map_err(open)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(open)?;
    refuse_newer(&connection, path)?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(open)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(open)?;
    must_be(&connection, "journal_mode", "wal")?;
    must_be(&connection, "synchronous", "2")?;
    embedded::migrations::runner()
        .run(&mut connection)
        .map_err(|source| Error::Migrate { path: path.to_owned(), source: Box::new(source) })?;
    Ok(connection)
}

/// A connection that reads what is committed and can change nothing.
pub(super) fn open_reader(path: &Path) -> Result<Connection, Error> {
    let open = |source| Error::Open { path: path.to_owned(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(open)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(open)?;
    connection.pragma_update(None, "query_only", true).map_err(open)?;
    Ok(connection)
}

fn must_be(connection: &Connection, name: &'static str, wanted: &'static str) -> Result<(), Error> {
    let found = connection
        .pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0))
        .map_err(Error::sqlite("read a setting back"))?;
    let found = match found {
        rusqlite::types::Value::Integer(number) => number.to_string(),
        rusqlite::types::Value::Text(text) => text,
        other => format!("{other:?}"),
    };
    if found == wanted { Ok(()) } else { Err(Error::Pragma { name, wanted, found }) }
}

/// The newest schema that this version knows.
fn known_schema() -> i64 {
    let runner = embedded::migrations::runner();
    runner.get_migrations().iter().map(|migration| i64::from(migration.version())).max().unwrap_or(0)
}

/// Refuses a ledger that a newer Windlass has migrated.
pub(super) fn refuse_newer(connection: &Connection, path: &Path) -> Result<(), Error> {
    let there: bool = connection
        .query_row(
            "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'refinery_schema_history')",
            [],
            |row| row.get(0),
        )
        .map_err(|source| Error::Open { path: path.to_owned(), source })?;
    if !there {
        return Ok(());
    }
    let found: i64 = connection
        .query_row("SELECT coalesce(max(version), 0) FROM refinery_schema_history", [], |row| row.get(0))
        .map_err(Error::sqlite("read the schema's version"))?;
    let known = known_schema();
    if found > known {
        let written_by = written_by(connection);
        return Err(Error::NewerSchema { path: path.to_owned(), found, known, written_by });
    }
    Ok(())
}

/// The version that opened the ledger last; a word for people, so that its absence is no failure.
pub(super) fn written_by(connection: &Connection) -> String {
    connection
        .query_row("SELECT value FROM meta WHERE key = 'written_by'", [], |row| row.get(0))
        .optional()
        .ok()
        .flatten()
        .unwrap_or_else(|| "(unknown)".to_owned())
}

/// Notes this version as the one that writes now.
pub(super) fn sign(connection: &Connection) -> Result<(), Error> {
    connection
        .execute(
            "INSERT INTO meta (key, value) VALUES ('written_by', ?1)
             ON CONFLICT (key) DO UPDATE SET value = excluded.value WHERE value <> excluded.value",
            [VERSION],
        )
        .map(|_| ())
        .map_err(Error::sqlite("note the version"))
}
