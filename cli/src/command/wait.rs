//! `windlass wait C [N]`: until an iteration is decided, or nothing is left to do.

use crate::client::Client;
use crate::error::Error;
use crate::follow::{Event, Follower};
use crate::history::{self, Story};
use crate::render::views;
use crate::session::Session;
use serde::Serialize;
use std::time::Duration;
use windlass_shared::id::IterationNumber;
use windlass_shared::time::Span;
use windlass_shared::view::{CampaignState, CampaignView};

/// What to wait for.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Campaign: id, name, or a unique prefix of either
    #[arg(value_name = "C")]
    pub campaign: String,
    /// An iteration's number [default: until nothing runs and nothing can be pulled]
    #[arg(value_name = "N", value_parser = crate::nearest::iteration)]
    pub iteration: Option<u32>,
    /// Give up after this long, with exit code 6
    #[arg(long, value_name = "TIME", value_parser = parse_span)]
    pub timeout: Option<Span>,
}

fn parse_span(text: &str) -> Result<Span, String> {
    Span::parse(text).map_err(|problem| problem.to_string())
}

/// What came of a wait: `windlass.wait/1`.
#[derive(Debug, Serialize)]
pub struct Waited {
    /// Which campaign.
    pub campaign: String,
    /// The iteration, if one was waited for.
    pub iteration: Option<u32>,
    /// How it was decided.
    pub status: Option<&'static str>,
    /// Its metric, or the best's.
    pub metric: Option<String>,
    /// A sentence.
    pub state: String,
}

/// Waits and says what for.
pub async fn run(args: Args, session: &Session) -> Result<(), Error> {
    let waited = wait(&args, session).await?;
    if session.is_json() {
        return session.json("windlass.wait/1", &waited);
    }
    session.say(&waited.state);
    Ok(())
}

/// Waits; [`Error::WaitEnded`] when the time, or the campaign, ended first.
pub async fn wait(args: &Args, session: &Session) -> Result<Waited, Error> {
    let client = Client::connect(session).await?;
    let campaign = super::status::get(&client, &args.campaign).await?.campaign.0;
    let waiting = until(args, session, &client, &campaign);
    match args.timeout {
        None => waiting.await,
        Some(span) => match tokio::time::timeout(Duration::from_millis(span.ms), waiting).await {
            Ok(waited) => waited,
            Err(_) => {
                let found = by_now(args, &client, &campaign).await;
                found.ok_or_else(|| Error::WaitEnded { why: format!("it was given {span}") })
            }
        },
    }
}

/// A last look when the time is over: what is so by then was waited for, however short the time was.
async fn by_now(args: &Args, client: &Client, campaign: &str) -> Option<Waited> {
    match args.iteration {
        Some(number) => decided(&history::fetch(client, campaign).await.ok()?, number),
        None => super::status::get(client, campaign).await.ok().filter(is_idle).map(|view| idle(&view)),
    }
}

async fn until(args: &Args, session: &Session, client: &Client, campaign: &str) -> Result<Waited, Error> {
    let mut follower = Follower::new(session, campaign);
    let mut story: Option<Story> = None;
    let mut view = super::status::get(client, campaign).await?;
    loop {
        let known = story.as_ref();
        if let Some(number) = args.iteration
            && let Some(waited) = known.and_then(|story| decided(story, number))
        {
            return Ok(waited);
        }
        if is_idle(&view) {
            // The view may be ahead of the records that are still on their way here.
            let story = history::fetch(client, campaign).await;
            return match args.iteration {
                None => Ok(idle(&view)),
                Some(number) => story
                    .ok()
                    .and_then(|story| decided(&story, number))
                    .ok_or_else(|| Error::WaitEnded { why: views::state(&view) }),
            };
        }
        match follower.next().await? {
            Event::Record(record) => history::follow_on(&mut story, &record),
            Event::View(next) => {
                view = *next;
                continue;
            }
            Event::Replaced => story = None,
        }
        // Records alone move a campaign to rest; the page says whether they did.
        if known_to_settle(story.as_ref()) {
            view = super::status::get(&Client::connect(session).await?, campaign).await?;
        }
    }
}

/// Whether no iteration is open, so that the campaign may have come to rest.
fn known_to_settle(story: Option<&Story>) -> bool {
    story.is_some_and(|story| story.iterations.len() == story.decided.len())
}

fn decided(story: &Story, number: u32) -> Option<Waited> {
    let decision = story.iterations.get(&IterationNumber(number))?.decision.as_ref()?;
    Some(Waited {
        campaign: story.campaign.to_string(),
        iteration: Some(number),
        status: Some(decision.status.as_str()),
        metric: decision.arithmetic.metric.as_ref().map(ToString::to_string),
        state: format!("iteration {number}: {}", decision.arithmetic.sentence),
    })
}

fn idle(view: &CampaignView) -> Waited {
    Waited {
        campaign: view.campaign.to_string(),
        iteration: None,
        status: None,
        metric: view.best.as_ref().and_then(|best| best.metric.as_ref()).map(ToString::to_string),
        state: views::state(view),
    }
}

/// Whether a campaign does nothing until somebody acts.
pub fn is_idle(view: &CampaignView) -> bool {
    match view.state {
        CampaignState::Active => {
            view.open.is_none() && view.queued == 0 && view.decided != Default::default()
        }
        // What runs is still brought to its end.
        CampaignState::Paused { .. } => view.open.is_none(),
        CampaignState::Stopped { .. } => true,
    }
}
