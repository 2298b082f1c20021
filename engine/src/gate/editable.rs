//! Which files a lever may touch (P2). Patterns are relative to the workspace; the guard asks here, and
//! nothing else decides what is frozen.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use std::collections::BTreeSet;
use windlass_shared::path::{PATH_MAX_BYTES, TreePath};
use windlass_shared::refusal::Refusal;

/// The most patterns of one campaign: a list that people read.
const PATTERNS_MAX: usize = 1000;

/// The campaign's `editable_files`, ready to be asked.
#[derive(Clone, Debug)]
pub struct Editable {
    globs: GlobSet,
    /// Patterns as they are written: a file's own path, or a folder's.
    plain: BTreeSet<String>,
}

impl Editable {
    /// Reads the patterns. `*` and `?` stay within one name, `**` crosses folders, a path without
    /// wildcards also allows all that lies under it, and so does a pattern that ends in a slash.
    /// Refused: an empty, absolute or malformed pattern, one with `..`, more than 1,000 of them.
    pub fn new(patterns: &[String]) -> Result<Self, Refusal> {
        if patterns.len() > PATTERNS_MAX {
            return Err(refuse(format!("has {} entries; at most {PATTERNS_MAX} are taken", patterns.len())));
        }
        let mut globs = GlobSetBuilder::new();
        let mut plain = BTreeSet::new();
        for pattern in patterns {
            let (path, is_folder) = normal_form(pattern)?;
            let glob = match (path.as_str(), is_folder) {
                ("", _) => "**".to_owned(),
                (path, true) => format!("{path}/**"),
                (path, false) => path.to_owned(),
            };
            let glob = GlobBuilder::new(&glob).literal_separator(true).backslash_escape(true).build();
            globs.add(glob.map_err(|error| refuse(format!("{pattern:?} is no pattern: {}", error.kind())))?);
            plain.insert(path);
        }
        let globs = globs.build().map_err(|error| refuse(format!("cannot be taken: {}", error.kind())))?;
        Ok(Self { globs, plain })
    }

    /// Whether a lever may touch `path`.
    pub fn allows(&self, path: &TreePath) -> bool {
        let text = path.as_str();
        let folders = text.match_indices('/').map(|(at, _)| &text[..at]);
        self.plain.contains(text)
            || folders.into_iter().any(|folder| self.plain.contains(folder))
            || self.globs.is_match(text)
    }
}

/// The pattern without `./` parts and doubled or trailing slashes, and whether it ended in a slash.
fn normal_form(pattern: &str) -> Result<(String, bool), Refusal> {
    let text = pattern.trim();
    if text.is_empty() {
        return Err(refuse("has an empty entry".to_owned()));
    }
    if text.len() > PATH_MAX_BYTES {
        return Err(refuse(format!("has an entry of {} bytes", text.len())));
    }
    if text.starts_with('/') {
        return Err(refuse(format!("{text:?} is absolute; write it relative to the workspace")));
    }
    let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") {
        return Err(refuse(format!("{text:?} has a `..`; it must stay inside the workspace")));
    }
    Ok((parts.join("/"), text.ends_with('/')))
}

fn refuse(problem: String) -> Refusal {
    Refusal::Binding { key: "editable_files", problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, allowed: &[&str], frozen: &[&str]) {
        let editable = Editable::new(&[pattern.to_owned()]).expect(pattern);
        let allows = |path: &&str| editable.allows(&TreePath::parse(path).expect(path));
        assert_eq!(allowed.iter().find(|path| !allows(path)), None, "{pattern} must allow it");
        assert_eq!(frozen.iter().find(|path| allows(path)), None, "{pattern} must not allow it");
    }

    #[test]
    fn p2_only_what_matches_editable_files_may_change() {
        check("train.py", &["train.py"], &["src/train.py", "train.pyc", "Train.py"]);
        check("./train.py", &["train.py"], &["x/train.py"]);
        check("src", &["src/a.py", "src/deep/b.py", "src"], &["srcs/a.py", "lib/src/a.py"]);
        check("src/", &["src/a.py", "src/deep/b.py"], &["srcs/a.py"]);
        check("*.py", &["a.py", ".py"], &["src/a.py", "a.pyc"]);
        check("src/*", &["src/a.py"], &["src/deep/b.py", "a.py"]);
        check("src/*/", &["src/deep/b.py", "src/deep/er/c"], &["src/a.py"]);
        check("src/**", &["src/a.py", "src/deep/b.py"], &["lib/a.py"]);
        check("**/*.py", &["a.py", "src/deep/b.py"], &["a.txt"]);
        check("conf?.{yaml,toml}", &["conf1.yaml", "conf2.toml"], &["conf.yaml", "conf/.yaml"]);
        check("pages/[id].ts", &["pages/[id].ts", "pages/i.ts"], &["pages/x.ts"]);
        check(".", &["a", "b/c"], &[]);
    }

    #[test]
    fn p2_patterns_that_leave_the_workspace_or_say_nothing_are_refused() {
        for pattern in ["", "  ", "/etc/*", "../x", "a/../../b", "[a", "{a"] {
            let refusal = Editable::new(&[pattern.to_owned()]).expect_err(pattern);
            assert!(matches!(refusal, Refusal::Binding { key: "editable_files", .. }), "{refusal}");
        }
        assert!(Editable::new(&vec!["a".to_owned(); 1001]).is_err());
    }
}
