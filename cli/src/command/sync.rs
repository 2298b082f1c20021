//! `windlass sync C [DIR]`: the user's copy, made from the ledger (P30).

use crate::client::Client;
use crate::error::Error;
use crate::history;
use crate::layout;
use crate::render::units;
use crate::session::Session;
use serde::Serialize;
use std::path::PathBuf;

/// Which campaign, and where to.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Campaign: id, name, or a unique prefix of either
    #[arg(value_name = "C")]
    pub campaign: String,
    /// The folder [default: the campaign's sandbox_root, from here]
    #[arg(value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

#[derive(Serialize)]
struct Synced {
    campaign: String,
    folder: String,
    iterations: usize,
    files: usize,
    written: usize,
    removed: usize,
}

/// Lays it out.
pub async fn run(args: Args, session: &Session) -> Result<(), Error> {
    let client = Client::connect(session).await?;
    let story = history::fetch(&client, &args.campaign).await?;
    let dir = args.dir.unwrap_or_else(|| PathBuf::from(&story.bindings.sandbox_root));
    let done = layout::lay_out(&client, &story, &dir).await?;
    let folder = dir.display().to_string();
    let removed = story.rows().map(|(iteration, _)| iteration.removed.len()).sum();
    if session.is_json() {
        let synced = Synced {
            campaign: story.campaign.to_string(),
            folder,
            iterations: story.decided.len(),
            files: done.files,
            written: done.written,
            removed,
        };
        return session.json("windlass.sync/1", &synced);
    }
    let files = units::count(done.files as u64, "file");
    session.say(&format!("{folder}: {files}, {} of them new or changed", done.written));
    if removed > 0 {
        let parts = units::count(removed as u64, "part");
        session.say(&format!(
            "left out: {parts} of evidence whose time was over; `windlass show C N` names them"
        ));
    }
    Ok(())
}
