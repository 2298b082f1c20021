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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{self, Batch};
    use crate::snapshot::Snapshot;
    use std::time::Duration;
    use windlass_shared::record::{Body, Record};

    #[tokio::test]
    async fn a_snapshot_is_taken_beside_the_writer_once_enough_was_written() {
        let folder = tempfile::tempdir().expect("tempdir");
        let ledger = ledger::open(folder.path(), drop).expect("open");
        let shutdown = CancellationToken::new();
        let kept = tokio::spawn(keep(folder.path().to_owned(), ledger.writer.durable(), 0, shutdown.clone()));
        let head = || Snapshot::open(folder.path()).expect("whole").map(|snapshot| snapshot.head.seq);
        for (from, upto) in [(1, EVERY_RECORDS - 1), (EVERY_RECORDS, EVERY_RECORDS)] {
            assert_eq!(head(), None, "not before record {from}");
            let body = Body::RequestAnswered {};
            let record = |seq| Record { seq, wall_ms: 5, campaign: None, request: None, body: body.clone() };
            let records = (from..=upto).map(record).collect();
            ledger.writer.append(Batch { records, blobs: Vec::new() }).expect("hand over");
            let mut durable = ledger.writer.durable();
            durable.wait_for(|durable| durable.seq == upto).await.expect("the writer lives");
        }
        let taken = async {
            while head().is_none() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), taken).await.expect("it is taken");
        assert_eq!(head(), Some(EVERY_RECORDS));
        shutdown.cancel();
        tokio::time::timeout(Duration::from_secs(60), kept).await.expect("it ends").expect("without a panic");
    }
}
