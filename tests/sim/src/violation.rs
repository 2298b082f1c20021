//! An invariant that does not hold.

use std::fmt;

/// Which, and what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// `I1` … `I15`, `replay`, `wants`.
    pub(crate) invariant: &'static str,
    pub(crate) seen: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.seen)
    }
}

/// What every check answers.
pub(crate) type Checked<T = ()> = Result<T, Violation>;

/// Holds `holds`, or says what was seen.
pub(crate) fn hold(holds: bool, invariant: &'static str, seen: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(Violation { invariant, seen: seen() }) }
}

/// A violation.
pub(crate) fn broken<T>(invariant: &'static str, seen: String) -> Checked<T> {
    Err(Violation { invariant, seen })
}
