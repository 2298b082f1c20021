//! The coordinator's loop over the real core, as the design has it: decide, apply at once, push to the
//! batch; one batch is at the disk while the next gathers; nothing leaves before it is durable.

use crate::client::Reply;
use crate::coverage::Fault;
use crate::ledger::Ledger;
use crate::life::Life;
use crate::violation::{Checked, broken, hold};
use crate::world::{Event, World};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use windlass_engine::core::{Command, Core, Input, Observation};
use windlass_engine::session::Presence;
use windlass_shared::device::DeviceState;
use windlass_shared::id::{SessionId, WorkerId};
use windlass_shared::record::{Body, Record};
use windlass_shared::refusal::Refusal;
use windlass_shared::session::{Answer, Report};

/// Rounds of internal commands after one event; more than this is a core that never rests.
const ROUNDS_MAX: usize = 500;
/// Inputs whose records go to the disk together.
const BATCH_MAX: usize = 8;
/// A blob that cannot be read is waited for this long at most.
const SLOW_GATHERING_MS: u64 = 15_000;
/// A report hangs this long while there is nothing new.
const HANG_MS: u64 = 20_000;

/// What waits for the disk before it may leave.
pub(crate) enum Departure {
    Answer(WorkerId, Box<Answer>),
    Reply(Box<Reply>),
}

/// The sessions of one worker.
#[derive(Default)]
pub(crate) struct Sessions {
    pub(crate) present: Option<SessionId>,
    pub(crate) closed: BTreeSet<SessionId>,
}

/// One coordinator process and its ledger.
#[derive(Default)]
pub(crate) struct Coordinator {
    /// Counts the starts and crashes: what belongs to an older life is void.
    pub(crate) life: u64,
    pub(crate) core: Option<Core>,
    pub(crate) ledger: Ledger,
    /// Applied, and not at the disk yet; one entry per input.
    gathering: VecDeque<Vec<Record>>,
    /// At the disk.
    writing: Vec<Vec<Record>>,
    outbox: VecDeque<(u64, Departure)>,
    /// The model of the ledger up to the last applied record.
    pub(crate) model: Life,
    woken_at_ms: Option<u64>,
    /// The sessions that this life has heard.
    pub(crate) sessions: BTreeMap<WorkerId, Sessions>,
    /// The process is to be killed at the end of this event.
    pub(crate) doomed: Option<Fault>,
}

impl Coordinator {
    pub(crate) fn uncommitted_kinds(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.writing.iter().chain(&self.gathering).flatten().map(|record| record.body.kind())
    }

    pub(crate) fn writing_kinds(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.writing.iter().flatten().map(|record| record.body.kind())
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.writing.is_empty() && self.gathering.is_empty()
    }

    /// The process is gone: what was not committed, and what waited to leave.
    pub(crate) fn die(&mut self) -> Vec<Vec<Record>> {
        self.life += 1;
        self.core = None;
        self.gathering.clear();
        self.outbox.clear();
        self.sessions.clear();
        self.woken_at_ms = None;
        self.doomed = None;
        std::mem::take(&mut self.writing)
    }

    /// Lets `departure` leave once everything decided so far is durable.
    pub(crate) fn let_leave(&mut self, departure: Departure) {
        let rests_on = self.core.as_ref().map_or(0, |core| core.durable().seq);
        self.outbox.push_back((rests_on, departure));
    }
}

impl World {
    /// Decides one input and applies its records. `None` when the coordinator is down.
    pub(crate) fn submit(&mut self, input: Input) -> Checked<Option<Result<(), Refusal>>> {
        let time = self.time();
        let Some(core) = &mut self.coordinator.core else { return Ok(None) };
        let only = allowed(&input);
        let records = match core.decide(time, input) {
            Ok(records) => records,
            Err(refusal) => return Ok(Some(Err(refusal))),
        };
        if records.is_empty() {
            return Ok(Some(Ok(())));
        }
        for record in &records {
            self.check_turn(record)?;
            self.see(record);
        }
        let Some(core) = &mut self.coordinator.core else { return Ok(None) };
        let mut lines = Vec::new();
        for record in &records {
            hold(only.is_none_or(|only| only.contains(&record.body.kind())), "I5", || {
                format!("{} follows from a report or a silence", record.body.kind())
            })?;
            self.coordinator.model.take(record, &self.truth)?;
            check_lease(core, &record.body)?;
            core.apply(record);
            if self.trace.is_some() {
                lines.push(crate::network::show_record(record));
            }
        }
        let kinds: Vec<&'static str> = records.iter().map(|record| record.body.kind()).collect();
        self.coordinator.gathering.push_back(records);
        for line in lines {
            self.say(|| line);
        }
        let is_ambushed = kinds.iter().any(|kind| self.springs(Fault::CrashBeforeCommit, kind));
        if is_ambushed || self.random.chance(self.weather.crash_in_a_thousand) {
            self.coordinator.doomed = Some(Fault::CrashBeforeCommit);
        }
        self.write();
        Ok(Some(Ok(())))
    }

    pub(crate) fn observe(&mut self, seen: Observation) {
        let time = self.time();
        if let Some(core) = &mut self.coordinator.core {
            core.observe(time, seen);
        }
    }

    /// Carries out what the core wants until it wants nothing more.
    pub(crate) fn pursue(&mut self) -> Checked {
        for _ in 0..ROUNDS_MAX {
            if self.coordinator.doomed.is_some() {
                return Ok(());
            }
            let time = self.time();
            let Some(core) = &mut self.coordinator.core else { return Ok(()) };
            let commands = core.wants(time);
            let mut is_internal = false;
            for command in commands {
                is_internal |= matches!(command, Command::Step(_) | Command::Lose(_));
                self.carry_out(command)?;
            }
            if !is_internal {
                self.release()?;
                self.plan_wake();
                return Ok(());
            }
        }
        broken("wants", format!("the core still wants something after {ROUNDS_MAX} rounds"))
    }

    fn carry_out(&mut self, command: Command) -> Checked {
        match command {
            Command::Step(campaign) => {
                let before = self.coordinator.core.as_ref().map(|core| core.durable().seq);
                self.submit(Input::Step(campaign.clone()))?;
                let after = self.coordinator.core.as_ref().map(|core| core.durable().seq);
                hold(before < after, "wants", || format!("a step of {campaign} recorded nothing"))
            }
            Command::Lose(worker) => self.submit(Input::Lose(worker)).map(|_| ()),
            Command::Gather(wanted) => {
                let life = self.coordinator.life;
                let is_slow = self.is_unreadable(&wanted);
                let most_ms = if is_slow { SLOW_GATHERING_MS } else { self.weather.gather_max_ms };
                let delay_ms = self.random.range(1, most_ms);
                self.after(delay_ms, Event::Gathered { life, wanted });
                Ok(())
            }
            Command::Answer(worker, answer) => {
                self.coordinator.let_leave(Departure::Answer(worker, Box::new(answer)));
                Ok(())
            }
        }
    }

    /// One batch at the disk at a time.
    fn write(&mut self) {
        if !self.coordinator.writing.is_empty() || self.coordinator.gathering.is_empty() {
            return;
        }
        let count = self.coordinator.gathering.len().min(BATCH_MAX);
        self.coordinator.writing = self.coordinator.gathering.drain(..count).collect();
        let life = self.coordinator.life;
        let delay_ms = self.random.range(0, self.weather.commit_max_ms);
        self.after(delay_ms, Event::Committed { life });
    }

    pub(crate) fn committed(&mut self, life: u64) -> Checked {
        if life != self.coordinator.life {
            return Ok(());
        }
        let kinds: Vec<&'static str> = self.coordinator.writing_kinds().collect();
        let is_ambushed = kinds.iter().any(|kind| self.springs(Fault::CrashAfterCommit, kind));
        if is_ambushed || self.random.chance(self.weather.crash_in_a_thousand) {
            self.coordinator.doomed = Some(Fault::CrashAfterCommit);
            return Ok(());
        }
        let batch = std::mem::take(&mut self.coordinator.writing);
        self.commit(&batch)?;
        for kind in kinds {
            self.spring(kind);
        }
        self.write();
        self.release()?;
        self.pursue()
    }

    pub(crate) fn commit(&mut self, batch: &[Vec<Record>]) -> Checked {
        for records in batch {
            for record in records {
                self.coverage.committed(self.now_ms, record.body.kind());
            }
            self.coordinator.ledger.commit(records)?;
        }
        Ok(())
    }

    /// What rests on durable records alone may leave.
    fn release(&mut self) -> Checked {
        let durable = self.coordinator.ledger.seq();
        while self.coordinator.outbox.front().is_some_and(|(rests_on, _)| *rests_on <= durable) {
            match self.coordinator.outbox.pop_front() {
                Some((_, Departure::Answer(worker, answer))) => {
                    self.check_answer(&answer)?;
                    if let Some(machine) = self.machine_of(&worker) {
                        self.transmit(Some(machine), Event::Answer { machine, answer });
                    }
                }
                Some((_, Departure::Reply(reply))) => {
                    self.check_reply(&reply)?;
                    self.transmit(None, Event::Replied(reply));
                }
                None => {}
            }
        }
        Ok(())
    }

    fn plan_wake(&mut self) {
        let Some(core) = &self.coordinator.core else { return };
        // A wake that never comes is `u64::MAX` or none.
        let Some(at_ms) = core.next_wake().filter(|at_ms| *at_ms < u64::MAX / 2) else { return };
        if self.coordinator.woken_at_ms.is_some_and(|planned| planned <= at_ms && planned > self.now_ms) {
            return;
        }
        let at_ms = at_ms.max(self.now_ms + 1);
        self.coordinator.woken_at_ms = Some(at_ms);
        let life = self.coordinator.life;
        self.after(at_ms - self.now_ms, Event::Wake { life });
    }

    pub(crate) fn woken(&mut self, life: u64) -> Checked {
        if life != self.coordinator.life {
            return Ok(());
        }
        self.coordinator.woken_at_ms = None;
        self.pursue()
    }

    pub(crate) fn report_arrives(&mut self, machine: usize, report: Report) -> Checked {
        if self.coordinator.core.is_none() {
            self.call_breaks(machine);
            return Ok(());
        }
        let (worker, session, number) = (report.worker.id.clone(), report.session.clone(), report.number);
        self.submit(Input::Report(report.clone()))?;
        self.observe(Observation::Report(report));
        let life = self.coordinator.life;
        self.after(HANG_MS, Event::Hung { life, worker, session, number });
        self.pursue()
    }

    pub(crate) fn hung(&mut self, life: u64, worker: &WorkerId, session: &SessionId, number: u64) -> Checked {
        // Most calls were answered long ago: their timers are no events.
        self.handled -= 1;
        if life != self.coordinator.life {
            return Ok(());
        }
        let Some(core) = &mut self.coordinator.core else { return Ok(()) };
        let is_newest =
            core.soft().fleet().member(worker).is_some_and(|member| {
                member.session == *session && member.number == number && member.is_open
            });
        if !is_newest {
            return Ok(());
        }
        self.handled += 1;
        if let Some(answer) = core.answer_now(worker) {
            self.coordinator.let_leave(Departure::Answer(worker.clone(), Box::new(answer)));
        }
        self.pursue()
    }

    pub(crate) fn disconnected(&mut self, life: u64, worker: WorkerId) -> Checked {
        if life != self.coordinator.life || self.coordinator.core.is_none() {
            return Ok(());
        }
        self.observe(Observation::Disconnected(worker));
        self.pursue()
    }
}

/// The kinds of record that may follow from an input that no person sent.
fn allowed(input: &Input) -> Option<&'static [&'static str]> {
    match input {
        Input::Report(_) => Some(&["attempt_ended", "report_superseded", "worker_drained"]),
        Input::Lose(_) => Some(&["attempt_ended", "worker_drained"]),
        Input::Refused { .. } => Some(&["lever_refused"]),
        Input::Start { .. } | Input::Client { .. } | Input::Step(_) => None,
    }
}

/// I6: a lease is given on devices that are free by their host's last word, on a worker that is there.
fn check_lease(core: &Core, body: &Body) -> Checked {
    let Body::AttemptLeased { order, worker, .. } = body else { return Ok(()) };
    let Some(member) = core.soft().fleet().member(worker) else {
        return broken("I6", format!("{} is leased to {worker}, which never spoke", order.key));
    };
    hold(member.presence == Presence::Ready, "I6", || {
        format!("{} is leased to {worker}, which is {:?}", order.key, member.presence)
    })?;
    for device in &order.devices {
        let state = member.devices.iter().find(|known| known.id == *device).map(|known| &known.state);
        hold(state == Some(&DeviceState::Free), "I6", || {
            format!("{} is leased {device}, which its host says is {state:?}", order.key)
        })?;
    }
    Ok(())
}
