//! The user's copy (PROTOCOL, "Layout of the user's copy"): a projection of the ledger, which can be
//! deleted and made again with the same bytes (P30). Never deletes anything, never reads it back.

mod approaches;
mod documents;
mod files;
mod iteration;

pub use documents::yaml;
pub use files::{Writes, place, write_file};

use crate::client::Client;
use crate::corpus_tsv;
use crate::error::Error;
use crate::history::Story;
use crate::results_tsv;
use files::Folder;
use std::path::Path;
use windlass_shared::bindings::Dial;
use windlass_shared::id::IterationNumber;

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Files of the copy.
    pub files: usize,
    /// Of them, those that were new or had changed.
    pub written: usize,
}

/// Lays out some iterations, open ones too, beside the rows: what a researcher needs at hand.
pub async fn lay_out_some(
    client: &Client,
    story: &Story,
    iterations: &[IterationNumber],
    dir: &Path,
) -> Result<(), Error> {
    let mut folder = Folder::new(dir, Writes::Done);
    let bindings = documents::yaml(&story.bindings)?;
    for iteration in iterations.iter().filter_map(|number| story.iterations.get(number)) {
        iteration::lay_out(client, story, iteration, &bindings, &mut folder).await?;
    }
    if story.bindings.literature == Dial::On {
        folder.put("corpus.tsv", corpus_tsv::render(&story.findings).as_bytes())?;
    }
    folder.put("results.tsv", results_tsv::render(story).as_bytes())
}

/// Lays out every decided iteration, and the rows.
pub async fn lay_out(client: &Client, story: &Story, dir: &Path, writes: Writes) -> Result<Done, Error> {
    let mut folder = Folder::new(dir, writes);
    let bindings = documents::yaml(&story.bindings)?;
    folder.put("loop.run.yaml", bindings.as_bytes())?;
    for (iteration, _) in story.rows() {
        iteration::lay_out(client, story, iteration, &bindings, &mut folder).await?;
    }
    if let Some(approaches) = approaches::render(story) {
        folder.put("approaches.md", approaches.as_bytes())?;
    }
    if story.bindings.literature == Dial::On {
        folder.put("literature/corpus.tsv", corpus_tsv::render(&story.findings).as_bytes())?;
    }
    // Last, so that a row's folder is there before the row.
    folder.put("results.tsv", results_tsv::render(story).as_bytes())?;
    Ok(folder.done())
}
