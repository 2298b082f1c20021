//! `windlass watch C`: what happens, as it happens, a line each.

use crate::client::Client;
use crate::error::Error;
use crate::follow::{Event, Follower};
use crate::history::{self, Story};
use crate::render::event;
use crate::session::Session;
use serde::Serialize;
use windlass_shared::record::{Body, Record};
use windlass_shared::view::CampaignView;

/// Which campaign.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Campaign: id, name, or a unique prefix of either
    #[arg(value_name = "C")]
    pub campaign: String,
}

#[derive(Serialize)]
struct Happened<'a> {
    incarnation: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<&'a Record>,
    #[serde(skip_serializing_if = "Option::is_none")]
    view: Option<&'a CampaignView>,
}

/// Follows until the campaign has stopped or the reader has had enough.
pub async fn run(args: Args, session: &Session) -> Result<(), Error> {
    let client = Client::connect(session).await?;
    let campaign = super::status::get(&client, &args.campaign).await?.campaign.0;
    let mut follower = Follower::new(session, &campaign);
    let mut story: Option<Story> = None;
    loop {
        let event = follower.next().await?;
        let incarnation = format!("{:016x}", follower.incarnation());
        match &event {
            Event::Replaced => {
                session.say("the ledger was replaced; what follows is told from its beginning");
                story = None;
            }
            Event::View(view) if session.is_json() => {
                let view = Some(view.as_ref());
                session.json("windlass.event/1", &Happened { incarnation, record: None, view })?;
            }
            Event::View(_) => {}
            Event::Record(record) => {
                history::follow_on(&mut story, record);
                if session.is_json() {
                    let record = Some(record.as_ref());
                    session.json("windlass.event/1", &Happened { incarnation, record, view: None })?;
                } else if let Some(line) = event::line(record, story.as_ref()) {
                    let line = event::scroll(record.wall_ms, &line, session.line_width());
                    session.print(&format!("{line}\n"))?;
                }
                if matches!(record.body, Body::CampaignStopped { .. }) {
                    return Ok(());
                }
            }
        }
    }
}
