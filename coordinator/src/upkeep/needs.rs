//! What the records of a ledger need of the stores. One pass over the records gathers it; trees are opened
//! afterwards. Memory is in proportion to iterations and blobs: about 1 KiB for each iteration.

use super::Error;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use windlass_shared::attempt::AttemptKey;
use windlass_shared::digest::Digest;
use windlass_shared::id::{CampaignId, IterationNumber};
use windlass_shared::record::{Body, Record};
use windlass_shared::reference::{Evidence, Reference};
use windlass_shared::tree::Manifest;

/// Iterations whose evidence an open campaign still shows to its researcher and its scripts: the baseline,
/// the best, and the latest 31 with the open one (`WINDLASS_HISTORY`).
const LATEST_KEPT: u32 = 32;

/// One iteration's evidence.
#[derive(Debug, Default)]
pub(super) struct Iteration {
    /// When it was decided, wall time.
    pub decided_wall_ms: Option<i64>,
    /// Bytes of its attempts' logs.
    pub log_bytes: u64,
    /// Parts that were removed.
    pub removed: BTreeSet<Evidence>,
    blobs: BTreeSet<(Evidence, Reference)>,
}

#[derive(Debug, Default)]
struct Standing {
    is_stopped: bool,
    /// Decided iterations that have deliverables: those that later scripts compare with.
    analysed: BTreeSet<IterationNumber>,
    best: Option<IterationNumber>,
    /// The latest decided one; 0 before the first.
    latest: u32,
}

/// Everything that records need.
#[derive(Debug, Default)]
pub(super) struct Needs {
    lasting: HashSet<Reference>,
    campaigns: BTreeMap<CampaignId, Standing>,
    /// Iterations that have any evidence.
    pub iterations: BTreeMap<(CampaignId, IterationNumber), Iteration>,
    /// Attempts that the ledger knows.
    pub attempts: BTreeSet<AttemptKey>,
}

impl Needs {
    /// Takes the next record.
    pub fn take(&mut self, record: &Record) {
        let references = record.body.references();
        self.lasting.extend(references.lasting);
        let Some(campaign) = &record.campaign else { return };
        let standing = self.campaigns.entry(campaign.clone()).or_default();
        let iterations = &mut self.iterations;
        let iteration = |number: IterationNumber| (campaign.clone(), number);
        match &record.body {
            Body::CampaignStopped { .. } | Body::LedgerImported { .. } => standing.is_stopped = true,
            Body::AttemptLeased { order, .. } => {
                iterations.entry(iteration(order.key.id.iteration)).or_default();
                self.attempts.insert(order.key.clone());
            }
            Body::AttemptEnded { attempt, outcome, .. } => {
                let iteration = iterations.entry(iteration(attempt.iteration)).or_default();
                iteration.log_bytes += outcome.log_bytes;
                iteration.blobs.extend(references.evidence);
            }
            Body::DeliverableAccepted { iteration: number, .. } => {
                standing.analysed.insert(*number);
                iterations.entry(iteration(*number)).or_default().blobs.extend(references.evidence);
            }
            Body::IterationDecided { iteration: number, best, .. } => {
                iterations.entry(iteration(*number)).or_default().decided_wall_ms = Some(record.wall_ms);
                standing.best = *best;
                standing.latest = number.0;
            }
            Body::EvidenceRemoved { iteration: number, evidence, .. } => {
                iterations.entry(iteration(*number)).or_default().removed.insert(*evidence);
            }
            _ => {}
        }
    }

    /// Whether an iteration's evidence may be removed once its time is over: it is decided, it is not the
    /// best, and an open campaign looks at it no more.
    pub fn is_removable(&self, campaign: &CampaignId, number: IterationNumber) -> bool {
        let key = (campaign.clone(), number);
        let (Some(standing), Some(iteration)) = (self.campaigns.get(campaign), self.iterations.get(&key))
        else {
            return false;
        };
        let oldest_kept = standing.analysed.iter().rev().take(LATEST_KEPT as usize).next_back();
        let is_looked_at = !standing.is_stopped
            && (number == IterationNumber::BASELINE
                || number.0 + LATEST_KEPT > standing.latest
                || oldest_kept.is_some_and(|oldest| number >= *oldest));
        iteration.decided_wall_ms.is_some() && standing.best != Some(number) && !is_looked_at
    }

    /// Notes that a part of its evidence is removed.
    pub fn remove(&mut self, campaign: &CampaignId, number: IterationNumber, evidence: Evidence) {
        if let Some(iteration) = self.iterations.get_mut(&(campaign.clone(), number)) {
            iteration.removed.insert(evidence);
        }
    }

    /// Every blob that is needed, trees opened.
    pub fn blobs(&self, read: impl FnMut(Digest) -> Result<Bytes, Error>) -> Result<HashSet<Digest>, Error> {
        let kept = self.iterations.values().flat_map(|iteration| {
            let is_kept = |(evidence, _): &&(Evidence, Reference)| !iteration.removed.contains(evidence);
            iteration.blobs.iter().filter(is_kept).map(|(_, reference)| *reference)
        });
        open(self.lasting.iter().copied().chain(kept), read)
    }
}

impl Iteration {
    /// The blobs of one part of its evidence.
    pub fn part(&self, part: Evidence) -> impl Iterator<Item = Reference> + '_ {
        self.blobs.iter().filter(move |(evidence, _)| *evidence == part).map(|(_, reference)| *reference)
    }
}

/// Every blob that these name, each tree opened once.
pub(super) fn open(
    references: impl Iterator<Item = Reference>,
    mut read: impl FnMut(Digest) -> Result<Bytes, Error>,
) -> Result<HashSet<Digest>, Error> {
    let (mut found, mut opened) = (HashSet::new(), HashSet::new());
    for reference in references {
        match reference {
            Reference::Blob(digest) => {
                found.insert(digest);
            }
            Reference::Tree(digest) => {
                if opened.insert(digest) {
                    let bytes = read(digest)?;
                    let manifest =
                        Manifest::from_bytes(&bytes).map_err(|source| Error::NoTree { digest, source })?;
                    found.extend(manifest.blobs());
                    found.insert(digest);
                }
            }
        }
    }
    Ok(found)
}
