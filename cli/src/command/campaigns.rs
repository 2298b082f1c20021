//! `windlass campaigns`: all of them, newest first.

use crate::client::Client;
use crate::error::Error;
use crate::render::{units, views};
use crate::session::Session;
use serde::Serialize;
use windlass_proto::document;
use windlass_proto::v1::ListRequest;
use windlass_shared::view::CampaignView;

/// Nothing to say.
#[derive(Debug, clap::Args)]
pub struct Args {}

#[derive(Serialize)]
struct Listing {
    campaigns: Vec<CampaignView>,
}

/// Lists.
pub async fn run(_args: Args, session: &Session) -> Result<(), Error> {
    let client = Client::connect(session).await?;
    let campaigns = list(&client).await?;
    if session.is_json() {
        return session.json("windlass.campaigns/1", &Listing { campaigns });
    }
    session.print(&views::campaigns(&campaigns, units::now_ms(), session.width()))
}

/// All campaigns.
pub async fn list(client: &Client) -> Result<Vec<CampaignView>, Error> {
    let answer = client.campaigns().list(ListRequest {}).await?.into_inner();
    let read = |bytes: &_| document::read("view_documents", bytes).map_err(Error::from);
    answer.view_documents.iter().map(|bytes| read(bytes)).collect()
}
