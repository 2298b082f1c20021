//! What a project's own files say about its bindings: each guess with the place it rests on. Reads only;
//! what is taken is the user's word.

mod command;
mod editable;
mod gate;
mod metric;
mod project;
#[cfg(test)]
mod tests;

pub use editable::Side;
pub use gate::{Limit, Stated};
pub use metric::Metric;
pub use project::Project;

use crate::error::Error;
use crate::yaml;
use std::path::Path;
use windlass_shared::bindings::Direction;

/// A likely value, and what it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guess<T> {
    /// The value.
    pub value: T,
    /// Why, with the place where there is one: `train.py:12 prints it`.
    pub reason: String,
}

/// A [`Guess`].
pub fn guess<T>(value: T, reason: impl Into<String>) -> Guess<T> {
    Guess { value, reason: reason.into() }
}

/// Why bindings could not be inferred.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Nothing tells one of them.
    #[error("nothing in the project tells {what}")]
    Unknown {
        /// In words.
        what: &'static str,
        /// The option that gives it.
        option: &'static str,
    },
    /// A question where nobody can be asked.
    #[error("these bindings were inferred and nobody was asked about them")]
    NobodyAsked,
}

impl Problem {
    /// As the problem of a folder or file.
    pub fn of(self, path: &Path) -> Error {
        yaml::Problem::whole(path, self.to_string()).with_remedy(&self.remedy()).into()
    }

    fn remedy(&self) -> String {
        match self {
            Self::Unknown { option, .. } => format!("give it with {option}"),
            Self::NobodyAsked => "take them with --yes, or run init on a terminal".to_owned(),
        }
    }
}

/// All that a project's files suggest, the likeliest first.
#[derive(Debug)]
pub struct Inferred {
    /// Metrics.
    pub metrics: Vec<Guess<Metric>>,
    /// Commands of one experiment.
    pub commands: Vec<Guess<String>>,
    /// Files that a lever may touch, and files that it may not.
    pub sides: Vec<Guess<Side>>,
    /// Limits of one run.
    pub limits: Vec<Guess<Limit>>,
    /// Folders and files that git does not ignore and that should stay here.
    pub ignore: Vec<Guess<String>>,
}

impl Inferred {
    /// Reads what the project says.
    pub fn of(project: &Project) -> Self {
        let sides = editable::sides(project);
        let is_editable =
            |path: &str| sides.iter().any(|side| matches!(&side.value, Side::Editable(file) if file == path));
        Self {
            metrics: metric::metrics(project, is_editable),
            commands: command::commands(project),
            limits: gate::limits(project, is_editable),
            ignore: editable::ignored(project),
            sides,
        }
    }

    /// The patterns of `editable_files`.
    pub fn editable(&self) -> Vec<Guess<String>> {
        editable::patterns(&self.sides)
    }
}

/// Which way a metric's name usually goes.
pub fn usual_direction(name: &str) -> Option<Direction> {
    metric::usual_direction(name)
}
