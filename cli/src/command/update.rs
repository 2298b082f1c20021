//! `windlass update C`: priority, weight and name of a campaign.

use crate::args::Dry;
use crate::client::Client;
use crate::error::Error;
use crate::session::Session;
use serde::Serialize;
use windlass_proto::v1::UpdateRequest;

/// What to change.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("change").required(true).multiple(true)))]
pub struct Args {
    /// Campaign: id, name, or a unique prefix of either
    #[arg(value_name = "C")]
    pub campaign: String,
    /// Where campaigns wait for the same device the higher priority is served first
    #[arg(long, value_name = "P", group = "change", allow_negative_numbers = true)]
    pub priority: Option<i32>,
    /// Among campaigns of one priority, device time is shared in proportion to this
    #[arg(long, value_name = "W", group = "change", value_parser = clap::value_parser!(u32).range(1..))]
    pub weight: Option<u32>,
    /// What it is called in listings; its id stays
    #[arg(long, value_name = "N", group = "change")]
    pub name: Option<String>,
    #[command(flatten)]
    pub dry: Dry,
}

#[derive(Serialize)]
struct Done {
    campaign: String,
    priority: Option<i32>,
    weight: Option<u32>,
    name: Option<String>,
}

/// Does it. The campaign goes to the coordinator as it was written: a request that renamed it and is
/// repeated must still be known.
pub async fn run(args: Args, session: &Session) -> Result<(), Error> {
    let session = &session.asking(args.dry);
    let client = Client::connect(session).await?;
    let Args { campaign, priority, weight, name, .. } = args;
    let request_id = session.next_request_id();
    let request = UpdateRequest { request_id, campaign, priority, weight, name: name.clone() };
    let campaign = client.campaigns().update(request).await?.into_inner().campaign;
    if session.is_json() {
        return session.json("windlass.update/1", &Done { campaign, priority, weight, name });
    }
    let priority = priority.map(|priority| format!("priority {priority}"));
    let weight = weight.map(|weight| format!("weight {weight}"));
    let name = name.map(|name| format!("name {}", crate::render::text::neutral(&name)));
    let changed: Vec<String> = priority.into_iter().chain(weight).chain(name).collect();
    session.say(&format!("{campaign} updated: {}", changed.join(", ")));
    Ok(())
}
