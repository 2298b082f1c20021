//! `windlass analyze C N`: puts a repaired script in the place of one whose deliverable is missing, and the
//! scripts are run again (P21); or adds one beside the plan, also when the iteration is decided (P22).

use crate::args::Dry;
use crate::blobs::Blobs;
use crate::campaign_file::resolve_scripts;
use crate::client::Client;
use crate::error::Error;
use crate::history;
use crate::session::Session;
use crate::upload;
use serde::Serialize;
use std::path::{Path, PathBuf};
use windlass_proto::document;
use windlass_proto::v1::AddDeliverableRequest;
use windlass_shared::path::TreePath;
use windlass_shared::plan::{Deliverable, Script};
use windlass_shared::refusal::Refusal;

/// Which script makes which output; what is left out stays as the plan has it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Campaign: id, name, or a unique prefix of either
    #[arg(value_name = "C")]
    pub campaign: String,
    /// The iteration's number
    #[arg(value_name = "N")]
    pub iteration: u32,
    /// The script: a path, `builtin:log` or `builtin:telemetry`
    #[arg(long, value_name = "S")]
    pub script: PathBuf,
    /// The deliverable that it makes, relative to results/
    #[arg(long, value_name = "F", value_parser = tree_path)]
    pub result: TreePath,
    /// What it measures: a slug [default: as planned]
    #[arg(long, value_name = "D")]
    pub dimension: Option<String>,
    /// The question it answers [default: as planned]
    #[arg(long, value_name = "TEXT")]
    pub question: Option<String>,
    /// What it shows if the change helped [default: as planned]
    #[arg(long, value_name = "TEXT")]
    pub if_helped: Option<String>,
    /// What it shows if not [default: as planned]
    #[arg(long, value_name = "TEXT")]
    pub if_not: Option<String>,
    #[command(flatten)]
    pub dry: Dry,
}

fn tree_path(text: &str) -> Result<TreePath, String> {
    TreePath::parse(text).map_err(|problem| problem.to_string())
}

/// What was done: `windlass.analyze/1`.
#[derive(Debug, Serialize)]
pub struct Done {
    campaign: String,
    iteration: u32,
    output: String,
    done: &'static str,
}

/// Does it.
pub async fn run(args: Args, session: &Session) -> Result<(), Error> {
    let session = &session.asking(args.dry);
    let done = put(args, session).await?;
    if session.is_json() {
        return session.json("windlass.analyze/1", &done);
    }
    session.say(&format!(
        "{}: iteration {} makes {} with this script",
        done.campaign, done.iteration, done.output
    ));
    if done.done == "added" {
        let campaign = &done.campaign;
        session
            .say(&format!("`windlass status {campaign}` tells when; its status and metric stay as they are"));
    }
    Ok(())
}

/// Puts it there.
pub async fn put(args: Args, session: &Session) -> Result<Done, Error> {
    let client = Client::connect(session).await?;
    let story = history::fetch(&client, &args.campaign).await?;
    let campaign = story.campaign.to_string();
    let plan = &super::show::find(&story, args.iteration)?.plan;
    let planned = plan.iter().find(|row| row.output == args.result).cloned();
    let done = if planned.is_some() { "replaced" } else { "added" };
    let mut blobs = Blobs::default();
    let mut rows = [row(&args, planned)?];
    let Args { result: output, iteration, .. } = args;
    // Relative to where the command is given.
    resolve_scripts(Path::new("--script"), "", "script", &mut rows, &mut blobs)?;
    upload::missing(&client, &blobs).await?;
    let request = AddDeliverableRequest {
        request_id: session.next_request_id(),
        campaign: campaign.clone(),
        iteration,
        deliverable_document: document::write(&rows[0]),
    };
    client.campaigns().add_deliverable(request).await?;
    Ok(Done { campaign, iteration, output: output.to_string(), done })
}

/// The row of the plan, with what was said instead; for a new output everything must be said (P12).
fn row(args: &Args, planned: Option<Deliverable>) -> Result<Deliverable, Error> {
    let mut missing = Vec::new();
    let mut said = |option: &str, text: &Option<String>, planned: Option<&String>| {
        let text = text.as_ref().or(planned).cloned();
        text.unwrap_or_else(|| {
            let problem = format!("is missing; no plan of the iteration has {}", args.result);
            missing.push(Refusal::Lever { rule: "P12", field: option.to_owned(), problem });
            String::new()
        })
    };
    let row = Deliverable {
        script: Script::Named(args.script.to_string_lossy().into_owned()),
        output: args.result.clone(),
        dimension: said("--dimension", &args.dimension, planned.as_ref().map(|row| &row.dimension)),
        question: said("--question", &args.question, planned.as_ref().map(|row| &row.question)),
        if_helped: said("--if-helped", &args.if_helped, planned.as_ref().map(|row| &row.if_helped)),
        if_not: said("--if-not", &args.if_not, planned.as_ref().map(|row| &row.if_not)),
        compares: planned.and_then(|row| row.compares),
    };
    if missing.is_empty() { Ok(row) } else { Err(Refusal::several(missing).into()) }
}
