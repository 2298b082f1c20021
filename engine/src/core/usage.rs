//! Who had what of the fleet, and who may have what: projections of the records, and of what the fleet offered
//! since the start.

use super::machine::Core;
use crate::campaign::Campaign;
use windlass_shared::access::{Access, Viewer};
use windlass_shared::device::DeviceKind;
use windlass_shared::quota::QuotaView;
use windlass_shared::time::Time;
use windlass_shared::usage::{CampaignUsage, FleetUsage, OwnerUsage, Spent, UsageView};

impl Core {
    /// Device time by owner, campaign and outcome, of what may be seen. The fleet's own figures are an
    /// administrator's: they tell of everybody's work.
    pub fn usage(&self, now: Time, access: &Access) -> UsageView {
        let seen =
            self.durable().campaigns.values().filter(|one| one.grant_of(&access.viewer) >= Some(access.need));
        let mut campaigns: Vec<CampaignUsage> = seen.map(of_campaign).collect();
        let mut owners: Vec<OwnerUsage> = Vec::new();
        for one in &campaigns {
            match owners.iter_mut().find(|known| known.owner == one.owner) {
                Some(known) => add(known, one),
                None => {
                    let nothing = OwnerUsage {
                        owner: one.owner.clone(),
                        campaigns: 0,
                        kept_levers: 0,
                        spent: Spent::default(),
                        gpu_ms_per_kept_lever: None,
                    };
                    owners.push(nothing);
                    owners.last_mut().into_iter().for_each(|known| add(known, one));
                }
            }
        }
        campaigns.sort_by_key(|one| (std::cmp::Reverse(one.spent.all_ms()), one.campaign.clone()));
        owners.sort_by_key(|one| (std::cmp::Reverse(one.spent.all_ms()), one.owner.clone()));
        let offer = self.soft().fleet().offer();
        let since_ms = now.mono_ms.saturating_sub(offer.since_ms.unwrap_or(now.mono_ms));
        let fleet = match access.viewer {
            Viewer::Admin => {
                offer.kinds.iter().map(|(kind, had)| of_fleet(*kind, had.offered_ms, had.leased_ms)).collect()
            }
            Viewer::Client(_) | Viewer::Worker(..) => Vec::new(),
        };
        let fleet_since_wall_ms = now.wall_ms.saturating_sub_unsigned(since_ms);
        UsageView { campaigns, owners, fleet_since_wall_ms, fleet }
    }

    /// The quotas that one may see: an administrator all, a client its own.
    pub fn quotas(&self, now: Time, access: &Access) -> Vec<QuotaView> {
        let is_seen = |owner: &str| match &access.viewer {
            Viewer::Admin => true,
            Viewer::Client(name) => name == owner,
            Viewer::Worker(..) => false,
        };
        let bounded = self
            .durable()
            .owners
            .iter()
            .filter_map(|(owner, holding)| Some((owner, holding, holding.quota?)));
        bounded
            .filter(|(owner, ..)| is_seen(owner))
            .map(|(owner, holding, quota)| QuotaView {
                owner: owner.clone(),
                quota,
                devices: holding.devices(),
                had_device_ms: quota.time.map(|bound| holding.had_ms(bound, now.wall_ms)),
            })
            .collect()
    }
}

fn of_campaign(campaign: &Campaign) -> CampaignUsage {
    // The first of them is the baseline; an imported ledger's were tested elsewhere.
    let kept_levers = if campaign.is_imported() { 0 } else { campaign.counts.keep.saturating_sub(1) };
    let spent = campaign.usage.spent();
    CampaignUsage {
        campaign: campaign.id.clone(),
        name: campaign.name.clone(),
        owner: campaign.owner.clone(),
        kept_levers,
        spent,
        gpu_ms_per_kept_lever: spent.gpu_ms.checked_div(u64::from(kept_levers)),
    }
}

fn add(owner: &mut OwnerUsage, one: &CampaignUsage) {
    owner.campaigns += 1;
    owner.kept_levers = owner.kept_levers.saturating_add(one.kept_levers);
    owner.spent = owner.spent.plus(one.spent);
    owner.gpu_ms_per_kept_lever = owner.spent.gpu_ms.checked_div(u64::from(owner.kept_levers));
}

fn of_fleet(device_kind: DeviceKind, offered_ms: u64, leased_ms: u64) -> FleetUsage {
    let idle_ms = u128::from(offered_ms.saturating_sub(leased_ms));
    let idle_permille = (idle_ms * 1000).checked_div(u128::from(offered_ms));
    FleetUsage {
        device_kind,
        offered_ms,
        leased_ms,
        idle_permille: idle_permille.and_then(|part| u32::try_from(part).ok()),
    }
}
