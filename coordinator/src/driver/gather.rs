//! Facts, gathered off the loop: bytes are fetched for the engine's pure functions until they lack
//! nothing. Nothing is judged here.

use super::blocking;
use super::stores::Stores;
use crate::blobs::{self, SMALL_MAX_BYTES};
use crate::ledger::Blob;
use crate::logs;
use bytes::Bytes;
use windlass_engine::core::Observation;
use windlass_engine::gate::Contents;
use windlass_engine::gate::editable::Editable;
use windlass_engine::gate::epochs::{CapFacts, CapWanted, gather_cap};
use windlass_engine::gate::facts::{
    CitedPlace, Fetched, FixFacts, FixWanted, Lacking, Look, Merged, ProposalFacts, ProposalWanted,
    PullFacts, PullWanted, Rejected, Wanted, WantedKey, gather_pull,
};
use windlass_engine::gate::fix::gather_fix;
use windlass_engine::gate::guard;
use windlass_engine::gate::proposal::gather_proposal;
use windlass_shared::attempt::AttemptKey;
use windlass_shared::bindings::{Bindings, GateKind};
use windlass_shared::digest::Digest;
use windlass_shared::id::{CampaignId, IterationNumber};
use windlass_shared::lever::CitedRow;
use windlass_shared::record::Body;
use windlass_shared::reference::Evidence;
use windlass_shared::refusal::Refusal;
use windlass_shared::tree::Manifest;

/// Rounds of fetching before a gatherer is given up: a tree, a patch, the files of three trees, an
/// anchor's tree, file and log are below ten.
const ROUNDS_MAX: usize = 64;
/// Bytes fetched for one gatherer: far above the text files that a lever touches.
const FETCHED_MAX_BYTES: u64 = 512 << 20;
/// The part of a log in which an anchor is looked up.
const LOG_MAX_BYTES: u64 = 64 << 20;

/// What is kept of a cited row's description, characters.
const CITED_MAX_CHARS: usize = 200;

/// What was gathered, with small blobs that must be durable before it counts; larger ones are.
pub(crate) struct Gathered {
    /// The finding.
    pub finding: Finding,
    /// New small blobs.
    pub blobs: Vec<Blob>,
}

/// A finding.
pub(crate) enum Finding {
    /// For the core.
    Seen(Box<Observation>),
    /// For a proposal.
    Proposal(Result<Box<ProposalFacts>, Box<Rejected>>),
    /// For a researcher's fix.
    Fix(Result<Box<FixFacts>, Refusal>),
    /// For a lever that is to be put back.
    Retry(Result<Box<PullFacts>, Refusal>),
    /// For a creation: whether the tree may be run; under the epoch gate with the tree whose cap is set.
    Tree(Result<Option<CapFacts>, Refusal>),
}

/// Why gathering failed; it is tried again or told to the caller.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Blobs(#[from] blobs::Error),
    #[error(transparent)]
    Logs(#[from] logs::Error),
    #[error("the gates refuse what they are to look at: {0}")]
    Refused(Refusal),
    #[error("the gates refuse the proposal")]
    Rejected(Box<Rejected>),
    #[error("the facts need {bytes} bytes or more; at most {FETCHED_MAX_BYTES} are fetched")]
    TooMuch { bytes: u64 },
    #[error("the facts need more than {ROUNDS_MAX} rounds of fetching")]
    Rounds,
}

impl Failure {
    /// Why it will fail again however often it is tried; `None` where a later try may succeed.
    fn permanent(self) -> Option<Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::TooMuch { bytes } => Some(Refusal::TooMuch {
                what: "the bytes of the files that have to be looked at".to_owned(),
                figure: bytes,
                limit: FETCHED_MAX_BYTES,
            }),
            Self::Rejected(rejected) => Some(Refusal::several(rejected.problems)),
            Self::Rounds | Self::Blobs(_) | Self::Logs(_) => None,
        }
    }
}

impl Gathered {
    /// Nothing came of it; it is wanted again later.
    pub fn failed(key: WantedKey) -> Self {
        Self { finding: Finding::Seen(Box::new(Observation::GatherFailed(key))), blobs: Vec::new() }
    }
}

/// Gathers what the core wants. What can never be gathered is a fact too: a lever or a fix that waited for
/// it would wait for ever. What may be there later is wanted again.
pub(super) async fn wanted(stores: Stores, wanted: Wanted) -> Gathered {
    let gathered = match wanted.clone() {
        Wanted::Pull(wanted) => {
            rounds(&stores, move |fetched| {
                gather_pull(&wanted, fetched).map(|(facts, new)| (Observation::Pull(Box::new(facts)), new))
            })
            .await
        }
        Wanted::Fix(wanted) => {
            rounds(&stores, move |fetched| {
                gather_fix(&wanted, fetched).map(|(facts, new)| (Observation::Fix(Box::new(facts)), new))
            })
            .await
        }
    };
    match gathered {
        Ok((seen, blobs)) => Gathered { finding: Finding::Seen(Box::new(seen)), blobs },
        Err(failure) => {
            let key = wanted.key();
            tracing::warn!(?key, error = &failure as &dyn std::error::Error, "facts could not be gathered");
            match failure.permanent() {
                Some(refusal) => Gathered {
                    finding: Finding::Seen(Box::new(refused(&wanted, refusal))),
                    blobs: Vec::new(),
                },
                None => Gathered::failed(key),
            }
        }
    }
}

/// The facts of what is refused before its contents could be looked at.
fn refused(wanted: &Wanted, refusal: Refusal) -> Observation {
    match wanted {
        Wanted::Pull(wanted) => Observation::Pull(Box::new(PullFacts {
            campaign: wanted.campaign.clone(),
            lever: wanted.lever,
            parent: wanted.parent,
            best: wanted.best,
            results: wanted.evidence.as_ref().and_then(|evidence| evidence.results),
            merged: Merged::Refused(refusal),
            look: Look::NotLooked,
        })),
        Wanted::Fix(wanted) => Observation::Fix(Box::new(FixFacts {
            campaign: wanted.campaign.clone(),
            iteration: wanted.iteration,
            fix: wanted.fix,
            on: wanted.tree,
            applied: Err(refusal),
        })),
    }
}

/// Gathers a proposal's facts. What its researcher can repair is a refusal, a store that fails too: it
/// names the blob.
pub(super) async fn proposal(stores: Stores, wanted: ProposalWanted, places: Vec<CitedPlace>) -> Gathered {
    let cited = Cited::of(&wanted);
    let facts = match rounds(&stores, move |fetched| gather_proposal(&wanted, fetched)).await {
        Ok((facts, blobs)) => {
            cited_rows(&stores, places).await.map(|cited| (ProposalFacts { cited, ..facts }, blobs))
        }
        Err(failure) => Err(failure),
    };
    let removed = match (&facts, cited) {
        (Err(_), Some(cited)) => cited.removal(&stores).await,
        _ => None,
    };
    let (facts, blobs) = match facts {
        Ok((facts, blobs)) => (Ok(Box::new(facts)), blobs),
        Err(_) if let Some(refusal) = removed => (Err(Box::new(refusal.into())), Vec::new()),
        Err(Failure::Rejected(rejected)) => (Err(rejected), Vec::new()),
        Err(failure) => (Err(Box::new(refusal(failure).into())), Vec::new()),
    };
    Gathered { finding: Finding::Proposal(facts), blobs }
}

/// What cited rows say: one small look-up by index each, and at most eight of them.
async fn cited_rows(stores: &Stores, places: Vec<CitedPlace>) -> Result<Vec<CitedRow>, Failure> {
    let readers = stores.readers.clone();
    let rows = blocking(move || {
        let mut rows = Vec::with_capacity(places.len());
        for CitedPlace { campaign, metric_name, iteration } in places {
            let decided = readers.decision(&campaign, iteration)?;
            rows.extend(decided.and_then(|record| match record.body {
                Body::IterationDecided { status, arithmetic, description, .. } => Some(CitedRow {
                    campaign,
                    iteration,
                    status,
                    metric_name,
                    metric: arithmetic.metric,
                    description: description.chars().take(CITED_MAX_CHARS).collect(),
                }),
                _ => None,
            }));
        }
        Ok::<_, blobs::Error>(rows)
    });
    Ok(rows.await?)
}

/// Gathers the facts of a researcher's fix.
pub(super) async fn fix(stores: Stores, wanted: FixWanted) -> Gathered {
    let (facts, blobs) = match rounds(&stores, move |fetched| gather_fix(&wanted, fetched)).await {
        Ok((facts, blobs)) => (Ok(Box::new(facts)), blobs),
        Err(failure) => (Err(refusal(failure)), Vec::new()),
    };
    Gathered { finding: Finding::Fix(facts), blobs }
}

/// The evidence that a proposal's anchor cites.
struct Cited {
    campaign: CampaignId,
    iteration: IterationNumber,
    part: Evidence,
}

impl Cited {
    fn of(wanted: &ProposalWanted) -> Option<Self> {
        let (anchor, evidence) = (wanted.lever.anchor.as_ref()?, wanted.evidence.as_ref()?);
        let part = if anchor.file.as_str() == "run.log" { Evidence::Logs } else { Evidence::Outputs };
        Some(Self { campaign: wanted.campaign.clone(), iteration: evidence.iteration, part })
    }

    /// Where it is gone because its time was over, that is what is wrong: not a blob, nor a line too few.
    async fn removal(self, stores: &Stores) -> Option<Refusal> {
        let readers = stores.readers.clone();
        let (campaign, iteration) = (self.campaign, self.iteration);
        let records = blocking(move || readers.iteration(&campaign, iteration)).await.ok()?;
        records.into_iter().find_map(|record| match record.body {
            Body::EvidenceRemoved { evidence, why, .. } if evidence == self.part => Some(Refusal::Removed {
                evidence: evidence.as_str(),
                iteration: iteration.0,
                wall_ms: record.wall_ms,
                why,
            }),
            _ => None,
        })
    }
}

/// Gathers the facts of a lever that is to be put back.
pub(super) async fn retry(stores: Stores, wanted: PullWanted) -> Gathered {
    let (facts, blobs) = match rounds(&stores, move |fetched| gather_pull(&wanted, fetched)).await {
        Ok((facts, blobs)) => (Ok(Box::new(facts)), blobs),
        Err(failure) => (Err(refusal(failure)), Vec::new()),
    };
    Gathered { finding: Finding::Retry(facts), blobs }
}

/// Checks a workspace's tree: every path stays inside (P3), some file is editable (P2), and every blob is
/// there (I16), the listing of a repository's HEAD too. Under the epoch gate its cap is found and set (P17).
pub(super) async fn tree(
    stores: Stores,
    digest: Digest,
    listing: Option<Digest>,
    bindings: Bindings,
) -> Gathered {
    if let Err(refusal) = check_tree(&stores, digest, listing, bindings.editable_files.clone()).await {
        return Gathered { finding: Finding::Tree(Err(refusal)), blobs: Vec::new() };
    }
    if bindings.gate != GateKind::Epochs {
        return Gathered { finding: Finding::Tree(Ok(None)), blobs: Vec::new() };
    }
    let wanted = CapWanted {
        tree: digest,
        budget: bindings.budget_epochs(),
        epochs: bindings.windlass.epochs.unwrap_or_default(),
        editable: bindings.editable_files,
    };
    match rounds(&stores, move |fetched| gather_cap(&wanted, fetched)).await {
        Ok((facts, blobs)) => Gathered { finding: Finding::Tree(Ok(Some(facts))), blobs },
        Err(failure) => Gathered { finding: Finding::Tree(Err(refusal(failure))), blobs: Vec::new() },
    }
}

async fn check_tree(
    stores: &Stores,
    digest: Digest,
    listing: Option<Digest>,
    editable: Vec<String>,
) -> Result<(), Refusal> {
    let failed = |error: blobs::Error| refusal(error.into());
    let editable = Editable::new(&editable)?;
    let bytes = stores.blobs.read(digest).await.map_err(failed)?;
    let needed = blocking(move || {
        let malformed = |error: windlass_shared::tree::ManifestError| {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            Refusal::Malformed { field: "tree", problem: format!("{error}{}", cause.unwrap_or_default()) }
        };
        let manifest = Manifest::from_bytes(&bytes).map_err(malformed)?;
        if manifest.digest() != digest {
            let problem = "the manifest is not in its canonical form".to_owned();
            return Err(Refusal::Malformed { field: "tree", problem });
        }
        guard::check_tree(&manifest)?;
        if !manifest.entries.keys().any(|path| editable.allows(path)) {
            let problem = "matches no file of the workspace; no lever could change anything".to_owned();
            return Err(Refusal::Binding { key: "editable_files", problem });
        }
        Ok(manifest.blobs().chain(listing).collect::<Vec<_>>())
    })
    .await?;
    let missing = stores.blobs.missing(needed).await.map_err(failed)?;
    match missing.first() {
        None => Ok(()),
        Some(digest) => Err(Refusal::AbsentBlob { digest: *digest }),
    }
}

fn refusal(failure: Failure) -> Refusal {
    match failure {
        Failure::Refused(refusal) => refusal,
        Failure::Rejected(rejected) => Refusal::several(rejected.problems),
        Failure::Blobs(blobs::Error::Absent { digest }) => Refusal::AbsentBlob { digest },
        other => {
            tracing::warn!(error = &other as &dyn std::error::Error, "facts could not be gathered");
            Refusal::Malformed { field: "change", problem: other.to_string() }
        }
    }
}

/// Runs a gatherer from its beginning with more and more contents until it lacks nothing.
async fn rounds<T: Send + 'static>(
    stores: &Stores,
    gather: impl Fn(&Fetched) -> Result<(T, Contents), Lacking> + Send + Clone + 'static,
) -> Result<(T, Vec<Blob>), Failure> {
    let mut fetched = Fetched::default();
    let mut fetched_bytes = 0;
    for _ in 0..ROUNDS_MAX {
        let gather = gather.clone();
        let (found, back) = blocking(move || (gather(&fetched), fetched)).await;
        fetched = back;
        match found {
            Ok((found, new)) => return Ok((found, keep(stores, new).await?)),
            Err(Lacking::Refused(refusal)) => return Err(Failure::Refused(refusal)),
            Err(Lacking::Rejected(rejected)) => return Err(Failure::Rejected(rejected)),
            Err(Lacking::Blobs(digests)) => {
                for digest in digests {
                    fetched_bytes += digest.size_bytes;
                    if fetched_bytes > FETCHED_MAX_BYTES {
                        return Err(Failure::TooMuch { bytes: fetched_bytes });
                    }
                    let bytes = stores.blobs.read(digest).await?;
                    fetched.blobs.insert(digest, bytes.to_vec());
                }
            }
            Err(Lacking::Log(key)) => {
                let bytes = log(stores, &key).await?;
                fetched.logs.insert(key, bytes);
            }
        }
    }
    Err(Failure::Rounds)
}

async fn log(stores: &Stores, key: &AttemptKey) -> Result<Vec<u8>, Failure> {
    let Some(log) = stores.logs.readable(key).await? else { return short_log(stores, key).await };
    let length_bytes = (*log.length().borrow()).min(LOG_MAX_BYTES);
    Ok(log.read(0, usize::try_from(length_bytes).unwrap_or(usize::MAX)).await?.to_vec())
}

/// A log that came with its attempt's outcome, as a blob; empty where there is none.
async fn short_log(stores: &Stores, key: &AttemptKey) -> Result<Vec<u8>, Failure> {
    let (readers, key) = (stores.readers.clone(), key.clone());
    let records = blocking(move || {
        let records = readers.iteration(&key.id.campaign, key.id.iteration)?;
        Ok::<_, blobs::Error>(records.into_iter().find_map(|record| match record.body {
            Body::AttemptEnded { attempt, fence, outcome, .. } if attempt == key.id && fence == key.fence => {
                outcome.log
            }
            _ => None,
        }))
    });
    match records.await? {
        Some(digest) => Ok(stores.blobs.read(digest).await?.to_vec()),
        None => Ok(Vec::new()),
    }
}

/// Large blobs are synced now; small ones go with the batch.
async fn keep(stores: &Stores, new: Contents) -> Result<Vec<Blob>, Failure> {
    let mut small = Vec::new();
    for (digest, bytes) in new {
        let bytes = Bytes::from(bytes);
        if digest.size_bytes > SMALL_MAX_BYTES {
            stores.blobs.write(digest, bytes).await?;
        } else {
            small.push(Blob { digest, bytes });
        }
    }
    Ok(small)
}
