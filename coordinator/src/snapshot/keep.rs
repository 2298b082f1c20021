//! Keeping the snapshot near the ledger's end, on a thread beside the loop and never for long.

use super::take::{EVERY_RECORDS, take};
use crate::driver::blocking;
use crate::ledger::Durable;
use std::path::PathBuf;
use std::time::Instant;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// After a snapshot, this many times as long as it took passes before the next: at most a tenth of one
/// processor, however fast records come.
const REST_FACTOR: u32 = 10;

/// Takes a snapshot whenever [`EVERY_RECORDS`] records have been written since record `taken`.
pub(crate) async fn keep(
    data_dir: PathBuf,
    mut durable: watch::Receiver<Durable>,
    mut taken: u64,
    shutdown: CancellationToken,
) {
    loop {
        let enough = durable.wait_for(|durable| durable.seq >= taken + EVERY_RECORDS);
        let reached = tokio::select! {
            reached = enough => match reached {
                Ok(durable) => durable.seq,
                Err(_) => return,
            },
            () = shutdown.cancelled() => return,
        };
        let began = Instant::now();
        let (folder, stop) = (data_dir.clone(), shutdown.clone());
        match blocking(move || take(&folder, 1, || stop.is_cancelled())).await {
            Ok(Some(head)) => {
                let took_ms = began.elapsed().as_millis();
                tracing::info!(records = head.seq, %took_ms, "snapshot taken");
                taken = head.seq;
            }
            Ok(None) => taken = reached,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "no snapshot was taken; the next start replays more records"
                );
                taken = reached;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(began.elapsed() * REST_FACTOR) => {}
            () = shutdown.cancelled() => return,
        }
    }
}
