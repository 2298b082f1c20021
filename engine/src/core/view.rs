//! What clients and the driver may ask about the present state.

use super::RequestKey;
use super::client::evidence_for;
use super::machine::Core;
use super::{help, steer};
use crate::campaign::{Campaign, Due, Iteration, LeverEntry, Need, Past, Say};
use crate::gate::facts::{CitedPlace, FixWanted, ProposalWanted, PullWanted};
use crate::session::{Member, Presence};
use windlass_shared::access::{Access, Grant, Viewer};
use windlass_shared::attempt::{Kind, Order, Phase};
use windlass_shared::device::DeviceState;
use windlass_shared::id::{AttemptId, CampaignId, DeviceId, IterationNumber, LeverNumber, WorkerId};
use windlass_shared::lever::{CITES_MAX, Change, Citation, Lever};
use windlass_shared::record::Answer;
use windlass_shared::refusal::Refusal;
use windlass_shared::time::Time;
use windlass_shared::view::{
    AttemptView, CampaignView, LeverView, OpenIteration, WaitFor, WaitView, WorkerView,
};

/// Candidates named when a prefix is ambiguous.
const CANDIDATES_MAX: usize = 8;

/// A lever in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed {
    /// It may still be pulled, or is being tested.
    Whole(LeverView),
    /// It is over: its title and the words of its end are in the ledger.
    Past(LeverNumber, Past),
}

impl Listed {
    /// Its number.
    pub fn number(&self) -> LeverNumber {
        match self {
            Self::Whole(view) => view.lever,
            Self::Past(number, _) => *number,
        }
    }
}

impl Core {
    /// What a request was answered, once its records are applied. A request that changed nothing is
    /// [`Answer::Done`].
    pub fn answered(&self, request: &RequestKey) -> Answer {
        self.durable.requests.get(&request.id).map_or(Answer::Done, |answered| answered.answer())
    }

    /// A campaign by its id, its name, or a unique prefix of either.
    pub fn resolve_campaign(&self, text: &str) -> Result<CampaignId, Refusal> {
        self.resolve_campaign_for(&Access::ADMIN, text)
    }

    /// The same for one who may not see them all: what is hidden is not there, and no name of it is given away.
    ///
    /// # Errors
    /// [`Refusal::NotFound`], [`Refusal::Ambiguous`]; [`Refusal::NotAllowed`] for one that is seen and shared less
    /// far than is asked.
    pub fn resolve_campaign_for(&self, access: &Access, text: &str) -> Result<CampaignId, Refusal> {
        let id = self.find_campaign(&access.viewer, text)?;
        let share = self.campaign(&id)?.grant_of(&access.viewer);
        match share {
            Some(share) if share >= access.need => Ok(id),
            share => Err(Refusal::NotAllowed {
                who: match &access.viewer {
                    Viewer::Client(name) => format!("the client {name}"),
                    Viewer::Admin | Viewer::Worker(..) => "this caller".to_owned(),
                },
                what: format!(
                    "do that with campaign {id}, which is shared for `{}`: it needs `{}`",
                    share.map_or("nothing", Grant::as_str),
                    access.need.as_str()
                ),
                remedy: "ask its owner to share it further: `windlass share C NAME --as read|propose|control`",
            }),
        }
    }

    fn find_campaign(&self, viewer: &Viewer, text: &str) -> Result<CampaignId, Refusal> {
        let all = &self.durable().campaigns;
        let is_seen = |campaign: &&Campaign| campaign.grant_of(viewer).is_some();
        if let Some(campaign) = all.get(&CampaignId::from(text)).filter(is_seen) {
            return Ok(campaign.id.clone());
        }
        let campaigns = || all.values().filter(is_seen);
        let not_replaced = |campaign: &&Campaign| {
            use windlass_shared::record::StopReason;
            use windlass_shared::view::CampaignState;
            !matches!(campaign.state, CampaignState::Stopped { reason: StopReason::Replaced { .. } })
        };
        let named: Vec<&Campaign> =
            campaigns().filter(|campaign| campaign.name == text).filter(not_replaced).collect();
        let found: Vec<&Campaign> = match named.len() {
            0 => campaigns()
                .filter(|_| !text.is_empty())
                .filter(|campaign| campaign.id.as_str().starts_with(text) || campaign.name.starts_with(text))
                .collect(),
            _ => named,
        };
        match found.as_slice() {
            [one] => Ok(one.id.clone()),
            [] => Err(Refusal::NotFound { what: "campaign", name: text.to_owned() }),
            many => {
                let names: Vec<&str> =
                    many.iter().take(CANDIDATES_MAX).map(|campaign| campaign.id.as_str()).collect();
                let candidates = names.join(", ");
                Err(Refusal::Ambiguous { what: "campaign", prefix: text.to_owned(), candidates })
            }
        }
    }

    /// A worker by its id, its name, or a unique prefix of either.
    pub fn resolve_worker(&self, text: &str) -> Result<WorkerId, Refusal> {
        let exact = WorkerId::from(text);
        if self.soft().fleet().member(&exact).is_some() || self.durable().drained.contains_key(&exact) {
            return Ok(exact);
        }
        let fits =
            |member: &Member| member.info.id.as_str().starts_with(text) || member.info.name.starts_with(text);
        let found: Vec<(&WorkerId, &Member)> =
            self.soft().fleet().members().filter(|(_, member)| !text.is_empty() && fits(member)).collect();
        let is_named = |member: &Member| member.info.name == text;
        let named: Vec<&WorkerId> =
            found.iter().filter(|(_, member)| is_named(member)).map(|(id, _)| *id).collect();
        // A machine that was set up anew has its name from one that is lost: it is the one that is meant.
        let is_there = |member: &Member| is_named(member) && member.presence != Presence::Lost;
        let there: Vec<&WorkerId> =
            found.iter().filter(|(_, member)| is_there(member)).map(|(id, _)| *id).collect();
        match (named.as_slice(), there.as_slice(), found.as_slice()) {
            ([one], ..) | (_, [one], _) => Ok((*one).clone()),
            (_, _, [(one, _)]) => Ok((*one).clone()),
            (_, _, []) => Err(Refusal::NotFound { what: "worker", name: text.to_owned() }),
            (_, _, many) => {
                let names: Vec<&str> = many.iter().take(CANDIDATES_MAX).map(|(id, _)| id.as_str()).collect();
                Err(Refusal::Ambiguous {
                    what: "worker",
                    prefix: text.to_owned(),
                    candidates: names.join(", "),
                })
            }
        }
    }

    /// A device of a worker by its id, or a unique prefix of it.
    pub fn resolve_device(&self, worker: &WorkerId, text: &str) -> Result<DeviceId, Refusal> {
        let missing = || Refusal::NotFound { what: "device", name: text.to_owned() };
        let member = self.soft().fleet().member(worker).ok_or_else(missing)?;
        let ids = || member.devices.iter().map(|device| &device.id);
        if let Some(id) = ids().find(|id| id.as_str() == text) {
            return Ok(id.clone());
        }
        let found: Vec<&DeviceId> =
            ids().filter(|id| !text.is_empty() && id.as_str().starts_with(text)).collect();
        match found.as_slice() {
            [one] => Ok((*one).clone()),
            [] => Err(missing()),
            many => {
                let names: Vec<&str> = many.iter().take(CANDIDATES_MAX).map(|id| id.as_str()).collect();
                Err(Refusal::Ambiguous {
                    what: "device",
                    prefix: text.to_owned(),
                    candidates: names.join(", "),
                })
            }
        }
    }

    /// What must be known before a lever can be decided on.
    pub fn proposal_wanted(&self, id: &CampaignId, lever: Box<Lever>) -> Result<ProposalWanted, Refusal> {
        let campaign = self.campaign(id)?;
        let evidence = match evidence_for(campaign, &lever) {
            None => None,
            Some(iteration) => {
                let missing = || Refusal::Anchor {
                    file: lever.anchor.as_ref().map_or_else(String::new, |anchor| anchor.file.to_string()),
                    iteration: iteration.0,
                    problem: "that iteration is not decided yet".to_owned(),
                };
                Some(campaign.evidence_of(iteration).ok_or_else(missing)?)
            }
        };
        Ok(ProposalWanted {
            campaign: id.clone(),
            lever,
            parent: campaign.parent_tree(),
            workspace: campaign.tree,
            editable: campaign.bindings.editable_files.clone(),
            evidence,
            cap: campaign.cap_rule(),
        })
    }

    /// The rows that a lever cites, as far as its proposer may see their campaigns (P24).
    pub fn cited_places(&self, viewer: &Viewer, lever: &Lever) -> Result<Vec<CitedPlace>, Refusal> {
        let access = Access { viewer: viewer.clone(), need: Grant::Read };
        let place = |(index, cited): (usize, &Citation)| {
            let refuse =
                |problem: String| Refusal::Lever { rule: "P24", field: format!("cites[{index}]"), problem };
            let id = self.resolve_campaign_for(&access, &cited.campaign);
            let campaign =
                id.and_then(|id| self.campaign(&id)).map_err(|refusal| refuse(refusal.to_string()))?;
            if !campaign.decided.contains_key(&cited.iteration) {
                let problem = format!("iteration {} of {} is not decided", cited.iteration, campaign.id);
                return Err(refuse(problem));
            }
            let metric_name = campaign.bindings.metric.clone();
            Ok(CitedPlace { campaign: campaign.id.clone(), metric_name, iteration: cited.iteration })
        };
        lever.cites.iter().take(CITES_MAX).enumerate().map(place).collect()
    }

    /// What must be known before a lever can be put back in line.
    pub fn retry_wanted(&self, id: &CampaignId, lever: LeverNumber) -> Result<PullWanted, Refusal> {
        steer::retry_wanted(self.campaign(id)?, lever)
    }

    /// What must be known before a researcher's fix is taken (P19).
    pub fn fix_wanted(
        &self,
        id: &CampaignId,
        iteration: IterationNumber,
        change: Change,
    ) -> Result<FixWanted, Refusal> {
        help::fix_wanted(self.campaign(id)?, iteration, change)
    }

    /// A campaign's durable state.
    pub fn campaign(&self, id: &CampaignId) -> Result<&Campaign, Refusal> {
        let missing = || Refusal::NotFound { what: "campaign", name: id.0.clone() };
        self.durable().campaigns.get(id).ok_or_else(missing)
    }

    /// One page about a campaign.
    pub fn campaign_view(&self, now: Time, id: &CampaignId) -> Result<CampaignView, Refusal> {
        let campaign = self.campaign(id)?;
        let lanes: Vec<OpenIteration> =
            campaign.open.values().map(|open| self.open_view(now, campaign, open)).collect();
        Ok(CampaignView {
            campaign: campaign.id.clone(),
            name: campaign.name.clone(),
            created_wall_ms: campaign.created_wall_ms,
            state: campaign.state.clone(),
            priority: campaign.bindings.windlass.priority,
            metric: campaign.bindings.metric.clone(),
            direction: campaign.bindings.metric_direction,
            tree: campaign.tree,
            best_tree: campaign.parent_tree(),
            best: campaign.best.as_ref().map(|best| best.summary.clone()),
            record: campaign.record.clone(),
            decided: campaign.counts,
            queued: campaign.queue.len() as u32,
            open: lanes.first().cloned(),
            lanes,
            floor: campaign.floor.clone(),
            moves: campaign.moves_view(),
            refused: campaign.refusals.latest.as_deref().cloned(),
            literature: campaign.literature_view(),
            waits_for: self.waits_for(campaign),
            recent: campaign.recent.iter().rev().cloned().collect(),
            follow_ups: campaign.follow_ups_view(),
        })
    }

    /// Why nothing moves, when nothing does (P24).
    fn waits_for(&self, campaign: &Campaign) -> Option<String> {
        if campaign.is_stopped() || campaign.open.values().any(|open| open.live.is_some()) {
            return None;
        }
        match self.due(&campaign.id)? {
            Due::Device(wait) | Due::Quota(wait) | Due::Nothing(wait) => Some(wait),
            Due::Records(_) if self.soft().step_rests(&campaign.id) => {
                Some("a step that names a blob which is not in the store; it is tried again every 5 s".to_owned())
            }
            Due::Facts(wanted) if self.soft().gathering_rests(&wanted.key()) => {
                Some("facts that could not be gathered; they are tried again every 5 s, and the coordinator's log says why".to_owned())
            }
            Due::Records(_) | Due::Facts(_) => None,
        }
    }

    fn open_view(&self, now: Time, campaign: &Campaign, open: &Iteration) -> OpenIteration {
        let wait = campaign.wait(open).filter(|wait| {
            let is_over = self.soft().wait_is_over(&campaign.id, open.number, *wait);
            !is_over
                && self.in_context(&campaign.id, Say::Nothing, |context| context.lane(open).is_idle())
                    == Some(true)
        });
        let stage = match (&open.live, open.need(None, 1)) {
            (Some(_), _) if open.is_cancelled => "being cancelled",
            (Some(live), _) if live.kind == Kind::Run => "running",
            (Some(live), _) if live.kind == Kind::Score => "scoring",
            (Some(_), _) => "analysing",
            (None, Need::Run | Need::Score | Need::Analysis) => "waiting for a device",
            (None, Need::Fix(_)) => "taking up its fix",
            (None, Need::Decide) if wait.is_some() => "waiting for its researcher",
            (None, _) => "concluding",
        };
        OpenIteration {
            iteration: open.number,
            lever: open.lever,
            title: campaign.title(open.lever).to_owned(),
            stage: stage.to_owned(),
            wait: wait.map(|wait| WaitView {
                what: wait.what,
                until_wall_ms: wait.until_wall_ms(),
                problem: campaign.trouble(open, wait.what),
                remedy: campaign.remedy(open, wait),
                log_tail: match wait.what {
                    WaitFor::Fix => {
                        open.run.as_ref().map_or_else(String::new, |run| run.outcome.log_tail.clone())
                    }
                    WaitFor::Script => open.analysis_tail.clone(),
                    WaitFor::Conclusion => String::new(),
                },
            }),
            attempt: open.live.as_ref().map(|live| {
                let member = self.soft().fleet().member(&live.worker);
                let (phase, elapsed_ms) = match member.and_then(|member| member.attempts.get(&live.key)) {
                    None => ("leased", 0),
                    Some(Phase::Preparing) => ("preparing", 0),
                    // A worker reports when something changes; since then the run has gone on.
                    Some(Phase::Running { elapsed_ms }) => {
                        let since_ms =
                            member.map_or(0, |member| now.mono_ms.saturating_sub(member.last_word_ms));
                        ("running", elapsed_ms.saturating_add(since_ms))
                    }
                    Some(Phase::Collecting | Phase::Ended(_)) => ("collecting", 0),
                };
                AttemptView {
                    attempt: live.key.id.clone(),
                    kind: live.kind,
                    worker: live.worker.clone(),
                    worker_name: live.worker_name.clone(),
                    devices: live.devices.clone(),
                    phase: phase.to_owned(),
                    elapsed_ms,
                    budget_ms: live.order.soft_limit_ms,
                    why: live.why.clone(),
                }
            }),
        }
    }

    /// A page of a campaign's levers: the queue in order, then the rest, newest first. `skip` counts from the
    /// beginning of that list.
    pub fn levers(&self, id: &CampaignId, skip: usize, limit: usize) -> Result<Vec<Listed>, Refusal> {
        let campaign = self.campaign(id)?;
        let queued = campaign.queue.iter().filter_map(|number| listed(campaign, *number));
        let mut page: Vec<Listed> = queued.skip(skip).take(limit).collect();
        // Both are in order; of two that are at hand the newer comes next.
        let mut aside = campaign.levers.values().rev().filter(|entry| !entry.is_queued()).peekable();
        let mut past = campaign.past_levers.rows().iter().rev().peekable();
        let mut to_skip = skip.saturating_sub(campaign.queue.len());
        while page.len() < limit {
            let newer = match (aside.peek(), past.peek()) {
                (Some(entry), Some((number, _))) if entry.number > *number => aside.next().map(whole),
                (Some(_), None) => aside.next().map(whole),
                _ => past.next().map(|(number, past)| Listed::Past(*number, *past)),
            };
            match newer {
                None => break,
                Some(_) if to_skip > 0 => to_skip -= 1,
                Some(lever) => page.push(lever),
            }
        }
        Ok(page)
    }

    /// One lever.
    pub fn lever(&self, id: &CampaignId, lever: LeverNumber) -> Result<Listed, Refusal> {
        let missing = || Refusal::NotFound { what: "lever", name: format!("{lever} of {id}") };
        listed(self.campaign(id)?, lever).ok_or_else(missing)
    }

    /// The fleet.
    pub fn worker_views(&self, now: Time) -> Vec<WorkerView> {
        let view = |(id, member): (&WorkerId, &Member)| {
            let state = match member.presence {
                Presence::Lost => "lost",
                Presence::Suspected => "suspected",
                Presence::Ready if self.durable().drained.contains_key(id) => "drained",
                Presence::Ready => "ready",
            };
            WorkerView {
                info: member.info.clone(),
                state: state.to_owned(),
                silent_ms: now.mono_ms.saturating_sub(member.last_word_ms),
                load: member.load,
                devices: member.devices.clone(),
                attempts: self.live_on(id),
            }
        };
        self.soft().fleet().members().map(view).collect()
    }

    /// The fleet as one may see it who does not see every campaign: of others' attempts, that there is one.
    pub fn worker_views_for(&self, now: Time, access: &Access) -> Vec<WorkerView> {
        let mut views = self.worker_views(now);
        let is_seen = |campaign: &CampaignId| {
            let campaign = self.durable().campaigns.get(campaign);
            campaign.is_some_and(|campaign| campaign.grant_of(&access.viewer).is_some())
        };
        if access.viewer == Viewer::Admin {
            return views;
        }
        for view in &mut views {
            view.attempts.retain(|attempt| is_seen(&attempt.campaign));
            view.info.secrets.clear();
            for device in &mut view.devices {
                match &mut device.state {
                    DeviceState::Busy(key) if !is_seen(&key.id.campaign) => {
                        device.state =
                            DeviceState::Outsider { who: "a run of another's campaign".to_owned() };
                    }
                    DeviceState::Outsider { who } => "a process that is not ours".clone_into(who),
                    _ => {}
                }
            }
        }
        views
    }

    /// The orders that a worker holds leases for. A worker asks at every call: the cost is that of its own attempts,
    /// whatever the number of campaigns.
    pub fn orders_on(&self, worker: &WorkerId) -> Vec<Order> {
        let live = self.durable().live.get(worker).into_iter().flat_map(|live| live.keys());
        live.filter_map(|attempt| {
            let campaign = self.durable().campaigns.get(&attempt.campaign)?;
            let (_, live) = campaign.live_attempt(attempt)?;
            (live.worker == *worker).then(|| (*live.order).clone())
        })
        .collect()
    }

    fn live_on(&self, worker: &WorkerId) -> Vec<AttemptId> {
        self.durable().live.get(worker).into_iter().flat_map(|live| live.keys().cloned()).collect()
    }
}

fn listed(campaign: &Campaign, number: LeverNumber) -> Option<Listed> {
    let past = campaign.past_levers.get(&number).map(|past| Listed::Past(number, *past));
    past.or_else(|| campaign.levers.get(&number).map(whole))
}

fn whole(entry: &LeverEntry) -> Listed {
    Listed::Whole(LeverView {
        lever: entry.number,
        title: entry.document.title.clone(),
        lever_kind: entry.document.kind.as_str().to_owned(),
        state: entry.state.clone(),
        passes: entry.passes,
        queued_wall_ms: entry.queued_wall_ms,
    })
}
