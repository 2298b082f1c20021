//! `windlass pause|resume|stop C`.

use crate::args::Dry;
use crate::client::Client;
use crate::error::Error;
use crate::session::Session;
use serde::Serialize;
use windlass_proto::v1::{PauseRequest, ResumeRequest, StopRequest};

/// Which campaign.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Campaign: id, name, or a unique prefix of either
    #[arg(value_name = "C")]
    pub campaign: String,
    #[command(flatten)]
    pub dry: Dry,
}

/// What to do with it.
#[derive(Clone, Copy, Debug)]
pub enum Verb {
    /// Open nothing new.
    Pause,
    /// Go on.
    Resume,
    /// End it for good.
    Stop,
}

#[derive(Serialize)]
struct Done {
    campaign: String,
    done: &'static str,
}

/// Does it.
pub async fn run(args: Args, verb: Verb, session: &Session) -> Result<(), Error> {
    let session = &session.asking(args.dry);
    let client = Client::connect(session).await?;
    let campaign = super::status::get(&client, &args.campaign).await?.campaign.0;
    let done = apply(&client, session, &campaign, verb).await?;
    if session.is_json() {
        return session.json("windlass.control/1", &Done { campaign, done });
    }
    session.say(&format!("{campaign} {done}"));
    Ok(())
}

/// Makes the call; answers the word for what was done.
pub async fn apply(
    client: &Client,
    session: &Session,
    campaign: &str,
    verb: Verb,
) -> Result<&'static str, Error> {
    let (request_id, campaign) = (session.next_request_id(), campaign.to_owned());
    let mut service = client.campaigns();
    match verb {
        Verb::Pause => service.pause(PauseRequest { request_id, campaign }).await.map(|_| "paused"),
        Verb::Resume => service.resume(ResumeRequest { request_id, campaign }).await.map(|_| "resumed"),
        Verb::Stop => service.stop(StopRequest { request_id, campaign }).await.map(|_| "stopped"),
    }
    .map_err(Error::from)
}
