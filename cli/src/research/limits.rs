//! What a researcher may spend; when it is spent the loop ends cleanly.

use super::cost::Cost;
use crate::render::units;

/// Bounds of one researcher, over all of its starts. None: without end (P32).
#[derive(Clone, Copy, Debug, Default, PartialEq, clap::Args)]
#[command(next_help_heading = "Limits")]
pub struct Limits {
    /// End after so many decided iterations of its own levers
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_iterations: Option<u64>,
    /// End after the loop has run for so many hours in all
    #[arg(long, value_name = "H", value_parser = positive)]
    pub max_hours: Option<f64>,
    /// End after so many tokens, read and written, where the command says how many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_tokens: Option<u64>,
    /// End after so many dollars, where the command says how many
    #[arg(long, value_name = "USD", value_parser = positive)]
    pub max_cost: Option<f64>,
    /// End after so many GPU-hours of its iterations
    #[arg(long, value_name = "H", value_parser = positive)]
    pub max_gpu_hours: Option<f64>,
    /// End after so many turns in a row that propose nothing
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_dry: Option<u32>,
    /// End after so many turns in a row that fail
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_failures: u32,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err("write a number above 0".to_owned()),
    }
}

/// Milliseconds of an hour.
const HOUR_MS: f64 = 3_600_000.0;

impl Limits {
    /// What is spent, as a sentence; none while there is something left.
    pub fn met(&self, cost: &Cost, dry: u32) -> Option<String> {
        let hours = |ms: u64| ms as f64 / HOUR_MS;
        if self.max_iterations.is_some_and(|most| cost.iterations >= most) {
            return Some(format!("{} of its own are decided", units::count(cost.iterations, "iteration")));
        }
        if self.max_hours.is_some_and(|most| hours(cost.loop_ms) >= most) {
            return Some(format!("it has run for {}", units::duration(cost.loop_ms)));
        }
        if self.max_tokens.is_some_and(|most| cost.tokens() >= most) {
            return Some(format!("{} are spent", units::count(cost.tokens(), "token")));
        }
        if self.max_cost.is_some_and(|most| cost.cost_usd >= most) {
            return Some(format!("${:.2} are spent", cost.cost_usd));
        }
        if self.max_gpu_hours.is_some_and(|most| hours(cost.gpu_ms) >= most) {
            return Some(format!("{:.2} GPU-hours are spent", hours(cost.gpu_ms)));
        }
        if self.max_dry.is_some_and(|most| dry >= most) {
            return Some(format!("{} in a row proposed nothing", units::count(u64::from(dry), "turn")));
        }
        None
    }

    /// How long the loop may still run, milliseconds.
    pub fn left_ms(&self, cost: &Cost) -> Option<u64> {
        let most_ms = self.max_hours? * HOUR_MS;
        // A bound of more milliseconds than a number has is none.
        Some((most_ms as u64).saturating_sub(cost.loop_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_met_at_its_figure_and_not_before() {
        let spent = Cost {
            iterations: 3,
            input_tokens: 60,
            output_tokens: 40,
            cost_usd: 2.5,
            gpu_ms: 1_800_000,
            loop_ms: 7_200_000,
            ..Cost::default()
        };
        let none = Limits { max_failures: 20, ..Limits::default() };
        assert_eq!(none.met(&spent, 99), None, "P32: without a limit it never ends by itself");
        let cases: [(Limits, Limits, &str); 6] = [
            (
                Limits { max_iterations: Some(3), ..none },
                Limits { max_iterations: Some(4), ..none },
                "3 iter",
            ),
            (Limits { max_hours: Some(2.0), ..none }, Limits { max_hours: Some(2.1), ..none }, "run for 2"),
            (Limits { max_tokens: Some(100), ..none }, Limits { max_tokens: Some(101), ..none }, "100 tok"),
            (Limits { max_cost: Some(2.5), ..none }, Limits { max_cost: Some(2.6), ..none }, "$2.50"),
            (
                Limits { max_gpu_hours: Some(0.5), ..none },
                Limits { max_gpu_hours: Some(0.6), ..none },
                "0.50",
            ),
            (Limits { max_dry: Some(2), ..none }, Limits { max_dry: Some(3), ..none }, "2 turns"),
        ];
        for (met, unmet, want) in cases {
            let said = met.met(&spent, 2).unwrap_or_else(|| panic!("{want}: met"));
            assert!(said.contains(want), "{said}");
            assert_eq!(unmet.met(&spent, 2), None, "{want}");
        }
        assert_eq!(Limits { max_hours: Some(2.5), ..none }.left_ms(&spent), Some(1_800_000));
        assert!(positive("0").is_err() && positive("-1").is_err() && positive("nan").is_err());
    }
}
