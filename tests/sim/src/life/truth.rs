//! What the attempts really did, as the simulator made them: no message can change it.

use std::collections::BTreeMap;
use windlass_shared::attempt::{AttemptKey, Outcome};
use windlass_shared::digest::Digest;

/// What one attempt really made.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    /// The tree that it ran.
    pub(crate) tree: Digest,
    /// What came of it.
    pub(crate) outcome: Outcome,
}

/// Every attempt that a shim carried out.
#[derive(Clone, Default)]
pub(crate) struct Truth {
    pub(crate) made: BTreeMap<AttemptKey, Made>,
}
