//! `windlass ledger backup` and `ledger restore`.

use super::failed;
use crate::error::{Error, quote};
use crate::render::units;
use crate::session::Session;
use serde::Serialize;
use std::path::Path;
use windlass_coordinator::upkeep::{self, LogFiles, Manifest};

#[derive(Serialize)]
struct Taken {
    data_dir: String,
    folder: String,
    backup: Manifest,
    copied_files: u64,
    copied_bytes: u64,
}

#[derive(Serialize)]
struct Restored {
    source: String,
    data_dir: String,
    backup: Manifest,
}

/// Takes one.
pub fn take(dest: &Path, no_logs: bool, session: &Session) -> Result<(), Error> {
    let dest = std::path::absolute(dest).unwrap_or_else(|_| dest.to_owned());
    let logs = if no_logs { LogFiles::LeftOut } else { LogFiles::Copied };
    let taken = match session.is_dry {
        true => upkeep::backup_plan(&session.data_dir, &dest, logs),
        false => upkeep::backup(&session.data_dir, &dest, logs),
    };
    let taken = taken.map_err(failed)?;
    let answer = Taken {
        data_dir: session.data_dir.display().to_string(),
        folder: dest.display().to_string(),
        backup: taken.manifest,
        copied_files: taken.copied_files,
        copied_bytes: taken.copied_bytes,
    };
    if session.is_json() {
        return session.json("windlass.backup_taken/1", &answer);
    }
    let manifest = &answer.backup;
    let logs = manifest.logs.map_or("no logs".to_owned(), |files| units::count(files, "log"));
    session.say(&format!(
        "{}, {} ({}) and {logs} are in {}; {} of {} copied now; the head is",
        units::count(manifest.records, "record"),
        units::count(manifest.blobs, "blob"),
        units::bytes(manifest.blob_bytes),
        quote(&dest),
        units::count(answer.copied_files, "file"),
        units::bytes(answer.copied_bytes),
    ));
    session.print(&format!("{}\n", manifest.head))
}

/// Makes a data folder of one.
pub fn restore(source: &Path, dir: &Path, session: &Session) -> Result<(), Error> {
    let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let backup = match session.is_dry {
        true => upkeep::restore_plan(source, &dir),
        false => upkeep::restore(source, &dir),
    };
    let backup = backup.map_err(failed)?;
    let answer =
        Restored { source: source.display().to_string(), data_dir: dir.display().to_string(), backup };
    if session.is_json() {
        return session.json("windlass.restored/1", &answer);
    }
    let records = units::count(answer.backup.records, "record");
    session.say(&format!("{records} restored; windlass coordinator --data-dir {} goes on", quote(&dir)));
    session.print(&format!("{}\n", answer.backup.head))
}
