//! `windlass ledger verify`: offline or beside a coordinator, read-only. On a backup it also holds the
//! manifest against the ledger and looks at every blob that the records need.

use super::{absent, failed};
use crate::error::Error;
use crate::render::units;
use crate::session::Session;
use serde::Serialize;
use windlass_coordinator::ledger::{Found, VerifyError};
use windlass_coordinator::upkeep::{self, Manifest};

#[derive(Serialize)]
struct Verified {
    data_dir: String,
    records: u64,
    blobs: u64,
    head: String,
    snapshot: Snapshot,
    backup: Option<Manifest>,
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

/// Checks.
pub fn run(session: &Session) -> Result<(), Error> {
    let data_dir = session.data_dir.clone();
    // First whether it is a whole backup: a half one may have no ledger yet.
    let backup = match upkeep::check(&data_dir) {
        // A coordinator has started on it since: it is a data folder now.
        Err(upkeep::Error::Moved { .. }) => None,
        checked => checked.map_err(failed)?,
    };
    let found = windlass_coordinator::ledger::verify(&data_dir).map_err(|problem| match problem {
        VerifyError::Absent { .. } => absent(&data_dir),
        problem => Error::Ledger { data_dir: data_dir.clone(), source: Box::new(problem) },
    })?;
    let verified = Verified {
        data_dir: data_dir.display().to_string(),
        records: found.records,
        blobs: found.blobs,
        head: found.head.to_string(),
        snapshot: found.snapshot.into(),
        backup,
    };
    if session.is_json() {
        return session.json("windlass.ledger_verification/1", &verified);
    }
    if let Some(backup) = &verified.backup {
        let blobs = units::count(backup.blobs, "blob");
        session.say(&format!("a whole backup: its records need {blobs}, and each is there"));
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
    let records = units::count(found.records, "record");
    let blobs = units::count(found.blobs, "blob");
    session.say(&format!("whole: {records} and {blobs}; the head is"));
    session.print(&format!("{}\n", verified.head))
}
