//! `windlass files C N`: what an iteration is made of and what it made.

use super::show;
use crate::client::Client;
use crate::error::Error;
use crate::history::{self, Removed};
use crate::listing::{self, Content, Item, Place, Standing};
use crate::render::files;
use crate::session::Session;
use serde::Serialize;
use windlass_shared::digest::Digest;

/// Which iteration, and which of its files.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Campaign: id, name, or a unique prefix of either
    #[arg(value_name = "C")]
    pub campaign: String,
    /// The iteration's number
    #[arg(value_name = "N", value_parser = crate::nearest::iteration)]
    pub iteration: u32,
    /// Only what its run and analysis left under results/
    #[arg(long)]
    pub results: bool,
    /// Only files of the tree that differ from the parent's
    #[arg(long)]
    pub changed: bool,
}

#[derive(Serialize)]
struct Listing {
    campaign: String,
    iteration: u32,
    files: Vec<File>,
    removed: Vec<Removed>,
}

#[derive(Serialize)]
struct File {
    path: String,
    place: Place,
    standing: Option<Standing>,
    size_bytes: Option<u64>,
    digest: Option<Digest>,
    executable: bool,
    link_target: Option<String>,
}

/// Lists them.
pub async fn run(args: Args, session: &Session) -> Result<(), Error> {
    let client = Client::connect(session).await?;
    let story = history::fetch(&client, &args.campaign).await?;
    let iteration = show::find(&story, args.iteration)?;
    let mut items = listing::of(&client, &story, iteration).await?;
    if args.results || args.changed {
        items.retain(|item| {
            let is_changed = item.standing.is_some_and(Standing::is_change);
            (args.results && item.place == Place::Results) || (args.changed && is_changed)
        });
    }
    if session.is_json() {
        let files = items.into_iter().map(document).collect();
        let (campaign, number) = (story.campaign.to_string(), args.iteration);
        return session.json(
            "windlass.files/1",
            &Listing { campaign, iteration: number, files, removed: iteration.removed.clone() },
        );
    }
    session.print(&files::table(&items, session.line_width()))?;
    session.say(&files::sum(&items));
    for removed in &iteration.removed {
        session.say(&files::removed(removed));
    }
    Ok(())
}

fn document(item: Item) -> File {
    let (digest, executable, link_target) = match item.content {
        Some(Content::Blob { digest, executable }) => (Some(digest), executable, None),
        Some(Content::Link { target }) => (None, false, Some(target)),
        Some(Content::Log { .. }) | None => (None, false, None),
    };
    let Item { path, place, standing, size_bytes, .. } = item;
    File { path, place, standing, size_bytes, digest, executable, link_target }
}
