//! What preparing and collecting work with: the work folder, the blobs, the way to the coordinator.

use crate::blobs::Cache;
use crate::client::Client;
use crate::error::Error;
use crate::sandbox::Ground;
use crate::spool::WorkDir;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The first wait after a failed call; doubled up to [`BACKOFF_MAX`].
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
/// The longest wait between two tries.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// Distinct problems of one call that are said.
const SAID_MAX: usize = 20;

/// Shared by all attempts of a worker; cheap to clone.
#[derive(Clone, Debug)]
pub struct Shop {
    /// The work folder.
    pub work: Arc<WorkDir>,
    /// The blob cache.
    pub cache: Arc<Cache>,
    /// The coordinator.
    pub client: Client,
    /// What the machine can do around a run.
    pub ground: Arc<Ground>,
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
    let mut said = BTreeSet::new();
    loop {
        match call().await {
            Err(error) if error.is_transient() => {
                let problem = error.chain();
                // Each is said once, not at every try.
                if said.len() < SAID_MAX && said.insert(problem.clone()) {
                    tracing::warn!(problem, "a call does not get through; trying on");
                }
                match patience {
                    Patience::For(time) if began.elapsed() > time => return Err(error),
                    _ => backoff.wait().await,
                }
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::{Code, Status};

    /// Tries a call that fails `codes` one after the other and then works; how often it was made.
    async fn tries(codes: &[Code]) -> (bool, usize) {
        let mut made = 0;
        let done = persist(Patience::Endless, || {
            made += 1;
            let answer = codes.get(made - 1).map_or(Ok(()), |&code| Err(Status::new(code, "no")));
            std::future::ready(answer.map_err(Error::call("ArtifactService.Write")))
        });
        let worked = done.await.is_ok();
        (worked, made)
    }

    #[tokio::test]
    async fn a_full_disk_of_the_coordinator_is_waited_out_and_a_refusal_is_not() {
        assert_eq!(tries(&[Code::ResourceExhausted, Code::Unavailable]).await, (true, 3));
        assert_eq!(tries(&[Code::InvalidArgument]).await, (false, 1));
    }
}
