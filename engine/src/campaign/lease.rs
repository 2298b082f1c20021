//! What a campaign asks of the fleet for its next attempt.

use super::iteration::Iteration;
use super::step::Context;
use crate::placement::{self, Ask, Scene};
use windlass_shared::attempt::Kind;
use windlass_shared::bindings::GateKind;
use windlass_shared::id::{IterationNumber, WorkerId};
use windlass_shared::machine::Comparable;

/// The worker to keep for a campaign that waits for several devices at once.
pub fn room(context: &Context<'_>, asked: &Ask) -> Option<WorkerId> {
    placement::room(asked, &context.scene())
}

impl Context<'_> {
    pub(super) fn ask(&self, open: &Iteration, kind: Kind) -> Ask {
        let w = &self.campaign.bindings.windlass;
        let asked = match kind {
            Kind::Run => Ask { device_model: self.pin(open), ..Ask::run(&w.resources) },
            Kind::Analysis | Kind::Score => {
                // A drained worker finishes what it has; a follow-up on a decided iteration is new to it (P22).
                let may_take = |worker: &&WorkerId| !open.is_settled || !(self.is_drained)(worker);
                let ran_on = open.run.as_ref().map(|run| &run.worker).filter(may_take);
                Ask::analysis(w.analysis.gpus, ran_on)
            }
        };
        let secrets = self.soft.secrets_not_given(&self.campaign.id, &w.secrets);
        Ask { avoid: open.failed_on.clone(), isolation: w.sandbox, secrets, ..asked }
    }

    /// The device model that a run is held to: where time is the budget, what another model does in that
    /// time does not compare with what the baseline did.
    fn pin(&self, open: &Iteration) -> Option<String> {
        let bindings = &self.campaign.bindings;
        let is_pinned = bindings.gate == GateKind::Time
            && bindings.windlass.comparable == Comparable::Device
            && open.number != IterationNumber::BASELINE;
        self.campaign.baseline_device_model.clone().filter(|_| is_pinned)
    }

    pub(super) fn scene(&self) -> Scene<'_> {
        Scene {
            fleet: self.soft.fleet(),
            is_drained: self.is_drained,
            reservations: self.soft.reservations(),
            campaign: &self.campaign.id,
            priority: self.campaign.bindings.windlass.priority,
        }
    }
}
