//! How much device time the fleet offered since the start, and how much of it was leased. Counted on the monotonic
//! clock when a worker speaks and when a lease begins, so a look costs one worker and never the fleet.

use super::Presence;
use super::member::Member;
use std::collections::BTreeMap;
use windlass_shared::device::{DeviceKind, DeviceState};

/// Device time of one kind, device milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Had {
    /// For how long devices were there for work.
    pub offered_ms: u64,
    /// For how long they were leased.
    pub leased_ms: u64,
}

/// Devices of one worker since a moment: offered and leased.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Since {
    at_ms: u64,
    gpus: Count,
    cpus: Count,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    offered: u64,
    leased: u64,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Offer {
    /// When the first worker spoke, monotonic milliseconds.
    pub since_ms: Option<u64>,
    /// What there was, by kind of device.
    pub kinds: BTreeMap<DeviceKind, Had>,
}

impl Offer {
    /// Adds what a worker's devices were up to now, and notes what they are from now on.
    pub(super) fn note(&mut self, member: &mut Member, is_drained: bool, now_ms: u64) {
        self.since_ms.get_or_insert(now_ms);
        let since = Since::now(member, is_drained, now_ms);
        let before = std::mem::replace(&mut member.since, since);
        let ms = now_ms.saturating_sub(before.at_ms);
        for (kind, count) in [(DeviceKind::Gpu, before.gpus), (DeviceKind::Cpu, before.cpus)] {
            if count.offered > 0 {
                let had = self.kinds.entry(kind).or_default();
                had.offered_ms = had.offered_ms.saturating_add(count.offered.saturating_mul(ms));
                had.leased_ms = had.leased_ms.saturating_add(count.leased.saturating_mul(ms));
            }
        }
    }
}

impl Since {
    fn now(member: &Member, is_drained: bool, at_ms: u64) -> Self {
        let mut since = Self { at_ms, ..Self::default() };
        if member.presence == Presence::Lost {
            return since;
        }
        // A drained worker offers what still runs there.
        let is_willing = !is_drained && member.info.unwilling.is_none();
        for (device, place) in member.places() {
            let is_well = matches!(device.state, DeviceState::Free | DeviceState::Busy(_));
            if place.is_leased || (is_well && is_willing) {
                let count = match device.kind {
                    DeviceKind::Gpu => &mut since.gpus,
                    DeviceKind::Cpu => &mut since.cpus,
                };
                count.offered += 1;
                count.leased += u64::from(place.is_leased);
            }
        }
        since
    }
}
