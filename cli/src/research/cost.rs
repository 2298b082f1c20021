//! What research costs: the agent's time and tokens, and the GPUs' hours. Sums only.

use crate::history::Iteration;
use serde::{Deserialize, Serialize};

/// A sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cost {
    /// Turns.
    pub turns: u64,
    /// Iterations that the researcher's levers came to.
    pub iterations: u64,
    /// Levers and other answers that were refused.
    pub refused: u64,
    /// Time of the command, milliseconds.
    pub agent_ms: u64,
    /// Tokens that it read, where it says so.
    pub input_tokens: u64,
    /// Tokens that it wrote, where it says so.
    pub output_tokens: u64,
    /// Its price in dollars, where it says so.
    pub cost_usd: f64,
    /// Time of all GPUs of the researcher's iterations, milliseconds.
    pub gpu_ms: u64,
    /// How long the loop has run, milliseconds.
    pub loop_ms: u64,
}

/// What a turn says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Tokens that it read.
    pub input_tokens: u64,
    /// Tokens that it wrote.
    pub output_tokens: u64,
    /// Its price in dollars.
    pub cost_usd: f64,
}

impl Usage {
    /// The same without what no price can be: a file may say anything.
    pub fn believable(self) -> Self {
        let cost_usd = if self.cost_usd.is_finite() { self.cost_usd.max(0.0) } else { 0.0 };
        Self { cost_usd, ..self }
    }
}

impl Cost {
    /// Enters a turn.
    pub fn add_turn(&mut self, agent_ms: u64, usage: Usage) {
        self.turns += 1;
        self.agent_ms = self.agent_ms.saturating_add(agent_ms);
        self.input_tokens = self.input_tokens.saturating_add(usage.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(usage.output_tokens);
        self.cost_usd += usage.cost_usd;
    }

    /// Enters an iteration that is decided.
    pub fn add_iteration(&mut self, gpu_ms: u64) {
        self.iterations += 1;
        self.gpu_ms = self.gpu_ms.saturating_add(gpu_ms);
    }

    /// Tokens both ways.
    pub fn tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}

/// The time of all GPUs that an iteration held, milliseconds: CPU slots cost nothing.
pub fn gpu_ms(iteration: &Iteration) -> u64 {
    let of_attempt = |attempt: &crate::history::Attempt| {
        let gpus = attempt.order.devices.iter().filter(|device| !device.as_str().starts_with("cpu-")).count();
        let ran_ms = attempt.outcome.as_ref().map_or(0, |outcome| outcome.duration_ms);
        ran_ms.saturating_mul(gpus as u64)
    };
    iteration.attempts.iter().map(of_attempt).fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_hold_and_no_claim_of_a_price_breaks_them() {
        let mut cost = Cost::default();
        for cost_usd in [0.5, f64::NAN, f64::INFINITY, -3.0, 0.25] {
            let usage = Usage { input_tokens: u64::MAX / 2, output_tokens: 1, cost_usd }.believable();
            cost.add_turn(1_000, usage);
        }
        assert_eq!((cost.turns, cost.agent_ms, cost.output_tokens), (5, 5_000, 5));
        assert!((cost.cost_usd - 0.75).abs() < 1e-12, "{}", cost.cost_usd);
        assert_eq!(cost.tokens(), u64::MAX, "it stops at its end");
    }
}
