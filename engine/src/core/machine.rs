//! The five functions of the core.

use super::{Ask, Command, Durable, Input, Observation, RequestKey, Soft};
use crate::campaign::{self, Campaign, Context, Due, Lane, Say};
use crate::placement;
use crate::{session, share};
use std::collections::BTreeSet;
use windlass_shared::attempt::{Ending, Outcome};
use windlass_shared::id::{CampaignId, IterationNumber, WorkerId};
use windlass_shared::record::{Body, Record, Request};
use windlass_shared::refusal::Refusal;
use windlass_shared::session as wire;
use windlass_shared::time::Time;

/// Infrastructure endings in a row after which a worker is drained (P20).
pub const DRAIN_AFTER: u32 = 3;

/// Durable and soft state together.
#[derive(Clone, Debug, Default)]
pub struct Core {
    pub(super) durable: Durable,
    pub(super) soft: Soft,
}

impl Core {
    /// A core before its first record.
    pub fn new() -> Self {
        Self::default()
    }

    /// A core whose workers are lost `lease_period_ms` after their last word.
    pub fn with_lease_period_ms(lease_period_ms: u64) -> Self {
        let mut core = Self::default();
        core.soft.fleet = crate::session::Fleet::new(lease_period_ms);
        core
    }

    /// This core with another half-life of what campaigns had, recorded at its start.
    #[must_use]
    pub fn with_half_life_ms(mut self, half_life_ms: u64) -> Self {
        self.soft.half_life_ms =
            Some(half_life_ms).filter(|half_life_ms| *half_life_ms != share::HALF_LIFE_MS);
        self
    }

    /// This core going on from a state that was folded earlier, as if it had been fed the records itself.
    /// What was observed is not in it: that comes anew.
    #[must_use]
    pub fn resumed(mut self, durable: Durable) -> Self {
        for live in durable.campaigns.values().flat_map(Campaign::live) {
            self.soft.fleet.hold(&live.worker, &live.order);
            self.soft.dirty_workers.insert(live.worker.clone());
        }
        for campaign in durable.campaigns.values() {
            self.soft.touch(campaign);
        }
        for worker in durable.drained.keys() {
            self.soft.fleet.note_drained(worker, true);
        }
        self.durable = durable;
        self
    }

    /// The fold of the records so far.
    pub fn durable(&self) -> &Durable {
        &self.durable
    }

    /// What was observed.
    pub fn soft(&self) -> &Soft {
        &self.soft
    }

    /// This fold of records with what another core has seen: for a coordinator that goes back to what is
    /// durable and only reads from then on.
    #[must_use]
    pub fn with_soft_of(self, other: Self) -> Self {
        Self { durable: self.durable, soft: other.soft }
    }

    /// What an input puts into the ledger. Pure: nothing is changed until the records are applied.
    ///
    /// # Errors
    /// A refusal, when nothing may be recorded; [`Refusal::FactsMoved`] asks for fresh facts.
    pub fn decide(&self, now: Time, input: Input) -> Result<Vec<Record>, Refusal> {
        match input {
            Input::Start { incarnation, version } => {
                let half_life_ms = self.soft.half_life_ms;
                let started = Body::IncarnationStarted { incarnation, version, half_life_ms };
                Ok(self.number(now, [(None, started)]))
            }
            Input::Client { request, ask } => self.client(now, request, ask),
            Input::Refused { campaign, lever, refusal } => {
                let campaign = self.durable.campaigns.get(&campaign);
                let kept = campaign.and_then(|campaign| campaign.refused_proposal(&lever, &refusal));
                Ok(self.number(now, kept.map(|(campaign, body)| (Some(campaign), body))))
            }
            Input::Report(report) => Ok(self.report(now, &report)),
            Input::Step(campaign) => Ok(self.step(now, &campaign)),
            Input::Lose(worker) => Ok(self.lose(now, &worker)),
        }
    }

    /// Folds one record in. The same code live and in replay; it cannot fail.
    pub fn apply(&mut self, record: &Record) {
        let before = self.durable.campaigns.len();
        // Where it stands in line follows what it is given and has had.
        if let Body::CampaignUpdated { .. } | Body::AttemptLeased { .. } | Body::AttemptEnded { .. } =
            &record.body
            && let Some(campaign) = record.campaign.as_ref().and_then(|id| self.durable.campaigns.get(id))
        {
            self.soft.forget_rank(campaign);
        }
        self.durable.apply(record);
        match &record.body {
            Body::QuotaSet { owner, .. } => self.soft.touch_owned(owner, self.durable.campaigns.values()),
            // The half-life may be another one.
            Body::IncarnationStarted { .. } => self.soft.rank_anew(self.durable.campaigns.values()),
            Body::AttemptLeased { order, worker, .. } => {
                self.soft.fleet.hold(worker, order);
                self.soft.dirty_workers.insert(worker.clone());
                // There may be room for the next one like it.
                self.soft.wake_waiting();
            }
            Body::AttemptEnded { attempt, worker, .. } => {
                self.soft.fleet.let_go(worker, attempt);
                self.soft.dirty_workers.insert(worker.clone());
                self.soft.wake_waiting();
            }
            Body::ReportSuperseded { worker, .. } => {
                self.soft.dirty_workers.insert(worker.clone());
            }
            Body::WorkerDrained { worker, .. } => self.soft.fleet.note_drained(worker, true),
            Body::WorkerUndrained { worker } => {
                self.soft.fleet.note_drained(worker, false);
                self.soft.wake_waiting();
            }
            Body::DeviceReleased { worker, .. } => {
                self.soft.dirty_workers.insert(worker.clone());
            }
            Body::LeverRetired { lever, .. } | Body::LeverHeld { lever, .. } => {
                if let Some(campaign) = &record.campaign {
                    self.soft.forget_pull(campaign, *lever);
                }
            }
            Body::IterationOpened { lever: Some(lever), .. } | Body::LeverRequeued { lever, .. } => {
                if let Some(campaign) = &record.campaign {
                    self.soft.forget_pull(campaign, *lever);
                }
            }
            Body::DeliverableAdded { iteration, .. } => {
                if let Some(campaign) = &record.campaign {
                    self.soft.forget_backoff(campaign, *iteration);
                }
            }
            Body::IterationDecided { iteration, .. } => {
                if let Some(campaign) = &record.campaign {
                    self.soft.forget_iteration(campaign, *iteration);
                }
            }
            _ => {}
        }
        debug_assert!(self.durable.campaigns.len() >= before);
        let Some(campaign) = record.campaign.as_ref().and_then(|id| self.durable.campaigns.get(id)) else {
            return;
        };
        self.soft.touch(campaign);
        if let Body::AttemptEnded { .. } = &record.body {
            self.soft.wake_owner(campaign.owner.as_deref());
        }
        let all = campaign.open.values().chain(campaign.settled.values());
        let ending = all.filter(|open| campaign.is_stopped() || open.is_cancelled);
        for live in ending.filter_map(|open| open.live.as_ref()) {
            self.soft.dirty_workers.insert(live.worker.clone());
        }
    }

    /// Takes what is seen and not recorded.
    pub fn observe(&mut self, now: Time, seen: Observation) {
        match seen {
            Observation::Report(report) => self.hear(now, report),
            Observation::Disconnected(worker) => self.soft.fleet.suspect(&worker),
            Observation::Pull(facts) => {
                let campaign = facts.campaign.clone();
                self.soft.take_pull(*facts);
                self.touch(&campaign);
            }
            Observation::Fix(facts) => {
                let campaign = facts.campaign.clone();
                self.soft.take_fix(*facts);
                self.touch(&campaign);
            }
            Observation::Secrets(campaign, names) => {
                self.soft.note_given(campaign.clone(), names);
                self.touch(&campaign);
            }
            Observation::GatherFailed(key) => {
                if let Some(campaign) = self.durable.campaigns.get(key.campaign()) {
                    self.soft.gather_failed(key.clone(), campaign, now.mono_ms);
                }
            }
            Observation::Room(room) => {
                if self.soft.fleet.close(room.err()) {
                    self.soft.wake_waiting();
                }
            }
            Observation::StepFailed(id) => {
                if let Some(campaign) = self.durable.campaigns.get(&id) {
                    self.soft.step_failed(campaign, now.mono_ms);
                }
            }
        }
    }

    /// What should be done now, given what has changed since the last call. Internal commands
    /// ([`Command::Step`], [`Command::Lose`]) are fed back at once and the core is asked again, until none
    /// is left.
    pub fn wants(&mut self, now: Time) -> Vec<Command> {
        self.soft.advance(now, self.durable.live.keys().cloned());
        for campaign in std::mem::take(&mut self.soft.over) {
            self.touch(&campaign);
        }
        let mut commands = Vec::new();
        for worker in std::mem::take(&mut self.soft.silent) {
            if self.durable.live.contains_key(&worker) {
                commands.push(Command::Lose(worker));
            }
        }
        self.look_at_campaigns(now, &mut commands);
        for (worker, answer) in std::mem::take(&mut self.soft.closed) {
            commands.push(Command::Answer(worker, answer));
        }
        for worker in std::mem::take(&mut self.soft.dirty_workers) {
            commands.extend(self.news_for(&worker));
        }
        commands
    }

    /// When [`Core::wants`] may answer differently by itself: monotonic milliseconds.
    pub fn next_wake(&self) -> Option<u64> {
        self.soft.next_wake_ms()
    }

    /// The answer to a worker's open report, now, news or not: for a call that has hung long enough.
    pub fn answer_now(&mut self, worker: &WorkerId) -> Option<wire::Answer> {
        let answer = session::answer(&self.durable, &self.soft.fleet, worker)?;
        let member = self.soft.fleet.member_mut(worker)?;
        if !member.is_open {
            return None;
        }
        session::note_told(member, &answer);
        Some(answer)
    }

    /// Looks at everything, as after a start: what is wanted then must be what is wanted anyway.
    pub fn forget_what_was_looked_at(&mut self) {
        for campaign in self.durable.campaigns.values() {
            self.soft.touch(campaign);
        }
        let workers: Vec<WorkerId> = self.soft.fleet.members().map(|(worker, _)| worker.clone()).collect();
        self.soft.dirty_workers.extend(workers);
    }

    /// Looks at one campaign after another until one has records to write: those change what the next
    /// one may have.
    fn look_at_campaigns(&mut self, now: Time, commands: &mut Vec<Command>) {
        while let Some(id) = self.soft.first_dirty() {
            let Some(campaign) = self.durable.campaigns.get(&id) else { return };
            self.soft.rest_after_failure(campaign, now.mono_ms);
            self.soft.begin_wait(campaign, now);
            let lanes = self.in_context(&id, Say::Nothing, campaign::lanes).unwrap_or_default();
            let asks: BTreeSet<placement::Ask> = lanes.iter().filter_map(|lane| lane.ask.clone()).collect();
            // The oldest iteration's need is the one that a worker is kept for.
            let room = lanes.iter().find_map(|lane| self.room(&id, lane.ask.as_ref()?));
            let campaign = &self.durable.campaigns[&id];
            if self.soft.keep_room(campaign, room) {
                self.soft.wake_waiting();
            }
            if lanes.iter().any(|lane| matches!(lane.due, Due::Records(_))) {
                if !self.soft.step_rests(&id) {
                    commands.push(Command::Step(id));
                    return;
                }
                self.soft.wait(campaign, BTreeSet::new());
                // What it would have had is there for others.
                self.soft.wake_waiting();
                continue;
            }
            if lanes.iter().all(|lane| matches!(lane.due, Due::Nothing(_))) {
                self.soft.settle(campaign);
                continue;
            }
            self.soft.wait(campaign, asks);
            if lanes.iter().any(|lane| matches!(lane.due, Due::Quota(_))) {
                self.soft.bar(&self.durable.campaigns[&id], now.mono_ms);
            }
            for lane in lanes {
                if let Due::Facts(wanted) = lane.due
                    && self.soft.begin_gathering(wanted.key())
                {
                    commands.push(Command::Gather(wanted));
                }
            }
        }
    }

    /// What is due in a campaign; `None` before the first incarnation or for an unknown one.
    pub fn due(&self, campaign: &CampaignId) -> Option<Due> {
        self.due_for(campaign, Say::Why)
    }

    /// What is due in each lane of a campaign, without the reasons of waits for devices.
    pub fn lanes(&self, campaign: &CampaignId) -> Option<Vec<Lane>> {
        self.in_context(campaign, Say::Nothing, campaign::lanes)
    }

    fn due_for(&self, campaign: &CampaignId, say: Say) -> Option<Due> {
        self.in_context(campaign, say, campaign::due)
    }

    /// The worker to keep for a campaign that waits for several devices at once, if one may be kept.
    fn room(&self, campaign: &CampaignId, asked: &placement::Ask) -> Option<WorkerId> {
        if !self.soft.reservations().may_keep(campaign) {
            return None;
        }
        self.in_context(campaign, Say::Nothing, |context| campaign::room(context, asked)).flatten()
    }

    /// What is due in one open iteration; `None` for one that is not open.
    pub(crate) fn lane(&self, campaign: &CampaignId, iteration: IterationNumber) -> Option<Lane> {
        let open = self.durable.campaigns.get(campaign)?.iteration(iteration)?;
        self.in_context(campaign, Say::Why, |context| context.lane(open))
    }

    /// What is due in a lane that is free; `None` where there is none.
    pub(crate) fn queue(&self, campaign: &CampaignId) -> Option<Due> {
        self.in_context(campaign, Say::Why, |context| context.free_lane()).flatten()
    }

    pub(super) fn in_context<T>(
        &self,
        campaign: &CampaignId,
        say: Say,
        look: impl FnOnce(&Context<'_>) -> T,
    ) -> Option<T> {
        self.durable.incarnation?;
        let campaign = self.durable.campaigns.get(campaign)?;
        let is_drained = |worker: &WorkerId| self.durable.drained.contains_key(worker);
        let fence = self.durable.next_fence();
        let holding = campaign.owner.as_ref().and_then(|owner| self.durable.owners.get(owner));
        Some(look(&Context { campaign, soft: &self.soft, fence, is_drained: &is_drained, holding, say }))
    }

    fn news_for(&mut self, worker: &WorkerId) -> Option<Command> {
        let answer = session::answer(&self.durable, &self.soft.fleet, worker)?;
        let member = self.soft.fleet.member_mut(worker)?;
        if !member.is_open || !session::is_news(member, &answer) {
            return None;
        }
        session::note_told(member, &answer);
        Some(Command::Answer(worker.clone(), answer))
    }

    fn touch(&mut self, campaign: &CampaignId) {
        if let Some(campaign) = self.durable.campaigns.get(campaign) {
            self.soft.touch(campaign);
        }
    }

    fn hear(&mut self, now: Time, report: wire::Report) {
        let Some(incarnation) = self.durable.incarnation else { return };
        let worker = report.worker.id.clone();
        if report.incarnation != Some(incarnation) || self.soft.fleet.is_closed(&report) {
            let answer = wire::Answer {
                incarnation,
                session: report.session,
                number: report.number,
                standing: wire::Standing::Closed,
                orders: Vec::new(),
                stop: Vec::new(),
                acknowledged: Vec::new(),
                releases: Vec::new(),
                keep: Vec::new(),
            };
            self.soft.closed.insert(worker, answer);
            return;
        }
        if !self.soft.fleet.is_news(&report) {
            return;
        }
        self.soft.silent.remove(&worker);
        if self.soft.fleet.hear(report, now.mono_ms) {
            self.soft.wake_waiting();
        }
        self.soft.dirty_workers.insert(worker);
    }

    fn report(&self, now: Time, report: &wire::Report) -> Vec<Record> {
        let is_ours = report.incarnation.is_some() && report.incarnation == self.durable.incarnation;
        if !is_ours || !self.soft.fleet.is_news(report) {
            return Vec::new();
        }
        let mut bodies = session::records(&self.durable, report);
        if let Some(member) = self.soft.fleet.member(&report.worker.id) {
            bodies.extend(session::never_there(&self.durable, member, report));
        }
        let drain = self.drain_after(&report.worker.id, bodies.iter().map(|(_, body)| body));
        let bodies = bodies.into_iter().map(|(campaign, body)| (Some(campaign), body));
        self.number(now, bodies.chain(drain))
    }

    fn step(&self, now: Time, campaign: &CampaignId) -> Vec<Record> {
        match self.due(campaign) {
            Some(Due::Records(bodies)) => {
                self.number(now, bodies.into_iter().map(|body| (Some(campaign.clone()), body)))
            }
            _ => Vec::new(),
        }
    }

    /// The live attempts of a silent worker are lost: their iterations are free to run elsewhere, its
    /// devices are not (I6).
    fn lose(&self, now: Time, worker: &WorkerId) -> Vec<Record> {
        let present =
            self.soft.fleet.member(worker).is_some_and(|member| member.presence != session::Presence::Lost);
        if present {
            return Vec::new();
        }
        let live = self.durable.live.get(worker).into_iter().flatten();
        let bodies: Vec<(Option<CampaignId>, Body)> = live
            .filter_map(|(id, fence)| {
                let (_, live) = self.durable.campaigns.get(&id.campaign)?.live_attempt(id)?;
                let body = Body::AttemptEnded {
                    attempt: id.clone(),
                    fence: *fence,
                    attempt_kind: live.kind,
                    worker: worker.clone(),
                    devices: live.devices.clone(),
                    outcome: Box::new(Outcome::bare(Ending::Lost)),
                };
                Some((Some(id.campaign.clone()), body))
            })
            .collect();
        let drain = self.drain_after(worker, bodies.iter().map(|(_, body)| body));
        self.number(now, bodies.into_iter().chain(drain))
    }

    /// P20: three infrastructure endings in a row on one worker drain it.
    fn drain_after<'a>(
        &self,
        worker: &WorkerId,
        bodies: impl Iterator<Item = &'a Body>,
    ) -> Option<(Option<CampaignId>, Body)> {
        let mut in_a_row = self.durable.failures_in_a_row.get(worker).copied().unwrap_or(0);
        let mut failed = false;
        for body in bodies {
            if let Body::AttemptEnded { outcome, .. } = body {
                // A setup that fails is its campaign's doing: it says nothing of the worker.
                if outcome.setup_failed {
                    continue;
                }
                failed = outcome.ending.is_infrastructure();
                in_a_row = if failed { in_a_row + 1 } else { 0 };
            }
        }
        if !failed || in_a_row < DRAIN_AFTER || self.durable.drained.contains_key(worker) {
            return None;
        }
        let reason = format!("{in_a_row} attempts in a row failed on it through no fault of their own");
        Some((None, Body::WorkerDrained { worker: worker.clone(), reason }))
    }

    fn client(&self, now: Time, request: RequestKey, ask: Ask) -> Result<Vec<Record>, Refusal> {
        if let Some(answered) = self.durable.requests.get(&request.id) {
            // The same key gets the same answer, which the driver looks up; another body is an error (I4).
            return if answered.body == request.body {
                Ok(Vec::new())
            } else {
                Err(Refusal::RequestReused { id: request.id.0 })
            };
        }
        let (answer, mut bodies) = super::client::decide(&self.durable, &self.soft.fleet, &request, ask)?;
        if bodies.is_empty() {
            // It asked for what is so already; its key is remembered all the same (I4).
            bodies.push((None, Body::RequestAnswered {}));
        }
        let mut records = self.number(now, bodies);
        if let Some(first) = records.first_mut() {
            first.request = Some(Request { id: request.id, body: request.body, answer });
        }
        Ok(records)
    }

    fn number(&self, now: Time, bodies: impl IntoIterator<Item = (Option<CampaignId>, Body)>) -> Vec<Record> {
        let seqs = self.durable.seq + 1..;
        let record =
            |(seq, (campaign, body))| Record { seq, wall_ms: now.wall_ms, campaign, request: None, body };
        seqs.zip(bodies).map(record).collect()
    }
}
