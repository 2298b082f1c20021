//! A coordinator and a worker on one machine, supervised: what `up` and `demo` stand on.

use super::role::{Plan, Role, was_cut_down};
use super::signals::Request;
use crate::client::Client;
use crate::command::workers;
use crate::error::Error;
use crate::session::Session;
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// How long a coordinator may take to replay its ledger, and a worker to be known.
const READY_MAX: Duration = Duration::from_secs(120);
/// Between two looks whether they are ready.
const LOOK_PAUSE: Duration = Duration::from_millis(20);
/// How long a worker may take to end its runs: SIGTERM, then the kill, then a word to the coordinator.
const WORKER_PATIENCE: Duration = Duration::from_secs(20);
/// How long a coordinator may take to finish its batch.
const COORDINATOR_PATIENCE: Duration = Duration::from_secs(10);
/// The first and the longest pause before a child is started again; doubled in between.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// A child that lived this long has earned a fresh backoff.
const LIVED: Duration = Duration::from_secs(60);
/// Restarts in a row without living that long, after which the pair gives up.
const RESTARTS_MAX: u32 = 12;

/// The two, or those of them that run.
#[derive(Debug)]
pub struct Pair {
    coordinator: Slot,
    worker: Slot,
}

#[derive(Debug)]
struct Slot {
    plan: Plan,
    running: Option<Role>,
    started: Instant,
    restarts: u32,
}

impl Pair {
    /// Nothing runs yet.
    pub fn new(coordinator: Plan, worker: Plan) -> Self {
        Self { coordinator: Slot::new(coordinator), worker: Slot::new(worker) }
    }

    /// Starts both; answers when the coordinator serves and knows the worker. `session` is at their
    /// data folder. Whatever is running when this is dropped is ended by [`Pair::stop`].
    pub async fn start(&mut self, session: &Session) -> Result<(), Error> {
        if Client::connect(session).await.is_ok() {
            return Err(Error::AlreadyRunning { data_dir: session.data_dir.clone() });
        }
        self.coordinator.start()?;
        self.coordinator
            .until("coordinator", async || {
                workers::list(&Client::connect(session).await?).await.map(|_| true)
            })
            .await?;
        self.worker.start()?;
        self.worker
            .until("worker", async || {
                let known = workers::list(&Client::connect(session).await?).await?;
                Ok(known.iter().any(|worker| worker.state == "ready"))
            })
            .await
    }

    /// Starts again what was cut down; resolves only when one of them has ended for good. May be dropped
    /// and called again.
    pub async fn supervise(&mut self) -> Error {
        loop {
            let outcome = tokio::select! {
                outcome = self.coordinator.until_cut_down() => outcome,
                outcome = self.worker.until_cut_down() => outcome,
            };
            if let Err(problem) = outcome {
                return problem;
            }
        }
    }

    /// Ends both, the worker first, so that its last word is still heard.
    pub async fn stop(&mut self, request: Request) {
        let signal = match request {
            Request::EndRuns => Signal::INT,
            Request::LeaveRuns => Signal::TERM,
        };
        if let Some(worker) = self.worker.running.take() {
            worker.stop(signal, WORKER_PATIENCE).await;
        }
        if let Some(coordinator) = self.coordinator.running.take() {
            coordinator.stop(Signal::TERM, COORDINATOR_PATIENCE).await;
        }
    }
}

impl Slot {
    fn new(plan: Plan) -> Self {
        Self { plan, running: None, started: Instant::now(), restarts: 0 }
    }

    fn start(&mut self) -> Result<(), Error> {
        self.running = Some(self.plan.start()?);
        self.started = Instant::now();
        Ok(())
    }

    /// Waits until `ready`, or until the child has ended or taken too long.
    async fn until(
        &mut self,
        name: &'static str,
        ready: impl AsyncFn() -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let Some(role) = &mut self.running else { return Ok(()) };
        let looking = async {
            while !ready().await.unwrap_or(false) {
                tokio::time::sleep(LOOK_PAUSE).await;
            }
        };
        let ended = tokio::select! {
            looked = tokio::time::timeout(READY_MAX, looking) => {
                return looked.map_err(|_| Error::NotReady { role: name, limit_s: READY_MAX.as_secs() });
            }
            ended = role.ended() => ended?,
        };
        let problem = role.epitaph(ended);
        self.running = None;
        Err(problem)
    }

    /// Waits for the child's end and starts it again; an error when it ended by its own decision, or
    /// too often.
    async fn until_cut_down(&mut self) -> Result<(), Error> {
        if let Some(role) = &mut self.running {
            let status = role.ended().await?;
            let problem = role.epitaph(status);
            if self.started.elapsed() > LIVED {
                self.restarts = 0;
            }
            self.running = None;
            if !was_cut_down(status) || self.restarts >= RESTARTS_MAX {
                return Err(problem);
            }
        }
        tokio::time::sleep((BACKOFF.0 * 2u32.pow(self.restarts.min(10))).min(BACKOFF.1)).await;
        self.restarts += 1;
        self.start()
    }
}
