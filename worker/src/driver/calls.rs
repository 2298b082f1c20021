//! The call that hangs, and the outcome that is kept until it is acknowledged.

use super::blocking;
use crate::error::Error;
use crate::shop::{Backoff, Shop};
use crate::spool::Ended;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use windlass_proto::v1;
use windlass_shared::attempt::{AttemptKey, Outcome, Phase};
use windlass_shared::secret::{Secret, Secrets};
use windlass_shared::session::{Answer, Report};

/// The coordinator answers a hanging call within 20 s; a call that says nothing for longer is dead.
const SYNC_MAX: Duration = Duration::from_secs(30);

/// One hanging call: everything that the worker has, answered with all that it should have.
pub(super) async fn sync(shop: &Shop, report: &Report) -> Result<Answer, Error> {
    let mut message = v1::SyncRequest::from(report);
    let ended = report.attempts.iter().filter(|attempt| matches!(attempt.phase, Phase::Ended(_)));
    message.parcels = ended
        .flat_map(|attempt| shop.parcels.of(&attempt.key))
        .map(|parcel| v1::Parcel { digest: parcel.digest.to_string(), data: parcel.bytes })
        .collect();
    message.wall_ms = wall_ms();
    let mut request = tonic::Request::new(message);
    request.set_timeout(SYNC_MAX);
    let mut workers = shop.client.workers();
    let response = tokio::time::timeout(SYNC_MAX, workers.sync(request)).await;
    let response = response.unwrap_or_else(|_| Err(tonic::Status::deadline_exceeded("no answer in time")));
    let mut answer = response.map_err(Error::call("WorkerService.Sync"))?.into_inner();
    // Before anything is done about the orders that name them.
    shop.secrets.take(secrets(std::mem::take(&mut answer.secrets)));
    Answer::try_from(answer).map_err(|source| Error::Answer { call: "WorkerService.Sync", source })
}

/// This machine's wall clock: the coordinator says how far it is from its own.
fn wall_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

/// By attempt; what is none is left out, and the attempt then says what it lacks.
fn secrets(sent: Vec<v1::Secret>) -> BTreeMap<AttemptKey, Secrets> {
    let mut by_attempt: BTreeMap<AttemptKey, Secrets> = BTreeMap::new();
    for one in sent {
        let (Some(key), Ok(value)) = (one.key, Secret::new(&one.name, one.value)) else { continue };
        by_attempt.entry(key.into()).or_default().insert(one.name, value);
    }
    by_attempt
}

/// Persists an outcome before it is reported; a full disk is waited out.
pub(super) async fn keep(shop: &Shop, key: &AttemptKey, outcome: &Outcome) {
    let mut backoff = Backoff::default();
    loop {
        let (work, key_here) = (Arc::clone(&shop.work), key.clone());
        let ended = Ended { outcome: outcome.clone(), parcels: shop.parcels.of(key) };
        match blocking(move || work.attempt(&key_here)?.keep_ended(&ended)).await {
            Ok(()) => return,
            Err(error) => {
                tracing::error!(attempt = %key, problem = error.chain(), "failed to keep an outcome");
                backoff.wait().await;
            }
        }
    }
}
