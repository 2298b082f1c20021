//! What breaks, and how often.

use crate::coverage::Fault;
use crate::machine::Cut;
use crate::random::Random;
use crate::violation::Checked;
use crate::world::{Event, World};
use windlass_engine::attempt::Event as HostEvent;
use windlass_shared::device::DeviceState;
use windlass_shared::id::WorkerId;

/// How bad it is: chances in a thousand, and the longest waits.
#[derive(Clone, Debug)]
pub(crate) struct Weather {
    pub(crate) is_foul: bool,
    pub(crate) lose_in_a_thousand: u64,
    pub(crate) double_in_a_thousand: u64,
    pub(crate) delay_in_a_thousand: u64,
    pub(crate) delay_max_ms: u64,
    pub(crate) commit_max_ms: u64,
    pub(crate) gather_max_ms: u64,
    pub(crate) think_max_ms: u64,
    pub(crate) crash_in_a_thousand: u64,
    pub(crate) gather_fails_in_a_thousand: u64,
    pub(crate) prepare_fails_in_a_thousand: u64,
    pub(crate) machinery_in_a_thousand: u64,
    breaks_max_ms: u64,
}

impl Weather {
    /// Every history has its own climate.
    pub(crate) fn foul(random: &mut Random) -> Self {
        Self {
            is_foul: true,
            lose_in_a_thousand: random.range(0, 60),
            double_in_a_thousand: random.range(0, 60),
            delay_in_a_thousand: random.range(0, 40),
            delay_max_ms: random.range(2, 300),
            commit_max_ms: random.range(1, 400),
            gather_max_ms: random.range(2, 1_500),
            think_max_ms: random.range(1_500, 6_000),
            crash_in_a_thousand: random.range(0, 35),
            gather_fails_in_a_thousand: random.range(0, 120),
            prepare_fails_in_a_thousand: random.range(0, 60),
            machinery_in_a_thousand: random.range(0, 160),
            breaks_max_ms: random.range(3_000, 30_000),
        }
    }

    /// Nothing breaks any more.
    pub(crate) fn fair() -> Self {
        Self {
            is_foul: false,
            lose_in_a_thousand: 0,
            double_in_a_thousand: 0,
            delay_in_a_thousand: 0,
            delay_max_ms: 20,
            commit_max_ms: 20,
            gather_max_ms: 50,
            think_max_ms: 1_000,
            crash_in_a_thousand: 0,
            gather_fails_in_a_thousand: 0,
            prepare_fails_in_a_thousand: 0,
            machinery_in_a_thousand: 0,
            breaks_max_ms: 1_000,
        }
    }
}

impl World {
    /// One fault, and the next one planned.
    pub(crate) fn breaks(&mut self) -> Checked {
        if !self.weather.is_foul {
            return Ok(());
        }
        let delay_ms = self.random.range(200, self.weather.breaks_max_ms);
        self.after(delay_ms, Event::Breaks);
        let machine = self.random.below(self.machines.len() as u64) as usize;
        match self.random.below(100) {
            0..14 => self.kill_daemon(machine),
            14..28 => self.kill_shim(machine),
            28..38 => self.pause_daemon(machine),
            38..48 => self.partition(machine),
            48..58 => self.disconnect(machine),
            58..66 => self.cut_power(machine, false),
            66..72 => self.cut_power(machine, true),
            72..82 => self.jump_clock(),
            82..88 => self.outsiders(machine)?,
            88..92 => self.kill_coordinator(Fault::LedgerRestored),
            _ => self.kill_coordinator(Fault::CrashBeforeCommit),
        }
        Ok(())
    }

    fn kill_daemon(&mut self, machine: usize) {
        if self.machines[machine].daemon.is_none() {
            return;
        }
        self.hit(Fault::DaemonKilled);
        self.machines[machine].kill_daemon();
        let delay_ms = self.random.range(50, 20_000);
        self.after(delay_ms, Event::DaemonStarts { machine });
    }

    /// The tree dies with its shim, and no record is left.
    fn kill_shim(&mut self, machine: usize) {
        let keys: Vec<_> = self.machines[machine].shims.keys().cloned().collect();
        let Some(key) = self.random.pick(&keys).cloned() else { return };
        self.hit(Fault::ShimKilled);
        self.machines[machine].shims.remove(&key);
        let delay_ms = self.random.range(1, 500);
        let event = crate::machine::DaemonEvent::Host(HostEvent::ShimEnded(key, None));
        self.later(machine, delay_ms, event);
    }

    fn pause_daemon(&mut self, machine: usize) {
        let m = &mut self.machines[machine];
        if m.daemon.is_none() || m.paused.is_some() {
            return;
        }
        m.paused = Some(Vec::new());
        self.hit(Fault::DaemonPaused);
        let delay_ms = self.random.range(5_000, 90_000);
        self.after(delay_ms, Event::DaemonResumes { machine });
    }

    /// Both ways or one way; it heals with the next one, or when the weather does.
    fn partition(&mut self, machine: usize) {
        let cut = match self.random.below(4) {
            0 => Some(Cut::Both),
            1 => Some(Cut::Reports),
            2 => Some(Cut::Answers),
            _ => None,
        };
        if cut.is_some() {
            self.hit(Fault::Partition);
        }
        self.machines[machine].cut = cut;
    }

    fn disconnect(&mut self, machine: usize) {
        self.hit(Fault::Disconnected);
        let worker = self.machines[machine].info.id.clone();
        let life = self.coordinator.life;
        self.after(1, Event::Disconnected { life, worker });
        if self.random.chance(700) {
            self.call_breaks(machine);
        }
    }

    /// Machine 0 always comes back; another may stay away for good.
    fn cut_power(&mut self, machine: usize, is_reimaged: bool) {
        let m = &mut self.machines[machine];
        if !m.has_power {
            return;
        }
        m.kill_daemon();
        m.shims.clear();
        m.has_power = false;
        self.hit(if is_reimaged { Fault::MachineReimaged } else { Fault::MachineDied });
        if machine == 0 || is_reimaged || self.random.chance(850) {
            let delay_ms = self.random.range(3_000, 120_000);
            self.after(delay_ms, Event::MachineReturns { machine, is_reimaged });
        }
    }

    pub(crate) fn machine_returns(&mut self, machine: usize, is_reimaged: bool) -> Checked {
        let m = &mut self.machines[machine];
        if m.has_power {
            return Ok(());
        }
        m.has_power = true;
        if is_reimaged {
            m.identities += 1;
            m.info.id = WorkerId(format!("w{machine}-{}", m.identities));
            m.spool.clear();
            m.kept.clear();
        }
        self.daemon_starts(machine)
    }

    fn jump_clock(&mut self) {
        self.hit(Fault::ClockJumped);
        self.wall_offset_ms += self.random.range(0, 14_400_000) as i64 - 7_200_000;
    }

    fn kill_coordinator(&mut self, fault: Fault) {
        if self.coordinator.core.is_none() {
            return;
        }
        if fault == Fault::LedgerRestored {
            let last = self.coordinator.ledger.last_kind;
            if let Some(kind) = last {
                self.coverage.hit(fault, kind);
            }
        }
        self.coordinator.doomed = Some(fault);
    }

    /// Somebody else takes devices, or one is quarantined, or all is well again.
    pub(crate) fn outsiders(&mut self, machine: usize) -> Checked {
        let is_foul = self.weather.is_foul;
        let state = match self.random.below(4) {
            0 if is_foul => DeviceState::Outsider { who: "4711 somebody else".to_owned() },
            1 if is_foul => DeviceState::Quarantined { reason: "memory is held".to_owned() },
            _ => DeviceState::Free,
        };
        let index = self.random.below(self.machines[machine].devices.len() as u64) as usize;
        for (at, device) in self.machines[machine].devices.iter_mut().enumerate() {
            device.state = if at == index { state.clone() } else { DeviceState::Free };
        }
        let devices = self.machines[machine].devices.clone();
        self.later(machine, 1, crate::machine::DaemonEvent::Host(HostEvent::Devices(devices)));
        Ok(())
    }
}
