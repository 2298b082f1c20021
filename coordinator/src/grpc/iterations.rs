//! Iterations as they are read: every record of one, and the decisions of a campaign, page by page. What they rest on is
//! the ledger, which blocks for the disk.

use super::convert::{documents, ledger_failure, next_page_token, page_token};
use crate::driver::{Handle, blocking};
use tonic::Status;
use windlass_proto::{refusal::to_status, v1};
use windlass_shared::id::{CampaignId, IterationNumber};
use windlass_shared::record::Record;
use windlass_shared::refusal::Refusal;

/// Every record of one, for an explanation.
pub(super) async fn records(
    handle: &Handle,
    campaign: CampaignId,
    iteration: IterationNumber,
) -> Result<Vec<Record>, Status> {
    let readers = handle.stores.readers.clone();
    let read = blocking(move || readers.iteration(&campaign, iteration)).await;
    read.map_err(|error| ledger_failure(&error))
}

/// A page of one's records.
pub(super) async fn page_of_one(
    handle: &Handle,
    campaign: CampaignId,
    message: &v1::GetIterationRequest,
) -> Result<v1::GetIterationResponse, Status> {
    let iteration = IterationNumber(message.iteration);
    let (readers, asked) = (handle.stores.readers.clone(), campaign.clone());
    let after_seq = page_token(&message.page_token)?;
    let page = blocking(move || readers.iteration_page(&asked, iteration, after_seq)).await;
    let page = page.map_err(|error| ledger_failure(&error))?;
    if page.records.is_empty() && after_seq == 0 {
        let name = format!("{iteration} of {campaign}");
        return Err(to_status(&Refusal::NotFound { what: "iteration", name }));
    }
    Ok(v1::GetIterationResponse {
        campaign: campaign.0,
        record_documents: documents(&page.records),
        next_page_token: next_page_token(page.next_after),
    })
}

/// A page of a campaign's decisions.
pub(super) async fn page(
    handle: &Handle,
    (campaign, metric): (CampaignId, String),
    message: &v1::ListIterationsRequest,
) -> Result<v1::ListIterationsResponse, Status> {
    let (readers, asked) = (handle.stores.readers.clone(), campaign.clone());
    let after_seq = page_token(&message.page_token)?;
    let page = blocking(move || readers.decisions_page(&asked, after_seq)).await;
    let page = page.map_err(|error| ledger_failure(&error))?;
    Ok(v1::ListIterationsResponse {
        campaign: campaign.0,
        metric,
        record_documents: documents(&page.records),
        next_page_token: next_page_token(page.next_after),
    })
}
