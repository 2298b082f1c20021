//! A proposal that rules refused, as the ledger keeps it: enough to see again what was wrong, and no more, since
//! nothing of it was taken.

use crate::id::IterationNumber;
use crate::lever::{Anchor, Kind, Lever, TITLE_MAX_BYTES};
use crate::refusal::{Problem, Refusal};
use serde::{Deserialize, Serialize};

/// The longest anchor that is kept, characters: a path and a pattern that a person wrote.
const ANCHOR_MAX_CHARS: usize = 300;

/// What was proposed, and what spoke against it. At most 8 problems of 300 characters and their remedies: below
/// 6 KiB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedLever {
    /// Its title, cut at 200 bytes.
    pub title: String,
    /// What sort of change it was to be.
    pub lever_kind: Kind,
    /// Each problem with its rule and remedy.
    pub problems: Vec<Problem>,
    /// Problems beyond those.
    #[serde(default)]
    pub more: u32,
    /// The anchor that was looked up: `loss.tsv: /slope (.*)/ < -0.01`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<String>,
    /// Whose evidence it was looked up in; none before anything was analysed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<IterationNumber>,
}

impl RefusedLever {
    /// Refused proposals that are recorded from one opened iteration or queued lever to the next: so the ledger
    /// grows at most so many times as fast as the campaign moves, whoever proposes. Further ones are answered as
    /// ever, and not recorded.
    pub const BETWEEN_MAX: u32 = 32;

    /// What is kept of a refusal; none of one that no rule of the protocol is behind (a stopped campaign, a disk
    /// that is full, a key that was used before).
    pub fn of(lever: &Lever, refusal: &Refusal, evidence: Option<IterationNumber>) -> Option<Self> {
        if !refusal.rule()?.starts_with('P') {
            return None;
        }
        let (problems, more) = match refusal {
            Refusal::Several { more, .. } => (refusal.problems(), *more),
            alone => (vec![alone.as_problem()], 0),
        };
        let anchor = lever.anchor.as_ref().map(|anchor| cut(&tell(anchor), ANCHOR_MAX_CHARS));
        Some(Self {
            title: cut_bytes(&lever.title, TITLE_MAX_BYTES).to_owned(),
            lever_kind: lever.kind,
            problems,
            more: u32::try_from(more).unwrap_or(u32::MAX),
            evidence: anchor.as_ref().and(evidence),
            anchor,
        })
    }
}

fn tell(anchor: &Anchor) -> String {
    let compare = anchor.compare.as_ref().map_or(String::new(), |compare| format!(" {compare}"));
    format!("{}: /{}/{compare}", anchor.file, anchor.pattern)
}

fn cut(text: &str, max_chars: usize) -> String {
    text.chars().take(max_chars).collect()
}

fn cut_bytes(text: &str, max_bytes: usize) -> &str {
    let end = (0..=max_bytes.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lever(title: &str, pattern: &str) -> Lever {
        let text = serde_json::json!({
            "title": title, "files": ["a.py"], "change": {"files": {}}, "prediction": "better",
            "anchor": {"file": "loss.tsv", "pattern": pattern, "compare": "< 1"},
        });
        serde_json::from_value(text).expect("a lever")
    }

    fn frozen() -> Refusal {
        Refusal::Frozen { path: "evaluate.py".to_owned() }
    }

    #[test]
    fn what_is_kept_of_a_refused_proposal_is_bounded() {
        let lever = lever(&"é".repeat(500), &"x".repeat(5000));
        let long = || Refusal::Frozen { path: "p".repeat(100_000) };
        let refusal = Refusal::several((0..40).map(|_| long()).collect());
        let kept = RefusedLever::of(&lever, &refusal, Some(IterationNumber(3))).expect("kept");
        assert_eq!((kept.problems.len(), kept.more, kept.title.len()), (8, 32, 200));
        assert!(serde_json::to_string(&kept).expect("JSON").len() < 6 << 10);
    }

    #[test]
    fn it_says_each_problem_and_the_evidence_that_was_looked_at() {
        let lever = lever("momentum", "slope (.*)");
        let kept = RefusedLever::of(&lever, &frozen(), Some(IterationNumber(3))).expect("kept");
        assert_eq!(kept.problems[0].rule.as_deref(), Some("P2"));
        assert!(kept.problems[0].message.contains("evaluate.py is frozen"), "{kept:?}");
        assert_eq!(kept.anchor.as_deref(), Some("loss.tsv: /slope (.*)/ < 1"));
        assert_eq!(kept.evidence, Some(IterationNumber(3)));
    }

    #[test]
    fn what_no_rule_of_the_protocol_refuses_is_not_kept() {
        let lever = lever("momentum", "x");
        for refusal in [
            Refusal::FactsMoved,
            Refusal::RequestReused { id: "7".to_owned() },
            Refusal::TooMuch { what: "the queue".to_owned(), figure: 2, limit: 1 },
            Refusal::State { what: "c".to_owned(), state: "stopped".to_owned(), wanted: "nothing" },
        ] {
            assert_eq!(RefusedLever::of(&lever, &refusal, None), None, "{refusal}");
        }
    }
}
