//! The simulated world and its one queue of events. Every event is handled whole before the next.

use crate::client::{Client, Reply};
use crate::coordinator::Coordinator;
use crate::coverage::{Coverage, Fault};
use crate::faults::{Ambush, Weather};
use crate::life::Truth;
use crate::machine::{DaemonEvent, Machine};
use crate::random::Random;
use crate::violation::{Checked, hold};
use std::collections::BTreeMap;
use windlass_engine::gate::facts::{ProposalWanted, Wanted};
use windlass_shared::attempt::AttemptKey;
use windlass_shared::id::{SessionId, WorkerId};
use windlass_shared::session::{Answer, Report};
use windlass_shared::time::Time;

/// Wall time at the start: some day in 2026.
const WALL_START_MS: i64 = 1_780_000_000_000;

/// Everything that can happen.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A report reaches the coordinator.
    Report { machine: usize, report: Box<Report> },
    /// An answer reaches a machine.
    Answer { machine: usize, answer: Box<Answer> },
    /// Something within one life of a worker daemon.
    Daemon { machine: usize, boot: u64, what: DaemonEvent },
    /// A shim's tree is dead by itself.
    ShimEnds { machine: usize, key: AttemptKey },
    /// A worker daemon starts.
    DaemonStarts { machine: usize },
    /// A stopped worker daemon goes on.
    DaemonResumes { machine: usize },
    /// A machine has power again, perhaps with an empty disk.
    MachineReturns { machine: usize, is_reimaged: bool },
    /// The disk has the batch.
    Committed { life: u64 },
    /// The coordinator starts.
    CoordinatorStarts,
    /// The core asked to be woken.
    Wake { life: u64 },
    /// A report has hung long enough.
    Hung { life: u64, worker: WorkerId, session: SessionId, number: u64 },
    /// A worker's connection was seen to break.
    Disconnected { life: u64, worker: WorkerId },
    /// Facts were looked for.
    Gathered { life: u64, wanted: Wanted },
    /// A proposal's facts were looked for.
    Judged { life: u64, call: usize, wanted: Box<ProposalWanted>, tries: u32 },
    /// A request reaches the coordinator.
    Request { call: usize, is_other_body: bool },
    /// A reply reaches the client.
    Replied(Box<Reply>),
    /// The client does something.
    ClientActs,
    /// The client asks again, if it has no answer.
    ClientRetries { call: usize },
    /// Something breaks.
    Breaks,
    /// An ambush springs, or waits a little for something to hit.
    Springs { tries: u32 },
}

/// One coordinator, its workers, its client, the network between them.
pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) seed: u64,
    pub(crate) now_ms: u64,
    pub(crate) wall_offset_ms: i64,
    queue: BTreeMap<(u64, u64), Event>,
    scheduled: u64,
    pub(crate) handled: u64,
    /// The ledger's end when live state and replayed state were last compared.
    pub(crate) compared_seq: u64,
    pub(crate) coordinator: Coordinator,
    pub(crate) machines: Vec<Machine>,
    pub(crate) client: Client,
    pub(crate) truth: Truth,
    pub(crate) weather: Weather,
    pub(crate) coverage: Coverage,
    pub(crate) drawn: u64,
    pub(crate) ambush: Ambush,
    /// A fault that the next message or gathering meets.
    pub(crate) forced: Option<Fault>,
    pub(crate) trace: Option<Vec<String>>,
}

impl World {
    pub(crate) fn new(seed: u64, wants_trace: bool) -> Self {
        let mut random = Random::new(seed);
        let machines = (0..random.range(2, 4)).map(|index| Machine::new(index as usize, &mut random));
        let machines = machines.collect();
        Self {
            seed,
            now_ms: 1_000,
            wall_offset_ms: 0,
            queue: BTreeMap::new(),
            scheduled: 0,
            handled: 0,
            compared_seq: 0,
            coordinator: Coordinator::default(),
            machines,
            client: Client::default(),
            truth: Truth::default(),
            weather: Weather::foul(&mut random),
            coverage: Coverage::default(),
            drawn: 0,
            ambush: Ambush::of(seed),
            forced: None,
            trace: wants_trace.then(Vec::new),
            random,
        }
    }

    /// Everything starts, and breaks for this many events.
    pub(crate) fn storm(&mut self, events: u64) -> Checked {
        self.begin();
        while self.handled < events && self.step()? {}
        Ok(())
    }

    fn begin(&mut self) {
        self.after(0, Event::CoordinatorStarts);
        for machine in 0..self.machines.len() {
            let delay_ms = self.random.range(1, 3_000);
            self.after(delay_ms, Event::DaemonStarts { machine });
        }
        self.after(100, Event::ClientActs);
        self.after(2_000, Event::Breaks);
    }

    pub(crate) fn time(&self) -> Time {
        let wall_ms = WALL_START_MS + self.now_ms as i64 + self.wall_offset_ms;
        Time { wall_ms, mono_ms: self.now_ms }
    }

    pub(crate) fn after(&mut self, delay_ms: u64, event: Event) {
        self.scheduled += 1;
        self.queue.insert((self.now_ms + delay_ms, self.scheduled), event);
    }

    pub(crate) fn is_gathering(&self) -> bool {
        self.queue.values().any(|event| matches!(event, Event::Gathered { .. }))
    }

    /// A gathering that is under way ends now.
    pub(crate) fn hasten_gathering(&mut self) {
        let under_way = self.queue.iter().find(|(_, event)| matches!(event, Event::Gathered { .. }));
        if let Some(at) = under_way.map(|(at, _)| *at)
            && let Some(event) = self.queue.remove(&at)
        {
            self.after(0, event);
        }
    }

    /// A text that was never drawn before, in the order of drawing.
    pub(crate) fn draw(&mut self, what: &str) -> String {
        self.drawn += 1;
        format!("{what}-{:06}", self.drawn)
    }

    pub(crate) fn say(&mut self, line: impl FnOnce() -> String) {
        let now_ms = self.now_ms;
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>8}.{:03} {}", now_ms / 1000, now_ms % 1000, line()));
        }
    }

    /// A fault hits: beside the records on their way to the disk, and those that just arrived there.
    pub(crate) fn hit(&mut self, fault: Fault) {
        self.say(|| format!("FAULT {fault:?}"));
        let uncommitted: Vec<&'static str> = self.coordinator.uncommitted_kinds().collect();
        self.coverage.hit_beside(fault, self.now_ms, &uncommitted);
    }

    /// Handles the next event, and holds the world against its invariants.
    pub(crate) fn step(&mut self) -> Checked<bool> {
        let Some(((at_ms, _), event)) = self.queue.pop_first() else { return Ok(false) };
        self.now_ms = at_ms;
        self.handled += 1;
        if self.trace.is_some() {
            let line = crate::network::show(&event);
            self.say(|| line);
        }
        self.handle(event)?;
        if self.coordinator.doomed.is_some() {
            self.crash()?;
        }
        self.check_all()?;
        Ok(true)
    }

    fn handle(&mut self, event: Event) -> Checked {
        match event {
            Event::Report { machine, report } => self.report_arrives(machine, *report),
            Event::Answer { machine, answer } => self.answer_arrives(machine, *answer),
            Event::Daemon { machine, boot, what } => self.daemon_event(machine, boot, what),
            Event::ShimEnds { machine, key } => self.shim_ends(machine, &key),
            Event::DaemonStarts { machine } => self.daemon_starts(machine),
            Event::DaemonResumes { machine } => self.daemon_resumes(machine),
            Event::MachineReturns { machine, is_reimaged } => self.machine_returns(machine, is_reimaged),
            Event::Committed { life } => self.committed(life),
            Event::CoordinatorStarts => self.coordinator_starts(),
            Event::Wake { life } => self.woken(life),
            Event::Hung { life, worker, session, number } => self.hung(life, &worker, &session, number),
            Event::Disconnected { life, worker } => self.disconnected(life, worker),
            Event::Gathered { life, wanted } => self.gathered(life, &wanted),
            Event::Judged { life, call, wanted, tries } => self.judged(life, call, &wanted, tries),
            Event::Request { call, is_other_body } => self.request_arrives(call, is_other_body),
            Event::Replied(reply) => self.reply_arrives(*reply),
            Event::ClientActs => self.client_acts(),
            Event::ClientRetries { call } => self.client_retries(call),
            Event::Breaks => self.breaks(),
            Event::Springs { tries } => self.spring_now(tries),
        }
    }

    /// The machine that a worker id lives on.
    pub(crate) fn machine_of(&self, worker: &WorkerId) -> Option<usize> {
        self.machines.iter().position(|machine| machine.info.id == *worker)
    }

    /// I6: by the hosts' truth, a device never has two live attempts.
    pub(crate) fn check_devices(&self) -> Checked {
        for machine in &self.machines {
            let mut users: BTreeMap<_, &AttemptKey> = BTreeMap::new();
            for (key, shim) in &machine.shims {
                for device in &shim.devices {
                    let other = users.insert(device, key);
                    hold(other.is_none(), "I6", || {
                        format!("{device} of {} has {key} and {}", machine.info.id, show(other))
                    })?;
                }
            }
        }
        Ok(())
    }
}

fn show(key: Option<&AttemptKey>) -> String {
    key.map_or_else(String::new, ToString::to_string)
}
