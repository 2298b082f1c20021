//! How much device time the fleet offered since the start, and how much of it was leased. Counted on the monotonic
//! clock when a worker speaks and when a lease begins, so a look costs one worker and never the fleet.

use super::Presence;
use super::member::Member;
use std::collections::BTreeMap;
use windlass_shared::device::{DeviceKind, DeviceState};
use windlass_shared::id::WorkerId;

/// Device time of one kind, device milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Had {
    /// For how long devices were there for work.
    pub offered_ms: u64,
    /// For how long they were leased.
    pub leased_ms: u64,
}

/// Devices of one worker since a moment: offered and leased, by kind.
#[derive(Clone, Debug)]
struct Since {
    at_ms: u64,
    counts: BTreeMap<DeviceKind, (u64, u64)>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Offer {
    /// When the first worker spoke, monotonic milliseconds.
    pub since_ms: Option<u64>,
    /// What there was, by kind of device.
    pub kinds: BTreeMap<DeviceKind, Had>,
    workers: BTreeMap<WorkerId, Since>,
}

impl Offer {
    /// Adds what a worker's devices were up to now, and notes what they are from now on.
    pub(super) fn note(&mut self, worker: &WorkerId, member: Option<&Member>, is_drained: bool, now_ms: u64) {
        self.since_ms.get_or_insert(now_ms);
        if let Some(since) = self.workers.remove(worker) {
            let ms = now_ms.saturating_sub(since.at_ms);
            for (kind, (offered, leased)) in since.counts {
                let had = self.kinds.entry(kind).or_default();
                had.offered_ms = had.offered_ms.saturating_add(offered.saturating_mul(ms));
                had.leased_ms = had.leased_ms.saturating_add(leased.saturating_mul(ms));
            }
        }
        let Some(member) = member.filter(|member| member.presence != Presence::Lost) else { return };
        let mut counts: BTreeMap<DeviceKind, (u64, u64)> = BTreeMap::new();
        for device in &member.devices {
            let is_leased = member.holder(&device.id).is_some();
            let is_well = matches!(device.state, DeviceState::Free | DeviceState::Busy(_));
            // A drained worker offers what still runs there.
            if is_leased || (is_well && !is_drained && member.info.unwilling.is_none()) {
                let (offered, leased) = counts.entry(device.kind).or_default();
                *offered += 1;
                *leased += u64::from(is_leased);
            }
        }
        self.workers.insert(worker.clone(), Since { at_ms: now_ms, counts });
    }
}
