//! Takes one stream of a log in: what has arrived is appended together, and synced once for all of it, with
//! earlier syncs on the way so that the last one is short.

use crate::grpc::convert::log_failure;
use crate::logs::{Error, Log};
use crate::metrics::Metrics;
use bytes::Bytes;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tonic::{Status, Streaming};
use windlass_proto::v1::WriteLogRequest;
use windlass_shared::attempt::AttemptKey;

/// Appended at a time: four messages, one piece of work on a thread for the disk.
const BATCH_BYTES: usize = 1 << 20;
/// A sync begins on the side whenever so much is new.
const SYNC_EVERY_BYTES: u64 = 8 << 20;

/// A sync that goes on while more is appended.
type Syncing = Pin<Box<dyn Future<Output = Result<u64, Error>> + Send>>;

/// Pieces that follow each other.
struct Batch {
    offset: u64,
    pieces: Vec<Bytes>,
    bytes: usize,
}

impl Batch {
    fn of(first: WriteLogRequest) -> Self {
        Self { offset: first.offset, bytes: first.data.len(), pieces: vec![first.data] }
    }

    fn follows(&self, message: &WriteLogRequest) -> bool {
        message.offset == self.offset + self.bytes as u64
    }

    fn push(&mut self, message: WriteLogRequest) {
        self.bytes += message.data.len();
        self.pieces.push(message.data);
    }
}

/// What the stream has next.
enum Next {
    Message(WriteLogRequest),
    End,
}

/// Appends `first` and all that follows it; the bytes that are durable then.
pub(super) async fn take(
    log: &Arc<Log>,
    metrics: &Metrics,
    key: &AttemptKey,
    first: WriteLogRequest,
    stream: &mut Streaming<WriteLogRequest>,
) -> Result<u64, Status> {
    let failed = |error: Error| log_failure(&error);
    let mut early: Option<Syncing> = None;
    let mut unsynced_bytes = 0;
    let mut next = Next::Message(first);
    while let Next::Message(message) = next {
        let (batch, after) = gather(message, stream).await?;
        unsynced_bytes += batch.bytes as u64;
        log.append(key, batch.offset, batch.pieces).await.map_err(failed)?;
        metrics.log_received(batch.bytes as u64);
        if unsynced_bytes >= SYNC_EVERY_BYTES && early.is_none() {
            let log = Arc::clone(log);
            early = Some(Box::pin(async move { log.sync().await }));
            unsynced_bytes = 0;
        }
        next = match after {
            Some(after) => after,
            None => wait(stream, &mut early).await?,
        };
    }
    if let Some(early) = early {
        early.await.map_err(failed)?;
    }
    log.sync().await.map_err(failed)
}

/// What has arrived already, and what comes after it if that is known.
async fn gather(
    first: WriteLogRequest,
    stream: &mut Streaming<WriteLogRequest>,
) -> Result<(Batch, Option<Next>), Status> {
    let mut batch = Batch::of(first);
    while batch.bytes < BATCH_BYTES {
        let arrived = tokio::select! {
            biased;
            message = stream.message() => Some(message?),
            () = std::future::ready(()) => None,
        };
        match arrived {
            Some(Some(message)) if batch.follows(&message) => batch.push(message),
            Some(Some(message)) => return Ok((batch, Some(Next::Message(message)))),
            Some(None) => return Ok((batch, Some(Next::End))),
            None => break,
        }
    }
    Ok((batch, None))
}

/// Waits for the next message while a sync goes on.
async fn wait(stream: &mut Streaming<WriteLogRequest>, early: &mut Option<Syncing>) -> Result<Next, Status> {
    loop {
        tokio::select! {
            biased;
            synced = end_of(early) => {
                *early = None;
                synced.map_err(|error| log_failure(&error))?;
            }
            message = stream.message() => return Ok(message?.map_or(Next::End, Next::Message)),
        }
    }
}

async fn end_of(early: &mut Option<Syncing>) -> Result<u64, Error> {
    match early {
        Some(syncing) => syncing.await,
        None => std::future::pending().await,
    }
}
