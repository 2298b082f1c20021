//! A campaign's story, projected from its records: what `show`, `results`, `sync`, `plot` and `demo`
//! tell. Pure; the ledger stays the truth, and this is never read back.

mod account;
mod fetch;
mod findings;
mod gates;
mod project;
mod rows;
mod staircase;
mod story;

pub use account::Account;
pub use fetch::{fetch, follow_on};
pub use findings::{FindingStory, Findings, Row as FindingRow, add as add_finding, findings};
pub use gates::gates;
pub use rows::decisions;
pub use story::{Attempt, Decision, Fate, Iteration, Removed, Story};

#[cfg(test)]
pub use findings::tests::{finding_added, test_finding};
#[cfg(test)]
pub use project::tests::{records as test_records, story as test_story};
