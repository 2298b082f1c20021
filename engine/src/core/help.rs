//! What a researcher gives an iteration beside its lever: a fix (P19), a repaired script (P21), a follow-up
//! (P22), a conclusion (P23).

use super::client::{Decided, refuse_stopped};
use crate::campaign::{Campaign, DELIVERABLES_MAX, FOLLOW_UPS_WAITING_MAX, Iteration};
use crate::gate::facts::{FixFacts, FixWanted};
use crate::gate::{conclusion as form, plan};
use std::collections::BTreeSet;
use windlass_shared::attempt::Kind;
use windlass_shared::conclusion::Conclusion;
use windlass_shared::id::IterationNumber;
use windlass_shared::lever::Change;
use windlass_shared::path::TreePath;
use windlass_shared::plan::Deliverable;
use windlass_shared::record::{Answer, Body};
use windlass_shared::refusal::Refusal;

/// What must be known before a researcher's fix is taken.
pub(super) fn fix_wanted(
    campaign: &Campaign,
    iteration: IterationNumber,
    change: Change,
) -> Result<FixWanted, Refusal> {
    let open = fixable(campaign, iteration)?;
    let entry = open.lever.and_then(|lever| campaign.levers.get(&lever));
    let carried = entry.map_or(0, |entry| entry.document.fixes.len() as u32);
    Ok(FixWanted {
        campaign: campaign.id.clone(),
        iteration,
        fix: carried + open.fixes_applied,
        change,
        tree: open.tree,
        written_on: entry.map_or(open.tree, |entry| entry.changed),
        net_lines: open.net_lines,
        editable: campaign.bindings.editable_files.clone(),
        cap: campaign.cap_rule(),
    })
}

/// P19: a failed run is run again with a researcher's fix on top.
pub(super) fn fix(
    campaign: &Campaign,
    iteration: IterationNumber,
    change: Change,
    facts: Result<FixFacts, Refusal>,
) -> Result<Decided, Refusal> {
    let open = fixable(campaign, iteration)?;
    let facts = facts?;
    if facts.on != open.tree {
        return Err(Refusal::FactsMoved);
    }
    let (tree, net_lines) = facts.applied?;
    let body = Body::FixApplied { iteration, fix: facts.fix, tree, net_lines, change: Some(change) };
    Ok((Answer::Done, vec![(Some(campaign.id.clone()), body)]))
}

/// The open iteration, if a fix may be put on it now.
fn fixable(campaign: &Campaign, iteration: IterationNumber) -> Result<&Iteration, Refusal> {
    let open = open(campaign, iteration, "a decided iteration is fixed by a lever of its own")?;
    let refuse = |state: &str, remedy| {
        let what = format!("iteration {iteration} of {}", campaign.id);
        Err(Refusal::Settled { rule: "P19", what, state: state.to_owned(), remedy })
    };
    let most = campaign.bindings.windlass.fixes;
    if open.lever.is_none() {
        return refuse(
            "is the baseline, which runs the workspace as it is (P1)",
            "repair the project and submit it again; the queue is taken along",
        );
    }
    if open.is_cancelled {
        return refuse("is being cancelled", "`windlass lever retry C L` puts its lever in line again");
    }
    if open.fixes_applied >= most {
        return refuse(
            &format!("has had {} of `fixes: {most}`", open.fixes_applied),
            "propose the repaired change as a lever of its own",
        );
    }
    match &open.run {
        Some(_) if open.live.is_none() && !open.has_run() => Ok(open),
        Some(_) if open.has_run() => {
            refuse("has run as it should", "a fix answers a failed run; propose a lever")
        }
        _ => refuse(
            "has no failed run",
            "a fix answers a failed run; wait for its end with `windlass wait C N`",
        ),
    }
}

/// P21: a repaired script in the place of one whose deliverable is missing. P22: any other is a follow-up, on what
/// is open, on the best and on the latest.
pub(super) fn add_deliverable(
    campaign: &Campaign,
    iteration: IterationNumber,
    deliverable: Box<Deliverable>,
) -> Result<Decided, Refusal> {
    plan::check(std::slice::from_ref(&*deliverable))?;
    let added =
        (Some(campaign.id.clone()), Body::DeliverableAdded { iteration, deliverable: *deliverable.clone() });
    let refuse = |rule, state: String, remedy| {
        let what = format!("iteration {iteration} of {}", campaign.id);
        Err(Refusal::Settled { rule, what, state, remedy })
    };
    let one = followable(campaign, iteration)?;
    let output = &deliverable.output;
    if one.is_cancelled {
        let remedy = "`windlass lever retry C L` puts its lever in line again";
        return refuse("P21", "is being cancelled".to_owned(), remedy);
    }
    if one.accepted.contains_key(output) {
        let state = format!("has results/{output} already");
        return refuse("P21", state, "give the new script an output of its own");
    }
    if one.plan.iter().any(|row| row.output == *output) {
        return Ok((Answer::Done, vec![added]));
    }
    if one.is_settled && one.run.is_none() {
        let remedy = "its log and its reason say why; a lever that runs again can be analysed";
        return refuse("P22", "has no run that scripts could look at".to_owned(), remedy);
    }
    if one.clashes(output) {
        let state = format!("makes something where results/{output} would lie");
        return refuse("P22", state, "give the new script an output of its own");
    }
    let too_much = |what: &str, figure: usize, limit: usize| {
        let (figure, limit) = (figure as u64 + 1, limit as u64);
        Err(Refusal::TooMuch { what: what.to_owned(), figure, limit })
    };
    let waiting = campaign.follow_ups_waiting();
    if waiting >= FOLLOW_UPS_WAITING_MAX {
        return too_much("the follow-ups that wait", waiting, FOLLOW_UPS_WAITING_MAX);
    }
    let made = one.accepted.len() + one.plan.len() + one.follow_ups.rows.len();
    if made >= DELIVERABLES_MAX {
        return too_much("the deliverables of one iteration", made, DELIVERABLES_MAX);
    }
    Ok((Answer::Done, vec![added]))
}

/// What scripts may be added to.
fn followable(campaign: &Campaign, iteration: IterationNumber) -> Result<&Iteration, Refusal> {
    let what = format!("iteration {iteration} of {}", campaign.id);
    let is_known = campaign.decided.contains_key(&iteration) || campaign.open.contains_key(&iteration);
    if !is_known {
        let name = format!("{iteration} of {}", campaign.id);
        return Err(Refusal::NotFound { what: "iteration", name });
    }
    refuse_stopped(campaign, "nothing of it is run any more, its follow-ups included")?;
    campaign.iteration(iteration).ok_or_else(|| Refusal::Settled {
        rule: "P22",
        what,
        state: "is neither the best nor the latest, or its evidence was removed".to_owned(),
        remedy: "follow up on the best or the latest (`windlass status C` names both), or propose a lever whose \
                 plan has this script",
    })
}

/// P23: a researcher's conclusion. Before the decision it stands in the place of an automatic one; after it,
/// it replaces the text. `delivered` is what the ledger says of an iteration that is decided.
pub(super) fn conclude(
    campaign: &Campaign,
    iteration: IterationNumber,
    conclusion: Box<Conclusion>,
    delivered: BTreeSet<TreePath>,
) -> Result<Decided, Refusal> {
    let delivered = match campaign.open.get(&iteration) {
        None if campaign.decided.contains_key(&iteration) => delivered,
        None => {
            let name = format!("{iteration} of {}", campaign.id);
            return Err(Refusal::NotFound { what: "iteration", name });
        }
        Some(open) => {
            refuse_stopped(campaign, "its open iteration ended with it")?;
            // What runs then is a follow-up, or nothing.
            let is_analysed =
                open.metric().is_some() && open.unrecorded.is_empty() && open.missing().next().is_none();
            let is_at_rest = open.live.as_ref().is_none_or(|live| live.kind == Kind::Analysis);
            let is_analysed = is_analysed && is_at_rest;
            if !is_analysed {
                return Err(Refusal::Settled {
                    rule: "P23",
                    what: format!("iteration {iteration} of {}", campaign.id),
                    state: "is not analysed yet".to_owned(),
                    remedy: "conclude it when its deliverables are there (`windlass wait C N`)",
                });
            }
            open.accepted.keys().cloned().collect()
        }
    };
    let mut problems = form::problems(&conclusion, &delivered);
    problems.extend(campaign.ceiling_problem(&conclusion));
    if !problems.is_empty() {
        return Err(Refusal::several(problems));
    }
    let conclusion = Conclusion { automatic: false, ..*conclusion };
    let body = Body::ConclusionWritten { iteration, conclusion };
    Ok((Answer::Done, vec![(Some(campaign.id.clone()), body)]))
}

fn open<'a>(
    campaign: &'a Campaign,
    iteration: IterationNumber,
    remedy: &'static str,
) -> Result<&'a Iteration, Refusal> {
    if campaign.decided.contains_key(&iteration) {
        let what = format!("iteration {iteration} of {}", campaign.id);
        return Err(Refusal::Settled { rule: "I1", what, state: "is decided already".to_owned(), remedy });
    }
    refuse_stopped(campaign, "its open iteration ended with it")?;
    let missing = || Refusal::NotFound { what: "iteration", name: format!("{iteration} of {}", campaign.id) };
    campaign.open.get(&iteration).ok_or_else(missing)
}
