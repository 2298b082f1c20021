//! Every way in which Windlass says no. A closed enum: one function maps it to a gRPC status (in
//! `proto`), one to an exit code, one to a sentence with a remedy.

mod remedy;
mod words;

use crate::digest::Digest;
use crate::literature::Fault;
use crate::path::PathError;
use crate::size::Size;
use serde::{Deserialize, Serialize};
use words::{day, list, place, sentence, shown};

/// A request that is refused; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such thing, or not the caller's to see.
    #[error("there is no {what} {}", shown(what, name))]
    NotFound {
        /// `campaign`, `lever`, `iteration`, `worker`, `file`, `blob`.
        what: &'static str,
        /// As it was asked for.
        name: String,
    },
    /// A prefix that several names share.
    #[error("{what} {prefix:?} could be {candidates}")]
    Ambiguous {
        /// See [`Refusal::NotFound`].
        what: &'static str,
        /// As it was asked for.
        prefix: String,
        /// The names, comma-separated.
        candidates: String,
    },
    /// The same key with another body (I4).
    #[error("request {id} was used before for something else")]
    RequestReused {
        /// The key.
        id: String,
    },
    /// No UUIDv7, or older than the 7 days that keys are remembered.
    #[error("request id {id:?} is not a UUIDv7 of the last 7 days")]
    RequestId {
        /// The key.
        id: String,
    },
    /// A message that is not of its form.
    #[error("the request's {field} is malformed: {problem}")]
    Malformed {
        /// The field.
        field: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// A campaign file's value that cannot be.
    #[error("campaign key `{key}`: {problem}")]
    Binding {
        /// The key's path.
        key: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// A campaign setting that this version does not run.
    #[error("`{key}` is not run by this version of Windlass")]
    Unsupported {
        /// The setting.
        key: &'static str,
    },
    /// A lever or plan with a value that cannot be (P5, P6, P12).
    #[error("{field}: {problem}")]
    Lever {
        /// The rule.
        rule: &'static str,
        /// The key's path.
        field: String,
        /// What is wrong.
        problem: String,
    },
    /// A review of the literature that is not of its published shape (P33).
    #[error("{}{problem}", place(*finding, pointer))]
    Finding {
        /// Which finding, from 1; none for the review itself.
        finding: Option<u32>,
        /// The place as a JSON pointer; empty where the text is no JSON.
        pointer: String,
        /// What is wrong.
        problem: String,
    },
    /// A frozen file (P2).
    #[error("{path} is frozen: it is not among the campaign's editable_files")]
    Frozen {
        /// The file.
        path: String,
    },
    /// A path that is no path of a tree (P3).
    #[error("{problem}")]
    Path {
        /// What is wrong.
        problem: PathError,
    },
    /// Something that no tree holds: a device, a socket, a link that leaves it, a collision (P3).
    #[error("{path}: {problem}")]
    Tree {
        /// The entry.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// A file that the lever touches without declaring it (P5).
    #[error("the change touches {path}, which `files` does not declare")]
    Undeclared {
        /// The file.
        path: String,
    },
    /// A change that changes nothing (P5).
    #[error("the change leaves the tree as it was")]
    NoChange,
    /// A patch that does not fit its base.
    #[error("the patch does not apply to {file}{}: {problem}", line.map(|line| format!(" at line {line} of the patch")).unwrap_or_default())]
    Patch {
        /// The file.
        file: String,
        /// The patch's line, from 1.
        line: Option<u64>,
        /// What is wrong.
        problem: String,
    },
    /// An anchor whose evidence is not there or says otherwise (P6).
    #[error("anchor {file} of iteration {iteration}: {problem}")]
    Anchor {
        /// The evidence file.
        file: String,
        /// Whose evidence.
        iteration: u32,
        /// What is wrong, values in it.
        problem: String,
    },
    /// A simplification that does not remove lines (P6).
    #[error("a simplification must remove net lines; this one has {net_lines:+}")]
    NotSimpler {
        /// Net lines.
        net_lines: i64,
    },
    /// Tried before (P10).
    #[error("this is what iteration {iteration} tried")]
    Duplicate {
        /// The iteration.
        iteration: u32,
    },
    /// Standing in line already (P10).
    #[error("this is what lever L{lever} in the queue does")]
    DuplicateQueued {
        /// The lever.
        lever: u32,
    },
    /// Not possible in this state.
    #[error("{what} is {state}; {wanted}")]
    State {
        /// `campaign digits-1a2b3c`.
        what: String,
        /// Its state.
        state: String,
        /// What the request needs.
        wanted: &'static str,
    },
    /// What cannot be changed any more, or not so, with what can be done instead.
    #[error("{what} {state}")]
    Settled {
        /// The rule.
        rule: &'static str,
        /// `lever L3`.
        what: String,
        /// `was tried by iteration 2`.
        state: String,
        /// What to do instead.
        remedy: &'static str,
    },
    /// A record would name a blob that the store does not have (I16).
    #[error("blob {digest} is not in the store")]
    AbsentBlob {
        /// Which.
        digest: Digest,
    },
    /// A fencing number or session that is no longer current (I5).
    #[error("{what} is stale")]
    Stale {
        /// What.
        what: String,
    },
    /// A size or count past its bound.
    #[error("{what} is {figure}; at most {limit} is taken")]
    TooMuch {
        /// What.
        what: String,
        /// How much.
        figure: u64,
        /// The bound.
        limit: u64,
    },
    /// The disk of the coordinator's data folder is nearly full: nothing new is taken (I17).
    #[error("the disk of {folder} has {} left, and below {} the coordinator takes nothing new", Size { bytes: *free_bytes }, Size { bytes: *mark_bytes })]
    NoRoom {
        /// The data folder.
        folder: String,
        /// Free bytes there.
        free_bytes: u64,
        /// The mark.
        mark_bytes: u64,
    },
    /// The ledger could not be written: nothing is changed any more, reads go on (I17).
    #[error("the coordinator only reads: its ledger could not be written ({problem})")]
    ReadOnly {
        /// What failed.
        problem: String,
        /// Whether it goes on by itself once there is room.
        waits_for_room: bool,
    },
    /// Evidence that was removed when its time was over.
    #[error("the {evidence} of iteration {iteration} were removed on {}: {why}", day(*wall_ms))]
    Removed {
        /// `logs`, `outputs`, `artifacts`.
        evidence: &'static str,
        /// Whose.
        iteration: u32,
        /// When, wall time.
        wall_ms: i64,
        /// Why.
        why: String,
    },
    /// Two versions of Windlass that do not work together.
    #[error(
        "this {caller} is windlass {theirs} and the coordinator is windlass {ours}; they work together at most one minor release apart"
    )]
    Version {
        /// `client` or `worker`.
        caller: &'static str,
        /// The caller's.
        theirs: String,
        /// The coordinator's.
        ours: String,
        /// Whether the caller's is the older one.
        caller_is_older: bool,
    },
    /// A join token that lets nobody in.
    #[error("the join token {problem}")]
    Token {
        /// `was used before`, …: the sentence's end.
        problem: String,
    },
    /// A certificate that does not count, or none where one is asked for.
    #[error("{problem}")]
    Certificate {
        /// What is wrong.
        problem: String,
    },
    /// Something that is seen and may not be done.
    #[error("{who} may not {what}")]
    NotAllowed {
        /// `the client ada`, …
        who: String,
        /// `drain a worker`, …
        what: String,
        /// What to do instead.
        remedy: &'static str,
    },
    /// More than one thing is wrong: each is said, so that all can be repaired at once.
    #[error("{}", list(problems, *more))]
    Several {
        /// What, at most [`PROBLEMS_MAX`].
        problems: Vec<Refusal>,
        /// How many more there are.
        more: usize,
    },
    /// The facts have moved since they were gathered; they are gathered again. Never leaves the driver.
    #[error("the facts have moved")]
    FactsMoved,
}

/// The most problems that one refusal tells: with their remedies they fit the 16 KiB that the headers of an
/// answer may have.
pub const PROBLEMS_MAX: usize = 8;
/// One of several problems, as machines and people are told it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// A stable name for machines.
    pub code: String,
    /// The rule behind it.
    pub rule: Option<String>,
    /// The sentence.
    pub message: String,
    /// What to do.
    pub remedy: Option<String>,
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        let Fault { finding, pointer, problem } = fault;
        Self::Finding { finding, pointer, problem }
    }
}

impl From<PathError> for Refusal {
    fn from(problem: PathError) -> Self {
        Self::Path { problem }
    }
}

/// The exit codes of the command line (DESIGN.md, "Commands").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Done.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// Wrong usage.
    Usage = 2,
    /// Refused by a rule.
    Refused = 3,
    /// Not found.
    NotFound = 4,
    /// Unavailable and worth a retry.
    Unavailable = 5,
    /// The wait ended first.
    WaitEnded = 6,
}

impl Refusal {
    /// The one problem that there is, or all of them as one refusal.
    ///
    /// # Panics
    /// When there is none: nothing is refused for no reason.
    pub fn several(mut problems: Vec<Self>) -> Self {
        assert!(!problems.is_empty(), "a refusal has a reason");
        if problems.len() == 1 {
            return problems.remove(0);
        }
        let more = problems.len().saturating_sub(PROBLEMS_MAX);
        problems.truncate(PROBLEMS_MAX);
        Self::Several { problems, more }
    }

    /// Each of several problems; empty where the refusal itself says it all.
    pub fn problems(&self) -> Vec<Problem> {
        let Self::Several { problems, .. } = self else { return Vec::new() };
        problems.iter().map(Self::as_problem).collect()
    }

    /// Itself as one problem, its sentence cut at 300 characters.
    pub fn as_problem(&self) -> Problem {
        Problem {
            code: self.reason().to_owned(),
            rule: self.rule().map(str::to_owned),
            message: sentence(self),
            remedy: self.remedy().map(str::to_owned),
        }
    }

    /// The rule of PROTOCOL.md or invariant of RELIABILITY.md behind it.
    pub fn rule(&self) -> Option<&'static str> {
        Some(match self {
            Self::Frozen { .. } => "P2",
            Self::Path { .. } | Self::Tree { .. } => "P3",
            Self::Undeclared { .. } | Self::NoChange | Self::Patch { .. } => "P5",
            Self::Anchor { .. } | Self::NotSimpler { .. } => "P6",
            Self::Duplicate { .. } | Self::DuplicateQueued { .. } => "P10",
            Self::Lever { rule, .. } | Self::Settled { rule, .. } => rule,
            Self::Finding { .. } => "P33",
            Self::RequestReused { .. } | Self::RequestId { .. } => "I4",
            Self::Stale { .. } => "I5",
            Self::Several { problems, .. } => return problems.first().and_then(Self::rule),
            Self::AbsentBlob { .. } => "I16",
            Self::NoRoom { .. } | Self::ReadOnly { .. } => "I17",
            Self::TooMuch { .. } => "I18",
            _ => return None,
        })
    }

    /// A stable name for machines.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "NOT_FOUND",
            Self::Ambiguous { .. } => "AMBIGUOUS_NAME",
            Self::RequestReused { .. } => "REQUEST_REUSED",
            Self::RequestId { .. } => "REQUEST_ID",
            Self::Malformed { .. } => "MALFORMED",
            Self::Binding { .. } => "BINDING",
            Self::Unsupported { .. } => "UNSUPPORTED",
            Self::Lever { .. } => "LEVER",
            Self::Finding { .. } => "FINDING",
            Self::Frozen { .. } => "FROZEN_FILE",
            Self::Path { .. } => "PATH",
            Self::Tree { .. } => "TREE",
            Self::Undeclared { .. } => "UNDECLARED_FILE",
            Self::NoChange => "NO_CHANGE",
            Self::Patch { .. } => "PATCH",
            Self::Anchor { .. } => "ANCHOR",
            Self::NotSimpler { .. } => "NOT_SIMPLER",
            Self::Duplicate { .. } | Self::DuplicateQueued { .. } => "DUPLICATE",
            Self::State { .. } | Self::Settled { .. } => "STATE",
            Self::AbsentBlob { .. } => "ABSENT_BLOB",
            Self::Stale { .. } => "STALE",
            Self::TooMuch { .. } => "TOO_MUCH",
            Self::NoRoom { .. } => "NO_ROOM",
            Self::ReadOnly { .. } => "READ_ONLY",
            Self::Removed { .. } => "REMOVED",
            Self::Version { .. } => "VERSION",
            Self::Token { .. } => "TOKEN",
            Self::Certificate { .. } => "UNAUTHENTICATED",
            Self::NotAllowed { .. } => "NOT_ALLOWED",
            Self::Several { .. } => "SEVERAL",
            Self::FactsMoved => "FACTS_MOVED",
        }
    }

    /// Its exit code.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::NotFound { .. } | Self::Removed { .. } => ExitCode::NotFound,
            Self::NoRoom { .. } | Self::ReadOnly { .. } => ExitCode::Unavailable,
            Self::Version { .. } | Self::Certificate { .. } => ExitCode::Failed,
            Self::Ambiguous { .. } | Self::Malformed { .. } => ExitCode::Usage,
            Self::FactsMoved => ExitCode::Unavailable,
            _ => ExitCode::Refused,
        }
    }
}
