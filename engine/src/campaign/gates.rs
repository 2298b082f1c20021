//! What the gates ask of a campaign's runs: how long one may take and until when its metric counts (P16),
//! one epoch cap in every tree and a limit of time behind it (P17).

use super::state::Campaign;
use crate::gate::epochs::CapRule;
use std::collections::BTreeMap;
use windlass_shared::attempt::Kind;
use windlass_shared::bindings::{GateKind, Overrun};
use windlass_shared::id::IterationNumber;

/// The safety limit of the baseline, whose duration nobody knows: 24 h.
const BASELINE_SAFETY_MS: u64 = 24 * 3_600_000;
/// The least safety limit of what follows: 10 min, for a start that is slow once.
const LEAST_SAFETY_MS: u64 = 10 * 60_000;
/// The safety limit in durations of the baseline.
const SAFETY_BASELINES: u64 = 3;
/// The grace, where none is given, is the budget by this: 5 %.
const GRACE_SHARE: u64 = 20;
/// The variable that tells a run its cap.
const VARIABLE: &str = "WINDLASS_EPOCHS";

impl Campaign {
    /// The epoch cap to which every change is held.
    pub(crate) fn cap_rule(&self) -> Option<CapRule> {
        let cap = self.cap.clone()?;
        let pattern = self.bindings.windlass.epochs.as_ref().and_then(|epochs| epochs.pattern.clone());
        Some(CapRule { cap, pattern })
    }

    /// The environment of an attempt: the campaign's own, and for a run under the epoch gate its cap.
    pub(super) fn run_env(&self, kind: Kind) -> BTreeMap<String, String> {
        let mut env = self.bindings.windlass.env.clone();
        if let Some(cap) = self.cap.as_ref().filter(|_| kind == Kind::Run) {
            env.insert(VARIABLE.to_owned(), cap.set.to_string());
        }
        env
    }

    /// With `overrun: measure`: until when a metric may be printed, milliseconds since the run's start (P16).
    pub(super) fn measure_until_ms(&self, kind: Kind, soft_limit_ms: u64, hard_limit_ms: u64) -> Option<u64> {
        let rule = self.bindings.windlass.overrun;
        if kind != Kind::Run || rule.mode != Overrun::Measure {
            return None;
        }
        let grace_ms = rule.grace.map_or(soft_limit_ms / GRACE_SHARE, |grace| grace.ms);
        Some(soft_limit_ms.saturating_add(grace_ms).min(hard_limit_ms))
    }

    /// How long a run of this iteration may take before its gate ends it, milliseconds: the budget where time
    /// is the gate (P16), the safety limit behind the epoch gate (P17).
    pub(super) fn run_limit_ms(&self, iteration: IterationNumber) -> u64 {
        if self.bindings.gate == GateKind::Time {
            return self.bindings.budget_ms();
        }
        let asked = self.bindings.windlass.epochs.as_ref().and_then(|epochs| epochs.safety_limit);
        match (asked, self.baseline_ms) {
            (Some(limit), _) => limit.ms,
            (None, Some(baseline_ms)) if iteration != IterationNumber::BASELINE => {
                baseline_ms.saturating_mul(SAFETY_BASELINES).max(LEAST_SAFETY_MS)
            }
            (None, _) => BASELINE_SAFETY_MS,
        }
    }
}
