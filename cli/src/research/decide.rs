//! What comes next for a researcher: from the campaign's page, its story and what the researcher is at. Pure.

use super::ask::Ask;
use super::state::State;
use crate::history::{Iteration, Story};
use crate::render::event::{hold_reason, retire_reason, stop_reason};
use windlass_shared::digest::Digest;
use windlass_shared::id::{IterationNumber, LeverNumber};
use windlass_shared::record::StopReason;
use windlass_shared::view::{CampaignState, CampaignView, OpenIteration, WaitFor};

/// What is next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing, for good.
    End(String),
    /// Nothing, until something happens.
    Wait(String),
    /// The researcher's lever is over.
    Landed {
        /// The iteration that it came to; none where it was never tested.
        iteration: Option<IterationNumber>,
        /// What became of it.
        sentence: String,
    },
    /// The command is asked.
    Ask {
        /// For what.
        ask: Ask,
        /// Of which iteration.
        iteration: u32,
        /// The tree to lay out.
        base: Digest,
    },
}

/// The next step.
pub fn next(view: &CampaignView, story: &Story, state: &State) -> Step {
    if let CampaignState::Stopped { reason } = &view.state {
        let why = stop_reason(reason);
        return Step::End(match reason {
            StopReason::Replaced { by } => format!("{why}: go on with `windlass research {by}`"),
            _ => format!("the campaign has stopped: {why}"),
        });
    }
    if let Some(step) = view.lanes.iter().find_map(|open| help(open, story, state)) {
        return step;
    }
    if let Some(flight) = &state.flight {
        return follow(LeverNumber(flight.lever), view, story, state);
    }
    if let CampaignState::Paused { .. } = view.state {
        return Step::Wait(waits(view, "the campaign is paused"));
    }
    match latest_analysed(story) {
        Some(latest) => Step::Ask { ask: Ask::Propose, iteration: latest.number.0, base: view.best_tree },
        None => Step::Wait(waits(view, "the baseline is not decided yet (P1)")),
    }
}

/// The iteration that an anchor means when it names none: the latest analysed one that is decided.
pub fn latest_analysed(story: &Story) -> Option<&Iteration> {
    let all = story.iterations.values().rev();
    all.into_iter().find(|iteration| iteration.decision.is_some() && !iteration.accepted.is_empty())
}

/// Whether an open iteration waits for this researcher: its own, or the baseline, which is nobody's.
fn help(open: &OpenIteration, story: &Story, state: &State) -> Option<Step> {
    let wait = open.wait.as_ref()?;
    let own = state.flight.as_ref().map(|flight| LeverNumber(flight.lever));
    if open.lever.is_some() && open.lever != own {
        return None;
    }
    let iteration = story.iterations.get(&open.iteration)?;
    let number = open.iteration.0;
    let ask = match wait.what {
        WaitFor::Fix if state.helped != Some((number, tries(iteration))) => Ask::Fix,
        WaitFor::Conclusion if state.concluded < number => Ask::Conclude,
        // Asked already: what is not answered ends by the coordinator's own time.
        WaitFor::Fix | WaitFor::Script | WaitFor::Conclusion => return None,
    };
    Some(Step::Ask { ask, iteration: number, base: iteration.tree })
}

/// So many attempts has an iteration had: help is asked for once after each.
pub fn tries(iteration: &Iteration) -> u32 {
    u32::try_from(iteration.attempts.len()).unwrap_or(u32::MAX)
}

/// Where the researcher's own lever stands.
fn follow(lever: LeverNumber, view: &CampaignView, story: &Story, state: &State) -> Step {
    use crate::history::Fate;
    let landed = |sentence: String| Step::Landed { iteration: None, sentence };
    match story.levers.get(&lever).map(|lever| &lever.fate) {
        // Its record is on its way here.
        None => Step::Wait(format!("{lever} is queued")),
        Some(Fate::Queued) => Step::Wait(waits(view, &format!("{lever} stands in line"))),
        Some(Fate::Held(reason)) => landed(format!("{lever} is held: {}", hold_reason(reason))),
        Some(Fate::Retired(reason)) => landed(format!("{lever} is gone: {}", retire_reason(reason))),
        Some(Fate::Pulled(number)) => {
            let Some(iteration) = story.iterations.get(number) else {
                return Step::Wait(format!("iteration {number} runs"));
            };
            let Some(decision) = &iteration.decision else {
                return Step::Wait(waits(view, &format!("iteration {number} runs")));
            };
            let is_written = iteration.conclusion.as_ref().is_some_and(|conclusion| !conclusion.automatic);
            if state.concluded < number.0 && !iteration.accepted.is_empty() && !is_written {
                return Step::Ask { ask: Ask::Conclude, iteration: number.0, base: iteration.tree };
            }
            let sentence =
                format!("iteration {number}: {} {}", decision.status.as_str(), decision.arithmetic.sentence);
            Step::Landed { iteration: Some(*number), sentence }
        }
    }
}

fn waits(view: &CampaignView, otherwise: &str) -> String {
    match &view.waits_for {
        Some(why) => format!("{otherwise}; {why}"),
        None => otherwise.to_owned(),
    }
}
