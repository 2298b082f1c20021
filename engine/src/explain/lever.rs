//! Why a lever is where it is.

use super::sight::Sight;
use super::{Answer, campaign as page};
use crate::campaign::{Campaign, LeverEntry, Past};
use crate::core::Core;
use crate::gate::facts::{Look, Wanted};
use windlass_shared::conclusion::Status;
use windlass_shared::id::{IterationNumber, LeverNumber};
use windlass_shared::record::{Clash, HoldReason, RetireReason};
use windlass_shared::refusal::Refusal;
use windlass_shared::view::{CampaignState, Explanation, LeverState};

/// Explains a lever.
pub(super) fn explain(
    core: &Core,
    campaign: &Campaign,
    number: LeverNumber,
    sight: Sight<'_>,
) -> Result<Explanation, Refusal> {
    let missing = || Refusal::NotFound { what: "lever", name: format!("{number} of {}", campaign.id) };
    let mut answer = Answer::new(sight);
    let Some(entry) = campaign.levers.get(&number) else {
        tell_past(campaign, campaign.past(number).ok_or_else(missing)?, &mut answer);
        return Ok(answer.about(format!("lever {number} of {}", campaign.id)));
    };
    match &entry.state {
        LeverState::Queued => {
            tell_in_line(core, campaign, entry, &mut answer);
            tell_turn(campaign, number, &mut answer);
            if let Some(why) = campaign.waits_for_move(entry.document.kind) {
                answer.rule("P11", format!("its move waits {why}"));
            }
            let wanted = campaign.pull_wanted(entry);
            if let Some(facts) = core.soft().pull_facts(&wanted) {
                let (rule, text) = campaign.prospect(entry, facts);
                answer.rule(rule, text);
            } else if core.soft().gathering_rests(&Wanted::Pull(Box::new(wanted)).key()) {
                answer.rule(
                    "I16",
                    "what its gates have to read cannot be read; it is tried again every 5 s, and the \
                     coordinator's log says why",
                );
            }
        }
        LeverState::Held { reason } => tell_held(reason, &mut answer),
        LeverState::Retired { reason } => tell_retired(reason, &mut answer),
        LeverState::Pulled { iteration } => {
            answer.rule(
                "P5",
                format!(
                    "iteration {iteration} tests it: `windlass explain C {iteration}` says how far it is"
                ),
            );
        }
        LeverState::Decided { iteration, status } => {
            tell_tested(campaign, *iteration, *status, &mut answer);
        }
    }
    if entry.is_queued() || matches!(entry.state, LeverState::Held { .. }) {
        tell_anchor(core, campaign, entry, &mut answer);
        if let Some(basis) = campaign.tell_basis(entry) {
            answer.rule("P37", basis);
        }
    }
    Ok(answer.about(format!("lever {number} of {} ({})", campaign.id, entry.document.title)))
}

/// One that is over and not kept whole: the rest of it is in the ledger.
fn tell_past(campaign: &Campaign, past: Past, answer: &mut Answer<'_>) {
    match past {
        Past::Decided { iteration, status } => tell_tested(campaign, iteration, status, answer),
        Past::TakenBack => {
            answer.say("it was taken back; add it anew with `windlass lever add`");
        }
        Past::Stale => {
            answer.rule("P9", "it is retired as stale: `windlass lever show C L` says why");
        }
    }
}

fn tell_tested(campaign: &Campaign, iteration: IterationNumber, status: Status, answer: &mut Answer<'_>) {
    let reason = campaign.reason_of(iteration).map(|reason| reason.to_string());
    let rule = reason.as_deref().map_or("P25", super::decided::rule_of);
    let reason = reason.map_or_else(String::new, |reason| format!(" ({reason})"));
    answer.rule(rule, format!("iteration {iteration} tested it: {}{reason}", status.as_str()));
    answer.say(format!("`windlass explain C {iteration}` tells why"));
}

/// Where a queued lever stands.
pub(super) fn tell_in_line(core: &Core, campaign: &Campaign, entry: &LeverEntry, answer: &mut Answer<'_>) {
    let number = entry.number;
    let position = campaign.queue.iter().position(|queued| *queued == number).map_or(0, |at| at + 1);
    let most = campaign.bindings.windlass.passes;
    if entry.passes > 0 {
        let missing = entry.missing.as_deref().unwrap_or("its evidence was missing");
        answer.rule("P9", format!("{number} stands at place {position} and was passed over: {missing}"));
    } else {
        let wanted = campaign.pull_wanted(entry);
        let looked = core.soft().pull_facts(&wanted).is_some();
        let gates = if looked { ", its gates have been asked" } else { "" };
        answer.say(format!("{number} stands at place {position} ({}){gates}", entry.document.title));
    }
    answer.figure("place", position).figure("passes", format!("{} of {most}", entry.passes));
}

/// What must come before its turn.
fn tell_turn(campaign: &Campaign, number: LeverNumber, answer: &mut Answer<'_>) {
    let open: Vec<String> = campaign.open.keys().map(ToString::to_string).collect();
    let lanes = campaign.lanes();
    match &campaign.state {
        CampaignState::Stopped { .. } => {
            answer.rule("P32", "its campaign has stopped, so its turn never comes");
            return;
        }
        CampaignState::Paused { reason } => _ = page::tell_pause(campaign, reason, "its campaign is", answer),
        CampaignState::Active => {}
    }
    match open.len() {
        0 => {}
        _ if open.len() >= lanes && lanes == 1 => {
            let open = open.join(", ");
            answer.rule("P5", format!("one lever is tested at a time: iteration {open} is open"));
        }
        _ if open.len() >= lanes => {
            let open = open.join(", ");
            answer.rule("P39", format!("every lane is busy: iterations {open} are open"));
            answer.figure("lanes", lanes);
        }
        _ => {}
    }
    let before: Vec<String> =
        campaign.queue.iter().take_while(|queued| **queued != number).map(ToString::to_string).collect();
    if let Some(last) = before.last() {
        let who = if before.len() > 8 {
            format!("{} levers, the last of them {last}", before.len())
        } else {
            before.join(", ")
        };
        answer.say(format!(
            "before it stand {who}; `windlass lever move C {number} --first` puts it before them"
        ));
    }
}

fn tell_held(reason: &HoldReason, answer: &mut Answer<'_>) {
    match reason {
        HoldReason::NeedsRebase { files, clashes } => {
            let files = Clash::tell(files, clashes);
            answer.rule("P8", format!("it is held: its change conflicts with the best in {files}; write it against the best's files and add it anew"))
        }
        HoldReason::NeedsPlan => answer.rule("P13", "it is held: its plan measures nothing new and `diagnostics` is used up; add it anew with a new dimension"),
        HoldReason::Infrastructure => answer.rule("P20", "it is held and not blamed: the machinery failed it three times; `windlass lever retry C L` puts it in line again"),
        HoldReason::SetupFailed => answer.rule("P20", "it is held and not blamed: the campaign's `setup` failed, and the log of its last attempt says why; once that is mended `windlass lever retry C L` puts it in line again"),
        HoldReason::Cancelled { iteration } => answer.rule("P10", format!("it is held: iteration {iteration} was cancelled, which does not count as tried; `windlass lever retry C L` puts it in line again")),
    };
}

fn tell_retired(reason: &RetireReason, answer: &mut Answer<'_>) {
    match reason {
        RetireReason::Owner => {
            answer.say("it was taken back; `windlass lever retry C L` puts it in line again")
        }
        RetireReason::Stale { rule, detail } => {
            answer.rule(rule, format!("it is retired as stale: {detail}"))
        }
    };
}

/// Its anchor, as it was pinned and as it was last looked up.
fn tell_anchor(core: &Core, campaign: &Campaign, entry: &LeverEntry, answer: &mut Answer<'_>) {
    let Some(anchor) = &entry.document.anchor else {
        answer.rule("P6", "it is a simplification and cites no anchor");
        return;
    };
    let best = campaign.best.as_ref().map(|best| best.iteration);
    match &entry.pin {
        Some(pin) => {
            answer.rule("P6", format!("its anchor {} was found in iteration {}", anchor.file, pin.iteration));
            answer.figure("line", pin.line).figure("value", &pin.value);
        }
        None => {
            answer.rule(
                "P6",
                format!("its anchor {} was not looked up yet: nothing was analysed then", anchor.file),
            );
        }
    }
    if let Some(best) = best.filter(|_| entry.pinned_on != best && entry.is_queued()) {
        answer.rule("P7", format!("the best is iteration {best} now, so it is looked up there at its turn"));
    }
    let wanted = campaign.pull_wanted(entry);
    let text = match core.soft().pull_facts(&wanted).map(|facts| &facts.look) {
        Some(Look::Holds(pin)) => {
            format!("in the present best it holds: line {} says {}", pin.line, pin.value)
        }
        Some(Look::Contradicted { line, value }) => format!("in the present best line {line} says {value}"),
        Some(Look::Several { line, value, other_line, other }) => {
            format!("in the present best line {line} says {value} and line {other_line} says {other}")
        }
        Some(Look::NoMatch) => "in the present best no line matches it".to_owned(),
        Some(Look::FileMissing) => "in the present best's evidence there is no such file".to_owned(),
        Some(Look::TooCostly) => "the present best's evidence is too large for its pattern".to_owned(),
        Some(Look::NotLooked) | None => return,
    };
    answer.rule("P7", text);
}
