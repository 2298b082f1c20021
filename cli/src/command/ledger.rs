//! `windlass ledger verify`: offline, read-only.

use crate::error::Error;
use crate::session::Session;
use clap::Subcommand;
use serde::Serialize;
use windlass_coordinator::ledger::{Found, VerifyError};
use windlass_shared::refusal::Refusal;

/// What to do with the ledger.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check every record and blob, and print the head's hash
    Verify {},
}

#[derive(Serialize)]
struct Verified {
    data_dir: String,
    records: u64,
    blobs: u64,
    head: String,
    snapshot: Snapshot,
}

/// What the snapshot beside the ledger is worth.
#[derive(Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
enum Snapshot {
    None,
    Agrees { seq: u64 },
    Unused { why: String },
}

impl From<Found> for Snapshot {
    fn from(found: Found) -> Self {
        match found {
            Found::None => Self::None,
            Found::Agrees { seq } => Self::Agrees { seq },
            Found::Unused { why } => Self::Unused { why },
        }
    }
}

/// Does it, in the session's data folder.
pub fn run(command: Command, session: &Session) -> Result<(), Error> {
    let Command::Verify {} = command;
    let data_dir = session.data_dir.clone();
    let found = windlass_coordinator::ledger::verify(&data_dir).map_err(|problem| match problem {
        VerifyError::Absent { .. } => {
            Refusal::NotFound { what: "ledger", name: data_dir.display().to_string() }.into()
        }
        problem => Error::Ledger { data_dir: data_dir.clone(), source: Box::new(problem) },
    })?;
    let verified = Verified {
        data_dir: data_dir.display().to_string(),
        records: found.records,
        blobs: found.blobs,
        head: found.head.to_string(),
        snapshot: found.snapshot.into(),
    };
    if session.is_json() {
        return session.json("windlass.ledger_verification/1", &verified);
    }
    match &verified.snapshot {
        Snapshot::None => {}
        Snapshot::Agrees { seq } => {
            session.say(&format!("the snapshot after record {seq} is what a replay gives"));
        }
        Snapshot::Unused { why } => {
            session.say(&format!("the snapshot is not used, the next start replays every record: {why}"));
        }
    }
    session.say(&format!("{} records and {} blobs are whole; the head is", found.records, found.blobs));
    session.print(&format!("{}\n", verified.head))
}
