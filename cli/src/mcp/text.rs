//! Tools that read texts which a run or a lever brought: logs, files, diffs. Page by page, marked as data.

use super::input::{Diff, File, Log};
use super::output::{DATA, PAGE_BYTES, Page, encode, invalid, list, offset, plain};
use crate::client::Client;
use crate::command::{diff, get, show};
use crate::error::Error;
use crate::extract::Whose;
use crate::history;
use crate::listing::{self, Found, Item};
use crate::render::fold::{Fold, Look};
use crate::render::text::is_text;
use crate::session::Session;
use serde_json::{Value, json};
use windlass_proto::v1::ReadLogRequest;

/// Lines of a log's end that may be asked for.
const TAIL_MAX: u32 = 1_000;
/// Lines of a log's end when nothing is said.
const TAIL_DEFAULT: u32 = 100;
/// A file that is longer is read by `windlass get`: each page fetches it whole, to check its digest.
const FILE_MAX_BYTES: u64 = 32 << 20;

/// A stretch of a run's log, or the lines of it that match.
pub async fn log(input: Log, session: &Session) -> Result<Value, Error> {
    if input.tail.is_some_and(|lines| !(1..=TAIL_MAX).contains(&lines)) {
        return Err(invalid(format!("tail is 1 to {TAIL_MAX} lines"), "ask for fewer, or go on by a cursor"));
    }
    let asked = [input.tail.is_some(), input.grep.is_some(), input.cursor.is_some()];
    if asked.into_iter().filter(|is| *is).count() > 1 {
        let message = "tail, grep and cursor exclude each other".to_owned();
        return Err(invalid(message, "give one of them"));
    }
    let client = Client::connect(session).await?;
    match input.grep {
        Some(grep) => matching(&client, input.campaign, input.iteration, input.attempt, grep).await,
        None => stretch(&client, input).await,
    }
}

async fn stretch(client: &Client, input: Log) -> Result<Value, Error> {
    let start = offset(input.cursor.as_deref())? as u64;
    let is_tail = input.cursor.is_none();
    let tail_lines = if is_tail { input.tail.unwrap_or(TAIL_DEFAULT) } else { 0 };
    let request = ReadLogRequest {
        campaign: input.campaign,
        iteration: input.iteration,
        attempt: input.attempt,
        offset: start,
        tail_lines,
        follow: false,
        grep: String::new(),
    };
    let mut stream = client.logs().read_log(request).await?.into_inner();
    // The kept bytes and where they begin: of a tail the end counts, else the beginning.
    let (mut bytes, mut begins_at, mut is_whole) = (Vec::new(), start, true);
    while let Some(piece) = stream.message().await? {
        if bytes.is_empty() {
            begins_at = piece.offset;
        }
        bytes.extend_from_slice(&piece.data);
        if bytes.len() <= PAGE_BYTES {
            continue;
        }
        is_whole = false;
        if is_tail {
            begins_at += (bytes.len() - PAGE_BYTES) as u64;
            bytes.drain(..bytes.len() - PAGE_BYTES);
        } else {
            bytes.truncate(PAGE_BYTES);
            break;
        }
    }
    let ends_at = begins_at + bytes.len() as u64;
    let mut fold = Fold::new(Look::Whole);
    let text = fold.push(&bytes) + &fold.finish();
    encode(&json!({
        "data": DATA,
        "iteration": input.iteration,
        "begins_at": begins_at,
        "text": text,
        "is_whole": is_whole,
        // Reading on from here shows what the run wrote since.
        "next_cursor": ends_at.to_string(),
    }))
}

async fn matching(
    client: &Client,
    campaign: String,
    iteration: u32,
    attempt: u32,
    grep: String,
) -> Result<Value, Error> {
    let request =
        ReadLogRequest { campaign, iteration, attempt, offset: 0, tail_lines: 0, follow: false, grep };
    let mut stream = client.logs().read_log(request).await?.into_inner();
    let (mut lines, mut bytes, mut more) = (Vec::new(), 0, false);
    while let Some(piece) = stream.message().await? {
        more |= piece.more;
        bytes += piece.data.len();
        if bytes > PAGE_BYTES {
            more = true;
            break;
        }
        lines.push(json!({"line": piece.line, "text": plain(&String::from_utf8_lossy(&piece.data))}));
    }
    Ok(json!({"data": DATA, "iteration": iteration, "lines": lines, "more": more}))
}

/// The files of an iteration, or one of them page by page.
pub async fn file(input: File, session: &Session) -> Result<Value, Error> {
    let client = Client::connect(session).await?;
    let story = history::fetch(&client, &input.campaign).await?;
    let iteration = show::find(&story, input.iteration)?;
    let items = listing::of(&client, &story, iteration).await?;
    let Some(path) = &input.path else {
        return names(&items.iter().collect::<Vec<_>>(), input.cursor.as_deref());
    };
    listing::refuse_removed(iteration, path)?;
    let item = match listing::find(&items, path, &format!("iteration {}", input.iteration))? {
        Found::File(item) => item,
        Found::Folder(within) => {
            let within: Vec<&Item> = within.into_iter().map(|(_, item)| item).collect();
            return names(&within, input.cursor.as_deref());
        }
    };
    if item.size_bytes.is_some_and(|bytes| bytes > FILE_MAX_BYTES) {
        let message = format!("{path} has more than 32 MiB");
        return Err(invalid(
            message,
            "`windlass get C N PATH -o FILE` writes it to a file; for a log use `log`",
        ));
    }
    let whose = Whose { campaign: story.campaign.to_string(), iteration: input.iteration };
    let bytes = get::hold(&client, &whose, item).await?;
    if !is_text(&bytes) {
        return Err(invalid(
            format!("{path} is no text"),
            "`windlass get C N PATH -o FILE` writes it to a file",
        ));
    }
    encode(&Page::of(&String::from_utf8_lossy(&bytes), input.cursor.as_deref())?)
}

fn names(items: &[&Item], cursor: Option<&str>) -> Result<Value, Error> {
    let files: Vec<Value> = items
        .iter()
        .map(|item| {
            let standing = item.standing.map(|standing| standing.as_str());
            json!({"path": item.path, "size_bytes": item.size_bytes, "standing": standing})
        })
        .collect();
    let (files, next_cursor) = list(&files, cursor)?;
    Ok(json!({"data": DATA, "files": files, "next_cursor": next_cursor}))
}

/// What an iteration changed.
pub async fn diff(input: Diff, session: &Session) -> Result<Value, Error> {
    let client = Client::connect(session).await?;
    let (change, _) = diff::of(&client, &input.campaign, input.iteration).await?;
    let page = Page::of(&change.diff, input.cursor.as_deref())?;
    encode(&json!({
        "campaign": change.campaign,
        "iteration": change.iteration,
        "parent": change.parent,
        "net_lines": change.net_lines,
        "data": page.data,
        "text": page.text,
        "next_cursor": page.next_cursor,
    }))
}
