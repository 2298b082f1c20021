//! What preparing and collecting work with: the work folder, the blobs, the way to the coordinator.

use crate::blobs::Cache;
use crate::client::Client;
use crate::error::Error;
use crate::parcels::Parcels;
use crate::sandbox::{self, Ground};
use crate::secrets;
use crate::settings::Settings;
use crate::setup::{self, Setups};
use crate::shim::{self, Nursery};
use crate::spool::WorkDir;
use crate::workspace::Trees;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The first wait after a failed call; doubled up to [`BACKOFF_MAX`].
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
/// The longest wait between two tries.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// What a cache may hold on a large disk, 20 GiB.
const CACHE_MAX_BYTES: u64 = 20 << 30;
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
    /// Verified trees that lie ready.
    pub trees: Arc<Trees>,
    /// Setups that are being done.
    pub setups: Arc<Setups>,
    /// What the blob cache and the trees may hold, bytes each.
    pub cache_max_bytes: u64,
    /// Whether this machine mounts overlays for runs.
    pub mounts: bool,
    /// Where shims come from.
    pub nursery: Arc<Nursery>,
    /// Small blobs that travel with reports.
    pub parcels: Arc<Parcels>,
    /// Secrets at hand.
    pub secrets: Arc<secrets::Store>,
    /// What the machine can do around a run.
    pub ground: Arc<Ground>,
    /// Whether the coordinator is there.
    pub reach: Reach,
    /// How long a download may fail while it is.
    pub download_patience: Duration,
}

impl Shop {
    /// Everything that lies in the work folder, opened. Blocks for some milliseconds while a shim tries what
    /// it can mount.
    pub fn open(settings: &Settings, work: WorkDir, client: Client) -> Result<Self, Error> {
        let most_bytes = settings.cache_max_bytes.unwrap_or_else(|| cache_max_bytes(&work));
        let cache = Cache::open(&work.blobs())?.bounded(most_bytes);
        cache.evict()?;
        let trees = Trees::open(&work.trees())?;
        let mounts = !settings.copies
            && match shim::probe_overlay(&settings.exe, &work.probe()) {
                Ok(()) => true,
                Err(reason) => {
                    tracing::info!(reason, "workspaces are copied: no overlay can be mounted here");
                    false
                }
            };
        let secrets_file = settings.secrets_file.clone();
        let secrets_file = secrets_file.unwrap_or_else(|| work.root().join("secrets.env"));
        let mut hidden = settings.hidden.clone();
        hidden.push(work.root().to_owned());
        if !secrets_file.starts_with(work.root()) {
            hidden.push(secrets_file.clone());
        }
        let ground = Ground::new(sandbox::Machine::probe(&settings.exe), hidden);
        Ok(Self {
            ground: Arc::new(ground),
            work: Arc::new(work),
            cache: Arc::new(cache),
            client,
            trees: Arc::new(trees),
            setups: Arc::default(),
            parcels: Arc::default(),
            secrets: Arc::new(secrets::Store::new(secrets_file)),
            mounts,
            nursery: Arc::new(Nursery::new(&settings.exe)),
            reach: Reach::default(),
            download_patience: settings.download_patience,
            cache_max_bytes: most_bytes,
        })
    }

    /// How long a download for an order is tried.
    pub fn patience(&self) -> Patience {
        Patience::WhileThere(self.download_patience, self.reach.clone())
    }

    /// Removes what was forgotten and what is unused; never what is in use. May take long, and is safe
    /// beside everything else.
    pub fn sweep(&self) -> Result<(), Error> {
        self.work.sweep()?;
        self.cache.evict_when_grown()?;
        let used = self.work.used_layers()?;
        self.trees.evict(&used, self.cache_max_bytes)?;
        setup::evict(&self.work, &used)?;
        self.work.drop_unused_caches()
    }
}

/// 20 GiB or a tenth of the disk, whichever is less.
fn cache_max_bytes(work: &WorkDir) -> u64 {
    let disk =
        rustix::fs::statvfs(work.root()).map_or(u64::MAX, |it| it.f_blocks.saturating_mul(it.f_frsize));
    CACHE_MAX_BYTES.min(disk / 10)
}

/// Whether the coordinator answered when it was last asked. Said by the loop alone, of its hanging calls.
#[derive(Clone, Debug, Default)]
pub struct Reach(Arc<AtomicBool>);

impl Reach {
    /// Notes whether it answered.
    pub fn note(&self, answered: bool) {
        self.0.store(answered, Ordering::Relaxed);
    }

    fn is_there(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// How long a call is tried again.
#[derive(Clone, Debug)]
pub enum Patience {
    /// Until it has failed for so long of a coordinator that is there. While that is away nothing is lost by
    /// waiting, and nothing else could be done.
    WhileThere(Duration, Reach),
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
    let (mut failing, mut since) = (Duration::ZERO, Instant::now());
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
                if let Patience::WhileThere(most, reach) = &patience {
                    let passed = since.elapsed();
                    since += passed;
                    if reach.is_there() {
                        failing += passed;
                    }
                    if failing > *most {
                        return Err(error);
                    }
                }
                backoff.wait().await;
            }
            result => return result,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use windlass_shared::attempt::{AttemptKey, Kind, Order};
    use windlass_shared::digest::Digest;
    use windlass_shared::id::{AttemptId, FencingNumber, Incarnation};

    /// An order of which nothing is asked.
    pub(crate) fn order() -> Order {
        Order {
            key: AttemptKey {
                id: AttemptId::parse("c/1/1").expect("a literal"),
                fence: FencingNumber { incarnation: Incarnation(1), n: 1 },
            },
            kind: Kind::Run,
            tree: Digest::of(b"tree"),
            near: Vec::new(),
            devices: Vec::new(),
            cpus: None,
            memory_bytes: 0,
            command: "true".to_owned(),
            soft_limit_ms: 1000,
            hard_limit_ms: 2000,
            measure_until_ms: None,
            metric: None,
            editable: vec!["train.py".to_owned()],
            env: Default::default(),
            scripts: Vec::new(),
            python: "python3".to_owned(),
            run: None,
            results: None,
            adds_only: false,
            history: Vec::new(),
            fix_patterns: Vec::new(),
            isolation: None,
            limits: Default::default(),
            data: Vec::new(),
            caches: Vec::new(),
            setup: None,
            secrets: Vec::new(),
            artifacts: Vec::new(),
            seed: None,
            score_artifact: None,
            request: None,
            run_artifacts: None,
        }
    }
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

    /// A download that never works while the coordinator is away for `outages` tries, and there from then on;
    /// how often it was tried.
    async fn tries_of_a_download(outages: u32, patience: Duration) -> u32 {
        let (reach, mut made) = (Reach::default(), 0);
        let done: Result<(), Error> = persist(Patience::WhileThere(patience, reach.clone()), || {
            made += 1;
            reach.note(made > outages);
            std::future::ready(Err(Error::call("ArtifactService.Read")(Status::unavailable("no"))))
        })
        .await;
        assert!(done.is_err());
        made
    }

    #[tokio::test]
    async fn an_outage_does_not_count_against_a_download_and_a_failing_coordinator_does() {
        // Waits of 100, 200, 400 ms: without patience the first try that meets a coordinator is the last.
        assert_eq!(tries_of_a_download(0, Duration::ZERO).await, 1);
        assert_eq!(tries_of_a_download(3, Duration::ZERO).await, 4);
        assert!(tries_of_a_download(1, Duration::from_millis(250)).await > 2);
    }

    #[tokio::test]
    async fn a_full_disk_of_the_coordinator_is_waited_out_and_a_refusal_is_not() {
        assert_eq!(tries(&[Code::ResourceExhausted, Code::Unavailable]).await, (true, 3));
        assert_eq!(tries(&[Code::InvalidArgument]).await, (false, 1));
    }
}
