//! One line for one record, as `watch` and a piped `demo` print them.

use super::style;
use super::text::{cut, neutral, wrap};
use super::units;
use crate::history::Story;
use windlass_shared::access::Shared;
use windlass_shared::attempt::{Kind, Outcome, Reading};
use windlass_shared::id::{IterationNumber, LeverNumber};
use windlass_shared::record::{Body, Clash, HoldReason, PauseReason, Record, RetireReason, StopReason};
use windlass_shared::refusal::Problem;

/// What happened, in a line; none for what only a machine wants to know. `story` knows the record
/// already.
pub fn line(record: &Record, story: Option<&Story>) -> Option<String> {
    let title = |iteration: IterationNumber| {
        story.and_then(|story| story.iterations.get(&iteration)).map_or(String::new(), |it| it.title.clone())
    };
    let text = match &record.body {
        Body::IncarnationStarted { .. } | Body::ReportSuperseded { .. } => return None,
        Body::CampaignCreated { name, .. } => format!("campaign {} ({name})", campaign(record)),
        Body::LedgerImported { name, source, .. } => {
            format!("campaign {} ({name}), imported from {source}", campaign(record))
        }
        Body::CampaignPaused { reason } => format!("campaign paused: {}", pause_reason(reason)),
        Body::CampaignResumed {} => "campaign resumed".to_owned(),
        Body::CampaignStopped { reason } => format!("campaign stopped: {}", stop_reason(reason)),
        Body::CampaignUpdated { shared: Some(Shared { with, share }), .. } => match share {
            Some(share) => format!("campaign shared with {with} for `{}`", share.as_str()),
            None => format!("campaign no longer shared with {with}"),
        },
        Body::CampaignUpdated { priority, weight, name, shared: None } => {
            let priority = priority.map(|priority| format!("priority {priority}"));
            let weight = weight.map(|weight| format!("weight {weight}"));
            let name = name.as_ref().map(|name| format!("name {name}"));
            let changed: Vec<String> = priority.into_iter().chain(weight).chain(name).collect();
            format!("campaign updated: {}", changed.join(", "))
        }
        Body::LeverQueued { lever, document, .. } => format!("{lever} queued: {}", document.title),
        Body::LeverRefused { proposal } => {
            let more = proposal.problems.len() + proposal.more as usize - proposal.problems.len().min(1);
            let more = if more == 0 { String::new() } else { format!(", and {more} more") };
            format!(
                "refused: {}: {}{more}",
                proposal.title,
                proposal.problems.first().map_or_else(String::new, problem)
            )
        }
        Body::LeverPassed { lever, passes, missing } => {
            format!("{lever} passed over ({passes}): {missing}")
        }
        Body::LeverHeld { lever, reason } => format!("{lever} held: {}", hold_reason(reason)),
        Body::LeverRetired { lever, reason } => {
            format!("{lever} retired{}: {}", lever_title(story, *lever), retire_reason(reason))
        }
        Body::LeverMoved { lever, before } => match before {
            Some(before) => format!("{lever} moved before {before}"),
            None => format!("{lever} moved to the end of the line"),
        },
        Body::LeverRequeued { lever, .. } => {
            format!("{lever} stands in line again{}", lever_title(story, *lever))
        }
        Body::IterationCancelled { iteration } => format!("iteration {iteration}: cancelled by its owner"),
        Body::IterationOpened { iteration, lever, .. } => match lever {
            Some(lever) => format!("iteration {iteration}: pulls {lever}, {}", title(*iteration)),
            None => format!("iteration {iteration}: the baseline, nothing changed"),
        },
        Body::AttemptLeased { order, worker_name, .. } => {
            let devices: Vec<&str> = order.devices.iter().map(|device| device.as_str()).collect();
            let kind = kind(order.kind);
            let place = on(worker_name, &devices);
            format!("iteration {}: {kind} {place}", order.key.id.iteration)
        }
        Body::AttemptEnded { attempt, attempt_kind, outcome, .. } => {
            format!("iteration {}: {} {}", attempt.iteration, kind(*attempt_kind), ended(outcome))
        }
        Body::FixApplied { iteration, change: Some(_), .. } => {
            format!("iteration {iteration}: tries a fix of its researcher")
        }
        Body::FixApplied { iteration, fix, .. } => {
            format!("iteration {iteration}: tries fix {} of its lever", fix + 1)
        }
        Body::DeliverableAdded { iteration, deliverable } => {
            let (output, script) = (&deliverable.output, deliverable.script.label());
            format!("iteration {iteration}: {output} is to be made by {script}")
        }
        Body::DeliverableAccepted { iteration, output, first_line, .. } => {
            format!("iteration {iteration}: has {output}: {}", cut(&neutral(first_line), 60))
        }
        Body::ConclusionWritten { conclusion, .. } if conclusion.automatic => return None,
        Body::ConclusionWritten { iteration, conclusion } => {
            format!("iteration {iteration}: concluded: {}", cut(&neutral(&conclusion.finding), 60))
        }
        Body::IterationDecided { iteration, status, arithmetic, .. } => {
            let color = style::of_status(*status);
            let sentence = neutral(&arithmetic.sentence);
            let title = neutral(&title(*iteration));
            let word = status.as_str().to_uppercase();
            return Some(format!("iteration {iteration}: {color}{word}{color:#} {title} ({sentence})"));
        }
        Body::ReviewRecorded { review, kept, rejected, .. } => {
            let findings = units::count(u64::from(kept + rejected), "finding");
            format!("review for iteration {review}: {findings}, {kept} kept and {rejected} rejected")
        }
        Body::FindingRecorded { finding, document, reasons, .. } => match reasons.first() {
            None => format!("{finding} kept: {}", document.title()),
            Some(reason) => format!("{finding} rejected: {reason}"),
        },
        Body::FindingMarked { finding, result, iteration, why } => match iteration {
            Some(iteration) => format!("iteration {iteration}: {finding} {}: {why}", result.as_str()),
            None => format!("{finding} {}: {why}", result.as_str()),
        },
        Body::WorkerDrained { worker, reason } => format!("worker {worker} drained: {reason}"),
        Body::WorkerUndrained { worker } => format!("worker {worker} takes work again"),
        Body::EvidenceRemoved { iteration, evidence, bytes, why } => {
            format!("iteration {iteration}: {} removed ({}): {why}", evidence.as_str(), units::bytes(*bytes))
        }
        Body::DeviceReleased { worker, device } => format!("device {device} of worker {worker} released"),
        Body::QuotaSet { owner, quota: Some(quota) } => {
            format!("{owner} may have {} at most", super::quota::words(quota))
        }
        Body::QuotaSet { owner, quota: None } => format!("{owner} may have as much as there is"),
        Body::RequestAnswered {} => "a request asked for what was so already".to_owned(),
    };
    Some(neutral(&text))
}

/// A line with its time of day, as it scrolls by: wrapped under itself on a terminal, whole in a pipe.
pub fn scroll(wall_ms: i64, line: &str, width: Option<u16>) -> String {
    let clock = units::clock(wall_ms);
    let Some(width) = width else { return format!("{clock} {line}") };
    let indent = clock.chars().count() + 1;
    let room = usize::from(width).saturating_sub(indent);
    format!("{clock} {}", wrap(line, room, room).join(&format!("\n{}", " ".repeat(indent))))
}

/// Where an attempt is; an analysis may need no device.
pub fn on(worker_name: &str, devices: &[&str]) -> String {
    match devices {
        [] => format!("on {worker_name}"),
        devices => format!("on {worker_name} [{}]", devices.join(" ")),
    }
}

fn campaign(record: &Record) -> &str {
    record.campaign.as_ref().map_or("", |campaign| campaign.as_str())
}

fn lever_title(story: Option<&Story>, lever: LeverNumber) -> String {
    let known = story.and_then(|story| story.levers.get(&lever));
    known.map_or(String::new(), |known| format!(" ({})", known.lever.title))
}

/// The word for what an attempt executes.
pub fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Run => "run",
        Kind::Analysis => "analysis",
        Kind::Score => "scorer",
    }
}

/// How an attempt ended, with its metric.
pub fn ended(outcome: &Outcome) -> String {
    let took = units::duration(outcome.duration_ms);
    match &outcome.reading {
        Some(Reading::Metric { value, .. }) => format!("{} in {took}, metric {value}", outcome.ending),
        Some(Reading::None { reason }) => format!("{} in {took}, no metric: {reason}", outcome.ending),
        None => format!("{} in {took}", outcome.ending),
    }
}

/// What is wrong with a proposal, its rule first.
pub fn problem(problem: &Problem) -> String {
    let rule = problem.rule.as_ref().map_or(String::new(), |rule| format!("[{rule}] "));
    format!("{rule}{}", problem.message)
}

/// Why a lever left without a test.
pub fn retire_reason(reason: &RetireReason) -> String {
    match reason {
        RetireReason::Owner => "taken back".to_owned(),
        RetireReason::Stale { rule, detail } => format!("stale [{rule}], {detail}"),
    }
}

/// Why a lever stands still.
pub fn hold_reason(reason: &HoldReason) -> String {
    match reason {
        HoldReason::NeedsRebase { files, clashes } => {
            format!("needs a rebase [P8], it conflicts with the best in {}", Clash::tell(files, clashes))
        }
        HoldReason::NeedsPlan => "needs a plan with a new dimension [P13]".to_owned(),
        HoldReason::Infrastructure => "the machinery failed three times [P20]".to_owned(),
        HoldReason::SetupFailed => "setup failed [P20], its log says why".to_owned(),
        HoldReason::Cancelled { iteration } => {
            format!("iteration {iteration} was cancelled, which does not count as tried [P10]")
        }
    }
}

/// Why a campaign is paused.
pub fn pause_reason(reason: &PauseReason) -> String {
    match reason {
        PauseReason::Owner => "its owner asked".to_owned(),
        PauseReason::Baseline { repair } => format!("the baseline [P1], {repair}"),
        PauseReason::Infrastructure => "two levers in a row met failing machinery [P20]".to_owned(),
    }
}

/// Why a campaign has stopped.
pub fn stop_reason(reason: &StopReason) -> String {
    match reason {
        StopReason::Owner => "its owner asked".to_owned(),
        StopReason::Limit { limit } => format!("its limit was met, {limit}"),
        StopReason::Replaced { by } => format!("campaign {by} took its place"),
        StopReason::Imported { source } => format!("it was finished elsewhere, imported from {source}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_that_people_want_to_know_of_has_a_line() {
        let records = crate::history::test_records();
        let story = crate::history::test_story();
        let lines: Vec<String> = records.iter().filter_map(|record| line(record, Some(&story))).collect();
        let plain = anstream::adapter::strip_str(&lines.join("\n")).to_string();
        insta::assert_snapshot!(plain);
    }
}
