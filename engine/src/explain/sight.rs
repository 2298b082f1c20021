//! For whom something is told: what it may not see has no name in any sentence. A name is left out where the
//! sentence is made, and never searched for in one that is made.

use crate::core::Core;
use windlass_shared::access::Viewer;
use windlass_shared::id::{AttemptId, CampaignId};

/// A reader's sight of the campaigns.
#[derive(Clone, Copy)]
pub(super) struct Sight<'a> {
    core: &'a Core,
    viewer: &'a Viewer,
}

impl<'a> Sight<'a> {
    /// What `viewer` may see.
    pub fn of(core: &'a Core, viewer: &'a Viewer) -> Self {
        Self { core, viewer }
    }

    /// Whether it is the fleet's own people who read.
    pub fn is_whole(self) -> bool {
        *self.viewer == Viewer::Admin
    }

    fn sees(self, campaign: &CampaignId) -> bool {
        let campaign = self.core.durable().campaigns.get(campaign);
        self.is_whole() || campaign.is_some_and(|campaign| campaign.grant_of(self.viewer).is_some())
    }

    /// A campaign in words: `campaign digits-3`.
    pub fn campaign(self, id: &CampaignId) -> String {
        if self.sees(id) { format!("campaign {id}") } else { "a campaign of somebody else".to_owned() }
    }

    /// An attempt in words: `digits-3/2/1`.
    pub fn attempt(self, id: &AttemptId) -> String {
        if self.sees(&id.campaign) { id.to_string() } else { "an attempt of somebody else".to_owned() }
    }
}
