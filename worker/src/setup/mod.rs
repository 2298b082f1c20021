//! The campaign's `setup` (P4): once per worker and key, in a copy of the workspace, under a shim of its
//! own, so that it outlives the daemon and ends in time. What it created is shared by later attempts. A
//! setup that fails is the campaign's own doing: neither a crash of the lever nor the worker's fault.

mod carry_out;
mod folder;
mod key;

pub use carry_out::{Failure, ensure};
pub use folder::{Prepared, Shape, link};

use crate::error::Error;
use crate::shim;
use crate::spool::{AttemptDir, WorkDir};
use crate::workspace::age;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Setups that nobody used for this long go; so do those past [`KEPT_MAX`].
const UNUSED_MAX: Duration = Duration::from_secs(14 * 24 * 3600);
/// An environment of PyTorch is 6 GB; 16 of them are as many as the campaigns and lever inputs in use.
const KEPT_MAX: usize = 16;
/// What was used so lately may be in the hands of an attempt that has not written that down yet.
const SETTLED_AFTER: Duration = Duration::from_secs(10 * 60);

/// One setup at a time for each key: who comes meanwhile waits for it.
#[derive(Debug, Default)]
pub struct Setups {
    turns: Mutex<BTreeMap<String, Arc<Turn>>>,
}

/// The last failure of one key, held by whoever carries it out.
type Turn = tokio::sync::Mutex<Option<(Instant, Failure)>>;

impl Setups {
    fn turn(&self, key: &str) -> Arc<Turn> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody holds those any more, so the map stays as small as what is being prepared.
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(key.to_owned()).or_default())
    }
}

/// Removes setups that are in nobody's hands, the oldest first. `used` are the layers of attempts and of
/// kept workspaces.
pub fn evict(work: &WorkDir, used: &BTreeSet<PathBuf>) -> Result<(), Error> {
    let mut found = Vec::new();
    for dir in work.setups()? {
        let noted = dir.path().join("used");
        let since = if noted.exists() { age(&noted) } else { age(dir.path()) };
        found.push((since, dir));
    }
    work.drop_setup_logs(SETTLED_AFTER)?;
    found.sort_by_key(|(since, _)| *since);
    for (index, (since, dir)) in found.into_iter().enumerate() {
        let is_due = since > UNUSED_MAX || index >= KEPT_MAX;
        let is_used = used.contains(&dir.upper()) || used.contains(&dir.workspace());
        if is_due && since > SETTLED_AFTER && !is_used && !is_running(&dir) {
            work.forget(&dir)?;
        }
    }
    Ok(())
}

fn is_running(dir: &AttemptDir) -> bool {
    dir.identity().ok().flatten().is_some_and(|identity| shim::identify(dir.path(), &identity).is_some())
}
