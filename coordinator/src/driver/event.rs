//! Everything that can happen to the loop: one closed enum, so that every trigger is seen in one place.

use super::gather::Gathered;
use super::query::Query;
use crate::ledger::{Blob, Durable};
use std::collections::BTreeSet;
use std::time::Instant;
use tokio::sync::oneshot;
use windlass_engine::core::{Place, Removal, RequestKey};
use windlass_shared::access::{Access, Grant};
use windlass_shared::bindings::Bindings;
use windlass_shared::claim::{Claim, ClaimView};
use windlass_shared::conclusion::Conclusion;
use windlass_shared::digest::Digest;
use windlass_shared::foreign::Foreign;
use windlass_shared::git::GitRoot;
use windlass_shared::id::{CampaignId, IterationNumber, LeverNumber, SessionId, WorkerId};
use windlass_shared::lever::{Change, Lever};
use windlass_shared::literature::{Review, Scope};
use windlass_shared::path::TreePath;
use windlass_shared::plan::{self, Deliverable};
use windlass_shared::quota::Quota;
use windlass_shared::record::Answer;
use windlass_shared::refusal::Refusal;
use windlass_shared::session::{self, Report};

/// Where an answer goes. It is dropped unanswered only when the coordinator ends.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

/// One event.
pub(crate) enum Event {
    /// A client asks for a change.
    Call(Call),
    /// What a client's change needs was gathered.
    CallGathered { call: Call, gathered: Gathered },
    /// A campaign's submitter has given values for these secrets.
    SecretsGiven { campaign: CampaignId, names: BTreeSet<String>, reply: Reply<()> },
    /// A researcher says what it works on; without a claim it asks what all do.
    Claim {
        access: Access,
        name: String,
        claim: Option<Claim>,
        span_ms: u64,
        intent: Intent,
        reply: Reply<Vec<ClaimView>>,
    },
    /// A client asks what is.
    Query(Query),
    /// A worker says all that it has, with small blobs that its outcomes name; the answer may hang.
    Report { report: Box<Report>, parcels: Vec<Blob>, came: Instant, reply: Reply<session::Answer> },
    /// The caller of a hanging report has gone.
    HungUp { worker: WorkerId, session: SessionId, number: u64 },
    /// What the core wanted gathered.
    Gathered(Gathered),
    /// The ledger is durable further than before, or has failed.
    Durable(Durable),
    /// The ledger's writer is no more.
    WriterEnded,
    /// The disk's free space has changed.
    Space,
    /// A deadline has passed.
    Wake,
    /// The coordinator is to end.
    Shutdown,
}

/// A client's change on its way through the loop.
pub(crate) struct Call {
    /// On whose behalf, and how much of a campaign it needs.
    pub access: Access,
    /// Its idempotency key (I4).
    pub request: RequestKey,
    /// What it asks.
    pub asked: Asked,
    /// Where the answer goes.
    pub reply: Reply<Answer>,
    /// How often its facts were gathered.
    pub gathered_times: u32,
    /// Whether it is to be done.
    pub intent: Intent,
}

/// What a caller wants of its change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intent {
    /// To be done.
    Do,
    /// To know what would come of it: nothing is recorded.
    Ask,
}

/// What a client asks, names as it wrote them.
#[derive(Clone)]
pub(crate) enum Asked {
    /// A campaign.
    Create { name: String, bindings: Box<Bindings>, tree: Digest, git: Option<Box<GitRoot>> },
    /// A ledger that was made elsewhere.
    Import { ledger: Box<Foreign> },
    /// A lever.
    Propose { campaign: String, lever: Box<Lever>, researcher: Option<String> },
    /// Take a lever out of the queue.
    Retire { campaign: String, lever: LeverNumber },
    /// Put a lever elsewhere in line.
    Move { campaign: String, lever: LeverNumber, place: Place },
    /// Put a lever in line again.
    Retry { campaign: String, lever: LeverNumber },
    /// Put a fix on a failed run.
    Fix { campaign: String, iteration: IterationNumber, change: Change },
    /// Put a repaired script in the place of one that failed.
    AddDeliverable { campaign: String, iteration: IterationNumber, deliverable: Box<Deliverable> },
    /// Write a conclusion; with the deliverables that the ledger has of a decided iteration.
    Conclude {
        campaign: String,
        iteration: IterationNumber,
        conclusion: Box<Conclusion>,
        delivered: BTreeSet<TreePath>,
    },
    /// Record a review of the literature.
    AddFindings { campaign: String, review: Box<Review>, scopes: Vec<Scope> },
    /// End the open iteration.
    Cancel { campaign: String, iteration: IterationNumber },
    /// Change priority or name.
    Update { campaign: String, priority: Option<i32>, weight: Option<u32>, name: Option<String> },
    /// Share a campaign with another client, or end that.
    Share { campaign: String, with: String, share: Option<Grant> },
    /// Open nothing new.
    Pause { campaign: String },
    /// Go on.
    Resume { campaign: String },
    /// End for good.
    Stop { campaign: String },
    /// Note that evidence is removed, its time being over.
    Remove { campaign: CampaignId, removals: Vec<Removal>, why: String },
    /// A worker takes nothing new.
    Drain { worker: String },
    /// A worker takes work again.
    Undrain { worker: String },
    /// An owner may have so much of the fleet, or as much as there is.
    SetQuota { owner: String, quota: Option<Quota> },
    /// A device's quarantine is lifted.
    ReleaseDevice { worker: String, device: String },
}

impl Asked {
    /// The blobs that it names: nobody brings one in that it may not see.
    pub fn named_blobs(&self) -> Vec<Digest> {
        match self {
            Self::Create { bindings, tree, git, .. } => {
                let listing = git.iter().map(|git| git.listing);
                std::iter::once(*tree).chain(listing).chain(bindings.blobs()).collect()
            }
            Self::Propose { lever, .. } => lever.blobs(),
            Self::Fix { change, .. } => change.blobs(),
            Self::AddDeliverable { deliverable, .. } => {
                plan::blobs(std::slice::from_ref(&**deliverable)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The campaign whose work it adds to, as its caller named it.
    pub fn campaign(&self) -> Option<&str> {
        match self {
            Self::Propose { campaign, .. }
            | Self::Retry { campaign, .. }
            | Self::Fix { campaign, .. }
            | Self::AddDeliverable { campaign, .. } => Some(campaign),
            _ => None,
        }
    }

    /// Whether it makes work that a nearly full disk could not hold.
    pub fn makes_work(&self) -> bool {
        matches!(
            self,
            Self::Create { .. }
                | Self::Import { .. }
                | Self::Propose { .. }
                | Self::Fix { .. }
                | Self::AddFindings { .. }
        )
    }
}
