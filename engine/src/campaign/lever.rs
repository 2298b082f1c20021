//! A lever in its queue, and what is left of it afterwards.

use crate::core::Field;
use serde::{Deserialize, Serialize};
use windlass_shared::conclusion::Status;
use windlass_shared::digest::{Digest, Hash};
use windlass_shared::id::{IterationNumber, LeverNumber, RequestId};
use windlass_shared::lever::{CitedRow, Lever, Pin};
use windlass_shared::record::RetireReason;
use windlass_shared::view::LeverState;

/// A lever that may still be pulled, or is being tested, with all that was proposed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LeverEntry {
    /// Its number.
    pub number: LeverNumber,
    /// As proposed.
    pub document: Box<Lever>,
    /// The tree it was written against.
    pub base: Digest,
    /// That tree with its change.
    pub changed: Digest,
    /// Where its anchor was found, if it was looked for (P6).
    pub pin: Option<Pin>,
    /// The best of that moment: while it is still the best, the pin stands unasked (P7).
    pub pinned_on: Option<IterationNumber>,
    /// The hash of its normalised diff (P10).
    pub diff: Hash,
    /// Where it stands.
    pub state: LeverState,
    /// Times passed over (P9).
    pub passes: u32,
    /// The iteration that was the latest when it was last passed over: once per opened iteration.
    pub passed_after: Option<IterationNumber>,
    /// What was missing then.
    pub missing: Option<String>,
    /// When it was queued, wall time.
    pub queued_wall_ms: i64,
    /// What the rows that it cites said (P24).
    pub cited: Vec<CitedRow>,
    /// The iteration of another lane that took its place: it is tried again, whatever was tried (P10, P39).
    pub superseded_by: Option<IterationNumber>,
    /// The request that proposed it.
    pub request: Option<RequestId>,
}

impl LeverEntry {
    /// Whether it stands in line.
    pub fn is_queued(&self) -> bool {
        self.state == LeverState::Queued
    }
}

/// A lever that was decided, or retired a while ago. Its document, and the words of its retirement, are read in the ledger
/// when they are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Past {
    /// Tested.
    Decided {
        /// By which iteration.
        iteration: IterationNumber,
        /// How.
        status: Status,
    },
    /// Taken back by its researcher.
    TakenBack,
    /// Its evidence or its turn spoke against it (P7, P9, P10).
    Stale,
}

impl Past {
    /// What stays of a lever that stands so.
    pub(super) fn of(state: &LeverState) -> Self {
        match state {
            LeverState::Decided { iteration, status } => {
                Self::Decided { iteration: *iteration, status: *status }
            }
            LeverState::Retired { reason: RetireReason::Owner } => Self::TakenBack,
            // Only what is over is let go.
            _ => Self::Stale,
        }
    }
}

impl Field for Past {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Decided { iteration, status } => {
                status.put(out);
                iteration.put(out);
            }
            Self::TakenBack => 3_u8.put(out),
            Self::Stale => 4_u8.put(out),
        }
    }
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        match *bytes.first()? {
            3 => u8::take(bytes).map(|_| Self::TakenBack),
            4 => u8::take(bytes).map(|_| Self::Stale),
            _ => {
                let (status, iteration) = (Status::take(bytes)?, IterationNumber::take(bytes)?);
                Some(Self::Decided { iteration, status })
            }
        }
    }
}

impl Field for Status {
    fn put(&self, out: &mut Vec<u8>) {
        let code: u8 = match self {
            Self::Keep => 0,
            Self::Discard => 1,
            Self::Crash => 2,
        };
        code.put(out);
    }
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        match u8::take(bytes)? {
            0 => Some(Self::Keep),
            1 => Some(Self::Discard),
            2 => Some(Self::Crash),
            _ => None,
        }
    }
}
