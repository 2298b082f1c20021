//! `windlass ledger export`: JSON lines, whatever `--output` says.

use super::absent;
use crate::error::Error;
use crate::layout;
use crate::render::units;
use crate::session::Session;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use windlass_coordinator::ledger::{self, ExportError, Exported, VerifyError};

/// Writes to a file, or to stdout.
pub fn run(campaign: Option<&str>, out: Option<&Path>, session: &Session) -> Result<(), Error> {
    let Some(path) = out.filter(|path| *path != Path::new("-")) else {
        let mut stdout = BufWriter::new(std::io::stdout().lock());
        ledger::export(&session.data_dir, campaign, &mut stdout).map_err(|error| explain(error, session))?;
        return stdout.flush().map_err(|source| Error::Output { source });
    };
    let exported = match layout::place(path) {
        Some(place) => beside(&place, campaign, session)?,
        None => into(path, campaign, session)?,
    };
    let records = units::count(exported.records, "record");
    session.say(&format!("wrote {records} to {}", path.display()));
    Ok(())
}

/// Beside its place first: what is there under the name is whole.
fn beside(path: &Path, campaign: Option<&str>, session: &Session) -> Result<Exported, Error> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    let exported = into_file(File::create(beside), path, campaign, session);
    let placed = exported.and_then(|exported| {
        let fail = |source| Error::File { operation: "put into place", path: path.to_owned(), source };
        std::fs::rename(beside, path).map_err(fail)?;
        Ok(exported)
    });
    if placed.is_err() {
        // Half an export is none.
        let _already_gone = std::fs::remove_file(beside);
    }
    placed
}

/// Into a device, pipe or socket, as it is.
fn into(path: &Path, campaign: Option<&str>, session: &Session) -> Result<Exported, Error> {
    into_file(File::options().write(true).open(path), path, campaign, session)
}

fn into_file(
    file: std::io::Result<File>,
    path: &Path,
    campaign: Option<&str>,
    session: &Session,
) -> Result<Exported, Error> {
    let fail = |operation| move |source| Error::File { operation, path: path.to_owned(), source };
    let mut file = BufWriter::new(file.map_err(fail("make"))?);
    let exported = ledger::export(&session.data_dir, campaign, &mut file).map_err(|error| match error {
        ExportError::Write(source) => fail("write")(source),
        error => explain(error, session),
    })?;
    let file = file.into_inner().map_err(|error| fail("write")(error.into_error()))?;
    if file.metadata().is_ok_and(|found| found.is_file()) {
        file.sync_all().map_err(fail("sync"))?;
    }
    Ok(exported)
}

fn explain(error: ExportError, session: &Session) -> Error {
    let data_dir = session.data_dir.clone();
    match error {
        ExportError::Refused(refusal) => refusal.into(),
        ExportError::Write(source) => Error::Output { source },
        ExportError::Ledger(VerifyError::Absent { .. }) => absent(&data_dir),
        ExportError::Ledger(problem) => Error::Ledger { data_dir, source: Box::new(problem) },
    }
}
