//! What every service shares: request keys, campaign names, and failures as statuses.

use super::trace::note_request;
use crate::driver::Gone;
use crate::{blobs, ledger, logs, upkeep};
use bytes::Bytes;
use prost::Message;
use tonic::{Code, Status};
use windlass_engine::core::RequestKey;
use windlass_proto::{document, refusal::to_status};
use windlass_shared::access::{Access, Grant, Viewer, is_name};
use windlass_shared::digest::{Digest, Hash};
use windlass_shared::id::RequestId;
use windlass_shared::record::Record;
use windlass_shared::refusal::Refusal;

/// The longest name of anything, bytes: a name goes into listings and error messages.
pub(super) const NAME_MAX_BYTES: usize = 200;
/// As much of what cannot be a name is said back.
const SHOWN_MAX_CHARS: usize = 80;

/// A request's key: its id and the hash of the call and of everything else that it says (I4).
/// A client's key is its own: who guesses another's is told that it was used, and not what was answered.
pub(super) fn request_key(access: &Access, call: &str, id: String, rest: &impl Message) -> RequestKey {
    note_request(&id);
    let mut body = call.as_bytes().to_vec();
    body.push(0);
    if let Viewer::Client(name) = &access.viewer {
        body.extend(name.as_bytes());
        body.push(0);
    }
    body.extend(rest.encode_to_vec());
    RequestKey { id: RequestId(id), body: Hash::of(&body) }
}

/// An answer of the loop as one of the wire.
pub(super) fn answered<T>(answer: Result<Result<T, Refusal>, Gone>) -> Result<T, Status> {
    match answer {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(refusal)) => Err(to_status(&refusal)),
        Err(gone) => Err(Status::unavailable(gone.to_string())),
    }
}

/// A name that is not empty and not endless.
pub(super) fn name(field: &'static str, name: String) -> Result<String, Status> {
    let problem = match name.len() {
        0 => "it is missing",
        1..=NAME_MAX_BYTES => return Ok(name),
        _ => "it is longer than 200 bytes",
    };
    Err(to_status(&Refusal::Malformed { field, problem: problem.to_owned() }))
}

/// The name of something that is there, or how it begins. An empty one, as a script's unset variable makes it, names
/// nothing, and neither does an endless one.
pub(super) fn known(what: &'static str, name: String) -> Result<String, Status> {
    if (1..=NAME_MAX_BYTES).contains(&name.len()) {
        return Ok(name);
    }
    Err(to_status(&Refusal::NotFound { what, name: name.chars().take(SHOWN_MAX_CHARS).collect() }))
}

/// How far a campaign is to be shared with a client; not at all for an empty word.
pub(super) fn shared(with: &str, word: &str) -> Result<Option<Grant>, Status> {
    let malformed = |field, problem| to_status(&Refusal::Malformed { field, problem });
    if !is_name(with) {
        return Err(malformed("with", format!("{with:?} is no client's name")));
    }
    let unknown = || malformed("as", format!("{word:?} is none of read, propose and control"));
    if word.is_empty() { Ok(None) } else { Grant::parse(word).map(Some).ok_or_else(unknown) }
}

/// A digest as it is written.
pub(super) fn digest(field: &'static str, text: &str) -> Result<Digest, Status> {
    let shown: String = text.chars().take(SHOWN_MAX_CHARS).collect();
    let problem = format!("{shown:?} is not `<64 hex digits>:<size>`");
    Digest::parse(text).ok_or_else(|| to_status(&Refusal::Malformed { field, problem }))
}

/// Where a page begins: the number that the page before gave, 0 for the first.
pub(super) fn page_token(token: &str) -> Result<u64, Status> {
    if token.is_empty() {
        return Ok(0);
    }
    let shown: String = token.chars().take(80).collect();
    let problem = format!("{shown:?} is none that this coordinator gave");
    let malformed = || to_status(&Refusal::Malformed { field: "page_token", problem });
    // No ledger has more records than SQLite has row numbers.
    token.parse::<u64>().ok().filter(|after| *after <= i64::MAX as u64).ok_or_else(malformed)
}

/// What the next page is asked for by; empty when this was the last.
pub(super) fn next_page_token(next: Option<u64>) -> String {
    next.map_or_else(String::new, |next| next.to_string())
}

/// Records as documents.
pub(super) fn documents(records: &[Record]) -> Vec<Bytes> {
    records.iter().map(document::write).collect()
}

/// A failed read of the ledger.
pub(super) fn ledger_failure(error: &ledger::Error) -> Status {
    tracing::error!(error = error as &dyn std::error::Error, "the ledger could not be read");
    match error {
        ledger::Error::Damaged(_) | ledger::Error::UnknownKind { .. } => Status::data_loss(error.to_string()),
        ledger::Error::Full => Status::resource_exhausted(error.to_string()),
        ledger::Error::WriterEnded => Status::unavailable(error.to_string()),
        _ => Status::internal(error.to_string()),
    }
}

/// A blob that could not be stored or read.
pub(super) fn blob_failure(error: blobs::Error) -> Status {
    let code = match &error {
        blobs::Error::Absent { digest } => {
            return to_status(&Refusal::NotFound { what: "blob", name: digest.to_string() });
        }
        blobs::Error::Mismatch { .. } | blobs::Error::TooLarge { .. } => Code::InvalidArgument,
        blobs::Error::Damaged { .. } => Code::DataLoss,
        blobs::Error::Small(source) => return ledger_failure(source),
        _ => Code::Internal,
    };
    if code != Code::InvalidArgument {
        tracing::error!(error = &error as &dyn std::error::Error, "a blob failed");
    }
    Status::new(code, error.to_string())
}

/// Upkeep that was not done.
pub(super) fn upkeep_failure(failure: upkeep::Failure) -> Status {
    match failure {
        upkeep::Failure::Refused(refusal) => to_status(&refusal),
        upkeep::Failure::Gone(gone) => Status::unavailable(gone.to_string()),
        upkeep::Failure::Upkeep(error) => {
            tracing::error!(error = &*error as &dyn std::error::Error, "upkeep failed");
            let mut text = error.to_string();
            if let Some(cause) = std::error::Error::source(&*error) {
                text.push_str(&format!(": {cause}"));
            }
            Status::internal(text)
        }
    }
}

/// A log that could not be written or read.
pub(super) fn log_failure(error: &logs::Error) -> Status {
    let code = match error {
        logs::Error::Gap { .. } | logs::Error::Whole { .. } => Code::OutOfRange,
        logs::Error::Name { .. } => Code::InvalidArgument,
        logs::Error::File { .. } => Code::Internal,
    };
    if code == Code::Internal {
        tracing::error!(error = error as &dyn std::error::Error, "a log failed");
    }
    Status::new(code, error.to_string())
}
