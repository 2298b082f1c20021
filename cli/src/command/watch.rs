//! `windlass watch [C]`: what happens, as it happens, a line each.

use crate::client::Client;
use crate::error::Error;
use crate::follow::{Event, Follower};
use crate::history::{self, Story};
use crate::render::event;
use crate::render::text::neutral;
use crate::session::{self, Session};
use serde::Serialize;
use std::collections::BTreeMap;
use windlass_shared::id::CampaignId;
use windlass_shared::record::{Body, Record};
use windlass_shared::view::CampaignView;

/// Which campaign.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Campaign: id, name, or a unique prefix of either [default: all of them, and the fleet]
    #[arg(value_name = "C")]
    pub campaign: Option<String>,
}

#[derive(Serialize)]
struct Happened<'a> {
    incarnation: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<&'a Record>,
    #[serde(skip_serializing_if = "Option::is_none")]
    view: Option<&'a CampaignView>,
}

/// Follows until the one campaign has stopped or the reader has had enough.
pub async fn run(args: Args, session: &Session) -> Result<(), Error> {
    let client = Client::connect(session).await?;
    let campaign = match &args.campaign {
        Some(name) => super::status::get(&client, name).await?.campaign.0,
        None => String::new(),
    };
    let mut follower = Follower::new(session, &campaign);
    // One for each campaign that is followed, as long as it goes on.
    let mut stories: BTreeMap<CampaignId, Story> = BTreeMap::new();
    loop {
        let event = tokio::select! {
            event = follower.next() => event?,
            () = session::closed() => return Ok(()),
        };
        let incarnation = format!("{:016x}", follower.incarnation());
        match &event {
            Event::Replaced => {
                session.say("the ledger was replaced; what follows is told from its beginning");
                stories.clear();
            }
            Event::View(view) if session.is_json() => {
                let view = Some(view.as_ref());
                session.json("windlass.event/1", &Happened { incarnation, record: None, view })?;
            }
            Event::View(_) => {}
            Event::Record(record) => {
                let mut story = record.campaign.as_ref().and_then(|id| stories.remove(id));
                history::follow_on(&mut story, record);
                let has_stopped = matches!(record.body, Body::CampaignStopped { .. });
                if session.is_json() {
                    let record = Some(record.as_ref());
                    session.json("windlass.event/1", &Happened { incarnation, record, view: None })?;
                } else if let Some(line) = event::line(record, story.as_ref()) {
                    let line = match &record.campaign {
                        Some(id) if campaign.is_empty() => format!("{}: {line}", neutral(id.as_str())),
                        _ => line,
                    };
                    let line = event::scroll(record.wall_ms, &line, session.line_width());
                    session.print(&format!("{line}\n"))?;
                }
                if has_stopped && !campaign.is_empty() {
                    return Ok(());
                }
                if let Some(story) = story.filter(|_| !has_stopped) {
                    stories.insert(story.campaign.clone(), story);
                }
            }
        }
    }
}
