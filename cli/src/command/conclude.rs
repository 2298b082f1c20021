//! `windlass conclude C N FILE`: writes a conclusion (P23).

use crate::args::Dry;
use crate::client::Client;
use crate::error::Error;
use crate::session::Session;
use crate::yaml;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use windlass_proto::document;
use windlass_proto::v1::WriteConclusionRequest;
use windlass_shared::conclusion::{Conclusion, Verdict};
use windlass_shared::lever::Anchor;
use windlass_shared::path::TreePath;

/// What to conclude of which iteration.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Campaign: id, name, or a unique prefix of either
    #[arg(value_name = "C")]
    pub campaign: String,
    /// The iteration's number
    #[arg(value_name = "N")]
    pub iteration: u32,
    /// YAML with examined, finding, 3 to 8 bullets, and deliverables: as_helped, as_not or neither for each
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub dry: Dry,
}

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    examined: String,
    finding: String,
    bullets: Vec<String>,
    #[serde(default)]
    deliverables: BTreeMap<TreePath, Verdict>,
    #[serde(default)]
    ceiling_near: Option<bool>,
    #[serde(default)]
    anchor: Option<Anchor>,
}

/// What was done: `windlass.conclude/1`.
#[derive(Debug, Serialize)]
pub struct Done {
    campaign: String,
    iteration: u32,
    done: &'static str,
}

/// Does it.
pub async fn run(args: Args, session: &Session) -> Result<(), Error> {
    let session = &session.asking(args.dry);
    let conclusion = read(&args.file)?;
    let done = write(session, &args.campaign, args.iteration, &conclusion).await?;
    if session.is_json() {
        return session.json("windlass.conclude/1", &done);
    }
    session.say(&format!("{}: iteration {} is concluded", done.campaign, done.iteration));
    Ok(())
}

/// Reads the file.
pub fn read(file: &Path) -> Result<Conclusion, Error> {
    let text = yaml::read_text(file)?;
    let written: Written = yaml::parse(file, &text).map_err(|problem| Box::new(problem.of_form("P23")))?;
    Ok(Conclusion {
        finding: written.finding,
        bullets: written.bullets,
        deliverables: written.deliverables.into_iter().collect(),
        automatic: false,
        examined: written.examined,
        ceiling_near: written.ceiling_near,
        anchor: written.anchor,
    })
}

/// Writes it down.
pub async fn write(
    session: &Session,
    campaign: &str,
    iteration: u32,
    conclusion: &Conclusion,
) -> Result<Done, Error> {
    let client = Client::connect(session).await?;
    let campaign = super::status::get(&client, campaign).await?.campaign.0;
    let (request_id, conclusion_document) = (session.next_request_id(), document::write(conclusion));
    let request =
        WriteConclusionRequest { request_id, campaign: campaign.clone(), iteration, conclusion_document };
    client.campaigns().write_conclusion(request).await?;
    Ok(Done { campaign, iteration, done: "concluded" })
}
