//! Upkeep of a running coordinator: what its services and its own timer ask for.

use super::{Error, collect};
use crate::blobs::PIN;
use crate::driver::Handle;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use windlass_shared::upkeep::{Collected, Health};

/// Between two collections that a retention asks for.
const COLLECT_EVERY: Duration = Duration::from_secs(3600);

/// How long what nobody needs any more is kept.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Blobs that no record names, since they were last found or written.
    pub unnamed: Duration,
    /// Logs, since their iteration was decided; none keeps them for ever.
    pub logs: Option<Duration>,
    /// Outputs and artifacts, likewise.
    pub outputs: Option<Duration>,
}

impl Default for Retention {
    fn default() -> Self {
        Self { unnamed: PIN, logs: None, outputs: None }
    }
}

/// What a collection is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    /// Only say what would go.
    pub is_dry: bool,
    /// How long what is kept.
    pub retention: Retention,
}

/// Upkeep of one coordinator. Cloning shares it.
#[derive(Clone, Debug)]
pub(crate) struct Upkeep {
    pub(super) data_dir: PathBuf,
    /// As it was set.
    pub retention: Retention,
    pub(super) handle: Handle,
    /// One collection at a time; the next waits.
    turn: Arc<Mutex<()>>,
}

impl Upkeep {
    /// Of the coordinator that `handle` reaches.
    pub fn new(data_dir: &Path, retention: Retention, handle: Handle) -> Self {
        Self { data_dir: data_dir.to_owned(), retention, handle, turn: Arc::default() }
    }

    /// Removes what nothing names, and evidence whose time is over.
    pub async fn collect(&self, request: Request) -> Result<Collected, collect::Failure> {
        let _turn = self.turn.lock().await;
        collect::collect(self, request).await
    }

    /// Collects by itself where a retention is set.
    pub async fn sweep_regularly(self) {
        if self.retention.logs.is_none() && self.retention.outputs.is_none() {
            return;
        }
        let mut timer = tokio::time::interval_at(tokio::time::Instant::now() + COLLECT_EVERY, COLLECT_EVERY);
        loop {
            timer.tick().await;
            match self.collect(Request { is_dry: false, retention: self.retention }).await {
                Ok(collected) => tracing::info!(?collected, "garbage was collected"),
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "no garbage was collected")
                }
            }
        }
    }

    /// How the coordinator is.
    pub fn health(&self) -> Health {
        let space = self.handle.space.borrow().clone();
        let read_only = self.handle.writes().err().map(|refusal| refusal.to_string());
        Health {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            data_dir: self.data_dir.display().to_string(),
            records: self.handle.durable.borrow().seq,
            free_bytes: space.free_bytes,
            total_bytes: space.total_bytes,
            stop_bytes: space.stop_bytes,
            notice: read_only.clone().or_else(|| space.notice()),
            read_only,
        }
    }
}

/// For messages that name a part of upkeep by its error.
impl From<Error> for collect::Failure {
    fn from(error: Error) -> Self {
        Self::Upkeep(Box::new(error))
    }
}
