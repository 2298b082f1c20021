//! A model of the ledger: what is durable, as bytes; what waits for the disk is the coordinator's and
//! goes with it.

use crate::violation::{Checked, hold};
use std::collections::{BTreeMap, BTreeSet};
use windlass_engine::core::Durable;
use windlass_shared::attempt::AttemptKey;
use windlass_shared::id::RequestId;
use windlass_shared::record::{Body, Record, Request};

/// The durable records.
#[derive(Default)]
pub(crate) struct Ledger {
    rows: Vec<Vec<u8>>,
    /// After how many rows each transaction ended: a copy of the ledger holds whole transactions.
    ends: Vec<usize>,
    /// The fold of the rows, made of their bytes.
    pub(crate) shadow: Durable,
    pub(crate) requests: BTreeMap<RequestId, Request>,
    pub(crate) leased: BTreeSet<AttemptKey>,
    pub(crate) ended: BTreeSet<AttemptKey>,
}

impl Ledger {
    pub(crate) fn seq(&self) -> u64 {
        self.rows.len() as u64
    }

    /// One transaction.
    pub(crate) fn commit(&mut self, records: &[Record]) -> Checked {
        for record in records {
            let bytes = serde_json::to_vec(record).expect("a record is representable");
            let read: Record = serde_json::from_slice(&bytes).expect("a record reads back");
            hold(read == *record, "replay", || format!("a record reads back otherwise: {record:?}"))?;
            hold(record.seq == self.seq() + 1, "I3", || {
                format!("record {} would follow {}", record.seq, self.seq())
            })?;
            self.note(&read);
            self.rows.push(bytes);
        }
        self.ends.push(self.rows.len());
        Ok(())
    }

    fn note(&mut self, record: &Record) {
        self.shadow.apply(record);
        if let Some(request) = &record.request {
            self.requests.insert(request.id.clone(), request.clone());
        }
        match &record.body {
            Body::AttemptLeased { order, .. } => {
                self.leased.insert(order.key.clone());
            }
            Body::AttemptEnded { attempt, fence, .. } | Body::ReportSuperseded { attempt, fence, .. } => {
                self.ended.insert(AttemptKey { id: attempt.clone(), fence: *fence });
            }
            _ => {}
        }
    }

    /// Every record, read from its bytes.
    pub(crate) fn records(&self) -> impl Iterator<Item = Record> + '_ {
        self.rows.iter().map(|bytes| serde_json::from_slice(bytes).expect("a record reads back"))
    }

    /// An older copy of this ledger, without its last transactions.
    pub(crate) fn older_copy(&self, transactions: usize) -> Self {
        let kept = self.ends.len().saturating_sub(transactions).max(1);
        let mut copy = Self::default();
        let rows = self.ends.get(kept - 1).copied().unwrap_or(0);
        for record in self.records().take(rows) {
            copy.note(&record);
        }
        copy.rows = self.rows[..rows].to_vec();
        copy.ends = self.ends[..kept.min(self.ends.len())].to_vec();
        copy
    }
}
