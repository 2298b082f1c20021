//! `windlass show C N`: one iteration, whole.

use crate::client::Client;
use crate::download;
use crate::error::Error;
use crate::history::{self, Account, Iteration, Story};
use crate::render::{iteration, units};
use crate::session::Session;
use serde::Serialize;
use windlass_proto::document;
use windlass_proto::v1::GetIterationRequest;
use windlass_shared::id::IterationNumber;
use windlass_shared::record::Record;
use windlass_shared::tree::Node;

/// Which iteration.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Campaign: id, name, or a unique prefix of either
    #[arg(value_name = "C")]
    pub campaign: String,
    /// The iteration's number
    #[arg(value_name = "N", value_parser = crate::nearest::iteration)]
    pub iteration: u32,
}

#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    account: Account<'a>,
    records: Vec<Record>,
}

/// Shows it.
pub async fn run(args: Args, session: &Session) -> Result<(), Error> {
    let client = Client::connect(session).await?;
    let story = history::fetch(&client, &args.campaign).await?;
    let found = find(&story, args.iteration)?;
    // A page with a gap is better than none.
    let evidence = evidence(&client, found).await.unwrap_or_else(|problem| {
        session.complain(&format!("the evidence cannot be listed:\n  {}", problem.to_report().message));
        Vec::new()
    });
    if !session.is_json() {
        let page = iteration::page(&story, found, &evidence, units::now_ms(), session.width());
        return session.print(&page);
    }
    let records = records(&client, &story, args.iteration).await?;
    let whole = Whole { account: Account::of(&story, found, &evidence), records };
    session.json("windlass.iteration/1", &whole)
}

/// Every record of one iteration, page after page.
async fn records(client: &Client, story: &Story, iteration: u32) -> Result<Vec<Record>, Error> {
    let mut records = Vec::new();
    let mut page_token = String::new();
    loop {
        let campaign = story.campaign.to_string();
        let request = GetIterationRequest { campaign, iteration, page_token };
        let answer = client.campaigns().get_iteration(request).await?.into_inner();
        for bytes in &answer.record_documents {
            records.push(document::read("record_documents", bytes)?);
        }
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            return Ok(records);
        }
    }
}

/// The files that an anchor can cite.
async fn evidence(client: &Client, iteration: &Iteration) -> Result<Vec<String>, Error> {
    let log = iteration.logged().map(|_| "run.log".to_owned());
    let Some(results) = iteration.results() else { return Ok(log.into_iter().collect()) };
    let manifest = download::manifest(client, results).await?;
    let is_file = |node: &Node| matches!(node, Node::File { .. });
    let files = manifest.entries.iter().filter(|(_, node)| is_file(node)).map(|(path, _)| path.to_string());
    Ok(log.into_iter().chain(files).collect())
}

/// An iteration of a story, or the refusal that there is none.
pub fn find(story: &Story, number: u32) -> Result<&Iteration, Error> {
    let missing = || Error::NoIteration {
        number,
        campaign: story.campaign.to_string(),
        latest: story.iterations.keys().last().map(|latest| latest.0),
    };
    story.iterations.get(&IterationNumber(number)).ok_or_else(missing)
}
