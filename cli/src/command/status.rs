//! `windlass status C`: one page. `windlass status --usage`: who had what of the fleet.

use super::lever;
use crate::client::Client;
use crate::error::Error;
use crate::history;
use crate::notice;
use crate::render::status::Gain;
use crate::render::{status, units, usage as render_usage};
use crate::session::Session;
use serde::Serialize;
use windlass_proto::document;
use windlass_proto::v1::{GetRequest, GetUsageRequest};
use windlass_shared::usage::UsageView;
use windlass_shared::view::CampaignView;

/// Which campaign.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Campaign: id, name, or a unique prefix of either
    #[arg(value_name = "C", required_unless_present = "usage")]
    pub campaign: Option<String>,
    /// Device time by owner, campaign and outcome instead, of all campaigns or of this one
    #[arg(long)]
    pub usage: bool,
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
    let campaign = match (&args.campaign, args.usage) {
        (Some(campaign), false) => campaign,
        (only, _) => return usage(&client, only.as_deref(), session).await,
    };
    let view = get(&client, campaign).await?;
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
        session.complain(&format!("the decisions cannot be listed:\n  {}", problem.to_report().message));
        Vec::new()
    });
    session.print(&status::page(&view, &levers, &decided, units::now_ms(), session.width()))
}

/// Shows what was had of the fleet; of one campaign, its row and its owner's sum over what is shown.
async fn usage(client: &Client, campaign: Option<&str>, session: &Session) -> Result<(), Error> {
    let only = match campaign {
        Some(name) => Some(get(client, name).await?.campaign),
        None => None,
    };
    let answer = client.fleet().get_usage(GetUsageRequest {}).await?.into_inner();
    let mut view: UsageView = document::read("usage_document", &answer.usage_document)?;
    if let Some(only) = only {
        view.campaigns.retain(|one| one.campaign == only);
        let owners: Vec<Option<String>> = view.campaigns.iter().map(|one| one.owner.clone()).collect();
        view.owners.retain(|one| owners.contains(&one.owner));
    }
    if session.is_json() {
        return session.json("windlass.usage/1", &view);
    }
    session.print(&render_usage::page(&view, units::now_ms(), session.width()))
}

/// A campaign's view.
pub async fn get(client: &Client, campaign: &str) -> Result<CampaignView, Error> {
    let request = GetRequest { campaign: campaign.to_owned(), dimensions: false };
    let answer = client.campaigns().get(request).await?.into_inner();
    Ok(document::read("view_document", &answer.view_document)?)
}
