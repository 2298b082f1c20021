//! What the loop says: a line for each event as `watch` has them, or a document; at its end a summary.

use super::cost::Cost;
use crate::error::Error;
use crate::render::event::scroll;
use crate::render::text::neutral;
use crate::render::units;
use crate::session::Session;
use serde::Serialize;

/// One event: `windlass.research_event/1`.
#[derive(Debug, Serialize)]
pub struct Event<'a> {
    /// When, milliseconds since the epoch.
    pub wall_ms: i64,
    /// `began`, `turn`, `answered`, `proposed`, …
    pub event: &'static str,
    /// The turn that it belongs to.
    pub turn: Option<u64>,
    /// The iteration that it belongs to.
    pub iteration: Option<u32>,
    /// The lever that it belongs to.
    pub lever: Option<u32>,
    /// What happened.
    pub sentence: &'a str,
    /// What the iteration has cost, when it is decided.
    pub cost: Option<&'a Cost>,
}

/// The end: `windlass.research/1`.
#[derive(Debug, Serialize)]
pub struct Summary<'a> {
    /// Which campaign.
    pub campaign: &'a str,
    /// Who.
    pub researcher: &'a str,
    /// Where everything lies.
    pub folder: String,
    /// Why it ended.
    pub why: &'a str,
    /// The best metric.
    pub best: Option<String>,
    /// How to go on.
    pub resume: Option<&'a str>,
    /// What all of it has cost.
    pub cost: &'a Cost,
}

impl<'a> Event<'a> {
    /// One that belongs to nothing.
    pub fn new(event: &'static str, sentence: &'a str) -> Self {
        let wall_ms = units::now_ms();
        Self { wall_ms, event, turn: None, iteration: None, lever: None, sentence, cost: None }
    }

    /// Says it.
    pub fn tell(&self, session: &Session) -> Result<(), Error> {
        if session.is_json() {
            return session.json("windlass.research_event/1", self);
        }
        let place = self.turn.map_or(String::new(), |turn| format!("turn {turn}: "));
        let line = format!("{place}{}", neutral(self.sentence));
        session.print(&format!("{}\n", scroll(self.wall_ms, &line, session.line_width())))
    }
}

impl Summary<'_> {
    /// Says it.
    pub fn tell(&self, session: &Session) -> Result<(), Error> {
        if session.is_json() {
            return session.json("windlass.research/1", self);
        }
        let best = self.best.as_deref().map_or(String::new(), |best| format!(", best {}", neutral(best)));
        let mut text =
            format!("{} ended: {}{best}\n{}\n", self.researcher, neutral(self.why), account(self.cost));
        text.push_str(&format!("everything said and done lies in {}\n", self.folder));
        if let Some(resume) = self.resume {
            text.push_str(&format!("go on with: {resume}\n"));
        }
        session.print(&text)
    }
}

/// A sum in words; what was never said is left out.
pub fn account(cost: &Cost) -> String {
    let mut parts = vec![
        units::count(cost.iterations, "iteration"),
        units::count(cost.turns, "turn"),
        format!("{} refused", cost.refused),
        format!("{} of agent", units::duration(cost.agent_ms)),
    ];
    if cost.tokens() > 0 {
        parts.push(units::count(cost.tokens(), "token"));
    }
    if cost.cost_usd > 0.0 {
        parts.push(format!("${:.2}", cost.cost_usd));
    }
    if cost.gpu_ms > 0 {
        parts.push(format!("{:.2} GPU-hours", cost.gpu_ms as f64 / 3_600_000.0));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_names_what_was_spent_and_nothing_else() {
        let free = Cost { turns: 2, iterations: 1, agent_ms: 1_500, ..Cost::default() };
        assert_eq!(account(&free), "1 iteration, 2 turns, 0 refused, 1.5 s of agent");
        let paid = Cost { input_tokens: 10, cost_usd: 0.5, gpu_ms: 1_800_000, ..free };
        assert!(account(&paid).ends_with("10 tokens, $0.50, 0.50 GPU-hours"), "{}", account(&paid));
    }
}
