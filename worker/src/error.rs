//! What can fail in a worker. Nothing here is an experiment's failure: that is data, not an error.

use crate::identity;
use crate::setup;
use std::io;
use std::path::{Path, PathBuf};
use windlass_shared::attempt::Ending;
use windlass_shared::digest::Digest;
use windlass_shared::tree::ManifestError;

/// A failure of the worker's own machinery.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder could not be used.
    #[error("failed to {operation} {}", path.display())]
    File {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A document on disk is torn or foreign.
    #[error("failed to read the document {}", path.display())]
    Document {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// A system call of the process kind failed.
    #[error("failed to {operation}")]
    System {
        /// What was tried.
        operation: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The worker ends: nobody listens any more.
    #[error("the worker ends")]
    Ending,
    /// Another worker lives in this work folder.
    #[error("another worker uses the work folder {}", .0.display())]
    WorkDirBusy(PathBuf),
    /// A blob's bytes are not what its name says (I16).
    #[error("blob {0} is damaged: its bytes are not what its name says")]
    Damaged(Digest),
    /// A blob that should be here is not.
    #[error("blob {0} is not at hand")]
    Missing(Digest),
    /// The coordinator sent other blobs than were asked for.
    #[error("the coordinator sent blob {got:?} where {want} was asked for")]
    WrongBlob {
        /// Asked for.
        want: Digest,
        /// What came.
        got: String,
    },
    /// A manifest could not be read.
    #[error("failed to read the manifest {digest}")]
    Manifest {
        /// Which tree.
        digest: Digest,
        /// Why not.
        #[source]
        source: ManifestError,
    },
    /// A manifest that cannot be laid out: a file where another entry needs a folder.
    #[error("the tree has {path:?} where another entry needs a folder")]
    Layout {
        /// Which path.
        path: String,
    },
    /// A path of a tree that is too long below the work folder of this worker.
    #[error(
        "the tree's path \"{head}…\" of {bytes} bytes is too long for this worker: shorten it, or give the \
         worker a shorter --work-dir"
    )]
    PathTooLong {
        /// How it begins.
        head: String,
        /// Its length.
        bytes: usize,
    },
    /// An order that names what cannot be carried out here.
    #[error("the order's {field} is unusable: {value:?}")]
    Order {
        /// Which field.
        field: &'static str,
        /// Its value.
        value: String,
    },
    /// The coordinator could not be reached.
    #[error("failed to reach the coordinator")]
    Connect(#[source] tonic::transport::Error),
    /// The coordinator's address is none.
    #[error("{0:?} is not an address of a coordinator")]
    Address(String),
    /// This machine's identity.
    #[error(transparent)]
    Joined(#[from] crate::identity::Error),
    /// A call failed.
    #[error("call {call} failed")]
    Call {
        /// Which.
        call: &'static str,
        /// How.
        #[source]
        source: Box<tonic::Status>,
    },
    /// The coordinator's answer cannot be read.
    #[error("the coordinator's answer to {call} is unreadable")]
    Answer {
        /// Which call.
        call: &'static str,
        /// Why.
        #[source]
        source: windlass_shared::refusal::Refusal,
    },
    /// The shim did not start.
    #[error("the shim did not start: {reason}")]
    Shim {
        /// What it said.
        reason: String,
    },
    /// A command did not start; the process that tried has said why.
    #[error("{reason}")]
    Start {
        /// The whole chain of its problem.
        reason: String,
    },
    /// Landlock would not shut a run in.
    #[error("failed to shut the run in with Landlock: {problem}")]
    Landlock {
        /// Why not.
        problem: String,
    },
    /// What the order asks for is not to be had on this machine; nothing is run with less.
    #[error("{what} is not to be had on this worker: {problem}; {remedy}")]
    Unavailable {
        /// What was asked for.
        what: String,
        /// Why it is not to be had.
        problem: String,
        /// What its owner can do.
        remedy: &'static str,
    },
    /// Nobody can read who this worker is.
    #[error(
        "{} is torn or not ours: move it away, and this work folder begins as a new worker's", path.display()
    )]
    Identity {
        /// The document.
        path: PathBuf,
    },
    /// A document whose bytes are not what was written.
    #[error("the document {} is torn or damaged: its checksum does not fit", .0.display())]
    Torn(PathBuf),
    /// A document of a later version of this program.
    #[error(
        "{} was written by a newer windlass (spool version {version}, this one reads up to {known}): start \
         that version on this work folder again, or move the folder away", path.display()
    )]
    NewerSpool {
        /// Which.
        path: PathBuf,
        /// Its version.
        version: u32,
        /// What can be read.
        known: u32,
    },
    /// The worker's log is shorter than what is acknowledged: two logs were mixed up.
    #[error("the log is at {have} bytes but {acknowledged} are acknowledged")]
    LogOffset {
        /// Its size here.
        have: u64,
        /// What the coordinator says it has.
        acknowledged: u64,
    },
    /// The campaign's setup failed: its own doing, and not the lever's.
    #[error("{0}")]
    Setup(Box<setup::Failure>),
    /// A secret that an order names is nowhere.
    #[error(
        "the secret {name} is not at hand: send it with `windlass submit --secret {name}`, or put it into {}",
        file.display()
    )]
    NoSecret {
        /// Which.
        name: String,
        /// The worker's own file.
        file: PathBuf,
    },
    /// A file of secrets that others may use.
    #[error("{} may be used by others (mode {mode:03o}): `chmod 600` it", file.display())]
    OpenSecrets {
        /// Which.
        file: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A file of secrets that cannot be understood.
    #[error("failed to read the secrets in {}", file.display())]
    Secrets {
        /// Which.
        file: PathBuf,
        /// Why not; no value in it.
        #[source]
        source: windlass_shared::secret::SecretError,
    },
    /// Told to stop while it was prepared.
    #[error("stopped while it was prepared")]
    Cancelled,
    /// A data set is not on this machine.
    #[error(
        "the data set {} is not on this worker: put it there, or correct `windlass.data` of the campaign",
        path.display()
    )]
    NoData {
        /// Where it should be.
        path: PathBuf,
    },
    /// A data set lies where runs have no business.
    #[error(
        "the data set {} cannot be shown to a run: {problem}; keep it in a folder of its own and name that in \
         `windlass.data` of the campaign",
        path.display()
    )]
    PrivateData {
        /// Asked for.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
    /// A data set is another one than the campaign means.
    #[error(
        "the data set {} has the fingerprint {got}, and the campaign asks for {want}: put the right one \
         there, or give the new one (`windlass doctor --fingerprint {}` prints it) in `windlass.data`",
        path.display(),
        path.display()
    )]
    OtherData {
        /// Where it is.
        path: PathBuf,
        /// Asked for.
        want: String,
        /// Found.
        got: String,
    },
    /// A blocking task of our own did not come back.
    #[error("a task of the worker ended early")]
    Task(#[source] tokio::task::JoinError),
}

impl Error {
    /// For `map_err`: what was tried on which file.
    pub(crate) fn file(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { operation, path, source }
    }

    /// For `map_err` on a system call.
    pub(crate) fn system(operation: &'static str) -> impl FnOnce(rustix::io::Errno) -> Self {
        move |errno| Self::System { operation, source: errno.into() }
    }

    /// For `map_err` on a call.
    pub(crate) fn call(call: &'static str) -> impl FnOnce(tonic::Status) -> Self {
        move |status| Self::Call { call, source: Box::new(status) }
    }

    /// Whether trying again later may help: the network's and the coordinator's failures, not this
    /// machine's disk's.
    pub fn is_transient(&self) -> bool {
        use tonic::Code;
        match self {
            Self::Connect(_) => true,
            Self::Call { source, .. } => matches!(
                source.code(),
                // A connection that breaks within a message shows as Internal; a full disk over there as
                // ResourceExhausted, and what has run is worth the wait until it is not.
                Code::Unavailable
                    | Code::ResourceExhausted
                    | Code::Cancelled
                    | Code::Unknown
                    | Code::DeadlineExceeded
                    | Code::Aborted
                    | Code::Internal
            ),
            _ => false,
        }
    }

    /// Whether something below `root`, where a run could do as it liked, is not there to be read: gone,
    /// closed, or of another kind. That is a finding about the run, not a failure of this machine.
    pub(crate) fn is_absence_below(&self, root: &Path) -> bool {
        let Self::File { path, source, .. } = self else { return false };
        path.starts_with(root) && is_absence(source)
    }

    /// Whether a lock was not had because somebody holds it.
    pub(crate) fn is_held(&self) -> bool {
        matches!(self, Self::File { source, .. } if source.kind() == io::ErrorKind::WouldBlock)
    }

    /// The ending of an attempt that failed by this: the machinery's, never the idea's (P20).
    pub fn ending(&self) -> Ending {
        match self {
            Self::Cancelled => Ending::Cancelled,
            _ if self.is_disk_full() => Ending::DiskFull { over: None },
            _ => Ending::Infra { detail: self.chain() },
        }
    }

    /// What is said of a coordinator that cannot be reached: one sentence where the way there has one, else
    /// [`Error::chain`].
    pub fn told(&self) -> String {
        let Self::Call { source, .. } = self else { return self.chain() };
        let sentence = identity::Error::within(source.as_ref()).map(ToString::to_string);
        let sentence = sentence.or_else(|| identity::Error::words_within(source.as_ref()));
        sentence.unwrap_or_else(|| match source.message() {
            "" => self.chain(),
            // A refusal is a sentence of the coordinator's own.
            said if !source.details().is_empty() => said.to_owned(),
            _ => self.chain(),
        })
    }

    /// The message with all of its causes, in one line.
    pub fn chain(&self) -> String {
        if let Self::Call { call, source } = self {
            return format!("call {call} failed: {}", said(source));
        }
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }

    /// Whether a file or its folder is not there.
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Self::File { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// Whether the disk of this machine is full.
    pub(crate) fn is_disk_full(&self) -> bool {
        let (Self::File { source, .. } | Self::System { source, .. }) = self else { return false };
        matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

/// What a status says, once: its own words hold those of its causes in the words of programs.
fn said(status: &tonic::Status) -> String {
    let mut text = status.message().to_owned();
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        cause = error.source();
        let deepest = error.to_string();
        if cause.is_none() && !text.contains(&deepest) {
            text = if text.is_empty() { deepest } else { format!("{text}: {deepest}") };
        }
    }
    if text.is_empty() { status.code().description().to_owned() } else { text }
}

/// Whether a path cannot be read for what stands at it, rather than for a failing disk.
pub(crate) fn is_absence(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = Errno::from_io_error(error);
    let ours = [
        Errno::NOENT,
        Errno::NOTDIR,
        Errno::ACCESS,
        Errno::PERM,
        Errno::ISDIR,
        Errno::EXIST,
        Errno::LOOP,
        Errno::NAMETOOLONG,
        Errno::NXIO,
        // A link is not asked for its target any more when it has become something else.
        Errno::INVAL,
    ];
    errno.is_some_and(|errno| ours.contains(&errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_failed_says_why_once() {
        let check = |status: tonic::Status, want: &str| {
            let said = Error::call("WorkerService.Sync")(status).chain();
            assert_eq!(said, format!("call WorkerService.Sync failed: {want}"));
        };
        let refused = || io::Error::from_raw_os_error(111);
        check(tonic::Status::unavailable("the disk is full"), "the disk is full");
        check(tonic::Status::from_error(Box::new(refused())), "Connection refused (os error 111)");
        let mut behind = tonic::Status::unavailable("transport error");
        behind.set_source(std::sync::Arc::new(refused()));
        check(behind, "transport error: Connection refused (os error 111)");
        check(tonic::Status::unavailable(""), "The service is currently unavailable");
    }
}
