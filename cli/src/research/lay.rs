//! Lays a turn's folder out: the working copy, the evidence, the context, the prompt. All of it can be made again,
//! so that a turn that was cut off while it was laid out is laid out anew.

use super::desk::{self, Desk};
use super::evidence;
use super::prompt::{self, Situation};
use super::state::{State, Turn};
use crate::client::Client;
use crate::context::{self, Facts, Form};
use crate::download;
use crate::error::Error;
use crate::extract::{self, Existing, Whose};
use crate::layout;
use crate::listing;
use serde::{Deserialize, Serialize};
use std::path::Path;
use windlass_shared::digest::Digest;
use windlass_shared::path::TreePath;

/// What a context may have: as much as `windlass context` gives by itself.
const CONTEXT_MAX_BYTES: usize = 24 << 10;
/// Files of a turn, by name.
pub const REFUSAL: &str = "refusal.json";
/// The working copy.
pub const WORK: &str = "work";
const PREVIOUS: &str = "previous";
/// What was edited, written when the command is dead.
const EDITED: &str = "edited.json";
/// What in a turn's folder is no part of its answer.
const OURS: [&str; 12] = [
    WORK,
    PREVIOUS,
    EDITED,
    REFUSAL,
    "evidence",
    "tmp",
    "prompt.md",
    "context.json",
    "context.md",
    "output.log",
    "turn.json",
    "usage.json",
];
/// Files of an answer that are put before its researcher again, and the bytes of one: a lever brings no more.
const PARTS_MAX: usize = 256;
/// See [`PARTS_MAX`].
const PART_MAX_BYTES: u64 = 8 << 20;

/// What of a working copy was edited.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Edited {
    /// The tree below it.
    pub base: Option<Digest>,
    /// Editable files that were changed, made or removed.
    pub files: Vec<TreePath>,
}

impl Edited {
    /// Notes it beside the answer.
    pub fn keep(&self, turn: &Path) -> Result<(), Error> {
        let bytes = serde_json::to_vec(self).map_err(|source| Error::Encode { what: EDITED, source })?;
        desk::put(&turn.join(EDITED), &bytes)
    }

    fn read(turn: &Path) -> Self {
        let bytes = std::fs::read(turn.join(EDITED)).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }
}

/// Lays it out for a researcher, empty before.
pub async fn turn(
    client: &Client,
    desk: &Desk,
    researcher: &str,
    state: &State,
    turn: &Turn,
) -> Result<(), Error> {
    let folder = desk.turn(turn.number);
    // The refusal was written when the turn was decided on.
    let refusal = std::fs::read(folder.join(REFUSAL)).ok();
    desk.clear(turn.number)?;
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).map_err(|source| Error::File { operation: "write", path, source })
    };
    if let Some(bytes) = &refusal {
        write(REFUSAL, bytes)?;
    }
    let facts = seen_by(researcher, context::gather(client, &state.campaign).await?);
    work(client, &facts, turn, &folder.join(WORK)).await?;
    if let Some(previous) = turn.previous {
        before(&desk.turn(previous), &folder, turn.base)?;
    }
    let iterations = evidence::of(&facts.story, turn.iteration);
    layout::lay_out_some(client, &facts.story, &iterations, &folder.join("evidence")).await?;
    write("context.json", context::write(&facts, Form::Json, CONTEXT_MAX_BYTES).as_bytes())?;
    write("context.md", context::write(&facts, Form::Markdown, CONTEXT_MAX_BYTES).as_bytes())?;
    write("prompt.md", words(&facts, state, turn).as_bytes())
}

/// What one researcher sees: what the others work on, not that it is at work itself.
pub fn seen_by(researcher: &str, mut facts: Facts) -> Facts {
    facts.claims.retain(|view| view.claim.researcher != researcher);
    facts
}

/// The prompt of a turn.
pub fn words(facts: &Facts, state: &State, turn: &Turn) -> String {
    let best = facts.view.best.as_ref().and_then(|best| best.metric.as_ref());
    prompt::write(&Situation {
        ask: turn.ask,
        iteration: turn.iteration,
        dry: state.dry,
        repairs: turn.repairs,
        has_company: !facts.claims.is_empty() || facts.story.bindings.windlass.lanes > 1,
        story: &facts.story,
        best: best.map_or("not measured", |metric| metric.text()),
    })
}

async fn work(client: &Client, facts: &Facts, turn: &Turn, folder: &Path) -> Result<(), Error> {
    desk::make(folder)?;
    let manifest = download::manifest(client, turn.base).await?;
    let items = listing::of_tree_alone(&manifest);
    let items: Vec<_> = items.iter().map(|item| (item.path.clone(), item)).collect();
    let whose = Whose { campaign: facts.story.campaign.to_string(), iteration: turn.iteration };
    extract::folder(client, &whose, &items, folder, Existing::Keep).await.map(drop)
}

/// Puts the answer that was refused beside the working copy, and its edits into it where they belong there: the
/// same tree lies below both.
fn before(old: &Path, new: &Path, base: Digest) -> Result<(), Error> {
    let to = new.join(PREVIOUS);
    desk::make(&to)?;
    let ours =
        |entry: &ignore::DirEntry| entry.depth() != 1 || !OURS.iter().any(|name| entry.file_name() == *name);
    let walk = ignore::WalkBuilder::new(old).standard_filters(false).filter_entry(ours).build();
    let files = walk.flatten().filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()));
    for entry in files.take(PARTS_MAX) {
        let is_small = entry.metadata().is_ok_and(|found| found.len() <= PART_MAX_BYTES);
        if let (true, Ok(inside)) = (is_small, entry.path().strip_prefix(old)) {
            copy(entry.path(), &to.join(inside))?;
        }
    }
    let edited = Edited::read(old);
    if edited.base != Some(base) {
        return Ok(());
    }
    for path in &edited.files {
        let (from, to) = (old.join(WORK).join(path.as_str()), new.join(WORK).join(path.as_str()));
        if std::fs::symlink_metadata(&from).is_ok_and(|found| found.is_file()) {
            copy(&from, &to)?;
        } else if let Err(problem) = std::fs::remove_file(&to)
            && problem.kind() != std::io::ErrorKind::NotFound
        {
            return Err(Error::File { operation: "remove", path: to, source: problem });
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    desk::make(to.parent().unwrap_or(Path::new(".")))?;
    std::fs::copy(from, to).map(drop).map_err(|source| Error::File {
        operation: "copy",
        path: from.to_owned(),
        source,
    })
}
