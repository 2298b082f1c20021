//! The one loop: it takes an event, has the engine decide, applies at once, and lets nothing leave before
//! it is durable. It judges nothing. Every task of the coordinator is spawned here.

mod call;
mod clock;
mod event;
mod frozen;
mod gather;
mod handle;
mod hanging;
mod outbox;
mod query;
mod report;
mod stores;
mod tasks;
mod told;

pub(crate) use event::{Asked, Call, Event, Intent};
pub(crate) use frozen::Frozen;
pub(crate) use handle::{Gone, Handle};
pub(crate) use query::{Pages, Query, Standing};
pub(crate) use stores::Stores;
use tasks::caught;
pub(crate) use tasks::{Tasks, among_tasks, blocking};

use crate::blobs;
use crate::ledger::{self, Batch, Durable, Writer};
use clock::Clock;
use gather::{Finding, Gathered};
use hanging::Hanging;
use outbox::Outbox;
use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;
use windlass_engine::core::{Command, Core, Input, Observation};
use windlass_engine::gate::facts::Wanted;
use windlass_shared::attempt::AttemptKey;
use windlass_shared::digest::Digest;
use windlass_shared::id::{CampaignId, Incarnation};
use windlass_shared::record::Record;
use windlass_shared::refusal::Refusal;
use windlass_shared::space::Space;
use windlass_shared::time::Time;

/// Events that may wait: callers beyond that wait in their own connection.
const EVENTS_MAX: usize = 1024;
/// Records in the batch that gathers while another is written; then the loop takes no more events.
const BATCH_MAX_RECORDS: usize = 4096;
/// Answers that may wait for the disk; then the loop takes no more events.
const OUTBOX_MAX: usize = 16_384;
/// Rounds of internal commands after one event: a bound on what a fault in the core could spin.
const ROUNDS_MAX: usize = 100_000;

/// A loop that cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The ledger could not be written. Nothing was acknowledged that is not in it.
    #[error("the ledger could not be written")]
    Ledger(#[source] Arc<ledger::Error>),
    /// The ledger's writer has ended.
    #[error("the ledger's writer ended")]
    Writer(#[source] ledger::Error),
    /// The store of blobs could not be asked.
    #[error("failed to look blobs up")]
    Blobs(#[source] Box<blobs::Error>),
    /// The engine refused to start.
    #[error("failed to start a new incarnation")]
    Start(#[source] Refusal),
}

/// Why the loop has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It was asked to.
    Asked,
    /// Its ledger found no room, and there is room again: it is to be opened anew.
    ForRoom,
}

/// The loop's state.
pub(crate) struct Driver {
    core: Core,
    clock: Clock,
    writer: Writer,
    stores: Stores,
    durable: watch::Receiver<Durable>,
    moved: watch::Sender<u64>,
    /// Set once the ledger could not be written: then everything is only read.
    frozen: watch::Sender<Option<Frozen>>,
    /// The disk of the data folder.
    space: watch::Receiver<Space>,
    events: mpsc::Receiver<Event>,
    /// Keeps the queue open for gatherers.
    sender: mpsc::Sender<Event>,
    tasks: Tasks,
    batch: Batch,
    /// Batches handed to the writer since the start.
    handed_over: u64,
    /// When the last of them was, and how many records it had; until it is durable.
    handed_over_at: Option<(Instant, u64)>,
    /// Small blobs of the batch that is being written.
    writing: Vec<Digest>,
    outbox: Outbox,
    hanging: Hanging,
    /// Attempts whose ends could not be recorded for want of a blob; each was logged once.
    without_blobs: BTreeSet<AttemptKey>,
}

impl Driver {
    /// A loop over a core that has replayed the ledger.
    pub fn new(
        core: Core,
        writer: Writer,
        stores: Stores,
        tasks: Tasks,
        mut space: watch::Receiver<Space>,
    ) -> (Self, Handle) {
        // What is known at the start is news to the core.
        space.mark_changed();
        let (frozen, freezes) = watch::channel(None);
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let (moved, moves) = watch::channel(0);
        let durable = writer.durable();
        let handle = Handle {
            events: sender.clone(),
            durable: durable.clone(),
            moved: moves,
            frozen: freezes,
            space: space.clone(),
            stores: stores.clone(),
            tasks: tasks.clone(),
        };
        let hanging = Hanging::new(core.soft().fleet().lease_period_ms());
        let driver = Self {
            core,
            clock: Clock::start(),
            writer,
            stores,
            durable,
            moved,
            frozen,
            space,
            events,
            sender,
            tasks,
            batch: Batch::default(),
            handed_over: 0,
            handed_over_at: None,
            writing: Vec::new(),
            outbox: Outbox::default(),
            hanging,
            without_blobs: BTreeSet::new(),
        };
        (driver, handle)
    }

    /// Records a new incarnation (I15) and waits until it is durable.
    pub async fn begin(&mut self) -> Result<Incarnation, Error> {
        let incarnation = draw_incarnation();
        let start = Input::Start { incarnation, version: env!("CARGO_PKG_VERSION").to_owned() };
        let records = self.core.decide(self.clock.now(), start).map_err(Error::Start)?;
        self.apply(records);
        for (campaign, names) in self.stores.secrets.names() {
            self.observe(self.clock.now(), Observation::Secrets(campaign, names));
        }
        match self.drain().await {
            // On a disk that is full nothing begins; what is there can be read all the same.
            Err(Error::Ledger(failure)) => self.freeze(failure).await?,
            drained => drained?,
        }
        Ok(incarnation)
    }

    /// Runs until shutdown, or until the ledger is to be opened anew. A ledger that fails ends all writing,
    /// and reads go on.
    pub async fn run(mut self) -> Result<Ended, Error> {
        let mut ended = Ended::Asked;
        loop {
            let event = self.next().await;
            let refusal = self.frozen.borrow().as_ref().map(|frozen| frozen.refusal.clone());
            match (event, refusal) {
                (Event::Shutdown, _) => break,
                (event, Some(refusal)) => {
                    let has_looked = matches!(event, Event::Space);
                    self.handle_frozen(self.clock.now(), event, &refusal);
                    self.outbox.release(self.durable.borrow().seq);
                    if has_looked && self.may_reopen() {
                        ended = Ended::ForRoom;
                        break;
                    }
                    continue;
                }
                (Event::Durable(Durable { failure: Some(failure), .. }), None) => {
                    self.freeze(failure).await?;
                    continue;
                }
                (event, None) => self.handle(event)?,
            }
            self.pursue()?;
            self.hand_over()?;
            self.outbox.release(self.durable.borrow().seq);
        }
        self.hanging.clear();
        let is_frozen = self.frozen.borrow().is_some();
        let done = if is_frozen { Ok(()) } else { self.drain().await };
        // Closing the ledger waits for its thread.
        let writer = self.writer;
        blocking(move || drop(writer)).await;
        done.map(|()| ended)
    }

    /// The next event, whichever it is.
    async fn next(&mut self) -> Event {
        let is_frozen = self.frozen.borrow().is_some();
        let wake = [self.core.next_wake(), self.hanging.next_deadline_ms()].into_iter().flatten().min();
        let clock = self.clock;
        let timer = async move {
            match wake {
                Some(mono_ms) if !is_frozen => tokio::time::sleep_until(clock.instant(mono_ms)).await,
                _ => std::future::pending().await,
            }
        };
        let has_room = self.batch.records.len() < BATCH_MAX_RECORDS && self.outbox.len() < OUTBOX_MAX;
        tokio::select! {
            biased;
            () = self.tasks.shutdown.cancelled() => Event::Shutdown,
            changed = self.durable.changed() => match changed {
                Ok(()) => Event::Durable(self.durable.borrow().clone()),
                Err(_) => Event::WriterEnded,
            },
            Ok(()) = self.space.changed() => Event::Space,
            Some(event) = self.events.recv(), if has_room => event,
            () = timer => Event::Wake,
        }
    }

    fn handle(&mut self, event: Event) -> Result<(), Error> {
        let now = self.clock.now();
        match event {
            Event::Call(call) => self.call(now, call)?,
            Event::CallGathered { call, gathered } => self.call_gathered(now, call, gathered)?,
            Event::Query(query) => query.answer(&self.core, now, &mut self.outbox),
            Event::Claim { access, name, claim, span_ms, intent, reply } => {
                let answer = self.claim(now, &access, &name, claim, span_ms, intent);
                self.outbox.push(self.core.durable().seq, reply, answer);
            }
            Event::SecretsGiven { campaign, names, reply } => {
                self.observe(now, Observation::Secrets(campaign, names));
                self.outbox.push(self.core.durable().seq, reply, Ok(()));
            }
            Event::Report { report, parcels, came, reply } => {
                self.report(now, *report, parcels, reply)?;
                self.stores.metrics.synced(came.elapsed());
            }
            Event::HungUp { worker, session, number } => {
                if self.hanging.hung_up(&worker, &session, number) {
                    self.observe(now, Observation::Disconnected(worker));
                }
            }
            Event::Gathered(gathered) => {
                if let Finding::Seen(seen) = self.keep(gathered) {
                    self.observe(now, *seen);
                }
            }
            Event::Durable(durable) => self.settle(durable)?,
            Event::Space => self.note_room(now),
            Event::WriterEnded => return Err(Error::Writer(ledger::Error::WriterEnded)),
            Event::Wake => self.answer_overdue(now),
            Event::Shutdown => {}
        }
        Ok(())
    }

    fn observe(&mut self, now: Time, seen: Observation) {
        self.core.observe(now, seen);
        self.moved.send_modify(|moves| *moves += 1);
    }

    /// Shows gathered small blobs to readers and puts them into the batch.
    fn keep(&mut self, gathered: Gathered) -> Finding {
        self.stores.blobs.hold(&gathered.blobs);
        self.batch.blobs.extend(gathered.blobs);
        gathered.finding
    }

    /// Applies records at once and puts them into the batch: the next input sees their effect.
    fn apply(&mut self, records: Vec<Record>) {
        told::tell(&self.core, &records);
        for record in &records {
            self.core.apply(record);
        }
        self.stores.metrics.note(&records);
        self.batch.records.extend(records);
    }

    /// Carries out what the core wants, until it wants nothing more at this moment.
    fn pursue(&mut self) -> Result<(), Error> {
        for _ in 0..ROUNDS_MAX {
            let now = self.clock.now();
            let mut fed_back = false;
            for command in self.core.wants(now) {
                match command {
                    Command::Step(campaign) => fed_back |= self.feed_back(now, Input::Step(campaign))?,
                    Command::Lose(worker) => fed_back |= self.feed_back(now, Input::Lose(worker))?,
                    Command::Gather(wanted) => self.gather(wanted),
                    Command::Answer(worker, answer) => {
                        if let Some(reply) = self.hanging.take(&worker, &answer) {
                            self.outbox.push(self.core.durable().seq, reply, Ok(answer));
                        }
                    }
                }
            }
            if !fed_back {
                return Ok(());
            }
        }
        tracing::error!("the core did not come to rest; it is asked again at the next event");
        Ok(())
    }

    /// Decides an internal input. False: nothing has come of it. A campaign whose step cannot be taken
    /// rests, so that the others have their turn.
    fn feed_back(&mut self, now: Time, input: Input) -> Result<bool, Error> {
        let campaign = match &input {
            Input::Step(campaign) => Some(campaign.clone()),
            _ => None,
        };
        let records = match self.core.decide(now, input) {
            Ok(records) => records,
            Err(refusal) => {
                tracing::error!(%refusal, ?campaign, "the core refused its own step");
                return Ok(self.rest(now, campaign));
            }
        };
        if let Some(digest) = self.absent_blob(&records)? {
            tracing::error!(%digest, ?campaign, "a step names a blob that is not in the store; it is not taken");
            return Ok(self.rest(now, campaign));
        }
        let any = !records.is_empty();
        self.apply(records);
        Ok(any)
    }

    fn rest(&mut self, now: Time, campaign: Option<CampaignId>) -> bool {
        let rests = campaign.is_some();
        if let Some(campaign) = campaign {
            self.observe(now, Observation::StepFailed(campaign));
        }
        rests
    }

    fn gather(&mut self, wanted: Wanted) {
        let stores = self.stores.clone();
        let key = wanted.key();
        self.send_later(async move {
            let gathered = caught(gather::wanted(stores, wanted)).await;
            Event::Gathered(gathered.unwrap_or_else(|_| Gathered::failed(key)))
        });
    }

    /// Runs a task whose outcome is an event.
    fn send_later(&self, task: impl Future<Output = Event> + Send + 'static) {
        let sender = self.sender.clone();
        let shutdown = self.tasks.shutdown.clone();
        self.tasks.start(async move {
            tokio::select! {
                event = task => { let _ = sender.send(event).await; }
                () = shutdown.cancelled() => {}
            }
        });
    }

    /// Ends the reports that have hung long enough, news or not.
    fn answer_overdue(&mut self, now: Time) {
        for worker in self.hanging.due(now.mono_ms) {
            match self.core.answer_now(&worker) {
                Some(answer) => {
                    if let Some(reply) = self.hanging.take(&worker, &answer) {
                        self.outbox.push(self.core.durable().seq, reply, Ok(answer));
                    }
                    self.hanging.end(&worker);
                }
                None => self.hanging.end(&worker),
            }
        }
    }

    /// Gives the writer the next batch, unless it still has one.
    fn hand_over(&mut self) -> Result<(), Error> {
        let is_writing = self.durable.borrow().batches < self.handed_over;
        if is_writing || (self.batch.records.is_empty() && self.batch.blobs.is_empty()) {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.batch);
        // Written, though its word may not have been taken note of yet.
        self.stores.blobs.release(&self.writing);
        self.writing = batch.blobs.iter().map(|blob| blob.digest).collect();
        self.handed_over += 1;
        self.handed_over_at = Some((Instant::now(), batch.records.len() as u64));
        self.writer.append(batch).map_err(Error::Writer)
    }

    /// Takes note of the writer's word.
    fn settle(&mut self, durable: Durable) -> Result<(), Error> {
        if let Some(failure) = durable.failure {
            return Err(Error::Ledger(failure));
        }
        if durable.batches == self.handed_over {
            if let Some((since, records)) = self.handed_over_at.take() {
                self.stores.metrics.committed(records, since.elapsed());
            }
            let written = std::mem::take(&mut self.writing);
            // A later batch may bring the same blob again; it is on disk by now.
            self.stores.blobs.release(&written);
            if self.batch.records.is_empty() {
                // All that the core knows is durable: what is stopped now stays so.
                let core = &self.core;
                let is_stopped = |id: &CampaignId| core.campaign(id).map_or(true, |it| it.is_stopped());
                self.stores.secrets.forget_where(is_stopped);
            }
        }
        Ok(())
    }

    /// Hands over and waits until everything decided is durable and has left.
    async fn drain(&mut self) -> Result<(), Error> {
        loop {
            self.hand_over()?;
            let durable = self.durable.borrow_and_update().clone();
            let is_written = durable.batches == self.handed_over;
            self.settle(durable)?;
            self.outbox.release(self.durable.borrow().seq);
            if is_written && self.batch.records.is_empty() && self.batch.blobs.is_empty() {
                return Ok(());
            }
            if !is_written && self.durable.changed().await.is_err() {
                return Err(Error::Writer(ledger::Error::WriterEnded));
            }
        }
    }
}

/// 64 random bits; 0 means "none" on the wire.
fn draw_incarnation() -> Incarnation {
    let (high, low) = Uuid::new_v4().as_u64_pair();
    Incarnation((high ^ low.rotate_left(1)).max(1))
}

#[cfg(test)]
mod tests;
