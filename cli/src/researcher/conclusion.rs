//! A plain conclusion from the figures (P23): what the metric did, how the run ended, what each deliverable says
//! first. Nothing is judged that a figure does not decide.

use super::answer::Spoken;
use super::search::RESPONSE;
use super::turn::Turn;
use crate::context::Facts;
use crate::error::Error;
use crate::history::{Iteration, Story};
use crate::layout::{write_file, yaml};
use crate::render::text::{cut, neutral};
use crate::render::units;
use serde::Serialize;
use std::collections::BTreeMap;
use windlass_shared::attempt::Kind;
use windlass_shared::bindings::Direction;
use windlass_shared::conclusion::Verdict;
use windlass_shared::decimal::Decimal;
use windlass_shared::id::IterationNumber;

/// Columns of a bullet; the coordinator takes 4,000 bytes.
const BULLET_COLUMNS: usize = 300;
/// Bullets for deliverables: with the three that are always there, the eight that a conclusion may have.
const DELIVERABLES_MAX: usize = 5;

#[derive(Debug, Serialize)]
struct Written {
    examined: String,
    finding: String,
    bullets: Vec<String>,
    deliverables: BTreeMap<String, Verdict>,
}

/// Answers with `conclusion.yaml`.
pub fn write(turn: &Turn, facts: &Facts) -> Result<Spoken, Error> {
    let number = turn.iteration.unwrap_or_default();
    let story = &facts.story;
    let iteration = story.iterations.get(&IterationNumber(number)).ok_or_else(|| Error::NoIteration {
        number,
        campaign: story.campaign.to_string(),
        latest: story.iterations.keys().next_back().map(|latest| latest.0),
    })?;
    let written = compose(story, iteration);
    let path = turn.dir.join("conclusion.yaml");
    write_file(&path, yaml(&written)?.as_bytes())?;
    let answer = Some(path.display().to_string());
    Ok(Spoken { turn: turn.kind.as_str(), answer, about: written.finding, passed: Vec::new() })
}

fn compose(story: &Story, iteration: &Iteration) -> Written {
    let name = neutral(&story.bindings.metric);
    let run = iteration.last_ended(Kind::Run).map(|(_, outcome)| outcome);
    let metric = metric(iteration).cloned();
    let before = parent_metric(story, iteration);
    let gain = metric.as_ref().zip(before).map(|(now, (_, before))| gain(story, now, before));
    let finding = match (&metric, before) {
        (Some(now), Some((parent, before))) => {
            let verb = match gain.as_ref().is_some_and(is_positive) {
                true => "improved",
                false => "did not improve",
            };
            format!("{name} {verb}: {now} after {before} in iteration {parent}")
        }
        (Some(now), None) => format!("{name} is {now}, the first figure of the campaign"),
        (None, _) => format!("the run gave no {name}"),
    };
    let sum = match &gain {
        Some(gain) => format!("the gain in {name} is {gain}, in the direction of the campaign"),
        None => format!("there is nothing to compare {name} with"),
    };
    let ended = run.map_or("there was no run".to_owned(), |run| {
        format!("the run ended as {} after {}", run.ending, units::duration(run.duration_ms))
    });
    let lines = format!("the change adds {} net lines to the editable files", iteration.net_lines);
    let shown = iteration.accepted.iter().take(DELIVERABLES_MAX);
    let shown = shown.map(|(output, line)| format!("{output} begins with: {}", neutral(line)));
    let bullets = [sum, ended, lines].into_iter().chain(shown);
    let judged = |output: &str| match (output == RESPONSE, &gain) {
        (true, Some(gain)) if is_positive(gain) => Verdict::AsHelped,
        (true, Some(_)) => Verdict::AsNot,
        _ => Verdict::Neither,
    };
    let outputs = iteration.accepted.keys().map(ToString::to_string);
    let names = outputs.clone().collect::<Vec<_>>().join(", ");
    Written {
        examined: cut(&format!("the metric, how the run ended, and the first lines of: {names}"), 2_000),
        finding: cut(&finding, BULLET_COLUMNS),
        bullets: bullets.map(|bullet| cut(&bullet, BULLET_COLUMNS)).collect(),
        deliverables: outputs.map(|output| (output.clone(), judged(&output))).collect(),
    }
}

/// What it is compared with: the metric of the best that it was built on.
fn parent_metric<'a>(story: &'a Story, iteration: &Iteration) -> Option<(u32, &'a Decimal)> {
    let parent = story.iterations.get(&iteration.parent?)?;
    Some((parent.number.0, metric(parent)?))
}

/// As it was decided on, which over replicates is their mean; before that as the run printed it.
fn metric(iteration: &Iteration) -> Option<&Decimal> {
    match &iteration.decision {
        Some(decision) => decision.arithmetic.metric.as_ref(),
        None => iteration.last_ended(Kind::Run)?.1.reading.as_ref()?.value(),
    }
}

fn gain(story: &Story, now: &Decimal, before: &Decimal) -> Decimal {
    match story.bindings.metric_direction {
        Direction::Maximize => now.minus(before),
        Direction::Minimize => before.minus(now),
    }
}

fn is_positive(gain: &Decimal) -> bool {
    *gain > gain.minus(gain)
}
