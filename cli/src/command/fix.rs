//! `windlass fix C N`: puts a fix on a failed run, which is then run again (P19).

use crate::args::Dry;
use crate::blobs::Blobs;
use crate::client::Client;
use crate::error::Error;
use crate::lever_file;
use crate::session::Session;
use crate::upload;
use serde::Serialize;
use std::path::PathBuf;
use windlass_proto::document;
use windlass_proto::v1::SubmitFixRequest;

/// What to put on which iteration.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Campaign: id, name, or a unique prefix of either
    #[arg(value_name = "C")]
    pub campaign: String,
    /// The iteration's number
    #[arg(value_name = "N")]
    pub iteration: u32,
    /// A unified diff on top of the iteration's own tree
    #[arg(value_name = "PATCH", required_unless_present_any = ["patch", "tree"], conflicts_with_all = ["patch", "tree"])]
    pub file: Option<PathBuf>,
    /// The same, by name
    #[arg(long, value_name = "FILE", conflicts_with = "tree")]
    pub patch: Option<PathBuf>,
    /// A folder with the edited files, in place of a diff
    #[arg(long, value_name = "DIR")]
    pub tree: Option<PathBuf>,
    #[command(flatten)]
    pub dry: Dry,
}

/// What was done: `windlass.fix/1`.
#[derive(Debug, Serialize)]
pub struct Done {
    campaign: String,
    iteration: u32,
    done: &'static str,
}

/// Does it.
pub async fn run(args: Args, session: &Session) -> Result<(), Error> {
    let session = &session.asking(args.dry);
    let done = put(args, session).await?;
    if session.is_json() {
        return session.json("windlass.fix/1", &done);
    }
    session.say(&format!("{}: iteration {} is run again with this fix", done.campaign, done.iteration));
    Ok(())
}

/// Puts it on.
pub async fn put(args: Args, session: &Session) -> Result<Done, Error> {
    let mut blobs = Blobs::default();
    let change = match (args.tree, args.patch.or(args.file)) {
        (Some(tree), _) => lever_file::folder_alone(&tree, &mut blobs)?,
        // Without a folder there is a patch: the parser asks for one of them.
        (None, patch) => lever_file::patch_alone(&patch.unwrap_or_default(), &mut blobs)?,
    };
    let client = Client::connect(session).await?;
    let campaign = super::status::get(&client, &args.campaign).await?.campaign.0;
    upload::missing(&client, &blobs).await?;
    let (request_id, iteration) = (session.next_request_id(), args.iteration);
    let change_document = document::write(&change);
    let request = SubmitFixRequest { request_id, campaign: campaign.clone(), iteration, change_document };
    client.campaigns().submit_fix(request).await?;
    Ok(Done { campaign, iteration, done: "fixed" })
}
