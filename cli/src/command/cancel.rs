//! `windlass cancel C N`: ends the open iteration.

use crate::args::Dry;
use crate::client::Client;
use crate::error::Error;
use crate::session::Session;
use serde::Serialize;
use windlass_proto::v1::CancelIterationRequest;

/// Which iteration.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Campaign: id, name, or a unique prefix of either
    #[arg(value_name = "C")]
    pub campaign: String,
    /// The iteration's number
    #[arg(value_name = "N", value_parser = crate::nearest::iteration)]
    pub iteration: u32,
    #[command(flatten)]
    pub dry: Dry,
}

#[derive(Serialize)]
struct Done {
    campaign: String,
    iteration: u32,
    done: &'static str,
}

/// Does it. The run is ended by its worker; the iteration is decided once it is.
pub async fn run(args: Args, session: &Session) -> Result<(), Error> {
    let session = &session.asking(args.dry);
    let client = Client::connect(session).await?;
    let campaign = super::status::get(&client, &args.campaign).await?.campaign.0;
    let (request_id, iteration) = (session.next_request_id(), args.iteration);
    let request = CancelIterationRequest { request_id, campaign: campaign.clone(), iteration };
    client.campaigns().cancel_iteration(request).await?;
    if session.is_json() {
        return session.json("windlass.cancel/1", &Done { campaign, iteration, done: "cancelled" });
    }
    session.say(&format!("{campaign}: iteration {iteration} cancelled"));
    session.say(match iteration {
        1 => "nothing can be compared without the baseline: submit the project again, the queue comes along",
        _ => "its lever is not blamed: `windlass lever retry` puts it in line again",
    });
    Ok(())
}
