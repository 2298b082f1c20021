//! `windlass claim C`: what each of several researchers works on, and for how long still.

use crate::args::Dry;
use crate::client::Client;
use crate::error::Error;
use crate::render::table::{Column, Table};
use crate::render::text::neutral;
use crate::render::units;
use crate::session::Session;
use serde::Serialize;
use windlass_proto::document;
use windlass_proto::v1::ClaimRequest;
use windlass_shared::claim::{Claim, ClaimView};
use windlass_shared::path::TreePath;
use windlass_shared::time::Span;

/// What is claimed, if anything is.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Campaign: id, name, or a unique prefix of either
    #[arg(value_name = "C")]
    pub campaign: String,
    /// What you work on, in a line; without it claims are only listed
    #[arg(long, value_name = "TEXT")]
    pub about: Option<String>,
    /// A dimension that your lever will measure; may be given several times
    #[arg(long, value_name = "D", requires = "about")]
    pub dimension: Vec<String>,
    /// An editable file that your lever will touch; may be given several times
    #[arg(long, value_name = "PATH", requires = "about", value_parser = path)]
    pub file: Vec<TreePath>,
    /// How long it holds, at most a day; it is over when you propose, too
    #[arg(long = "for", value_name = "SPAN", default_value = "30 min", value_parser = Span::parse)]
    pub span: Span,
    /// Give your claim back
    #[arg(long, conflicts_with = "about")]
    pub release: bool,
    #[command(flatten)]
    pub dry: Dry,
}

fn path(text: &str) -> Result<TreePath, String> {
    TreePath::parse(text).map_err(|problem| problem.to_string())
}

/// What all work on: `windlass.claims/1`.
#[derive(Debug, Serialize)]
struct Listing {
    campaign: String,
    claims: Vec<ClaimView>,
}

/// Takes a claim for so long; what all work on then.
///
/// # Errors
/// What another has claimed, with that one named (P39).
pub async fn take(
    client: &Client,
    campaign: &str,
    claim: &Claim,
    span_ms: u64,
) -> Result<Vec<ClaimView>, Error> {
    ask(client, campaign, Some(claim), span_ms).await
}

/// What all work on now.
///
/// # Errors
/// Those of the coordinator.
pub async fn list(client: &Client, campaign: &str) -> Result<Vec<ClaimView>, Error> {
    ask(client, campaign, None, 0).await
}

async fn ask(
    client: &Client,
    campaign: &str,
    claim: Option<&Claim>,
    span_ms: u64,
) -> Result<Vec<ClaimView>, Error> {
    let claim_document = claim.map(document::write).unwrap_or_default();
    let request = ClaimRequest { campaign: campaign.to_owned(), claim_document, span_ms };
    let answer = client.campaigns().claim(request).await?.into_inner();
    read(&answer.claim_documents)
}

/// Claims as they come over the wire.
pub fn read(documents: &[impl AsRef<[u8]>]) -> Result<Vec<ClaimView>, Error> {
    let read = |bytes: &[u8]| document::read("claim_documents", bytes).map_err(Error::from);
    documents.iter().map(|bytes| read(bytes.as_ref())).collect()
}

/// Claims, gives back, or lists.
pub async fn run(args: Args, session: &Session) -> Result<(), Error> {
    let session = &session.asking(args.dry);
    let client = Client::connect(session).await?;
    let claims = match (args.about, args.release) {
        (None, false) => list(&client, &args.campaign).await?,
        (about, is_release) => {
            let missing = || Error::Input {
                message: "a claim is somebody's, and nobody says whose".to_owned(),
                remedy: "give a name with --researcher, or in WINDLASS_RESEARCHER".to_owned(),
            };
            let claim = Claim {
                researcher: session.researcher.clone().ok_or_else(missing)?,
                about: about.unwrap_or_else(|| "nothing".to_owned()),
                dimensions: args.dimension,
                files: args.file,
            };
            // 0 gives back, and a claim is for some time.
            let span_ms = if is_release { 0 } else { args.span.ms.max(1) };
            take(&client, &args.campaign, &claim, span_ms).await?
        }
    };
    if session.is_json() {
        return session.json("windlass.claims/1", &Listing { campaign: args.campaign, claims });
    }
    session.print(&page(&claims, session.width()))
}

fn page(claims: &[ClaimView], width: u16) -> String {
    if claims.is_empty() {
        return "nobody has claimed anything\n".to_owned();
    }
    let columns = ["researcher", "for", "dimensions", "files"].map(Column::new);
    let [researcher, left, dimensions, files] = columns;
    let mut table = Table::new(
        width,
        [researcher, Column::new("works on").wraps(), left, dimensions.wraps(), files.wraps()],
    );
    for ClaimView { claim, left_ms } in claims {
        let left = units::duration(*left_ms);
        let dimensions = claim.dimensions.join(", ");
        let files = claim.files.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let row = [&neutral(&claim.researcher), &neutral(&claim.about), &left, &dimensions, &files];
        table.row(row.map(|cell| cell.into()));
    }
    table.render()
}
