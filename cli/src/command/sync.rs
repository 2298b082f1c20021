//! `windlass sync C [DIR]`: the user's copy, made from the ledger (P30).

use crate::args::Dry;
use crate::branches::{self, GitError, Kept};
use crate::client::Client;
use crate::error::Error;
use crate::history::{self, Story};
use crate::layout::{self, Writes};
use crate::render::units;
use crate::session::Session;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Which campaign, and where to.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Campaign: id, name, or a unique prefix of either
    #[arg(value_name = "C")]
    pub campaign: String,
    /// The folder [default: the campaign's sandbox_root, from here]
    #[arg(value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Check out the campaign's branch in the repository here, with `iter_strategy: branches`
    #[arg(long)]
    pub checkout: bool,
    #[command(flatten)]
    pub dry: Dry,
}

#[derive(Serialize)]
struct Synced {
    campaign: String,
    folder: String,
    iterations: usize,
    files: usize,
    written: usize,
    removed: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    branch: Option<Kept>,
}

/// Lays it out.
pub async fn run(args: Args, session: &Session) -> Result<(), Error> {
    let session = &session.asking(args.dry);
    let client = Client::connect(session).await?;
    let mut story = history::fetch(&client, &args.campaign).await?;
    let commits = branches::commits(&client, &story).await?;
    let campaign = story.campaign.to_string();
    match &commits {
        Some(commits) => story.commits = commits.names(),
        None if args.checkout => return Err(GitError::NoBranch { campaign }.into()),
        None => {}
    }
    let dir = args.dir.unwrap_or_else(|| PathBuf::from(&story.bindings.sandbox_root));
    let writes = if session.is_dry { Writes::Counted } else { Writes::Done };
    let done = layout::lay_out(&client, &story, &dir, writes).await?;
    // The copy is there whatever becomes of the branch. Of a dry run the repository hears nothing.
    let here = Path::new(".");
    let branch = match commits.filter(|_| !session.is_dry) {
        Some(commits) => Some(branches::keep(here, &campaign, &commits, args.checkout)?),
        None => None,
    };
    let folder = dir.display().to_string();
    let removed = story.rows().map(|(iteration, _)| iteration.removed.len()).sum();
    if session.is_json() {
        let synced = Synced {
            campaign,
            folder,
            iterations: story.decided.len(),
            files: done.files,
            written: done.written,
            removed,
            branch,
        };
        return session.json("windlass.sync/1", &synced);
    }
    let files = units::count(done.files as u64, "file");
    session.say(&format!("{folder}: {files}, {} of them new or changed", done.written));
    if let Some(branch) = &branch {
        tell(session, branch);
    }
    if removed > 0 {
        let parts = units::count(removed as u64, "part");
        session.say(&format!(
            "left out: {parts} of evidence whose time was over; `windlass show C N` names them"
        ));
    }
    Ok(())
}

/// Brings a copy up to date as the command does, for who has the story at hand: the folder, and with
/// `iter_strategy: branches` the branch in the repository here.
///
/// # Errors
/// Those of the command; the folder is there all the same when only the branch could not be moved.
pub async fn bring(client: &Client, story: &Story, dir: &Path) -> Result<(), Error> {
    let Some(commits) = branches::commits(client, story).await? else {
        return layout::lay_out(client, story, dir, Writes::Done).await.map(drop);
    };
    // Rows are called by their commits (P29).
    let named = Story { commits: commits.names(), ..story.clone() };
    layout::lay_out(client, &named, dir, Writes::Done).await?;
    branches::keep(Path::new("."), named.campaign.as_str(), &commits, false).map(drop)
}

fn tell(session: &Session, kept: &Kept) {
    let Kept { branch, tip, commits, written, checked_out, left } = kept;
    let Some(tip) = tip else {
        return session.say(&format!("{branch}: nothing is kept yet"));
    };
    let (commits, written) =
        (units::count(*commits as u64, "commit"), units::count(*written as u64, "object"));
    let out = if *checked_out { ", checked out" } else { "" };
    session.say(&format!("{branch} is at {tip}{out}: {commits}, {written} written"));
    if let Some(place) = left {
        session.say(&format!(
            "it is checked out in {} and was left as it is; `windlass sync C --checkout` there moves it",
            place.display()
        ));
    }
}
