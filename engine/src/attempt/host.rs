//! The machine of a worker: what it hears and sees becomes what it does next and what it reports. Every
//! attempt goes through these stages, each fenced by its key:
//!
//! ```text
//! order ─ Preparing ─ Starting ─ Running ─ Collecting ─ Ended ─ (acknowledged) ─ forgotten
//! ```

use super::ending::ExitRecord;
use std::collections::{BTreeMap, BTreeSet};
use windlass_shared::attempt::{AttemptKey, Ending, Order, Outcome, Phase};
use windlass_shared::device::{Device, DeviceState, Load, WorkerInfo};
use windlass_shared::id::{DeviceId, Incarnation, SessionId};
use windlass_shared::session::{Answer, AttemptReport, Release, Report, Standing, StopReason};
use windlass_shared::time::Time;

/// What a worker hears and sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// What was found in the spool at start.
    Recovered(Vec<Recovered>),
    /// The devices, by the host's own word; attempts of ours are not marked.
    Devices(Vec<Device>),
    /// Why this worker takes nothing new at the moment, or that it does.
    Unwilling(Option<String>),
    /// Names of the secrets in this worker's own file.
    Secrets(Vec<String>),
    /// Every GPU that has failed and was not released, each with what was seen.
    Broken(BTreeMap<DeviceId, String>),
    /// The GPU driver's version; none while there is no driver.
    Driver(Option<String>),
    /// The coordinator answered.
    Answer(Answer),
    /// A new session id, asked for by [`Action::DrawSession`].
    SessionDrawn(SessionId),
    /// The workspace is laid out.
    Prepared(AttemptKey),
    /// It could not be.
    PrepareFailed(AttemptKey, Ending),
    /// The shim runs.
    Started(AttemptKey),
    /// The shim ended; without an exit record it was killed.
    ShimEnded(AttemptKey, Option<ExitRecord>),
    /// Results and log are up, the outcome is in the spool.
    Collected(AttemptKey, Box<Outcome>),
}

/// An attempt in the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Its order.
    pub order: Order,
    /// Where it stands.
    pub state: Recovery,
}

/// Where an attempt in the spool stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// Its shim was never started.
    Unstarted,
    /// Its shim runs.
    Running {
        /// Since its start, milliseconds.
        elapsed_ms: u64,
    },
    /// Its shim has ended and left its record.
    Exited(ExitRecord),
    /// Its shim is gone and left none.
    Gone,
    /// All is said but not acknowledged.
    Ended(Box<Outcome>),
}

/// What a worker does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Persist the order, fetch what it needs, lay out its workspace.
    Prepare(Box<Order>),
    /// Start its shim.
    StartShim(AttemptKey),
    /// SIGTERM now, killed after a grace.
    Terminate(AttemptKey),
    /// Its tree is dead (or must be made so, without a record): read the metric, send results and log.
    Collect(AttemptKey, Option<Box<ExitRecord>>),
    /// Acknowledged: delete its spool.
    Forget(AttemptKey),
    /// Unknown to the ledger: put its spool aside.
    Keep(AttemptKey),
    /// Lift a device's quarantine, once for each release, and look at it again.
    Release(Release),
    /// Draw a new session id.
    DrawSession,
    /// The state changed: send a report.
    Report,
    /// A phase changed that only people look at: report it within [`REPORT_SOON_MS`], unless another
    /// report goes out before.
    ReportSoon,
}

/// How long a phase that frees nothing and ends nothing may wait for its report, milliseconds: short runs
/// are over by then, and cost two calls less.
pub const REPORT_SOON_MS: u64 = 50;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    Preparing,
    Starting,
    // Below zero when it began before this daemon's clock did.
    Running { since_mono_ms: i64 },
    Collecting,
    Ended(Box<Outcome>),
}

#[derive(Clone, Debug)]
struct Slot {
    order: Order,
    stage: Stage,
    stop: Option<StopReason>,
    /// What was seen of a GPU of its own that failed: it is ended, and runs elsewhere.
    broken: Option<String>,
}

/// The state of one worker.
#[derive(Clone, Debug)]
pub struct Host {
    info: WorkerInfo,
    incarnation: Option<Incarnation>,
    session: SessionId,
    number: u64,
    seen: u64,
    devices: Vec<Device>,
    slots: BTreeMap<AttemptKey, Slot>,
    keep: BTreeSet<AttemptKey>,
}

impl Host {
    /// A worker at its start, with a session id drawn at random.
    pub fn new(info: WorkerInfo, session: SessionId) -> Self {
        Self {
            info,
            incarnation: None,
            session,
            number: 0,
            seen: 0,
            devices: Vec::new(),
            slots: BTreeMap::new(),
            keep: BTreeSet::new(),
        }
    }

    /// Ended runs whose workspaces the coordinator asked to keep, in its latest answer (P22).
    pub fn keep(&self) -> &BTreeSet<AttemptKey> {
        &self.keep
    }

    /// Everything this worker has; counts up the report's number. How busy the machine is is for the caller to add.
    pub fn report(&mut self, now: Time) -> Report {
        self.number += 1;
        let attempts = self.slots.iter().map(|(key, slot)| {
            let phase = match &slot.stage {
                Stage::Preparing | Stage::Starting => Phase::Preparing,
                Stage::Running { since_mono_ms } => {
                    let elapsed_ms = (now.mono_ms as i64).saturating_sub(*since_mono_ms);
                    Phase::Running { elapsed_ms: u64::try_from(elapsed_ms).unwrap_or(0) }
                }
                Stage::Collecting => Phase::Collecting,
                Stage::Ended(outcome) => Phase::Ended(outcome.clone()),
            };
            AttemptReport { key: key.clone(), phase }
        });
        Report {
            worker: self.info.clone(),
            incarnation: self.incarnation,
            session: self.session.clone(),
            number: self.number,
            seen: self.seen,
            attempts: attempts.collect(),
            devices: self.devices.iter().map(|device| self.with_holder(device)).collect(),
            load: Load::default(),
        }
    }

    /// The attempts that are not over, for the driver's own bookkeeping.
    pub fn unfinished(&self) -> impl Iterator<Item = &AttemptKey> {
        self.slots.iter().filter(|(_, slot)| !matches!(slot.stage, Stage::Ended(_))).map(|(key, _)| key)
    }

    /// The attempts that are over and not acknowledged, with what came of them.
    pub fn unacknowledged(&self) -> impl Iterator<Item = (AttemptKey, Box<Outcome>)> + '_ {
        self.slots.iter().filter_map(|(key, slot)| match &slot.stage {
            Stage::Ended(outcome) => Some((key.clone(), outcome.clone())),
            _ => None,
        })
    }

    /// Whether the coordinator asked for an attempt's end.
    pub fn is_stopped(&self, key: &AttemptKey) -> bool {
        self.slots.get(key).is_some_and(|slot| slot.stop.is_some())
    }

    /// An attempt's order, while it is in the spool.
    pub fn order(&self, key: &AttemptKey) -> Option<&Order> {
        self.slots.get(key).map(|slot| &slot.order)
    }

    /// Takes one event.
    pub fn handle(&mut self, now: Time, event: Event) -> Vec<Action> {
        match event {
            Event::Recovered(found) => found.into_iter().flat_map(|one| self.recover(now, one)).collect(),
            Event::Devices(devices) => {
                if devices == self.devices {
                    return Vec::new();
                }
                self.devices = devices;
                vec![Action::Report]
            }
            Event::Unwilling(why) => {
                if why == self.info.unwilling {
                    return Vec::new();
                }
                self.info.unwilling = why;
                vec![Action::Report]
            }
            Event::Secrets(names) if names == self.info.secrets => Vec::new(),
            Event::Secrets(names) => {
                self.info.secrets = names;
                vec![Action::Report]
            }
            Event::Broken(broken) => self.note_broken(&broken),
            Event::Driver(driver) if driver == self.info.driver => Vec::new(),
            Event::Driver(driver) => {
                self.info.driver = driver;
                vec![Action::Report]
            }
            Event::Answer(answer) => self.answer(answer),
            Event::SessionDrawn(session) => {
                (self.session, self.number, self.seen) = (session, 0, 0);
                vec![Action::Report]
            }
            Event::Prepared(key) => self.prepared(&key),
            Event::PrepareFailed(key, ending) => self.ended(&key, Box::new(Outcome::bare(ending))),
            Event::Started(key) => self.started(now, &key),
            Event::ShimEnded(key, exit) => self.collect(&key, exit),
            Event::Collected(key, outcome) => self.ended(&key, outcome),
        }
    }

    fn recover(&mut self, now: Time, found: Recovered) -> Vec<Action> {
        let key = found.order.key.clone();
        let (stage, actions) = match found.state {
            Recovery::Unstarted => (Stage::Preparing, vec![Action::Prepare(Box::new(found.order.clone()))]),
            Recovery::Running { elapsed_ms } => (
                Stage::Running { since_mono_ms: (now.mono_ms as i64).saturating_sub_unsigned(elapsed_ms) },
                vec![Action::Report],
            ),
            Recovery::Exited(exit) => {
                (Stage::Collecting, vec![Action::Collect(key.clone(), Some(Box::new(exit)))])
            }
            Recovery::Gone => (Stage::Collecting, vec![Action::Collect(key.clone(), None)]),
            Recovery::Ended(outcome) => (Stage::Ended(outcome), vec![Action::Report]),
        };
        self.slots.insert(key, Slot { order: found.order, stage, stop: None, broken: None });
        actions
    }

    /// An answer to any but the latest report is out of date and does nothing: a stale order must not
    /// start an attempt that has been acknowledged since.
    fn answer(&mut self, answer: Answer) -> Vec<Action> {
        if answer.session != self.session || answer.number != self.number {
            return Vec::new();
        }
        if answer.standing == Standing::Closed {
            self.incarnation = Some(answer.incarnation);
            return vec![Action::DrawSession];
        }
        self.seen = answer.number;
        self.keep = answer.keep.into_iter().collect();
        let mut actions = Vec::new();
        for key in &answer.acknowledged {
            if self.slots.get(key).is_some_and(|slot| matches!(slot.stage, Stage::Ended(_))) {
                self.slots.remove(key);
                actions.push(Action::Forget(key.clone()));
            }
        }
        for stop in &answer.stop {
            actions.extend(self.stop(&stop.key, stop.reason));
        }
        actions.extend(answer.releases.into_iter().map(Action::Release));
        for order in answer.orders {
            actions.extend(self.take(order));
        }
        // Whatever was answered, the next hanging call is opened with the state as it is now.
        actions.push(Action::Report);
        actions
    }

    fn take(&mut self, order: Order) -> Vec<Action> {
        let key = order.key.clone();
        if self.slots.contains_key(&key) {
            return Vec::new();
        }
        if let Some(detail) = order.devices.iter().find_map(|device| self.refuses(device)) {
            // The host's own word stands above any order (I6).
            let ending = Ending::Infra { detail };
            let stage = Stage::Ended(Box::new(Outcome::bare(ending)));
            self.slots.insert(key, Slot { order, stage, stop: None, broken: None });
            return Vec::new();
        }
        let action = Action::Prepare(Box::new(order.clone()));
        self.slots.insert(key, Slot { order, stage: Stage::Preparing, stop: None, broken: None });
        vec![action]
    }

    /// Why an order may not have this device now, if it may not.
    fn refuses(&self, device: &DeviceId) -> Option<String> {
        if let Some(holder) = self.holder(device) {
            return Some(format!("{device} is held by {}", holder.id));
        }
        match self.devices.iter().find(|known| known.id == *device).map(|known| &known.state) {
            None => Some(format!("there is no device {device} here any more")),
            Some(DeviceState::Outsider { who }) => Some(format!("{device} is used by {who}")),
            Some(DeviceState::Quarantined { reason }) => Some(format!("{device} is quarantined: {reason}")),
            Some(DeviceState::Free | DeviceState::Busy(_)) => None,
        }
    }

    /// A run on a GPU that failed may hang for ever: it is ended at once.
    fn note_broken(&mut self, broken: &BTreeMap<DeviceId, String>) -> Vec<Action> {
        let mut actions = Vec::new();
        for (key, slot) in &mut self.slots {
            if slot.broken.is_some() || matches!(slot.stage, Stage::Collecting | Stage::Ended(_)) {
                continue;
            }
            let seen = slot.order.devices.iter().find_map(|device| broken.get(device));
            let Some(seen) = seen else { continue };
            slot.broken = Some(seen.clone());
            if matches!(slot.stage, Stage::Running { .. }) && slot.stop.is_none() {
                actions.push(Action::Terminate(key.clone()));
            }
        }
        actions
    }

    fn stop(&mut self, key: &AttemptKey, reason: StopReason) -> Option<Action> {
        let slot = self.slots.get_mut(key)?;
        match &slot.stage {
            Stage::Ended(_) if reason == StopReason::Unknown => {
                self.slots.remove(key);
                Some(Action::Keep(key.clone()))
            }
            Stage::Ended(_) | Stage::Collecting => {
                slot.stop.get_or_insert(reason);
                None
            }
            // In preparation only a wait ends, such as the one for the campaign's setup.
            Stage::Preparing | Stage::Running { .. } if slot.stop.is_none() && slot.broken.is_none() => {
                slot.stop = Some(reason);
                Some(Action::Terminate(key.clone()))
            }
            Stage::Preparing | Stage::Starting | Stage::Running { .. } => {
                slot.stop.get_or_insert(reason);
                None
            }
        }
    }

    fn prepared(&mut self, key: &AttemptKey) -> Vec<Action> {
        let Some(slot) = self.slots.get_mut(key).filter(|slot| slot.stage == Stage::Preparing) else {
            return Vec::new();
        };
        if slot.stop.is_some() {
            return self.ended(key, Box::new(Outcome::bare(Ending::Cancelled)));
        }
        if let Some(detail) = slot.broken.clone() {
            return self.ended(key, Box::new(Outcome::bare(Ending::GpuFault { detail })));
        }
        slot.stage = Stage::Starting;
        vec![Action::StartShim(key.clone())]
    }

    fn started(&mut self, now: Time, key: &AttemptKey) -> Vec<Action> {
        let Some(slot) = self.slots.get_mut(key).filter(|slot| slot.stage == Stage::Starting) else {
            return Vec::new();
        };
        slot.stage = Stage::Running { since_mono_ms: now.mono_ms as i64 };
        let mut actions = vec![Action::ReportSoon];
        if slot.stop.is_some() || slot.broken.is_some() {
            actions.push(Action::Terminate(key.clone()));
        }
        actions
    }

    fn collect(&mut self, key: &AttemptKey, exit: Option<ExitRecord>) -> Vec<Action> {
        let running = |slot: &&mut Slot| matches!(slot.stage, Stage::Starting | Stage::Running { .. });
        let Some(slot) = self.slots.get_mut(key).filter(running) else { return Vec::new() };
        slot.stage = Stage::Collecting;
        vec![Action::Collect(key.clone(), exit.map(Box::new)), Action::ReportSoon]
    }

    fn ended(&mut self, key: &AttemptKey, outcome: Box<Outcome>) -> Vec<Action> {
        let Some(slot) = self.slots.get_mut(key).filter(|slot| !matches!(slot.stage, Stage::Ended(_))) else {
            return Vec::new();
        };
        if slot.stop == Some(StopReason::Unknown) {
            self.slots.remove(key);
            return vec![Action::Keep(key.clone()), Action::Report];
        }
        slot.stage = Stage::Ended(outcome);
        vec![Action::Report]
    }

    /// The unfinished attempt that holds a device.
    fn holder(&self, device: &DeviceId) -> Option<&AttemptKey> {
        let holds =
            |slot: &Slot| !matches!(slot.stage, Stage::Ended(_)) && slot.order.devices.contains(device);
        self.slots.iter().find(|(_, slot)| holds(slot)).map(|(key, _)| key)
    }

    fn with_holder(&self, device: &Device) -> Device {
        match self.holder(&device.id) {
            Some(key) => Device { state: DeviceState::Busy(key.clone()), ..device.clone() },
            None => device.clone(),
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
