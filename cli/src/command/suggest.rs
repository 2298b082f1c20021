//! The name that was meant, beside the refusal of the one that was written.

use super::{campaigns, status, workers};
use crate::client::Client;
use crate::error::Error;
use crate::nearest::nearest_name;
use crate::render::text::neutral;
use crate::session::Session;

/// The same error, with the nearest campaign or worker in its remedy where there is one near enough. The
/// look-up is a courtesy: where it fails the error stays as it was.
pub async fn improve(problem: Error, session: &Session) -> Error {
    let Error::Received(mut received) = problem else { return problem };
    let Some((kind, name)) = received.missing.clone() else { return Error::Received(received) };
    if kind == "iteration" {
        return no_iteration(&name, session).await.unwrap_or(Error::Received(received));
    }
    let known = match kind.as_str() {
        "campaign" => campaign_names(session).await,
        "worker" => worker_names(session).await,
        _ => return Error::Received(received),
    };
    let list = received.remedy.clone().unwrap_or_default();
    match known {
        Ok(known) if known.is_empty() && kind == "campaign" => {
            received.remedy = Some("there are none yet: `windlass submit DIR` creates one".to_owned());
        }
        Ok(known) => {
            if let Some(meant) = nearest_name(&name, known.iter().map(String::as_str)) {
                received.remedy = Some(format!("did you mean {}? {list}", neutral(meant)));
            }
        }
        Err(_) => {}
    }
    Error::Received(received)
}

/// `9 of digits-0a1b2c` as the error that names the latest one there is.
async fn no_iteration(name: &str, session: &Session) -> Option<Error> {
    let (number, campaign) = name.split_once(" of ")?;
    let client = Client::connect(session).await.ok()?;
    let view = status::get(&client, campaign).await.ok()?;
    let open = view.lanes.iter().chain(&view.open).map(|open| open.iteration);
    let latest = open.chain(view.recent.iter().map(|row| row.iteration)).max();
    let (number, campaign) = (number.parse().ok()?, view.campaign.0);
    Some(Error::NoIteration { number, campaign, latest: latest.map(|latest| latest.0) })
}

async fn campaign_names(session: &Session) -> Result<Vec<String>, Error> {
    let views = campaigns::list(&Client::connect(session).await?).await?;
    Ok(views.into_iter().flat_map(|view| [view.name, view.campaign.0]).collect())
}

async fn worker_names(session: &Session) -> Result<Vec<String>, Error> {
    let views = workers::list(&Client::connect(session).await?).await?;
    Ok(views.into_iter().flat_map(|view| [view.info.name, view.info.id.0]).collect())
}
