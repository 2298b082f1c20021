//! `windlass status C`: one page.

use super::lever;
use crate::client::Client;
use crate::error::Error;
use crate::history;
use crate::notice;
use crate::render::status::Gain;
use crate::render::{status, units};
use crate::session::Session;
use serde::Serialize;
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

/// The page for machines: with a noise floor, each kept gain beside it (P27).
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    view: &'a CampaignView,
    #[serde(skip_serializing_if = "Option::is_none")]
    gains: Option<Vec<Gain>>,
}

/// Shows the page.
pub async fn run(args: Args, session: &Session) -> Result<(), Error> {
    let client = Client::connect(session).await?;
    let view = get(&client, &args.campaign).await?;
    if session.is_json() {
        let gains = match view.floor {
            Some(_) => Some(status::gains(&history::decisions(&client, &view.campaign.0).await?)),
            None => None,
        };
        return session.json("windlass.campaign/1", &Told { view: &view, gains });
    }
    notice::show(&client, session).await;
    let levers = lever::list(&client, &view.campaign.0).await?;
    // A page with a gap is better than none: a very long campaign's decisions may not fit one message.
    let decided = history::decisions(&client, &view.campaign.0).await.unwrap_or_else(|problem| {
        session.say(&format!("the decisions cannot be listed:\n  {}", problem.to_report().message));
        Vec::new()
    });
    session.print(&status::page(&view, &levers, &decided, units::now_ms(), session.width()))
}

/// A campaign's view.
pub async fn get(client: &Client, campaign: &str) -> Result<CampaignView, Error> {
    let request = GetRequest { campaign: campaign.to_owned(), dimensions: false };
    let answer = client.campaigns().get(request).await?.into_inner();
    Ok(document::read("view_document", &answer.view_document)?)
}
