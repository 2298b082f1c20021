//! What can fail about keys and certificates of this coordinator. What a peer did wrong is a refusal.

use std::io;
use std::path::PathBuf;

/// An identity of the coordinator that cannot be read, made or kept.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file failed.
    #[error("failed to {operation} {path}")]
    File {
        /// What was attempted.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Somebody shortened the token.
    #[error("{path} holds no token; remove it and a new one is made")]
    TooShort {
        /// The file.
        path: PathBuf,
    },
    /// The CA's certificate or key is none, or the two do not belong together.
    #[error(
        "{path} is no certificate or key of a CA: {problem}; put both files back, or remove both and every machine joins again"
    )]
    Authority {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The list of certificates cannot be read.
    #[error("{path} is no list of certificates; restore it, or remove it and every machine joins again")]
    Registry {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A certificate could not be made.
    #[error("failed to make a certificate")]
    Certificate(#[source] rcgen::Error),
    /// TLS could not be set up.
    #[error("failed to set TLS up")]
    Tls(#[source] rustls::Error),
    /// TLS could not be set up with this CA.
    #[error("failed to set TLS up with the CA")]
    Verifier(#[source] rustls::server::VerifierBuilderError),
}

impl Error {
    /// What failed on a file.
    pub(super) fn file(operation: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { operation, path, source }
    }
}
