//! What upkeep answers: what a collection of garbage found and did, and how a coordinator is.

use crate::id::{CampaignId, IterationNumber};
use crate::reference::Evidence;
use serde::{Deserialize, Serialize};

/// What `gc` removed, or would remove.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collected {
    /// Nothing was removed: it was only asked what would be.
    pub dry_run: bool,
    /// Evidence whose retention is over, at most [`LISTED_MAX`] of it.
    pub evidence: Vec<RemovedEvidence>,
    /// All of it.
    pub evidence_count: u64,
    /// Blobs that nothing names and nobody has asked for lately.
    pub blobs: u64,
    /// Their bytes. Those of at most 32 KiB lie in the ledger's file, which uses the room again and does not
    /// shrink.
    pub blob_bytes: u64,
    /// Log files.
    pub logs: u64,
    /// Their bytes.
    pub log_bytes: u64,
    /// Blobs that stay because records name them.
    pub kept_blobs: u64,
    /// Their bytes.
    pub kept_bytes: u64,
    /// Blobs that nothing names but that were found or written lately.
    pub pinned_blobs: u64,
    /// Their bytes.
    pub pinned_bytes: u64,
}

/// How many pieces of evidence an answer lists: some hundred KiB.
pub const LISTED_MAX: usize = 1000;

/// One part of one iteration's evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedEvidence {
    /// The campaign.
    pub campaign: CampaignId,
    /// The iteration.
    pub iteration: IterationNumber,
    /// Which part.
    pub evidence: Evidence,
    /// Its bytes.
    pub bytes: u64,
}

/// How a coordinator is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Its version.
    pub version: String,
    /// Its data folder.
    pub data_dir: String,
    /// Durable records.
    pub records: u64,
    /// Free bytes on the disk of its data folder.
    pub free_bytes: u64,
    /// The disk's bytes.
    pub total_bytes: u64,
    /// Below this it takes nothing new.
    pub stop_bytes: u64,
    /// Why it only reads, if so.
    pub read_only: Option<String>,
    /// What people should know; none when all is well.
    pub notice: Option<String>,
}
