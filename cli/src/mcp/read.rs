//! Tools that read: the page that a campaign is, its queue, its history, what was learnt.

use super::act::{done, keyed};
use super::input::{Context, Findings, Paged, Queue, QueueAction, Status};
use super::output::{DATA, Page, encode, invalid, list};
use crate::client::Client;
use crate::command::lever::{self, Steering};
use crate::command::{campaigns, findings, results, status};
use crate::context::{self, Form};
use crate::error::Error;
use crate::history;
use crate::render::report;
use crate::session::Session;
use serde_json::{Value, json};
use windlass_proto::v1::move_lever_request::Place;

/// The largest context that an answer holds.
const CONTEXT_MAX_BYTES: u32 = 64 << 10;
/// See [`CONTEXT_MAX_BYTES`].
const CONTEXT_DEFAULT_BYTES: u32 = 24 << 10;

/// All that is needed next, as `windlass.context/1`.
pub async fn context(input: Context, session: &Session) -> Result<Value, Error> {
    let wanted = input.max_bytes.unwrap_or(CONTEXT_DEFAULT_BYTES);
    let within = context::parse_max_bytes(&wanted.to_string());
    let max_bytes = within.map_err(|problem| invalid(problem, "give max_bytes from 2000 to 65536"))?;
    if wanted > CONTEXT_MAX_BYTES {
        let message = format!("a context has {CONTEXT_MAX_BYTES} bytes at most here");
        return Err(invalid(message, "give max_bytes from 2000 to 65536; the other tools page through all"));
    }
    let client = Client::connect(session).await?;
    let facts = context::gather(&client, &input.campaign).await?;
    let text = context::write(&facts, Form::Json, max_bytes);
    serde_json::from_str(&text).map_err(|source| Error::Encode { what: "a context", source })
}

/// One campaign's page, or the list of them.
pub async fn status(input: Status, session: &Session) -> Result<Value, Error> {
    let client = Client::connect(session).await?;
    if let Some(campaign) = &input.campaign {
        return encode(&status::get(&client, campaign).await?);
    }
    let views = campaigns::list(&client).await?;
    let (campaigns, next_cursor) = list(&views, input.cursor.as_deref())?;
    Ok(json!({"campaigns": campaigns, "next_cursor": next_cursor}))
}

/// The queue, or a lever in it put elsewhere.
pub async fn queue(input: Queue, session: &Session) -> Result<Value, Error> {
    let session = &keyed(session, input.request_id, input.dry_run);
    let client = Client::connect(session).await?;
    let steering = match input.action {
        QueueAction::List => {
            let levers = lever::list(&client, &input.campaign).await?;
            let (levers, next_cursor) = list(&levers, input.cursor.as_deref())?;
            return Ok(json!({"data": DATA, "levers": levers, "next_cursor": next_cursor}));
        }
        QueueAction::Retire => Steering::Retire,
        QueueAction::Retry => Steering::Retry,
        QueueAction::First => Steering::Move(Place::First(true)),
        QueueAction::Last => Steering::Move(Place::Last(true)),
    };
    let missing = || invalid("`lever` is missing".to_owned(), "give the number of the lever that is meant");
    let number = input.lever.ok_or_else(missing)?;
    let steered = lever::steer(&client, session, &input.campaign, number, steering).await?;
    Ok(done(session, encode(&steered)?))
}

/// The decided iterations with their metrics, in the order of decision.
pub async fn metrics(input: Paged, session: &Session) -> Result<Value, Error> {
    let client = Client::connect(session).await?;
    let story = history::fetch(&client, &input.campaign).await?;
    let (iterations, next_cursor) = list(&results::rows(&story), input.cursor.as_deref())?;
    let answer = json!({
        "campaign": story.campaign.as_str(),
        "metric": story.bindings.metric,
        "direction": story.bindings.metric_direction,
        "best": story.best.map(|best| best.0),
        "data": DATA,
        "iterations": iterations,
        "next_cursor": next_cursor,
    });
    encode(&answer)
}

/// What the literature said, or a review handed over: each finding is kept or rejected by the evidence gate.
pub async fn findings(input: Findings, session: &Session) -> Result<Value, Error> {
    let session = &keyed(session, input.request_id, input.dry_run);
    if let Some(review) = &input.review {
        let scope = |text: &String| {
            findings::given_scope(text).map_err(|problem| invalid(format!("{text:?} is no scope"), &problem))
        };
        let scopes = input.scopes.iter().map(scope).collect::<Result<Vec<_>, Error>>()?;
        let text = Value::Object(review.clone()).to_string();
        let (campaign, added) = findings::hand_over(session, input.campaign, &text, &scopes).await?;
        let rows: Vec<_> = added.iter().map(|(number, finding)| finding.row(*number)).collect();
        let (findings, next_cursor) = list(&rows, None)?;
        let answer = json!({
            "campaign": campaign, "data": DATA, "findings": findings, "next_cursor": next_cursor,
        });
        return Ok(done(session, answer));
    }
    let client = Client::connect(session).await?;
    let (campaign, all) = history::findings(&client, &input.campaign).await?;
    let rows: Vec<_> = all.iter().map(|(number, finding)| finding.row(*number)).collect();
    let (findings, next_cursor) = list(&rows, input.cursor.as_deref())?;
    Ok(json!({"campaign": campaign, "data": DATA, "findings": findings, "next_cursor": next_cursor}))
}

/// Where it stands, as Markdown.
pub async fn report(input: Paged, session: &Session) -> Result<Value, Error> {
    let client = Client::connect(session).await?;
    let story = history::fetch(&client, &input.campaign).await?;
    encode(&Page::of(&report::markdown(&story), input.cursor.as_deref())?)
}
