//! `windlass diff C N`: what an iteration changed, as a unified diff.

use super::show;
use crate::client::Client;
use crate::error::Error;
use crate::history;
use crate::render::text::neutral_block;
use crate::session::Session;
use crate::tree_diff;
use serde::Serialize;

/// Which iteration.
pub use super::show::Args;

#[derive(Serialize)]
struct Change {
    campaign: String,
    iteration: u32,
    parent: Option<u32>,
    net_lines: i64,
    diff: String,
}

/// Prints it.
pub async fn run(args: Args, session: &Session) -> Result<(), Error> {
    let client = Client::connect(session).await?;
    let story = history::fetch(&client, &args.campaign).await?;
    let iteration = show::find(&story, args.iteration)?;
    let diff = tree_diff::between(&client, story.base_of(iteration), iteration.tree).await?;
    if session.is_json() {
        let change = Change {
            campaign: story.campaign.to_string(),
            iteration: args.iteration,
            parent: iteration.parent.map(|parent| parent.0),
            net_lines: iteration.net_lines,
            diff: String::from_utf8_lossy(&diff).into_owned(),
        };
        return session.json("windlass.diff/1", &change);
    }
    if diff.is_empty() {
        session.say("nothing was changed");
    }
    // A terminal is shown safe text; a pipe gets the bytes, so that they can be applied.
    if session.is_live() {
        return session.print(&neutral_block(&String::from_utf8_lossy(&diff)));
    }
    session.raw(&diff)
}
