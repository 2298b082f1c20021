//! What clients ask for: each request becomes records and an answer, or a refusal.

use super::bounds;
use super::{Ask, Durable, Removal, RequestKey, help, import, steer};
use crate::campaign::{Campaign, Iteration, Past};
use crate::gate::facts::{Look, ProposalFacts, Rejected};
use crate::gate::plan;
use crate::literature;
use crate::session::Fleet;
use windlass_shared::bindings::{Bindings, Dial, EpochCap, GateKind, Strategy};
use windlass_shared::conclusion::Status;
use windlass_shared::device::DeviceState;
use windlass_shared::digest::{Digest, Hash};
use windlass_shared::git::GitRoot;
use windlass_shared::id::{CampaignId, DeviceId, IterationNumber, LeverNumber, WorkerId};
use windlass_shared::lever::{Kind, Lever};
use windlass_shared::record::{Answer, Body, PauseReason, RetireReason, StopReason};
use windlass_shared::refusal::Refusal;
use windlass_shared::view::{CampaignState, LeverState};

/// Levers that one campaign keeps whole, in line or set aside: a researcher's year, and a bound on memory.
pub(super) const QUEUE_MAX: usize = 10_000;

pub(super) type Decided = (Answer, Vec<(Option<CampaignId>, Body)>);

/// Decides one request.
pub(super) fn decide(
    durable: &Durable,
    fleet: &Fleet,
    request: &RequestKey,
    ask: Ask,
) -> Result<Decided, Refusal> {
    match ask {
        Ask::Create { name, bindings, tree, cap, git, owner } => {
            create(durable, request, (name, owner), bindings, Ground { tree, cap, git })
        }
        Ask::Import { ledger, owner } => import::import(durable, request, *ledger, owner),
        Ask::Share { campaign, with, share } => steer::share(find(durable, &campaign)?, with, share),
        Ask::Propose { campaign, lever, facts } => {
            let campaign = find(durable, &campaign)?;
            bounds::refuse_lever(durable, campaign)?;
            propose(campaign, lever, facts.map(|facts| *facts).map_err(|found| *found))
        }
        Ask::Retire { campaign, lever } => retire(find(durable, &campaign)?, lever),
        Ask::Move { campaign, lever, place } => steer::move_lever(find(durable, &campaign)?, lever, place),
        Ask::Retry { campaign, lever, facts } => {
            let campaign = find(durable, &campaign)?;
            bounds::refuse_lever(durable, campaign)?;
            steer::retry(campaign, lever, facts.map(|facts| *facts))
        }
        Ask::Fix { campaign, iteration, change, facts } => {
            help::fix(find(durable, &campaign)?, iteration, change, facts.map(|facts| *facts))
        }
        Ask::AddDeliverable { campaign, iteration, deliverable } => {
            help::add_deliverable(find(durable, &campaign)?, iteration, deliverable)
        }
        Ask::Conclude { campaign, iteration, conclusion, delivered } => {
            help::conclude(find(durable, &campaign)?, iteration, conclusion, delivered)
        }
        Ask::AddFindings { campaign, review, scopes } => {
            let (answer, bodies) = literature::add(find(durable, &campaign)?, *review, &scopes)?;
            Ok((answer, bodies.into_iter().map(|body| (Some(campaign.clone()), body)).collect()))
        }
        Ask::Cancel { campaign, iteration } => steer::cancel(find(durable, &campaign)?, iteration),
        Ask::Update { campaign, priority, weight, name } => {
            steer::update(find(durable, &campaign)?, priority, weight, name)
        }
        Ask::Pause(campaign) => pause(find(durable, &campaign)?),
        Ask::Resume(campaign) => resume(find(durable, &campaign)?),
        Ask::Stop(campaign) => Ok(stop(find(durable, &campaign)?)),
        Ask::Remove { campaign, removals, why } => remove(find(durable, &campaign)?, &removals, &why),
        Ask::SetQuota { owner, quota } => steer::set_quota(durable, owner, quota),
        Ask::Drain(worker) => Ok(drain(durable, worker)),
        Ask::Undrain(worker) => Ok(undrain(durable, worker)),
        Ask::ReleaseDevice(worker, device) => release_device(fleet, worker, device),
    }
}

fn find<'a>(durable: &'a Durable, campaign: &CampaignId) -> Result<&'a Campaign, Refusal> {
    let missing = || Refusal::NotFound { what: "campaign", name: campaign.0.clone() };
    durable.campaigns.get(campaign).ok_or_else(missing)
}

/// What a campaign begins on.
struct Ground {
    tree: Digest,
    cap: Option<EpochCap>,
    git: Option<Box<GitRoot>>,
}

/// P1: a submission of the same name takes along the queue of a campaign whose baseline crashed.
fn create(
    durable: &Durable,
    request: &RequestKey,
    (name, owner): (String, Option<String>),
    bindings: Box<Bindings>,
    Ground { tree, cap, git }: Ground,
) -> Result<Decided, Refusal> {
    bounds::refuse_campaign(durable, owner.as_deref())?;
    bindings.validate()?;
    if (bindings.gate == GateKind::Epochs) != cap.is_some() {
        let problem = "its epoch cap was not looked for".to_owned();
        return Err(Refusal::Malformed { field: "tree", problem });
    }
    if (bindings.iter_strategy == Strategy::Branches) != git.is_some() {
        let problem = "the commit that its branch grows from comes with `iter_strategy: branches`".to_owned();
        return Err(Refusal::Malformed { field: "git", problem });
    }
    git.as_ref().map_or(Ok(()), |git| git.check())?;
    let rows = bindings
        .windlass
        .baseline
        .iter()
        .chain(&bindings.windlass.always)
        .chain(&bindings.windlass.diagnostics);
    for row in rows {
        plan::check(std::slice::from_ref(row))?;
    }
    for plan in [&bindings.windlass.baseline, &bindings.windlass.always] {
        if !plan.is_empty() {
            plan::check(plan)?;
        }
    }
    let id = campaign_id(durable, &name, request);
    let takes_findings = bindings.literature == Dial::On;
    let body = Body::CampaignCreated { name: name.clone(), bindings, tree, cap, git, owner: owner.clone() };
    let mut records = vec![(Some(id.clone()), body)];
    let replaced = durable
        .campaigns
        .values()
        .find(|campaign| has_no_ground(campaign) && campaign.name == name && campaign.owner == owner);
    let mut taken = 0;
    if let Some(replaced) = replaced {
        let findings = if takes_findings { replaced.findings_taken() } else { Vec::new() };
        records.extend(findings.into_iter().map(|body| (Some(id.clone()), body)));
        for number in &replaced.queue {
            let Some(entry) = replaced.levers.get(number) else { continue };
            taken += 1;
            let body = Body::LeverQueued {
                lever: LeverNumber(taken),
                document: entry.document.clone(),
                base: entry.base,
                changed: entry.changed,
                pin: None,
                diff: entry.diff,
                cited: entry.cited.clone(),
            };
            records.push((Some(id.clone()), body));
        }
        let reason = StopReason::Replaced { by: id.clone() };
        records.push((Some(replaced.id.clone()), Body::CampaignStopped { reason }));
    }
    Ok((Answer::Campaign { id, levers_taken: taken }, records))
}

/// Whether a campaign is paused for its baseline.
fn has_no_ground(campaign: &Campaign) -> bool {
    matches!(campaign.state, CampaignState::Paused { reason: PauseReason::Baseline { .. } })
}

/// A slug of the name and six hex digits of the request: the same request always makes the same id.
pub(super) fn campaign_id(durable: &Durable, name: &str, request: &RequestKey) -> CampaignId {
    let mut slug = String::new();
    for c in name.chars() {
        match c {
            c if c.is_ascii_alphanumeric() => slug.push(c.to_ascii_lowercase()),
            _ if slug.is_empty() || slug.ends_with('-') => {}
            _ => slug.push('-'),
        }
    }
    let slug: String = slug.trim_end_matches('-').chars().take(40).collect();
    let slug = if slug.is_empty() { "campaign".to_owned() } else { slug };
    let digits = windlass_shared::digest::Hash::of(request.id.0.as_bytes()).to_string();
    let whole = (6..=digits.len()).map(|length| CampaignId(format!("{slug}-{}", &digits[..length])));
    whole
        .into_iter()
        .find(|id| !durable.campaigns.contains_key(id))
        .expect("a hash is long enough to be unique")
}

fn propose(
    campaign: &Campaign,
    lever: Box<Lever>,
    facts: Result<ProposalFacts, Rejected>,
) -> Result<Decided, Refusal> {
    refuse_stopped(campaign, "a stopped campaign takes no levers")?;
    let evidence = evidence_for(campaign, &lever);
    let facts = facts.map_err(|rejected| all_problems(campaign, &lever, evidence, rejected))?;
    if facts.parent != campaign.parent_tree() || facts.evidence != evidence {
        return Err(Refusal::FactsMoved);
    }
    if campaign.levers.len() >= QUEUE_MAX {
        let figure = campaign.levers.len() as u64 + 1;
        return Err(Refusal::TooMuch { what: "the queue".to_owned(), figure, limit: QUEUE_MAX as u64 });
    }
    check_move(campaign, &lever)?;
    let repeat = repeat(campaign, &lever, Some(facts.diff), facts.merged);
    let (pin, unfounded) = match pin(&lever, &facts.look, evidence) {
        Ok(pin) => (pin, None),
        Err(unfounded) => (None, Some(unfounded)),
    };
    let problems = unfounded.into_iter().chain(repeat).chain(campaign.basis_problem(&lever));
    let problems: Vec<Refusal> = problems.collect();
    if !problems.is_empty() {
        return Err(Refusal::several(problems));
    }
    let number = campaign.next_lever();
    let warnings = warnings(campaign, &lever);
    let body = Body::LeverQueued {
        lever: number,
        document: lever,
        base: facts.base,
        changed: facts.changed,
        pin,
        diff: facts.diff,
        cited: facts.cited,
    };
    Ok((Answer::Lever { number, warnings }, vec![(Some(campaign.id.clone()), body)]))
}

/// P11: where moves are scheduled a merge names what it joins; a parent is an iteration that was measured here.
fn check_move(campaign: &Campaign, lever: &Lever) -> Result<(), Refusal> {
    let refuse = |problem: String| Err(Refusal::Lever { rule: "P11", field: "parents".to_owned(), problem });
    let is_scheduled = campaign.bindings.windlass.move_scheduler.is_some();
    if is_scheduled && lever.kind == Kind::Merge && lever.parents.is_empty() {
        return refuse("is missing; a merge names the iterations that it joins".to_owned());
    }
    for parent in &lever.parents {
        match campaign.decided.get(parent).map(|decided| decided.status) {
            Some(Status::Keep | Status::Discard) => {}
            Some(Status::Crash) => return refuse(format!("names iteration {parent}, which is a crash")),
            None => return refuse(format!("names iteration {parent}, which is not decided")),
        }
    }
    Ok(())
}

/// Whose evidence a lever's anchor is looked up in: the one it names, else the latest analysed. Nobody's
/// before anything was analysed (P6).
pub(crate) fn evidence_for(campaign: &Campaign, lever: &Lever) -> Option<IterationNumber> {
    let anchor = lever.anchor.as_ref()?;
    let latest = campaign.latest_analysed?;
    Some(anchor.iteration.unwrap_or(latest))
}

/// Everything that is wrong with a refused lever: what its gates found, and what the ledger says besides.
fn all_problems(
    campaign: &Campaign,
    lever: &Lever,
    evidence: Option<IterationNumber>,
    rejected: Rejected,
) -> Refusal {
    let mut problems = rejected.problems;
    if rejected.evidence == evidence && rejected.look != Look::NotLooked {
        problems.extend(pin(lever, &rejected.look, evidence).err());
    }
    problems.extend(repeat(campaign, lever, rejected.diff, rejected.merged));
    problems.extend(campaign.basis_problem(lever));
    Refusal::several(problems)
}

/// P10: neither what was decided nor what stands in line is taken twice. `diff` is the change as it was
/// written, `merged` the tree that it gives on the best.
pub(super) fn repeat(
    campaign: &Campaign,
    lever: &Lever,
    diff: Option<Hash>,
    merged: Option<Digest>,
) -> Option<Refusal> {
    if lever.changed_assumption.is_some() {
        return None;
    }
    let by_tree = merged.and_then(|tree| campaign.tried.get(&tree.hash));
    let by_diff = diff.and_then(|diff| campaign.tried.get(&diff));
    if let Some(iteration) = by_diff.or(by_tree) {
        return Some(Refusal::Duplicate { iteration: iteration.0 });
    }
    if let Some(lever) = diff.and_then(|diff| campaign.queued_diffs.get(&diff)) {
        return Some(Refusal::DuplicateQueued { lever: lever.0 });
    }
    let is_same = |open: &&Iteration| open.lever.is_some() && Some(open.diff) == diff;
    let open = campaign.open.values().find(is_same)?;
    Some(Refusal::Duplicate { iteration: open.number.0 })
}

/// P6: once anything was analysed the evidence must be there and hold; before that, form is all.
pub(super) fn pin(
    lever: &Lever,
    look: &Look,
    evidence: Option<IterationNumber>,
) -> Result<Option<windlass_shared::lever::Pin>, Refusal> {
    let (Some(anchor), Some(iteration)) = (&lever.anchor, evidence) else { return Ok(None) };
    let refuse = |problem: String| {
        Err(Refusal::Anchor { file: anchor.file.to_string(), iteration: iteration.0, problem })
    };
    match look {
        Look::Holds(pin) => Ok(Some(pin.clone())),
        Look::Contradicted { line, value } => {
            let wanted = anchor.compare.as_ref().map_or_else(String::new, ToString::to_string);
            refuse(format!("line {line} says {value}, which is not {wanted}"))
        }
        Look::Several { line, value, other_line, other } => refuse(format!(
            "{:?} has several matches that differ: line {line} says {value}, line {other_line} says {other}; write \
             what only the line that is meant has, such as its first words after ^",
            anchor.pattern
        )),
        Look::NoMatch => refuse(format!("no line matches {:?}", anchor.pattern)),
        Look::TooCostly => refuse(format!(
            "{:?} is too large a pattern for as much evidence; write a narrower one, such as [a-z] for \\w",
            anchor.pattern
        )),
        Look::FileMissing | Look::NotLooked => refuse("there is no such file among its evidence".to_owned()),
    }
}

/// P13: a lever without a new dimension is warned of, not refused: the catalogue may have one.
fn warnings(campaign: &Campaign, lever: &Lever) -> Vec<String> {
    let mut warnings = Vec::new();
    if !plan::has_new_dimension(&lever.analysis, &campaign.measured) {
        let w = &campaign.bindings.windlass;
        let completed = plan::complete(&lever.analysis, &w.always, &w.diagnostics, &campaign.measured);
        let then = match completed {
            plan::Completed::Plan(_) => "one is drawn from `diagnostics` at its turn",
            plan::Completed::NeedsPlan => "and `diagnostics` has none left, so it will be held",
        };
        warnings.push(format!("P13: no deliverable measures a new dimension; {then}"));
    }
    for dimension in plan::repeats_without_reason(&lever.analysis, &campaign.measured) {
        warnings.push(format!(
            "P13: dimension {dimension} was measured before; state `compares:` with iteration and reason"
        ));
    }
    warnings.extend(campaign.headroom_warning(lever));
    warnings
}

fn retire(campaign: &Campaign, lever: LeverNumber) -> Result<Decided, Refusal> {
    let missing = || Refusal::NotFound { what: "lever", name: format!("{lever} of {}", campaign.id) };
    let entry = campaign.levers.get(&lever);
    if entry.is_some_and(|entry| matches!(entry.state, LeverState::Queued | LeverState::Held { .. })) {
        let body = Body::LeverRetired { lever, reason: RetireReason::Owner };
        return Ok((Answer::Done, vec![(Some(campaign.id.clone()), body)]));
    }
    let state = match campaign.past(lever) {
        Some(Past::TakenBack) => return Ok((Answer::Done, Vec::new())),
        Some(Past::Stale) => "retired already".to_owned(),
        Some(Past::Decided { iteration, status: Status::Keep }) => format!("kept by iteration {iteration}"),
        Some(Past::Decided { iteration, .. }) => format!("decided by iteration {iteration}"),
        None => match entry.map(|entry| &entry.state) {
            Some(LeverState::Pulled { iteration }) => format!("being tested by iteration {iteration}"),
            _ => return Err(missing()),
        },
    };
    Err(Refusal::State {
        what: format!("lever {lever}"),
        state,
        wanted: "only a lever in the queue can be retired",
    })
}

fn pause(campaign: &Campaign) -> Result<Decided, Refusal> {
    refuse_stopped(campaign, "only a campaign that goes on can be paused")?;
    let bodies = match campaign.state {
        CampaignState::Active => {
            vec![(Some(campaign.id.clone()), Body::CampaignPaused { reason: PauseReason::Owner })]
        }
        _ => Vec::new(),
    };
    Ok((Answer::Done, bodies))
}

fn resume(campaign: &Campaign) -> Result<Decided, Refusal> {
    refuse_stopped(campaign, "a stopped campaign does not go on; submit a new one")?;
    if campaign
        .decided
        .get(&IterationNumber::BASELINE)
        .is_some_and(|baseline| baseline.status != Status::Keep)
    {
        return Err(Refusal::State {
            what: format!("campaign {}", campaign.id),
            state: "paused: its baseline is no ground to build on (P1)".to_owned(),
            wanted: "repair the project and submit it again; the queue is taken along",
        });
    }
    let bodies = match campaign.state {
        CampaignState::Paused { .. } => vec![(Some(campaign.id.clone()), Body::CampaignResumed {})],
        _ => Vec::new(),
    };
    Ok((Answer::Done, bodies))
}

fn stop(campaign: &Campaign) -> Decided {
    let bodies = if campaign.is_stopped() {
        Vec::new()
    } else {
        vec![(Some(campaign.id.clone()), Body::CampaignStopped { reason: StopReason::Owner })]
    };
    (Answer::Done, bodies)
}

/// What an open iteration or the best one has is still looked at: it is never removed.
fn remove(campaign: &Campaign, removals: &[Removal], why: &str) -> Result<Decided, Refusal> {
    let best = campaign.best.as_ref().map(|best| best.iteration);
    let mut bodies = Vec::new();
    for Removal { iteration, evidence, bytes } in removals.iter().copied() {
        let is_followed_up = campaign.settled.get(&iteration).is_some_and(Iteration::has_follow_ups);
        if is_followed_up {
            return Err(Refusal::State {
                what: format!("iteration {iteration} of {}", campaign.id),
                state: "being followed up on".to_owned(),
                wanted: "its evidence can be removed when its scripts are through",
            });
        }
        if !campaign.decided.contains_key(&iteration) || best == Some(iteration) {
            return Err(Refusal::State {
                what: format!("iteration {iteration} of {}", campaign.id),
                state: if best == Some(iteration) { "the best" } else { "not decided" }.to_owned(),
                wanted: "only the evidence of a decided iteration that is not the best can be removed",
            });
        }
        let body = Body::EvidenceRemoved { iteration, evidence, bytes, why: why.to_owned() };
        bodies.push((Some(campaign.id.clone()), body));
    }
    Ok((Answer::Done, bodies))
}

fn drain(durable: &Durable, worker: WorkerId) -> Decided {
    let bodies = if durable.drained.contains_key(&worker) {
        Vec::new()
    } else {
        vec![(None, Body::WorkerDrained { worker, reason: "its owner asked".to_owned() })]
    };
    (Answer::Done, bodies)
}

fn undrain(durable: &Durable, worker: WorkerId) -> Decided {
    let bodies = if durable.drained.contains_key(&worker) {
        vec![(None, Body::WorkerUndrained { worker })]
    } else {
        Vec::new()
    };
    (Answer::Done, bodies)
}

/// Only what is quarantined can be released; a device that is free is so already.
fn release_device(fleet: &Fleet, worker: WorkerId, device: DeviceId) -> Result<Decided, Refusal> {
    let missing = || Refusal::NotFound { what: "device", name: format!("{device} of {worker}") };
    let member = fleet.member(&worker).ok_or_else(missing)?;
    let found = member.devices.iter().find(|one| one.id == device).ok_or_else(missing)?;
    let state = match &found.state {
        DeviceState::Quarantined { .. } => {
            return Ok((Answer::Done, vec![(None, Body::DeviceReleased { worker, device })]));
        }
        DeviceState::Free => return Ok((Answer::Done, Vec::new())),
        DeviceState::Busy(key) => format!("busy with {}", key.id),
        DeviceState::Outsider { who } => format!("used by a process that is not ours: {who}"),
    };
    Err(Refusal::State {
        what: format!("device {device}"),
        state,
        wanted: "only a quarantined device can be released",
    })
}

pub(super) fn refuse_stopped(campaign: &Campaign, wanted: &'static str) -> Result<(), Refusal> {
    if campaign.is_stopped() {
        return Err(Refusal::State {
            what: format!("campaign {}", campaign.id),
            state: "stopped".to_owned(),
            wanted,
        });
    }
    Ok(())
}
