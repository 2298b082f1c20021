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
        Code::OutOfRange if is_ours("message length too large") => {
            // `… found 67108945 bytes, the limit is: 16777216 bytes`
            let mut figures =
                said.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok());
            let limit_bytes = MESSAGE_MAX_BYTES as u64;
            let figure = figures.next().unwrap_or(limit_bytes + 1);
            let limit = figures.next().unwrap_or(limit_bytes);
            Some(Refusal::TooMuch { what: "the bytes of one message".to_owned(), figure, limit })
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_transport_says_of_a_message_becomes_a_refusal_with_its_reason() {
        let too_large =
            "Error, decoded message length too large: found 67108945 bytes, the limit is: 65536 bytes";
        for (status, want) in [
            (
                Status::out_of_range(too_large),
                Some("the bytes of one message is 67108945; at most 65536 is taken"),
            ),
            (
                Status::internal("failed to decode Protobuf message: x"),
                Some("failed to decode Protobuf message: x"),
            ),
            (Status::internal("Missing request message."), Some("it is missing")),
            (Status::not_found("Missing request message."), None),
            (Status::out_of_range("an offset"), None),
        ] {
            let told = refusal(&status).map(|refusal| refusal.to_string());
            assert!(
                told.as_deref().map(|told| want.is_some_and(|want| told.contains(want)))
                    == want.map(|_| true),
                "{told:?}"
            );
        }
    }
}
