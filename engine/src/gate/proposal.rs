//! What is known of a proposed lever: its change on its base, its anchor's evidence, and everything that is
//! wrong with it, all at once.

use super::contents::Contents;
use super::editable::Editable;
use super::epochs::apply_held;
use super::facts::{
    Fetched, Lacking, Logs, Look, ProposalFacts, ProposalWanted, Rejected, blob, keep, look, merge_onto,
    need, tree,
};
use super::fix::{Beside, held, is_misfit, put_on};
use super::numstat;
use super::patch::{Applied, Patch};
use super::{guard, lever as form};
use std::collections::{BTreeMap, BTreeSet};
use windlass_shared::digest::{Digest, Hash};
use windlass_shared::lever::{Change, Edit, Kind};
use windlass_shared::path::TreePath;
use windlass_shared::refusal::Refusal;
use windlass_shared::tree::{Manifest, Node};

/// A change that could be made.
struct Made {
    base: Digest,
    diff: Hash,
    merged: Option<Digest>,
    sketch: BTreeSet<u64>,
    applied: Applied,
}

/// Gathers a proposed lever's facts; with them, the new blobs to be stored before its record.
///
/// # Errors
/// What is to be fetched first, or all that is wrong with the lever ([`Lacking::Rejected`]).
pub fn gather_proposal(
    wanted: &ProposalWanted,
    fetched: &Fetched,
) -> Result<(ProposalFacts, Contents), Lacking> {
    let lever = &wanted.lever;
    let editable = Editable::new(&wanted.editable)?;
    let mut problems = form::problems(lever, &editable);
    let made = make(wanted, &editable, fetched, &mut problems)?;
    // A pattern that is none finds nothing: that was said already.
    let anchor = lever.anchor.as_ref().filter(|anchor| super::anchor::check_form(anchor).is_ok());
    let look = look(anchor, wanted.evidence.as_ref(), fetched)?;
    let evidence = wanted.evidence.as_ref().map(|evidence| evidence.iteration);
    match made {
        Some(made) if problems.is_empty() => {
            let mut new = made.applied.blobs;
            let changed = keep(&made.applied.manifest, &mut new);
            let facts = ProposalFacts {
                parent: wanted.parent,
                evidence,
                base: made.base,
                changed,
                diff: made.diff,
                merged: made.merged,
                sketch: made.sketch,
                look,
                cited: Vec::new(),
            };
            Ok((facts, new))
        }
        made => {
            let look = if anchor.is_some() { look } else { Look::NotLooked };
            let (diff, merged) = (made.as_ref().map(|made| made.diff), made.and_then(|made| made.merged));
            Err(Lacking::Rejected(Box::new(Rejected { problems, evidence, diff, merged, look })))
        }
    }
}

/// Makes the change, and adds what is wrong with it. A change that breaks P2 or P3 is looked at no
/// further: what it would give was never tried.
fn make(
    wanted: &ProposalWanted,
    editable: &Editable,
    fetched: &Fetched,
    problems: &mut Vec<Refusal>,
) -> Result<Option<Made>, Lacking> {
    let parent = tree(wanted.parent, fetched)?;
    let (base_digest, base, applied) = match change(wanted, &parent, fetched) {
        Ok(made) => made,
        Err(Lacking::Refused(refusal)) => {
            problems.push(refusal);
            return Ok(None);
        }
        Err(lacking) => return Err(lacking),
    };
    let found = guard::change_problems(&base, &applied.manifest, editable, &wanted.lever.files);
    let is_within = found.iter().all(|problem| matches!(problem, Refusal::Undeclared { .. }));
    for problem in found {
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
    if !is_within {
        return Ok(None);
    }
    let mut sight = fetched.blobs.clone();
    sight.extend(applied.blobs.clone());
    need(numstat::blobs_needed(&base, &applied.manifest), &sight)?;
    let net_lines = numstat::net_lines(&base, &applied.manifest, editable, &sight);
    if wanted.lever.kind == Kind::Simplification && net_lines >= 0 {
        problems.push(Refusal::NotSimpler { net_lines });
    }
    if let Some(patch) = wanted.lever.instrumentation {
        let fetched = Fetched { blobs: sight.clone(), logs: Logs::new() };
        let beside = Beside { cap: wanted.cap.as_ref(), editable };
        match put_on(patch, &applied.manifest, None, beside, &fetched) {
            Ok(_) => {}
            Err(Lacking::Refused(refusal)) => problems.push(refusal),
            Err(lacking) => return Err(lacking),
        }
    }
    let diff = numstat::normalised_diff(&base, &applied.manifest, &sight);
    let sketch = numstat::sketch(&base, &applied.manifest, &sight);
    let merged = merge_onto(&parent, &base, &applied.manifest, &sight)?;
    let merged = merged.ok().map(|applied| applied.manifest.digest());
    Ok(Some(Made { base: base_digest, diff, merged, sketch, applied }))
}

/// The base that the lever was written against, and the change on it. A patch that fits the best's tree
/// was written against that; else it must fit the workspace.
fn change(
    wanted: &ProposalWanted,
    parent: &Manifest,
    fetched: &Fetched,
) -> Result<(Digest, Manifest, Applied), Lacking> {
    let cap = wanted.cap.as_ref();
    match &wanted.lever.change {
        Change::Files(files) => {
            let applied = held(cap, edited(parent, files), &fetched.blobs)?;
            Ok((wanted.parent, parent.clone(), applied))
        }
        Change::Patch(digest) => {
            let patch = Patch::parse(blob(*digest, fetched)?)?;
            let refusal = match apply_held(&patch, parent, cap, &fetched.blobs) {
                Ok(applied) => return Ok((wanted.parent, parent.clone(), applied)),
                Err(Lacking::Refused(refusal)) if is_misfit(&refusal) => refusal,
                Err(lacking) => return Err(lacking),
            };
            if wanted.workspace == wanted.parent {
                return Err(refusal.into());
            }
            let workspace = tree(wanted.workspace, fetched)?;
            match apply_held(&patch, &workspace, cap, &fetched.blobs) {
                Ok(applied) => Ok((wanted.workspace, workspace, applied)),
                // The refusal against the best is the one its author can act on.
                Err(Lacking::Refused(other)) if is_misfit(&other) => Err(refusal.into()),
                Err(lacking) => Err(lacking),
            }
        }
    }
}

/// A tree with these files written or gone.
pub(super) fn edited(parent: &Manifest, files: &BTreeMap<TreePath, Edit>) -> Applied {
    let mut manifest = parent.clone();
    for (path, edit) in files {
        match edit {
            Edit::Delete => {
                manifest.entries.remove(path);
            }
            Edit::Write(digest) => {
                let executable =
                    matches!(parent.entries.get(path), Some(Node::File { executable: true, .. }));
                manifest.entries.insert(path.clone(), Node::File { digest: *digest, executable });
            }
        }
    }
    Applied { manifest, blobs: Contents::new() }
}

#[cfg(test)]
#[path = "proposal_tests.rs"]
mod tests;
