//! What may change the ledger: the inputs of [`Core::decide`](super::Core::decide).

use crate::gate::facts::ProposalFacts;
use windlass_shared::bindings::Bindings;
use windlass_shared::digest::{Digest, Hash};
use windlass_shared::id::{CampaignId, Incarnation, IterationNumber, LeverNumber, RequestId, WorkerId};
use windlass_shared::lever::Lever;
use windlass_shared::reference::Evidence;
use windlass_shared::refusal::Refusal;
use windlass_shared::session::Report;

/// A client's idempotency key and the hash of what it asked (I4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestKey {
    /// The key.
    pub id: RequestId,
    /// The hash of the request's body.
    pub body: Hash,
}

/// One input. Client inputs are answered; the others come from workers and from the core's own wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The coordinator starts on this ledger (I15).
    Start {
        /// Drawn at random by the driver.
        incarnation: Incarnation,
        /// The version that runs.
        version: String,
    },
    /// A client's request.
    Client {
        /// Its key.
        request: RequestKey,
        /// What it asks.
        ask: Ask,
    },
    /// A worker's report: what ended is recorded. Follow with
    /// [`Observation::Report`](super::Observation::Report).
    Report(Report),
    /// Record what is due in this campaign; nothing, if nothing is.
    Step(CampaignId),
    /// Record that the live attempts of a silent worker are lost.
    Lose(WorkerId),
}

/// One part of one iteration's evidence that is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removal {
    /// The iteration.
    pub iteration: IterationNumber,
    /// Which part.
    pub evidence: Evidence,
    /// How much that is, bytes.
    pub bytes: u64,
}

/// What a client can ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A campaign; its tree and scripts are in the store and its tree passed the guard.
    Create {
        /// For listings.
        name: String,
        /// Resolved bindings.
        bindings: Box<Bindings>,
        /// The workspace.
        tree: Digest,
    },
    /// A lever, with what the gates found.
    Propose {
        /// Whose queue.
        campaign: CampaignId,
        /// The lever.
        lever: Box<Lever>,
        /// The findings, or the first refusal.
        facts: Result<Box<ProposalFacts>, Refusal>,
    },
    /// Take a lever out of the queue.
    Retire {
        /// Whose queue.
        campaign: CampaignId,
        /// Which.
        lever: LeverNumber,
    },
    /// Open nothing new.
    Pause(CampaignId),
    /// Go on.
    Resume(CampaignId),
    /// End for good; what runs is cancelled.
    Stop(CampaignId),
    /// Note that evidence of decided iterations is removed, its time being over.
    Remove {
        /// Whose.
        campaign: CampaignId,
        /// What; none is empty.
        removals: Vec<Removal>,
        /// Which retention asks for it.
        why: String,
    },
    /// A worker takes nothing new.
    Drain(WorkerId),
    /// A worker takes work again.
    Undrain(WorkerId),
}
