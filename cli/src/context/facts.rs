//! What a context is made of, asked of the coordinator through the calls that the pages use.

use crate::client::Client;
use crate::command::{claim, lever, status};
use crate::download::{self, Contents};
use crate::error::Error;
use crate::history::{self, Attempt, Iteration, Story};
use crate::render::fold::{Fold, Look};
use crate::render::text::is_text;
use std::collections::BTreeMap;
use windlass_proto::v1::{GetRequest, ReadLogRequest};
use windlass_shared::attempt::Outcome;
use windlass_shared::claim::ClaimView;
use windlass_shared::digest::Digest;
use windlass_shared::id::IterationNumber;
use windlass_shared::tree::Node;
use windlass_shared::view::{CampaignView, LeverView};

/// Files of one iteration whose beginnings are fetched, and the size up to which they are: what a script
/// writes for an anchor is small, and more would not be shown.
const FILES_MAX: usize = 64;
/// See [`FILES_MAX`].
const FILE_MAX_BYTES: u64 = 256 << 10;
/// Bytes fetched for all of them together.
const FETCHED_MAX_BYTES: u64 = 4 << 20;
/// Bytes of a log's end: more lines than a context of the usual size tells of one.
const LOG_END_BYTES: u64 = 16 << 10;

/// A file that an anchor can cite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Whose.
    pub iteration: IterationNumber,
    /// As an anchor names it: relative to `results/`, or `run.log`.
    pub path: String,
    /// How large it is.
    pub size_bytes: u64,
    /// Its beginning; of a log its end; none where it is no text, or too large to look at.
    pub text: Option<String>,
}

/// Everything that a context may tell.
#[derive(Debug)]
pub struct Facts {
    /// The campaign's page.
    pub view: CampaignView,
    /// Its levers: the queue in order, then the rest, newest first.
    pub levers: Vec<LeverView>,
    /// Its story.
    pub story: Story,
    /// Dimensions that were measured (P13).
    pub dimensions: Vec<String>,
    /// What its researchers work on.
    pub claims: Vec<ClaimView>,
    /// Evidence of the latest analysed iteration and of the best.
    pub files: Vec<File>,
    /// Evidence that could not be listed, and why.
    pub trouble: Option<String>,
    /// The command that shows a context of the largest size.
    pub whole: String,
}

impl Facts {
    /// The latest iteration of which a deliverable was accepted: what the next lever is grounded on.
    pub fn analysed(&self) -> Option<&Iteration> {
        self.story.iterations.values().rev().find(|iteration| !iteration.accepted.is_empty())
    }
}

/// Asks.
pub async fn gather(client: &Client, campaign: &str) -> Result<Facts, Error> {
    let request = GetRequest { campaign: campaign.to_owned(), dimensions: true };
    let used = client.campaigns().get(request).await?.into_inner();
    let claims = claim::read(&used.claim_documents)?;
    let dimensions = used.dimensions;
    let view = status::get(client, campaign).await?;
    let id = view.campaign.0.clone();
    let levers = lever::list(client, &id).await?;
    let story = history::fetch(client, &id).await?;
    let whole = format!("windlass context {id} --max-bytes {}", super::MAX_BYTES_MAX);
    let (files, trouble) = (Vec::new(), None);
    let mut facts = Facts { view, levers, story, dimensions, claims, files, trouble, whole };
    // A context with a gap is better than none: evidence may have been removed meanwhile.
    match files_of(client, &facts).await {
        Ok(files) => facts.files = files,
        Err(problem) => facts.trouble = Some(problem.to_report().message),
    }
    Ok(facts)
}

/// The evidence of the latest analysed iteration, then of the best where that is another.
async fn files_of(client: &Client, facts: &Facts) -> Result<Vec<File>, Error> {
    let best = facts.story.best_row().map(|(iteration, _)| iteration);
    let analysed = facts.analysed();
    let other = best.filter(|best| Some(best.number) != analysed.map(|latest| latest.number));
    let mut files = Vec::new();
    for iteration in analysed.into_iter().chain(other) {
        files.extend(of_iteration(client, iteration).await?);
    }
    Ok(files)
}

async fn of_iteration(client: &Client, iteration: &Iteration) -> Result<Vec<File>, Error> {
    let mut files = Vec::new();
    if let Some(results) = iteration.results() {
        let manifest = download::manifest(client, results).await?;
        let of_file = |node: &Node| match node {
            Node::File { digest, .. } => Some(*digest),
            Node::Link { .. } => None,
        };
        let listed: BTreeMap<String, Digest> = manifest
            .entries
            .iter()
            .filter_map(|(path, node)| Some((path.to_string(), of_file(node)?)))
            .collect();
        let contents = beginnings(client, listed.values()).await?;
        files.extend(listed.into_iter().map(|(path, digest)| File {
            iteration: iteration.number,
            path,
            size_bytes: digest.size_bytes,
            text: contents.get(&digest).filter(|bytes| is_text(bytes)).map(|bytes| text(bytes)),
        }));
    }
    if let Some((attempt, outcome)) = iteration.logged() {
        files.push(File {
            iteration: iteration.number,
            path: "run.log".to_owned(),
            size_bytes: outcome.log_bytes,
            text: log_end(client, attempt, outcome).await,
        });
    }
    Ok(files)
}

/// The end of a run's log; none where it cannot be read, which is no reason to tell nothing of the rest.
async fn log_end(client: &Client, attempt: &Attempt, outcome: &Outcome) -> Option<String> {
    if !outcome.log_tail.is_empty() || outcome.log_bytes == 0 {
        return Some(outcome.log_tail.clone());
    }
    let id = &attempt.order.key.id;
    let offset = outcome.log_bytes.saturating_sub(LOG_END_BYTES);
    let request = ReadLogRequest {
        campaign: id.campaign.0.clone(),
        iteration: id.iteration.0,
        attempt: id.number,
        offset,
        ..ReadLogRequest::default()
    };
    let mut stream = client.logs().read_log(request).await.ok()?.into_inner();
    let mut bytes = Vec::new();
    while let Some(piece) = stream.message().await.ok()? {
        bytes.extend_from_slice(&piece.data);
        if bytes.len() as u64 > LOG_END_BYTES {
            break;
        }
    }
    // It begins in the middle of a line.
    let whole = bytes.iter().position(|&byte| byte == b'\n').filter(|_| offset > 0).map_or(0, |at| at + 1);
    let mut fold = Fold::new(Look::Whole);
    let text = fold.push(&bytes[whole..]) + &fold.finish();
    Some(text)
}

/// The files that are small enough, as many as have room.
async fn beginnings(client: &Client, digests: impl Iterator<Item = &Digest>) -> Result<Contents, Error> {
    let mut left = FETCHED_MAX_BYTES;
    let mut wanted = Vec::new();
    for digest in digests.filter(|digest| (1..=FILE_MAX_BYTES).contains(&digest.size_bytes)).take(FILES_MAX) {
        match left.checked_sub(digest.size_bytes) {
            Some(rest) => left = rest,
            None => break,
        }
        wanted.push(*digest);
    }
    download::blobs(client, wanted).await
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
