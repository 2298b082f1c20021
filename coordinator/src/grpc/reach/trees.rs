//! What trees name, for those that were asked about lately.

use crate::blobs::{self, Blobs};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use windlass_shared::digest::Digest;
use windlass_shared::tree::Manifest;

/// Digests of all remembered trees together: 50 MB. A single tree that is larger is remembered alone.
const DIGESTS_MAX: usize = 1_000_000;

/// See the module.
#[derive(Default)]
pub(super) struct Trees(Mutex<Known>);

#[derive(Default)]
struct Known {
    trees: HashMap<Digest, Arc<HashSet<Digest>>>,
    opened: VecDeque<Digest>,
    digests: usize,
}

impl Trees {
    /// What a tree in the store names. One that was removed, or is none, names nothing. Blocks for the disk.
    pub fn open(&self, blobs: &Blobs, tree: Digest) -> Result<Arc<HashSet<Digest>>, blobs::Error> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).trees.get(&tree).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let bytes = match blobs.read_now(tree) {
            Ok(bytes) => bytes,
            Err(blobs::Error::Absent { .. }) => return Ok(Arc::default()),
            Err(error) => return Err(error),
        };
        let named = Arc::new(named(&bytes));
        self.remember(tree, &named);
        Ok(named)
    }

    fn remember(&self, tree: Digest, named: &Arc<HashSet<Digest>>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.trees.insert(tree, Arc::clone(named)).is_some() {
            return;
        }
        known.opened.push_back(tree);
        known.digests += named.len();
        while known.digests > DIGESTS_MAX && known.opened.len() > 1 {
            let Some(oldest) = known.opened.pop_front() else { return };
            let gone = known.trees.remove(&oldest);
            known.digests -= gone.map_or(0, |gone| gone.len());
        }
    }
}

/// What a manifest names; nothing where the bytes are none.
pub(super) fn named(manifest: &[u8]) -> HashSet<Digest> {
    Manifest::from_bytes(manifest).map(|manifest| manifest.blobs().collect()).unwrap_or_default()
}
