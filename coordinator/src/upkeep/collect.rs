//! Garbage: evidence whose retention is over is noted in the ledger and then removed; blobs that nothing
//! names and nobody has asked for lately go; nothing that a ledger row is rebuilt from is ever touched (P28).
//!
//! Safe beside everything: from the start of the sweep the store remembers who touches what; then everything
//! decided so far is waited for, so that the records that are read name all that counts.

use super::lock::Lock;
use super::log_files::{self, LogFile};
use super::needs::{self, Needs};
use super::service::{Request, Upkeep};
use super::{Error, Retention};
use crate::blobs::{Blobs, Stored, Sweep, now_ms};
use crate::driver::{Asked, Call, Event, Gone, Intent, Query, blocking};
use crate::ledger::Readers;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use windlass_engine::core::{Removal, RequestKey};
use windlass_shared::digest::{Digest, Hash};
use windlass_shared::id::{CampaignId, RequestId};
use windlass_shared::reference::Evidence;
use windlass_shared::refusal::Refusal;
use windlass_shared::time::Span;
use windlass_shared::upkeep::{Collected, LISTED_MAX, RemovedEvidence};

/// Removals in one request: its records are one batch of the loop.
const REMOVALS_MAX: usize = 256;
/// Records read at once.
const PAGE_RECORDS: u32 = 4096;

/// A collection that was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Refused.
    #[error("{0}")]
    Refused(Refusal),
    /// Failed.
    #[error(transparent)]
    Upkeep(Box<Error>),
    /// The coordinator ends.
    #[error(transparent)]
    Gone(#[from] Gone),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Evidence to remove, by campaign and reason.
type Due = BTreeMap<(CampaignId, String), Vec<Removal>>;

/// Does it.
pub(super) async fn collect(upkeep: &Upkeep, request: Request) -> Result<Collected, Failure> {
    upkeep.handle.writes()?;
    let data_dir = upkeep.data_dir.clone();
    let _lock = blocking(move || Lock::alone(&data_dir)).await.map_err(busy)?;
    let stores = &upkeep.handle.stores;
    let sweep = stores.blobs.sweep(request.retention.unnamed).ok_or_else(|| {
        busy(Error::Busy { what: "a collection of garbage", path: upkeep.data_dir.clone() })
    })?;
    // What was decided before the store began to remember is in the ledger from here on.
    let settled = upkeep.handle.ask(|reply| Event::Query(Query::Settled { reply })).await?;
    settled?;
    let (readers, blobs) = (stores.readers.clone(), stores.blobs.clone());
    let retention = request.retention;
    let (mut needs, due) = blocking(move || {
        let needs = read(&readers)?;
        let due = due(&needs, retention, &blobs)?;
        Ok::<_, Error>((needs, due))
    })
    .await?;
    let mut collected = Collected { dry_run: request.is_dry, ..Collected::default() };
    for ((campaign, why), removals) in due {
        for removal in &removals {
            collected.evidence_count += 1;
            needs.remove(&campaign, removal.iteration, removal.evidence);
            if collected.evidence.len() < LISTED_MAX {
                let Removal { iteration, evidence, bytes } = *removal;
                collected.evidence.push(RemovedEvidence {
                    campaign: campaign.clone(),
                    iteration,
                    evidence,
                    bytes,
                });
            }
        }
        if !request.is_dry {
            for part in removals.chunks(REMOVALS_MAX) {
                note(upkeep, &campaign, part, &why).await?;
            }
        }
    }
    let needs = Arc::new(needs);
    sweep_blobs(&sweep, &stores.blobs, &needs, &mut collected).await?;
    remove_logs(upkeep, &needs, request, &mut collected).await?;
    Ok(collected)
}

/// Somebody else is at it: a refusal that is worth another try.
fn busy(error: Error) -> Failure {
    match error {
        Error::Busy { what, .. } => Failure::Refused(Refusal::State {
            what: "the store".to_owned(),
            state: format!("in use: {what} is under way"),
            wanted: "collect garbage when it is over",
        }),
        error => error.into(),
    }
}

fn read(readers: &Readers) -> Result<Needs, Error> {
    let mut needs = Needs::default();
    let mut after_seq = 0;
    loop {
        let page = readers.after(None, after_seq, PAGE_RECORDS)?;
        let Some(last) = page.last() else { return Ok(needs) };
        after_seq = last.seq;
        page.iter().for_each(|record| needs.take(record));
    }
}

/// The evidence whose time is over.
fn due(needs: &Needs, retention: Retention, blobs: &Blobs) -> Result<Due, Error> {
    let now_ms = now_ms();
    let is_over = |decided_wall_ms: i64, keep: Option<Duration>| {
        let keep_ms = keep.map(|keep| i64::try_from(keep.as_millis()).unwrap_or(i64::MAX));
        keep_ms.is_some_and(|keep_ms| decided_wall_ms.saturating_add(keep_ms) <= now_ms)
    };
    let mut due = Due::new();
    for ((campaign, number), iteration) in &needs.iterations {
        let Some(decided_wall_ms) = iteration.decided_wall_ms else { continue };
        if !needs.is_removable(campaign, *number) {
            continue;
        }
        let parts = [
            (Evidence::Logs, retention.logs),
            (Evidence::Outputs, retention.outputs),
            (Evidence::Artifacts, retention.outputs),
        ];
        for (evidence, keep) in parts {
            if iteration.removed.contains(&evidence) || !is_over(decided_wall_ms, keep) {
                continue;
            }
            let bytes = match evidence {
                Evidence::Logs => iteration.log_bytes,
                _ => {
                    let named = needs::open(iteration.part(evidence), |digest| bytes_of(blobs, digest))?;
                    named.iter().map(|digest| digest.size_bytes).sum()
                }
            };
            if bytes == 0 {
                continue;
            }
            let kept =
                Span { ms: keep.map_or(0, |keep| u64::try_from(keep.as_millis()).unwrap_or(u64::MAX)) };
            let why = format!("{} are kept for {kept}", evidence.as_str());
            let removal = Removal { iteration: *number, evidence, bytes };
            due.entry((campaign.clone(), why)).or_default().push(removal);
        }
    }
    Ok(due)
}

/// Records that this evidence is removed; it is removed only after that is durable.
async fn note(upkeep: &Upkeep, campaign: &CampaignId, part: &[Removal], why: &str) -> Result<(), Failure> {
    let request = RequestKey {
        id: RequestId(uuid::Uuid::now_v7().to_string()),
        body: Hash::of(format!("{campaign} {part:?} {why}").as_bytes()),
    };
    let asked = Asked::Remove { campaign: campaign.clone(), removals: part.to_vec(), why: why.to_owned() };
    let call = |reply| Event::Call(Call { request, asked, reply, gathered_times: 0, intent: Intent::Do });
    upkeep.handle.ask(call).await??;
    Ok(())
}

fn bytes_of(blobs: &Blobs, digest: Digest) -> Result<bytes::Bytes, Error> {
    blobs.read_now(digest).map_err(|error| match error {
        crate::blobs::Error::Absent { digest } => Error::Missing { digest },
        error => error.into(),
    })
}

async fn sweep_blobs(
    sweep: &Sweep,
    blobs: &Blobs,
    needs: &Arc<Needs>,
    collected: &mut Collected,
) -> Result<(), Failure> {
    let stored = sweep.stored().await.map_err(Error::from)?;
    let (store, needs) = (blobs.clone(), Arc::clone(needs));
    let needed = blocking(move || needs.blobs(|digest| bytes_of(&store, digest))).await?;
    let mut unwanted = Vec::new();
    for blob in &stored {
        let Stored { digest, .. } = blob;
        let (count, bytes) = if needed.contains(digest) {
            (&mut collected.kept_blobs, &mut collected.kept_bytes)
        } else if sweep.is_pinned(blob) {
            (&mut collected.pinned_blobs, &mut collected.pinned_bytes)
        } else {
            unwanted.push(*digest);
            continue;
        };
        *count += 1;
        *bytes += digest.size_bytes;
    }
    let gone = match collected.dry_run {
        true => unwanted,
        false => sweep.remove(&unwanted).await.map_err(Error::from)?,
    };
    collected.blobs = gone.len() as u64;
    collected.blob_bytes = gone.iter().map(|digest| digest.size_bytes).sum();
    Ok(())
}

/// Logs whose removal is noted, and old files of attempts that the ledger does not know.
async fn remove_logs(
    upkeep: &Upkeep,
    needs: &Needs,
    request: Request,
    collected: &mut Collected,
) -> Result<(), Failure> {
    let root = upkeep.data_dir.join("logs");
    let attempts = needs.attempts.clone();
    let files = blocking(move || log_files::list(&root, attempts.iter())).await?;
    let now = SystemTime::now();
    let goes = |file: &LogFile| match &file.key {
        Some(key) => {
            let iteration = needs.iterations.get(&(key.id.campaign.clone(), key.id.iteration));
            iteration.is_some_and(|iteration| iteration.removed.contains(&Evidence::Logs))
        }
        None => now.duration_since(file.modified).is_ok_and(|age| age > request.retention.unnamed),
    };
    for file in files.into_iter().filter(goes) {
        collected.logs += 1;
        collected.log_bytes += file.bytes;
        if request.is_dry {
            continue;
        }
        if let Some(key) = &file.key {
            upkeep.handle.stores.logs.forget(key);
        }
        let path = file.path;
        blocking(move || std::fs::remove_file(&path).map_err(Error::file("remove", path))).await?;
    }
    Ok(())
}
