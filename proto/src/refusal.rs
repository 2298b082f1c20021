//! Refusals as gRPC statuses with `google.rpc.ErrorInfo`, and back on the client's side.

use std::collections::HashMap;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use windlass_shared::refusal::{ExitCode, Problem, Refusal};

/// The key of `ErrorInfo.metadata` under which several problems stand, as JSON.
const PROBLEMS: &str = "problems";
/// `ErrorInfo.domain` of every refusal.
pub const DOMAIN: &str = "windlass";

/// The one map from a refusal to a status.
pub fn to_status(refusal: &Refusal) -> Status {
    let code = match refusal {
        Refusal::NotFound { .. } | Refusal::Removed { .. } => Code::NotFound,
        Refusal::ReadOnly { .. } => Code::Unavailable,
        Refusal::Ambiguous { .. } | Refusal::Malformed { .. } | Refusal::RequestId { .. } => {
            Code::InvalidArgument
        }
        Refusal::RequestReused { .. } => Code::AlreadyExists,
        Refusal::TooMuch { .. } | Refusal::NoRoom { .. } => Code::ResourceExhausted,
        // A stale number stays stale: it is not for trying again.
        Refusal::FactsMoved => Code::Aborted,
        Refusal::Unsupported { .. } => Code::Unimplemented,
        _ => Code::FailedPrecondition,
    };
    let mut metadata = HashMap::new();
    let exit = refusal.exit_code() as u8;
    metadata.insert("exit_code".to_owned(), exit.to_string());
    if let Some(rule) = refusal.rule() {
        metadata.insert("rule".to_owned(), rule.to_owned());
    }
    if let Some(remedy) = refusal.remedy() {
        metadata.insert("remedy".to_owned(), remedy.to_owned());
    }
    let problems = refusal.problems();
    if !problems.is_empty() {
        let list = serde_json::to_string(&problems).expect("sentences are always representable");
        metadata.insert(PROBLEMS.to_owned(), list);
    }
    metadata.extend(place(refusal).into_iter().map(|(key, value)| (key.to_owned(), value)));
    let details = ErrorDetails::with_error_info(refusal.reason(), DOMAIN, metadata);
    Status::with_error_details(code, refusal.to_string(), details)
}

/// Where the refusal points: field, path, line.
fn place(refusal: &Refusal) -> Vec<(&'static str, String)> {
    match refusal {
        Refusal::NotFound { what, name } => {
            vec![("missing_kind", (*what).to_owned()), ("missing_name", name.clone())]
        }
        Refusal::Malformed { field, .. } => vec![("field", (*field).to_owned())],
        Refusal::Binding { key, .. } | Refusal::Unsupported { key } => vec![("field", (*key).to_owned())],
        Refusal::Lever { field, .. } => vec![("field", field.clone())],
        Refusal::Finding { finding, pointer, .. } => {
            let mut place = vec![("field", pointer.clone())];
            place.extend(finding.map(|finding| ("finding", finding.to_string())));
            place
        }
        Refusal::Frozen { path } | Refusal::Tree { path, .. } | Refusal::Undeclared { path } => {
            vec![("path", path.clone())]
        }
        Refusal::Patch { file, line, .. } => {
            let mut place = vec![("path", file.clone())];
            place.extend(line.map(|line| ("line", line.to_string())));
            place
        }
        Refusal::Anchor { file, iteration, .. } => {
            vec![("path", file.clone()), ("iteration", iteration.to_string())]
        }
        _ => Vec::new(),
    }
}

/// A refusal or failure as a client receives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// A stable name for machines: a refusal's reason, or the status code's name.
    pub reason: String,
    /// The rule behind it.
    pub rule: Option<String>,
    /// The sentence.
    pub message: String,
    /// What to do.
    pub remedy: Option<String>,
    /// Each of several problems; empty where the sentence says it all.
    pub problems: Vec<Problem>,
    /// What the process should exit with.
    pub exit_code: u8,
    /// For what is not there: its kind (`campaign`, `worker`, …) and the name that was asked for.
    pub missing: Option<(String, String)>,
}

/// Reads a status that [`to_status`] made, or any other.
pub fn from_status(status: &Status) -> Received {
    let details = status.get_error_details();
    match details.error_info().filter(|info| info.domain == DOMAIN) {
        Some(info) => Received {
            reason: info.reason.clone(),
            rule: info.metadata.get("rule").cloned(),
            message: status.message().to_owned(),
            remedy: info.metadata.get("remedy").cloned(),
            problems: info
                .metadata
                .get(PROBLEMS)
                .and_then(|list| serde_json::from_str(list).ok())
                .unwrap_or_default(),
            exit_code: info.metadata.get("exit_code").and_then(|code| code.parse().ok()).unwrap_or(1),
            missing: info
                .metadata
                .get("missing_kind")
                .cloned()
                .zip(info.metadata.get("missing_name").cloned()),
        },
        None => Received {
            reason: format!("{:?}", status.code()).to_uppercase(),
            rule: None,
            message: status.message().to_owned(),
            remedy: None,
            problems: Vec::new(),
            exit_code: transport_exit_code(status.code()) as u8,
            missing: None,
        },
    }
}

/// Cancelled and Unknown are what a timed-out or failed connection shows as; both are worth a retry.
fn transport_exit_code(code: Code) -> ExitCode {
    match code {
        Code::Unavailable | Code::Cancelled | Code::Unknown | Code::DeadlineExceeded => ExitCode::Unavailable,
        Code::NotFound => ExitCode::NotFound,
        _ => ExitCode::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_crosses_the_wire_with_rule_remedy_and_exit_code() {
        let refusal = Refusal::Frozen { path: "evaluate.py".to_owned() };
        let received = from_status(&to_status(&refusal));
        assert_eq!(received.reason, "FROZEN_FILE");
        assert_eq!(received.rule.as_deref(), Some("P2"));
        assert_eq!(received.exit_code, ExitCode::Refused as u8);
        assert_eq!(received.message, refusal.to_string());
        assert!(received.remedy.is_some() && received.missing.is_none());
        let absent = Refusal::NotFound { what: "campaign", name: "digts".to_owned() };
        let received = from_status(&to_status(&absent));
        assert_eq!(received.missing, Some(("campaign".to_owned(), "digts".to_owned())));
    }

    #[test]
    fn several_problems_cross_the_wire_each_with_its_rule_within_what_headers_may_hold() {
        let frozen = |name: usize| Refusal::Frozen { path: format!("{name}/{}", "x".repeat(4_000)) };
        let refusal = Refusal::several((0..20).map(frozen).chain([Refusal::NoChange]).collect());
        let status = to_status(&refusal);
        assert!(status.message().len() + status.details().len() < 10_000, "{}", status.details().len());
        let received = from_status(&status);
        assert_eq!((received.reason.as_str(), received.rule.as_deref()), ("SEVERAL", Some("P2")));
        assert_eq!((received.problems.len(), received.problems[0].code.as_str()), (8, "FROZEN_FILE"));
        assert!(received.message.ends_with("and 13 more"), "{}", received.message);
        let one = Refusal::several(vec![Refusal::NoChange]);
        assert_eq!((one.clone(), from_status(&to_status(&one)).problems), (Refusal::NoChange, Vec::new()));
    }
}
