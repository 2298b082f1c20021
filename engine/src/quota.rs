//! Quotas: what one owner may have of the fleet at most, and what it has. The hours are those of the records'
//! wall time, as decayed shares are: nothing but a lease depends on them, and a clock that jumps makes one come
//! earlier or later and loses nothing.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use windlass_shared::id::{CampaignId, IterationNumber};
use windlass_shared::quota::{DeviceTime, PER_MAX_MS, Quota};

const HOUR_MS: i64 = 3_600_000;
/// Hours that are kept of an owner: as many as a quota can count over, at most.
const HOURS_MAX: usize = (PER_MAX_MS / HOUR_MS as u64) as usize;

/// The hour of a moment, since 1970.
pub(crate) fn hour(wall_ms: i64) -> i64 {
    wall_ms.div_euclid(HOUR_MS)
}

/// What one owner has and may have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// What it may have; none: as much as there is.
    pub quota: Option<Quota>,
    /// Devices of live attempts, and the device time that each is taken to need, milliseconds.
    #[serde(
        serialize_with = "crate::core::canonical::nested",
        deserialize_with = "crate::core::canonical::read_nested"
    )]
    live: BTreeMap<CampaignId, BTreeMap<IterationNumber, (u32, u64)>>,
    /// Device time of attempts that have ended, by the hour of their end since 1970.
    hours: BTreeMap<i64, u64>,
}

/// Why a quota keeps an attempt waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barred {
    /// It would have more devices at once than it may.
    Devices {
        /// It has so many.
        held: u32,
        /// It may have so many.
        limit: u32,
    },
    /// It had its device time; some of it is forgotten with every hour.
    Time {
        /// Device milliseconds that count, those of live attempts as far as they are foreseen.
        had_ms: u64,
        /// The bound.
        bound: DeviceTime,
    },
}

impl Holding {
    /// Whether nothing is to be remembered of it.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// An attempt got devices, and is taken to need so much device time.
    pub fn lease(
        &mut self,
        campaign: &CampaignId,
        iteration: IterationNumber,
        devices: usize,
        device_ms: u64,
    ) {
        if devices > 0 {
            let devices = u32::try_from(devices).unwrap_or(u32::MAX);
            self.live.entry(campaign.clone()).or_default().insert(iteration, (devices, device_ms));
        }
    }

    /// It is over, and had so much device time that counts.
    pub fn end(&mut self, campaign: &CampaignId, iteration: IterationNumber, device_ms: u64, wall_ms: i64) {
        if let Some(live) = self.live.get_mut(campaign) {
            live.remove(&iteration);
            if live.is_empty() {
                self.live.remove(campaign);
            }
        }
        if device_ms == 0 {
            return;
        }
        let hour = hour(wall_ms);
        let had = self.hours.entry(hour).or_default();
        *had = had.saturating_add(device_ms);
        self.hours = self.hours.split_off(&(hour - HOURS_MAX as i64 + 1));
        // Hours ahead of this one are those of a clock that was set back since.
        while self.hours.len() > HOURS_MAX {
            self.hours.pop_first();
        }
    }

    /// Devices that its attempts hold.
    pub fn devices(&self) -> u32 {
        self.live_attempts().map(|(devices, _)| devices).fold(0, u32::saturating_add)
    }

    /// The device time that counts against a bound at a moment, milliseconds: what had ended within its stretch, by
    /// the hour, and what live attempts are taken to need.
    pub fn had_ms(&self, bound: DeviceTime, wall_ms: i64) -> u64 {
        let hours = i64::try_from(bound.per_ms.div_ceil(HOUR_MS as u64)).unwrap_or(i64::MAX);
        let first = hour(wall_ms).saturating_sub(hours).saturating_add(1);
        let ended = self.hours.range(first..).map(|(_, ms)| *ms);
        ended.chain(self.live_attempts().map(|(_, ms)| ms)).fold(0, u64::saturating_add)
    }

    /// Whether its quota keeps an attempt waiting that asks for so many devices. One that needs none is never kept
    /// waiting.
    pub fn bars(&self, devices: usize, wall_ms: i64) -> Option<Barred> {
        let quota = self.quota.filter(|_| devices > 0)?;
        let held = self.devices();
        let asked = u32::try_from(devices).unwrap_or(u32::MAX);
        if let Some(limit) = quota.devices.filter(|limit| held.saturating_add(asked) > *limit) {
            return Some(Barred::Devices { held, limit });
        }
        let bound = quota.time?;
        let had_ms = self.had_ms(bound, wall_ms);
        (had_ms >= bound.device_ms).then_some(Barred::Time { had_ms, bound })
    }

    fn live_attempts(&self) -> impl Iterator<Item = (u32, u64)> {
        self.live.values().flat_map(|live| live.values().copied())
    }
}

impl Barred {
    /// What an attempt that asks for so many devices waits for, as a sentence's end.
    pub fn tell(self, owner: &str, asked: usize) -> String {
        match self {
            Self::Devices { held: _, limit } if asked as u64 > u64::from(limit) => format!(
                "a larger quota: it asks for {asked} devices, and {owner} may have {limit} at once \
                 (`windlass quota set` changes that)"
            ),
            Self::Devices { held, limit } => {
                format!(
                    "the quota of {owner}: its attempts have {held} of {limit} devices, and this asks for {asked}"
                )
            }
            Self::Time { had_ms, bound } => format!(
                "the quota of {owner}: {} of {} device-hours are had within {} h, and older ones are forgotten by \
                 the hour",
                hours(had_ms),
                hours(bound.device_ms),
                bound.per_ms / HOUR_MS as u64
            ),
        }
    }
}

/// Milliseconds as hours, with two digits.
fn hours(ms: u64) -> String {
    format!("{}.{:02}", ms / 3_600_000, ms % 3_600_000 / 36_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holding(devices: Option<u32>, hours: Option<(u64, u64)>) -> Holding {
        let hour_ms = HOUR_MS as u64;
        let time = hours.map(|(had, per)| DeviceTime { device_ms: had * hour_ms, per_ms: per * hour_ms });
        Holding { quota: Some(Quota { devices, time }), ..Holding::default() }
    }

    fn campaign() -> CampaignId {
        CampaignId::from("digits-0a1b2c")
    }

    #[test]
    fn devices_at_once_are_bounded_over_all_attempts() {
        let mut holding = holding(Some(3), None);
        for (iteration, devices, is_barred) in [(1, 2, false), (2, 2, true), (2, 1, false), (3, 1, true)] {
            let barred = holding.bars(devices, 0);
            assert_eq!(barred.is_some(), is_barred, "iteration {iteration}: {barred:?}");
            if !is_barred {
                holding.lease(&campaign(), IterationNumber(iteration), devices, 1);
            }
        }
        assert_eq!(holding.bars(0, 0), None, "scripts without a device wait for no quota");
        holding.end(&campaign(), IterationNumber(1), 1, 0);
        assert_eq!((holding.devices(), holding.bars(2, 0)), (1, None));
        assert!(
            holding.bars(4, 0).expect("more than it may ever have").tell("ada", 4).contains("larger quota")
        );
    }

    #[test]
    fn device_time_counts_for_its_stretch_and_is_forgotten_by_the_hour() {
        let mut holding = holding(None, Some((2, 24)));
        let at = |hour: i64| hour * HOUR_MS + 1;
        let number = IterationNumber;
        holding.lease(&campaign(), number(1), 1, HOUR_MS as u64);
        assert_eq!(holding.bars(1, at(100)), None);
        holding.lease(&campaign(), number(2), 1, HOUR_MS as u64);
        assert!(holding.bars(1, at(100)).is_some(), "what is under way counts as it is foreseen");
        // One of them took less.
        holding.end(&campaign(), number(1), HOUR_MS as u64 / 2, at(100));
        assert_eq!(holding.bars(1, at(100)), None);
        holding.end(&campaign(), number(2), 2 * HOUR_MS as u64, at(101));
        let Some(Barred::Time { had_ms, .. }) = holding.bars(1, at(101)) else { panic!("it had its time") };
        assert_eq!(had_ms, 5 * HOUR_MS as u64 / 2);
        for (hour, is_barred) in [(123, true), (124, true), (125, false), (90, true)] {
            assert_eq!(holding.bars(1, at(hour)).is_some(), is_barred, "at {hour}");
        }
    }

    #[test]
    fn i18_an_owner_keeps_a_month_of_hours_whatever_the_clock_does() {
        let mut holding = Holding::default();
        for hour in (0..2_000).chain((0..50).rev()).chain([i64::MAX / HOUR_MS, -5]) {
            holding.end(&campaign(), IterationNumber(1), 1, hour * HOUR_MS);
            assert!(holding.hours.len() <= HOURS_MAX, "{}", holding.hours.len());
        }
    }
}
