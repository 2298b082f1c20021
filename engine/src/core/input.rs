//! What may change the ledger: the inputs of [`Core::decide`](super::Core::decide).

use crate::gate::facts::{FixFacts, ProposalFacts, PullFacts, Rejected};
use std::collections::BTreeSet;
use windlass_shared::access::Grant;
use windlass_shared::bindings::{Bindings, EpochCap};
use windlass_shared::conclusion::Conclusion;
use windlass_shared::digest::{Digest, Hash};
use windlass_shared::foreign::Foreign;
use windlass_shared::git::GitRoot;
use windlass_shared::id::{
    CampaignId, DeviceId, Incarnation, IterationNumber, LeverNumber, RequestId, WorkerId,
};
use windlass_shared::lever::{Change, Lever};
use windlass_shared::literature::{Review, Scope};
use windlass_shared::path::TreePath;
use windlass_shared::plan::Deliverable;
use windlass_shared::quota::Quota;
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
    /// A proposal was refused: what the ledger keeps of it is recorded, where it keeps anything.
    Refused {
        /// Whose queue.
        campaign: CampaignId,
        /// What was proposed.
        lever: Box<Lever>,
        /// What its researcher is answered.
        refusal: Refusal,
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

/// A place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Its turn is next.
    First,
    /// Its turn is last.
    Last,
    /// Just before this one.
    Before(LeverNumber),
    /// Just after this one.
    After(LeverNumber),
}

/// What a client can ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Bound what an owner may have of the fleet, or lift that.
    SetQuota {
        /// The client.
        owner: String,
        /// The bound; none: lifted.
        quota: Option<Quota>,
    },
    /// A campaign; its tree and scripts are in the store and its tree passed the guard.
    Create {
        /// For listings.
        name: String,
        /// Resolved bindings.
        bindings: Box<Bindings>,
        /// The workspace; under the epoch gate with its cap set.
        tree: Digest,
        /// Under the epoch gate: what was found and set.
        cap: Option<EpochCap>,
        /// With `iter_strategy: branches`: what its commits grow from; the listing is in the store.
        git: Option<Box<GitRoot>>,
        /// Whose it will be.
        owner: Option<String>,
    },
    /// A finished campaign of a ledger that was made elsewhere.
    Import {
        /// That ledger.
        ledger: Box<Foreign>,
        /// Whose it will be.
        owner: Option<String>,
    },
    /// Share a campaign with another client, or end that.
    Share {
        /// Which.
        campaign: CampaignId,
        /// The client's name.
        with: String,
        /// How far; not at all any more without one.
        share: Option<Grant>,
    },
    /// A lever, with what the gates found.
    Propose {
        /// Whose queue.
        campaign: CampaignId,
        /// The lever.
        lever: Box<Lever>,
        /// The findings, or all that is wrong with it.
        facts: Result<Box<ProposalFacts>, Box<Rejected>>,
    },
    /// Take a lever out of the queue.
    Retire {
        /// Whose queue.
        campaign: CampaignId,
        /// Which.
        lever: LeverNumber,
    },
    /// Put a lever elsewhere in line.
    Move {
        /// Whose queue.
        campaign: CampaignId,
        /// Which.
        lever: LeverNumber,
        /// Where to.
        place: Place,
    },
    /// Put a lever that was set aside, taken back or never judged in line again.
    Retry {
        /// Whose queue.
        campaign: CampaignId,
        /// Which.
        lever: LeverNumber,
        /// What its gates find now, looked up in the evidence of a proposal (P6).
        facts: Result<Box<PullFacts>, Refusal>,
    },
    /// Put a fix on a failed run (P19).
    Fix {
        /// Whose.
        campaign: CampaignId,
        /// Which iteration.
        iteration: IterationNumber,
        /// The change.
        change: Change,
        /// What was found of it.
        facts: Result<Box<FixFacts>, Refusal>,
    },
    /// Put a repaired script in the place of one that failed (P21).
    AddDeliverable {
        /// Whose.
        campaign: CampaignId,
        /// Which iteration.
        iteration: IterationNumber,
        /// The row of the plan.
        deliverable: Box<Deliverable>,
    },
    /// Write a conclusion (P23).
    Conclude {
        /// Whose.
        campaign: CampaignId,
        /// Which iteration.
        iteration: IterationNumber,
        /// The text.
        conclusion: Box<Conclusion>,
        /// The deliverables of a decided iteration, as the ledger has them.
        delivered: BTreeSet<TreePath>,
    },
    /// Record a review of the literature, with the scope of each finding (P33).
    AddFindings {
        /// Whose.
        campaign: CampaignId,
        /// The review, which is of its published shape.
        review: Box<Review>,
        /// One for each finding.
        scopes: Vec<Scope>,
    },
    /// End the open iteration.
    Cancel {
        /// Whose.
        campaign: CampaignId,
        /// Which.
        iteration: IterationNumber,
    },
    /// Change what a campaign is called, or what goes first.
    Update {
        /// Which.
        campaign: CampaignId,
        /// The new priority.
        priority: Option<i32>,
        /// The new weight among campaigns of its priority.
        weight: Option<u32>,
        /// The new name.
        name: Option<String>,
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
    /// A device's quarantine is lifted.
    ReleaseDevice(WorkerId, DeviceId),
}
