//! What steers a campaign that runs: a lever's place in line, a lever put back, an iteration cancelled, a
//! campaign's priority and name.

use super::Durable;
use super::client::{self, Decided, QUEUE_MAX, refuse_stopped};
use super::input::Place;
use crate::campaign::{Campaign, LeverEntry, Past, Reason};
use crate::gate::facts::{Merged, PullFacts, PullWanted};
use windlass_shared::access::{self, Grant, Shared};
use windlass_shared::conclusion::Status;
use windlass_shared::id::{IterationNumber, LeverNumber};
use windlass_shared::quota::Quota;
use windlass_shared::record::{Answer, Body};
use windlass_shared::refusal::Refusal;
use windlass_shared::view::LeverState;

/// The open iteration ends by its owner's word. Twice is once; what is decided stays decided (I1).
pub(super) fn cancel(campaign: &Campaign, iteration: IterationNumber) -> Result<Decided, Refusal> {
    if let Some(decided) = campaign.decided.get(&iteration) {
        if decided.reason == Reason::Cancelled {
            return Ok((Answer::Done, Vec::new()));
        }
        let reason = in_brackets(campaign.reason_of(iteration));
        return Err(Refusal::Settled {
            rule: "I1",
            what: format!("iteration {iteration} of {}", campaign.id),
            state: format!("is decided already: {}{reason}", decided.status.as_str()),
            remedy: "a decision is final; propose another lever, or look at it with `windlass show C N`",
        });
    }
    let missing = || Refusal::NotFound { what: "iteration", name: format!("{iteration} of {}", campaign.id) };
    let open = campaign.open.get(&iteration).ok_or_else(missing)?;
    refuse_stopped(campaign, "its open iteration ended with it")?;
    let bodies = match open.is_cancelled {
        true => Vec::new(),
        false => vec![(Some(campaign.id.clone()), Body::IterationCancelled { iteration })],
    };
    Ok((Answer::Done, bodies))
}

/// A new priority, weight or name; what is so already changes nothing.
pub(super) fn update(
    campaign: &Campaign,
    priority: Option<i32>,
    weight: Option<u32>,
    name: Option<String>,
) -> Result<Decided, Refusal> {
    if priority.is_none() && weight.is_none() && name.is_none() {
        let problem = "names neither a priority nor a weight nor a name".to_owned();
        return Err(Refusal::Malformed { field: "update", problem });
    }
    if let Some(name) = &name
        && (name.trim().is_empty() || name.chars().any(char::is_control))
    {
        let problem = format!("{name:?} is no name for a listing; write one line");
        return Err(Refusal::Malformed { field: "name", problem });
    }
    if weight == Some(0) {
        let problem = "0 would give it nothing for ever; a weight is at least 1".to_owned();
        return Err(Refusal::Malformed { field: "weight", problem });
    }
    if priority.is_some() || weight.is_some() {
        refuse_stopped(campaign, "nothing of it waits for its turn any more")?;
    }
    let priority = priority.filter(|priority| *priority != campaign.bindings.windlass.priority);
    let name = name.filter(|name| *name != campaign.name);
    let weight = weight.filter(|weight| *weight != campaign.bindings.windlass.weight);
    let bodies = match (priority, weight, &name) {
        (None, None, None) => Vec::new(),
        _ => {
            vec![(Some(campaign.id.clone()), Body::CampaignUpdated { priority, weight, name, shared: None })]
        }
    };
    Ok((Answer::Campaign { id: campaign.id.clone(), levers_taken: 0 }, bodies))
}

/// With how many clients one campaign is shared at most: a laboratory.
const SHARES_MAX: usize = 256;

/// A campaign is another client's too, so far, or no longer.
pub(super) fn share(campaign: &Campaign, with: String, share: Option<Grant>) -> Result<Decided, Refusal> {
    if campaign.owner.as_ref() == Some(&with) {
        let what = format!("campaign {}", campaign.id);
        return Err(Refusal::State {
            what,
            state: format!("{with}'s own"),
            wanted: "share it with another client",
        });
    }
    if share.is_some() && !campaign.shares.contains_key(&with) && campaign.shares.len() >= SHARES_MAX {
        let (figure, limit) = (campaign.shares.len() as u64 + 1, SHARES_MAX as u64);
        let what = format!("the number of clients that {} is shared with", campaign.id);
        return Err(Refusal::TooMuch { what, figure, limit });
    }
    let bodies = match campaign.shares.get(&with).copied() == share {
        true => Vec::new(),
        false => {
            let shared = Some(Shared { with, share });
            vec![(
                Some(campaign.id.clone()),
                Body::CampaignUpdated { priority: None, weight: None, name: None, shared },
            )]
        }
    };
    Ok((Answer::Done, bodies))
}

/// Owners with a quota at most: a laboratory, and a bound on memory.
const QUOTAS_MAX: usize = 1_000;

/// An owner may have so much of the fleet, or as much as there is. It need not be known: a quota may come before
/// the client does.
pub(super) fn set_quota(durable: &Durable, owner: String, quota: Option<Quota>) -> Result<Decided, Refusal> {
    if !access::is_name(&owner) {
        let problem = format!("{owner:?} is no client's name; write it as `windlass certs list` does");
        return Err(Refusal::Malformed { field: "owner", problem });
    }
    quota.as_ref().map_or(Ok(()), Quota::check)?;
    let before = durable.owners.get(&owner).and_then(|holding| holding.quota);
    let bounded = durable.owners.values().filter(|holding| holding.quota.is_some()).count();
    if before.is_none() && quota.is_some() && bounded >= QUOTAS_MAX {
        let (figure, limit) = (bounded as u64 + 1, QUOTAS_MAX as u64);
        return Err(Refusal::TooMuch { what: "the number of quotas".to_owned(), figure, limit });
    }
    let bodies = if before == quota { Vec::new() } else { vec![(None, Body::QuotaSet { owner, quota })] };
    Ok((Answer::Done, bodies))
}

/// A lever goes elsewhere in line. Its passes are its own (P9).
pub(super) fn move_lever(campaign: &Campaign, lever: LeverNumber, place: Place) -> Result<Decided, Refusal> {
    refuse_stopped(campaign, "nothing is pulled from its queue any more")?;
    refuse_absent(campaign, lever)?;
    let others: Vec<LeverNumber> = campaign.queue.iter().copied().filter(|queued| *queued != lever).collect();
    let before = match place {
        Place::First => others.first().copied(),
        Place::Last => None,
        Place::Before(other) | Place::After(other) if other == lever => {
            return Ok((Answer::Done, Vec::new()));
        }
        Place::Before(other) => {
            refuse_absent(campaign, other)?;
            Some(other)
        }
        Place::After(other) => {
            refuse_absent(campaign, other)?;
            let at = others.iter().position(|queued| *queued == other);
            at.and_then(|at| others.get(at + 1)).copied()
        }
    };
    let at = campaign.queue.iter().position(|queued| *queued == lever);
    let is_there = at.is_some_and(|at| campaign.queue.get(at + 1).copied() == before);
    let bodies = match is_there {
        true => Vec::new(),
        false => vec![(Some(campaign.id.clone()), Body::LeverMoved { lever, before })],
    };
    Ok((Answer::Done, bodies))
}

/// Only what stands in line has a place there.
fn refuse_absent(campaign: &Campaign, lever: LeverNumber) -> Result<(), Refusal> {
    const RETRY: &str = "`windlass lever retry C L` puts it in line again, then move it";
    let entry = campaign.levers.get(&lever);
    let (state, remedy) = match (entry.map(|entry| &entry.state), campaign.past(lever)) {
        (Some(LeverState::Queued), _) => return Ok(()),
        (Some(LeverState::Pulled { iteration }), _) => {
            (format!("is being tested by iteration {iteration}"), "move one that stands in line")
        }
        (Some(LeverState::Held { .. }), _) => ("is held".to_owned(), RETRY),
        (_, Some(Past::Decided { iteration, .. })) => {
            (format!("was tested by iteration {iteration}"), "move one that stands in line")
        }
        (Some(_), _) => ("is retired".to_owned(), RETRY),
        (None, Some(_)) => ("is retired".to_owned(), ADD_ANEW),
        (None, None) => return Err(missing(campaign, lever)),
    };
    Err(Refusal::Settled { rule: "P9", what: format!("lever {lever}"), state, remedy })
}

/// For a lever of which no more is kept than where it stands.
const ADD_ANEW: &str = "its document is no longer kept at hand: add it anew with `windlass lever add`";

/// What must be known before a lever is put back: its change on the present best, and its anchor where a
/// proposal's would be looked up (P6).
pub(super) fn retry_wanted(campaign: &Campaign, lever: LeverNumber) -> Result<PullWanted, Refusal> {
    let entry = find(campaign, lever)?;
    may_retry(campaign, entry)?;
    let iteration = client::evidence_for(campaign, &entry.document);
    let evidence = iteration.and_then(|iteration| campaign.evidence_of(iteration));
    Ok(PullWanted { best: iteration, evidence, ..campaign.pull_wanted(entry) })
}

/// A lever that was never judged stands in line again, its gates asked anew (P6, P8, P10).
pub(super) fn retry(
    campaign: &Campaign,
    lever: LeverNumber,
    facts: Result<PullFacts, Refusal>,
) -> Result<Decided, Refusal> {
    refuse_stopped(campaign, "a stopped campaign takes no levers")?;
    let entry = find(campaign, lever)?;
    if entry.is_queued() {
        return Ok((Answer::Done, Vec::new()));
    }
    may_retry(campaign, entry)?;
    let facts = facts?;
    let evidence = client::evidence_for(campaign, &entry.document);
    if facts.parent != campaign.parent_tree() || facts.best != evidence {
        return Err(Refusal::FactsMoved);
    }
    if campaign.queue.len() >= QUEUE_MAX {
        let figure = campaign.queue.len() as u64 + 1;
        return Err(Refusal::TooMuch { what: "the queue".to_owned(), figure, limit: QUEUE_MAX as u64 });
    }
    let tree = match facts.merged {
        Merged::Clean { tree, .. } => tree,
        Merged::Refused(refusal) => return Err(refusal),
        Merged::Conflict(clashes) => {
            let files: Vec<String> = clashes.iter().map(ToString::to_string).collect();
            return Err(Refusal::Settled {
                rule: "P8",
                what: format!("lever {lever}"),
                state: format!("conflicts with the present best in {}", files.join(", ")),
                remedy: "write its change against the best's files (`windlass sync C` lays them out) and add it as a new lever",
            });
        }
    };
    // One that another lane superseded is exempt from P10 until it is decided (P39).
    if entry.superseded_by.is_none()
        && let Some(repeat) = client::repeat(campaign, &entry.document, Some(entry.diff), Some(tree))
    {
        return Err(repeat);
    }
    if let Some(problem) = campaign.basis_problem(&entry.document) {
        return Err(problem);
    }
    let pin = client::pin(&entry.document, &facts.look, evidence)?;
    Ok((
        Answer::Done,
        vec![(Some(campaign.id.clone()), Body::LeverRequeued { lever, pin, superseded_by: None })],
    ))
}

/// Whether a lever may be put back: whatever its iteration taught is not tried twice (P10).
fn may_retry(campaign: &Campaign, entry: &LeverEntry) -> Result<(), Refusal> {
    let (rule, state, remedy) = match &entry.state {
        LeverState::Queued | LeverState::Held { .. } | LeverState::Retired { .. } => return Ok(()),
        LeverState::Pulled { iteration } => (
            "P5",
            format!("is being tested by iteration {iteration}"),
            "wait for its decision, or end it with `windlass cancel C N`",
        ),
        LeverState::Decided { iteration, status } => {
            return refuse_tried(campaign, entry.number, *iteration, *status);
        }
    };
    Err(Refusal::Settled { rule, what: format!("lever {}", entry.number), state, remedy })
}

/// What its iteration judged is not tried twice (P10); one that was never analysed was not judged (P21).
fn refuse_tried(
    campaign: &Campaign,
    lever: LeverNumber,
    iteration: IterationNumber,
    status: Status,
) -> Result<(), Refusal> {
    if campaign.decided.get(&iteration).is_some_and(|decided| decided.reason == Reason::Unanalysed) {
        return Ok(());
    }
    let reason = in_brackets(campaign.reason_of(iteration));
    Err(Refusal::Settled {
        rule: "P10",
        what: format!("lever {lever}"),
        state: format!("was tried by iteration {iteration}: {}{reason}", status.as_str()),
        remedy: "propose it again with `changed_assumption` if something is different now",
    })
}

fn in_brackets(reason: Option<&str>) -> String {
    reason.map_or_else(String::new, |reason| format!(" ({reason})"))
}

/// A lever that is kept whole.
fn find(campaign: &Campaign, lever: LeverNumber) -> Result<&LeverEntry, Refusal> {
    if let Some(entry) = campaign.levers.get(&lever) {
        return Ok(entry);
    }
    if let Some(Past::Decided { iteration, status }) = campaign.past(lever) {
        refuse_tried(campaign, lever, iteration, status)?;
    }
    match campaign.past(lever) {
        None => Err(missing(campaign, lever)),
        Some(_) => Err(Refusal::Settled {
            rule: "P9",
            what: format!("lever {lever}"),
            state: "has been out of line for long".to_owned(),
            remedy: ADD_ANEW,
        }),
    }
}

fn missing(campaign: &Campaign, lever: LeverNumber) -> Refusal {
    Refusal::NotFound { what: "lever", name: format!("{lever} of {}", campaign.id) }
}
