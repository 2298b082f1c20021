//! Everything that can end a command: a sentence, the rule behind it, what to do, and an exit code.

mod identity;
mod print;
mod system;
mod upkeep;

pub use identity::Trouble;
pub use print::{early, report, told, usage};

use crate::branches::GitError;
use crate::yaml::Problem;
use serde::Serialize;
use std::error::Error as _;
use std::path::PathBuf;
use system::{file_remedy, is_disk_full, is_folder_trouble};
use windlass_proto::refusal::Received;
use windlass_shared::refusal::{self, ExitCode as Code, Refusal};

/// A command that did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Refused before anything was sent.
    #[error("{0}")]
    Refused(Refusal),
    /// Refused, or failed, by the coordinator.
    #[error("{}", .0.message)]
    Received(Box<Received>),
    /// A campaign or lever file that cannot be read.
    #[error("{0}")]
    Document(Box<Problem>),
    /// Nobody listens in the data folder.
    #[error("no coordinator is running in {}", data_dir.display())]
    NoCoordinator {
        /// The data folder.
        data_dir: PathBuf,
    },
    /// Nobody listens at the address.
    #[error("no coordinator answers at {address}")]
    Unreachable {
        /// As given.
        address: String,
        /// Why.
        #[source]
        source: tonic::transport::Error,
    },
    /// `--coordinator` that is no address.
    #[error("{address:?} is no coordinator's address")]
    Address {
        /// As given.
        address: String,
    },
    /// `--coordinator` beyond loopback.
    #[error("{address} is beyond this machine, where the token would travel in clear: that needs https://")]
    BeyondThisMachine {
        /// As given.
        address: String,
    },
    /// What keeps this machine from being known.
    #[error("{message}")]
    Identity {
        /// What sort of trouble it is.
        trouble: Trouble,
        /// What is wrong, and what to do.
        message: String,
    },
    /// A token file that is not text for a header.
    #[error("the token in {} cannot be used", path.display())]
    Token {
        /// The file.
        path: PathBuf,
    },
    /// A coordinator already serves the data folder.
    #[error("a coordinator is already running in {}", data_dir.display())]
    AlreadyRunning {
        /// The data folder.
        data_dir: PathBuf,
    },
    /// A file operation.
    #[error("failed to {operation} {}", path.display())]
    File {
        /// `read`, `write`, …
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another call of the system.
    #[error("failed to {operation}")]
    System {
        /// What was tried.
        operation: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// stdout cannot be written.
    #[error("failed to write to standard output")]
    Output {
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// An input of a tool, or of an option, that cannot be taken.
    #[error("{message}")]
    Input {
        /// What is wrong with which.
        message: String,
        /// What is taken.
        remedy: String,
    },
    /// A value with no JSON form.
    #[error("failed to encode {what}")]
    Encode {
        /// The schema.
        what: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A file changed while it was sent.
    #[error("{} changed while it was being sent", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The coordinator sent something else than was asked for (I16).
    #[error("blob {digest} arrived damaged or not at all")]
    Blob {
        /// Which.
        digest: String,
    },
    /// An iteration that a campaign does not have.
    #[error("{campaign} has no iteration {number}")]
    NoIteration {
        /// As it was asked for.
        number: u32,
        /// Of which campaign.
        campaign: String,
        /// The latest that it has.
        latest: Option<u32>,
    },
    /// A file or folder that an iteration does not have.
    #[error("{whose} has no {path:?}")]
    NoFile {
        /// As it was asked for.
        path: String,
        /// Of what.
        whose: String,
        /// What may have been meant.
        nearest: Option<String>,
    },
    /// A file that is there already.
    #[error("{} is there already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Bytes that would do harm to a terminal.
    #[error("{path} is no text for a terminal")]
    NoText {
        /// The file.
        path: String,
    },
    /// More than standard output is given in one piece.
    #[error("{path} is larger than {size}")]
    TooLarge {
        /// The file.
        path: String,
        /// The bound.
        size: String,
    },
    /// A campaign that has kept nothing so far.
    #[error("{campaign} has kept nothing yet")]
    NothingKept {
        /// Which.
        campaign: String,
    },
    /// `wait` that ended before what it waited for.
    #[error("the wait ended first: {why}")]
    WaitEnded {
        /// Why.
        why: String,
    },
    /// A folder that is not ours to fill.
    #[error("{} is not empty and no folder of an earlier demo", path.display())]
    ForeignFolder {
        /// The folder.
        path: PathBuf,
    },
    /// A build without the example.
    #[error("this build of windlass carries no example campaign")]
    NoExample,
    /// A child process that ended when it should not have.
    #[error("the {role} ended: {status}{said}")]
    ChildEnded {
        /// `coordinator` or `worker`.
        role: &'static str,
        /// Its exit status.
        status: String,
        /// Its last words, on lines of their own.
        said: String,
    },
    /// A child that did not come up in time.
    #[error("the {role} did not become ready within {limit_s} s")]
    NotReady {
        /// `coordinator` or `worker`.
        role: &'static str,
        /// The bound, seconds.
        limit_s: u64,
    },
    /// Ctrl-C, or another request to end.
    #[error("interrupted")]
    Interrupted {
        /// How to go on, if there is something to go on with.
        resume: Option<String>,
    },
    /// Levers that were refused one by one; each was reported already.
    #[error("levers were refused: {refused} of {given}")]
    LeversRefused {
        /// How many.
        refused: usize,
        /// Of how many.
        given: usize,
    },
    /// `doctor` that found something which does not work; each was printed.
    #[error("{failed} of the things looked at {} not work", if *failed == 1 { "does" } else { "do" })]
    Unwell {
        /// How many.
        failed: usize,
    },
    /// A child process has said itself why it ended.
    #[error("the {role} said why it ended")]
    ChildSaid {
        /// `coordinator` or `worker`.
        role: &'static str,
        /// What it exited with.
        code: u8,
    },
    /// The coordinator role ended with an error.
    #[error("the coordinator failed")]
    Coordinator(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The worker role ended with an error.
    #[error("the worker failed")]
    Worker(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A branch that was not begun or not kept.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A backup or a restore that was not done.
    #[error(transparent)]
    Upkeep(Box<windlass_coordinator::upkeep::Error>),
    /// A ledger that does not verify.
    #[error("the ledger in {} does not verify", data_dir.display())]
    Ledger {
        /// The data folder.
        data_dir: PathBuf,
        /// What is wrong, where.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Document(Box::new(problem))
    }
}

impl From<Box<Problem>> for Error {
    fn from(problem: Box<Problem>) -> Self {
        Self::Document(problem)
    }
}

/// What `--output json` prints on stderr: docs/json.md, `windlass.error/1`.
#[derive(Debug, Serialize)]
pub struct Report {
    /// A stable name for machines.
    pub code: String,
    /// The rule behind it.
    pub rule: Option<String>,
    /// The sentence.
    pub message: String,
    /// What to do.
    pub remedy: Option<String>,
    /// Each of several problems; absent where `message` says it all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<refusal::Problem>,
}

impl Error {
    /// What the process exits with (DESIGN, "Commands").
    pub fn exit_code(&self) -> u8 {
        let code = match self {
            Self::Received(received) => return received.exit_code,
            Self::Interrupted { .. } => return 130,
            Self::ChildSaid { code, .. } => return *code,
            Self::Refused(refusal) => refusal.exit_code(),
            Self::Identity { trouble, .. } => trouble.exit_code(),
            Self::Document(_) | Self::Address { .. } | Self::BeyondThisMachine { .. } => Code::Usage,
            Self::NoCoordinator { .. } | Self::Unreachable { .. } | Self::Changed { .. } => Code::Unavailable,
            Self::NoIteration { .. } | Self::NoFile { .. } | Self::NothingKept { .. } => Code::NotFound,
            Self::Exists { .. } | Self::NoText { .. } | Self::TooLarge { .. } => Code::Usage,
            Self::Input { .. } => Code::Usage,
            Self::WaitEnded { .. } => Code::WaitEnded,
            Self::LeversRefused { .. } => Code::Refused,
            Self::ForeignFolder { .. } => Code::Usage,
            Self::Git(GitError::Failed { .. }) => Code::Failed,
            Self::Git(_) => Code::Refused,
            Self::Upkeep(problem) => upkeep::code(problem),
            _ => Code::Failed,
        };
        code as u8
    }

    /// Whether the coordinator was away, so that trying again may help.
    pub fn is_unavailable(&self) -> bool {
        self.exit_code() == Code::Unavailable as u8
    }

    fn code(&self) -> String {
        let code = match self {
            Self::Refused(refusal) => refusal.reason(),
            Self::Received(received) => return received.reason.clone(),
            Self::Identity { trouble, .. } => trouble.code(),
            Self::Document(_) => "FILE",
            Self::NoCoordinator { .. } | Self::Unreachable { .. } => "NO_COORDINATOR",
            Self::Address { .. } | Self::BeyondThisMachine { .. } => "ADDRESS",
            Self::Token { .. } => "TOKEN",
            Self::AlreadyRunning { .. } => "ALREADY_RUNNING",
            Self::File { .. } | Self::System { .. } | Self::Output { .. } => "SYSTEM",
            Self::Encode { .. } => "ENCODE",
            Self::Input { .. } => "INPUT",
            Self::Changed { .. } => "CHANGED",
            Self::Blob { .. } => "BLOB",
            Self::NoIteration { .. } | Self::NoFile { .. } | Self::NothingKept { .. } => "NOT_FOUND",
            Self::Exists { .. } => "EXISTS",
            Self::NoText { .. } => "NO_TEXT",
            Self::TooLarge { .. } => "TOO_LARGE",
            Self::WaitEnded { .. } => "WAIT_ENDED",
            Self::ForeignFolder { .. } => "FOREIGN_FOLDER",
            Self::NoExample => "NO_EXAMPLE",
            Self::ChildEnded { .. } => "CHILD_ENDED",
            Self::NotReady { .. } => "NOT_READY",
            Self::Interrupted { .. } => "INTERRUPTED",
            Self::LeversRefused { .. } => "LEVERS_REFUSED",
            Self::Coordinator(_) => "COORDINATOR",
            Self::Worker(_) => "WORKER",
            Self::Git(_) => "GIT",
            Self::Upkeep(_) => "UPKEEP",
            Self::Ledger { .. } => "LEDGER",
            Self::Unwell { .. } => "UNWELL",
            Self::ChildSaid { .. } => "CHILD_ENDED",
        };
        code.to_owned()
    }

    fn rule(&self) -> Option<String> {
        match self {
            Self::Refused(refusal) => refusal.rule().map(str::to_owned),
            Self::Received(received) => received.rule.clone(),
            Self::Document(problem) => problem.rule().map(str::to_owned),
            Self::Blob { .. } => Some("I16".to_owned()),
            _ => None,
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::Refused(refusal) => refusal.remedy().map(str::to_owned),
            Self::Received(received) => received.remedy.clone().or_else(|| {
                (received.exit_code == Code::Unavailable as u8)
                    .then(|| "try again; `windlass status` shows when the coordinator is back".to_owned())
            }),
            Self::Document(problem) => problem.remedy(),
            Self::NoCoordinator { data_dir } if data_dir.is_file() => {
                Some("that is a file: name the coordinator's folder with --data-dir".to_owned())
            }
            Self::NoCoordinator { data_dir } => Some(format!("windlass up --data-dir {}", quote(data_dir))),
            Self::Unreachable { .. } => Some("start it there, or correct --coordinator".to_owned()),
            Self::Address { .. } | Self::BeyondThisMachine { .. } => {
                Some("write unix:PATH, http://127.0.0.1:PORT or https://HOST:PORT".to_owned())
            }
            Self::AlreadyRunning { .. } => {
                Some("use it as it is, or stop it first, or give another --data-dir".to_owned())
            }
            Self::Coordinator(source) if is_folder_trouble(source.as_ref()) => {
                Some("give a folder that you may write to with --data-dir".to_owned())
            }
            Self::Worker(source) if is_folder_trouble(source.as_ref()) => {
                Some("give a folder that you may write to with --work-dir".to_owned())
            }
            Self::Worker(source) if is_disk_full(source.as_ref()) => {
                Some("free some of that disk, or give a folder on another with --work-dir".to_owned())
            }
            Self::NoIteration { latest: Some(latest), campaign, .. } => {
                Some(format!("its latest is iteration {latest}; `windlass results {campaign}` lists them"))
            }
            Self::NoIteration { latest: None, campaign, .. } => {
                Some(format!("none has begun yet; `windlass status {campaign}` says what it waits for"))
            }
            Self::NoFile { nearest: Some(nearest), .. } => {
                Some(format!("did you mean {nearest}? `windlass files C N` lists them"))
            }
            Self::NoFile { nearest: None, .. } => Some("`windlass files C N` lists them".to_owned()),
            Self::NothingKept { campaign } => {
                Some(format!("`windlass status {campaign}` says what it waits for"))
            }
            Self::Input { remedy, .. } => Some(remedy.clone()),
            Self::Exists { .. } => Some("give another name, or write over it with --force".to_owned()),
            Self::TooLarge { .. } => Some("write it to a file with -o FILE".to_owned()),
            Self::NoText { .. } => Some("write it to a file with -o FILE, or pipe it on".to_owned()),
            Self::Changed { .. } => Some("submit again once nothing writes there".to_owned()),
            Self::ForeignFolder { .. } => Some("give an empty or new folder with --dir".to_owned()),
            Self::Git(problem) => problem.remedy().map(str::to_owned),
            Self::Upkeep(problem) => upkeep::remedy(problem).map(str::to_owned),
            Self::NoExample => Some("build from a checkout that has examples/digits".to_owned()),
            Self::Interrupted { resume } => resume.clone(),
            Self::Unwell { .. } => Some("each says above what to do".to_owned()),
            Self::LeversRefused { .. } => Some("repair each as said above and add it again".to_owned()),
            Self::File { source, .. } => file_remedy(source).map(str::to_owned),
            Self::WaitEnded { .. } => Some("wait again; `windlass status C` says how it stands".to_owned()),
            _ => None,
        }
    }

    /// The error as a document, its whole chain in one sentence.
    pub fn to_report(&self) -> Report {
        let mut message = self.to_string();
        let mut source = self.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            // Some libraries repeat their source; the chain is told once.
            if !message.contains(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            source = cause.source();
        }
        let problems = match self {
            Self::Refused(refusal) => refusal.problems(),
            Self::Received(received) => received.problems.clone(),
            _ => Vec::new(),
        };
        Report { code: self.code(), rule: self.rule(), message, remedy: self.remedy(), problems }
    }
}

/// A path as a shell reads it back.
pub fn quote(path: &std::path::Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_was_wrong_and_what_to_do_with_the_documented_code() {
        let missing = Error::NoCoordinator { data_dir: "/data dir".into() };
        assert_eq!(missing.exit_code(), 5);
        let report = missing.to_report();
        assert_eq!(report.message, "no coordinator is running in /data dir");
        assert_eq!(report.remedy.as_deref(), Some("windlass up --data-dir '/data dir'"));
        let frozen = Error::from(Refusal::Frozen { path: "evaluate.py".to_owned() });
        assert_eq!((frozen.exit_code(), frozen.to_report().rule.as_deref()), (3, Some("P2")));
    }
}
