//! What is seen and not recorded: it changes the soft state alone.

use crate::gate::facts::{FixFacts, PullFacts, WantedKey};
use std::collections::BTreeSet;
use windlass_shared::id::{CampaignId, WorkerId};
use windlass_shared::session::Report;

/// One observation.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are reports; the others are rare and short-lived")]
pub enum Observation {
    /// A worker spoke; its ended attempts have been decided already.
    Report(Report),
    /// A worker's connection broke: it is suspected until it speaks again.
    Disconnected(WorkerId),
    /// Facts for a lever whose turn has come.
    Pull(Box<PullFacts>),
    /// Facts for a carried fix.
    Fix(Box<FixFacts>),
    /// Facts could not be gathered; they are wanted again after a pause.
    GatherFailed(WantedKey),
    /// Whether the coordinator's own disk has room: without it nothing new is leased, for this reason.
    Room(Result<(), String>),
    /// A campaign's step could not be taken (a blob that it names is not there); it is tried again after a
    /// pause, so that the others go on.
    StepFailed(CampaignId),
    /// The names of the secrets that a campaign's submitter has given; their values are not for the core.
    Secrets(CampaignId, BTreeSet<String>),
}
