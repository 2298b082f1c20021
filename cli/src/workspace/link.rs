//! Links (P3): kept as their text, if that stays inside the tree.

use std::path::{Component, Path};

/// Why a link at `relative` with this target cannot be part of the tree below `root`, if it cannot.
/// Both its words and where it really leads must stay inside: folders on the way may be links too.
pub fn problem(root: &Path, relative: &Path, target: &Path) -> Option<String> {
    if target.is_absolute() {
        return Some(format!("a link to {}: links in a workspace are relative", target.display()));
    }
    let leaves = || Some(format!("a link to {}, which leaves the workspace", target.display()));
    if !stays_inside(relative, target) {
        return leaves();
    }
    match std::fs::canonicalize(root.join(relative)) {
        Ok(end) if !end.starts_with(root) => leaves(),
        _ => None,
    }
}

/// Whether the words of a link at `relative` lead nowhere outside the folder that `relative` starts from.
pub fn stays_inside(relative: &Path, target: &Path) -> bool {
    let mut depth = relative.components().count() as i64 - 1;
    for part in target.components() {
        match part {
            Component::ParentDir => depth -= 1,
            Component::Normal(_) => depth += 1,
            Component::RootDir | Component::Prefix(_) => return false,
            Component::CurDir => {}
        }
        if depth < 0 {
            return false;
        }
    }
    true
}
