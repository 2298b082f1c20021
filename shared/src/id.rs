//! Identities. Each is a newtype, so that a lever's number cannot stand where an iteration's should.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! text_id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// The id as it is written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}

text_id!(
    /// A campaign: a slug of its name, a dash and six hex digits of the request that created it.
    CampaignId
);
text_id!(
    /// A worker's identity, made by itself once per work folder: a re-imaged machine is a new worker.
    WorkerId
);
text_id!(
    /// One connection life of a worker. A session that was declared lost never speaks again.
    SessionId
);
text_id!(
    /// A GPU's UUID as NVML prints it (`GPU-…`, `MIG-…`), or `cpu-0`, `cpu-1`, … for a CPU slot.
    DeviceId
);
text_id!(
    /// A client's idempotency key: a UUIDv7 in its usual form.
    RequestId
);

/// An iteration's number within its campaign: 1, 2, 3 …, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IterationNumber(pub u32);

impl IterationNumber {
    /// The unmodified baseline (P1).
    pub const BASELINE: Self = Self(1);

    /// The number after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for IterationNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A lever's number within its campaign, written `L7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeverNumber(pub u32);

impl LeverNumber {
    /// Reads `L7`, `l7` or `7`.
    pub fn parse(text: &str) -> Option<Self> {
        text.strip_prefix(['L', 'l']).unwrap_or(text).parse().ok().map(Self)
    }
}

impl fmt::Display for LeverNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "L{}", self.0)
    }
}

/// A finding's number within its campaign, written `F3` (P33).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FindingNumber(pub u32);

impl FindingNumber {
    /// Reads `F3`, `f3` or `3`.
    pub fn parse(text: &str) -> Option<Self> {
        text.strip_prefix(['F', 'f']).unwrap_or(text).parse().ok().map(Self)
    }
}

impl fmt::Display for FindingNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "F{}", self.0)
    }
}

/// One execution on one worker: campaign, iteration, and the attempt's number within it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptId {
    /// The campaign it belongs to.
    pub campaign: CampaignId,
    /// The iteration it belongs to.
    pub iteration: IterationNumber,
    /// 1, 2, 3 … within the iteration, over all kinds.
    pub number: u32,
}

impl AttemptId {
    /// Reads `campaign/iteration/number`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.rsplitn(3, '/');
        let number = parts.next()?.parse().ok()?;
        let iteration = IterationNumber(parts.next()?.parse().ok()?);
        let campaign = CampaignId(parts.next()?.to_owned());
        Some(Self { campaign, iteration, number })
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.campaign, self.iteration, self.number)
    }
}

/// Drawn at random at each start of a coordinator on a ledger; compared for equality only (I15).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub u64);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What tells a current lease from a stale one (I5): compared for equality only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FencingNumber {
    /// The coordinator's life that gave the lease.
    pub incarnation: Incarnation,
    /// Counted within that life, from 1.
    pub n: u64,
}

impl fmt::Display for FencingNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.incarnation, self.n)
    }
}
