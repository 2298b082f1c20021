//! The automatic conclusion (P23): composed from facts alone, never from guesses.

use super::iteration::Iteration;
use windlass_shared::attempt::Kind;
use windlass_shared::conclusion::{Conclusion, Verdict};

/// The most bullets of a conclusion.
const BULLETS_MAX: usize = 8;
/// The longest summary in the ledger's table, characters.
const SUMMARY_MAX_CHARS: usize = 300;

/// What an automatic conclusion is made of.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The iteration, over but for its decision.
    pub iteration: &'a Iteration,
    /// The decision's sum, or why there is no metric.
    pub sentence: &'a str,
    /// The metric's name.
    pub metric: &'a str,
    /// The gate's budget, milliseconds; under the epoch gate the safety limit behind it.
    pub budget_ms: u64,
    /// Under the epoch gate: the cap (P17).
    pub epochs: Option<u64>,
    /// With literature: what is known of the ceiling.
    pub ceiling: Option<String>,
}

/// Composes a conclusion: metric and change, ending, gate use, first line of each deliverable.
pub fn conclude(facts: &Facts<'_>) -> Conclusion {
    let iteration = facts.iteration;
    let mut bullets = vec![format!("{}: {}", facts.metric, facts.sentence)];
    bullets.push(ending(facts));
    bullets.push(gate_use(facts));
    if iteration.fixes_applied > 0 {
        bullets.push(format!("carried fixes applied: {}", iteration.fixes_applied));
    }
    if let Some(printed) = iteration
        .artifact
        .as_ref()
        .and(iteration.run.as_ref())
        .and_then(|run| run.outcome.reading.as_ref().and_then(|reading| reading.value()))
    {
        bullets.push(format!(
            "the run itself printed {printed}, which is only noted: its scorer's metric counts"
        ));
    }
    bullets.extend(facts.ceiling.clone());
    let room = BULLETS_MAX - bullets.len();
    let total = iteration.accepted.len();
    let shown = if total > room { room - 1 } else { total };
    for (output, accepted) in iteration.accepted.iter().take(shown) {
        bullets.push(format!("{} ({output}): {}", accepted.dimension, accepted.first_line));
    }
    if total > shown {
        bullets.push(format!("{} more deliverables lie under results/", total - shown));
    }
    let lines = iteration.accepted.values().map(|accepted| accepted.first_line.as_str());
    let mut found: Vec<&str> = Vec::new();
    // What several deliverables begin with is said once: each of the builtin kind tells the same log.
    for line in lines.filter(|line| !line.is_empty()) {
        if !found.contains(&line) {
            found.push(line);
        }
    }
    // Where a scorer judges, deliverables may quote what the run itself printed: the sum stands before them.
    let scored = iteration.artifact.as_ref().map(|_| facts.sentence);
    let found: Vec<&str> = scored.into_iter().chain(found).collect();
    let finding = if found.is_empty() { facts.sentence.to_owned() } else { found.join("; ") };
    Conclusion {
        finding: finding.chars().take(SUMMARY_MAX_CHARS).collect(),
        bullets,
        deliverables: iteration.accepted.keys().map(|output| (output.clone(), Verdict::Neither)).collect(),
        automatic: true,
        examined: String::new(),
        ceiling_near: None,
        anchor: None,
    }
}

fn ending(facts: &Facts<'_>) -> String {
    match &facts.iteration.run {
        Some(run) => format!("the run ended {} on {}", run.outcome.ending, device(&run.outcome.device_model)),
        None => match &facts.iteration.last_infrastructure {
            Some(detail) => format!("the machinery failed: {detail}"),
            None => "there was no run".to_owned(),
        },
    }
}

fn device(model: &str) -> &str {
    if model.is_empty() { "its worker" } else { model }
}

fn gate_use(facts: &Facts<'_>) -> String {
    let Some(run) = facts.iteration.run.as_ref().filter(|run| run.key.id.number > 0) else {
        return "no gate time was used".to_owned();
    };
    debug_assert!(facts.iteration.live.as_ref().is_none_or(|live| live.kind != Kind::Run));
    let used_ms = run.outcome.duration_ms;
    let percent = used_ms.saturating_mul(100) / facts.budget_ms.max(1);
    let seconds = |ms: u64| format!("{}.{} s", ms / 1000, ms % 1000 / 100);
    match facts.epochs {
        Some(1) => format!("it took {} for 1 epoch", seconds(used_ms)),
        Some(epochs) => format!("it took {} for {epochs} epochs", seconds(used_ms)),
        None => {
            format!("it used {} of {} ({percent} % of its gate)", seconds(used_ms), seconds(facts.budget_ms))
        }
    }
}
