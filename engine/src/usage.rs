//! What a campaign had of the fleet, by what came of it: a fold of its records, and a few numbers however long
//! it goes on.

use crate::campaign::CANCELLED;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use windlass_shared::attempt::{Ending, Kind, Outcome};
use windlass_shared::conclusion::Status;
use windlass_shared::id::{DeviceId, IterationNumber};
use windlass_shared::usage::Spent;

/// The beginning of a decision's reason where the machinery ended the iteration (P20).
const INFRASTRUCTURE: &str = "infrastructure";

/// What one campaign had.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    spent: Spent,
    /// Runs of open iterations: what they count for is not known yet.
    open: BTreeMap<IterationNumber, u64>,
    /// When live attempts were leased, wall time, and after how long they are dead for certain.
    leased: BTreeMap<IterationNumber, (i64, u64)>,
}

impl Usage {
    /// What it had so far.
    pub fn spent(&self) -> Spent {
        let undecided_ms = self.open.values().copied().fold(0, u64::saturating_add);
        Spent { undecided_ms, ..self.spent }
    }

    /// An attempt got devices; it is dead `limit_ms` after it began.
    pub fn lease(&mut self, iteration: IterationNumber, limit_ms: u64, wall_ms: i64) {
        self.leased.insert(iteration, (wall_ms, limit_ms));
    }

    /// An attempt is over. Of one that was lost nobody says how long it ran: what its lease lasted counts, and no
    /// more than it could run.
    pub fn end(
        &mut self,
        iteration: IterationNumber,
        kind: Kind,
        devices: &[DeviceId],
        outcome: &Outcome,
        wall_ms: i64,
    ) {
        let leased = self.leased.remove(&iteration);
        let took_ms = match (&outcome.ending, leased) {
            (Ending::Lost, Some((since_ms, limit_ms))) => {
                u64::try_from(wall_ms.saturating_sub(since_ms)).unwrap_or(0).min(limit_ms)
            }
            _ => outcome.duration_ms,
        };
        let on = |count: usize| took_ms.saturating_mul(count as u64);
        let device_ms = on(devices.len());
        if device_ms == 0 {
            return;
        }
        let gpus = devices.iter().filter(|device| is_gpu(device)).count();
        self.spent.gpu_ms = self.spent.gpu_ms.saturating_add(on(gpus));
        let into = if outcome.ending.is_infrastructure() {
            &mut self.spent.infrastructure_ms
        } else if outcome.ending == Ending::Cancelled {
            &mut self.spent.cancelled_ms
        } else if kind == Kind::Analysis {
            &mut self.spent.analysis_ms
        } else {
            self.open.entry(iteration).or_default()
        };
        *into = into.saturating_add(device_ms);
    }

    /// What the runs of an iteration count for is known.
    pub fn decided(&mut self, iteration: IterationNumber, status: Status, reason: &str) {
        let Some(device_ms) = self.open.remove(&iteration) else { return };
        let into = match status {
            Status::Keep => &mut self.spent.kept_ms,
            Status::Discard => &mut self.spent.discarded_ms,
            Status::Crash if reason == CANCELLED => &mut self.spent.cancelled_ms,
            Status::Crash if reason.starts_with(INFRASTRUCTURE) => &mut self.spent.infrastructure_ms,
            Status::Crash => &mut self.spent.crashed_ms,
        };
        *into = into.saturating_add(device_ms);
    }
}

/// Whether a device is a GPU; CPU slots cost no GPU time.
pub fn is_gpu(device: &DeviceId) -> bool {
    !device.as_str().starts_with("cpu-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(ending: Ending, duration_ms: u64) -> Outcome {
        Outcome { duration_ms, ..Outcome::bare(ending) }
    }

    #[test]
    fn device_time_counts_for_what_came_of_it() {
        let gpus = [DeviceId::from("GPU-1"), DeviceId::from("GPU-2")];
        let mut usage = Usage::default();
        let mut had = |number, kind, ending: Ending, ms, decision: Option<(Status, &str)>| {
            let iteration = IterationNumber(number);
            usage.lease(iteration, 10_000, 1_000);
            usage.end(iteration, kind, &gpus, &outcome(ending, ms), 4_000);
            let undecided_ms = usage.spent().undecided_ms;
            if let Some((status, reason)) = decision {
                usage.decided(iteration, status, reason);
            }
            (undecided_ms, usage.spent())
        };
        let (undecided_ms, spent) = had(1, Kind::Run, Ending::Finished, 5, Some((Status::Keep, "baseline")));
        assert_eq!((undecided_ms, spent.kept_ms, spent.undecided_ms), (10, 10, 0), "two devices for 5 ms");
        had(1, Kind::Analysis, Ending::Finished, 1, None);
        had(2, Kind::Run, Ending::Finished, 7, Some((Status::Discard, "not better")));
        had(3, Kind::Run, Ending::HardTimeout, 11, Some((Status::Crash, "hard_timeout")));
        had(4, Kind::Run, Ending::Infra { detail: "x".to_owned() }, 13, None);
        had(4, Kind::Run, Ending::Finished, 17, Some((Status::Crash, "infrastructure: x")));
        had(5, Kind::Run, Ending::Finished, 19, Some((Status::Crash, CANCELLED)));
        had(6, Kind::Run, Ending::Cancelled, 23, None);
        let (_, spent) = had(6, Kind::Run, Ending::Finished, 29, None);
        let want = Spent {
            kept_ms: 10,
            discarded_ms: 14,
            crashed_ms: 22,
            infrastructure_ms: 60,
            analysis_ms: 2,
            cancelled_ms: 84,
            undecided_ms: 58,
            gpu_ms: 250,
        };
        assert_eq!(spent, want);
        assert_eq!(spent.all_ms(), 250);
    }

    #[test]
    fn a_lost_attempt_had_its_devices_as_long_as_it_can_have_run() {
        for (limit_ms, lost_at_ms, had_ms) in [(10_000, 4_000, 3_000), (2_000, 4_000, 2_000), (9, 0, 0)] {
            let mut usage = Usage::default();
            usage.lease(IterationNumber(1), limit_ms, 1_000);
            let cpu = [DeviceId::from("cpu-0")];
            usage.end(IterationNumber(1), Kind::Run, &cpu, &outcome(Ending::Lost, 0), lost_at_ms);
            let spent = usage.spent();
            assert_eq!((spent.infrastructure_ms, spent.gpu_ms), (had_ms, 0), "lost at {lost_at_ms}");
        }
    }
}
