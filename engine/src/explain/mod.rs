//! Why something is, or is not, running: sentences with the rule and the figures behind them. It reads the
//! state and decides nothing; what it says is what the other functions of the core do.

mod campaign;
mod decided;
mod devices;
mod iteration;
mod lever;
mod order;
mod sight;
mod worker;

use crate::core::Core;
use sight::Sight;
use std::collections::BTreeMap;
use windlass_shared::access::{Access, Viewer};
use windlass_shared::id::{IterationNumber, LeverNumber};
use windlass_shared::record::Record;
use windlass_shared::refusal::Refusal;
use windlass_shared::time::Time;
use windlass_shared::view::{Explanation, Sentence};

/// What is asked about, beside the name of its campaign or worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The campaign of that name; the worker, where there is no such campaign.
    Campaign,
    /// One of its iterations, with every record of it: what is decided is told from the ledger.
    Iteration(IterationNumber, Vec<Record>),
    /// One of its levers.
    Lever(LeverNumber),
}

/// The same for one who may not see every campaign: workers are the administrators', and a campaign of somebody else
/// has no name in any sentence.
///
/// # Errors
/// See [`explain`].
pub fn explain_for(
    core: &Core,
    now: Time,
    access: &Access,
    name: &str,
    subject: &Subject,
) -> Result<Explanation, Refusal> {
    if access.viewer == Viewer::Admin {
        return explain(core, now, name, subject);
    }
    let id = core.resolve_campaign_for(access, name)?;
    let (sight, campaign) = (Sight::of(core, &access.viewer), core.campaign(&id)?);
    match subject {
        Subject::Campaign => Ok(campaign::explain(core, now, campaign, sight)),
        Subject::Iteration(number, records) => {
            iteration::explain(core, now, (campaign, sight), *number, records)
        }
        Subject::Lever(number) => lever::explain(core, campaign, *number, sight),
    }
}

/// Explains a campaign, an iteration, a lever or a worker.
///
/// # Errors
/// [`Refusal::NotFound`] or [`Refusal::Ambiguous`].
pub fn explain(core: &Core, now: Time, name: &str, subject: &Subject) -> Result<Explanation, Refusal> {
    let found = core.resolve_campaign(name);
    let sight = Sight::of(core, &Viewer::Admin);
    match subject {
        Subject::Campaign => match found {
            Ok(id) => Ok(campaign::explain(core, now, core.campaign(&id)?, sight)),
            Err(Refusal::NotFound { .. }) => match core.resolve_worker(name) {
                Ok(worker) => Ok(worker::explain(core, now, &worker, sight)),
                Err(Refusal::NotFound { .. }) => {
                    Err(Refusal::NotFound { what: "campaign or worker", name: name.to_owned() })
                }
                Err(refusal) => Err(refusal),
            },
            Err(refusal) => Err(refusal),
        },
        Subject::Iteration(number, records) => {
            iteration::explain(core, now, (core.campaign(&found?)?, sight), *number, records)
        }
        Subject::Lever(number) => lever::explain(core, core.campaign(&found?)?, *number, sight),
    }
}

/// An explanation that is being written, for somebody who sees so much.
struct Answer<'a>(Vec<Sentence>, Sight<'a>);

impl<'a> Answer<'a> {
    fn new(sight: Sight<'a>) -> Self {
        Self(Vec::new(), sight)
    }

    /// What its reader may see: every id of a campaign that is not the one asked about is put into words by it.
    fn sight(&self) -> Sight<'a> {
        self.1
    }

    /// A sentence that no rule stands behind.
    fn say(&mut self, text: impl Into<String>) -> &mut Self {
        self.0.push(Sentence { rule: None, text: text.into(), figures: BTreeMap::new() });
        self
    }

    /// A sentence with its rule.
    fn rule(&mut self, rule: &str, text: impl Into<String>) -> &mut Self {
        self.0.push(Sentence { rule: Some(rule.to_owned()), text: text.into(), figures: BTreeMap::new() });
        self
    }

    /// A figure of the last sentence.
    fn figure(&mut self, name: &str, value: impl ToString) -> &mut Self {
        if let Some(sentence) = self.0.last_mut() {
            sentence.figures.insert(name.to_owned(), value.to_string());
        }
        self
    }

    fn about(self, subject: String) -> Explanation {
        Explanation { subject, sentences: self.0 }
    }
}

/// Milliseconds as `12.3 s`.
fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}

/// `1 lever`, `2 levers`.
fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
