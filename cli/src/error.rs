//! Everything that can end a command, and the one place where it is printed: a sentence, the rule
//! behind it, and what to do.

use crate::session::Session;
use crate::yaml::Problem;
use serde::Serialize;
use std::error::Error as _;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;
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
    #[error("{address} is beyond this machine, where the token would travel in clear: that needs TLS")]
    BeyondThisMachine {
        /// As given.
        address: String,
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
    #[error("{refused} of {given} levers were refused")]
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

impl From<tonic::Status> for Error {
    fn from(status: tonic::Status) -> Self {
        let mut received = windlass_proto::refusal::from_status(&status);
        if received.message.is_empty() {
            received.message = format!("the coordinator gave no reason ({})", status.code());
        }
        Self::Received(Box::new(received))
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
            Self::Document(_) | Self::Address { .. } | Self::BeyondThisMachine { .. } => Code::Usage,
            Self::NoCoordinator { .. } | Self::Unreachable { .. } | Self::Changed { .. } => Code::Unavailable,
            Self::WaitEnded { .. } => Code::WaitEnded,
            Self::LeversRefused { .. } => Code::Refused,
            Self::ForeignFolder { .. } => Code::Usage,
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
            Self::Document(_) => "FILE",
            Self::NoCoordinator { .. } | Self::Unreachable { .. } => "NO_COORDINATOR",
            Self::Address { .. } | Self::BeyondThisMachine { .. } => "ADDRESS",
            Self::Token { .. } => "TOKEN",
            Self::AlreadyRunning { .. } => "ALREADY_RUNNING",
            Self::File { .. } | Self::System { .. } | Self::Output { .. } => "SYSTEM",
            Self::Encode { .. } => "ENCODE",
            Self::Changed { .. } => "CHANGED",
            Self::Blob { .. } => "BLOB",
            Self::WaitEnded { .. } => "WAIT_ENDED",
            Self::ForeignFolder { .. } => "FOREIGN_FOLDER",
            Self::NoExample => "NO_EXAMPLE",
            Self::ChildEnded { .. } => "CHILD_ENDED",
            Self::NotReady { .. } => "NOT_READY",
            Self::Interrupted { .. } => "INTERRUPTED",
            Self::LeversRefused { .. } => "LEVERS_REFUSED",
            Self::Coordinator(_) => "COORDINATOR",
            Self::Worker(_) => "WORKER",
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
            Self::NoCoordinator { data_dir } => Some(format!("windlass up --data-dir {}", quote(data_dir))),
            Self::Unreachable { .. } => Some("start it there, or correct --coordinator".to_owned()),
            Self::Address { .. } | Self::BeyondThisMachine { .. } => {
                Some("write unix:PATH or http://127.0.0.1:PORT".to_owned())
            }
            Self::AlreadyRunning { .. } => {
                Some("use it as it is, or stop it first, or give another --data-dir".to_owned())
            }
            Self::Coordinator(source) | Self::Worker(source) if is_folder_trouble(source.as_ref()) => {
                Some("give a folder that you may write to with --data-dir".to_owned())
            }
            Self::Changed { .. } => Some("submit again once nothing writes there".to_owned()),
            Self::ForeignFolder { .. } => Some("give an empty or new folder with --dir".to_owned()),
            Self::NoExample => Some("build from a checkout that has examples/digits".to_owned()),
            Self::Interrupted { resume } => resume.clone(),
            Self::Unwell { .. } => Some("each says above what to do".to_owned()),
            Self::LeversRefused { .. } => Some("repair each as said above and add it again".to_owned()),
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

/// Whether the system refused a folder or file, somewhere down the chain of an error.
fn is_folder_trouble(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut link = Some(error);
    while let Some(error) = link {
        let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        if let Some(
            ErrorKind::PermissionDenied
            | ErrorKind::NotFound
            | ErrorKind::NotADirectory
            | ErrorKind::AlreadyExists
            | ErrorKind::ReadOnlyFilesystem,
        ) = kind
        {
            return true;
        }
        link = error.source();
    }
    false
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

/// Prints an error and says what to exit with. A closed pipe is no error: whoever read has enough.
pub fn report(problem: &Error, session: &Session) -> ExitCode {
    if let Error::Output { source } = problem
        && source.kind() == ErrorKind::BrokenPipe
    {
        return ExitCode::SUCCESS;
    }
    // What a child has said on the same stderr is not said again.
    if !matches!(problem, Error::ChildSaid { .. }) {
        print(&problem.to_report(), session.is_json());
    }
    ExitCode::from(problem.exit_code())
}

fn print(report: &Report, json: bool) {
    let mut err = anstream::stderr().lock();
    if json {
        #[derive(Serialize)]
        struct Document<'a> {
            schema: &'static str,
            #[serde(flatten)]
            report: &'a Report,
        }
        let text = serde_json::to_string(&Document { schema: "windlass.error/1", report });
        let _ = writeln!(err, "{}", text.unwrap_or_default());
        return;
    }
    let bold = crate::render::style::ERROR;
    let _ = writeln!(err, "{bold}error{bold:#}{}", told(report));
    if let Some(remedy) = &report.remedy {
        let _ = writeln!(err, "remedy: {}", crate::render::text::neutral_block(remedy));
    }
}

/// Rule and sentence of an error; several problems as a list, each with what to do.
pub fn told(report: &Report) -> String {
    use crate::render::text::neutral_block;
    let of = |rule: &Option<String>| rule.as_ref().map(|rule| format!(" [{rule}]")).unwrap_or_default();
    if report.problems.is_empty() {
        return format!("{}: {}", of(&report.rule), neutral_block(&report.message));
    }
    let heading = report.message.split(": ").next().unwrap_or_default();
    let mut text = format!(": {heading}");
    for problem in &report.problems {
        text.push_str(&format!(
            "\n  {}: {}",
            of(&problem.rule).trim_start(),
            neutral_block(&problem.message)
        ));
        if let Some(remedy) = &problem.remedy {
            text.push_str(&format!("\n    remedy: {}", neutral_block(remedy)));
        }
    }
    text
}

/// Prints what clap has to say: help and version on stdout with 0, usage errors on stderr with 2.
pub fn usage(problem: &clap::Error) -> ExitCode {
    if !problem.use_stderr() {
        let _ = problem.print();
        return ExitCode::SUCCESS;
    }
    if wants_json() {
        let (message, remedy) = clap_sentence(&problem.render().to_string());
        let report = Report { code: "USAGE".to_owned(), rule: None, message, remedy, problems: Vec::new() };
        print(&report, true);
    } else {
        let _ = problem.print();
    }
    ExitCode::from(Code::Usage as u8)
}

/// What clap says, as one sentence and one remedy: its first paragraph, and its tip if it has one.
fn clap_sentence(text: &str) -> (String, Option<String>) {
    let lines = text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim);
    let message = lines.collect::<Vec<_>>().join(" ");
    let tip = text.lines().find_map(|line| line.trim().strip_prefix("tip: "));
    let remedy = tip.unwrap_or("windlass --help").to_owned();
    (message.trim_start_matches("error: ").to_owned(), Some(remedy))
}

/// Prints an error that came before the command line was settled.
pub fn early(problem: &Error) -> ExitCode {
    print(&problem.to_report(), wants_json());
    ExitCode::from(problem.exit_code())
}

/// The command line could not be read, so this looks for the one option that matters here.
fn wants_json() -> bool {
    let args: Vec<String> = std::env::args().collect();
    args.windows(2).any(|pair| pair[0] == "--output" && pair[1] == "json")
        || args.iter().any(|arg| arg == "--output=json")
        || std::env::var("WINDLASS_OUTPUT").is_ok_and(|form| form == "json")
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
