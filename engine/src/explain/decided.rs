//! Why a decided iteration was decided so: the rule and the sum, from its records.

use super::{Answer, seconds};
use crate::campaign::{CANCELLED, Campaign, NOT_CONFIRMED, SUPERSEDED, UNANALYSED, default_min_gain};
use crate::core::RECORDED;
use windlass_shared::attempt::Kind;
use windlass_shared::conclusion::Status;
use windlass_shared::id::IterationNumber;
use windlass_shared::plan::Deliverable;
use windlass_shared::record::{Arithmetic, Body, Record};

/// Tells the decision first, then what led to it.
pub(super) fn tell(campaign: &Campaign, records: &[Record], answer: &mut Answer<'_>) {
    for record in records {
        if let Body::IterationDecided { status, reason, arithmetic, .. } = &record.body {
            tell_decision(campaign, *status, reason, arithmetic, answer);
        }
    }
    for record in records {
        match &record.body {
            Body::AttemptEnded { attempt, attempt_kind, outcome, .. } => {
                let kind = match attempt_kind {
                    Kind::Run => "run",
                    Kind::Analysis => "analysis",
                    Kind::Score => "scorer",
                };
                let took = seconds(outcome.duration_ms);
                let rule = outcome.ending.is_infrastructure().then_some("P20");
                let text = format!("attempt {}, a {kind}, ended {}", attempt.number, outcome.ending);
                match rule {
                    Some(rule) => answer.rule(rule, text),
                    None => answer.say(text),
                };
                answer.figure("took", took);
            }
            Body::FixApplied { change: Some(_), .. } => {
                answer.rule("P19", "a fix of its researcher was put on top and run");
            }
            Body::DeliverableAdded { deliverable, .. } if !is_planned(records, deliverable) => {
                let (output, script) = (&deliverable.output, deliverable.script.label());
                answer.rule("P22", format!("{script} was added beside its plan, to make {output}"));
            }
            Body::DeliverableAdded { deliverable, .. } => {
                let (output, script) = (&deliverable.output, deliverable.script.label());
                answer.rule("P21", format!("the script of {output} was replaced by {script}"));
            }
            Body::FixApplied { fix, .. } => {
                answer.rule("P19", format!("fix {} of its lever was put on top and run", fix + 1));
            }
            Body::FindingMarked { finding, result, why, .. } => {
                answer.rule(
                    "P37",
                    format!("{finding}, which its lever rests on, is {}: {why}", result.as_str()),
                );
            }
            Body::IterationCancelled { .. } => {
                answer.say("its owner cancelled it");
            }
            _ => {}
        }
    }
}

/// Tells what became of the scripts that were added since (P22).
pub(super) fn tell_follow_ups(campaign: &Campaign, number: IterationNumber, answer: &mut Answer<'_>) {
    for one in campaign.follow_ups_view().into_iter().filter(|one| one.iteration == number) {
        let why = one.problem.map_or(String::new(), |problem| format!(": {problem}"));
        answer.rule("P22", format!("its follow-up {} is {}{why}", one.output, one.stage));
    }
}

fn is_planned(records: &[Record], added: &Deliverable) -> bool {
    records.iter().any(|record| match &record.body {
        Body::IterationOpened { plan, .. } => plan.iter().any(|row| row.output == added.output),
        _ => false,
    })
}

/// What it tested: a lever's title, or the baseline.
pub(super) fn title(records: &[Record]) -> &str {
    let decision = records.iter().find_map(|record| match &record.body {
        Body::IterationDecided { description, .. } => Some(description.as_str()),
        _ => None,
    });
    decision.unwrap_or("baseline")
}

fn tell_decision(
    campaign: &Campaign,
    status: Status,
    reason: &str,
    arithmetic: &Arithmetic,
    answer: &mut Answer<'_>,
) {
    let simplicity = &campaign.bindings.windlass.simplicity;
    answer.rule(rule_of(reason), format!("it is {}: {}", verb(status), arithmetic.sentence));
    for (name, value) in
        [("metric", &arithmetic.metric), ("record", &arithmetic.record), ("gain", &arithmetic.gain)]
    {
        if let Some(value) = value {
            answer.figure(name, value);
        }
    }
    if reason == RECORDED {
        answer.say("its decision was made elsewhere and is taken as it stood");
        return;
    }
    answer.figure("net_lines", arithmetic.net_lines);
    let (Some(weighed), Some(_)) = (weighed(reason), &arithmetic.gain) else { return };
    let min_gain =
        simplicity.min_gain.clone().unwrap_or_else(|| default_min_gain(campaign.baseline_metric.as_ref()));
    answer
        .figure("min_gain", min_gain)
        .figure("lines", simplicity.lines)
        .figure("tolerance", &simplicity.tolerance);
    answer.rule("P26", weighed);
}

fn verb(status: Status) -> &'static str {
    match status {
        Status::Keep => "kept",
        Status::Discard => "discarded",
        Status::Crash => "a crash",
    }
}

/// The rule behind a decision's reason.
pub(super) fn rule_of(reason: &str) -> &'static str {
    match reason {
        "baseline" => "P1",
        "simpler" | "instrumentation" | "not worth its lines" => "P26",
        UNANALYSED => "P21",
        CANCELLED => "P10",
        NOT_CONFIRMED => "P27",
        SUPERSEDED => "P39",
        RECORDED => "P29",
        "soft_timeout" | "hard_timeout" => "P16",
        reason if reason.starts_with("infrastructure") => "P20",
        reason if reason.starts_with("no metric") => "P18",
        reason if reason.contains("(P2)") => "P2",
        _ => "P25",
    }
}

/// What simplicity had to do with it, where it was weighed at all.
fn weighed(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "better" => {
            "a strictly better metric is kept, unless it gains at most min_gain for `lines` lines or more"
        }
        "not worth its lines" => "it gains at most min_gain and adds `lines` lines or more",
        "simpler" => "it removes lines and stays within the tolerance of the record",
        "instrumentation" => "it only logs more and stays within the tolerance of the record",
        "equal" | "worse" => {
            "it is not better, and neither removes lines within the tolerance nor only logs more"
        }
        _ => return None,
    })
}
