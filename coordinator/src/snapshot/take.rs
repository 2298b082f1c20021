//! Taking a snapshot: the state of the one before, then the records since, read beside the coordinator and
//! folded anew. Nothing is taken from the running loop, so that nothing of it is held up, and a fault of its
//! state would not outlive it.

use super::file::{Error, Refused, Snapshot, write};
use crate::ledger::{self, Chain, Head};
use std::path::Path;
use windlass_engine::core::Durable;

/// Records between two snapshots: what a start replays at most, in about a tenth of a second.
pub const EVERY_RECORDS: u64 = 10_000;
/// Records read at once: between two such reads the ledger's file may be checkpointed.
const PAGE_RECORDS: u32 = 1_024;

/// The state to go on from: the snapshot's, if it is to be believed, else none. Whatever is not believed is
/// said in the log, with why.
pub fn load(
    data_dir: &Path,
    holds: impl FnOnce(Head) -> Result<bool, ledger::Error>,
) -> Result<(Durable, Head), ledger::Error> {
    let nothing = (Durable::default(), Head::EMPTY);
    let refused = match Snapshot::open(data_dir) {
        Ok(None) => return Ok(nothing),
        Ok(Some(snapshot)) if holds(snapshot.head)? => {
            let head = snapshot.head;
            match snapshot.state() {
                Ok(state) => return Ok((state, head)),
                Err(refused) => refused,
            }
        }
        Ok(Some(snapshot)) => Refused::Unchained { seq: snapshot.head.seq },
        Err(refused) => refused,
    };
    tracing::warn!(why = %refused, "the snapshot is not believed; every record is replayed");
    Ok(nothing)
}

/// Takes a snapshot of all that is committed; `None` when fewer than `records_min` records have been written
/// since the last one, or when `is_over` said so before it was done.
pub fn take(data_dir: &Path, records_min: u64, is_over: impl Fn() -> bool) -> Result<Option<Head>, Error> {
    let chain = Chain::open(data_dir)?;
    let (mut state, from) = load(data_dir, |head| chain.holds(head))?;
    let mut head = from;
    loop {
        if is_over() {
            return Ok(None);
        }
        let reached = chain.walk(head, PAGE_RECORDS, |record| state.apply(&record))?;
        if reached == head {
            break;
        }
        head = reached;
    }
    if head.seq < from.seq + records_min {
        return Ok(None);
    }
    write(data_dir, head, &state)?;
    Ok(Some(head))
}
