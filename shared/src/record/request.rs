//! The requests that records answer (I4).

use crate::digest::Hash;
use crate::id::{CampaignId, FindingNumber, LeverNumber, RequestId};
use serde::{Deserialize, Serialize};

/// A request that was answered, kept so that the same key gets the same answer (I4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The idempotency key.
    pub id: RequestId,
    /// The hash of what was asked.
    pub body: Hash,
    /// What was answered.
    pub answer: Answer,
}

/// What a mutating call answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// A campaign was created or updated; with a creation, how many levers it took along from one whose
    /// baseline crashed.
    Campaign {
        /// Its id.
        id: CampaignId,
        /// Levers taken along (P1).
        levers_taken: u32,
    },
    /// A lever was queued, perhaps with warnings (P13).
    Lever {
        /// Its number.
        number: LeverNumber,
        /// What the researcher should know.
        warnings: Vec<String>,
    },
    /// A review was recorded, its findings in the order of the review.
    Findings {
        /// The number of the first.
        first: FindingNumber,
        /// How many.
        count: u32,
    },
    /// Done.
    Done,
}
