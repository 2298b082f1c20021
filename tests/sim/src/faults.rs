//! What breaks, and how often.

use crate::coverage::{FAULTS, Fault};
use crate::machine::Cut;
use crate::random::Random;
use crate::violation::Checked;
use crate::world::{Event, World};
use windlass_engine::attempt::Event as HostEvent;
use windlass_shared::device::DeviceState;
use windlass_shared::id::WorkerId;
use windlass_shared::record::Body;

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
            think_max_ms: random.range(3_000, 14_000),
            crash_in_a_thousand: random.range(0, 20),
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

/// One fault that waits for one kind of record: every pair has histories of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ambush {
    pub(crate) fault: Fault,
    pub(crate) kind: &'static str,
    left: u32,
}

impl Ambush {
    /// The pair of this seed, a few times. Rare records have more seeds.
    pub(crate) fn of(seed: u64) -> Self {
        const RARE: [(&str, usize); 5] = [
            ("report_superseded", 3),
            ("fix_applied", 5),
            ("lever_passed", 4),
            ("lever_held", 2),
            ("finding_marked", 2),
        ];
        // Pairs that need more than chance: every twentieth seed is theirs.
        const HARD: [(Fault, &str); 5] = [
            (Fault::GatherFailed, "fix_applied"),
            (Fault::GatherFailed, "report_superseded"),
            (Fault::GatherFailed, "campaign_stopped"),
            (Fault::ShimKilled, "lever_passed"),
            (Fault::CrashBeforeCommit, "lever_passed"),
        ];
        if seed % 20 == 19 {
            let (fault, kind) = HARD[((seed / 20) % HARD.len() as u64) as usize];
            return Self { fault, kind, left: 12 };
        }
        let fault = FAULTS[(seed % FAULTS.len() as u64) as usize];
        let rare = RARE.iter().flat_map(|(kind, times)| std::iter::repeat_n(*kind, *times));
        let kinds: Vec<&'static str> = Body::KINDS.into_iter().chain(rare).collect();
        let kind = kinds[((seed / FAULTS.len() as u64) % kinds.len() as u64) as usize];
        Self { fault, kind, left: 12 }
    }

    /// Whether its record needs a campaign with literature.
    pub(crate) fn is_for_findings(&self) -> bool {
        ["review_recorded", "finding_recorded", "finding_marked"].contains(&self.kind)
    }

    /// Whether its record is rare and must be helped on.
    pub(crate) fn is_for(&self, kind: &str) -> bool {
        self.kind == kind
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
        let helped = self.ambush.is_for("report_superseded") && self.random.chance(500);
        match self.random.below(100) {
            // A pause in the middle of a run makes the late reports that are superseded.
            _ if helped => self.inject(Fault::DaemonPaused),
            0..14 => self.inject(Fault::DaemonKilled),
            14..28 => self.inject(Fault::ShimKilled),
            28..38 => self.inject(Fault::DaemonPaused),
            38..48 => self.inject(Fault::Partition),
            48..58 => self.inject(Fault::Disconnected),
            58..66 => self.inject(Fault::MachineDied),
            66..72 => self.inject(Fault::MachineReimaged),
            72..82 => self.inject(Fault::ClockJumped),
            82..88 => {
                let machine = self.some_machine();
                self.outsiders(machine)?;
            }
            88..92 => self.inject(Fault::LedgerRestored),
            _ => self.inject(Fault::CrashBeforeCommit),
        }
        Ok(())
    }

    /// Whether the ambush of this history springs at a record of this kind.
    pub(crate) fn springs(&mut self, fault: Fault, kind: &str) -> bool {
        let ambush = &mut self.ambush;
        let springs = self.weather.is_foul && ambush.fault == fault && ambush.kind == kind && ambush.left > 0;
        ambush.left -= u32::from(springs);
        springs
    }

    /// A record was committed: its ambush springs at once.
    pub(crate) fn spring(&mut self, kind: &str) {
        let fault = self.ambush.fault;
        let is_own = matches!(fault, Fault::CrashBeforeCommit | Fault::CrashAfterCommit);
        if !is_own && self.springs(fault, kind) {
            self.after(0, Event::Springs { tries: 15 });
        }
    }

    /// Springs, or waits for a shim to kill or a gathering to fail while its record is still young.
    pub(crate) fn spring_now(&mut self, tries: u32) -> Checked {
        if !self.weather.is_foul {
            return Ok(());
        }
        let fault = self.ambush.fault;
        let is_able = match fault {
            Fault::GatherFailed => self.is_gathering(),
            _ => (0..self.machines.len()).any(|machine| self.can_hit(fault, machine)),
        };
        if is_able || tries == 0 {
            self.inject(fault);
        } else {
            self.after(300, Event::Springs { tries: tries - 1 });
        }
        Ok(())
    }

    fn some_machine(&mut self) -> usize {
        self.random.below(self.machines.len() as u64) as usize
    }

    /// Does it now, where it can be done; messages and gatherings meet theirs with the next one.
    fn inject(&mut self, fault: Fault) {
        let mut able: Vec<usize> = (0..self.machines.len()).filter(|m| self.can_hit(fault, *m)).collect();
        if able.iter().any(|machine| !self.machines[*machine].shims.is_empty()) {
            able.retain(|machine| !self.machines[*machine].shims.is_empty());
        }
        let machine = self.random.pick(&able).copied();
        match (fault, machine) {
            (Fault::DaemonKilled, Some(machine)) => self.kill_daemon(machine),
            (Fault::ShimKilled, Some(machine)) => self.kill_shim(machine),
            (Fault::DaemonPaused, Some(machine)) => self.pause_daemon(machine),
            (Fault::Partition, Some(machine)) => self.partition(machine),
            (Fault::Disconnected, Some(machine)) => self.disconnect(machine),
            (Fault::MachineDied, Some(machine)) => self.cut_power(machine, false),
            (Fault::MachineReimaged, Some(machine)) => self.cut_power(machine, true),
            (Fault::ClockJumped, _) => self.jump_clock(),
            (Fault::LedgerRestored | Fault::CrashBeforeCommit | Fault::CrashAfterCommit, _) => {
                self.kill_coordinator(fault);
            }
            (Fault::GatherFailed, _) => {
                self.hasten_gathering();
                self.forced = Some(fault);
            }
            (Fault::MessageLost | Fault::MessageDoubled | Fault::MessageDelayed, _) => {
                self.forced = Some(fault);
            }
            (_, None) => {}
        }
    }

    fn can_hit(&self, fault: Fault, machine: usize) -> bool {
        let machine = &self.machines[machine];
        match fault {
            Fault::ShimKilled => !machine.shims.is_empty(),
            Fault::DaemonKilled => machine.daemon.is_some(),
            Fault::DaemonPaused => machine.daemon.is_some() && machine.paused.is_none(),
            Fault::MachineDied | Fault::MachineReimaged => machine.has_power,
            _ => true,
        }
    }

    /// Whether this fault is due by chance, or was asked for by an ambush.
    pub(crate) fn is_due(&mut self, fault: Fault, in_a_thousand: u64) -> bool {
        if self.forced == Some(fault) {
            self.forced = None;
            return true;
        }
        self.random.chance(in_a_thousand)
    }

    fn kill_daemon(&mut self, machine: usize) {
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
        self.machines[machine].paused = Some(Vec::new());
        self.hit(Fault::DaemonPaused);
        let delay_ms = self.random.range(10_000, 80_000);
        self.after(delay_ms, Event::DaemonResumes { machine });
    }

    /// Both ways or one way.
    fn partition(&mut self, machine: usize) {
        // It heals with the next one, or when the weather does.
        let cut = match self.random.below(if self.machines[machine].cut.is_some() { 4 } else { 3 }) {
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
            self.coverage.hit_beside(fault, self.now_ms, &[]);
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
