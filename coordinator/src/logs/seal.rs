//! Large logs are compressed once they are whole: off the loop, one at a time, never in anybody's way.

use super::error::Error;
use super::store::Logs;
use crate::driver::{Stores, blocking};
use crate::ledger::{self, Durable};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use windlass_shared::attempt::AttemptKey;
use windlass_shared::record::Body;

/// A smaller log is not worth a frame of its own: a file takes up a block of 4 KiB anyway.
pub const SEAL_MIN_BYTES: u64 = 64 << 10;
/// Between two looks at the ledger while large logs are open: what is compressed some seconds later is as
/// small.
const PAUSE: Duration = Duration::from_secs(2);

/// Why a log was not sealed now.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("failed to look an attempt up")]
    Ledger(#[from] ledger::Error),
    #[error(transparent)]
    Log(#[from] Error),
}

/// Seals logs as their attempts end, until `shutdown`; first those that an earlier life left.
pub(crate) async fn keep_sealing(
    stores: Stores,
    mut durable: watch::Receiver<Durable>,
    shutdown: CancellationToken,
) {
    let ended = shutdown.clone();
    let work = async {
        note_those_left(&stores.logs).await;
        let mut large = stores.logs.large();
        loop {
            durable.borrow_and_update();
            let open: BTreeSet<AttemptKey> = large.borrow_and_update().clone();
            for key in &open {
                pass(&stores, key, &ended).await;
            }
            let waits = !large.borrow().is_empty();
            tokio::select! {
                changed = large.changed() => if changed.is_err() { return },
                changed = durable.changed(), if waits => if changed.is_err() { return },
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::select! {
        () = work => {}
        () = shutdown.cancelled() => {}
    }
}

async fn note_those_left(logs: &Logs) {
    match logs.unsealed(SEAL_MIN_BYTES).await {
        Ok(left) => left.iter().for_each(|key| logs.note_large(key)),
        Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "failed to list old logs"),
    }
}

/// Seals one log if its attempt has ended and all of it is here.
async fn pass(stores: &Stores, key: &AttemptKey, shutdown: &CancellationToken) {
    let ended = match ended_bytes(stores, key).await {
        Ok(ended) => ended,
        Err(error) => {
            tracing::warn!(attempt = %key, error = &error as &dyn std::error::Error, "a log is not sealed");
            return;
        }
    };
    let Some(bytes) = ended else { return };
    let told = shutdown.clone();
    match stores.logs.seal(key, bytes, move || !told.is_cancelled()).await {
        Ok(sealed) => tracing::debug!(attempt = %key, bytes, sealed, "an ended log was looked at"),
        Err(_) if shutdown.is_cancelled() => return,
        // A full disk: the raw log stays as it is, and the next start tries again.
        Err(error) => {
            tracing::warn!(attempt = %key, error = &error as &dyn std::error::Error, "a log is not sealed");
        }
    }
    stores.logs.forget_large(key);
}

/// The bytes of an attempt's whole log, once the ledger says that it has ended.
async fn ended_bytes(stores: &Stores, key: &AttemptKey) -> Result<Option<u64>, Failure> {
    let readers = stores.readers.clone();
    let (campaign, iteration) = (key.id.campaign.clone(), key.id.iteration);
    let records = blocking(move || readers.iteration(&campaign, iteration)).await?;
    Ok(records.into_iter().find_map(|record| match record.body {
        Body::AttemptEnded { attempt, fence, outcome, .. } if attempt == key.id && fence == key.fence => {
            Some(outcome.log_bytes)
        }
        _ => None,
    }))
}
