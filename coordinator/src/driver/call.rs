//! A client's change on its way through the loop: looked up, gathered for, decided, answered.

use super::event::{Asked, Call, Event, Intent};
use super::gather::{self, Finding, Gathered};
use super::stores::Stores;
use super::{Driver, Error};
use std::future::Future;
use uuid::Uuid;
use windlass_engine::core::{Ask, Input, Proposed, REQUEST_MEMORY_MS, RequestKey};
use windlass_engine::gate::facts::{ProposalFacts, Rejected};
use windlass_shared::access::Access;
use windlass_shared::claim::{Claim, ClaimView};
use windlass_shared::id::CampaignId;
use windlass_shared::lever::Lever;
use windlass_shared::record::{Answer, Record};
use windlass_shared::refusal::Refusal;
use windlass_shared::time::Time;

/// How often a proposal's facts are gathered before its caller is asked to come again.
const GATHER_TIMES_MAX: u32 = 5;

impl Driver {
    /// A client's change: what it needs is gathered off the loop, then it is decided.
    pub(super) fn call(&mut self, now: Time, call: Call) -> Result<(), Error> {
        if let Some(answer) = self.answered(now, &call.request) {
            self.outbox.push(self.core.durable().seq, call.reply, answer);
            return Ok(());
        }
        if call.asked.makes_work()
            && let Err(refusal) = self.space.borrow().admit()
        {
            self.outbox.push(self.core.durable().seq, call.reply, Err(refusal));
            return Ok(());
        }
        let asked = call.asked.clone();
        let access = call.access.clone();
        let resolve = |name: &str| self.core.resolve_campaign_for(&access, name);
        let ask = match asked {
            Asked::Create { tree, bindings, git, .. } => {
                // What cannot be is said before anything is looked for in its files.
                let checked =
                    bindings.validate().and_then(|()| git.as_ref().map_or(Ok(()), |git| git.check()));
                let listing = git.as_ref().map(|git| git.listing);
                let gather = move |stores| gather::tree(stores, tree, listing, *bindings);
                match checked {
                    Ok(()) => self.gather_call(call, gather),
                    Err(refusal) => self.outbox.push(self.core.durable().seq, call.reply, Err(refusal)),
                }
                return Ok(());
            }
            Asked::Import { ledger } => Ok(Ask::Import { ledger, owner: access.viewer.owner() }),
            Asked::Propose { campaign, lever, .. } => {
                let id = resolve(&campaign);
                let proposed = id.as_ref().ok().map(|id| (id.clone(), lever.clone()));
                let wanted = id.and_then(|id| {
                    let cited = self.core.cited_places(&access.viewer, &lever)?;
                    Ok((self.core.proposal_wanted(&id, lever)?, cited))
                });
                match wanted {
                    Ok((wanted, cited)) => {
                        self.gather_call(call, move |stores| gather::proposal(stores, wanted, cited));
                    }
                    Err(refusal) => {
                        self.note_refused(now, proposed.filter(|_| call.intent == Intent::Do), &refusal)?;
                        self.outbox.push(self.core.durable().seq, call.reply, Err(refusal));
                    }
                }
                return Ok(());
            }
            Asked::Retire { campaign, lever } => {
                resolve(&campaign).map(|campaign| Ask::Retire { campaign, lever })
            }
            Asked::Retry { campaign, lever } => {
                match resolve(&campaign).and_then(|id| self.core.retry_wanted(&id, lever)) {
                    Ok(wanted) => self.gather_call(call, move |stores| gather::retry(stores, wanted)),
                    Err(refusal) => self.outbox.push(self.core.durable().seq, call.reply, Err(refusal)),
                }
                return Ok(());
            }
            Asked::Fix { campaign, iteration, change } => {
                match resolve(&campaign).and_then(|id| self.core.fix_wanted(&id, iteration, change)) {
                    Ok(wanted) => self.gather_call(call, move |stores| gather::fix(stores, wanted)),
                    Err(refusal) => self.outbox.push(self.core.durable().seq, call.reply, Err(refusal)),
                }
                return Ok(());
            }
            Asked::AddDeliverable { campaign, iteration, deliverable } => {
                resolve(&campaign).map(|campaign| Ask::AddDeliverable { campaign, iteration, deliverable })
            }
            Asked::Conclude { campaign, iteration, conclusion, delivered } => resolve(&campaign)
                .map(|campaign| Ask::Conclude { campaign, iteration, conclusion, delivered }),
            Asked::AddFindings { campaign, review, scopes } => {
                resolve(&campaign).map(|campaign| Ask::AddFindings { campaign, review, scopes })
            }
            Asked::Move { campaign, lever, place } => {
                resolve(&campaign).map(|campaign| Ask::Move { campaign, lever, place })
            }
            Asked::Cancel { campaign, iteration } => {
                resolve(&campaign).map(|campaign| Ask::Cancel { campaign, iteration })
            }
            Asked::Update { campaign, priority, weight, name } => {
                resolve(&campaign).map(|campaign| Ask::Update { campaign, priority, weight, name })
            }
            Asked::Share { campaign, with, share } => {
                resolve(&campaign).map(|campaign| Ask::Share { campaign, with, share })
            }
            Asked::Pause { campaign } => resolve(&campaign).map(Ask::Pause),
            Asked::Resume { campaign } => resolve(&campaign).map(Ask::Resume),
            Asked::Stop { campaign } => resolve(&campaign).map(Ask::Stop),
            Asked::Remove { campaign, removals, why } => Ok(Ask::Remove { campaign, removals, why }),
            Asked::Drain { worker } => self.core.resolve_worker(&worker).map(Ask::Drain),
            Asked::Undrain { worker } => self.core.resolve_worker(&worker).map(Ask::Undrain),
            Asked::SetQuota { owner, quota } => Ok(Ask::SetQuota { owner, quota }),
            Asked::ReleaseDevice { worker, device } => {
                let worker = self.core.resolve_worker(&worker);
                worker.and_then(|worker| {
                    let device = self.core.resolve_device(&worker, &device)?;
                    Ok(Ask::ReleaseDevice(worker, device))
                })
            }
        };
        self.decide_call(now, call, ask)
    }

    /// Whether a request needs no decision: its answer is known (I4), or its key is none.
    pub(super) fn answered(&self, now: Time, request: &RequestKey) -> Option<Result<Answer, Refusal>> {
        if let Some(answered) = self.core.durable().requests.get(&request.id) {
            let same = answered.body == request.body;
            let reused = || Refusal::RequestReused { id: request.id.0.clone() };
            return Some(if same { Ok(answered.answer()) } else { Err(reused()) });
        }
        let refused = || Err(Refusal::RequestId { id: request.id.0.clone() });
        if is_remembered(&request.id.0, now.wall_ms) { None } else { Some(refused()) }
    }

    fn gather_call<F>(&mut self, mut call: Call, gather: impl FnOnce(Stores) -> F)
    where
        F: Future<Output = Gathered> + Send + 'static,
    {
        call.gathered_times += 1;
        let gathered = gather(self.stores.clone());
        self.send_later(async move { Event::CallGathered { call, gathered: gathered.await } });
    }

    pub(super) fn call_gathered(&mut self, now: Time, call: Call, gathered: Gathered) -> Result<(), Error> {
        let (access, finding) = (call.access.clone(), self.keep(gathered));
        let owner = access.viewer.owner();
        let resolve = |name: &str| self.core.resolve_campaign_for(&access, name);
        let ask = match (call.asked.clone(), finding) {
            (Asked::Create { name, bindings, tree, git }, Finding::Tree(checked)) => {
                checked.map(|found| match found {
                    None => Ask::Create { name, bindings, tree, cap: None, git, owner },
                    Some(facts) => {
                        let (tree, cap) = (facts.tree, Some(facts.cap));
                        Ask::Create { name, bindings, tree, cap, git, owner }
                    }
                })
            }
            (Asked::Propose { campaign, lever, researcher }, Finding::Proposal(facts)) => {
                let campaign = resolve(&campaign);
                return self.decide_proposal(now, call, campaign, (lever, researcher), facts);
            }
            (Asked::Fix { campaign, iteration, change }, Finding::Fix(facts)) => {
                resolve(&campaign).map(|campaign| Ask::Fix { campaign, iteration, change, facts })
            }
            (Asked::Retry { campaign, lever }, Finding::Retry(facts)) => {
                resolve(&campaign).map(|campaign| Ask::Retry { campaign, lever, facts })
            }
            // No other call gathers anything.
            _ => Err(Refusal::FactsMoved),
        };
        self.decide_call(now, call, ask)
    }

    /// A proposal, held first against what other researchers claim and have proposed.
    fn decide_proposal(
        &mut self,
        now: Time,
        call: Call,
        campaign: Result<CampaignId, Refusal>,
        (lever, researcher): (Box<Lever>, Option<String>),
        facts: Result<Box<ProposalFacts>, Box<Rejected>>,
    ) -> Result<(), Error> {
        let (Ok(id), Some(researcher), Ok(found)) = (&campaign, researcher, &facts) else {
            let ask = campaign.map(|campaign| Ask::Propose { campaign, lever, facts });
            return self.decide_call(now, call, ask);
        };
        let (id, request, intent) = (id.clone(), call.request.clone(), call.intent);
        let proposed = Proposed { researcher, title: lever.title.clone(), sketch: found.sketch.clone() };
        let in_the_way = self.core.campaign(&id).ok().and_then(|campaign| {
            self.core.in_the_way(now, campaign, &proposed.researcher, &lever, &proposed.sketch)
        });
        let ask = match in_the_way {
            Some(refusal) => {
                self.note_refused(now, (intent == Intent::Do).then_some((id.clone(), lever)), &refusal)?;
                Err(refusal)
            }
            None => campaign.map(|campaign| Ask::Propose { campaign, lever, facts }),
        };
        self.decide_call(now, call, ask)?;
        if intent == Intent::Do
            && let Answer::Lever { number, .. } = self.core.answered(&request)
        {
            self.core.note_proposed(&id, number, proposed);
        }
        Ok(())
    }

    /// A researcher's claim; nothing of it is recorded.
    pub(super) fn claim(
        &mut self,
        now: Time,
        access: &Access,
        name: &str,
        claim: Option<Claim>,
        span_ms: u64,
        intent: Intent,
    ) -> Result<Vec<ClaimView>, Refusal> {
        let id = self.core.resolve_campaign_for(access, name)?;
        match (claim, intent) {
            (Some(claim), Intent::Ask) => {
                self.core.may_claim(now, &id, &claim)?;
                Ok(self.core.claims(now, &id))
            }
            (claim, _) => self.core.claim(now, &id, claim, span_ms),
        }
    }

    fn decide_call(&mut self, now: Time, call: Call, ask: Result<Ask, Refusal>) -> Result<(), Error> {
        let request = call.request.clone();
        let proposed = match &ask {
            Ok(Ask::Propose { campaign, lever, .. }) if call.intent == Intent::Do => {
                Some((campaign.clone(), lever.clone()))
            }
            _ => None,
        };
        let decided = ask.and_then(|ask| self.core.decide(now, Input::Client { request, ask }));
        let answer = match decided {
            // The best has moved while the facts were gathered.
            Err(Refusal::FactsMoved) if call.gathered_times < GATHER_TIMES_MAX => {
                return self.call(now, call);
            }
            Err(refusal) => {
                self.note_refused(now, proposed, &refusal)?;
                Err(refusal)
            }
            Ok(records) => match self.absent_blob(&records)? {
                Some(digest) => Err(Refusal::AbsentBlob { digest }),
                // What it would be answered, by the very records that are not applied.
                None if call.intent == Intent::Ask => Ok(answer_in(&records)),
                None => {
                    self.apply(records);
                    Ok(self.core.answered(&call.request))
                }
            },
        };
        self.outbox.push(self.core.durable().seq, call.reply, answer);
        Ok(())
    }
}

impl Driver {
    /// Records what the ledger keeps of a refused proposal: its answer leaves after that is durable.
    fn note_refused(
        &mut self,
        now: Time,
        proposed: Option<(CampaignId, Box<Lever>)>,
        refusal: &Refusal,
    ) -> Result<(), Error> {
        if let Some((campaign, lever)) = proposed {
            self.feed_back(now, Input::Refused { campaign, lever, refusal: refusal.clone() })?;
        }
        Ok(())
    }
}

/// The answer that records hold for their caller.
fn answer_in(records: &[Record]) -> Answer {
    let answer = records.iter().find_map(|record| record.request.as_ref());
    answer.map_or(Answer::Done, |request| request.answer.clone())
}

/// How far a client's clock may be ahead: its requests are remembered that much longer, so it is bounded.
const AHEAD_MAX_MS: i64 = 24 * 3_600_000;

/// Whether a request id is a UUIDv7 of the days that keys are remembered. A client's clock may be ahead by a
/// day.
fn is_remembered(id: &str, now_wall_ms: i64) -> bool {
    let Ok(uuid) = Uuid::parse_str(id) else { return false };
    let Some(timestamp) = uuid.get_timestamp().filter(|_| uuid.get_version_num() == 7) else { return false };
    let (secs, nanos) = timestamp.to_unix();
    let made_ms = i64::try_from(secs).unwrap_or(i64::MAX).saturating_mul(1000) + i64::from(nanos / 1_000_000);
    (-AHEAD_MAX_MS..REQUEST_MEMORY_MS).contains(&now_wall_ms.saturating_sub(made_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i4_request_ids_are_uuid_v7_of_the_last_seven_days() {
        let id = Uuid::now_v7();
        let (secs, _) = id.get_timestamp().expect("a v7 has one").to_unix();
        let now_ms = i64::try_from(secs).expect("this millennium") * 1000;
        assert!(is_remembered(&id.to_string(), now_ms));
        assert!(is_remembered(&id.to_string(), now_ms - 60_000), "a client's clock may be ahead");
        assert!(!is_remembered(&id.to_string(), now_ms - AHEAD_MAX_MS - 1000), "but not by years");
        assert!(is_remembered(&id.to_string(), now_ms + REQUEST_MEMORY_MS - 1000));
        assert!(!is_remembered(&id.to_string(), now_ms + REQUEST_MEMORY_MS + 1000));
        for text in ["", "7", &Uuid::new_v4().to_string()] {
            assert!(!is_remembered(text, now_ms), "{text:?}");
        }
    }
}
