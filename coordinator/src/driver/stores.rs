//! What lies beside the core: the ledger's readers, blobs, logs, figures.

use crate::blobs::Blobs;
use crate::ledger::Readers;
use crate::logs::Logs;
use crate::metrics::Metrics;
use crate::secrets;

/// The stores. Cloning shares them.
#[derive(Clone, Debug)]
pub(crate) struct Stores {
    /// Committed records.
    pub readers: Readers,
    /// Blobs.
    pub blobs: Blobs,
    /// Logs of attempts.
    pub logs: Logs,
    /// Values of secrets.
    pub secrets: secrets::Store,
    /// What is counted as it happens.
    pub metrics: Metrics,
}
