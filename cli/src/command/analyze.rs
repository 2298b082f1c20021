//! `windlass analyze C N`: puts a repaired script in the place of one whose deliverable is missing, and the
//! scripts are run again (P21).

use crate::args::Dry;
use crate::blobs::Blobs;
use crate::campaign_file::resolve_scripts;
use crate::client::Client;
use crate::error::Error;
use crate::history::{self, Story};
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
    Ok(())
}

/// Puts it there.
pub async fn put(args: Args, session: &Session) -> Result<Done, Error> {
    let client = Client::connect(session).await?;
    let story = history::fetch(&client, &args.campaign).await?;
    let campaign = story.campaign.to_string();
    let planned = planned(&story, args.iteration, &args.result)?;
    let mut blobs = Blobs::default();
    let Args { script, result: output, iteration, .. } = args;
    let said = |text: Option<String>, planned: String| text.unwrap_or(planned);
    let mut rows = [Deliverable {
        script: Script::Named(script.to_string_lossy().into_owned()),
        output: output.clone(),
        dimension: said(args.dimension, planned.dimension),
        question: said(args.question, planned.question),
        if_helped: said(args.if_helped, planned.if_helped),
        if_not: said(args.if_not, planned.if_not),
        compares: planned.compares,
    }];
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
    Ok(Done { campaign, iteration, output: output.to_string(), done: "replaced" })
}

/// The row of the plan that the output stands in.
fn planned(story: &Story, iteration: u32, output: &TreePath) -> Result<Deliverable, Error> {
    let plan = &super::show::find(story, iteration)?.plan;
    let missing = || Refusal::Settled {
        rule: "P21",
        what: format!("iteration {iteration} of {}", story.campaign),
        state: format!("has no deliverable {output} in its plan"),
        remedy: "replace one that is missing (`windlass show C N` names them)",
    };
    Ok(plan.iter().find(|row| row.output == *output).cloned().ok_or_else(missing)?)
}
