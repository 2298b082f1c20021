//! Who may still count on a blob: finding or writing one pins it, and a sweep takes only what nobody has
//! touched since it began. It never decides what is garbage.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use windlass_shared::digest::Digest;

/// How long a blob that was found or written is kept without a record that names it.
pub const PIN: Duration = Duration::from_secs(48 * 3600);
/// A pin younger than this is not renewed: a workspace that is submitted again costs no writes. A sweep adds
/// it to [`PIN`], so that the promise holds.
pub(crate) const RENEW_AFTER: Duration = Duration::from_secs(3600);

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// What touches and sweeps agree on. Cloning shares it.
#[derive(Clone, Debug)]
pub(super) struct Pins {
    sweep: Arc<Mutex<Option<Sweep>>>,
    ended: Arc<watch::Sender<u64>>,
}

/// One sweep under way. Both sets end with it: they grow with what is asked for meanwhile.
#[derive(Debug, Default)]
struct Sweep {
    touched: HashSet<Digest>,
    going: HashSet<Digest>,
}

impl Pins {
    pub fn new() -> Self {
        Self { sweep: Arc::default(), ended: Arc::new(watch::Sender::new(0)) }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Sweep>> {
        self.sweep.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that somebody counts on it. False: it is being removed at this moment, and counts as absent.
    pub fn touch(&self, digest: Digest) -> bool {
        let mut sweep = self.lock();
        let Some(sweep) = sweep.as_mut() else { return true };
        sweep.touched.insert(digest);
        !sweep.going.contains(&digest)
    }

    /// The same, once it is not being removed: then it can be written anew.
    pub async fn touch_settled(&self, digest: Digest) {
        let mut ended = self.ended.subscribe();
        while !self.touch(digest) {
            // The sender lives as long as this does.
            let _ = ended.changed().await;
        }
    }

    /// From here on touches are remembered. False: a sweep is under way already.
    pub fn begin(&self) -> bool {
        let mut sweep = self.lock();
        if sweep.is_some() {
            return false;
        }
        *sweep = Some(Sweep::default());
        true
    }

    /// Those of `candidates` that nobody has touched are going from here on; `order` is given them before
    /// anybody can touch them again.
    pub fn doom(&self, candidates: &[Digest], order: impl FnOnce(&[Digest])) -> Vec<Digest> {
        let mut sweep = self.lock();
        let Some(sweep) = sweep.as_mut() else { return Vec::new() };
        let free = candidates.iter().filter(|digest| !sweep.touched.contains(digest));
        let doomed: Vec<Digest> = free.copied().collect();
        sweep.going.extend(&doomed);
        order(&doomed);
        doomed
    }

    /// They are gone.
    pub fn gone(&self, doomed: &[Digest]) {
        if let Some(sweep) = self.lock().as_mut() {
            for digest in doomed {
                sweep.going.remove(digest);
            }
        }
        self.ended.send_modify(|ended| *ended += 1);
    }

    /// The sweep is over.
    pub fn end(&self) {
        *self.lock() = None;
        self.ended.send_modify(|ended| *ended += 1);
    }
}
