//! What is checked after every event, and before anything leaves.

use crate::client::Reply;
use crate::gather;
use crate::violation::{Checked, broken, hold};
use crate::world::World;
use windlass_engine::campaign::SUPERSEDED;
use windlass_engine::gate::facts::{Look, Merged};
use windlass_engine::session::Presence;
use windlass_shared::conclusion::Status;
use windlass_shared::record::{Body, HoldReason, Record};
use windlass_shared::session::Answer;

/// How often, in a thousand events, wants are computed from scratch beside the incremental ones.
const FROM_SCRATCH_IN_A_THOUSAND: u64 = 200;

impl World {
    pub(crate) fn check_all(&mut self) -> Checked {
        self.check_devices()?;
        self.check_spools()?;
        self.check_sessions()?;
        // Durable state moves with the records alone: after any other event there is nothing to compare.
        let seq = self.coordinator.ledger.shadow.seq;
        if self.compared_seq != seq {
            self.check_bytes()?;
            self.compared_seq = seq;
        }
        if self.random.chance(FROM_SCRATCH_IN_A_THOUSAND) {
            self.check_wants()?;
        }
        Ok(())
    }

    /// Live state is what a replay of the same records gives.
    pub(crate) fn check_bytes(&self) -> Checked {
        let Some(core) = &self.coordinator.core else { return Ok(()) };
        if !self.coordinator.is_settled() {
            return Ok(());
        }
        let bytes = |durable| serde_json::to_vec(durable).expect("the state is representable");
        hold(bytes(core.durable()) == bytes(&self.coordinator.ledger.shadow), "replay", || {
            "live state and replayed state differ".to_owned()
        })
    }

    /// What is wanted from scratch is what was wanted anyway: nothing, after everything was carried out.
    pub(crate) fn check_wants(&self) -> Checked {
        let Some(core) = &self.coordinator.core else { return Ok(()) };
        let mut scratch = core.clone();
        if !scratch.wants(self.time()).is_empty() {
            // A timer is due at this very moment; its event comes next.
            return Ok(());
        }
        scratch.forget_what_was_looked_at();
        let wanted = scratch.wants(self.time());
        hold(wanted.is_empty(), "wants", || format!("from scratch the core wants {wanted:?} as well"))
    }

    /// Nothing is told to a worker that is not durable (I3).
    pub(crate) fn check_answer(&self, answer: &Answer) -> Checked {
        let ledger = &self.coordinator.ledger;
        hold(ledger.shadow.incarnation == Some(answer.incarnation), "I3", || {
            "an answer names an incarnation that is not durable".to_owned()
        })?;
        for order in &answer.orders {
            hold(ledger.leased.contains(&order.key), "I3", || {
                format!("{} is ordered before its lease is durable", order.key)
            })?;
        }
        for key in &answer.acknowledged {
            hold(ledger.ended.contains(key), "I3", || {
                format!("{key} is acknowledged before its end is durable")
            })?;
        }
        Ok(())
    }

    /// Nothing is told to a client that is not durable (I3).
    pub(crate) fn check_reply(&self, reply: &Reply) -> Checked {
        let Ok(answer) = &reply.result else { return Ok(()) };
        match self.coordinator.ledger.requests.get(&reply.request.id) {
            Some(recorded) => {
                hold(recorded.answer == *answer && recorded.body == reply.request.body, "I4", || {
                    format!("{} is answered {answer:?}, but recorded {recorded:?}", reply.request.id)
                })
            }
            None => broken("I3", format!("{} is answered {answer:?} and not durable", reply.request.id)),
        }
    }

    /// I12: a lever's turn is judged by what is so on the best of this moment, not on an older one.
    pub(crate) fn check_turn(&self, record: &Record) -> Checked {
        let core = self.coordinator.core.as_ref();
        let campaign_of = |record: &Record| core?.durable().campaigns.get(record.campaign.as_ref()?);
        let lever = match &record.body {
            // P39: what another lane overtook is kept instead where the two conflict.
            Body::IterationDecided { iteration, status, reason, .. } => {
                let open = campaign_of(record).and_then(|campaign| campaign.open.get(iteration));
                match open.and_then(|open| Some((open.lever?, open.overtaken_by.is_empty()))) {
                    Some((lever, false)) if *status == Status::Keep || reason == SUPERSEDED => lever,
                    _ => return Ok(()),
                }
            }
            Body::IterationOpened { lever: Some(lever), .. }
            | Body::LeverPassed { lever, .. }
            | Body::LeverHeld { lever, reason: HoldReason::NeedsRebase { .. } } => *lever,
            _ => return Ok(()),
        };
        let Some(core) = &self.coordinator.core else { return Ok(()) };
        let campaign = record.campaign.as_ref().and_then(|id| core.durable().campaigns.get(id));
        let Some(campaign) = campaign else { return Ok(()) };
        let Some(entry) = campaign.levers.get(&lever) else { return Ok(()) };
        let best = campaign.best.as_ref().map(|best| best.iteration);
        let merged = gather::merged(self.seed, &campaign.id, lever, &campaign.parent_tree(), best);
        let is_so = match &record.body {
            Body::IterationOpened { tree, .. } => {
                matches!(merged, Merged::Clean { tree: fresh, .. } if fresh == *tree)
            }
            Body::LeverHeld { .. } | Body::IterationDecided { status: Status::Keep, .. } => {
                matches!(merged, Merged::Conflict(_))
            }
            Body::IterationDecided { arithmetic, .. } => {
                let others = campaign.best.as_ref().and_then(|best| best.summary.metric.as_ref());
                let is_better = |metric| {
                    others.is_some_and(|one| campaign.bindings.metric_direction.is_better(metric, one))
                };
                let is_better = arithmetic.metric.as_ref().is_some_and(is_better);
                !is_better || !matches!(merged, Merged::Conflict(_))
            }
            _ => {
                let evidence = best.and_then(|best| campaign.evidence_of(best));
                let anchor = entry.document.anchor.as_ref();
                let look = gather::look_up(self.seed, &campaign.id, lever, best, anchor, evidence.as_ref());
                matches!(look, Look::FileMissing | Look::NotLooked)
            }
        };
        hold(is_so, "I12", || {
            format!("{} of {lever} rests on facts of an older best than {best:?}", record.body.kind())
        })
    }

    /// Counts the turns of the protocol that this record takes.
    pub(crate) fn see(&mut self, record: &Record) {
        let core = self.coordinator.core.as_ref();
        let Some(campaign) = record.campaign.as_ref().and_then(|id| core?.durable().campaigns.get(id)) else {
            return;
        };
        let sight = match &record.body {
            Body::AttemptLeased { order, .. } if campaign.decided.contains_key(&order.key.id.iteration) => {
                "a decided iteration is followed up on"
            }
            Body::DeliverableAccepted { iteration, .. } if campaign.decided.contains_key(iteration) => {
                "a late finding is recorded"
            }
            Body::IterationOpened { .. } if !campaign.open.is_empty() => "two lanes are busy",
            Body::IterationDecided { reason, .. } if reason == SUPERSEDED => "a sibling is superseded",
            Body::IterationDecided { iteration, status, .. } => {
                let Some(open) = campaign.open.get(iteration) else { return };
                let entry = open.lever.and_then(|lever| campaign.levers.get(&lever));
                if *status == Status::Keep && !open.overtaken_by.is_empty() {
                    "a sibling is kept instead of the best"
                } else if entry.is_some_and(|entry| entry.superseded_by.is_some()) {
                    "a superseded lever is decided anew"
                } else {
                    return;
                }
            }
            _ => return,
        };
        self.coverage.saw(sight);
    }

    /// I5: a session that was closed changes nothing, however late its messages come.
    pub(crate) fn check_sessions(&mut self) -> Checked {
        let Some(core) = &self.coordinator.core else { return Ok(()) };
        for (worker, member) in core.soft().fleet().members() {
            let seen = self.coordinator.sessions.entry(worker.clone()).or_default();
            hold(!seen.closed.contains(&member.session) || member.presence == Presence::Lost, "I5", || {
                format!("{} of {worker} was closed, and speaks", member.session)
            })?;
            if let Some(before) = seen.present.replace(member.session.clone())
                && before != member.session
            {
                seen.closed.insert(before);
            }
            if member.presence == Presence::Lost {
                seen.closed.insert(member.session.clone());
            }
        }
        Ok(())
    }

    /// I3: what was acknowledged is there after a start.
    pub(crate) fn check_requests(&self) -> Checked {
        let Some(core) = &self.coordinator.core else { return Ok(()) };
        for (id, recorded) in &self.coordinator.ledger.requests {
            let known = core.durable().requests.get(id);
            hold(known.is_some_and(|known| known.answer() == recorded.answer), "I3", || {
                format!("request {id} was acknowledged and is lost")
            })?;
        }
        Ok(())
    }

    /// Two attempts in one spool never claim one device.
    fn check_spools(&self) -> Checked {
        for machine in &self.machines {
            for key in machine.shims.keys() {
                let is_kept = machine.spool.contains_key(key) || machine.kept.contains(key);
                hold(is_kept, "I6", || format!("{key} lives and its spool is gone"))?;
            }
        }
        Ok(())
    }
}
