//! Why a machine cannot join or be known, each in a sentence that says what to do.

use std::io;
use std::path::PathBuf;
use windlass_shared::access::Role;
use windlass_shared::join::TokenError;

/// How the sentence of [`Error::NotGrpc`] begins and ends: it must be found again in a text.
const NOT_GRPC_BEGINS: &str = "what answers at";
const NOT_GRPC_ENDS: &str = "check the port and whether the coordinator runs";

/// A failure to join, or to reach a coordinator by TLS.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The token is none.
    #[error("{0}")]
    Token(#[from] TokenError),
    /// The token is for something else.
    #[error("the join token is for the role {token}, and this would join as {wanted}; use {}", command(*token))]
    Role {
        /// The token's.
        token: Role,
        /// What is asked for.
        wanted: &'static str,
    },
    /// The token is for somebody else.
    #[error(
        "the join token is for the name {token} and not for {wanted}; leave --name out, or ask for another token"
    )]
    Name {
        /// The token's.
        token: String,
        /// What is asked for.
        wanted: String,
    },
    /// A name that cannot be one.
    #[error(
        "{0:?} cannot name a machine here: letters, digits, `.`, `_`, `-` and `@`, at most 64; choose one with --name"
    )]
    BadName(String),
    /// The file of an identity failed.
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
    /// The file of an identity is none.
    #[error("{} is no identity any more; remove it and join again with a new token", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
    },
    /// This machine has joined nobody.
    #[error("this machine has joined no coordinator: there is no {}; ask for a token and use `windlass join TOKEN`, or `windlass worker --join TOKEN` for a worker", path.display())]
    NotJoined {
        /// Where its identity would be.
        path: PathBuf,
    },
    /// The address is none.
    #[error("{0:?} is no coordinator's address: write HOST:PORT")]
    Address(String),
    /// The address cannot be found.
    #[error(
        "the name {host} cannot be resolved; check it, or name the coordinator by number with --coordinator https://NUMBER:PORT"
    )]
    Resolve {
        /// The host.
        host: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Nobody answers.
    #[error(
        "nobody answers at {address} ({tried}); check that the coordinator runs and that no firewall is between"
    )]
    Unreachable {
        /// As it was asked for.
        address: String,
        /// The numbers that were tried, and what came of the last.
        tried: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// What answers is no coordinator.
    #[error(
        "what answers at {address} is no coordinator with TLS ({problem}); check the port, and whether it listens beyond loopback"
    )]
    NotTls {
        /// The address.
        address: String,
        /// What it did.
        problem: String,
    },
    /// What answers without TLS is no coordinator.
    #[error("{NOT_GRPC_BEGINS} {address} is no coordinator without TLS ({problem}); {NOT_GRPC_ENDS}")]
    NotGrpc {
        /// The address.
        address: String,
        /// What it did.
        problem: String,
    },
    /// Another coordinator, or somebody between.
    #[error(
        "what answers at {address} is another coordinator than this machine was told of, or stands between them: nothing was sent; check the address, or join with a token of that coordinator"
    )]
    Foreign {
        /// The address.
        address: String,
    },
    /// The clocks are apart.
    #[error(
        "the certificate of the coordinator at {address} is not valid by this machine's clock ({problem}); set the clocks of both machines"
    )]
    Clock {
        /// The address.
        address: String,
        /// What its time is.
        problem: String,
    },
    /// The TLS library refused what it was given.
    #[error("failed to set TLS up")]
    Tls(#[from] rustls::Error),
    /// The TLS library refused the CA.
    #[error("failed to set TLS up with the coordinator's CA")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// A key or a request could not be made.
    #[error("failed to make a key")]
    Key(#[from] rcgen::Error),
    /// No connection.
    #[error("failed to reach the coordinator")]
    Connect(#[from] tonic::transport::Error),
    /// The coordinator said no.
    #[error("{}", .0.message())]
    Call(Box<tonic::Status>),
    /// The coordinator's answer is not what was asked for.
    #[error(
        "the coordinator's answer is no certificate for this machine ({0}); use the same version on both"
    )]
    Answer(&'static str),
}

fn command(role: Role) -> &'static str {
    match role {
        Role::Worker => "`windlass worker --join TOKEN`",
        Role::Client | Role::Admin => "`windlass join TOKEN`",
    }
}

impl Error {
    /// The first of ours in what a connection failed with.
    pub fn within<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Self> {
        let mut next = Some(error);
        while let Some(one) = next {
            if let Some(ours) = one.downcast_ref::<Self>() {
                return Some(ours);
            }
            // What a connector says is carried inside an I/O error by some layers.
            let inside = one.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            if let Some(ours) = inside.and_then(|inside| inside.downcast_ref::<Self>()) {
                return Some(ours);
            }
            next = one.source();
        }
        None
    }

    /// The sentence of [`Error::NotGrpc`] in what a connection failed with: HTTP/2's layer keeps the words of what a
    /// stream fails with, and not the error.
    pub fn words_within(error: &(dyn std::error::Error + 'static)) -> Option<String> {
        let mut next = Some(error);
        while let Some(one) = next {
            // It may stand in what another layer made of it, with that one's quotes and brackets behind.
            let text = one.to_string();
            let sentence = text.find(NOT_GRPC_BEGINS).map(|at| &text[at..]);
            if let Some((said, _)) = sentence.and_then(|sentence| sentence.split_once(NOT_GRPC_ENDS)) {
                return Some(format!("{said}{NOT_GRPC_ENDS}"));
            }
            next = one.source();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_that_another_layer_wrapped_is_told_without_its_wrapping() {
        let address = "127.0.0.1:7070".to_owned();
        let own = Error::NotGrpc { address, problem: "it speaks TLS: write https://".to_owned() };
        let wrapped = format!("Error {{ kind: Io, source: Custom(Some({:?})) }}", own.to_string());
        let around = io::Error::other(wrapped);
        assert_eq!(Error::words_within(&around), Some(own.to_string()));
        assert_eq!(Error::words_within(&io::Error::other("something else")), None);
    }
}
