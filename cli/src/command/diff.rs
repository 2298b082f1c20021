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

/// What an iteration changed: `windlass.diff/1`.
#[derive(Debug, Serialize)]
pub struct Change {
    /// Of which campaign.
    pub campaign: String,
    /// Which iteration.
    pub iteration: u32,
    /// The one it builds on.
    pub parent: Option<u32>,
    /// Net lines (P26).
    pub net_lines: i64,
    /// A unified diff.
    pub diff: String,
}

/// Prints it.
pub async fn run(args: Args, session: &Session) -> Result<(), Error> {
    let client = Client::connect(session).await?;
    let (change, diff) = of(&client, &args.campaign, args.iteration).await?;
    if session.is_json() {
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

/// The change as a document, and its own bytes.
pub async fn of(client: &Client, campaign: &str, number: u32) -> Result<(Change, Vec<u8>), Error> {
    let story = history::fetch(client, campaign).await?;
    let iteration = show::find(&story, number)?;
    let diff = tree_diff::between(client, story.base_of(iteration), iteration.tree).await?;
    let change = Change {
        campaign: story.campaign.to_string(),
        iteration: number,
        parent: iteration.parent.map(|parent| parent.0),
        net_lines: iteration.net_lines,
        diff: String::from_utf8_lossy(&diff).into_owned(),
    };
    Ok((change, diff))
}
