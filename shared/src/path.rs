//! Paths inside a tree: relative, forward slashes, no way out (P3).

use serde::{Deserialize, Deserializer, Serialize, de};
use std::fmt;
use unicode_normalization::UnicodeNormalization;

/// The longest path that is taken, as on Linux.
pub const PATH_MAX_BYTES: usize = 4095;
/// The longest name between two slashes, as on Linux.
pub const NAME_MAX_BYTES: usize = 255;

/// A path within a workspace, a results folder or a tree. Made only by [`TreePath::parse`], so holding
/// one is proof that it stays inside.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct TreePath(String);

/// Why a path is no [`TreePath`] (P3).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Nothing, or only a dot.
    #[error("a path is empty")]
    Empty,
    /// Begins with a slash.
    #[error("path {0:?} is absolute; write it relative to the workspace")]
    Absolute(String),
    /// Has a `..` part.
    #[error("path {0:?} has a `..`; it must stay inside the workspace")]
    Escapes(String),
    /// A NUL or another control character, or a backslash.
    #[error("path {0:?} has a control character or a backslash")]
    Character(String),
    /// Past [`PATH_MAX_BYTES`], or a name in it past [`NAME_MAX_BYTES`].
    #[error(
        "path {0:?}… is too long: it, or a name in it, has {1} bytes; a path has at most {PATH_MAX_BYTES} and a name {NAME_MAX_BYTES}"
    )]
    TooLong(String, usize),
}

impl TreePath {
    /// Reads a relative path; `.` parts and doubled or trailing slashes are dropped.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let head = || text.chars().take(80).collect::<String>();
        if text.len() > PATH_MAX_BYTES {
            return Err(PathError::TooLong(head(), text.len()));
        }
        if text.starts_with('/') {
            return Err(PathError::Absolute(head()));
        }
        if text.chars().any(|c| c.is_control() || c == '\\') {
            return Err(PathError::Character(head()));
        }
        let mut parts = Vec::new();
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." => return Err(PathError::Escapes(head())),
                part if part.len() > NAME_MAX_BYTES => return Err(PathError::TooLong(head(), part.len())),
                part => parts.push(part),
            }
        }
        if parts.is_empty() {
            return Err(PathError::Empty);
        }
        Ok(Self(parts.join("/")))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What collides on a file system that folds case or Unicode form. By way of the upper case, so that `ß` and
    /// `SS`, and the two small sigmas, are one.
    pub fn folded(&self) -> String {
        let upper: String = self.0.nfkc().flat_map(char::to_uppercase).collect();
        upper.nfkc().flat_map(char::to_lowercase).nfkc().collect()
    }

    /// The folder it lies in, if it lies in one.
    pub fn parent(&self) -> Option<&str> {
        self.0.rsplit_once('/').map(|(parent, _)| parent)
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for TreePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p3_paths_that_leave_the_tree_are_refused_by_name() {
        for (text, want) in [("a", "a"), ("./a//b/", "a/b"), ("a b/ü", "a b/ü"), ("..a/b..", "..a/b..")] {
            assert_eq!(TreePath::parse(text).expect(text).as_str(), want);
        }
        for text in ["", ".", "/etc/passwd", "../x", "a/../../x", "a\0b", "a\nb", "a\\b"] {
            assert!(TreePath::parse(text).is_err(), "{text:?} must be refused");
        }
        for (text, figure) in [("x/".repeat(2048), "4096"), ("x".repeat(256), "256")] {
            let said = TreePath::parse(&text).expect_err("too long").to_string();
            assert!(said.contains(figure) && said.contains("at most 4095") && said.len() < 300, "{said}");
        }
        assert!(TreePath::parse(&("x/".repeat(2047) + "x")).is_ok_and(|path| path.as_str().len() == 4095));
    }

    #[test]
    fn p3_names_that_differ_in_case_or_unicode_form_alone_fold_to_one() {
        for (a, b) in [
            ("Data", "data"),
            ("caf\u{e9}", "cafe\u{301}"),
            ("Stra\u{df}e", "STRASSE"),
            ("\u{3c2}", "\u{3c3}"),
            ("\u{212b}", "\u{e5}"),
            ("\u{fb03}", "FFI"),
        ] {
            let folded = |text| TreePath::parse(text).expect(text).folded();
            assert_eq!(folded(a), folded(b), "{a} and {b}");
            assert_ne!(folded(a), folded("other"));
        }
    }
}
