//! `windlass results C`: the ledger of decided iterations.

use crate::branches;
use crate::client::Client;
use crate::error::Error;
use crate::history::{self, Story};
use crate::render::text::neutral_block;
use crate::render::views;
use crate::results_tsv;
use crate::session::Session;
use clap::ValueEnum;
use serde::Serialize;
use windlass_shared::view::Late;

/// Which campaign, in which form.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Campaign: id, name, or a unique prefix of either
    #[arg(value_name = "C")]
    pub campaign: String,
    /// results.tsv as P29 has it, or JSON [default: a table]
    #[arg(long, value_name = "FORM")]
    pub format: Option<Format>,
}

/// Forms for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Tab-separated, header first.
    Tsv,
    /// One document.
    Json,
}

#[derive(Serialize)]
struct Ledger {
    campaign: String,
    metric: String,
    best: Option<u32>,
    iterations: Vec<Row>,
}

/// A decided iteration.
#[derive(Debug, Serialize)]
pub struct Row {
    iteration: u32,
    lever: Option<u32>,
    metric: Option<String>,
    status: &'static str,
    reason: String,
    analysis_summary: String,
    description: String,
    net_lines: i64,
    decided_wall_ms: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    follow_ups: Vec<Late>,
}

/// Prints it.
pub async fn run(args: Args, session: &Session) -> Result<(), Error> {
    let client = Client::connect(session).await?;
    let mut story = history::fetch(&client, &args.campaign).await?;
    if args.format == Some(Format::Tsv) {
        branches::name(&client, &mut story).await?;
    }
    match args.format {
        // The file's own bytes, but for a terminal.
        Some(Format::Tsv) if session.is_live() => session.print(&neutral_block(&results_tsv::render(&story))),
        Some(Format::Tsv) => session.print(&results_tsv::render(&story)),
        Some(Format::Json) => json(session, &story),
        None if session.is_json() => json(session, &story),
        None => session.print(&views::results(&story, session.width())),
    }
}

/// As `windlass.results/1`.
pub fn json(session: &Session, story: &Story) -> Result<(), Error> {
    let ledger = Ledger {
        campaign: story.campaign.to_string(),
        metric: story.bindings.metric.clone(),
        best: story.best.map(|best| best.0),
        iterations: rows(story),
    };
    session.json("windlass.results/1", &ledger)
}

/// The decided iterations, in the order of decision.
pub fn rows(story: &Story) -> Vec<Row> {
    story
        .rows()
        .map(|(iteration, decision)| Row {
            iteration: iteration.number.0,
            lever: iteration.lever.map(|lever| lever.0),
            metric: decision.arithmetic.metric.as_ref().map(ToString::to_string),
            status: decision.status.as_str(),
            reason: decision.reason.clone(),
            analysis_summary: decision.summary.clone(),
            description: decision.description.clone(),
            net_lines: decision.arithmetic.net_lines,
            decided_wall_ms: decision.wall_ms,
            follow_ups: iteration.found_beside().collect(),
        })
        .collect()
}
