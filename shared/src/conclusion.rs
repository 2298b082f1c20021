//! What an iteration taught (P23), and its decision (P25, P26).

use crate::lever::Anchor;
use crate::path::TreePath;
use serde::{Deserialize, Serialize};

/// What one deliverable showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As expected if the change helped.
    AsHelped,
    /// As expected if not.
    AsNot,
    /// Neither, or nobody has judged it.
    Neither,
}

/// The conclusion of one iteration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conclusion {
    /// The finding, one line.
    pub finding: String,
    /// 3 to 8 bullets.
    pub bullets: Vec<String>,
    /// For each deliverable.
    pub deliverables: Vec<(TreePath, Verdict)>,
    /// Whether it was composed from facts alone.
    #[serde(default)]
    pub automatic: bool,
    /// What was examined; empty in an automatic one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub examined: String,
    /// With literature: whether the ceiling is near.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceiling_near: Option<bool>,
    /// The anchor that it offers to the next lever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<Anchor>,
}

/// The three ways an iteration can end (P29).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It is the new best.
    Keep,
    /// It stays in the ledger.
    Discard,
    /// It has no metric.
    Crash,
}

impl Status {
    /// The word in `results.tsv`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Discard => "discard",
            Self::Crash => "crash",
        }
    }
}
