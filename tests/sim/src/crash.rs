//! The coordinator's death and start: a new core fed by a replay of what is durable, and nothing else.

use crate::coverage::Fault;
use crate::life::Life;
use crate::violation::{Checked, hold};
use crate::world::{Event, World};
use windlass_engine::core::{Core, Durable, Input};
use windlass_shared::id::Incarnation;

/// How often, in a thousand starts, the coordinator goes on from a snapshot.
const SNAPSHOT_IN_A_THOUSAND: u64 = 500;

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

    /// A replay gives the same bytes as the fold that was kept alongside, from the beginning as well as from
    /// a snapshot of some earlier moment.
    pub(crate) fn replay(&mut self) -> Checked<Core> {
        let rows = self.coordinator.ledger.seq();
        let cut = if self.random.chance(SNAPSHOT_IN_A_THOUSAND) { self.random.range(0, rows) } else { 0 };
        let mut durable = Durable::default();
        for record in self.coordinator.ledger.records().take(cut as usize) {
            durable.apply(&record);
        }
        let mut bytes = Vec::new();
        durable.write_to(&mut bytes).expect("a state is representable");
        let snapshot = Durable::read_from(bytes.as_slice()).expect("a state reads back");
        // Debug names every field, also one that is left out of what is written.
        hold(format!("{snapshot:?}") == format!("{durable:?}"), "replay", || {
            "a snapshot reads back as another state than it was written from".to_owned()
        })?;
        let mut core = Core::new().resumed(snapshot);
        for record in self.coordinator.ledger.records().skip(cut as usize) {
            core.apply(&record);
        }
        let bytes = |durable| serde_json::to_vec(durable).expect("the state is representable");
        hold(bytes(core.durable()) == bytes(&self.coordinator.ledger.shadow), "replay", || {
            "a replay of the ledger gives other bytes".to_owned()
        })?;
        Ok(core)
    }
}
