//! What a researcher has done and what it is at: one document, written whole and synced before anything that
//! rests on it is done. Knows no meaning of its own.

use super::ask::Ask;
use super::cost::Cost;
use crate::error::Error;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::Path;
use windlass_shared::digest::Digest;

/// The version that is written.
pub const VERSION: u32 = 1;
/// The most bytes of the document that are read: the longest lever's has 64 lists of 8,000 bytes each.
const MAX_BYTES: u64 = 16 << 20;

/// The whole of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// [`VERSION`].
    pub version: u32,
    /// The campaign's id.
    pub campaign: String,
    /// The number of the latest turn.
    pub turns: u64,
    /// What is going on.
    pub phase: Phase,
    /// The researcher's own lever that is not decided yet.
    pub flight: Option<Flight>,
    /// The latest iteration of which a conclusion was asked for.
    pub concluded: u32,
    /// The iteration and the number of its attempts for which help was asked last.
    pub helped: Option<(u32, u32)>,
    /// Turns in a row that proposed nothing.
    pub dry: u32,
    /// Turns in a row that failed.
    pub failures: u32,
    /// Turns in a row that the agent's service limited.
    pub limited: u32,
    /// What all of it has cost.
    pub total: Cost,
    /// What has been spent since the last iteration was decided.
    pub current: Cost,
    /// The latest turn before that.
    #[serde(default)]
    pub turns_before: u64,
}

/// What is going on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "phase")]
pub enum Phase {
    /// Nothing: what comes next is looked for.
    Rest,
    /// The command is asked.
    Turn(Turn),
    /// Its answer is on the way, under a key that is kept until it has arrived (I4).
    Sending(Box<Sending>),
}

/// One time that the command is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// Its number: the name of its folder.
    pub number: u64,
    /// What is asked.
    pub ask: Ask,
    /// The iteration that is meant.
    pub iteration: u32,
    /// The tree that `work/` is a copy of.
    pub base: Digest,
    /// The turn whose answer was refused.
    #[serde(default)]
    pub previous: Option<u64>,
    /// Answers that were refused before this one.
    pub repairs: u32,
    /// Drawn for this turn: tells its processes from all others.
    pub nonce: u64,
}

/// An answer on its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sending {
    /// Whose answer it is.
    pub turn: Turn,
    /// The idempotency key.
    pub request_id: String,
    /// The document as it is sent, byte for byte.
    pub document: String,
    /// What people call it.
    pub title: String,
}

/// A lever of the researcher that was queued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flight {
    /// Its number.
    pub lever: u32,
    /// Its title.
    pub title: String,
}

impl State {
    /// Of a researcher that begins.
    pub fn new(campaign: &str) -> Self {
        Self {
            version: VERSION,
            campaign: campaign.to_owned(),
            turns: 0,
            phase: Phase::Rest,
            flight: None,
            concluded: 0,
            helped: None,
            dry: 0,
            failures: 0,
            limited: 0,
            total: Cost::default(),
            current: Cost::default(),
            turns_before: 0,
        }
    }

    /// Reads it; none where none was written.
    pub fn read(path: &Path) -> Result<Option<Self>, Error> {
        let failed = |source| Error::File { operation: "read", path: path.to_owned(), source };
        match std::fs::metadata(path) {
            Err(problem) if problem.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(problem) => return Err(failed(problem)),
            Ok(found) if found.len() > MAX_BYTES => return Err(unusable(path, "it is far too long")),
            Ok(_) => {}
        }
        let bytes = std::fs::read(path).map_err(failed)?;
        let state: Self =
            serde_json::from_slice(&bytes).map_err(|problem| unusable(path, &problem.to_string()))?;
        if state.version != VERSION {
            let problem = format!("it is of version {}, this one knows {VERSION}", state.version);
            return Err(unusable(path, &problem));
        }
        Ok(Some(state))
    }

    /// Writes it so that after any crash the old one or the new one is there.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let bytes = serde_json::to_vec(self)
            .map_err(|source| Error::Encode { what: "the researcher's state", source })?;
        keep(path, &bytes)
    }
}

fn unusable(path: &Path, problem: &str) -> Error {
    Error::Input {
        message: format!("{} cannot be used: {problem}", path.display()),
        remedy: "name another folder with --dir, or move that file away: the campaign itself is on the \
                 coordinator"
            .to_owned(),
    }
}

/// Writes a file whole and syncs it, its folder too.
pub fn keep(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let failed = |source| Error::File { operation: "write", path: path.to_owned(), source };
    let folder = path.parent().unwrap_or(Path::new("."));
    let beside = path.with_extension("new");
    let write = || {
        let mut file = std::fs::File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        std::fs::File::open(folder)?.sync_all()
    };
    write().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sending() -> State {
        let turn = Turn {
            number: 3,
            ask: Ask::Repair,
            iteration: 2,
            base: Digest::of(b"tree"),
            previous: Some(2),
            repairs: 1,
            nonce: u64::MAX,
        };
        let sending = Sending {
            turn,
            request_id: "0190b6a0-0000-7000-8000-000000000000".to_owned(),
            document: "{\"title\":\"t\"}".to_owned(),
            title: "t".to_owned(),
        };
        State { turns: 3, phase: Phase::Sending(Box::new(sending)), ..State::new("tiny-1") }
    }

    #[test]
    fn i4_what_is_on_its_way_is_read_back_byte_for_byte() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("state.json");
        assert_eq!(State::read(&path).expect("nothing there"), None);
        for state in [State::new("tiny-1"), sending()] {
            state.write(&path).expect("written");
            assert_eq!(State::read(&path).expect("read"), Some(state));
        }
    }

    #[test]
    fn a_state_that_is_damaged_or_of_a_later_version_is_refused_by_name() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("state.json");
        let later = State { version: VERSION + 1, ..State::new("tiny-1") };
        let torn = serde_json::to_vec(&sending()).expect("representable");
        for bytes in [serde_json::to_vec(&later).expect("representable"), torn[..40].to_vec(), Vec::new()] {
            std::fs::write(&path, &bytes).expect("written");
            let report = State::read(&path).expect_err("refused").to_report();
            assert!(report.message.contains("state.json cannot be used"), "{}", report.message);
            assert!(report.remedy.is_some());
        }
    }
}
