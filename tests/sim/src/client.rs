//! The client: it asks for everything that can be asked, asks again when it hears nothing, and remembers
//! what it was answered (I3, I4).

use crate::campaigns;
use crate::coordinator::Departure;
use crate::gather;
use crate::ledger::Ledger;
use crate::violation::{Checked, hold};
use crate::world::{Event, World};
use windlass_engine::core::{Ask, Input, Place, Removal, RequestKey};
use windlass_shared::bindings::{Bindings, Dial};
use windlass_shared::device::{Device, DeviceState};
use windlass_shared::digest::{Digest, Hash};
use windlass_shared::id::{
    CampaignId, DeviceId, FindingNumber, IterationNumber, LeverNumber, RequestId, WorkerId,
};
use windlass_shared::lever::{Change, Lever};
use windlass_shared::literature::{Review, Scope};
use windlass_shared::plan::Deliverable;
use windlass_shared::quota::Quota;
use windlass_shared::record::Answer;
use windlass_shared::reference::Evidence;
use windlass_shared::refusal::Refusal;
use windlass_shared::view::LeverState;

/// How often a request is sent again before its client gives up.
const RETRIES_MAX: u32 = 12;
/// Whose all campaigns are.
const OWNER: &str = "ada";
/// The most campaigns of one history.
const CAMPAIGNS_MAX: usize = 3;

/// What a request asks for, before any facts.
#[derive(Clone, Debug)]
pub(crate) enum What {
    Create {
        name: String,
        bindings: Box<Bindings>,
        tree: Digest,
    },
    Propose {
        campaign: CampaignId,
        lever: Box<Lever>,
    },
    Retire {
        campaign: CampaignId,
        lever: LeverNumber,
    },
    Move {
        campaign: CampaignId,
        lever: LeverNumber,
        place: Place,
    },
    Retry {
        campaign: CampaignId,
        lever: LeverNumber,
    },
    Cancel {
        campaign: CampaignId,
        iteration: IterationNumber,
    },
    Fix {
        campaign: CampaignId,
        iteration: IterationNumber,
    },
    Replace {
        campaign: CampaignId,
        iteration: IterationNumber,
        deliverable: Box<Deliverable>,
    },
    Conclude {
        campaign: CampaignId,
        iteration: IterationNumber,
    },
    Findings {
        campaign: CampaignId,
        review: Box<Review>,
        scopes: Vec<Scope>,
    },
    Update {
        campaign: CampaignId,
        priority: i32,
    },
    Pause(CampaignId),
    Resume(CampaignId),
    Stop(CampaignId),
    Remove(CampaignId, Removal),
    Drain(WorkerId),
    Undrain(WorkerId),
    Release(WorkerId, DeviceId),
    /// The owner of all campaigns may have so many devices at once.
    Quota(Option<u32>),
}

/// One request, as its client keeps it.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) request: RequestKey,
    what: What,
    /// The gates refuse it.
    pub(crate) is_spoiled: bool,
    pub(crate) answer: Option<Result<Answer, Refusal>>,
    retries: u32,
}

impl Call {
    pub(crate) fn proposal(&self) -> Option<(CampaignId, Box<Lever>)> {
        match &self.what {
            What::Propose { campaign, lever } => Some((campaign.clone(), lever.clone())),
            _ => None,
        }
    }
}

/// An answer on its way to the client.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    call: usize,
    pub(crate) request: RequestKey,
    pub(crate) result: Result<Answer, Refusal>,
    /// How often the ledger was restored before.
    epoch: u64,
}

/// The client's memory.
#[derive(Default)]
pub(crate) struct Client {
    pub(crate) calls: Vec<Call>,
    campaigns: Vec<CampaignId>,
    created: usize,
    epoch: u64,
}

impl Client {
    /// An operator went back to an older ledger: what is not in it was never said.
    pub(crate) fn forget_what_is_not_in(&mut self, ledger: &Ledger) {
        self.epoch += 1;
        self.campaigns.retain(|campaign| ledger.shadow.campaigns.contains_key(campaign));
        for call in &mut self.calls {
            if !ledger.requests.contains_key(&call.request.id) {
                call.answer = None;
            }
        }
    }
}

impl World {
    pub(crate) fn client_acts(&mut self) -> Checked {
        if !self.weather.is_foul {
            return Ok(());
        }
        if !self.client.calls.is_empty() && self.random.chance(80) {
            let call = self.random.below(self.client.calls.len() as u64) as usize;
            let is_other_body = self.random.chance(400);
            self.transmit(None, Event::Request { call, is_other_body });
        } else if let Some(what) = self.think() {
            self.ask(what);
        }
        let delay_ms = self.random.range(50, self.weather.think_max_ms);
        self.after(delay_ms, Event::ClientActs);
        Ok(())
    }

    /// Sends a new request.
    pub(crate) fn ask(&mut self, what: What) {
        let id = RequestId(self.draw("request"));
        let body = Hash::of(format!("{what:?}").as_bytes());
        let is_spoiled = self.random.chance(60);
        let request = RequestKey { id, body };
        self.client.calls.push(Call { request, what, is_spoiled, answer: None, retries: 0 });
        let call = self.client.calls.len() - 1;
        self.transmit(None, Event::Request { call, is_other_body: false });
        self.plan_retry(call);
    }

    fn plan_retry(&mut self, call: usize) {
        let delay_ms = self.random.range(500, 8_000);
        self.after(delay_ms, Event::ClientRetries { call });
    }

    pub(crate) fn client_retries(&mut self, call: usize) -> Checked {
        let entry = &mut self.client.calls[call];
        if entry.answer.is_some() || entry.retries >= RETRIES_MAX {
            return Ok(());
        }
        entry.retries += 1;
        self.transmit(None, Event::Request { call, is_other_body: false });
        self.plan_retry(call);
        Ok(())
    }

    fn think(&mut self) -> Option<What> {
        if self.client.created == 0 || (self.client.created < CAMPAIGNS_MAX && self.random.chance(200)) {
            self.client.created += 1;
            // The same name again: a campaign whose baseline crashed hands its queue on (P1).
            let name = format!("Digits {}", self.random.below(2));
            let mut bindings = Box::new(campaigns::bindings(&mut self.random));
            if self.ambush.is_for_findings() {
                bindings.literature = Dial::On;
            }
            let tree = self.unique_digest("workspace");
            return Some(What::Create { name, bindings, tree });
        }
        if let Some(release) = self.some_release() {
            return Some(release);
        }
        let campaign = self.random.pick(&self.client.campaigns)?.clone();
        Some(match self.random.below(100) {
            0..10 => self.some_help(campaign),
            10..14 => self.some_review(campaign),
            14..55 => self.some_lever(campaign),
            55..61 => {
                let [lever, other] = [1, 2].map(|_| LeverNumber(self.random.range(1, 12) as u32));
                let places = [Place::First, Place::Last, Place::Before(other), Place::After(other)];
                let place = *self.random.pick(&places).expect("four places");
                What::Move { campaign, lever, place }
            }
            61..68 => {
                let lever = self.some_lever_out_of_line(&campaign);
                What::Retry { campaign, lever }
            }
            68..71 => {
                let core = self.coordinator.core.as_ref();
                let known = core.and_then(|core| core.durable().campaigns.get(&campaign));
                let iteration =
                    known.and_then(|known| known.last_opened).unwrap_or(IterationNumber::BASELINE);
                What::Cancel { campaign, iteration }
            }
            71..73 => What::Update { campaign, priority: self.random.below(5) as i32 - 2 },
            73..78 => What::Retire { campaign, lever: LeverNumber(self.random.range(1, 12) as u32) },
            78..81 => What::Pause(campaign),
            81..84 => {
                let iteration = IterationNumber(self.random.range(1, 6) as u32);
                let parts = [Evidence::Logs, Evidence::Outputs, Evidence::Artifacts];
                let evidence = *self.random.pick(&parts)?;
                What::Remove(campaign, Removal { iteration, evidence, bytes: 1 })
            }
            84..92 => What::Resume(campaign),
            92..93 => What::Stop(campaign),
            93..95 => What::Drain(self.some_worker()),
            95..97 => {
                let devices = self.random.below(4) as u32;
                What::Quota((devices > 0).then_some(devices))
            }
            _ => What::Undrain(self.some_worker()),
        })
    }

    /// A lever, on a finding that may be cited where there is one.
    fn some_lever(&mut self, campaign: CampaignId) -> What {
        let core = self.coordinator.core.as_ref();
        let known = core.and_then(|core| core.durable().campaigns.get(&campaign));
        let known = known.filter(|known| known.bindings.literature == Dial::On);
        // Mostly one that no other lever rests on: of two, the second often loses its basis.
        let is_alone = self.random.chance(800);
        let kept: Option<Vec<FindingNumber>> = known.map(|known| {
            let rests_on = |finding: &FindingNumber| {
                let basis = Some(finding.to_string());
                known.levers.values().any(|entry| entry.document.literature == basis)
            };
            let kept = known.literature.kept.keys().copied();
            kept.filter(|finding| !is_alone || !rests_on(finding)).collect()
        });
        if kept.as_ref().is_some_and(Vec::is_empty) && self.random.chance(900) {
            return self.some_review(campaign);
        }
        let title = self.draw("lever");
        let mut lever = Box::new(campaigns::lever(&mut self.random, title));
        if let Some(kept) = kept {
            let finding = self.random.pick(&kept).copied().filter(|_| self.random.chance(900));
            lever.literature = Some(finding.map_or("none".to_owned(), |finding| finding.to_string()));
        }
        What::Propose { campaign, lever }
    }

    /// A review; what it is for is its own word.
    fn some_review(&mut self, campaign: CampaignId) -> What {
        let iteration = self.random.range(1, 9) as u32;
        let (review, scopes) = campaigns::review(&mut self.random, iteration);
        What::Findings { campaign, review: Box::new(review), scopes }
    }

    /// What a researcher gives an open iteration, or the latest; mostly what it can use.
    fn some_help(&mut self, campaign: CampaignId) -> What {
        let core = self.coordinator.core.as_ref();
        let known = core.and_then(|core| core.durable().campaigns.get(&campaign));
        let numbers: Vec<IterationNumber> =
            known.iter().flat_map(|known| known.open.keys().copied()).collect();
        let latest = known.and_then(|known| known.last_opened).unwrap_or(IterationNumber::BASELINE);
        let iteration = self.random.pick(&numbers).copied().unwrap_or(latest);
        let open = known.and_then(|known| known.open.get(&iteration));
        if self.random.chance(300) {
            return self.some_follow_up(campaign, latest);
        }
        let missing: Option<Deliverable> = open.and_then(|open| open.missing().next().cloned());
        let has_run = open.is_none_or(|open| open.metric().is_some());
        match missing {
            _ if !has_run => What::Fix { campaign, iteration },
            Some(row) => {
                let deliverable = Box::new(Deliverable { question: "why not?".to_owned(), ..row });
                What::Replace { campaign, iteration, deliverable }
            }
            None => What::Conclude { campaign, iteration },
        }
    }

    /// A script on the best, on the latest, or on one that is perhaps neither (P22).
    fn some_follow_up(&mut self, campaign: CampaignId, opened: IterationNumber) -> What {
        let core = self.coordinator.core.as_ref();
        let known = core.and_then(|core| core.durable().campaigns.get(&campaign));
        let best = known.and_then(|known| known.best.as_ref().map(|best| best.iteration));
        let latest = known.and_then(|known| known.latest());
        let some = IterationNumber(self.random.range(1, 6) as u32);
        let all: Vec<IterationNumber> =
            [best, latest, best, latest, Some(opened), Some(some)].into_iter().flatten().collect();
        let iteration = self.random.pick(&all).copied().unwrap_or(opened);
        let deliverable = Box::new(campaigns::follow_up(&mut self.random));
        What::Replace { campaign, iteration, deliverable }
    }

    /// Mostly one that may be put back: so that it is, at times.
    fn some_lever_out_of_line(&mut self, campaign: &CampaignId) -> LeverNumber {
        let core = self.coordinator.core.as_ref();
        let known = core.and_then(|core| core.durable().campaigns.get(campaign));
        let out: Vec<LeverNumber> = known
            .into_iter()
            .flat_map(|known| known.levers.values())
            .filter(|entry| matches!(entry.state, LeverState::Held { .. } | LeverState::Retired { .. }))
            .map(|entry| entry.number)
            .collect();
        match self.random.pick(&out) {
            Some(lever) => *lever,
            None => LeverNumber(self.random.range(1, 12) as u32),
        }
    }

    /// Now and then an owner who sees a quarantine lifts it, or tries to lift one that is none.
    fn some_release(&mut self) -> Option<What> {
        let is_quarantined = |device: &&Device| matches!(device.state, DeviceState::Quarantined { .. });
        let there = self.machines.iter().flat_map(|machine| {
            let quarantined = machine.devices.iter().filter(is_quarantined);
            quarantined.map(|device| (machine.info.id.clone(), device.id.clone()))
        });
        let seen: Vec<(WorkerId, DeviceId)> = there.collect();
        if let Some((worker, device)) = self.random.pick(&seen).cloned() {
            return self.random.chance(400).then_some(What::Release(worker, device));
        }
        self.random.chance(10).then(|| What::Release(self.some_worker(), DeviceId("cpu-0".to_owned())))
    }

    fn some_worker(&mut self) -> WorkerId {
        let machine = self.random.below(self.machines.len() as u64) as usize;
        self.machines[machine].info.id.clone()
    }

    pub(crate) fn request_arrives(&mut self, call: usize, is_other_body: bool) -> Checked {
        let Some(core) = &self.coordinator.core else { return Ok(()) };
        let mut request = self.client.calls[call].request.clone();
        if is_other_body {
            request.body = Hash::of(b"another body");
        }
        let is_known = core.durable().requests.get(&request.id).is_some();
        let ask = match self.client.calls[call].what.clone() {
            What::Propose { .. } if !is_known && is_other_body => return Ok(()),
            What::Propose { .. } if !is_known => {
                self.gather_proposal(call, 1);
                return self.pursue();
            }
            What::Propose { campaign, lever } => {
                Ask::Propose { campaign, lever, facts: Err(Box::new(Refusal::FactsMoved.into())) }
            }
            What::Create { name, bindings, tree } => {
                Ask::Create { name, bindings, tree, cap: None, git: None, owner: Some(OWNER.to_owned()) }
            }
            What::Retire { campaign, lever } => Ask::Retire { campaign, lever },
            What::Move { campaign, lever, place } => Ask::Move { campaign, lever, place },
            What::Retry { campaign, lever } => {
                // Its facts are at hand at once: what moves while they are gathered is a proposal's affair.
                let wanted = core.retry_wanted(&campaign, lever);
                let facts = wanted.map(|wanted| Box::new(gather::pull(self.seed, &wanted)));
                Ask::Retry { campaign, lever, facts }
            }
            What::Cancel { campaign, iteration } => Ask::Cancel { campaign, iteration },
            What::Fix { campaign, iteration } => {
                let change = Change::Patch(Digest::of(request.id.0.as_bytes()));
                let wanted = core.fix_wanted(&campaign, iteration, change.clone());
                let facts = wanted.map(|wanted| Box::new(gather::fix(self.seed, &wanted)));
                Ask::Fix { campaign, iteration, change, facts }
            }
            What::Replace { campaign, iteration, deliverable } => {
                Ask::AddDeliverable { campaign, iteration, deliverable }
            }
            What::Conclude { campaign, iteration } => {
                let delivered = campaigns::delivered(core, &campaign, iteration);
                let conclusion = Box::new(campaigns::conclusion(&delivered));
                Ask::Conclude { campaign, iteration, conclusion, delivered }
            }
            What::Findings { campaign, review, scopes } => Ask::AddFindings { campaign, review, scopes },
            What::Update { campaign, priority } => {
                Ask::Update { campaign, priority: Some(priority), weight: None, name: None }
            }
            What::Pause(campaign) => Ask::Pause(campaign),
            What::Resume(campaign) => Ask::Resume(campaign),
            What::Stop(campaign) => Ask::Stop(campaign),
            What::Remove(campaign, removal) => {
                Ask::Remove { campaign, removals: vec![removal], why: "its time is over".to_owned() }
            }
            What::Quota(devices) => {
                let quota = devices.map(|devices| Quota { devices: Some(devices), time: None });
                Ask::SetQuota { owner: OWNER.to_owned(), quota }
            }
            What::Drain(worker) => Ask::Drain(worker),
            What::Undrain(worker) => Ask::Undrain(worker),
            What::Release(worker, device) => Ask::ReleaseDevice(worker, device),
        };
        // A refused request left no record: under its id anything may be asked anew.
        if is_other_body && !is_known {
            return Ok(());
        }
        let Some(result) = self.submit(Input::Client { request: request.clone(), ask })? else {
            return Ok(());
        };
        self.reply(call, request, result)?;
        self.pursue()
    }

    /// Answers a request once what it rests on is durable.
    pub(crate) fn reply(&mut self, call: usize, request: RequestKey, result: Result<(), Refusal>) -> Checked {
        let Some(core) = &self.coordinator.core else { return Ok(()) };
        let result = result.map(|()| core.answered(&request));
        if let Some(recorded) = self.coordinator.model.requests.get(&request.id) {
            let is_right = match &result {
                Ok(answer) => recorded.body == request.body && *answer == recorded.answer,
                Err(Refusal::RequestReused { .. }) => recorded.body != request.body,
                Err(_) => false,
            };
            hold(is_right, "I4", || format!("{} was {recorded:?}, and is {result:?}", request.id))?;
        }
        let epoch = self.client.epoch;
        self.coordinator.let_leave(Departure::Reply(Box::new(Reply { call, request, result, epoch })));
        Ok(())
    }

    pub(crate) fn leave_refused(&mut self, call: usize, request: RequestKey, refusal: Refusal) {
        let (result, epoch) = (Err(refusal), self.client.epoch);
        self.coordinator.let_leave(Departure::Reply(Box::new(Reply { call, request, result, epoch })));
    }

    pub(crate) fn reply_arrives(&mut self, reply: Reply) -> Checked {
        let call = &mut self.client.calls[reply.call];
        if reply.epoch != self.client.epoch || reply.request != call.request {
            return Ok(());
        }
        if let Some(Ok(before)) = &call.answer {
            // A refusal of an earlier try may come late; it was recorded nowhere.
            return hold(reply.result.as_ref().map_or(true, |now| now == before), "I4", || {
                format!("{} was answered {before:?}, and now {:?}", reply.request.id, reply.result)
            });
        }
        if let Ok(Answer::Campaign { id, .. }) = &reply.result {
            self.client.campaigns.push(id.clone());
        }
        call.answer = Some(reply.result);
        Ok(())
    }
}
