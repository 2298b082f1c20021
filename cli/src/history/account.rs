//! One iteration as a document: what `show --output json` tells beside the records.

use super::gates::{Gate, gates};
use super::story::{Attempt, Iteration, Removed, Story};
use serde::Serialize;
use windlass_shared::attempt::Reading;
use windlass_shared::conclusion::{Conclusion, Verdict};
use windlass_shared::decimal::Decimal;
use windlass_shared::digest::Digest;
use windlass_shared::id::{DeviceId, IterationNumber, LeverNumber};
use windlass_shared::lever::{CitedRow, Comparison};
use windlass_shared::machine::{Containment, Flag};
use windlass_shared::path::TreePath;

/// The iteration, whole.
#[derive(Debug, Serialize)]
pub struct Account<'a> {
    campaign: &'a str,
    iteration: IterationNumber,
    title: &'a str,
    opened_wall_ms: i64,
    parent: Option<IterationNumber>,
    tree: Digest,
    net_lines: i64,
    lever: Option<Proposal<'a>>,
    evidence: Option<Evidence<'a>>,
    gates: Vec<Gate>,
    fixes: &'a [u32],
    attempts: Vec<Execution<'a>>,
    deliverables: Vec<Row<'a>>,
    conclusion: Option<Learnt<'a>>,
    decision: Option<Decided<'a>>,
    results: &'a [String],
    removed: &'a [Removed],
}

#[derive(Debug, Serialize)]
struct Proposal<'a> {
    lever: LeverNumber,
    kind: &'static str,
    files: &'a [TreePath],
    prediction: &'a str,
    changed_assumption: Option<&'a str>,
    literature: Option<&'a str>,
    cites: &'a [CitedRow],
}

#[derive(Debug, Serialize)]
struct Evidence<'a> {
    file: &'a TreePath,
    pattern: &'a str,
    compare: Option<&'a Comparison>,
    iteration: Option<IterationNumber>,
    line: Option<u64>,
    value: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Execution<'a> {
    attempt: u32,
    kind: &'static str,
    worker_name: &'a str,
    devices: &'a [DeviceId],
    why: &'a str,
    leased_wall_ms: i64,
    budget_ms: u64,
    ended: Option<Ended<'a>>,
}

#[derive(Debug, Serialize)]
struct Ended<'a> {
    ending: &'static str,
    sentence: String,
    duration_ms: u64,
    metric: Option<&'a Decimal>,
    no_metric: Option<&'a str>,
    isolation: &'a str,
    containment: Option<Containment>,
    device_model: &'a str,
    flags: &'a [Flag],
    log_bytes: u64,
    log_cut_bytes: u64,
    setup_failed: bool,
    left_out: &'a [String],
    frozen_changed: Option<&'a TreePath>,
}

#[derive(Debug, Serialize)]
struct Row<'a> {
    output: &'a TreePath,
    dimension: &'a str,
    question: &'a str,
    if_helped: &'a str,
    if_not: &'a str,
    script: &'a str,
    first_line: Option<&'a str>,
    verdict: Option<Verdict>,
}

#[derive(Debug, Serialize)]
struct Learnt<'a> {
    finding: &'a str,
    bullets: &'a [String],
    automatic: bool,
    ceiling_near: Option<bool>,
}

#[derive(Debug, Serialize)]
struct Decided<'a> {
    status: &'static str,
    reason: &'a str,
    metric: Option<&'a Decimal>,
    record: Option<&'a Decimal>,
    gain: Option<&'a Decimal>,
    net_lines: i64,
    sentence: &'a str,
    decided_wall_ms: i64,
}

impl<'a> Account<'a> {
    /// Of one iteration; `results` are the files that an anchor can cite.
    pub fn of(story: &'a Story, iteration: &'a Iteration, results: &'a [String]) -> Self {
        Self {
            campaign: story.campaign.as_str(),
            iteration: iteration.number,
            title: &iteration.title,
            opened_wall_ms: iteration.opened_wall_ms,
            parent: iteration.parent,
            tree: iteration.tree,
            net_lines: iteration.net_lines,
            lever: proposal(story, iteration),
            evidence: evidence(story, iteration),
            gates: gates(story, iteration),
            fixes: &iteration.fixes,
            attempts: iteration.attempts.iter().map(execution).collect(),
            deliverables: rows(iteration),
            conclusion: iteration.conclusion.as_ref().map(|conclusion| Learnt {
                finding: &conclusion.finding,
                bullets: &conclusion.bullets,
                automatic: conclusion.automatic,
                ceiling_near: conclusion.ceiling_near,
            }),
            decision: decided(iteration),
            results,
            removed: &iteration.removed,
        }
    }
}

fn proposal<'a>(story: &'a Story, iteration: &'a Iteration) -> Option<Proposal<'a>> {
    let lever = story.lever_of(iteration)?;
    Some(Proposal {
        lever: iteration.lever?,
        kind: lever.kind.as_str(),
        files: &lever.files,
        prediction: &lever.prediction,
        changed_assumption: lever.changed_assumption.as_deref(),
        literature: lever.literature.as_deref(),
        cites: story.cited_by(iteration),
    })
}

fn evidence<'a>(story: &'a Story, iteration: &'a Iteration) -> Option<Evidence<'a>> {
    let anchor = story.lever_of(iteration)?.anchor.as_ref()?;
    let pin = iteration.pin.as_ref();
    Some(Evidence {
        file: &anchor.file,
        pattern: &anchor.pattern,
        compare: anchor.compare.as_ref(),
        iteration: pin.map(|pin| pin.iteration),
        line: pin.map(|pin| pin.line),
        value: pin.map(|pin| pin.value.as_str()),
    })
}

fn execution(attempt: &Attempt) -> Execution<'_> {
    Execution {
        attempt: attempt.order.key.id.number,
        kind: crate::render::event::kind(attempt.order.kind),
        worker_name: &attempt.worker_name,
        devices: &attempt.order.devices,
        why: &attempt.why,
        leased_wall_ms: attempt.leased_wall_ms,
        budget_ms: attempt.order.soft_limit_ms,
        ended: attempt.outcome.as_ref().map(|outcome| Ended {
            ending: outcome.ending.as_str(),
            sentence: outcome.ending.to_string(),
            duration_ms: outcome.duration_ms,
            metric: outcome.reading.as_ref().and_then(Reading::value),
            no_metric: match &outcome.reading {
                Some(Reading::None { reason }) => Some(reason),
                _ => None,
            },
            isolation: &outcome.isolation,
            containment: outcome.containment,
            device_model: &outcome.device_model,
            flags: &outcome.flags,
            log_bytes: outcome.log_bytes,
            log_cut_bytes: outcome.log_cut_bytes,
            setup_failed: outcome.setup_failed,
            left_out: &outcome.left_out,
            frozen_changed: outcome.frozen_changed.as_ref(),
        }),
    }
}

fn rows(iteration: &Iteration) -> Vec<Row<'_>> {
    let rows = iteration.plan.iter().map(|row| Row {
        output: &row.output,
        dimension: &row.dimension,
        question: &row.question,
        if_helped: &row.if_helped,
        if_not: &row.if_not,
        script: row.script.label(),
        first_line: iteration.accepted.get(&row.output).map(String::as_str),
        verdict: iteration.conclusion.as_ref().and_then(|conclusion| verdict(conclusion, &row.output)),
    });
    rows.collect()
}

/// What the conclusion says that a deliverable shows.
fn verdict(conclusion: &Conclusion, output: &TreePath) -> Option<Verdict> {
    conclusion.deliverables.iter().find(|(path, _)| path == output).map(|(_, verdict)| *verdict)
}

fn decided(iteration: &Iteration) -> Option<Decided<'_>> {
    let decision = iteration.decision.as_ref()?;
    let sum = &decision.arithmetic;
    Some(Decided {
        status: decision.status.as_str(),
        reason: &decision.reason,
        metric: sum.metric.as_ref(),
        record: sum.record.as_ref(),
        gain: sum.gain.as_ref(),
        net_lines: sum.net_lines,
        sentence: &sum.sentence,
        decided_wall_ms: decision.wall_ms,
    })
}
