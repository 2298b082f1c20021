//! `windlass get C N PATH`: one file or folder of an iteration.

use super::show;
use crate::client::Client;
use crate::download;
use crate::error::Error;
use crate::extract::{self, Existing, Whose};
use crate::history;
use crate::listing::{self, Content, Found, Item};
use crate::render::text::{is_text, neutral_block};
use crate::render::units;
use crate::session::Session;
use serde::Serialize;
use std::path::PathBuf;

/// What standard output may be given in one piece; more than that belongs into a file.
const HELD_MAX_BYTES: u64 = 1 << 30;

/// Which file, and where to.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Campaign: id, name, or a unique prefix of either
    #[arg(value_name = "C")]
    pub campaign: String,
    /// The iteration's number
    #[arg(value_name = "N", value_parser = crate::nearest::iteration)]
    pub iteration: u32,
    /// As `files` lists it: a path of the tree, results/…, artifacts/…, run.log, or a folder of them
    #[arg(value_name = "PATH")]
    pub path: String,
    /// Write it here; `-` is standard output [default: standard output, for a folder its own name]
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write over what is there
    #[arg(long)]
    pub force: bool,
}

#[derive(Serialize)]
struct Got {
    campaign: String,
    iteration: u32,
    path: String,
    file: Option<String>,
    files: u64,
    bytes: u64,
    skipped: Vec<String>,
    text: Option<String>,
}

/// Fetches it.
pub async fn run(args: Args, session: &Session) -> Result<(), Error> {
    let client = Client::connect(session).await?;
    let story = history::fetch(&client, &args.campaign).await?;
    let iteration = show::find(&story, args.iteration)?;
    listing::refuse_removed(iteration, &args.path)?;
    let items = listing::of(&client, &story, iteration).await?;
    let whose = Whose { campaign: story.campaign.to_string(), iteration: args.iteration };
    let existing = if args.force { Existing::Replace } else { Existing::Keep };
    let mut got = Got {
        campaign: whose.campaign.clone(),
        iteration: args.iteration,
        path: args.path.clone(),
        file: None,
        files: 1,
        bytes: 0,
        skipped: Vec::new(),
        text: None,
    };
    let is_stdout = args.out.as_ref().is_none_or(|out| out.as_os_str() == "-");
    match listing::find(&items, &args.path, &format!("iteration {}", args.iteration))? {
        Found::File(item) if is_stdout => {
            let bytes = hold(&client, &whose, item).await?;
            if !session.is_json() {
                return print(session, item, &bytes);
            }
            got.bytes = bytes.len() as u64;
            got.text = String::from_utf8(bytes).ok();
        }
        Found::File(item) => {
            let out = args.out.unwrap_or_default();
            let out = if out.is_dir() { out.join(last_part(&item.path)) } else { out };
            got.bytes = extract::file(&client, &whose, item, &out, existing).await?;
            got.file = Some(out.display().to_string());
        }
        Found::Folder(within) => {
            let out = args.out.filter(|_| !is_stdout).unwrap_or_else(|| last_part(&args.path).into());
            let written = extract::folder(&client, &whose, &within, &out, existing).await?;
            (got.files, got.bytes, got.skipped) = (written.files, written.bytes, written.skipped);
            got.file = Some(out.display().to_string());
        }
    }
    if session.is_json() {
        return session.json("windlass.got/1", &got);
    }
    for link in &got.skipped {
        session.say(&format!("left out {link}: a link that leads elsewhere"));
    }
    let (files, bytes) = (units::count(got.files, "file"), units::bytes(got.bytes));
    session.say(&format!("wrote {}: {files}, {bytes}", got.file.unwrap_or_default()));
    Ok(())
}

fn last_part(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("tree")
}

/// A file's bytes, whole and checked before the first is shown.
pub async fn hold(client: &Client, whose: &Whose, item: &Item) -> Result<Vec<u8>, Error> {
    if item.size_bytes.is_some_and(|bytes| bytes > HELD_MAX_BYTES) {
        let size = units::bytes(HELD_MAX_BYTES);
        return Err(Error::TooLarge { path: item.path.clone(), size });
    }
    match &item.content {
        Some(Content::Blob { digest, .. }) if digest.size_bytes == 0 => Ok(Vec::new()),
        Some(Content::Blob { digest, .. }) => download::blob(client, *digest).await,
        Some(Content::Log { attempt }) => {
            let mut bytes = Vec::new();
            extract::log_pieces(client, whose, *attempt, |piece| {
                bytes.extend_from_slice(piece);
                Ok(())
            })
            .await?;
            Ok(bytes)
        }
        Some(Content::Link { target }) => Ok(format!("{target}\n").into_bytes()),
        None => Ok(Vec::new()),
    }
}

/// A pipe gets the bytes as they are; a terminal is shown safe text, and nothing of a binary file.
fn print(session: &Session, item: &Item, bytes: &[u8]) -> Result<(), Error> {
    if !session.is_live() {
        return session.raw(bytes);
    }
    if !is_text(bytes) {
        return Err(Error::NoText { path: item.path.clone() });
    }
    session.print(&neutral_block(&String::from_utf8_lossy(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_folder_keeps_its_own_name() {
        for (path, want) in
            [("results", "results"), ("results/figures/", "figures"), ("./", "."), ("", "tree")]
        {
            assert_eq!(Path::new(last_part(path)), Path::new(want), "{path:?}");
        }
    }
}
