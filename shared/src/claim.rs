//! A claim: what one of several researchers works on, for a while, so that the others take something else.

use crate::path::TreePath;
use serde::{Deserialize, Serialize};

/// What is claimed, and by whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The researcher's name among those of its campaign.
    pub researcher: String,
    /// What it works on, in a line.
    pub about: String,
    /// The dimensions that its lever will measure: nobody else's may meanwhile (P13).
    #[serde(default)]
    pub dimensions: Vec<String>,
    /// The editable files that its lever will touch.
    #[serde(default)]
    pub files: Vec<TreePath>,
}

/// A claim as others see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimView {
    /// What is claimed.
    #[serde(flatten)]
    pub claim: Claim,
    /// How long it still holds, milliseconds.
    pub left_ms: u64,
}
