//! Workers' reports that wait for news: one per worker, each for a bounded time.

use super::event::Reply;
use std::collections::{BTreeMap, BTreeSet};
use windlass_shared::id::{SessionId, WorkerId};
use windlass_shared::refusal::Refusal;
use windlass_shared::session::{Answer, Report};

/// The longest that a report hangs, milliseconds.
const HANG_MAX_MS: u64 = 20_000;

/// The reports that hang.
pub(super) struct Hanging {
    hang_ms: u64,
    calls: BTreeMap<WorkerId, Call>,
    /// The same by when they have hung long enough: the next one is asked for at every turn of the loop.
    deadlines: BTreeSet<(u64, WorkerId)>,
}

struct Call {
    session: SessionId,
    number: u64,
    deadline_ms: u64,
    reply: Reply<Answer>,
}

/// Why a call ends without an answer.
pub(super) fn superseded() -> Refusal {
    Refusal::Stale { what: "this report (a newer one of its worker came)".to_owned() }
}

impl Hanging {
    /// Reports hang for two thirds of the period after which a silent worker is lost, at most 20 s: that
    /// leaves room for a slow answer and the next report.
    pub fn new(lease_period_ms: u64) -> Self {
        Self {
            hang_ms: HANG_MAX_MS.min(lease_period_ms * 2 / 3),
            calls: BTreeMap::new(),
            deadlines: BTreeSet::new(),
        }
    }

    /// Lets a report hang. The older one of its worker ends; one that comes late ends at once.
    pub fn hang(&mut self, report: &Report, reply: Reply<Answer>, now_ms: u64) {
        let worker = report.worker.id.clone();
        if let Some(call) = self.calls.get(&worker)
            && call.session == report.session
            && call.number > report.number
        {
            let _ = reply.send(Err(superseded()));
            return;
        }
        self.end(&worker);
        let deadline_ms = now_ms + self.hang_ms;
        self.deadlines.insert((deadline_ms, worker.clone()));
        let (session, number) = (report.session.clone(), report.number);
        self.calls.insert(worker, Call { session, number, deadline_ms, reply });
    }

    /// The call that an answer belongs to, if it still hangs.
    pub fn take(&mut self, worker: &WorkerId, answer: &Answer) -> Option<Reply<Answer>> {
        self.remove(worker, &answer.session, answer.number)
    }

    /// The caller has gone: whether it was the one that hangs.
    pub fn hung_up(&mut self, worker: &WorkerId, session: &SessionId, number: u64) -> bool {
        self.remove(worker, session, number).is_some()
    }

    fn remove(&mut self, worker: &WorkerId, session: &SessionId, number: u64) -> Option<Reply<Answer>> {
        let call = self.calls.get(worker)?;
        if call.session != *session || call.number != number {
            return None;
        }
        self.take_out(worker)
    }

    fn take_out(&mut self, worker: &WorkerId) -> Option<Reply<Answer>> {
        let (worker, call) = self.calls.remove_entry(worker)?;
        self.deadlines.remove(&(call.deadline_ms, worker));
        Some(call.reply)
    }

    /// Workers whose reports have hung long enough.
    pub fn due(&self, now_ms: u64) -> Vec<WorkerId> {
        let due = self.deadlines.iter().take_while(|(deadline_ms, _)| *deadline_ms <= now_ms);
        due.map(|(_, worker)| worker.clone()).collect()
    }

    /// Ends a call that nothing can be said to.
    pub fn end(&mut self, worker: &WorkerId) {
        if let Some(reply) = self.take_out(worker) {
            let _ = reply.send(Err(superseded()));
        }
    }

    /// When the next report has hung long enough, monotonic milliseconds.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        self.deadlines.first().map(|(deadline_ms, _)| *deadline_ms)
    }

    /// Refuses every call: nothing is written any more.
    pub fn refuse(&mut self, refusal: &Refusal) {
        self.deadlines.clear();
        for (_, call) in std::mem::take(&mut self.calls) {
            let _ = call.reply.send(Err(refusal.clone()));
        }
    }

    /// Ends every call: the coordinator goes.
    pub fn clear(&mut self) {
        self.calls.clear();
        self.deadlines.clear();
    }
}
