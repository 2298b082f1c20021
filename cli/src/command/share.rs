//! `windlass share C NAME`: lets another client see, feed or control a campaign.

use crate::args::Dry;
use crate::client::Client;
use crate::error::Error;
use crate::session::Session;
use serde::Serialize;
use windlass_proto::v1::ShareRequest;

/// What, with whom, how far.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Campaign: id, name, or a unique prefix of either
    #[arg(value_name = "C")]
    pub campaign: String,
    /// The other client's name
    #[arg(value_name = "NAME")]
    pub with: String,
    /// How far; each holds those before it
    #[arg(long = "as", value_name = "HOW", required_unless_present = "end")]
    pub share: Option<How>,
    /// No longer
    #[arg(long, conflicts_with = "share")]
    pub end: bool,
    #[command(flatten)]
    pub dry: Dry,
}

/// How far a campaign is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum How {
    /// See everything of it
    Read,
    /// Queue levers, send fixes and scripts, write conclusions
    Propose,
    /// All that its owner may, but for sharing it on
    Control,
}

#[derive(Serialize)]
struct Done {
    campaign: String,
    with: String,
    #[serde(rename = "as")]
    share: Option<&'static str>,
}

/// Shares.
pub async fn run(args: Args, session: &Session) -> Result<(), Error> {
    let session = &session.asking(args.dry);
    let share = args.share.map(|how| match how {
        How::Read => "read",
        How::Propose => "propose",
        How::Control => "control",
    });
    let client = Client::connect(session).await?;
    let campaign = super::status::get(&client, &args.campaign).await?.campaign.0;
    let request = ShareRequest {
        request_id: session.next_request_id(),
        campaign: campaign.clone(),
        with: args.with.clone(),
        r#as: share.unwrap_or_default().to_owned(),
    };
    client.campaigns().share(request).await?;
    if session.is_json() {
        return session.json("windlass.share/1", &Done { campaign, with: args.with, share });
    }
    match share {
        Some(share) => session.say(&format!("{campaign} is shared with {} for `{share}`", args.with)),
        None => session.say(&format!("{campaign} is no longer shared with {}", args.with)),
    }
    Ok(())
}
