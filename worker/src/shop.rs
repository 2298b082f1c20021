//! What preparing and collecting work with: the work folder, the blobs, the way to the coordinator.

use crate::blobs::Cache;
use crate::client::Client;
use crate::error::Error;
use crate::spool::WorkDir;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The first wait after a failed call; doubled up to [`BACKOFF_MAX`].
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
/// The longest wait between two tries.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// Shared by all attempts of a worker; cheap to clone.
#[derive(Clone, Debug)]
pub struct Shop {
    /// The work folder.
    pub work: Arc<WorkDir>,
    /// The blob cache.
    pub cache: Arc<Cache>,
    /// The coordinator.
    pub client: Client,
}

/// How long a call is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Until this long after the first try.
    For(Duration),
    /// Until it works or is refused.
    Endless,
}

/// Waits between tries: 100 ms, doubling to 5 s.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: BACKOFF_FIRST }
    }
}

impl Backoff {
    /// Waits, and longer the next time.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.next).await;
        self.lengthen();
    }

    /// Makes the next wait longer.
    pub fn lengthen(&mut self) {
        self.next = (self.next * 2).min(BACKOFF_MAX);
    }
}

/// Tries `call` until it works, is refused, or patience ends; only what is worth a retry is retried.
pub async fn persist<T, F: Future<Output = Result<T, Error>>>(
    patience: Patience,
    mut call: impl FnMut() -> F,
) -> Result<T, Error> {
    let began = Instant::now();
    let mut backoff = Backoff::default();
    loop {
        match call().await {
            Err(error) if error.is_transient() => match patience {
                Patience::For(time) if began.elapsed() > time => return Err(error),
                _ => backoff.wait().await,
            },
            result => return result,
        }
    }
}
