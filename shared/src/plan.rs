//! The analysis plan: deliverables, each a hard commitment to a file (P12, P13).

use crate::digest::Digest;
use crate::id::IterationNumber;
use crate::path::TreePath;
use serde::{Deserialize, Serialize};

/// What makes a deliverable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Script {
    /// A script's bytes, sent along: what every plan in the ledger holds.
    Blob {
        /// Its file name, extension included (`.py` runs under the campaign's Python).
        name: String,
        /// Its content.
        digest: Digest,
    },
    /// `builtin:log`, `builtin:telemetry`, or in a file that a person wrote: a path beside it.
    Named(String),
}

impl Script {
    /// The deliverable that costs no process: endings, counts, last lines of the log.
    pub const BUILTIN_LOG: &'static str = "builtin:log";
    /// The deliverable made of the run's telemetry.
    pub const BUILTIN_TELEMETRY: &'static str = "builtin:telemetry";

    /// Whether this script is one of Windlass's own.
    pub fn is_builtin(&self) -> bool {
        matches!(self, Self::Named(name) if name == Self::BUILTIN_LOG || name == Self::BUILTIN_TELEMETRY)
    }

    /// The blob that it is, if it is one.
    pub fn digest(&self) -> Option<Digest> {
        match self {
            Self::Blob { digest, .. } => Some(*digest),
            Self::Named(_) => None,
        }
    }

    /// What a plan table shows.
    pub fn label(&self) -> &str {
        match self {
            Self::Blob { name, .. } => name,
            Self::Named(name) => name,
        }
    }
}

/// The scripts that a plan names as blobs.
pub fn blobs(plan: &[Deliverable]) -> impl Iterator<Item = Digest> + '_ {
    plan.iter().filter_map(|row| row.script.digest())
}

/// A stated reason for measuring a dimension again (P13).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compares {
    /// The iteration compared with.
    pub iteration: IterationNumber,
    /// Why.
    pub reason: String,
}

/// One row of the analysis plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deliverable {
    /// What makes it.
    pub script: Script,
    /// The file it becomes, relative to `results/`.
    pub output: TreePath,
    /// What it measures: a slug.
    pub dimension: String,
    /// The question it answers.
    pub question: String,
    /// What it shows if the change helped.
    pub if_helped: String,
    /// What it shows if not: falsification, defined before the result is seen.
    pub if_not: String,
    /// Stated when the dimension is not new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compares: Option<Compares>,
}
