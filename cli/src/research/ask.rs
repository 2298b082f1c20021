//! What a command can be asked for.

use serde::{Deserialize, Serialize};

/// The four questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// A lever.
    Propose,
    /// A lever in the place of one that was refused.
    Repair,
    /// What an iteration has shown (P23).
    Conclude,
    /// A fix of a failed run (P19).
    Fix,
}

impl Ask {
    /// The word in `WINDLASS_TURN`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Propose => "propose",
            Self::Repair => "repair",
            Self::Conclude => "conclude",
            Self::Fix => "fix",
        }
    }

    /// Whether a lever is wanted.
    pub fn is_for_a_lever(self) -> bool {
        matches!(self, Self::Propose | Self::Repair)
    }
}
