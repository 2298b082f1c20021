//! The limits at which a campaign stops by itself (P32): only those it was given.

use super::state::Campaign;
use windlass_shared::bindings::Direction;
use windlass_shared::decimal::Decimal;

impl Campaign {
    /// The `stop` limit that is met, as a sentence.
    pub fn limit_met(&self) -> Option<String> {
        let stop = &self.bindings.windlass.stop;
        let decided = self.counts.keep + self.counts.discard + self.counts.crash;
        // Those that are open are decided before it stops, so they count too.
        if let Some(most) = stop.iterations
            && decided + self.open.len() as u32 >= most
        {
            let are = if decided == 1 { "iteration is" } else { "iterations are" };
            return Some(format!("{decided} {are} decided; stop.iterations is {most}"));
        }
        if let Some(most) = &stop.gpu_hours {
            let spent = Decimal::from_value(self.gpu_ms.into());
            let limit = most.times(&Decimal::from_value(3_600_000.into()));
            if spent >= limit {
                return Some(format!("the GPU-hours are spent; stop.gpu_hours is {most}"));
            }
        }
        if let (Some(target), Some(record)) = (&stop.target, &self.record) {
            let reached = match self.bindings.metric_direction {
                Direction::Maximize => record >= target,
                Direction::Minimize => record <= target,
            };
            if reached {
                return Some(format!("{} reached {record}; stop.target is {target}", self.bindings.metric));
            }
        }
        None
    }
}
