//! The soft state: sessions, facts, backoffs, and what has changed since the core was last asked what it
//! wants. Rebuilt from observations; never in a record.

use super::claims::Claims;
use super::waiting::{Rank, Waiting, rank};
use crate::campaign::{Campaign, Wait};
use crate::gate::facts::{FixFacts, FixWanted, PullFacts, PullWanted, WantedKey};
use crate::placement::{Ask, Reservations};
use crate::quota;
use crate::session::Fleet;
use std::collections::{BTreeMap, BTreeSet};
use windlass_shared::digest::Digest;
use windlass_shared::id::{CampaignId, IterationNumber, LeverNumber, WorkerId};
use windlass_shared::session::Answer;
use windlass_shared::time::Time;

/// Facts that could not be gathered (a blob that cannot be read) are wanted again after this long, and so is
/// a step that could not be taken.
pub const RETRY_AFTER_GATHER_FAILED_MS: u64 = 5_000;
/// Pauses before the second and the third try after the machinery failed (P20), milliseconds. The sum
/// stays below the lease period, so that a campaign moves on within two of them (I14).
const BACKOFF_MS: [u64; 2] = [1_000, 5_000];

/// Campaigns that a quota keeps waiting are looked at again after this long, since an hour may be over that counted
/// against it. One look costs nothing, and no deadline is computed from wall time.
const QUOTA_LOOK_MS: u64 = 60_000;

/// What a timer is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Backoff(CampaignId, IterationNumber),
    Gather(WantedKey),
    Step(CampaignId),
    Wait(CampaignId, IterationNumber),
    Quota,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Soft {
    pub(super) fleet: Fleet,
    /// The half-life to record at the start, milliseconds; none for the default.
    pub(super) half_life_ms: Option<u64>,
    pull: BTreeMap<(CampaignId, LeverNumber), PullFacts>,
    fix: BTreeMap<(CampaignId, IterationNumber), FixFacts>,
    gathering: BTreeSet<WantedKey>,
    resting: BTreeSet<WantedKey>,
    /// Campaigns whose step could not be taken.
    resting_steps: BTreeSet<CampaignId>,
    backoff: BTreeMap<(CampaignId, IterationNumber), Backoff>,
    /// Waits for a person, each on the monotonic clock.
    clocks: BTreeMap<(CampaignId, IterationNumber), Clock>,
    /// Campaigns whose wait is over.
    pub(super) over: BTreeSet<CampaignId>,
    timers: BTreeSet<(u64, Timer)>,
    dirty: BTreeSet<Rank>,
    waiting: Waiting,
    /// Workers kept for large requests.
    reservations: Reservations,
    /// Secrets that submitters have given, by name.
    given: BTreeMap<CampaignId, BTreeSet<String>>,
    pub(super) dirty_workers: BTreeSet<WorkerId>,
    /// Answers to sessions that do not count.
    pub(super) closed: BTreeMap<WorkerId, Answer>,
    /// Workers whose live attempts are to be recorded as lost.
    pub(super) silent: BTreeSet<WorkerId>,
    /// What researchers work on, and what they proposed.
    pub(super) claims: Claims,
    /// Campaigns that the quotas of their owners keep waiting.
    barred: BTreeMap<String, BTreeSet<CampaignId>>,
    /// Whether the fleet had GPUs when it last changed.
    had_gpus: bool,
    /// Whether the next look at them has its timer.
    looks_at_quotas: bool,
    /// The wall time of the last look: quotas count by its hours.
    wall_ms: i64,
    has_started: bool,
    /// Until then the workers that have not spoken in this life keep their leases.
    fresh_until_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Clock {
    wait: Wait,
    until_ms: u64,
    is_over: bool,
}

#[derive(Clone, Copy, Debug)]
struct Backoff {
    failures: u32,
    until_ms: Option<u64>,
    now_ms: u64,
}

impl Soft {
    /// The fleet as it describes itself.
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// Workers kept for large requests.
    pub fn reservations(&self) -> &Reservations {
        &self.reservations
    }

    /// Keeps a worker for a campaign, or none; whether one is free for others that was kept.
    pub(super) fn keep_room(&mut self, campaign: &Campaign, room: Option<WorkerId>) -> bool {
        self.reservations.keep(&campaign.id, campaign.bindings.windlass.priority, room)
    }

    /// Those of a campaign's secrets that its submitter has not given, so that a worker must have them.
    pub fn secrets_not_given(&self, campaign: &CampaignId, named: &[String]) -> Vec<String> {
        let given = self.given.get(campaign);
        let is_given = |name: &String| given.is_some_and(|given| given.contains(name));
        named.iter().filter(|name| !is_given(name)).cloned().collect()
    }

    /// Notes what a submitter has given.
    pub(super) fn note_given(&mut self, campaign: CampaignId, names: BTreeSet<String>) {
        if names.is_empty() {
            self.given.remove(&campaign);
        } else {
            self.given.insert(campaign, names);
        }
    }

    /// Fresh facts of a lever's turn.
    pub fn pull_facts(&self, wanted: &PullWanted) -> Option<&PullFacts> {
        let facts = self.pull.get(&(wanted.campaign.clone(), wanted.lever))?;
        let is_fresh = facts.parent == wanted.parent
            && facts.best == wanted.best
            && facts.results == wanted.evidence.as_ref().and_then(|evidence| evidence.results);
        is_fresh.then_some(facts)
    }

    /// Fresh facts of a carried fix.
    pub fn fix_facts(&self, wanted: &FixWanted) -> Option<&FixFacts> {
        let facts = self.fix.get(&(wanted.campaign.clone(), wanted.iteration))?;
        let fresh = facts.fix == wanted.fix && facts.on == wanted.tree;
        fresh.then_some(facts)
    }

    /// Whether a fix was found not to go on this tree.
    pub fn fix_is_refused(
        &self,
        campaign: &CampaignId,
        iteration: IterationNumber,
        fix: u32,
        on: Digest,
    ) -> bool {
        self.fix.get(&(campaign.clone(), iteration)).is_some_and(|facts| {
            facts.fix >= fix && facts.on == on && (facts.fix > fix || facts.applied.is_err())
        })
    }

    /// Whole seconds until the next try after the machinery failed; none when it may go on.
    pub fn backoff_left(&self, campaign: &CampaignId, iteration: IterationNumber) -> Option<u64> {
        let backoff = self.backoff.get(&(campaign.clone(), iteration))?;
        backoff.until_ms.map(|until_ms| until_ms.saturating_sub(backoff.now_ms).div_ceil(1000))
    }

    /// The first moment at which [`Core::wants`](super::Core::wants) may answer differently by itself.
    pub(super) fn next_wake_ms(&self) -> Option<u64> {
        let timer = self.timers.first().map(|(at_ms, _)| *at_ms);
        [self.fleet.next_deadline_ms(), timer, self.fresh_until_ms].into_iter().flatten().min()
    }

    /// Lets time pass: sessions run out, pauses end.
    pub(super) fn advance(&mut self, now: Time, live_workers: impl Iterator<Item = WorkerId>) {
        let now_ms = now.mono_ms;
        let before_ms = std::mem::replace(&mut self.wall_ms, now.wall_ms);
        if quota::hour(before_ms) != quota::hour(now.wall_ms) {
            self.wake_barred();
        }
        let lost = self.fleet.expire(now_ms);
        if !lost.is_empty() {
            self.wake_waiting();
        }
        self.silent.extend(lost);
        if !self.has_started {
            // A fresh period for every lease after a start: an outage of the coordinator expires nothing.
            self.has_started = true;
            self.fresh_until_ms = Some(now_ms + self.fleet.lease_period_ms());
        }
        if self.fresh_until_ms.is_some_and(|until_ms| now_ms >= until_ms) {
            self.fresh_until_ms = None;
            let unheard = live_workers.filter(|worker| self.fleet.member(worker).is_none());
            self.silent.extend(unheard);
        }
        while let Some((at_ms, _)) = self.timers.first() {
            if *at_ms > now_ms {
                break;
            }
            match self.timers.pop_first() {
                Some((_, Timer::Backoff(campaign, iteration))) => {
                    if let Some(backoff) = self.backoff.get_mut(&(campaign.clone(), iteration)) {
                        backoff.until_ms = None;
                    }
                    self.wake_one(&campaign);
                }
                Some((_, Timer::Gather(key))) => {
                    self.resting.remove(&key);
                    self.wake_one(key.campaign());
                }
                Some((_, Timer::Step(campaign))) => {
                    self.resting_steps.remove(&campaign);
                    self.wake_one(&campaign);
                }
                Some((at_ms, Timer::Wait(campaign, iteration))) => {
                    let clock = self.clocks.get_mut(&(campaign.clone(), iteration));
                    if let Some(clock) = clock.filter(|clock| clock.until_ms <= at_ms) {
                        clock.is_over = true;
                        self.over.insert(campaign);
                    }
                }
                Some((_, Timer::Quota)) => {
                    self.looks_at_quotas = false;
                    self.wake_barred();
                }
                None => break,
            }
        }
    }

    /// The wall time of the last look.
    pub(crate) fn wall_ms(&self) -> i64 {
        self.wall_ms
    }

    /// Campaigns that wait for a device.
    pub(super) fn waiting_for_device(&self) -> usize {
        self.waiting.in_line()
    }

    /// Campaigns that a quota keeps waiting.
    pub(super) fn barred(&self) -> usize {
        self.barred.values().flatten().filter(|campaign| self.waiting.contains(campaign)).count()
    }

    /// It waits for its owner's quota: until an attempt of its owner ends, the quota is another one, or an hour may
    /// be over.
    pub(super) fn bar(&mut self, campaign: &Campaign, now_ms: u64) {
        let Some(owner) = &campaign.owner else { return };
        self.barred.entry(owner.clone()).or_default().insert(campaign.id.clone());
        if !std::mem::replace(&mut self.looks_at_quotas, true) {
            self.timers.insert((now_ms + QUOTA_LOOK_MS, Timer::Quota));
        }
    }

    fn wake_barred(&mut self) {
        for campaign in std::mem::take(&mut self.barred).into_values().flatten() {
            self.wake_one(&campaign);
        }
    }

    /// An owner may have more now than before, or less: then no worker stays kept for what its quota bars.
    pub(super) fn touch_owned<'a>(&mut self, owner: &str, campaigns: impl Iterator<Item = &'a Campaign>) {
        for campaign in campaigns.filter(|campaign| campaign.owner.as_deref() == Some(owner)) {
            self.touch(campaign);
        }
    }

    /// Its owner may have more now than before.
    pub(super) fn wake_owner(&mut self, owner: Option<&str>) {
        let Some(barred) = owner.and_then(|owner| self.barred.remove(owner)) else { return };
        for campaign in barred {
            self.wake_one(&campaign);
        }
    }

    /// Begins to count what open iterations wait for. What is left of it is known from the record that
    /// began it; from then on no clock that people set says anything.
    pub(super) fn begin_wait(&mut self, campaign: &Campaign, now: Time) {
        let waits: Vec<_> =
            campaign.open.values().filter_map(|open| Some((open.number, campaign.wait(open)?))).collect();
        if waits.is_empty() && self.clocks.is_empty() {
            return;
        }
        let key = |number| (campaign.id.clone(), number);
        let range = key(IterationNumber(0))..=key(IterationNumber(u32::MAX));
        let known: Vec<_> =
            self.clocks.range(range).map(|((_, number), clock)| (*number, clock.wait)).collect();
        for stale in known.iter().filter(|known| !waits.contains(known)) {
            self.clocks.remove(&key(stale.0));
        }
        for (number, wait) in waits.into_iter().filter(|wait| !known.contains(wait)) {
            let left_ms = wait.until_wall_ms().saturating_sub(now.wall_ms);
            let left_ms = u64::try_from(left_ms).unwrap_or(0).min(wait.span_ms);
            let until_ms = now.mono_ms.saturating_add(left_ms);
            self.clocks.insert(key(number), Clock { wait, until_ms, is_over: left_ms == 0 });
            if left_ms > 0 {
                self.timers.insert((until_ms, Timer::Wait(campaign.id.clone(), number)));
            }
        }
    }

    /// Whether this wait of an iteration is over.
    pub(crate) fn wait_is_over(&self, campaign: &CampaignId, iteration: IterationNumber, wait: Wait) -> bool {
        let clock = self.clocks.get(&(campaign.clone(), iteration));
        clock.is_some_and(|clock| clock.wait == wait && clock.is_over)
    }

    /// Begins the pauses after failures of the machinery, once per failure.
    pub(super) fn rest_after_failure(&mut self, campaign: &Campaign, now_ms: u64) {
        for open in campaign.unfinished().filter(|open| open.live.is_none()) {
            let failures = open.failures();
            let Some(index) = failures.checked_sub(1) else { continue };
            let key = (campaign.id.clone(), open.number);
            if self.backoff.get(&key).is_some_and(|known| known.failures == failures) {
                continue;
            }
            let Some(pause_ms) = BACKOFF_MS.get(index as usize) else { continue };
            let until_ms = now_ms + pause_ms;
            self.backoff.insert(key, Backoff { failures, until_ms: Some(until_ms), now_ms });
            self.timers.insert((until_ms, Timer::Backoff(campaign.id.clone(), open.number)));
        }
    }

    /// Something about this campaign changed.
    pub(super) fn touch(&mut self, campaign: &Campaign) {
        let rank = rank(campaign);
        self.waiting.remove(&campaign.id);
        self.dirty.insert(rank);
    }

    /// An iteration is decided: what was known for it serves no more.
    pub(super) fn forget_iteration(&mut self, campaign: &CampaignId, iteration: IterationNumber) {
        let key = (campaign.clone(), iteration);
        self.fix.remove(&key);
        self.backoff.remove(&key);
    }

    /// A script was added: what it waits for begins anew.
    pub(super) fn forget_backoff(&mut self, campaign: &CampaignId, iteration: IterationNumber) {
        self.backoff.remove(&(campaign.clone(), iteration));
    }

    /// All may stand elsewhere in line now.
    pub(super) fn rank_anew<'a>(&mut self, campaigns: impl Iterator<Item = &'a Campaign>) {
        self.dirty.clear();
        self.waiting = Waiting::default();
        for campaign in campaigns {
            self.touch(campaign);
        }
    }

    /// Its rank is about to change: where it stands among the others is found anew.
    pub(super) fn forget_rank(&mut self, campaign: &Campaign) {
        self.waiting.remove(&campaign.id);
        self.dirty.remove(&rank(campaign));
    }

    /// The lever is out of the queue: its facts serve no more.
    pub(super) fn forget_pull(&mut self, campaign: &CampaignId, lever: LeverNumber) {
        self.pull.remove(&(campaign.clone(), lever));
    }

    /// The first campaign to look at.
    pub(super) fn first_dirty(&self) -> Option<CampaignId> {
        self.dirty.first().map(|(.., id)| id.clone())
    }

    /// It has been looked at: nothing is due until something changes.
    pub(super) fn settle(&mut self, campaign: &Campaign) {
        self.dirty.remove(&rank(campaign));
    }

    /// It has been looked at: it waits for devices that suit one of these asks, or for facts, or for a pause
    /// to end.
    pub(super) fn wait(&mut self, campaign: &Campaign, asks: BTreeSet<Ask>) {
        self.settle(campaign);
        self.waiting.insert(rank(campaign), asks);
    }

    /// Devices came, or somebody took some: the first of each ask is looked at again, and whoever has a
    /// worker kept.
    pub(super) fn wake_waiting(&mut self) {
        let woken = self.waiting.wake(self.reservations.holders());
        self.dirty.extend(woken);
        // Whether a campaign takes a GPU or its CPU slots by default follows from that, and how many devices so.
        let has_gpus = self.fleet.has_gpus();
        if std::mem::replace(&mut self.had_gpus, has_gpus) != has_gpus {
            self.wake_barred();
        }
    }

    fn wake_one(&mut self, campaign: &CampaignId) {
        self.dirty.extend(self.waiting.remove(campaign));
    }

    /// Begins to gather, unless that is under way or resting after a failure.
    pub(super) fn begin_gathering(&mut self, key: WantedKey) -> bool {
        !self.resting.contains(&key) && self.gathering.insert(key)
    }

    /// Facts came.
    pub(super) fn take_pull(&mut self, facts: PullFacts) {
        self.gathering.remove(&WantedKey::Pull(facts.campaign.clone(), facts.lever, facts.parent));
        self.pull.insert((facts.campaign.clone(), facts.lever), facts);
    }

    /// Facts came.
    pub(super) fn take_fix(&mut self, facts: FixFacts) {
        let key = WantedKey::Fix(facts.campaign.clone(), facts.iteration, facts.fix, facts.on);
        self.gathering.remove(&key);
        self.fix.insert((facts.campaign.clone(), facts.iteration), facts);
    }

    /// Facts did not come.
    pub(super) fn gather_failed(&mut self, key: WantedKey, campaign: &Campaign, now_ms: u64) {
        self.gathering.remove(&key);
        self.resting.insert(key.clone());
        self.timers.insert((now_ms + RETRY_AFTER_GATHER_FAILED_MS, Timer::Gather(key)));
        // What else has changed meanwhile is still to be looked at, and another lane may stand in line.
        if !self.dirty.contains(&rank(campaign)) && !self.waiting.contains(&campaign.id) {
            self.wait(campaign, BTreeSet::new());
        }
    }

    /// Whether facts could not be gathered and are to be wanted again later.
    pub(crate) fn gathering_rests(&self, key: &WantedKey) -> bool {
        self.resting.contains(key)
    }

    /// Its step could not be taken.
    pub(super) fn step_failed(&mut self, campaign: &Campaign, now_ms: u64) {
        if self.resting_steps.insert(campaign.id.clone()) {
            let at_ms = now_ms + RETRY_AFTER_GATHER_FAILED_MS;
            self.timers.insert((at_ms, Timer::Step(campaign.id.clone())));
        }
    }

    /// Whether its step could not be taken and is to be tried again later.
    pub(crate) fn step_rests(&self, campaign: &CampaignId) -> bool {
        self.resting_steps.contains(campaign)
    }
}
