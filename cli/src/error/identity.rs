//! What keeps this machine from being known to a coordinator, as an error of a command.

use super::Error;
use windlass_shared::refusal::ExitCode as Code;
use windlass_worker::identity::{self, refused_certificate};

/// What sort of trouble it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nobody answers.
    Away,
    /// What answers speaks something else.
    NoTls,
    /// What answers without TLS is no coordinator.
    NoGrpc,
    /// What answers is another one.
    Foreign,
    /// The clocks are apart.
    Clock,
    /// The token, role or name does not fit.
    Token,
    /// This machine has no identity.
    NotJoined,
    /// Its identity is another coordinator's.
    Refused,
    /// Something else.
    Other,
}

impl Trouble {
    fn of(error: &identity::Error) -> Self {
        use identity::Error as E;
        match error {
            E::Resolve { .. } | E::Unreachable { .. } | E::Connect(_) => Self::Away,
            E::NotTls { .. } => Self::NoTls,
            E::NotGrpc { .. } => Self::NoGrpc,
            E::Foreign { .. } => Self::Foreign,
            E::Clock { .. } => Self::Clock,
            E::Token(_) | E::Role { .. } | E::Name { .. } | E::BadName(_) | E::Address(_) => Self::Token,
            E::NotJoined { .. } => Self::NotJoined,
            _ => Self::Other,
        }
    }

    /// A stable name for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Away => "NO_COORDINATOR",
            Self::NoTls => "NO_TLS",
            Self::NoGrpc => "NO_GRPC",
            Self::Foreign => "FOREIGN_COORDINATOR",
            Self::Clock => "CLOCK",
            Self::Token => "TOKEN",
            Self::NotJoined => "NOT_JOINED",
            Self::Refused => "UNAUTHENTICATED",
            Self::Other => "IDENTITY",
        }
    }

    /// What the process exits with.
    pub fn exit_code(self) -> Code {
        match self {
            Self::Away => Code::Unavailable,
            Self::Token => Code::Usage,
            _ => Code::Failed,
        }
    }
}

/// The trouble behind a call that came to nothing, if it is one of these.
fn behind(status: &tonic::Status) -> Option<Error> {
    if let Some(error) = identity::Error::within(status) {
        return Some(told(error));
    }
    if let Some(message) = identity::Error::words_within(status) {
        return Some(Error::Identity { trouble: Trouble::NoGrpc, message });
    }
    refused_certificate(status).then(|| Error::Identity {
        trouble: Trouble::Refused,
        message:
            "the coordinator does not take this machine's certificate: another CA made it; join again with a \
                  token of this coordinator"
                .to_owned(),
    })
}

impl Error {
    /// What a connection that could not be opened failed with, where that is ours to tell.
    pub fn from_connection(error: &(dyn std::error::Error + 'static)) -> Self {
        match identity::Error::within(error) {
            Some(ours) => told(ours),
            None => Self::Identity { trouble: Trouble::Other, message: error.to_string() },
        }
    }
}

fn told(error: &identity::Error) -> Error {
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(one) = cause {
        let text = one.to_string();
        // A sentence may have said it in its own words, without the system's number.
        let words = text.split(" (os error").next().unwrap_or(&text).to_lowercase();
        if !message.to_lowercase().contains(&words) {
            message.push_str(&format!(": {text}"));
        }
        cause = one.source();
    }
    Error::Identity { trouble: Trouble::of(error), message }
}

impl From<identity::Error> for Error {
    fn from(error: identity::Error) -> Self {
        match error {
            identity::Error::Call(status) => Self::from(*status),
            other => told(&other),
        }
    }
}

impl From<tonic::Status> for Error {
    fn from(status: tonic::Status) -> Self {
        if let Some(trouble) = behind(&status) {
            return trouble;
        }
        let mut received = windlass_proto::refusal::from_status(&status);
        if received.message.is_empty() {
            received.message = format!("the coordinator gave no reason ({})", status.code());
        }
        Self::Received(Box::new(received))
    }
}
