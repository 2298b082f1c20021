//! `ledger backup`: a consistent copy of a data folder, beside a running coordinator or without one. The
//! ledger is copied first, by SQLite's own online copy; then every blob that it names, which is there
//! because blobs come before their records; then the logs. The copy is a data folder itself.

use super::lock::Lock;
use super::log_files::entries;
use super::manifest::{self, Manifest};
use super::needs::Needs;
use super::{Error, copy};
use crate::blobs::{Large, SMALL_MAX_BYTES, now_ms};
use crate::ledger::{self, DataLock, Head};
use bytes::Bytes;
use rusqlite::backup::Backup;
use rusqlite::{Connection, OptionalExtension, params};
use std::path::{Path, PathBuf};
use windlass_shared::digest::Digest;

/// Whether logs are copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFiles {
    /// They are.
    Copied,
    /// They are not.
    LeftOut,
}

/// A backup that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// What it holds.
    pub manifest: Manifest,
    /// Files that were copied now: blobs and logs that an earlier backup had not left there.
    pub copied_files: u64,
    /// Their bytes, the ledger not counted.
    pub copied_bytes: u64,
}

/// Takes a backup of `data_dir` into `dest`. What an earlier backup left there is not copied again; it stays
/// whole until the new one is.
pub fn backup(data_dir: &Path, dest: &Path, logs: LogFiles) -> Result<Taken, Error> {
    let source = ledger::file_in(data_dir);
    if !source.is_file() {
        return Err(Error::Absent { path: data_dir.to_owned() });
    }
    let _apart = Lock::shared(data_dir)?;
    let _dest = prepare(data_dir, dest)?;
    manifest::begin(dest)?;
    let copied = dest.join("ledger.new");
    copy_ledger(&source, &copied)?;
    let connection = ledger::open_read_only(&copied)?;
    let mut needs = Needs::default();
    let head = ledger::walk(&connection, Head::EMPTY, None, |record| needs.take(&record))?;
    refuse_foreign(&connection, dest, head)?;
    let mut taken = Counts::default();
    let copying = Copying::Done;
    let (blobs, blob_bytes) = copy_blobs(&connection, &needs, data_dir, dest, (&mut taken, copying))?;
    drop(connection);
    let logs = match logs {
        LogFiles::Copied => Some(copy_logs(data_dir, dest, (&mut taken, copying))?),
        LogFiles::LeftOut => None,
    };
    let manifest = described(head, (blobs, blob_bytes), logs);
    manifest.prepare(dest)?;
    let place = ledger::file_in(dest);
    std::fs::rename(&copied, &place).map_err(Error::file("put into place", place))?;
    Manifest::publish(dest)?;
    manifest::end(dest)?;
    Ok(Taken { manifest, copied_files: taken.files, copied_bytes: taken.bytes })
}

/// What a backup would hold and copy now: the ledger is read beside its coordinator, and nothing is written.
pub fn backup_plan(data_dir: &Path, dest: &Path, logs: LogFiles) -> Result<Taken, Error> {
    let source = ledger::file_in(data_dir);
    if !source.is_file() {
        return Err(Error::Absent { path: data_dir.to_owned() });
    }
    let _apart = Lock::shared(data_dir)?;
    if dest.exists() {
        refuse_place(data_dir, dest)?;
    }
    let connection = ledger::open_read_only(&source)?;
    let mut needs = Needs::default();
    let head = ledger::walk(&connection, Head::EMPTY, None, |record| needs.take(&record))?;
    if Manifest::is_in(dest) {
        refuse_foreign(&connection, dest, head)?;
    }
    let (mut taken, copying) = (Counts::default(), Copying::Counted);
    let (blobs, blob_bytes) = copy_blobs(&connection, &needs, data_dir, dest, (&mut taken, copying))?;
    let logs = match logs {
        LogFiles::Copied => Some(copy_logs(data_dir, dest, (&mut taken, copying))?),
        LogFiles::LeftOut => None,
    };
    let manifest = described(head, (blobs, blob_bytes), logs);
    Ok(Taken { manifest, copied_files: taken.files, copied_bytes: taken.bytes })
}

fn described(head: Head, (blobs, blob_bytes): (u64, u64), logs: Option<(u64, u64)>) -> Manifest {
    Manifest {
        schema: "windlass.backup/1".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        taken_wall_ms: now_ms(),
        records: head.seq,
        head: head.hash,
        blobs,
        blob_bytes,
        logs: logs.map(|(files, _)| files),
        log_bytes: logs.map_or(0, |(_, bytes)| bytes),
    }
}

/// Whether files are copied, or only counted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Copying {
    Done,
    Counted,
}

#[derive(Default)]
struct Counts {
    files: u64,
    bytes: u64,
}

impl Counts {
    fn add(&mut self, bytes: u64) {
        self.files += u64::from(bytes > 0);
        self.bytes += bytes;
    }
}

/// Makes the destination, and keeps others out of it: a second backup, and a coordinator.
fn prepare(data_dir: &Path, dest: &Path) -> Result<DataLock, Error> {
    copy::folder(dest)?;
    refuse_place(data_dir, dest)?;
    Ok(DataLock::take(dest)?)
}

/// Refuses a folder within the data folder, and one with something else in it.
fn refuse_place(data_dir: &Path, dest: &Path) -> Result<(), Error> {
    let canonical = |path: &Path| path.canonicalize().map_err(Error::file("look at", path));
    if canonical(dest)?.starts_with(canonical(data_dir)?) {
        return Err(Error::Inside { path: dest.to_owned() });
    }
    let is_other = |path: &PathBuf| path.file_name().is_some_and(|name| name != "lock");
    if !Manifest::is_in(dest) && entries(dest)?.iter().any(is_other) {
        return Err(Error::NotEmpty { path: dest.to_owned() });
    }
    Ok(())
}

/// One step: a single read transaction, so that the copy is of one moment and what is written meanwhile does
/// not make it begin again. Readers and the writer go on beside it.
fn copy_ledger(source: &Path, copied: &Path) -> Result<(), Error> {
    let fail = |source| Error::Copy { path: copied.to_owned(), source };
    if copied.exists() {
        std::fs::remove_file(copied).map_err(Error::file("remove", copied))?;
    }
    let from = ledger::open_read_only(source)?;
    let mut to = Connection::open(copied).map_err(fail)?;
    {
        let copying = Backup::new(&from, &mut to).map_err(fail)?;
        copying.step(-1).map_err(fail)?;
    }
    // One file, which a folder that cannot be written to still lets be read.
    to.pragma_update(None, "journal_mode", "DELETE").map_err(fail)?;
    to.close().map_err(|(_, error)| fail(error))?;
    let file = std::fs::OpenOptions::new().append(true).open(copied);
    file.and_then(|file| {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        file.sync_all()
    })
    .map_err(Error::file("sync", copied))
}

/// Refuses a destination whose earlier backup is no beginning of this ledger.
fn refuse_foreign(connection: &Connection, dest: &Path, head: Head) -> Result<(), Error> {
    let earlier = match Manifest::of(dest) {
        Ok(manifest) => manifest.head(),
        Err(Error::Unfinished { .. } | Error::NoBackup { .. }) => return Ok(()),
        // A coordinator has run there: what it wrote is not in this ledger.
        Err(error) => return Err(error),
    };
    if earlier.seq == 0 {
        return Ok(());
    }
    let hash: Option<[u8; 32]> = connection
        .query_row("SELECT hash FROM records WHERE seq = ?1", params![earlier.seq.cast_signed()], |row| {
            row.get(0)
        })
        .optional()
        .map_err(ledger::Error::sqlite("read a record"))?;
    match hash == Some(earlier.hash.0) && earlier.seq <= head.seq {
        true => Ok(()),
        false => Err(Error::Foreign { path: dest.to_owned(), seq: earlier.seq }),
    }
}

/// Copies the large blobs that the copied ledger needs; the small ones came with it. Returns how many it
/// needs, and their bytes.
fn copy_blobs(
    connection: &Connection,
    needs: &Needs,
    data_dir: &Path,
    dest: &Path,
    (taken, copying): (&mut Counts, Copying),
) -> Result<(u64, u64), Error> {
    let (from, to) = (data_dir.join("blobs"), dest.join("blobs"));
    let needed = needs.blobs(|digest| read(connection, &from, digest))?;
    let mut sum_bytes = 0;
    for digest in &needed {
        sum_bytes += digest.size_bytes;
        if digest.size_bytes <= SMALL_MAX_BYTES {
            if read_small(connection, *digest)?.is_none() {
                return Err(Error::Missing { digest: *digest });
            }
            continue;
        }
        let place = Large::place(*digest);
        if !from.join(&place).exists() {
            return Err(Error::Missing { digest: *digest });
        }
        taken.add(match copying {
            Copying::Done => copy::blob(&from.join(&place), &to.join(&place), *digest)?,
            Copying::Counted if to.join(&place).exists() => 0,
            Copying::Counted => digest.size_bytes,
        });
    }
    Ok((needed.len() as u64, sum_bytes))
}

/// One blob's bytes, checked.
pub(super) fn read(connection: &Connection, folder: &Path, digest: Digest) -> Result<Bytes, Error> {
    let bytes = match digest.size_bytes > SMALL_MAX_BYTES {
        true => {
            let path = folder.join(Large::place(digest));
            match std::fs::read(&path) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    return Err(Error::Missing { digest });
                }
                Err(source) => return Err(Error::file("read", path)(source)),
            }
        }
        false => read_small(connection, digest)?.ok_or(Error::Missing { digest })?,
    };
    match Digest::of(&bytes) == digest {
        true => Ok(bytes.into()),
        false => Err(Error::Damaged { digest, path: folder.to_owned() }),
    }
}

fn read_small(connection: &Connection, digest: Digest) -> Result<Option<Vec<u8>>, Error> {
    let found = connection
        .prepare_cached("SELECT data FROM blobs WHERE hash = ?1 AND size = ?2")
        .and_then(|mut select| {
            select
                .query_row(params![digest.hash.0, digest.size_bytes.cast_signed()], |row| row.get(0))
                .optional()
        })
        .map_err(ledger::Error::sqlite("read a blob"))?;
    Ok(found)
}

/// Copies the logs that have grown since the last backup. Returns how many files there are, and their bytes.
fn copy_logs(
    data_dir: &Path,
    dest: &Path,
    (taken, copying): (&mut Counts, Copying),
) -> Result<(u64, u64), Error> {
    let (from, to) = (data_dir.join("logs"), dest.join("logs"));
    let (mut files, mut bytes) = (0, 0);
    if !from.is_dir() {
        return Ok((files, bytes));
    }
    for folder in entries(&from)?.into_iter().filter(|path| path.is_dir()) {
        let there = to.join(folder.file_name().unwrap_or_default());
        for file in entries(&folder)?.into_iter().filter(|path| path.is_file()) {
            // Compressed meanwhile: then the other file is the log.
            let file = if file.exists() { file } else { file.with_extension("log.zst") };
            if file.extension().is_some_and(|extension| extension == "new") {
                continue;
            }
            let copied = there.join(file.file_name().unwrap_or_default());
            let metadata = std::fs::metadata(&file).map_err(Error::file("look at", &file))?;
            let is_there = std::fs::metadata(&copied).is_ok_and(|there| {
                let is_newer = there.modified().ok().zip(metadata.modified().ok());
                there.len() == metadata.len() && is_newer.is_some_and(|(copy, original)| copy >= original)
            });
            if !is_there {
                taken.add(match copying {
                    Copying::Done => copy::file(&file, &copied)?,
                    Copying::Counted => metadata.len(),
                });
            }
            files += 1;
            bytes += metadata.len();
        }
    }
    Ok((files, bytes))
}
