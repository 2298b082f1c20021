//! The one thread that writes: it takes what is waiting, commits it once, and says how far the ledger
//! is durable. A failed append is final: it is published, nothing more is written or acknowledged, and
//! a sync is never tried again, because after a failed one the kernel may have dropped the pages.

use super::row::{COLUMNS, Row};
use super::{Error, Head};
use crate::blobs::{RENEW_AFTER, now_ms};
use bytes::Bytes;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use std::future::Future;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use windlass_shared::digest::Digest;
use windlass_shared::record::Record;

/// Stores of blobs that may wait at once. With about a message's worth of small blobs each, the queue
/// stays below half a gigabyte in the worst case and far below in every real one.
const BLOB_JOBS_MAX: usize = 32;
/// The channel also holds the driver's one batch and the order to close.
const QUEUE_LENGTH: usize = BLOB_JOBS_MAX + 2;

/// Records in order, with the small blobs that they name.
#[derive(Debug, Default)]
pub struct Batch {
    /// Numbered on from the last batch's.
    pub records: Vec<Record>,
    /// At most [`crate::blobs::SMALL_MAX_BYTES`] each, checked against their digests.
    pub blobs: Vec<Blob>,
}

/// A small blob on its way into the ledger's file.
#[derive(Clone, Debug)]
pub struct Blob {
    /// Its name.
    pub digest: Digest,
    /// Its bytes.
    pub bytes: Bytes,
}

/// How far the ledger is durable.
#[derive(Clone, Debug, Default)]
pub struct Durable {
    /// Every record up to this one is on disk.
    pub seq: u64,
    /// Batches committed since the start, those without records too.
    pub batches: u64,
    /// Set once when an append has failed; final.
    pub failure: Option<Arc<Error>>,
}

enum Job {
    Append(Batch),
    Blobs { change: Change, waiter: Waiter },
    Close,
}

/// What is to become of small blobs.
enum Change {
    Store(Vec<Blob>),
    Pin(Vec<Digest>),
    Remove(Vec<Digest>),
}

/// What becomes of small blobs beside a batch. Removals come first: what is stored in the same commit was
/// asked for after they were.
#[derive(Default)]
struct Upkeep {
    removed: Vec<Digest>,
    pinned: Vec<Digest>,
}

/// A place in the writer's queue.
pub(crate) struct Slot(OwnedSemaphorePermit);

/// Who waits for blobs. The slot belongs to the job and not to its caller: a caller that is cancelled leaves
/// its job in the queue, and the queue must never be too full for the driver's batch.
struct Waiter {
    done: oneshot::Sender<Result<(), Error>>,
    _slot: OwnedSemaphorePermit,
}

/// The writing end of the ledger. Dropping it closes the ledger.
#[derive(Debug)]
pub struct Writer {
    jobs: SyncSender<Job>,
    slots: Arc<Semaphore>,
    durable: watch::Receiver<Durable>,
    thread: Option<JoinHandle<()>>,
}

/// A writer whose thread does nothing, in tests.
#[cfg(test)]
pub(crate) struct Stalled {
    _queue: Receiver<Job>,
    _publish: watch::Sender<Durable>,
}

/// Stores small blobs that no record names yet.
#[derive(Clone, Debug)]
pub struct BlobWriter {
    jobs: SyncSender<Job>,
    slots: Arc<Semaphore>,
}

impl Writer {
    pub(super) fn start(connection: Connection, head: Head) -> Result<Self, Error> {
        let (jobs, queue) = sync_channel(QUEUE_LENGTH);
        let start = Durable { seq: head.seq, ..Durable::default() };
        let (publish, durable) = watch::channel(start);
        let thread = Thread { connection, head, queue, publish };
        let thread = std::thread::Builder::new()
            .name("ledger-writer".to_owned())
            .spawn(move || thread.run())
            .map_err(Error::Thread)?;
        Ok(Self { jobs, slots: Arc::new(Semaphore::new(BLOB_JOBS_MAX)), durable, thread: Some(thread) })
    }

    /// A writer that takes jobs and never carries one out; its thread has ended once the other is dropped.
    #[cfg(test)]
    pub(crate) fn stalled() -> (Self, Stalled) {
        let (jobs, queue) = sync_channel(QUEUE_LENGTH);
        let (publish, durable) = watch::channel(Durable::default());
        let slots = Arc::new(Semaphore::new(BLOB_JOBS_MAX));
        (Self { jobs, slots, durable, thread: None }, Stalled { _queue: queue, _publish: publish })
    }

    /// Hands a batch over. The caller keeps at most one on its way and learns of its fate from
    /// [`Writer::durable`]; this never waits.
    pub fn append(&self, batch: Batch) -> Result<(), Error> {
        self.jobs.try_send(Job::Append(batch)).map_err(|_| Error::WriterEnded)
    }

    /// How far the ledger is durable, now and from now on.
    pub fn durable(&self) -> watch::Receiver<Durable> {
        self.durable.clone()
    }

    /// For blobs that come before their records.
    pub fn blob_writer(&self) -> BlobWriter {
        BlobWriter { jobs: self.jobs.clone(), slots: Arc::clone(&self.slots) }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.jobs.send(Job::Close);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl BlobWriter {
    /// Returns once the blobs are durable.
    pub async fn store(&self, blobs: Vec<Blob>) -> Result<(), Error> {
        let slot = self.slot().await?;
        self.send(Change::Store(blobs), slot).await
    }

    /// Notes that these blobs were found; returns once that is durable.
    pub(crate) async fn pin(&self, digests: Vec<Digest>) -> Result<(), Error> {
        let slot = self.slot().await?;
        self.send(Change::Pin(digests), slot).await
    }

    /// Waits for a place in the queue.
    pub(crate) async fn slot(&self) -> Result<Slot, Error> {
        let slot = Arc::clone(&self.slots).acquire_owned().await;
        slot.map(Slot).map_err(|_| Error::WriterEnded)
    }

    /// Removes blobs. The order stands in the queue on return; the answer comes once they are gone.
    pub(crate) fn remove(
        &self,
        digests: Vec<Digest>,
        slot: Slot,
    ) -> impl Future<Output = Result<(), Error>> + use<> {
        self.send(Change::Remove(digests), slot)
    }

    fn send(&self, change: Change, slot: Slot) -> impl Future<Output = Result<(), Error>> + use<> {
        let (done, changed) = oneshot::channel();
        let waiter = Waiter { done, _slot: slot.0 };
        let sent = self.jobs.try_send(Job::Blobs { change, waiter }).map_err(|_| Error::WriterEnded);
        async move {
            sent?;
            changed.await.map_err(|_| Error::WriterEnded)?
        }
    }
}

struct Thread {
    connection: Connection,
    head: Head,
    queue: Receiver<Job>,
    publish: watch::Sender<Durable>,
}

impl Thread {
    fn run(mut self) {
        let mut open = true;
        while open {
            let Ok(first) = self.queue.recv() else { break };
            let mut batch = Batch::default();
            let mut upkeep = Upkeep::default();
            let mut batches = 0;
            let mut waiting = Vec::new();
            // Group commit: everything that has queued up while the last commit was syncing.
            for job in std::iter::once(first).chain(self.queue.try_iter().take(QUEUE_LENGTH)) {
                match job {
                    Job::Append(more) => {
                        batch.records.extend(more.records);
                        batch.blobs.extend(more.blobs);
                        batches += 1;
                    }
                    Job::Blobs { change, waiter } => {
                        match change {
                            Change::Store(blobs) => batch.blobs.extend(blobs),
                            Change::Pin(digests) => upkeep.pinned.extend(digests),
                            Change::Remove(digests) => upkeep.removed.extend(digests),
                        }
                        waiting.push(waiter);
                    }
                    Job::Close => open = false,
                }
            }
            if batches == 0 && waiting.is_empty() {
                continue;
            }
            if !self.write(&batch, &upkeep, batches, waiting) {
                self.refuse();
                return;
            }
        }
        // Leaves a ledger of one file behind; recovery does not need it.
        let _ = self.connection.pragma_update(None, "wal_checkpoint", "TRUNCATE");
    }

    /// After a failure: refuses whatever comes, until the ledger is closed. The connection stays open until
    /// then, so that nobody who reads has to recover the file and finds what was never acknowledged.
    fn refuse(self) {
        // A checkpoint would sync what failed to.
        let kept = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        if let Err(error) = kept {
            tracing::warn!(error = &error as &dyn std::error::Error, "the ledger may be synced as it closes");
        }
        while let Ok(job) = self.queue.recv() {
            match job {
                Job::Append(_) => {}
                Job::Blobs { waiter, .. } => {
                    let _ = waiter.done.send(Err(Error::WriterEnded));
                }
                Job::Close => return,
            }
        }
    }

    /// Commits and publishes. False: nothing more may be written.
    fn write(&mut self, batch: &Batch, upkeep: &Upkeep, batches: u64, waiting: Vec<Waiter>) -> bool {
        match commit(&mut self.connection, self.head, batch, upkeep) {
            Ok(head) => {
                self.head = head;
                #[cfg(debug_assertions)]
                crate::failpoint::reach(crate::failpoint::Side::After, kinds(batch));
                self.publish.send_modify(|durable| {
                    durable.seq = head.seq;
                    durable.batches += batches;
                });
                for waiter in waiting {
                    let _ = waiter.done.send(Ok(()));
                }
                true
            }
            // Blobs that found the disk full were refused before anything was promised.
            Err(error) if batches == 0 && error.is_full() => {
                tracing::error!(error = &error as &dyn std::error::Error, "blobs were not stored");
                for waiter in waiting {
                    let _ = waiter.done.send(Err(Error::Full));
                }
                true
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "THE LEDGER COULD NOT BE WRITTEN; nothing more is acknowledged"
                );
                let failure = Some(Arc::new(error));
                self.publish.send_modify(|durable| durable.failure = failure);
                false
            }
        }
    }
}

#[cfg(debug_assertions)]
fn kinds(batch: &Batch) -> impl Iterator<Item = &str> {
    batch.records.iter().map(|record| record.body.kind())
}

/// One transaction: blobs, then the records that may name them.
fn commit(
    connection: &mut Connection,
    mut head: Head,
    batch: &Batch,
    upkeep: &Upkeep,
) -> Result<Head, Error> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(Error::sqlite("begin a transaction"))?;
    keep_up(&transaction, upkeep)?;
    insert_blobs(&transaction, &batch.blobs)?;
    {
        let statement =
            format!("INSERT INTO records ({COLUMNS}) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11)");
        let mut insert = transaction.prepare_cached(&statement).map_err(Error::sqlite("append a record"))?;
        for record in &batch.records {
            if record.seq != head.seq + 1 {
                return Err(Error::OutOfOrder { expected: head.seq + 1, found: record.seq });
            }
            let row = Row::of(record, head.hash);
            insert
                .execute(params![
                    row.seq.cast_signed(),
                    row.campaign,
                    row.iteration,
                    row.attempt,
                    row.lever,
                    row.request,
                    row.wall_ms,
                    row.kind,
                    row.body,
                    row.prev.0,
                    row.hash.0,
                ])
                .map_err(Error::sqlite("append a record"))?;
            head = Head { seq: row.seq, hash: row.hash };
        }
    }
    #[cfg(debug_assertions)]
    crate::failpoint::reach(crate::failpoint::Side::Before, kinds(batch));
    transaction.commit().map_err(Error::sqlite("commit"))?;
    Ok(head)
}

fn keep_up(transaction: &Transaction<'_>, upkeep: &Upkeep) -> Result<(), Error> {
    let mut remove = transaction
        .prepare_cached("DELETE FROM blobs WHERE hash = ?1")
        .map_err(Error::sqlite("remove a blob"))?;
    for digest in &upkeep.removed {
        remove.execute([digest.hash.0]).map_err(Error::sqlite("remove a blob"))?;
    }
    let mut pin = transaction
        .prepare_cached("UPDATE blobs SET pinned_ms = ?2 WHERE hash = ?1")
        .map_err(Error::sqlite("pin a blob"))?;
    for digest in &upkeep.pinned {
        pin.execute(params![digest.hash.0, now_ms()]).map_err(Error::sqlite("pin a blob"))?;
    }
    Ok(())
}

fn insert_blobs(transaction: &Transaction<'_>, blobs: &[Blob]) -> Result<(), Error> {
    let now_ms = now_ms();
    let renew_after_ms = i64::try_from(RENEW_AFTER.as_millis()).unwrap_or(i64::MAX);
    let mut insert = transaction
        .prepare_cached(
            "INSERT INTO blobs (hash, size, data, pinned_ms) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (hash) DO UPDATE SET pinned_ms = excluded.pinned_ms WHERE excluded.pinned_ms - pinned_ms > ?5",
        )
        .map_err(Error::sqlite("store a blob"))?;
    for Blob { digest, bytes } in blobs {
        insert
            .execute(params![
                digest.hash.0,
                digest.size_bytes.cast_signed(),
                bytes.as_ref(),
                now_ms,
                renew_after_ms
            ])
            .map_err(Error::sqlite("store a blob"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::{Context, Poll, Waker};

    #[tokio::test]
    async fn uploads_that_are_cancelled_leave_room_for_the_next_batch() {
        let (writer, _stalled) = Writer::stalled();
        let blobs = writer.blob_writer();
        let bytes = Bytes::from_static(b"small");
        for upload in 0..4 * QUEUE_LENGTH {
            let blob = Blob { digest: Digest::of(&bytes), bytes: bytes.clone() };
            let mut store = Box::pin(blobs.store(vec![blob]));
            let polled = store.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(polled, Poll::Pending), "upload {upload} must wait: {polled:?}");
        }
        writer.append(Batch::default()).expect("the driver's place is kept");
    }
}
