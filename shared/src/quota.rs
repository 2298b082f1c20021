//! What one owner may have of the fleet at most: a hard bound beside the shares, which only say who is served
//! first.

use crate::refusal::Refusal;
use serde::{Deserialize, Serialize};

/// The shortest stretch that device time is counted over, milliseconds: time is kept by the hour.
pub const PER_MIN_MS: u64 = 3_600_000;
/// The longest, milliseconds: 31 days. So many hours are kept of each owner.
pub const PER_MAX_MS: u64 = 31 * 24 * 3_600_000;

/// An owner's quota; at least one of its parts is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// Devices at once, over all campaigns of the owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub devices: Option<u32>,
    /// Device time within a stretch of time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<DeviceTime>,
}

/// So much device time in any so long stretch, counted by the hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceTime {
    /// Device milliseconds.
    pub device_ms: u64,
    /// Within so many milliseconds.
    pub per_ms: u64,
}

impl Quota {
    /// Whether it says something, and only what can be kept.
    ///
    /// # Errors
    /// [`Refusal::Malformed`], naming the part.
    pub fn check(&self) -> Result<(), Refusal> {
        let refuse = |field, problem: &str| Err(Refusal::Malformed { field, problem: problem.to_owned() });
        match self.time {
            None if self.devices.is_none() => {
                refuse("quota", "bounds nothing; state devices, device-hours or both")
            }
            Some(DeviceTime { per_ms, .. }) if !(PER_MIN_MS..=PER_MAX_MS).contains(&per_ms) => {
                refuse("per", "is the stretch that device-hours are counted over: from 1 h to 31 d")
            }
            _ => Ok(()),
        }
    }
}

/// An owner's quota with what is had of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaView {
    /// The client.
    pub owner: String,
    /// Its quota.
    pub quota: Quota,
    /// Devices that its attempts hold now.
    pub devices: u32,
    /// Device milliseconds that count against its device time now; none where that is not bounded.
    pub had_device_ms: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_bounds_something_over_a_stretch_that_is_kept() {
        let time = |per_ms| Some(DeviceTime { device_ms: 1, per_ms });
        let quota = |devices, time| Quota { devices, time }.check();
        for (devices, time) in [(Some(0), None), (None, time(PER_MIN_MS)), (Some(4), time(PER_MAX_MS))] {
            assert_eq!(quota(devices, time), Ok(()));
        }
        for (devices, time) in [(None, None), (Some(4), time(PER_MIN_MS - 1)), (None, time(PER_MAX_MS + 1))] {
            assert!(matches!(quota(devices, time), Err(Refusal::Malformed { .. })), "{devices:?} {time:?}");
        }
    }
}
