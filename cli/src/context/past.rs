//! What was tried: the best and how it came about, the latest decisions with their sums, near misses, and
//! crashes with the last lines of their logs.

use super::facts::Facts;
use super::section::{Pen, Section, code, fenced};
use crate::history::{Decision, Iteration};
use serde::Serialize;
use windlass_shared::attempt::Kind;
use windlass_shared::conclusion::Status;
use windlass_shared::decimal::Decimal;

#[derive(Serialize)]
struct Row<'a> {
    iteration: u32,
    lever: Option<u32>,
    title: String,
    kind: &'a str,
    status: &'a str,
    reason: String,
    metric: Option<String>,
    gain: Option<String>,
    net_lines: i64,
    sum: String,
    summary: String,
}

#[derive(Serialize)]
struct Miss {
    iteration: u32,
    title: String,
    metric: Option<String>,
    gain: Option<String>,
    margin: String,
    sum: String,
}

#[derive(Serialize)]
struct Crash {
    iteration: u32,
    title: String,
    ending: String,
    reason: String,
    log_end: String,
}

type Pair<'a> = (&'a Iteration, &'a Decision);

/// The kept iterations, the best first.
pub fn best(facts: &Facts) -> Section<'_> {
    let mut steps: Vec<Pair<'_>> = facts.story.steps().collect();
    steps.reverse();
    let total = steps.len();
    let command = match facts.story.best {
        Some(best) => format!("windlass show {} {best}", facts.view.campaign),
        None => format!("windlass best {}", facts.view.campaign),
    };
    let entry = move |index: usize, pen: &Pen| row(facts, steps[index], pen);
    Section {
        name: "best",
        heading: "The best, and what led there",
        command,
        rank: 2,
        floor: 2,
        total,
        entry: Box::new(entry),
    }
}

/// The latest decisions, the newest first.
pub fn recent(facts: &Facts) -> Section<'_> {
    let mut rows: Vec<Pair<'_>> = facts.story.rows().collect();
    rows.reverse();
    let total = rows.len();
    let entry = move |index: usize, pen: &Pen| row(facts, rows[index], pen);
    Section {
        name: "recent",
        heading: "Latest decisions",
        command: format!("windlass results {}", facts.view.campaign),
        rank: 3,
        floor: 4,
        total,
        entry: Box::new(entry),
    }
}

fn row(facts: &Facts, (iteration, decision): Pair<'_>, pen: &Pen) -> String {
    let sum = &decision.arithmetic;
    let row = Row {
        iteration: iteration.number.0,
        lever: iteration.lever.map(|lever| lever.0),
        title: pen.line(&iteration.title),
        kind: match facts.story.lever_of(iteration) {
            Some(lever) => lever.kind.as_str(),
            None if facts.story.imported.is_some() => "imported",
            None => "baseline",
        },
        status: decision.status.as_str(),
        reason: pen.line(&decision.reason),
        metric: figure(sum.metric.as_ref(), pen),
        gain: figure(sum.gain.as_ref(), pen),
        net_lines: sum.net_lines,
        sum: pen.line(&sum.sentence),
        summary: pen.line(&decision.summary),
    };
    pen.entry(&row, || {
        let metric = row.metric.as_deref().unwrap_or("no metric");
        let summary =
            if row.summary.is_empty() { String::new() } else { format!("; learnt: {}", row.summary) };
        format!(
            "iteration {} **{}** {metric}, {} ({}): {}{summary}",
            row.iteration, row.status, row.title, row.kind, row.sum
        )
    })
}

/// A figure's digits; one of hundreds of digits is cut like any text.
fn figure(decimal: Option<&Decimal>, pen: &Pen) -> Option<String> {
    decimal.map(|decimal| pen.line(decimal.text()))
}

/// Discards that came within the noise or the tolerance of the record, or past it: a second look, or a
/// combination with another change, may keep one. The newest first.
pub fn near_misses(facts: &Facts) -> Section<'_> {
    let mut misses: Vec<(Pair<'_>, Decimal)> = facts
        .story
        .rows()
        .filter(|(_, decision)| decision.status == Status::Discard)
        .filter_map(|pair| Some((pair, margin(facts, pair.1)?)))
        .collect();
    misses.reverse();
    let total = misses.len();
    let entry = move |index: usize, pen: &Pen| {
        let ((iteration, decision), margin) = &misses[index];
        let sum = &decision.arithmetic;
        let miss = Miss {
            iteration: iteration.number.0,
            title: pen.line(&iteration.title),
            metric: figure(sum.metric.as_ref(), pen),
            gain: figure(sum.gain.as_ref(), pen),
            margin: pen.line(margin.text()),
            sum: pen.line(&sum.sentence),
        };
        pen.entry(&miss, || format!("iteration {}, {}: {}", miss.iteration, miss.title, miss.sum))
    };
    Section {
        name: "near_misses",
        heading: "Near misses",
        command: format!("windlass results {}", facts.view.campaign),
        rank: 8,
        floor: 1,
        total,
        entry: Box::new(entry),
    }
}

/// The margin within which a discard missed the record: the noise threshold it was held against, or the
/// tolerance, whichever is wider. None for one that missed by more.
fn margin(facts: &Facts, decision: &Decision) -> Option<Decimal> {
    let sum = &decision.arithmetic;
    let gain = sum.gain.as_ref()?;
    let tolerance = facts.story.bindings.windlass.simplicity.tolerance.clone();
    let threshold = sum.noise.as_ref().and_then(|noise| noise.threshold.clone());
    let margin = match threshold {
        Some(threshold) if threshold > tolerance => threshold,
        _ => tolerance,
    };
    // One that was better and is not kept all the same (its lines, another lane) is nearest of all.
    let is_better = *gain > gain.minus(gain);
    (is_better || gain.abs() <= margin).then_some(margin)
}

/// Crashes with the last lines of their logs, the newest first.
pub fn crashes(facts: &Facts) -> Section<'_> {
    let is_crash = |(_, decision): &Pair<'_>| decision.status == Status::Crash;
    let mut crashes: Vec<Pair<'_>> = facts.story.rows().filter(is_crash).collect();
    crashes.reverse();
    let total = crashes.len();
    let command = match crashes.first() {
        Some((iteration, _)) => {
            format!("windlass logs {} {} --tail 200", facts.view.campaign, iteration.number)
        }
        None => format!("windlass results {}", facts.view.campaign),
    };
    let entry = move |index: usize, pen: &Pen| {
        let (iteration, decision) = crashes[index];
        let ended = iteration.last_ended(Kind::Run).map(|(_, outcome)| outcome);
        let crash = Crash {
            iteration: iteration.number.0,
            title: pen.line(&iteration.title),
            ending: pen.line(&ended.map_or(String::new(), |outcome| outcome.ending.to_string())),
            reason: pen.line(&decision.reason),
            log_end: ended.map_or(String::new(), |outcome| pen.last_lines(&outcome.log_tail)),
        };
        pen.entry(&crash, || {
            let Crash { iteration, title, ending, reason, log_end } = &crash;
            format!("iteration {iteration}, {title}: {} ({ending}){}", code(reason), fenced(log_end))
        })
    };
    Section { name: "crashes", heading: "Crashes", command, rank: 7, floor: 1, total, entry: Box::new(entry) }
}
