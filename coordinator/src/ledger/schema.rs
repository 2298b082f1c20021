//! Connections, the settings that durability stands on, and the schema's migrations.

use super::Error;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

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
    check_history(&connection, path)?;
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

/// Whether the file has a list of migrations: a new one has none.
fn has_history(connection: &Connection, path: &Path) -> Result<bool, Error> {
    let look = "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'refinery_schema_history')";
    let found = connection.query_row(look, [], |row| row.get(0));
    found.map_err(|source| Error::Open { path: path.to_owned(), source })
}

/// Refuses a ledger that a newer Windlass has migrated.
pub(super) fn refuse_newer(connection: &Connection, path: &Path) -> Result<(), Error> {
    if !has_history(connection, path)? {
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

/// Refuses a list of migrations that no version has written. What reads it afterwards takes it on trust, and would
/// panic.
pub(super) fn check_history(connection: &Connection, path: &Path) -> Result<(), Error> {
    if !has_history(connection, path)? {
        return Ok(());
    }
    let damaged = |problem: String| Error::History { path: path.to_owned(), problem };
    let known: BTreeMap<i64, (String, String)> = embedded::migrations::runner()
        .get_migrations()
        .iter()
        .map(|one| (i64::from(one.version()), (one.name().to_owned(), one.checksum().to_string())))
        .collect();
    let text = "SELECT version, name, checksum, applied_on FROM refinery_schema_history";
    let mut statement = connection.prepare(text).map_err(|error| damaged(error.to_string()))?;
    let mut rows = statement.query([]).map_err(|error| damaged(error.to_string()))?;
    while let Some(row) = rows.next().map_err(|error| damaged(error.to_string()))? {
        let read = || -> rusqlite::Result<(i64, String, String, String)> {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        };
        let (version, name, checksum, applied_on) = read().map_err(|error| damaged(error.to_string()))?;
        if known.get(&version) != Some(&(name, checksum)) {
            return Err(damaged(format!("number {version} is none of this version's")));
        }
        if OffsetDateTime::parse(&applied_on, &Rfc3339).is_err() {
            return Err(damaged(format!("number {version} was done at no time")));
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{VerifyError, file_in, open, verify};

    #[test]
    fn i16_a_list_of_migrations_that_no_version_wrote_is_named_by_a_start_and_by_verify() {
        for (set, problem) in [
            ("name = CAST(x'ff' AS TEXT)", "invalid utf-8"),
            ("name = 'another'", "none of this version's"),
            ("checksum = 'one'", "none of this version's"),
            ("checksum = '1'", "none of this version's"),
            ("applied_on = 'once'", "at no time"),
            ("applied_on = NULL", "Invalid column type"),
            ("version = 0", "none of this version's"),
        ] {
            let dir = tempfile::tempdir().expect("a folder");
            drop(open(dir.path(), drop).expect("a new ledger"));
            let file = file_in(dir.path());
            let change = format!("UPDATE refinery_schema_history SET {set} WHERE version = 1");
            Connection::open(&file).and_then(|it| it.execute(&change, [])).expect("changed");
            let started = open(dir.path(), drop).expect_err(set);
            assert!(
                matches!(&started, Error::History { problem: said, .. } if said.contains(problem)),
                "{set}: {started}"
            );
            let verified = verify(dir.path()).expect_err(set);
            assert!(matches!(verified, VerifyError::Ledger(Error::History { .. })), "{set}: {verified}");
        }
    }
}
