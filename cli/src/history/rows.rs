//! The decided iterations alone: enough for a page that needs no more of the story.

use crate::client::Client;
use crate::error::Error;
use windlass_proto::document;
use windlass_proto::v1::ListIterationsRequest;
use windlass_shared::record::Record;

/// The `iteration_decided` records of a campaign, in the order of decision.
pub async fn decisions(client: &Client, campaign: &str) -> Result<Vec<Record>, Error> {
    let request = ListIterationsRequest { campaign: campaign.to_owned() };
    let answer = client.campaigns().list_iterations(request).await?.into_inner();
    let read = |bytes: &_| document::read("record_documents", bytes).map_err(Error::from);
    answer.record_documents.iter().map(|bytes| read(bytes)).collect()
}
