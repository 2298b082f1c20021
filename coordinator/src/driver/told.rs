//! What the loop says of each record, for who follows one request through the logs. Nothing at all unless somebody
//! asked for that much.

use tracing::Level;
use windlass_engine::core::Core;
use windlass_shared::id::{IterationNumber, RequestId};
use windlass_shared::record::{Body, Record};

/// Says what is about to be applied.
pub(super) fn tell(core: &Core, records: &[Record]) {
    if !tracing::enabled!(Level::DEBUG) {
        return;
    }
    for record in records {
        let campaign = record.campaign.as_ref().map(|campaign| campaign.as_str());
        let request = request(core, record);
        let request = request.as_ref().map(|request| request.as_str());
        let (seq, kind) = (record.seq, record.body.kind());
        match &record.body {
            Body::AttemptLeased { order, worker, .. } => {
                tracing::debug!(seq, kind, request, attempt = %order.key, %worker, "recorded");
            }
            Body::AttemptEnded { attempt, fence, outcome, .. } => {
                let ending = outcome.ending.as_str();
                tracing::debug!(seq, kind, request, attempt = %format_args!("{attempt}@{fence}"), ending, "recorded");
            }
            _ => tracing::debug!(seq, kind, request, campaign, "recorded"),
        }
    }
}

/// The request that a record answers, or that its attempt goes back to.
fn request(core: &Core, record: &Record) -> Option<RequestId> {
    let of = |iteration: IterationNumber| {
        let campaign = core.campaign(record.campaign.as_ref()?).ok()?;
        campaign.iteration(iteration)?.request.clone()
    };
    let own = record.request.as_ref().map(|request| request.id.clone());
    own.or_else(|| match &record.body {
        Body::AttemptLeased { order, .. } => order.request.clone(),
        Body::AttemptEnded { attempt, .. } => of(attempt.iteration),
        Body::IterationDecided { iteration, .. } => of(*iteration),
        _ => None,
    })
}
