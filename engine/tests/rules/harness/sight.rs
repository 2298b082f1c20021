//! What a test can see of its world.

use super::World;
use windlass_engine::campaign::{Campaign, Iteration};
use windlass_shared::conclusion::Status;
use windlass_shared::id::{CampaignId, LeverNumber};
use windlass_shared::record::Body;

impl World {
    pub fn id(&self) -> CampaignId {
        self.campaign.clone().expect("a campaign was submitted")
    }

    pub fn state(&self) -> &Campaign {
        self.core.campaign(self.campaign.as_ref().expect("submitted")).expect("known")
    }

    pub fn open(&self) -> &Iteration {
        self.state().open.values().next().expect("an open iteration")
    }

    /// Every sentence that explains a lever.
    pub fn explain_lever(&self, lever: u32) -> String {
        let subject = windlass_engine::explain::Subject::Lever(LeverNumber(lever));
        let told = windlass_engine::explain::explain(&self.core, self.now, self.id().as_str(), &subject);
        let sentences = told.expect("known").sentences.into_iter();
        sentences.map(|sentence| sentence.text).collect::<Vec<_>>().join("\n")
    }

    pub fn waits_for(&self) -> String {
        self.core.campaign_view(self.now, &self.id()).expect("known").waits_for.unwrap_or_default()
    }

    /// Every decision so far: iteration, status, reason.
    pub fn decisions(&self) -> Vec<(u32, Status, String)> {
        let decided = self.records.iter().filter_map(|record| match &record.body {
            Body::IterationDecided { iteration, status, reason, .. } => {
                Some((iteration.0, *status, reason.clone()))
            }
            _ => None,
        });
        decided.collect()
    }

    pub fn last_decision(&self) -> (u32, Status, String) {
        self.decisions().pop().expect("a decision")
    }

    /// The kinds of the records after the first `from`.
    pub fn kinds(&self, from: usize) -> Vec<&'static str> {
        self.records[from..].iter().map(|record| record.body.kind()).collect()
    }

    pub fn bodies(&self) -> impl Iterator<Item = &Body> {
        self.records.iter().map(|record| &record.body)
    }
}
