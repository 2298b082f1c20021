//! Replicates (P27): runs of one iteration under seeds of their own, the floor that the baseline's scatter
//! sets, and which gains are to be confirmed.

use super::decision::{self, Case, Decided, Held};
use super::iteration::Iteration;
use super::step::Context;
use windlass_shared::conclusion::Status;
use windlass_shared::decimal::Decimal;
use windlass_shared::id::IterationNumber;
use windlass_shared::record::{Arithmetic, Noise};

/// The reason of a gain that its replicates did not confirm (P27).
pub const NOT_CONFIRMED: &str = "not confirmed";

impl Context<'_> {
    /// How many measured runs this iteration needs before its analysis: those of the baseline, and of a gain
    /// below the threshold. The first run alone decides it, so that it stays as it is.
    pub(super) fn replicates(&self, open: &Iteration) -> usize {
        let Some(noise) = &self.campaign.bindings.windlass.noise else { return 1 };
        if open.number == IterationNumber::BASELINE {
            return noise.baseline_replicates as usize;
        }
        match open.replicates.first() {
            Some(first) if self.is_marginal(open, first) => noise.confirm_replicates as usize,
            _ => 1,
        }
    }

    /// The decision of a measured iteration by its metric: of its one run, or the mean over its replicates.
    pub(super) fn decide_measured(&self, open: &Iteration, metric: &Decimal) -> Decided {
        let mut decided = self.decide_by(open, metric);
        if self.campaign.bindings.windlass.noise.is_none() {
            return decided;
        }
        let is_baseline = open.number == IterationNumber::BASELINE;
        let floor = match is_baseline {
            true => Decimal::deviation(&open.replicates),
            false => self.campaign.floor.clone(),
        };
        let threshold = floor.as_ref().map(|floor| self.threshold(floor));
        let was_marginal = open.replicates.first().is_some_and(|first| self.is_marginal(open, first));
        if was_marginal && decided.status == Status::Discard {
            decided.reason = NOT_CONFIRMED;
        }
        let gain = decided.arithmetic.gain.as_ref().filter(|gain| **gain > zero());
        let is_above = gain.and_then(|gain| Some(*gain >= *threshold.as_ref()?));
        let noise = Noise { replicates: open.replicates.clone(), floor, threshold, is_above };
        decided.arithmetic = with_noise(decided.arithmetic, noise, decided.status);
        decided
    }

    /// A gain that would be kept and does not reach the threshold.
    fn is_marginal(&self, open: &Iteration, metric: &Decimal) -> bool {
        let Some(floor) = &self.campaign.floor else { return false };
        let decided = self.decide_by(open, metric);
        let gain = decided.arithmetic.gain.filter(|gain| *gain > zero());
        decided.status == Status::Keep && gain.is_some_and(|gain| gain < self.threshold(floor))
    }

    fn threshold(&self, floor: &Decimal) -> Decimal {
        let noise = self.campaign.bindings.windlass.noise.clone().unwrap_or_default();
        noise.sigmas.times(floor)
    }

    fn decide_by(&self, open: &Iteration, metric: &Decimal) -> Decided {
        let campaign = self.campaign;
        let held = Held {
            record: open.record.as_ref(),
            baseline: campaign.baseline_metric.as_ref(),
            direction: campaign.bindings.metric_direction,
            simplicity: &campaign.bindings.windlass.simplicity,
        };
        let entry = open.lever.and_then(|lever| campaign.levers.get(&lever));
        let kind = entry.map(|entry| entry.document.kind);
        decision::decide(&Case { metric, net_lines: open.net_lines, kind }, &held)
    }
}

/// The sum with what the noise says of it: `…: keep; mean of 3 runs; below the floor's 0.02`.
fn with_noise(arithmetic: Arithmetic, noise: Noise, status: Status) -> Arithmetic {
    let mut sentence = arithmetic.sentence.clone();
    if noise.replicates.len() > 1 {
        let runs: Vec<&str> = noise.replicates.iter().map(Decimal::text).collect();
        sentence.push_str(&format!("; the mean of {}", runs.join(" and ")));
    }
    if let (None, Some(floor)) = (&arithmetic.record, &noise.floor) {
        sentence.push_str(&format!("; the noise floor is {floor}"));
    }
    if let (Some(is_above), Some(threshold), Status::Keep) = (noise.is_above, &noise.threshold, status) {
        let stands = if is_above { "above" } else { "below" };
        sentence.push_str(&format!("; {stands} {threshold}, the noise floor times sigmas"));
    }
    Arithmetic { sentence, noise: Some(Box::new(noise)), ..arithmetic }
}

fn zero() -> Decimal {
    Decimal::from_value(0.into())
}
