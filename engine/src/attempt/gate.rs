//! The time gate (P16): SIGTERM at the budget, the whole tree killed at twice the budget.

/// The two limits of a run, milliseconds since its start on a monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeGate {
    /// SIGTERM.
    pub soft_limit_ms: u64,
    /// The tree is killed.
    pub hard_limit_ms: u64,
}

/// What the gate has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fired {
    /// SIGTERM was sent.
    pub soft: bool,
    /// The tree was killed.
    pub hard: bool,
}

/// What the gate does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM to the process group.
    Terminate,
    /// SIGKILL to the whole tree, until it is empty.
    Kill,
}

impl TimeGate {
    /// What is due at `elapsed_ms`, given what was done.
    pub fn due(&self, elapsed_ms: u64, fired: Fired) -> Option<Signal> {
        if elapsed_ms >= self.hard_limit_ms && !fired.hard {
            return Some(Signal::Kill);
        }
        (elapsed_ms >= self.soft_limit_ms && !fired.soft && !fired.hard).then_some(Signal::Terminate)
    }

    /// How long to sleep until something is due, milliseconds; none when all is done.
    pub fn sleep_ms(&self, elapsed_ms: u64, fired: Fired) -> Option<u64> {
        let next = match (fired.soft, fired.hard) {
            (_, true) => return None,
            (true, false) => self.hard_limit_ms,
            (false, false) => self.soft_limit_ms.min(self.hard_limit_ms),
        };
        Some(next.saturating_sub(elapsed_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p16_terminate_at_the_budget_kill_at_twice_the_budget() {
        let gate = TimeGate { soft_limit_ms: 1000, hard_limit_ms: 2000 };
        let none = Fired::default();
        let soft = Fired { soft: true, hard: false };
        let hard = Fired { soft: true, hard: true };
        for (elapsed_ms, fired, want) in [
            (0, none, None),
            (999, none, None),
            (1000, none, Some(Signal::Terminate)),
            (1500, soft, None),
            (1999, soft, None),
            (2000, soft, Some(Signal::Kill)),
            // Slept past both, as after a suspend: the tree is killed at once.
            (9000, none, Some(Signal::Kill)),
            (9000, hard, None),
        ] {
            assert_eq!(gate.due(elapsed_ms, fired), want, "{elapsed_ms} {fired:?}");
        }
        assert_eq!(gate.sleep_ms(400, none), Some(600));
        assert_eq!(gate.sleep_ms(1400, soft), Some(600));
        assert_eq!(gate.sleep_ms(2400, soft), Some(0));
        assert_eq!(gate.sleep_ms(2400, hard), None);
    }
}
