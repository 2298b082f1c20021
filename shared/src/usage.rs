//! What was had of the fleet: device time by owner, campaign and outcome, as clients are shown it.

use crate::device::DeviceKind;
use crate::id::CampaignId;
use serde::{Deserialize, Serialize};

/// Device time by what came of it, device milliseconds. Two devices for a second are two seconds; a GPU and a
/// CPU slot count alike, and `gpu_ms` says how much of all was GPUs'.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Runs of iterations that were kept, the baseline's too.
    pub kept_ms: u64,
    /// Runs of iterations that were discarded.
    pub discarded_ms: u64,
    /// Runs of iterations that crashed.
    pub crashed_ms: u64,
    /// Attempts that the machinery failed (P20).
    pub infrastructure_ms: u64,
    /// Scripts, where they had devices.
    pub analysis_ms: u64,
    /// Attempts that somebody ended.
    pub cancelled_ms: u64,
    /// Runs of iterations that are not decided.
    pub undecided_ms: u64,
    /// How much of all this was on GPUs.
    pub gpu_ms: u64,
}

impl Spent {
    /// All of it.
    pub fn all_ms(&self) -> u64 {
        let Self { kept_ms, discarded_ms, crashed_ms, infrastructure_ms, analysis_ms, .. } = *self;
        [
            kept_ms,
            discarded_ms,
            crashed_ms,
            infrastructure_ms,
            analysis_ms,
            self.cancelled_ms,
            self.undecided_ms,
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }

    /// The sum, part by part.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            kept_ms: self.kept_ms.saturating_add(other.kept_ms),
            discarded_ms: self.discarded_ms.saturating_add(other.discarded_ms),
            crashed_ms: self.crashed_ms.saturating_add(other.crashed_ms),
            infrastructure_ms: self.infrastructure_ms.saturating_add(other.infrastructure_ms),
            analysis_ms: self.analysis_ms.saturating_add(other.analysis_ms),
            cancelled_ms: self.cancelled_ms.saturating_add(other.cancelled_ms),
            undecided_ms: self.undecided_ms.saturating_add(other.undecided_ms),
            gpu_ms: self.gpu_ms.saturating_add(other.gpu_ms),
        }
    }
}

/// One campaign's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CampaignUsage {
    /// Which.
    pub campaign: CampaignId,
    /// For listings.
    pub name: String,
    /// Whose; none: the administrators'.
    pub owner: Option<String>,
    /// Levers that were kept, without the baseline.
    pub kept_levers: u32,
    /// What it had.
    pub spent: Spent,
    /// All GPU time for one kept lever, milliseconds; none where none was kept.
    pub gpu_ms_per_kept_lever: Option<u64>,
}

/// One owner's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerUsage {
    /// Whose; none: the administrators'.
    pub owner: Option<String>,
    /// How many campaigns it has, finished ones too.
    pub campaigns: u32,
    /// Levers that were kept, without baselines.
    pub kept_levers: u32,
    /// What they had.
    pub spent: Spent,
    /// All GPU time for one kept lever, milliseconds; none where none was kept.
    pub gpu_ms_per_kept_lever: Option<u64>,
}

/// What the fleet offered and gave, since the coordinator started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetUsage {
    /// GPUs or CPU slots.
    pub device_kind: DeviceKind,
    /// How long devices were there for work, device milliseconds: connected, and neither quarantined, nor used
    /// by others, nor drained while empty.
    pub offered_ms: u64,
    /// How long they were leased, device milliseconds.
    pub leased_ms: u64,
    /// The part of a thousand that nobody had; none before anything was offered.
    pub idle_permille: Option<u32>,
}

/// The page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageView {
    /// Every campaign that may be seen, the one that had most first.
    pub campaigns: Vec<CampaignUsage>,
    /// Their owners, the one that had most first.
    pub owners: Vec<OwnerUsage>,
    /// Since when the fleet's figures count, wall time.
    pub fleet_since_wall_ms: i64,
    /// The fleet, by kind of device; none for one who does not see it.
    pub fleet: Vec<FleetUsage>,
}
