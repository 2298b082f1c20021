//! A patch put on a tree that may have moved under it: fixes (P19) and a lever's own instrumentation (P26).

use super::contents::Contents;
use super::editable::Editable;
use super::epochs::{self, CapRule};
use super::facts::{Fetched, FixFacts, FixWanted, Lacking, blob, keep, merge_onto, need, tree};
use super::guard;
use super::numstat;
use super::patch::{Applied, Patch};
use super::proposal::edited;
use windlass_shared::digest::Digest;
use windlass_shared::lever::Change;
use windlass_shared::path::TreePath;
use windlass_shared::refusal::Refusal;
use windlass_shared::tree::Manifest;

/// Gathers a carried fix's facts (P19): a fix touches editable files only.
pub fn gather_fix(wanted: &FixWanted, fetched: &Fetched) -> Result<(FixFacts, Contents), Lacking> {
    let editable = Editable::new(&wanted.editable)?;
    let on = tree(wanted.tree, fetched)?;
    let mut new = Contents::new();
    let applied = match apply_fix(wanted, &on, &editable, fetched) {
        Err(Lacking::Refused(refusal)) => Err(refusal),
        Err(lacking) => return Err(lacking),
        Ok(applied) => {
            let mut sight = fetched.blobs.clone();
            sight.extend(applied.blobs.clone());
            need(numstat::blobs_needed(&on, &applied.manifest), &sight)?;
            // Lines add up, so that those of an instrumentation stay out of the sum.
            let net_lines = wanted.net_lines + numstat::net_lines(&on, &applied.manifest, &editable, &sight);
            new.extend(applied.blobs);
            Ok((keep(&applied.manifest, &mut new), net_lines))
        }
    };
    let facts = FixFacts {
        campaign: wanted.campaign.clone(),
        iteration: wanted.iteration,
        fix: wanted.fix,
        on: wanted.tree,
        applied,
    };
    Ok((facts, new))
}

fn apply_fix(
    wanted: &FixWanted,
    on: &Manifest,
    editable: &Editable,
    fetched: &Fetched,
) -> Result<Applied, Lacking> {
    let cap = wanted.cap.as_ref();
    let beside = Beside { cap, editable };
    let patch = match &wanted.change {
        Change::Patch(patch) => *patch,
        Change::Files(files) => {
            let applied = held(cap, edited(on, files), &fetched.blobs)?;
            let paths: Vec<TreePath> = files.keys().cloned().collect();
            guard::check_change(on, &applied.manifest, editable, &paths)?;
            return Ok(applied);
        }
    };
    if wanted.written_on == wanted.tree {
        return put_on(patch, on, None, beside, fetched);
    }
    // The lever's own tree is looked at only where the patch does not fit as it is.
    let written_on = match fetched.blobs.contains_key(&wanted.written_on) {
        true => tree(wanted.written_on, fetched)?,
        false => match put_on(patch, on, None, beside, fetched) {
            Err(Lacking::Refused(refusal)) if is_misfit(&refusal) => {
                return Err(Lacking::Blobs(vec![wanted.written_on]));
            }
            done => return done,
        },
    };
    put_on(patch, on, Some((&written_on, wanted.written_on)), beside, fetched)
}

/// What a patch is held to.
#[derive(Clone, Copy)]
pub(super) struct Beside<'a> {
    /// The campaign's epoch cap (P17).
    pub cap: Option<&'a CapRule>,
    /// Its editable set (P2).
    pub editable: &'a Editable,
}

/// A patch that a lever brings along put on a tree: as it is, or merged three-way from the tree that it was
/// written on. It touches editable files only.
pub(super) fn put_on(
    patch: Digest,
    on: &Manifest,
    written_on: Option<(&Manifest, Digest)>,
    beside: Beside<'_>,
    fetched: &Fetched,
) -> Result<Applied, Lacking> {
    let patch = Patch::parse(blob(patch, fetched)?)?;
    let applied = match (epochs::apply_held(&patch, on, beside.cap, &fetched.blobs), written_on) {
        (Ok(applied), _) => applied,
        (Err(Lacking::Refused(refusal)), Some((written_on, digest)))
            if on.digest() != digest && is_misfit(&refusal) =>
        {
            held(beside.cap, rebase_patch(&patch, on, written_on, refusal, fetched)?, &fetched.blobs)?
        }
        (Err(lacking), _) => return Err(lacking),
    };
    guard::check_change(on, &applied.manifest, beside.editable, &patch.paths())?;
    Ok(applied)
}

/// Whether a patch was refused because it does not fit its base, and may fit another.
pub(super) fn is_misfit(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Patch { .. })
}

/// A changed tree, held to the campaign's epoch cap if it has one (P17).
pub(super) fn held(cap: Option<&CapRule>, applied: Applied, sight: &Contents) -> Result<Applied, Lacking> {
    match cap {
        None => Ok(applied),
        Some(rule) => rule.hold(applied, sight),
    }
}

/// It was written on the lever's own tree; where the best has moved under it, it is merged three-way.
fn rebase_patch(
    patch: &Patch,
    on: &Manifest,
    written_on: &Manifest,
    refusal: Refusal,
    fetched: &Fetched,
) -> Result<Applied, Lacking> {
    need(patch.blobs_needed(written_on), &fetched.blobs)?;
    let changed = patch.apply(written_on, &fetched.blobs)?;
    let mut sight = fetched.blobs.clone();
    sight.extend(changed.blobs.clone());
    let Ok(mut applied) = merge_onto(on, written_on, &changed.manifest, &sight)? else {
        return Err(refusal.into());
    };
    let kept: Vec<Digest> = applied.manifest.blobs().collect();
    applied.blobs.extend(changed.blobs.into_iter().filter(|(digest, _)| kept.contains(digest)));
    Ok(applied)
}
