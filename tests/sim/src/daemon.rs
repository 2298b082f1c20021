//! The worker daemon's driver over the engine's machine: it carries out actions, keeps the spool, and
//! speaks. It decides nothing.

use crate::life::Made;
use crate::machine::{DaemonEvent, Shim, Spooled};
use crate::violation::{Checked, broken, hold};
use crate::world::{Event, World};
use windlass_engine::attempt::{Action, Event as HostEvent, ExitRecord, Host, Recovered, Recovery};
use windlass_shared::attempt::{AttemptKey, Ending, Outcome};
use windlass_shared::device::DeviceState;
use windlass_shared::id::SessionId;
use windlass_shared::session::Answer;

/// A call without an answer is given up after this long: past the time that it may hang.
const CALL_MS: u64 = 23_000;

impl World {
    pub(crate) fn daemon_starts(&mut self, machine: usize) -> Checked {
        let session = SessionId(self.draw("s"));
        let (time, now_ms) = (self.time(), self.now_ms);
        let m = &mut self.machines[machine];
        if !m.has_power || m.daemon.is_some() {
            return Ok(());
        }
        m.boot += 1;
        let mut host = Host::new(m.info.clone(), session);
        let mut actions = host.handle(time, HostEvent::Devices(m.devices.clone()));
        let found = m.spool.iter().map(|(key, spooled)| {
            let is_alive = m.shims.contains_key(key);
            Recovered { order: spooled.order.clone(), state: recovery(spooled, is_alive, now_ms) }
        });
        actions.extend(host.handle(time, HostEvent::Recovered(found.collect())));
        m.daemon = Some(host);
        actions.push(Action::Report);
        self.act(machine, actions)
    }

    /// A stopped daemon takes what came for it, in order.
    pub(crate) fn daemon_resumes(&mut self, machine: usize) -> Checked {
        let waiting = self.machines[machine].paused.take().unwrap_or_default();
        for event in waiting {
            self.after(0, event);
        }
        Ok(())
    }

    pub(crate) fn answer_arrives(&mut self, machine: usize, answer: Answer) -> Checked {
        if let Some(waiting) = &mut self.machines[machine].paused {
            waiting.push(Event::Answer { machine, answer: Box::new(answer) });
            return Ok(());
        }
        self.tell(machine, HostEvent::Answer(answer))
    }

    pub(crate) fn daemon_event(&mut self, machine: usize, boot: u64, what: DaemonEvent) -> Checked {
        let is_void = match &what {
            DaemonEvent::CallTimedOut { session, number } => {
                self.machines[machine].said.as_ref() != Some(&(session.clone(), *number))
            }
            _ => false,
        };
        if is_void || self.machines[machine].boot != boot {
            self.handled -= 1;
            return Ok(());
        }
        if let Some(waiting) = &mut self.machines[machine].paused {
            waiting.push(Event::Daemon { machine, boot, what });
            return Ok(());
        }
        match what {
            DaemonEvent::Host(event) => self.tell(machine, event),
            DaemonEvent::Collected { key, has_record } => self.collected(machine, key, has_record),
            DaemonEvent::CallTimedOut { .. } | DaemonEvent::SpeaksAgain => {
                self.speak(machine);
                Ok(())
            }
        }
    }

    fn tell(&mut self, machine: usize, event: HostEvent) -> Checked {
        let time = self.time();
        let Some(host) = &mut self.machines[machine].daemon else { return Ok(()) };
        let actions = host.handle(time, event);
        self.act(machine, actions)
    }

    /// The connection of a daemon's hanging call is gone; it notices soon.
    pub(crate) fn call_breaks(&mut self, machine: usize) {
        let delay_ms = self.random.range(200, 3_000);
        self.later(machine, delay_ms, DaemonEvent::SpeaksAgain);
    }

    pub(crate) fn later(&mut self, machine: usize, delay_ms: u64, what: DaemonEvent) {
        let boot = self.machines[machine].boot;
        self.after(delay_ms, Event::Daemon { machine, boot, what });
    }

    fn speak(&mut self, machine: usize) {
        let time = self.time();
        let Some(host) = &mut self.machines[machine].daemon else { return };
        let report = Box::new(host.report(time));
        let (session, number) = (report.session.clone(), report.number);
        self.machines[machine].said = Some((session.clone(), number));
        self.later(machine, CALL_MS, DaemonEvent::CallTimedOut { session, number });
        self.transmit(Some(machine), Event::Report { machine, report });
    }

    fn act(&mut self, machine: usize, actions: Vec<Action>) -> Checked {
        let mut actions = std::collections::VecDeque::from(actions);
        let mut speaks = false;
        while let Some(action) = actions.pop_front() {
            match action {
                Action::Prepare(order) => self.prepare(machine, *order),
                Action::StartShim(key) => self.start_shim(machine, &key)?,
                Action::Terminate(key) => self.terminate(machine, key),
                Action::Collect(key, exit) => {
                    let delay_ms = self.random.range(2, 600);
                    let has_record = exit.is_some();
                    self.later(machine, delay_ms, DaemonEvent::Collected { key, has_record });
                }
                Action::Forget(key) => {
                    self.machines[machine].spool.remove(&key);
                }
                Action::Keep(key) => {
                    let m = &mut self.machines[machine];
                    m.spool.remove(&key);
                    m.kept.insert(key);
                }
                Action::Release(release) => self.lift_quarantine(machine, &release),
                Action::DrawSession => {
                    let session = SessionId(self.draw("s"));
                    let time = self.time();
                    if let Some(host) = &mut self.machines[machine].daemon {
                        actions.extend(host.handle(time, HostEvent::SessionDrawn(session)));
                    }
                }
                Action::Report => speaks = true,
                // The next report says it too; whether one goes out in between must not matter.
                Action::ReportSoon => speaks |= self.random.chance(500),
            }
        }
        if speaks {
            self.speak(machine);
        }
        Ok(())
    }

    /// Each release is carried out once: the device may have been quarantined anew since.
    fn lift_quarantine(&mut self, machine: usize, release: &windlass_shared::session::Release) {
        let m = &mut self.machines[machine];
        if m.released.insert(release.device.clone(), release.number) == Some(release.number) {
            return;
        }
        let is_it = |device: &&mut windlass_shared::device::Device| {
            device.id == release.device && matches!(device.state, DeviceState::Quarantined { .. })
        };
        for device in m.devices.iter_mut().filter(is_it) {
            device.state = DeviceState::Free;
        }
        let devices = m.devices.clone();
        self.later(machine, 1, DaemonEvent::Host(HostEvent::Devices(devices)));
    }

    /// The order is on disk before anything is done about it.
    fn prepare(&mut self, machine: usize, order: windlass_shared::attempt::Order) {
        let key = order.key.clone();
        let spooled = Spooled { order, started_ms: None, exit: None, outcome: None };
        if !self.machines[machine].spool.contains_key(&key) {
            // After a restored backup an order whose end was forgotten is carried out anew.
            self.truth.made.remove(&key);
            self.machines[machine].spool.insert(key.clone(), spooled);
        }
        let delay_ms = self.random.range(2, 1_500);
        let event = if self.random.chance(self.weather.prepare_fails_in_a_thousand) {
            let detail = "a blob could not be fetched".to_owned();
            HostEvent::PrepareFailed(key, Ending::Infra { detail })
        } else {
            HostEvent::Prepared(key)
        };
        self.later(machine, delay_ms, DaemonEvent::Host(event));
    }

    fn start_shim(&mut self, machine: usize, key: &AttemptKey) -> Checked {
        let Some(spooled) = self.machines[machine].spool.get(key) else {
            return broken("I6", format!("a shim of {key} is started without a spool"));
        };
        hold(spooled.started_ms.is_none() && spooled.exit.is_none(), "I6", || {
            format!("the shim of {key} is started twice")
        })?;
        let order = spooled.order.clone();
        let (duration_ms, mut outcome) = self.plan_outcome(&order);
        outcome.device_model = self.machines[machine].models(&order.devices);
        let now_ms = self.now_ms;
        let shim = Shim { devices: order.devices.clone(), outcome, started_ms: now_ms };
        let m = &mut self.machines[machine];
        m.shims.insert(key.clone(), shim);
        if let Some(spooled) = m.spool.get_mut(key) {
            spooled.started_ms = Some(now_ms);
        }
        self.after(duration_ms, Event::ShimEnds { machine, key: key.clone() });
        let delay_ms = self.random.range(1, 80);
        self.later(machine, delay_ms, DaemonEvent::Host(HostEvent::Started(key.clone())));
        Ok(())
    }

    fn terminate(&mut self, machine: usize, key: AttemptKey) {
        let Some(shim) = self.machines[machine].shims.get_mut(&key) else { return };
        shim.outcome = Outcome { duration_ms: 1, ..Outcome::bare(Ending::Cancelled) };
        let delay_ms = self.random.range(5, 3_000);
        self.after(delay_ms, Event::ShimEnds { machine, key });
    }

    /// The tree is dead; the exit record is on disk before anyone hears of it.
    pub(crate) fn shim_ends(&mut self, machine: usize, key: &AttemptKey) -> Checked {
        let now_ms = self.now_ms;
        let m = &mut self.machines[machine];
        let Some(shim) = m.shims.remove(key) else { return Ok(()) };
        let Some(spooled) = m.spool.get_mut(key) else { return Ok(()) };
        let exit = exit_record(key, &shim, now_ms);
        spooled.exit = Some(exit.clone());
        spooled.outcome = None;
        let tree = spooled.order.tree;
        self.truth.made.insert(key.clone(), Made { tree, outcome: shim.outcome });
        let delay_ms = self.random.range(0, 100);
        self.later(machine, delay_ms, DaemonEvent::Host(HostEvent::ShimEnded(key.clone(), Some(exit))));
        Ok(())
    }

    /// Results and log are up: the outcome goes to disk, then to the engine's machine.
    fn collected(&mut self, machine: usize, key: AttemptKey, has_record: bool) -> Checked {
        let m = &mut self.machines[machine];
        let Some(spooled) = m.spool.get_mut(&key) else { return Ok(()) };
        let outcome = match self.truth.made.get(&key) {
            Some(made) if has_record => made.outcome.clone(),
            _ => {
                // Without a record the tree is made dead first.
                m.shims.remove(&key);
                let outcome = Outcome { isolation: "none".to_owned(), ..Outcome::bare(Ending::Lost) };
                let made = Made { tree: spooled.order.tree, outcome: outcome.clone() };
                self.truth.made.insert(key.clone(), made);
                outcome
            }
        };
        spooled.outcome = Some(Box::new(outcome.clone()));
        self.tell(machine, HostEvent::Collected(key, Box::new(outcome)))
    }
}

fn recovery(spooled: &Spooled, is_alive: bool, now_ms: u64) -> Recovery {
    if let Some(outcome) = &spooled.outcome {
        return Recovery::Ended(outcome.clone());
    }
    if let Some(exit) = &spooled.exit {
        return Recovery::Exited(exit.clone());
    }
    match spooled.started_ms {
        Some(started_ms) if is_alive => Recovery::Running { elapsed_ms: now_ms - started_ms },
        Some(_) => Recovery::Gone,
        None => Recovery::Unstarted,
    }
}

fn exit_record(key: &AttemptKey, shim: &Shim, now_ms: u64) -> ExitRecord {
    let ending = &shim.outcome.ending;
    ExitRecord {
        key: key.clone(),
        code: Some(i32::from(*ending != Ending::Finished)),
        signal: None,
        soft_fired: *ending == Ending::SoftTimeout,
        hard_fired: *ending == Ending::HardTimeout,
        cancelled: *ending == Ending::Cancelled,
        oom_killed: matches!(ending, Ending::OutOfMemory { .. }),
        start_failure: None,
        started_wall_ms: 0,
        duration_ms: now_ms - shim.started_ms,
        log_bytes: 0,
        log_cut_bytes: 0,
        log_bytes_in_time: None,
        exceeded: None,
        disk_use: None,
    }
}
