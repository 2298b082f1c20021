//! `windlass ledger …`: the ledger's own upkeep, in the data folder itself, beside a running coordinator or
//! without one.

mod backup;
mod export;
mod import;
mod verify;

use crate::args::Dry;
use crate::error::Error;
use crate::session::Session;
use clap::Subcommand;
use std::path::{Path, PathBuf};
use windlass_coordinator::upkeep;
use windlass_shared::refusal::Refusal;

/// What to do with the ledger.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check every record and blob, and print the head's hash
    Verify {},
    /// Copy ledger, blobs and logs into a folder, while campaigns run; what is there is not copied again
    Backup {
        /// A new or empty folder, or one with an earlier backup of this ledger
        #[arg(value_name = "DEST")]
        dest: PathBuf,
        /// Leave the logs of runs out
        #[arg(long)]
        no_logs: bool,
        #[command(flatten)]
        dry: Dry,
    },
    /// Make a data folder of a backup; start a coordinator on it with --data-dir
    Restore {
        /// The backup
        #[arg(value_name = "SRC")]
        source: PathBuf,
        /// A new or empty folder
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        #[command(flatten)]
        dry: Dry,
    },
    /// Bring in a results.tsv that was made elsewhere, as a finished campaign
    Import(import::Args),
    /// Print every record as a line of JSON, with its place in the hash chain
    Export {
        /// Only this campaign's: id, name, or a unique prefix of either
        #[arg(value_name = "C")]
        campaign: Option<String>,
        /// Write to a file, which appears when it is whole
        #[arg(long, short = 'o', value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

/// Does it, in the session's data folder; an import goes to the coordinator.
pub async fn run(command: Command, session: &Session) -> Result<(), Error> {
    match command {
        Command::Verify {} => verify::run(session),
        Command::Backup { dest, no_logs, dry } => backup::take(&dest, no_logs, &session.asking(dry)),
        Command::Restore { source, dir, dry } => backup::restore(&source, &dir, &session.asking(dry)),
        Command::Import(args) => import::run(args, session).await,
        Command::Export { campaign, out } => export::run(campaign.as_deref(), out.as_deref(), session),
    }
}

/// There is no ledger where one was looked for.
fn absent(folder: &Path) -> Error {
    Refusal::NotFound { what: "ledger", name: folder.display().to_string() }.into()
}

/// What became of upkeep, for people.
fn failed(error: upkeep::Error) -> Error {
    match error {
        upkeep::Error::Absent { path } => absent(&path),
        error => Error::Upkeep(Box::new(error)),
    }
}
