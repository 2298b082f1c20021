//! The client: it asks for everything that can be asked, asks again when it hears nothing, and remembers
//! what it was answered (I3, I4).

use crate::campaigns;
use crate::coordinator::Departure;
use crate::ledger::Ledger;
use crate::violation::{Checked, hold};
use crate::world::{Event, World};
use windlass_engine::core::{Ask, Input, RequestKey};
use windlass_shared::bindings::Bindings;
use windlass_shared::digest::{Digest, Hash};
use windlass_shared::id::{CampaignId, LeverNumber, RequestId, WorkerId};
use windlass_shared::lever::Lever;
use windlass_shared::record::Answer;
use windlass_shared::refusal::Refusal;

/// How often a request is sent again before its client gives up.
const RETRIES_MAX: u32 = 12;
/// The most campaigns of one history.
const CAMPAIGNS_MAX: usize = 3;

/// What a request asks for, before any facts.
#[derive(Clone, Debug)]
pub(crate) enum What {
    Create { name: String, bindings: Box<Bindings>, tree: Digest },
    Propose { campaign: CampaignId, lever: Box<Lever> },
    Retire { campaign: CampaignId, lever: LeverNumber },
    Pause(CampaignId),
    Resume(CampaignId),
    Stop(CampaignId),
    Drain(WorkerId),
    Undrain(WorkerId),
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
            let bindings = Box::new(campaigns::bindings(&mut self.random));
            let tree = self.unique_digest("workspace");
            return Some(What::Create { name, bindings, tree });
        }
        let campaign = self.random.pick(&self.client.campaigns)?.clone();
        Some(match self.random.below(100) {
            0..72 => {
                let title = self.draw("lever");
                let lever = Box::new(campaigns::lever(&mut self.random, title));
                What::Propose { campaign, lever }
            }
            72..78 => What::Retire { campaign, lever: LeverNumber(self.random.range(1, 12) as u32) },
            78..83 => What::Pause(campaign),
            83..92 => What::Resume(campaign),
            92..93 => What::Stop(campaign),
            93..95 => What::Drain(self.some_worker()),
            _ => What::Undrain(self.some_worker()),
        })
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
                Ask::Propose { campaign, lever, facts: Err(Refusal::FactsMoved) }
            }
            What::Create { name, bindings, tree } => Ask::Create { name, bindings, tree },
            What::Retire { campaign, lever } => Ask::Retire { campaign, lever },
            What::Pause(campaign) => Ask::Pause(campaign),
            What::Resume(campaign) => Ask::Resume(campaign),
            What::Stop(campaign) => Ask::Stop(campaign),
            What::Drain(worker) => Ask::Drain(worker),
            What::Undrain(worker) => Ask::Undrain(worker),
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
