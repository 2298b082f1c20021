//! The guard: frozen files stay frozen, one lever touches what it declares, no path escapes
//! (P2, P3, P5). It compares manifests; it never reads a file.

use crate::gate::editable::Editable;
use std::collections::{BTreeMap, BTreeSet};
use windlass_shared::path::TreePath;
use windlass_shared::refusal::Refusal;
use windlass_shared::tree::{Manifest, Node};

/// The most links that are followed for one path, as on Linux. A cycle reaches nothing, so it leaves
/// the tree nowhere either.
const LINK_HOPS_MAX: u32 = 40;

/// Refuses a change that touches a frozen file (P2, looked for first), that touches a file which
/// `declared` does not name (P5), that changes nothing (P5), or whose tree is none (P3).
pub fn check_change(
    base: &Manifest,
    changed: &Manifest,
    editable: &Editable,
    declared: &[TreePath],
) -> Result<(), Refusal> {
    change_problems(base, changed, editable, declared).into_iter().next().map_or(Ok(()), Err)
}

/// Everything for which [`check_change`] refuses, in its order; a frozen file is not also undeclared.
pub fn change_problems(
    base: &Manifest,
    changed: &Manifest,
    editable: &Editable,
    declared: &[TreePath],
) -> Vec<Refusal> {
    let paths = changed_paths(base, changed);
    let declared: BTreeSet<&TreePath> = declared.iter().collect();
    let frozen = paths.iter().filter(|path| !editable.allows(path));
    let mut problems: Vec<Refusal> = frozen.map(|path| Refusal::Frozen { path: path.to_string() }).collect();
    let undeclared = paths.iter().filter(|path| editable.allows(path) && !declared.contains(path));
    problems.extend(undeclared.map(|path| Refusal::Undeclared { path: path.to_string() }));
    if paths.is_empty() {
        problems.push(Refusal::NoChange);
    }
    let is_git = |path: &TreePath| path.folded().split('/').any(|part| part == ".git");
    let git = paths.iter().find(|path| changed.entries.contains_key(path) && is_git(path));
    problems.extend(git.map(|path| refuse(path, "`.git` is no part of a tree".to_owned())));
    problems.extend(check_tree(changed).err());
    problems
}

/// Refuses a tree that could reach outside itself or could not be laid out everywhere (P3): a link that
/// is absolute or leaves the tree, followed through other links; two paths, or two folders on the way
/// to them, that differ only in case or Unicode form; a file where another path needs a folder.
pub fn check_tree(tree: &Manifest) -> Result<(), Refusal> {
    for (path, node) in &tree.entries {
        if let Node::Link { target } = node
            && let Some(problem) = link_problem(tree, path, target)
        {
            return Err(refuse(path, problem));
        }
    }
    match collision(tree) {
        Some((path, problem)) => Err(refuse(&path, problem)),
        None => Ok(()),
    }
}

/// The paths at which the two differ, sorted: content, executable bit, link target, presence.
pub fn changed_paths(base: &Manifest, changed: &Manifest) -> Vec<TreePath> {
    let differs = |path: &&TreePath| base.entries.get(path) != changed.entries.get(path);
    let all: BTreeSet<&TreePath> = base.entries.keys().chain(changed.entries.keys()).collect();
    all.into_iter().filter(differs).cloned().collect()
}

/// After a run: the first frozen file of `base` that is not as it was, or gone (P2). `found` holds what
/// stands at the paths of `base` now; files that the run made are its own business.
pub fn frozen_changed(base: &Manifest, found: &Manifest, editable: &Editable) -> Option<TreePath> {
    let mut frozen = base.entries.iter().filter(|(path, _)| !editable.allows(path));
    frozen.find(|(path, node)| found.entries.get(path) != Some(node)).map(|(path, _)| path.clone())
}

/// A path that cannot stand beside another one of the tree, and why.
pub(super) fn collision(tree: &Manifest) -> Option<(TreePath, String)> {
    // Every path and every folder by its folded form: its own spelling, and whether it is an entry.
    let mut seen: BTreeMap<String, (&str, bool)> = BTreeMap::new();
    for path in tree.entries.keys() {
        let text = path.as_str();
        let folders = text.match_indices('/').map(|(at, _)| (&text[..at], false));
        for (place, is_entry) in folders.chain([(text, true)]) {
            let folded = TreePath::parse(place).ok()?.folded();
            let Some(&(other, other_is_entry)) = seen.get(&folded) else {
                seen.insert(folded, (place, is_entry));
                continue;
            };
            if other != place {
                return Some((path.clone(), format!("{place} differs from {other} only in case or form")));
            }
            if is_entry || other_is_entry {
                return Some((path.clone(), format!("{other} is a file and a folder at once")));
            }
        }
    }
    None
}

/// Follows a link part by part, through the tree's other links, as the kernel would.
fn link_problem(tree: &Manifest, path: &TreePath, target: &str) -> Option<String> {
    if target.is_empty() || target.contains('\0') {
        return Some("is a link without a target".to_owned());
    }
    let leaves = || Some(format!("is a link to {target:?}, which leaves the tree"));
    let mut place: Vec<&str> = path.parent().map(|parent| parent.split('/').collect()).unwrap_or_default();
    let mut ahead: Vec<&str> = target.split('/').rev().collect();
    if target.starts_with('/') {
        return leaves();
    }
    let mut hops = 0;
    while let Some(part) = ahead.pop() {
        match part {
            "" | "." => continue,
            ".." if place.pop().is_none() => return leaves(),
            ".." => continue,
            part => place.push(part),
        }
        let here = TreePath::parse(&place.join("/")).ok().and_then(|here| tree.entries.get(&here));
        if let Some(Node::Link { target: next }) = here {
            hops += 1;
            if next.starts_with('/') {
                return leaves();
            }
            if hops > LINK_HOPS_MAX {
                return None;
            }
            place.pop();
            ahead.extend(next.split('/').rev());
        }
    }
    None
}

fn refuse(path: &TreePath, problem: String) -> Refusal {
    Refusal::Tree { path: path.to_string(), problem }
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
