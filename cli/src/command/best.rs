//! `windlass best C`: the best iteration, how it came about, and its tree.

use crate::client::Client;
use crate::download;
use crate::error::Error;
use crate::extract::{self, Existing, Whose};
use crate::history::{self, Story};
use crate::listing;
use crate::render::{best, units};
use crate::session::Session;
use serde::Serialize;
use std::path::{Path, PathBuf};
use windlass_shared::bindings::Direction;
use windlass_shared::decimal::Decimal;
use windlass_shared::digest::Digest;
use windlass_shared::id::{IterationNumber, LeverNumber};

/// Which campaign, and where its best tree goes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Campaign: id, name, or a unique prefix of either
    #[arg(value_name = "C")]
    pub campaign: String,
    /// Lay the best iteration's tree out here: a new or empty folder
    #[arg(long, value_name = "DIR")]
    pub tree: Option<PathBuf>,
    /// With --tree: write over what is there
    #[arg(long, requires = "tree")]
    pub force: bool,
}

#[derive(Serialize)]
struct Best {
    campaign: String,
    metric: String,
    direction: Direction,
    best: Option<Step>,
    staircase: Vec<Step>,
    laid_out: Option<LaidOut>,
}

/// One kept iteration.
#[derive(Serialize)]
struct Step {
    iteration: IterationNumber,
    lever: Option<LeverNumber>,
    title: String,
    metric: Option<Decimal>,
    gain: Option<Decimal>,
    net_lines: i64,
    reason: String,
    sentence: String,
    tree: Digest,
    decided_wall_ms: i64,
}

#[derive(Serialize)]
struct LaidOut {
    folder: String,
    files: u64,
    bytes: u64,
}

/// Tells it.
pub async fn run(args: Args, session: &Session) -> Result<(), Error> {
    let client = Client::connect(session).await?;
    let story = history::fetch(&client, &args.campaign).await?;
    let existing = if args.force { Existing::Replace } else { Existing::Keep };
    let laid_out = match &args.tree {
        Some(dir) => Some(lay_out(&client, session, &story, dir, existing).await?),
        None => None,
    };
    if session.is_json() {
        return session.json("windlass.best/1", &document(&story, laid_out));
    }
    if let Some(done) = laid_out {
        let files = units::count(done.files, "file");
        session.say(&format!("wrote {}: {files}, {}", done.folder, units::bytes(done.bytes)));
        return Ok(());
    }
    session.print(&best::page(&story, units::now_ms(), session.width()))
}

async fn lay_out(
    client: &Client,
    session: &Session,
    story: &Story,
    dir: &Path,
    existing: Existing,
) -> Result<LaidOut, Error> {
    let Some((iteration, _)) = story.best_row() else {
        return Err(Error::NothingKept { campaign: story.campaign.to_string() });
    };
    let is_taken = std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
    if is_taken && existing == Existing::Keep {
        return Err(Error::Exists { path: dir.to_owned() });
    }
    let manifest = download::manifest(client, iteration.tree).await?;
    let items = listing::of_tree_alone(&manifest);
    let items: Vec<_> = items.iter().map(|item| (item.path.clone(), item)).collect();
    let whose = Whose { campaign: story.campaign.to_string(), iteration: iteration.number.0 };
    let written = extract::folder(client, &whose, &items, dir, existing).await?;
    for link in &written.skipped {
        session.say(&format!("left out {link}: a link that leads elsewhere"));
    }
    Ok(LaidOut { folder: dir.display().to_string(), files: written.files, bytes: written.bytes })
}

fn document(story: &Story, laid_out: Option<LaidOut>) -> Best {
    let step = |(iteration, decision): (&history::Iteration, &history::Decision)| Step {
        iteration: iteration.number,
        lever: iteration.lever,
        title: iteration.title.clone(),
        metric: decision.arithmetic.metric.clone(),
        gain: decision.arithmetic.gain.clone(),
        net_lines: decision.arithmetic.net_lines,
        reason: decision.reason.clone(),
        sentence: decision.arithmetic.sentence.clone(),
        tree: iteration.tree,
        decided_wall_ms: decision.wall_ms,
    };
    Best {
        campaign: story.campaign.to_string(),
        metric: story.bindings.metric.clone(),
        direction: story.bindings.metric_direction,
        best: story.best_row().map(step),
        staircase: story.steps().map(step).collect(),
        laid_out,
    }
}
