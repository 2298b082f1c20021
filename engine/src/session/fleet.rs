//! The fleet as its own reports describe it.

use super::lost::Lost;
use super::member::{Held, Member, Presence, Recount, Standing};
use super::offer::{Offer, Since};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use windlass_shared::attempt::Order;
use windlass_shared::device::DeviceKind;
use windlass_shared::id::{AttemptId, SessionId, WorkerId};
use windlass_shared::session::Report;

/// By default a worker is lost this long after its last word, milliseconds. Syncs come every 20 s at the latest,
/// and a broken connection is suspected within 3 s.
pub const LEASE_PERIOD_MS: u64 = 30_000;
/// Closed sessions remembered per worker: a message would have to be delayed past this many reconnections
/// to be taken for a new session.
const CLOSED_SESSIONS_MAX: usize = 64;

/// Every worker of this life of the coordinator.
#[derive(Clone, Debug)]
pub struct Fleet {
    lease_period_ms: u64,
    members: BTreeMap<WorkerId, Member>,
    /// Leases of workers that have not spoken yet in this life.
    held_unheard: BTreeMap<WorkerId, Held>,
    /// Ready workers by kind and number of free devices: best fit is a range query. None is empty.
    free: BTreeMap<(DeviceKind, usize), BTreeSet<WorkerId>>,
    /// How many are ready.
    ready_count: usize,
    /// How many have any GPU at all, leased or not, and are not lost.
    gpu_worker_count: usize,
    deadlines: BTreeSet<(u64, WorkerId)>,
    /// Members that were silent for longer.
    lost: Lost,
    /// Why nothing new is leased anywhere, if nothing is.
    closed: Option<String>,
    /// What it offered since the start.
    offer: Offer,
    /// Workers that take nothing new, by the ledger.
    drained: BTreeSet<WorkerId>,
    /// The latest moment that is known, monotonic: leases are recorded right after a look.
    now_ms: u64,
}

impl Default for Fleet {
    fn default() -> Self {
        Self::new(LEASE_PERIOD_MS)
    }
}

impl Fleet {
    /// An empty fleet whose workers are lost `lease_period_ms` after their last word.
    pub fn new(lease_period_ms: u64) -> Self {
        Self {
            lease_period_ms,
            members: BTreeMap::new(),
            held_unheard: BTreeMap::new(),
            free: BTreeMap::new(),
            ready_count: 0,
            gpu_worker_count: 0,
            deadlines: BTreeSet::new(),
            lost: Lost::default(),
            closed: None,
            offer: Offer::default(),
            drained: BTreeSet::new(),
            now_ms: 0,
        }
    }

    /// Leases nothing new anywhere for this reason, or goes on. Whether work may be placed again.
    pub(crate) fn close(&mut self, why: Option<String>) -> bool {
        let opens = self.closed.is_some() && why.is_none();
        self.closed = why;
        opens
    }

    /// Why nothing new is leased anywhere.
    pub fn closed(&self) -> Option<&str> {
        self.closed.as_deref()
    }

    /// What it offered since the start, and what of that was leased.
    pub fn offer(&self) -> &Offer {
        &self.offer
    }

    /// A worker takes nothing new, or work again.
    pub(crate) fn note_drained(&mut self, worker: &WorkerId, is_drained: bool) {
        match is_drained {
            true => _ = self.drained.insert(worker.clone()),
            false => _ = self.drained.remove(worker),
        }
        self.note_offer(worker);
    }

    fn note_offer(&mut self, worker: &WorkerId) {
        if let Some(member) = self.members.get_mut(worker) {
            self.offer.note(member, self.drained.contains(worker), self.now_ms);
        }
    }

    /// How long a silent worker keeps its leases, milliseconds.
    pub fn lease_period_ms(&self) -> u64 {
        self.lease_period_ms
    }

    /// One worker.
    pub fn member(&self, worker: &WorkerId) -> Option<&Member> {
        self.members.get(worker)
    }

    /// One worker, to note what it was told.
    pub(crate) fn member_mut(&mut self, worker: &WorkerId) -> Option<&mut Member> {
        self.members.get_mut(worker)
    }

    /// All workers.
    pub fn members(&self) -> impl Iterator<Item = (&WorkerId, &Member)> {
        self.members.iter()
    }

    /// Workers that new work may be placed on.
    pub fn ready(&self) -> impl Iterator<Item = &WorkerId> {
        self.members.iter().filter(|(_, member)| member.is_ready()).map(|(worker, _)| worker)
    }

    /// Whether nobody is there.
    pub fn is_empty(&self) -> bool {
        self.ready_count == 0
    }

    /// Whether any worker has a GPU. One that is only suspected still counts: a campaign that takes a GPU
    /// by default must not fall onto a CPU slot because a connection broke.
    pub fn has_gpus(&self) -> bool {
        self.gpu_worker_count > 0
    }

    /// Ready workers with at least `count` free devices, fewest first.
    pub fn by_free_devices(
        &self,
        kind: DeviceKind,
        count: usize,
    ) -> impl Iterator<Item = (usize, &WorkerId)> {
        let with = self.free.range((kind, count)..=(kind, usize::MAX));
        with.flat_map(|((_, free), workers)| workers.iter().map(move |worker| (*free, worker)))
    }

    /// Ready workers, those with the most free devices first.
    pub fn by_most_free_devices(&self, kind: DeviceKind) -> impl Iterator<Item = &WorkerId> {
        self.of_kind(kind).rev().flat_map(|(_, workers)| workers.iter().rev())
    }

    /// The most free devices on one worker.
    pub fn most_free_devices(&self, kind: DeviceKind) -> usize {
        self.of_kind(kind).next_back().map_or(0, |((_, free), _)| *free)
    }

    fn of_kind(
        &self,
        kind: DeviceKind,
    ) -> impl DoubleEndedIterator<Item = (&(DeviceKind, usize), &BTreeSet<WorkerId>)> {
        self.free.range((kind, 0)..=(kind, usize::MAX))
    }

    /// Whether a report counts: a session that is not closed, and a number that is newer than the newest.
    pub fn is_news(&self, report: &Report) -> bool {
        match self.members.get(&report.worker.id) {
            None => true,
            Some(member) if member.closed.contains(&report.session) => false,
            Some(member) if member.session == report.session => report.number > member.number,
            Some(_) => true,
        }
    }

    /// Whether a report's session was closed, so that the worker must be told.
    pub fn is_closed(&self, report: &Report) -> bool {
        self.members.get(&report.worker.id).is_some_and(|member| member.closed.contains(&report.session))
    }

    /// Takes a report that counts; whether what can be placed on its worker has changed.
    pub fn hear(&mut self, report: Report, now_ms: u64) -> bool {
        let id = report.worker.id.clone();
        let attempts = report.attempts.into_iter().map(|attempt| (attempt.key, attempt.phase)).collect();
        let before = self.members.remove(&id);
        if let Some(before) = before.as_ref().filter(|before| before.presence == Presence::Lost) {
            self.lost.remove(before.last_word_ms, &id);
        }
        // Labels, models and memory decide as well as numbers.
        let is_same = before
            .as_ref()
            .is_some_and(|before| before.info == report.worker && before.devices == report.devices);
        let (mut closed, mut told) = (VecDeque::new(), BTreeMap::new());
        let mut told_releases = BTreeMap::new();
        let mut held = self.held_unheard.remove(&id).unwrap_or_default();
        let (mut standing, mut since) = (Standing::default(), Since::default());
        if let Some(before) = before {
            (standing, since) = (before.standing, before.since);
            self.deadlines.remove(&(before.last_word_ms + self.lease_period_ms, id.clone()));
            closed = before.closed;
            held = before.held;
            if before.session == report.session {
                told = before.told;
                told_releases = before.told_releases;
            } else {
                close(&mut closed, before.session);
            }
        }
        self.deadlines.insert((now_ms + self.lease_period_ms, id.clone()));
        let member = Member {
            info: report.worker,
            session: report.session,
            number: report.number,
            seen: report.seen,
            last_word_ms: now_ms,
            presence: Presence::Ready,
            load: report.load,
            devices: report.devices,
            attempts,
            is_open: true,
            told,
            told_releases,
            held,
            places: Vec::new(),
            standing,
            since,
            closed,
        };
        self.members.insert(id.clone(), member);
        let is_counted_otherwise = self.count(&id);
        self.now_ms = self.now_ms.max(now_ms);
        self.note_offer(&id);
        !is_same || is_counted_otherwise
    }

    /// A connection broke.
    pub fn suspect(&mut self, worker: &WorkerId) {
        if let Some(member) = self.members.get_mut(worker)
            && member.presence == Presence::Ready
        {
            member.presence = Presence::Suspected;
            member.is_open = false;
            self.count(worker);
        }
    }

    /// Closes the sessions that have been silent too long, and names their workers.
    pub fn expire(&mut self, now_ms: u64) -> Vec<WorkerId> {
        let mut lost = Vec::new();
        self.now_ms = self.now_ms.max(now_ms);
        while let Some((deadline_ms, _)) = self.deadlines.first() {
            if *deadline_ms > now_ms {
                break;
            }
            let Some((_, worker)) = self.deadlines.pop_first() else { break };
            if let Some(member) = self.members.get_mut(&worker) {
                member.presence = Presence::Lost;
                member.is_open = false;
                close(&mut member.closed, member.session.clone());
                self.lost.note(member.last_word_ms, worker.clone());
            }
            self.count(&worker);
            self.note_offer(&worker);
            lost.push(worker);
        }
        self.forget(now_ms);
        lost
    }

    /// Forgets who is lost for long. One whose leases are not over yet is kept until they are: its devices come back
    /// by its own word alone (I6). One that speaks after all is heard as after a restart.
    fn forget(&mut self, now_ms: u64) {
        for (last_word_ms, worker) in self.lost.over(now_ms) {
            if self.members.get(&worker).is_some_and(Member::holds_nothing) {
                self.members.remove(&worker);
                self.lost.remove(last_word_ms, &worker);
            }
        }
    }

    /// When the next session runs out, monotonic.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        self.deadlines.first().map(|(deadline_ms, _)| *deadline_ms)
    }

    /// A lease was recorded.
    pub fn hold(&mut self, worker: &WorkerId, order: &Order) {
        match self.members.get_mut(worker) {
            Some(member) => {
                member.hold(order);
                // In the same look: this is the step that each placement takes.
                self.offer.note(member, self.drained.contains(worker), self.now_ms);
                let recount = member.recount();
                self.stand_anew(worker, recount);
            }
            None => {
                self.held_unheard.entry(worker.clone()).or_default().hold(order);
            }
        }
    }

    /// A lease is over. The devices are free once the host's own word says so.
    pub fn let_go(&mut self, worker: &WorkerId, attempt: &AttemptId) {
        let held = match self.members.get_mut(worker) {
            Some(member) => Some(&mut member.held),
            None => self.held_unheard.get_mut(worker),
        };
        if let Some(held) = held {
            held.let_go(attempt);
        }
        self.count(worker);
    }

    /// Looks again at the devices of one worker and brings the index up to date; whether it changed.
    fn count(&mut self, worker: &WorkerId) -> bool {
        let Some(member) = self.members.get_mut(worker) else { return false };
        member.note_places();
        let recount = member.recount();
        self.stand_anew(worker, recount)
    }

    /// Brings the index up to date for one worker: what has not changed is not touched. Whether its free
    /// devices are others in number, or it came or went.
    fn stand_anew(&mut self, worker: &WorkerId, Recount { before, now }: Recount) -> bool {
        match (before.has_gpu, now.has_gpu) {
            (false, true) => self.gpu_worker_count += 1,
            (true, false) => self.gpu_worker_count -= 1,
            _ => {}
        }
        match (before.free, now.free) {
            (None, Some(_)) => self.ready_count += 1,
            (Some(_), None) => self.ready_count -= 1,
            _ => {}
        }
        let (before, now) = (before.free, now.free);
        self.stand(DeviceKind::Gpu, before.map(|(gpus, _)| gpus), now.map(|(gpus, _)| gpus), worker);
        self.stand(DeviceKind::Cpu, before.map(|(_, cpus)| cpus), now.map(|(_, cpus)| cpus), worker);
        before != now
    }

    /// Puts a worker where it stands now among those with free devices of one kind.
    fn stand(&mut self, kind: DeviceKind, before: Option<usize>, now: Option<usize>, worker: &WorkerId) {
        if before == now {
            return;
        }
        let mut id = None;
        if let Some(place) = before.map(|free| (kind, free))
            && let Some(workers) = self.free.get_mut(&place)
        {
            id = workers.take(worker);
            if workers.is_empty() {
                self.free.remove(&place);
            }
        }
        if let Some(free) = now {
            let id = id.unwrap_or_else(|| worker.clone());
            self.free.entry((kind, free)).or_default().insert(id);
        }
    }
}

fn close(closed: &mut VecDeque<SessionId>, session: SessionId) {
    if closed.contains(&session) {
        return;
    }
    if closed.len() >= CLOSED_SESSIONS_MAX {
        closed.pop_front();
    }
    closed.push_back(session);
}
