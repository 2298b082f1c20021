//! What of a workspace stays on the user's machine (P2, and the campaign's own lists).

use crate::error::Error;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use std::path::{Path, PathBuf};
use windlass_shared::bindings::Bindings;
use windlass_shared::refusal::Refusal;

/// The rules of one workspace.
#[derive(Debug)]
pub struct Exclude {
    never: Vec<PathBuf>,
    ignored: GlobSet,
    included: Option<GlobSet>,
}

impl Exclude {
    /// `root` is canonical.
    pub fn new(root: &Path, bindings: &Bindings, apart: &[&Path]) -> Result<Self, Error> {
        let sandbox = Path::new(&bindings.sandbox_root);
        let mut never = Vec::new();
        for folder in apart.iter().copied().chain([sandbox]) {
            let relative = inside(root, folder);
            never.extend(relative.filter(|path| !path.as_os_str().is_empty()));
        }
        let w = &bindings.windlass;
        let included = match w.include.as_slice() {
            [] => None,
            patterns => Some(globs("windlass.include", patterns)?),
        };
        Ok(Self { never, ignored: globs("windlass.ignore", &w.ignore)?, included })
    }

    /// Whether a path relative to the root never leaves this machine.
    pub fn is_out(&self, relative: &Path) -> bool {
        let name = relative.file_name().unwrap_or_default();
        // Python rewrites its caches for every fresh workspace: sent along, they would read as frozen
        // files that the run has changed.
        name == ".git"
            || name == "keys.env"
            || (name == "__pycache__" && !self.is_included(relative))
            || self.never.iter().any(|path| relative.starts_with(path))
            || self.ignored.is_match(relative)
    }

    /// Whether anything that git ignores is wanted all the same.
    pub fn has_includes(&self) -> bool {
        self.included.is_some()
    }

    /// Whether a path, or a folder that it lies in, is wanted although git ignores it.
    pub fn is_included(&self, relative: &Path) -> bool {
        self.included.as_ref().is_some_and(|set| {
            relative.ancestors().any(|path| !path.as_os_str().is_empty() && set.is_match(path))
        })
    }
}

/// `folder` relative to the root, if it lies in it; it need not exist.
fn inside(root: &Path, folder: &Path) -> Option<PathBuf> {
    let joined = root.join(folder);
    let full = std::fs::canonicalize(&joined).ok().or_else(|| lexical(&joined))?;
    full.strip_prefix(root).ok().map(Path::to_owned)
}

/// A path without `.` and `..`.
fn lexical(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                clean.pop();
            }
            std::path::Component::CurDir => {}
            part => clean.push(part),
        }
    }
    Some(clean)
}

/// Compiles the patterns of one key; `*` stays within a folder.
pub fn globs(key: &'static str, patterns: &[String]) -> Result<GlobSet, Error> {
    let refuse = |problem: String| Error::from(Refusal::Binding { key, problem });
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let trimmed = pattern.trim_start_matches("./").trim_end_matches('/');
        let glob = GlobBuilder::new(trimmed)
            .literal_separator(true)
            .build()
            .map_err(|_| refuse(format!("{pattern:?} is no path or glob")))?;
        set.add(glob);
    }
    set.build().map_err(|problem| refuse(problem.to_string()))
}
