//! How much there is of everything, for the coordinator's metrics: counts that name nobody, so that their number
//! does not grow with campaigns, owners or workers.

use super::machine::Core;
use crate::session::{Had, Presence};
use std::collections::BTreeMap;
use windlass_shared::device::{DeviceKind, DeviceState};
use windlass_shared::view::CampaignState;

/// The states of a campaign, as the figures name them.
pub const CAMPAIGN_STATES: [&str; 3] = ["active", "paused", "stopped"];
/// The states of a worker.
pub const WORKER_STATES: [&str; 4] = ["ready", "suspected", "lost", "drained"];
/// The states of a device.
pub const DEVICE_STATES: [&str; 4] = ["free", "busy", "quarantined", "outsider"];

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Campaigns, by [`CAMPAIGN_STATES`].
    pub campaigns: BTreeMap<&'static str, u64>,
    /// Levers in line.
    pub queued_levers: u64,
    /// Iterations that are open.
    pub open_iterations: u64,
    /// Campaigns with an attempt that waits for a device.
    pub waiting_for_device: u64,
    /// Campaigns with an attempt that its owner's quota keeps waiting.
    pub waiting_for_quota: u64,
    /// Live attempts.
    pub leases: u64,
    /// Workers, by [`WORKER_STATES`].
    pub workers: BTreeMap<&'static str, u64>,
    /// Devices of workers that are not lost, by [`DEVICE_STATES`].
    pub devices: BTreeMap<(DeviceKind, &'static str), u64>,
    /// What was offered and leased since the start.
    pub had: BTreeMap<DeviceKind, Had>,
}

impl Core {
    /// Counts everything: a look at each campaign and each device, for a scrape every some seconds.
    pub fn figures(&self) -> Figures {
        let mut figures = Figures {
            leases: self.durable().live.values().map(|live| live.len() as u64).sum(),
            waiting_for_device: self.soft().waiting_for_device() as u64,
            waiting_for_quota: self.soft().barred() as u64,
            had: self.soft().fleet().offer().kinds.clone(),
            ..Figures::default()
        };
        for campaign in self.durable().campaigns.values() {
            let state = match campaign.state {
                CampaignState::Active => "active",
                CampaignState::Paused { .. } => "paused",
                CampaignState::Stopped { .. } => "stopped",
            };
            *figures.campaigns.entry(state).or_default() += 1;
            if !campaign.is_stopped() {
                figures.queued_levers += campaign.queue.len() as u64;
                figures.open_iterations += campaign.open.len() as u64;
            }
        }
        for (id, member) in self.soft().fleet().members() {
            let is_drained = self.durable().drained.contains_key(id);
            let state = match member.presence {
                // A machine that was taken out is away on purpose: nobody is to be called for it.
                Presence::Lost | Presence::Ready if is_drained => "drained",
                Presence::Lost => "lost",
                Presence::Suspected => "suspected",
                Presence::Ready => "ready",
            };
            *figures.workers.entry(state).or_default() += 1;
            if member.presence == Presence::Lost {
                continue;
            }
            for device in &member.devices {
                let state = match &device.state {
                    DeviceState::Free => "free",
                    DeviceState::Busy(_) => "busy",
                    DeviceState::Quarantined { .. } => "quarantined",
                    DeviceState::Outsider { .. } => "outsider",
                };
                *figures.devices.entry((device.kind, state)).or_default() += 1;
            }
        }
        figures
    }
}
