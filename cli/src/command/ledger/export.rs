//! `windlass ledger export`: JSON lines, whatever `--output` says.

use super::absent;
use crate::error::Error;
use crate::session::Session;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use windlass_coordinator::ledger::{self, ExportError, VerifyError};

/// Writes to a file, or to stdout.
pub fn run(campaign: Option<&str>, out: Option<&Path>, session: &Session) -> Result<(), Error> {
    let Some(path) = out.filter(|path| *path != Path::new("-")) else {
        let mut stdout = BufWriter::new(std::io::stdout().lock());
        ledger::export(&session.data_dir, campaign, &mut stdout).map_err(|error| explain(error, session))?;
        return stdout.flush().map_err(|source| Error::Output { source });
    };
    // Beside its place first: what is there under the name is whole.
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    let fail = |operation| move |source| Error::File { operation, path: path.to_owned(), source };
    let mut file = BufWriter::new(File::create(beside).map_err(fail("make"))?);
    let exported = ledger::export(&session.data_dir, campaign, &mut file);
    let exported = match exported {
        Ok(exported) => exported,
        Err(error) => {
            // Half an export is none.
            let _already_gone = std::fs::remove_file(beside);
            return Err(explain(error, session));
        }
    };
    let file = file.into_inner().map_err(|error| fail("write")(error.into_error()))?;
    file.sync_all().map_err(fail("sync"))?;
    std::fs::rename(beside, path).map_err(fail("put into place"))?;
    session.say(&format!("{} records are in {}", exported.records, path.display()));
    Ok(())
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
