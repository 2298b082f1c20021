//! An iteration whose best was taken from under it: another lane's was kept since it began (P39). What beats
//! its own parent then is superseded and run again on the new best; where the two changes conflict, the one
//! with the better metric is the best.

use super::iteration::Iteration;
use super::step::{Context, SUPERSEDED};
use crate::gate::facts::{Merged, Wanted};
use windlass_shared::conclusion::Status;
use windlass_shared::id::{IterationNumber, LeverNumber};
use windlass_shared::record::{Arithmetic, Body, Clash};

/// A decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub status: Status,
    pub reason: String,
    pub arithmetic: Arithmetic,
    /// The kept iterations whose place this one takes, in the order in which they were kept.
    pub replaced: Vec<(IterationNumber, LeverNumber)>,
}

impl Verdict {
    pub fn new(status: Status, reason: &str, arithmetic: Arithmetic) -> Self {
        Self { status, reason: reason.to_owned(), arithmetic, replaced: Vec::new() }
    }
}

impl Context<'_> {
    /// What a decision by an iteration's own ground is beside the other lanes, or the facts that say so.
    pub(super) fn beside_others(&self, open: &Iteration, own: Verdict) -> Result<Verdict, Box<Wanted>> {
        let campaign = self.campaign;
        let entry = open.lever.and_then(|lever| campaign.levers.get(&lever));
        let (Status::Keep, Some((by, _)), Some(best), Some(entry)) =
            (own.status, open.overtaken_by.last(), &campaign.best, entry)
        else {
            return Ok(own);
        };
        let direction = campaign.bindings.metric_direction;
        let is_better = match (&own.arithmetic.metric, &best.summary.metric) {
            (Some(metric), Some(others)) => direction.is_better(metric, others),
            _ => false,
        };
        if !is_better {
            return Ok(superseded(own, *by));
        }
        let wanted = campaign.pull_wanted(entry);
        let Some(facts) = self.soft.pull_facts(&wanted) else {
            return Err(Box::new(Wanted::Pull(Box::new(wanted))));
        };
        match &facts.merged {
            Merged::Conflict(clashes) => Ok(kept_instead(own, open, best.iteration, clashes)),
            Merged::Clean { .. } | Merged::Refused(_) => Ok(superseded(own, *by)),
        }
    }

    /// The levers that stand at the front of the queue after a decision, the earliest kept first.
    pub(super) fn requeued(
        &self,
        open: &Iteration,
        reason: &str,
        replaced: &[(IterationNumber, LeverNumber)],
    ) -> Vec<Body> {
        let requeued = |lever: LeverNumber, by| {
            let pin = match self.campaign.levers.get(&lever) {
                Some(_) if open.lever == Some(lever) => open.pin.clone(),
                entry => entry.and_then(|entry| entry.pin.clone()),
            };
            Body::LeverRequeued { lever, pin, superseded_by: Some(by) }
        };
        let own = match (reason, open.lever, open.overtaken_by.last()) {
            (SUPERSEDED, Some(lever), Some((by, _))) => Some(requeued(lever, *by)),
            _ => None,
        };
        // Each is put at the very front: the last one that is recorded has its turn first.
        let others = replaced.iter().rev().map(|(_, lever)| requeued(*lever, open.number));
        own.into_iter().chain(others).collect()
    }
}

fn superseded(own: Verdict, by: IterationNumber) -> Verdict {
    let sum = without_status(&own.arithmetic.sentence);
    let sentence = format!("{sum}, but iteration {by} was kept meanwhile: discard ({SUPERSEDED})");
    let arithmetic = Arithmetic { sentence, ..own.arithmetic };
    Verdict::new(Status::Discard, SUPERSEDED, arithmetic)
}

fn kept_instead(own: Verdict, open: &Iteration, best: IterationNumber, clashes: &[Clash]) -> Verdict {
    let sum = without_status(&own.arithmetic.sentence);
    let files: Vec<&str> = clashes.iter().map(|clash| clash.file.as_str()).collect();
    let sentence =
        format!("{sum}, better than iteration {best} and in conflict with it in {}: keep", files.join(", "));
    let arithmetic = Arithmetic { sentence, ..own.arithmetic };
    Verdict { arithmetic, replaced: open.overtaken_by.clone(), ..own }
}

/// A decision's sum without what it comes to.
fn without_status(sentence: &str) -> &str {
    sentence.split_once(": keep").map_or(sentence, |(sum, _)| sum)
}
