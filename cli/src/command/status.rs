//! `windlass status C`: one page.

use super::lever;
use crate::client::Client;
use crate::error::Error;
use crate::notice;
use crate::render::{units, views};
use crate::session::Session;
use windlass_proto::document;
use windlass_proto::v1::GetRequest;
use windlass_shared::view::CampaignView;

/// Which campaign.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Campaign: id, name, or a unique prefix of either
    #[arg(value_name = "C")]
    pub campaign: String,
}

/// Shows the page.
pub async fn run(args: Args, session: &Session) -> Result<(), Error> {
    let client = Client::connect(session).await?;
    let view = get(&client, &args.campaign).await?;
    if session.is_json() {
        return session.json("windlass.campaign/1", &view);
    }
    notice::show(&client, session).await;
    let levers = lever::list(&client, &view.campaign.0).await?;
    session.print(&views::campaign(&view, &levers, units::now_ms(), session.width()))
}

/// A campaign's view.
pub async fn get(client: &Client, campaign: &str) -> Result<CampaignView, Error> {
    let request = GetRequest { campaign: campaign.to_owned() };
    let answer = client.campaigns().get(request).await?.into_inner();
    Ok(document::read("view_document", &answer.view_document)?)
}
