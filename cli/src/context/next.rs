//! What a researcher may do next, as commands: those that the campaign's page says are open.

use super::facts::Facts;
use super::section::{Pen, Section, code};
use serde::Serialize;
use windlass_shared::bindings::ConclusionMode;
use windlass_shared::record::{HoldReason, PauseReason};
use windlass_shared::view::{CampaignState, LeverState, OpenIteration, WaitFor};

#[derive(Clone, Serialize)]
struct Action {
    command: String,
    why: String,
}

/// The next legal actions, the most pressing first.
pub fn actions(facts: &Facts) -> Section<'_> {
    let actions = all(facts);
    let total = actions.len();
    let entry = move |index: usize, pen: &Pen| {
        let action = &actions[index];
        // A command that is cut is none: it stays whole, and is short.
        let told = Action { command: action.command.clone(), why: pen.line(&action.why) };
        pen.entry(&told, || format!("{}: {}", code(&told.command), told.why))
    };
    Section {
        name: "next",
        heading: "What can be done next",
        command: format!("windlass explain {}", facts.view.campaign),
        rank: 1,
        floor: 4,
        total,
        entry: Box::new(entry),
    }
}

fn all(facts: &Facts) -> Vec<Action> {
    let id = facts.view.campaign.as_str();
    let mut actions = Vec::new();
    let mut push = |command: String, why: String| actions.push(Action { command, why });
    match &facts.view.state {
        CampaignState::Stopped { .. } => {
            push(format!("windlass report {id}"), "it has ended: nothing can be changed any more".to_owned());
            return actions;
        }
        CampaignState::Paused { reason: PauseReason::Baseline { .. } } => {
            let why = "repair the workspace and submit it again: the queue comes along (P1)";
            push("windlass submit DIR".to_owned(), why.to_owned());
            return actions;
        }
        CampaignState::Paused { .. } => {
            push(format!("windlass resume {id}"), "it is paused: nothing new is opened".to_owned());
        }
        CampaignState::Active => {}
    }
    for (command, why) in facts.view.lanes.iter().filter_map(|open| waited_for(id, open)) {
        push(command, why);
    }
    let stuck = facts.levers.iter().filter_map(|lever| match &lever.state {
        LeverState::Held { reason } => Some((lever.lever, reason)),
        _ => None,
    });
    for (lever, reason) in stuck {
        let (command, why) = match reason {
            HoldReason::NeedsRebase { .. } | HoldReason::NeedsPlan => (
                format!("windlass lever retire {id} {lever}"),
                "it cannot be pulled as it is: take it back and add it anew, rebased or with a new dimension",
            ),
            HoldReason::Infrastructure | HoldReason::SetupFailed | HoldReason::Cancelled { .. } => {
                (format!("windlass lever retry {id} {lever}"), "it was not tried and is not blamed")
            }
        };
        push(command, why.to_owned());
    }
    push(format!("windlass lever add {id} FILE"), proposal(facts));
    if let Some(open) = facts.view.lanes.first() {
        let command = format!("windlass wait {id} {} --timeout '50 s'", open.iteration);
        push(command, "until it is decided; exit code 6 says that it still runs".to_owned());
    }
    if let Some((iteration, conclusion)) =
        facts.analysed().and_then(|latest| Some((latest, latest.conclusion.as_ref()?)))
        && conclusion.automatic
        && iteration.decision.is_some()
    {
        let command = format!("windlass conclude {id} {} FILE", iteration.number);
        push(
            command,
            "replace the automatic text by what you found; status and metric stay (P23)".to_owned(),
        );
    }
    actions
}

/// What an open iteration waits for from its researcher.
fn waited_for(id: &str, open: &OpenIteration) -> Option<(String, String)> {
    let wait = open.wait.as_ref()?;
    let number = open.iteration;
    let command = match wait.what {
        WaitFor::Fix => format!("windlass fix {id} {number} PATCH"),
        WaitFor::Script => format!("windlass analyze {id} {number} --script S --result F"),
        WaitFor::Conclusion => format!("windlass conclude {id} {number} FILE"),
    };
    let problem = if wait.problem.is_empty() { String::new() } else { format!("{}; ", wait.problem) };
    Some((command, format!("{problem}{}", wait.remedy)))
}

/// What a proposal must be now.
fn proposal(facts: &Facts) -> String {
    let mut why = match facts.view.queued {
        0 => "nothing stands in line".to_owned(),
        1 => "one lever stands in line".to_owned(),
        queued => format!("{queued} levers stand in line"),
    };
    if let Some(moves) = &facts.view.moves {
        why.push_str(&format!("; of kind {} now (P11)", moves.allowed.join(" or ")));
    }
    why.push_str("; with one change, an anchor in the evidence below and a new dimension");
    if facts.story.bindings.windlass.conclusion.mode == ConclusionMode::Required {
        why.push_str("; conclude what was measured first (P23)");
    }
    why
}
