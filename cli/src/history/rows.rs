//! The decided iterations alone: enough for a page that needs no more of the story.

use crate::client::Client;
use crate::error::Error;
use windlass_proto::document;
use windlass_proto::v1::ListIterationsRequest;
use windlass_shared::record::Record;

/// The `iteration_decided` records of a campaign, in the order of decision, page after page.
pub async fn decisions(client: &Client, campaign: &str) -> Result<Vec<Record>, Error> {
    let mut records = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListIterationsRequest { campaign: campaign.to_owned(), page_token };
        let answer = client.campaigns().list_iterations(request).await?.into_inner();
        for bytes in &answer.record_documents {
            records.push(document::read("record_documents", bytes)?);
        }
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            return Ok(records);
        }
    }
}
