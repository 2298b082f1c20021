//! Bytes that are no message of their call: what the transport says of them becomes a refusal like any other,
//! with a stable reason and a remedy.

use http::Response;
use tonic::body::Body;
use tonic::{Code, Status};
use windlass_proto::MESSAGE_MAX_BYTES;
use windlass_proto::refusal::to_status;
use windlass_shared::refusal::Refusal;

/// The longest that the transport's own words are repeated, characters.
const SAID_MAX_CHARS: usize = 200;

/// Puts a refusal in the place of an answer that says only that a message could not be read. An answer that
/// is ours is left as it is: it has details.
pub(super) fn refuse(response: Response<Body>) -> Response<Body> {
    let status = Status::from_header_map(response.headers());
    match status.as_ref().and_then(refusal) {
        Some(refusal) => to_status(&refusal).into_http(),
        None => response,
    }
}

fn refusal(status: &Status) -> Option<Refusal> {
    if !status.details().is_empty() {
        return None;
    }
    let said = status.message();
    let is_ours = |part: &str| said.contains(part);
    let problem: String = said.chars().take(SAID_MAX_CHARS).collect();
    match status.code() {
        Code::OutOfRange if is_ours("message length too large") => Some(Refusal::Malformed {
            field: "message",
            problem: format!("it is larger than the {MESSAGE_MAX_BYTES} bytes that are taken"),
        }),
        Code::Internal | Code::InvalidArgument | Code::Unimplemented | Code::Unknown
            if ["failed to decode Protobuf", "Unexpected EOF", "compression flag", "protocol error"]
                .into_iter()
                .any(is_ours) =>
        {
            Some(Refusal::Malformed { field: "message", problem })
        }
        Code::Internal if is_ours("Missing request message") => {
            Some(Refusal::Malformed { field: "message", problem: "it is missing".to_owned() })
        }
        _ => None,
    }
}
