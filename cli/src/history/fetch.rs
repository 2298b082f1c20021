//! Fetches a campaign's records.

use super::Story;
use crate::client::Client;
use crate::error::Error;
use windlass_proto::document;
use windlass_proto::v1::WatchRequest;
use windlass_proto::v1::watch_response::Event;
use windlass_shared::record::Record;
use windlass_shared::refusal::Refusal;

/// The story of a campaign, up to now.
pub async fn fetch(client: &Client, campaign: &str) -> Result<Story, Error> {
    let request = WatchRequest { campaign: campaign.to_owned(), after_seq: 0, incarnation: 0, follow: false };
    let mut stream = client.campaigns().watch(request).await?.into_inner();
    let mut story = None;
    // Folded as they come: a long campaign's records are many times its story.
    while let Some(message) = stream.message().await? {
        if let Some(Event::RecordDocument(bytes)) = message.event {
            follow_on(&mut story, &document::read("record_document", &bytes)?);
        }
    }
    story.ok_or_else(|| Refusal::NotFound { what: "campaign", name: campaign.to_owned() }.into())
}

/// Brings a story that is being followed up by one record; begins it when it was created by that one.
pub fn follow_on(story: &mut Option<Story>, record: &Record) {
    match story {
        Some(story) => story.add(record),
        None => *story = Story::project([record]),
    }
}
