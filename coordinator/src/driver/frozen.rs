//! When the ledger cannot be written: acknowledgement stops, what was applied and never became durable is
//! taken back, every change is refused with the reason, and reads go on (I17). A sync is never tried again;
//! a disk that was full is left for a fresh start once there is room.

use super::event::Event;
use super::{Driver, Error, blocking};
use crate::ledger::{self, Readers};
use std::path::Path;
use std::sync::Arc;
use windlass_engine::core::{Core, Observation};
use windlass_shared::refusal::Refusal;
use windlass_shared::time::Time;

/// Records read at once while the core goes back: some MiB.
const PAGE_RECORDS: u32 = 4096;
/// How much more room than at the failure there must be before the ledger is opened anew: without that a
/// disk whose figures lie would have it opened again and again.
const ROOM_MIN_BYTES: u64 = 1 << 20;

/// Why nothing is written any more.
#[derive(Clone, Debug)]
pub(crate) struct Frozen {
    /// What every change is refused with.
    pub refusal: Refusal,
    /// With this much free the ledger is opened anew; none waits for a person.
    pub(super) reopens_at_bytes: Option<u64>,
}

impl Driver {
    /// Stops all writing at once, and goes back to what is durable.
    pub(super) async fn freeze(&mut self, failure: Arc<ledger::Error>) -> Result<(), Error> {
        let waits_for_room = failure.is_full();
        let refusal = Refusal::ReadOnly { problem: told(&failure), waits_for_room };
        tracing::error!(
            problem = told(&failure),
            "THE COORDINATOR ONLY READS from here on; nothing is acknowledged"
        );
        let space = self.space.borrow().clone();
        // What was seen last may be a second old, and from before it was full.
        let free_bytes = crate::space::free_bytes(Path::new(&space.folder)).unwrap_or(space.free_bytes);
        let enough_bytes = space.stop_bytes.max(free_bytes.saturating_add(ROOM_MIN_BYTES));
        let reopens_at_bytes = waits_for_room.then_some(enough_bytes);
        let frozen = Frozen { refusal: refusal.clone(), reopens_at_bytes };
        // Whoever writes blobs or logs is told before anything else.
        self.frozen.send_replace(Some(frozen));
        self.outbox.release(self.durable.borrow().seq);
        self.outbox.refuse(&refusal);
        self.hanging.refuse(&refusal);
        let unwritten = std::mem::take(&mut self.batch);
        let unwritten = unwritten.blobs.iter().map(|blob| blob.digest);
        self.writing.extend(unwritten);
        self.stores.blobs.release(&std::mem::take(&mut self.writing));
        let readers = self.stores.readers.clone();
        let durable =
            blocking(move || fold(&readers)).await.map_err(|error| Error::Ledger(Arc::new(error)))?;
        let seen = std::mem::take(&mut self.core);
        self.core = durable.with_soft_of(seen);
        self.moved.send_modify(|moves| *moves += 1);
        Ok(())
    }

    /// Takes an event while nothing is written: reads are answered, changes refused.
    pub(super) fn handle_frozen(&mut self, now: Time, event: Event, refusal: &Refusal) {
        match event {
            Event::Call(call) | Event::CallGathered { call, .. } => {
                // What was answered before it failed is in the ledger, and its answer stands (I4).
                let known = self.answered(now, &call.request).and_then(Result::ok);
                let _ = call.reply.send(known.ok_or_else(|| refusal.clone()));
            }
            Event::Query(query) => match query.reads() {
                Ok(query) => query.answer(&self.core, now, &mut self.outbox),
                Err(refuse) => refuse(refusal.clone()),
            },
            Event::Report { reply, .. } => {
                let _ = reply.send(Err(refusal.clone()));
            }
            Event::SecretsGiven { reply, .. } => {
                let _ = reply.send(Err(refusal.clone()));
            }
            Event::Claim { reply, .. } => {
                let _ = reply.send(Err(refusal.clone()));
            }
            Event::HungUp { .. }
            | Event::Gathered(_)
            | Event::Durable(_)
            | Event::WriterEnded
            | Event::Space
            | Event::Wake
            | Event::Shutdown => {}
        }
    }

    /// Whether there is room again for a ledger that found none. It looks for itself: what was seen last may
    /// be from before the disk was full.
    pub(super) fn may_reopen(&self) -> bool {
        let frozen = self.frozen.borrow();
        let at_bytes = frozen.as_ref().and_then(|frozen| frozen.reopens_at_bytes);
        at_bytes.is_some_and(|at_bytes| {
            let space = self.space.borrow();
            crate::space::free_bytes(Path::new(&space.folder)).is_ok_and(|free_bytes| free_bytes >= at_bytes)
        })
    }

    /// Tells the core whether the disk has room; without it nothing new is leased.
    pub(super) fn note_room(&mut self, now: Time) {
        let space = self.space.borrow_and_update().clone();
        let room = space.admit().map_err(|_| space.notice().unwrap_or_default());
        self.observe(now, Observation::Room(room));
    }
}

/// The failure and its causes, in one line.
fn told(failure: &ledger::Error) -> String {
    let mut text = failure.to_string();
    let mut cause = std::error::Error::source(failure);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// The fold of what is durable.
fn fold(readers: &Readers) -> Result<Core, ledger::Error> {
    let mut core = Core::new();
    loop {
        let page = readers.after(None, core.durable().seq, PAGE_RECORDS)?;
        if page.is_empty() {
            return Ok(core);
        }
        for record in &page {
            core.apply(record);
        }
    }
}
