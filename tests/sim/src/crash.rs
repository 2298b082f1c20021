//! The coordinator's death and start: a new core fed by a replay of what is durable, and nothing else.

use crate::coverage::Fault;
use crate::life::Life;
use crate::violation::{Checked, hold};
use crate::world::{Event, World};
use windlass_engine::core::{Core, Input};
use windlass_shared::id::Incarnation;

impl World {
    /// Kills the coordinator where it stands.
    pub(crate) fn crash(&mut self) -> Checked {
        let Some(fault) = self.coordinator.doomed else { return Ok(()) };
        self.say(|| format!("FAULT {fault:?}"));
        let kinds: Vec<_> = match fault {
            Fault::CrashAfterCommit => self.coordinator.writing_kinds().collect(),
            _ => self.coordinator.uncommitted_kinds().collect(),
        };
        for kind in kinds {
            self.coverage.hit(fault, kind);
        }
        // The disk may have had the batch before the process could know.
        let is_written = fault == Fault::CrashAfterCommit || self.random.chance(300);
        let batch = self.coordinator.die();
        if is_written {
            self.commit(&batch)?;
        }
        if fault == Fault::LedgerRestored {
            self.restore();
        }
        self.rebuild_model()?;
        for machine in 0..self.machines.len() {
            self.call_breaks(machine);
        }
        let delay_ms = self.random.range(10, 5_000);
        self.after(delay_ms, Event::CoordinatorStarts);
        Ok(())
    }

    /// An operator puts an older copy of the ledger in place (I15).
    fn restore(&mut self) {
        let transactions = self.random.range(1, 12) as usize;
        self.coordinator.ledger = self.coordinator.ledger.older_copy(transactions);
        self.client.forget_what_is_not_in(&self.coordinator.ledger);
    }

    fn rebuild_model(&mut self) -> Checked {
        let mut model = Life::default();
        for record in self.coordinator.ledger.records() {
            model.take(&record, &self.truth)?;
        }
        self.coordinator.model = model;
        Ok(())
    }

    pub(crate) fn coordinator_starts(&mut self) -> Checked {
        if self.coordinator.core.is_some() {
            return Ok(());
        }
        let core = self.replay()?;
        self.coordinator.core = Some(core);
        self.check_requests()?;
        let incarnation = Incarnation(self.random.next());
        self.submit(Input::Start { incarnation, version: "simulated".to_owned() })?;
        self.pursue()
    }

    /// A replay gives the same bytes as the fold that was kept alongside.
    pub(crate) fn replay(&self) -> Checked<Core> {
        let mut core = Core::new();
        for record in self.coordinator.ledger.records() {
            core.apply(&record);
        }
        let bytes = |durable| serde_json::to_vec(durable).expect("the state is representable");
        hold(bytes(core.durable()) == bytes(&self.coordinator.ledger.shadow), "replay", || {
            "a replay of the ledger gives other bytes".to_owned()
        })?;
        Ok(core)
    }
}
