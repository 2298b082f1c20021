//! Every way in which a log cannot be written or read.

use std::io;
use std::path::{Path, PathBuf};
use windlass_shared::attempt::AttemptKey;
use windlass_shared::id::CampaignId;

/// A log that cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The piece begins after what is there: it would leave a hole.
    #[error("log {key} has {length_bytes} bytes; a piece at {offset} would leave a gap")]
    Gap {
        /// Whose log.
        key: Box<AttemptKey>,
        /// What is there.
        length_bytes: u64,
        /// Where the piece begins.
        offset: u64,
    },
    /// The log is whole and put away: it takes no more.
    #[error("log {key} is whole with {length_bytes} bytes and takes no more")]
    Whole {
        /// Whose log.
        key: Box<AttemptKey>,
        /// What is there.
        length_bytes: u64,
    },
    /// A campaign's id that is no file name.
    #[error("campaign id {campaign} cannot name a folder")]
    Name {
        /// The id.
        campaign: CampaignId,
    },
    /// The file failed.
    #[error("failed to {operation} log {path}")]
    File {
        /// What was attempted.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// For `map_err` on file work.
    pub(super) fn file(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { operation, path, source }
    }

    /// Whether there is no such file.
    pub(super) fn is_absence(&self) -> bool {
        matches!(self, Self::File { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}
