//! `windlass submit`: a workspace becomes a campaign, and lever files its queue.

use super::dry_run::{self, Plan};
use super::propose::{self, Proposed, Voice};
use crate::blobs::Blobs;
use crate::branches;
use crate::campaign_file;
use crate::client::Client;
use crate::error::Error;
use crate::lever_file;
use crate::render::units;
use crate::secrets;
use crate::session::Session;
use crate::upload::{self, Sent};
use crate::workspace;
use serde::Serialize;
use std::path::{Path, PathBuf};
use windlass_proto::document;
use windlass_proto::v1::{CreateRequest, GiveSecretsRequest};

/// What to submit.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The workspace: the folder with loop.run.yaml
    #[arg(value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// Queue the lever files (*.yaml, *.yml) of this folder, in the order of their names
    #[arg(long, value_name = "DIR")]
    pub levers: Option<PathBuf>,
    /// The campaign's name [default: windlass.name, else the folder's]
    #[arg(long, value_name = "N")]
    pub name: Option<String>,
    /// Send the value that this environment variable has here, as the campaign's secret of that name; may be
    /// given several times
    #[arg(long = "secret", value_name = "NAME")]
    pub secrets: Vec<String>,
    /// Send the campaign's secrets from this file of NAME=value lines, which only its owner may read
    #[arg(long, value_name = "FILE")]
    pub secrets_file: Option<PathBuf>,
    /// Print the resolved campaign, its files and what would be sent; send nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// What came of it: `windlass.submission/1`.
#[derive(Debug, Serialize)]
pub struct Submission {
    /// Its id; none for a dry run.
    pub campaign: Option<String>,
    /// Its name.
    pub name: String,
    /// The workspace's tree.
    pub tree: String,
    /// Files and links in it.
    pub entries: u64,
    /// Bytes in it.
    pub bytes: u64,
    /// Blobs that the store lacked.
    pub sent_blobs: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Levers taken along from a campaign whose baseline crashed (P1).
    pub levers_taken: u32,
    /// Whether nothing was sent.
    pub dry_run: bool,
    /// What a dry run found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
    /// What became of the lever files.
    #[serde(flatten)]
    pub levers: Proposed,
}

/// Submits.
pub async fn run(args: Args, session: &Session) -> Result<(), Error> {
    let submission = submit(&args, session, Voice::Each).await?;
    if session.is_json() {
        return session.json("windlass.submission/1", &submission);
    }
    if let Some(plan) = &submission.plan {
        session.print(&dry_run::page(plan, session.width()))?;
    }
    if let Some(campaign) = &submission.campaign {
        session.print(&format!("{campaign}\n"))?;
    }
    Ok(())
}

/// Reads, sends, creates, queues.
pub async fn submit(args: &Args, session: &Session, voice: Voice) -> Result<Submission, Error> {
    let file = campaign_file::read(&args.dir)?;
    let workspace = workspace::read(&args.dir, &file.bindings, &[&session.data_dir])
        .map_err(|problem| campaign_file::place(&args.dir, problem))?;
    let begun = branches::begin(&args.dir, campaign_file::NAME, &file.bindings, &workspace.manifest)?;
    let lever_files = args.levers.as_deref().map(lever_file::list).transpose()?.unwrap_or_default();
    let name = args.name.clone().or_else(|| file.bindings.windlass.name.clone());
    let name = name.unwrap_or_else(|| folder_name(&args.dir));
    let named = &file.bindings.windlass.secrets;
    let secrets =
        secrets::gather(&args.secrets, args.secrets_file.as_deref(), named, |name| std::env::var(name).ok())?;
    if let Some(missing) = secrets::missing(named, &secrets) {
        session.say(&missing);
    }
    let tree = workspace.manifest.digest();
    let (files, size) = (units::count(workspace.entries, "file"), units::bytes(workspace.bytes));
    session.say(&format!("workspace {}: {files}, {size}, tree {}", args.dir.display(), tree.short()));
    let mut submission = Submission {
        campaign: None,
        name,
        tree: tree.to_string(),
        entries: workspace.entries,
        bytes: workspace.bytes,
        sent_blobs: 0,
        sent_bytes: 0,
        levers_taken: 0,
        dry_run: args.dry_run,
        plan: None,
        levers: Proposed::default(),
    };
    let mut blobs = workspace.blobs.clone();
    blobs.extend(file.blobs.clone());
    if let Some(begun) = &begun {
        blobs.hold(begun.listing.clone());
        let tag = file.bindings.run_tag.as_deref().unwrap_or_default();
        session.say(&format!("branch autoresearch/{tag} grows from {}", begun.root.head));
    }
    if args.dry_run {
        check_levers(session, &lever_files, &mut submission.levers, &mut blobs);
        let plan = dry_run::plan(args, session, &file, &workspace, &submission.name, &blobs).await?;
        submission.plan = Some(plan);
        return Ok(submission);
    }
    let client = Client::connect(session).await?;
    let Sent { blobs: sent_blobs, bytes: sent_bytes } = upload::missing(&client, &blobs).await?;
    (submission.sent_blobs, submission.sent_bytes) = (sent_blobs, sent_bytes);
    session.say(&format!("sent {}, {}", units::count(sent_blobs, "blob"), units::bytes(sent_bytes)));
    let request = CreateRequest {
        request_id: session.next_request_id(),
        name: submission.name.clone(),
        bindings_document: document::write(&file.bindings),
        tree: submission.tree.clone(),
        git_document: begun.map(|begun| document::write(&begun.root)).unwrap_or_default(),
    };
    let created = client.campaigns().create(request).await?.into_inner();
    if !secrets.is_empty() {
        let secrets = secrets.into_iter().collect();
        let request = GiveSecretsRequest { campaign: created.campaign.clone(), secrets };
        client.campaigns().give_secrets(request).await?;
    }
    session.say(&format!("campaign {}", created.campaign));
    if created.levers_taken > 0 {
        let levers = units::count(u64::from(created.levers_taken), "lever");
        session.say(&format!("{levers} came along from the campaign whose baseline failed [P1]"));
    }
    submission.levers = propose::all(&client, session, &created.campaign, &lever_files, voice).await?;
    submission.levers_taken = created.levers_taken;
    submission.campaign = Some(created.campaign);
    Ok(submission)
}

fn check_levers(session: &Session, files: &[PathBuf], levers: &mut Proposed, blobs: &mut Blobs) {
    for file in files {
        match lever_file::read(file) {
            Ok(read) => {
                session.say(&format!("reads well: {} ({})", file.display(), read.lever.title));
                blobs.extend(read.blobs);
            }
            Err(problem) => levers.refused.push(propose::refused(session, file, &problem)),
        }
    }
}

fn folder_name(dir: &Path) -> String {
    let full = std::fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    full.file_name().map_or("campaign".to_owned(), |name| name.to_string_lossy().into_owned())
}
