//! The one loop: it takes an event, has the engine decide, applies at once, and lets nothing leave before
//! it is durable. It judges nothing. Every task of the coordinator is spawned here.

mod clock;
mod event;
mod gather;
mod hanging;
mod outbox;
mod query;
mod stores;

pub(crate) use event::{Asked, Call, Event};
pub(crate) use query::{Pages, Query};
pub(crate) use stores::Stores;

use crate::blobs;
use crate::ledger::{self, Batch, Durable, Writer};
use clock::Clock;
use gather::{Finding, Gathered};
use hanging::Hanging;
use outbox::Outbox;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;
use windlass_engine::core::{Ask, Command, Core, Input, Observation, RequestKey};
use windlass_engine::gate::facts::Wanted;
use windlass_shared::digest::Digest;
use windlass_shared::id::Incarnation;
use windlass_shared::record::{Answer, Record};
use windlass_shared::refusal::Refusal;
use windlass_shared::session::Report;
use windlass_shared::time::Time;

/// Events that may wait: callers beyond that wait in their own connection.
const EVENTS_MAX: usize = 1024;
/// Records in the batch that gathers while another is written; then the loop takes no more events.
const BATCH_MAX_RECORDS: usize = 4096;
/// Answers that may wait for the disk; then the loop takes no more events.
const OUTBOX_MAX: usize = 16_384;
/// How often a proposal's facts are gathered before its caller is asked to come again.
const GATHER_TIMES_MAX: u32 = 5;
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
    Blobs(#[source] blobs::Error),
    /// The engine refused to start.
    #[error("failed to start a new incarnation")]
    Start(#[source] Refusal),
}

/// Tasks beside the loop: servers, streams, gatherers. Every one is joined at shutdown. Cloning shares
/// them.
#[derive(Clone, Debug)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    shutdown: CancellationToken,
    /// Ends what has not ended within its grace.
    abort: CancellationToken,
}

impl Tasks {
    /// Tasks that end with `shutdown`.
    pub fn new(shutdown: CancellationToken) -> Self {
        Self { tracker: TaskTracker::new(), shutdown, abort: CancellationToken::new() }
    }

    /// Starts a task.
    pub fn start(&self, task: impl Future<Output = ()> + Send + 'static) {
        let abort = self.abort.clone();
        self.tracker.spawn(async move {
            tokio::select! {
                () = task => {}
                () = abort.cancelled() => {}
            }
        });
    }

    /// A stream that `fill` fills; it ends with the caller, with `fill`, or with the coordinator.
    pub fn stream<T, F>(&self, length: usize, fill: impl FnOnce(mpsc::Sender<T>) -> F) -> ReceiverStream<T>
    where
        T: Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let (sender, receiver) = mpsc::channel(length);
        let caller = sender.clone();
        let shutdown = self.shutdown.clone();
        let fill = fill(sender);
        self.tracker.spawn(async move {
            tokio::select! {
                () = fill => {}
                () = caller.closed() => {}
                () = shutdown.cancelled() => {}
            }
        });
        ReceiverStream::new(receiver)
    }

    /// Waits until every task has ended; after `grace` they are ended.
    pub async fn end(&self, grace: Duration) {
        self.tracker.close();
        if tokio::time::timeout(grace, self.tracker.wait()).await.is_err() {
            self.abort.cancel();
            self.tracker.wait().await;
        }
    }
}

/// Runs what blocks for the disk on a thread where that hurts nobody.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(answer) => answer,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// How the outside reaches the loop. Cloning shares it.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    events: mpsc::Sender<Event>,
    /// How far the ledger is durable.
    pub durable: watch::Receiver<Durable>,
    /// Changes whenever the soft state may have moved.
    pub moved: watch::Receiver<u64>,
    /// What lies beside the core.
    pub stores: Stores,
    /// For streams.
    pub tasks: Tasks,
}

/// The coordinator ends; the caller may try again elsewhere or later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the coordinator is shutting down")]
pub(crate) struct Gone;

impl Handle {
    /// Sends an event and awaits its answer.
    pub async fn ask<T>(
        &self,
        event: impl FnOnce(oneshot::Sender<Result<T, Refusal>>) -> Event,
    ) -> Result<Result<T, Refusal>, Gone> {
        let (reply, answer) = oneshot::channel();
        self.events.send(event(reply)).await.map_err(|_| Gone)?;
        answer.await.map_err(|_| Gone)
    }

    /// Sends an event that nobody answers; one that finds the queue full is lost, as a message can be.
    pub fn tell(&self, event: Event) {
        let _ = self.events.try_send(event);
    }
}

/// The loop's state.
pub(crate) struct Driver {
    core: Core,
    clock: Clock,
    writer: Writer,
    stores: Stores,
    durable: watch::Receiver<Durable>,
    moved: watch::Sender<u64>,
    events: mpsc::Receiver<Event>,
    /// Keeps the queue open for gatherers.
    sender: mpsc::Sender<Event>,
    tasks: Tasks,
    batch: Batch,
    /// Batches handed to the writer since the start.
    handed_over: u64,
    /// Small blobs of the batch that is being written.
    writing: Vec<Digest>,
    outbox: Outbox,
    hanging: Hanging,
}

impl Driver {
    /// A loop over a core that has replayed the ledger.
    pub fn new(core: Core, writer: Writer, stores: Stores, tasks: Tasks) -> (Self, Handle) {
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let (moved, moves) = watch::channel(0);
        let durable = writer.durable();
        let handle = Handle {
            events: sender.clone(),
            durable: durable.clone(),
            moved: moves,
            stores: stores.clone(),
            tasks: tasks.clone(),
        };
        let driver = Self {
            core,
            clock: Clock::start(),
            writer,
            stores,
            durable,
            moved,
            events,
            sender,
            tasks,
            batch: Batch::default(),
            handed_over: 0,
            writing: Vec::new(),
            outbox: Outbox::default(),
            hanging: Hanging::default(),
        };
        (driver, handle)
    }

    /// Records a new incarnation (I15) and waits until it is durable.
    pub async fn begin(&mut self) -> Result<Incarnation, Error> {
        let incarnation = draw_incarnation();
        let start = Input::Start { incarnation, version: env!("CARGO_PKG_VERSION").to_owned() };
        let records = self.core.decide(self.clock.now(), start).map_err(Error::Start)?;
        self.apply(records);
        self.drain().await?;
        Ok(incarnation)
    }

    /// Runs until shutdown or until the ledger fails.
    pub async fn run(mut self) -> Result<(), Error> {
        loop {
            match self.next().await {
                Event::Shutdown => break,
                event => self.handle(event)?,
            }
            self.pursue()?;
            self.hand_over()?;
            self.outbox.release(self.durable.borrow().seq);
        }
        self.hanging.clear();
        let done = self.drain().await;
        // Closing the ledger waits for its thread.
        let writer = self.writer;
        blocking(move || drop(writer)).await;
        done
    }

    /// The next event, whichever it is.
    async fn next(&mut self) -> Event {
        let wake = [self.core.next_wake(), self.hanging.next_deadline_ms()].into_iter().flatten().min();
        let clock = self.clock;
        let timer = async move {
            match wake {
                Some(mono_ms) => tokio::time::sleep_until(clock.instant(mono_ms)).await,
                None => std::future::pending().await,
            }
        };
        let has_room = self.batch.records.len() < BATCH_MAX_RECORDS && self.outbox.len() < OUTBOX_MAX;
        tokio::select! {
            biased;
            () = self.tasks.shutdown.cancelled() => Event::Shutdown,
            Ok(()) = self.durable.changed() => Event::Durable(self.durable.borrow().clone()),
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
            Event::Report { report, reply } => self.report(now, *report, reply)?,
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
            Event::Wake => self.answer_overdue(now),
            Event::Shutdown => {}
        }
        Ok(())
    }

    /// A client's change: what it needs is gathered off the loop, then it is decided.
    fn call(&mut self, now: Time, call: Call) -> Result<(), Error> {
        if let Some(answer) = self.answered(now, &call.request) {
            self.outbox.push(self.core.durable().seq, call.reply, answer);
            return Ok(());
        }
        let asked = call.asked.clone();
        let resolve = |name: &str| self.core.resolve_campaign(name);
        let ask = match asked {
            Asked::Create { tree, .. } => {
                self.gather_call(call, move |stores| gather::tree(stores, tree));
                return Ok(());
            }
            Asked::Propose { campaign, lever } => {
                let wanted = resolve(&campaign).and_then(|id| self.core.proposal_wanted(&id, lever));
                match wanted {
                    Ok(wanted) => self.gather_call(call, move |stores| gather::proposal(stores, wanted)),
                    Err(refusal) => self.outbox.push(self.core.durable().seq, call.reply, Err(refusal)),
                }
                return Ok(());
            }
            Asked::Retire { campaign, lever } => {
                resolve(&campaign).map(|campaign| Ask::Retire { campaign, lever })
            }
            Asked::Pause { campaign } => resolve(&campaign).map(Ask::Pause),
            Asked::Resume { campaign } => resolve(&campaign).map(Ask::Resume),
            Asked::Stop { campaign } => resolve(&campaign).map(Ask::Stop),
            Asked::Drain { worker } => self.core.resolve_worker(&worker).map(Ask::Drain),
            Asked::Undrain { worker } => self.core.resolve_worker(&worker).map(Ask::Undrain),
        };
        self.decide_call(now, call, ask)
    }

    /// Whether a request needs no decision: its answer is known (I4), or its key is none.
    fn answered(&self, now: Time, request: &RequestKey) -> Option<Result<Answer, Refusal>> {
        if let Some(answered) = self.core.durable().requests.get(&request.id) {
            let same = answered.body == request.body;
            let reused = || Refusal::RequestReused { id: request.id.0.clone() };
            return Some(if same { Ok(answered.answer.clone()) } else { Err(reused()) });
        }
        let refused = || Err(Refusal::RequestId { id: request.id.0.clone() });
        if is_remembered(&request.id.0, now.wall_ms) { None } else { Some(refused()) }
    }

    fn gather_call<F>(&mut self, mut call: Call, gather: impl FnOnce(Stores) -> F)
    where
        F: Future<Output = Gathered> + Send + 'static,
    {
        call.gathered_times += 1;
        let gathered = gather(self.stores.clone());
        self.send_later(async move { Event::CallGathered { call, gathered: gathered.await } });
    }

    fn call_gathered(&mut self, now: Time, call: Call, gathered: Gathered) -> Result<(), Error> {
        let ask = match (call.asked.clone(), self.keep(gathered)) {
            (Asked::Create { name, bindings, tree }, Finding::Tree(checked)) => {
                checked.map(|()| Ask::Create { name, bindings, tree })
            }
            (Asked::Propose { campaign, lever }, Finding::Proposal(facts)) => {
                self.core.resolve_campaign(&campaign).map(|campaign| Ask::Propose { campaign, lever, facts })
            }
            // No other call gathers anything.
            _ => Err(Refusal::FactsMoved),
        };
        self.decide_call(now, call, ask)
    }

    fn decide_call(&mut self, now: Time, call: Call, ask: Result<Ask, Refusal>) -> Result<(), Error> {
        let request = call.request.clone();
        let decided = ask.and_then(|ask| self.core.decide(now, Input::Client { request, ask }));
        let answer = match decided {
            // The best has moved while the facts were gathered.
            Err(Refusal::FactsMoved) if call.gathered_times < GATHER_TIMES_MAX => {
                return self.call(now, call);
            }
            Err(refusal) => Err(refusal),
            Ok(records) => match self.absent_blob(&records)? {
                Some(digest) => Err(Refusal::AbsentBlob { digest }),
                None => {
                    self.apply(records);
                    Ok(self.core.answered(&call.request))
                }
            },
        };
        self.outbox.push(self.core.durable().seq, call.reply, answer);
        Ok(())
    }

    /// A worker's report: what ended is recorded, then the report is seen, then it hangs.
    fn report(
        &mut self,
        now: Time,
        report: Report,
        reply: oneshot::Sender<Result<windlass_shared::session::Answer, Refusal>>,
    ) -> Result<(), Error> {
        match self.core.decide(now, Input::Report(report.clone())) {
            Err(refusal) => self.outbox.push(self.core.durable().seq, reply, Err(refusal)),
            Ok(records) => match self.absent_blob(&records)? {
                Some(digest) => {
                    self.outbox.push(self.core.durable().seq, reply, Err(Refusal::AbsentBlob { digest }));
                }
                None => {
                    self.apply(records);
                    self.hanging.hang(&report, reply, now.mono_ms);
                    self.observe(now, Observation::Report(report));
                }
            },
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

    /// The first blob that these records name and nobody has (I16).
    fn absent_blob(&self, records: &[Record]) -> Result<Option<Digest>, Error> {
        for digest in records.iter().flat_map(|record| record.body.blobs()) {
            if !self.stores.blobs.contains(digest).map_err(Error::Blobs)? {
                return Ok(Some(digest));
            }
        }
        Ok(None)
    }

    /// Applies records at once and puts them into the batch: the next input sees their effect.
    fn apply(&mut self, records: Vec<Record>) {
        for record in &records {
            self.core.apply(record);
        }
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

    /// Decides an internal input. False: it recorded nothing.
    fn feed_back(&mut self, now: Time, input: Input) -> Result<bool, Error> {
        let records = match self.core.decide(now, input) {
            Ok(records) => records,
            Err(refusal) => {
                tracing::error!(%refusal, "the core refused its own step");
                return Ok(false);
            }
        };
        if let Some(digest) = self.absent_blob(&records)? {
            tracing::error!(%digest, "a step names a blob that is not in the store; it is not taken");
            return Ok(false);
        }
        let any = !records.is_empty();
        self.apply(records);
        Ok(any)
    }

    fn gather(&mut self, wanted: Wanted) {
        let stores = self.stores.clone();
        self.send_later(async move { Event::Gathered(gather::wanted(stores, wanted).await) });
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
        self.writing = batch.blobs.iter().map(|blob| blob.digest).collect();
        self.handed_over += 1;
        self.writer.append(batch).map_err(Error::Writer)
    }

    /// Takes note of the writer's word.
    fn settle(&mut self, durable: Durable) -> Result<(), Error> {
        if let Some(failure) = durable.failure {
            return Err(Error::Ledger(failure));
        }
        if durable.batches == self.handed_over {
            let written = std::mem::take(&mut self.writing);
            // A later batch may bring the same blob again; it is on disk by now.
            self.stores.blobs.release(&written);
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

/// Whether a request id is a UUIDv7 of the days that keys are remembered. A client's clock may be ahead.
fn is_remembered(id: &str, now_wall_ms: i64) -> bool {
    let Ok(uuid) = Uuid::parse_str(id) else { return false };
    let Some(timestamp) = uuid.get_timestamp().filter(|_| uuid.get_version_num() == 7) else { return false };
    let (secs, nanos) = timestamp.to_unix();
    let made_ms = i64::try_from(secs).unwrap_or(i64::MAX).saturating_mul(1000) + i64::from(nanos / 1_000_000);
    now_wall_ms.saturating_sub(made_ms) < windlass_engine::core::REQUEST_MEMORY_MS
}
