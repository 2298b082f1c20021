//! The kept iterations, one above the other, and what the campaign cost.

use super::story::{Decision, Iteration, Story};
use windlass_shared::attempt::Kind;
use windlass_shared::conclusion::Status;
use windlass_shared::id::IterationNumber;

/// Time that devices were held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Milliseconds times GPUs.
    pub gpu_ms: u64,
    /// Milliseconds times CPU slots.
    pub cpu_ms: u64,
    /// Runs that have ended.
    pub runs: u64,
}

impl Story {
    /// The kept iterations in the order of decision: each step of the staircase.
    pub fn steps(&self) -> impl Iterator<Item = (&Iteration, &Decision)> {
        self.rows().filter(|(_, decision)| decision.status == Status::Keep)
    }

    /// The best iteration, with its decision (P31).
    pub fn best_row(&self) -> Option<(&Iteration, &Decision)> {
        let best = self.iterations.get(&self.best?)?;
        Some((best, best.decision.as_ref()?))
    }

    /// Whether an iteration lies on the way from the workspace to the best.
    pub fn leads_to_best(&self, number: IterationNumber) -> bool {
        // Bounded: a parent has a smaller number than its child.
        let mut at = self.best;
        while let Some(here) = at {
            if here == number {
                return true;
            }
            let parent = self.iterations.get(&here).and_then(|iteration| iteration.parent);
            at = parent.filter(|parent| *parent < here);
        }
        false
    }

    /// What runs and analyses held devices for.
    pub fn spent(&self) -> Spent {
        let mut spent = Spent::default();
        for attempt in self.iterations.values().flat_map(|iteration| &iteration.attempts) {
            let Some(outcome) = &attempt.outcome else { continue };
            for device in &attempt.order.devices {
                let total = if is_cpu(device.as_str()) { &mut spent.cpu_ms } else { &mut spent.gpu_ms };
                *total += outcome.duration_ms;
            }
            spent.runs += u64::from(attempt.order.kind == Kind::Run);
        }
        spent
    }
}

/// CPU slots are the only devices that are named by us.
fn is_cpu(device: &str) -> bool {
    device.starts_with("cpu-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p31_the_staircase_is_what_was_kept_and_time_is_counted_by_device() {
        let mut story = crate::history::test_story();
        let steps: Vec<u32> = story.steps().map(|(iteration, _)| iteration.number.0).collect();
        assert_eq!(steps, [1, 2]);
        assert_eq!(story.best_row().map(|(iteration, _)| iteration.number.0), Some(2));
        let leads: Vec<bool> = (1..=3).map(|n| story.leads_to_best(IterationNumber(n))).collect();
        assert_eq!(leads, [true, true, false]);
        let before = story.spent();
        assert_eq!(before.gpu_ms, 0);
        assert!(before.cpu_ms > 0 && before.runs == 4, "{before:?}");
        let run = &mut story.iterations.get_mut(&IterationNumber(2)).expect("there").attempts[0];
        run.order.devices = vec!["GPU-1".into(), "GPU-2".into()];
        let took_ms = run.outcome.as_ref().expect("ended").duration_ms;
        let after = story.spent();
        assert_eq!((after.gpu_ms, after.cpu_ms), (2 * took_ms, before.cpu_ms - took_ms));
    }
}
