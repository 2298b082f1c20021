//! Brings the user's repository up to date with the ledger: objects first, then all references at once. What is
//! checked out is left alone unless it was asked for.

use super::repository::{GitError, Repository};
use super::{Commits, beside};
use crate::error::Error;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// `autoresearch/<run_tag>`.
    pub branch: String,
    /// Its commit: the best; none before anything was kept.
    pub tip: Option<String>,
    /// Commits on it and beside it.
    pub commits: usize,
    /// Objects that the repository lacked.
    pub written: usize,
    /// Whether its files were laid out.
    pub checked_out: bool,
    /// Where it is checked out, so that it was not moved.
    pub left: Option<PathBuf>,
}

/// Writes commits and moves references in the repository of a folder.
pub fn keep(dir: &Path, campaign: &str, commits: &Commits, check_out: bool) -> Result<Kept, Error> {
    let repository = Repository::find(dir)?;
    if !repository.has_commit(&commits.root)? {
        let (head, campaign) = (commits.root.to_string(), campaign.to_owned());
        return Err(GitError::OtherRepository { dir: dir.to_owned(), head, campaign }.into());
    }
    if check_out && !repository.has_working_tree() {
        return Err(GitError::NoRepository { dir: dir.to_owned() }.into());
    }
    let chain = commits.chain();
    let tip = chain.last().copied().filter(|_| chain.len() > 1);
    if check_out && tip.is_none() {
        return Err(GitError::NothingKept { campaign: campaign.to_owned() }.into());
    }
    let (branch, beside) = (commits.branch(), beside(&commits.tag));
    let there = repository.references(&[&branch, &beside])?;
    let at = |name: &str| there.iter().find(|(found, _)| found == name).map(|(_, id)| id.clone());
    let foreign = |reference: &str, found: &str| GitError::Foreign {
        reference: reference.to_owned(),
        found: found.to_owned(),
        campaign: campaign.to_owned(),
    };
    let mut moves = Vec::new();
    for commit in commits.all.iter().filter(|commit| !commit.is_kept) {
        let name = format!("{beside}iter{}", commit.iteration);
        match at(&name) {
            None => moves.push((name, commit.id.clone(), None)),
            Some(found) if found == commit.id.to_string() => {}
            Some(found) => return Err(foreign(&name, &found).into()),
        }
    }
    let before = at(&branch);
    if let Some(found) = &before
        && !chain.iter().any(|id| id.to_string() == *found)
    {
        return Err(foreign(&branch, found).into());
    }
    let is_due = tip.filter(|tip| before.as_ref() != Some(&tip.to_string()));
    let place = if is_due.is_some() { repository.checked_out_in(&branch)? } else { None };
    // Git moves it with its files, or not at all.
    let moves_with_files = check_out && repository.is_on(&branch);
    if let Some(tip) = is_due.filter(|_| place.is_none() && !moves_with_files) {
        moves.push((branch.clone(), tip.clone(), before));
    }
    let objects: Vec<_> = commits.all.iter().flat_map(|commit| &commit.objects).collect();
    let written = repository.write(&objects)?;
    repository.move_references(&moves)?;
    if let Some(tip) = tip.filter(|_| check_out) {
        repository.check_out(&branch, tip)?;
    }
    Ok(Kept {
        branch: branch.trim_start_matches("refs/heads/").to_owned(),
        tip: tip.map(ToString::to_string),
        commits: commits.all.len(),
        written,
        checked_out: check_out,
        left: place.filter(|_| !moves_with_files),
    })
}
