//! What the ledger has of an iteration's deliverables: a conclusion speaks of those and of no others (P23).

use super::convert::ledger_failure;
use crate::driver::{Handle, blocking};
use std::collections::BTreeSet;
use tonic::Status;
use windlass_shared::id::{CampaignId, IterationNumber};
use windlass_shared::path::TreePath;
use windlass_shared::record::Body;

/// The outputs that were accepted.
pub(super) async fn outputs(
    handle: &Handle,
    campaign: CampaignId,
    iteration: IterationNumber,
) -> Result<BTreeSet<TreePath>, Status> {
    let readers = handle.stores.readers.clone();
    let records = blocking(move || readers.iteration(&campaign, iteration))
        .await
        .map_err(|error| ledger_failure(&error))?;
    let delivered = records.into_iter().filter_map(|record| match record.body {
        Body::DeliverableAccepted { output, .. } => Some(output),
        _ => None,
    });
    Ok(delivered.collect())
}
