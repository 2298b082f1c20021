//! Which campaigns' records name a blob: an index by digest, so that an unknown one costs a look-up and not a reading
//! of every ledger. It is made from the ledger as it is asked for, and gone with the process: nothing rests on it.

use super::Error;
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use windlass_shared::digest::Digest;
use windlass_shared::id::CampaignId;

/// Kept in memory, KiB: about a million digests. What is more lies in a file that SQLite has removed already.
const MEMORY_KIB: i64 = 64 << 10;

/// The index.
#[derive(Default)]
pub(crate) struct Naming(Mutex<State>);

#[derive(Default)]
struct State {
    /// Opened when it is first asked.
    connection: Option<Connection>,
    campaigns: BTreeMap<CampaignId, Standing>,
}

#[derive(Clone, Copy)]
struct Standing {
    number: i64,
    upto_seq: u64,
}

impl Naming {
    /// The record up to which a campaign was read; 0 before the first.
    pub fn upto_seq(&self, campaign: &CampaignId) -> u64 {
        self.state().campaigns.get(campaign).map_or(0, |standing| standing.upto_seq)
    }

    /// Notes what a campaign's records name, up to one of them. Told twice, it is as told once.
    pub fn note<'a>(
        &self,
        campaign: &CampaignId,
        upto_seq: u64,
        named: impl Iterator<Item = &'a Digest>,
    ) -> Result<(), Error> {
        let mut state = self.state();
        let next = state.campaigns.len().cast_signed() as i64;
        let standing =
            state.campaigns.get(campaign).copied().unwrap_or(Standing { number: next, upto_seq: 0 });
        let failed = Error::sqlite("note what a campaign names");
        write(state.connection()?, standing.number, named).map_err(failed)?;
        let upto_seq = standing.upto_seq.max(upto_seq);
        state.campaigns.insert(campaign.clone(), Standing { upto_seq, ..standing });
        Ok(())
    }

    /// Those of some digests that one of these campaigns names, as far as they were read.
    pub fn named(
        &self,
        digests: impl Iterator<Item = Digest>,
        campaigns: &BTreeSet<CampaignId>,
    ) -> Result<HashSet<Digest>, Error> {
        let mut state = self.state();
        let all = &state.campaigns;
        let numbers: HashSet<i64> =
            campaigns.iter().filter_map(|campaign| all.get(campaign)).map(|it| it.number).collect();
        if numbers.is_empty() {
            return Ok(HashSet::new());
        }
        look_up(state.connection()?, digests, &numbers).map_err(Error::sqlite("look up who names a blob"))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn connection(&mut self) -> Result<&mut Connection, Error> {
        if self.connection.is_none() {
            self.connection = Some(open().map_err(Error::sqlite("make an index of blobs"))?);
        }
        Ok(self.connection.as_mut().expect("it was just made"))
    }
}

/// An empty path is a database of this connection alone, which nobody finds after it.
fn open() -> rusqlite::Result<Connection> {
    let connection = Connection::open("")?;
    connection.pragma_update(None, "cache_size", -MEMORY_KIB)?;
    connection.execute_batch(
        "CREATE TABLE named (hash BLOB NOT NULL, campaign INTEGER NOT NULL, PRIMARY KEY (hash, campaign))
         STRICT, WITHOUT ROWID",
    )?;
    Ok(connection)
}

fn write<'a>(
    connection: &mut Connection,
    campaign: i64,
    named: impl Iterator<Item = &'a Digest>,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    {
        let mut insert =
            transaction.prepare_cached("INSERT OR IGNORE INTO named (hash, campaign) VALUES (?1, ?2)")?;
        for digest in named {
            insert.execute(params![digest.hash.0, campaign])?;
        }
    }
    transaction.commit()
}

fn look_up(
    connection: &Connection,
    digests: impl Iterator<Item = Digest>,
    numbers: &HashSet<i64>,
) -> rusqlite::Result<HashSet<Digest>> {
    // Whoever asks sees few campaigns of many, or many: the smaller side is walked.
    let mut by_campaign =
        connection.prepare_cached("SELECT 1 FROM named WHERE hash = ?1 AND campaign = ?2")?;
    let mut by_hash = connection.prepare_cached("SELECT campaign FROM named WHERE hash = ?1")?;
    let mut found = HashSet::new();
    for digest in digests {
        let is_named = if let Some(only) = numbers.iter().next().filter(|_| numbers.len() == 1) {
            by_campaign.query_row(params![digest.hash.0, only], |_| Ok(())).optional()?.is_some()
        } else {
            let mut rows = by_hash.query([digest.hash.0])?;
            let mut is_named = false;
            while let Some(row) = rows.next()? {
                if numbers.contains(&row.get(0)?) {
                    is_named = true;
                    break;
                }
            }
            is_named
        };
        if is_named {
            found.insert(digest);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_named_by_the_campaigns_whose_records_say_so_and_by_no_other() {
        let naming = Naming::default();
        let id = |name: &str| CampaignId(name.to_owned());
        let set = |names: &[&str]| names.iter().map(|name| id(name)).collect::<BTreeSet<_>>();
        let (one, two, both) = (Digest::of(b"one"), Digest::of(b"two"), Digest::of(b"both"));
        naming.note(&id("a"), 7, [one, both].iter()).expect("noted");
        naming.note(&id("b"), 9, [two, both].iter()).expect("noted");
        naming.note(&id("b"), 5, [two].iter()).expect("noted again");
        let all = [one, two, both, Digest::of(b"none")];
        for (campaigns, want) in [
            (set(&["a"]), vec![one, both]),
            (set(&["b"]), vec![two, both]),
            (set(&["a", "b"]), vec![one, two, both]),
            (set(&["c"]), vec![]),
            (set(&[]), vec![]),
            (set(&["b", "c"]), vec![two, both]),
        ] {
            let found = naming.named(all.into_iter(), &campaigns).expect("found");
            assert_eq!(found, want.into_iter().collect(), "{campaigns:?}");
        }
        assert_eq!(["a", "b", "c"].map(|name| naming.upto_seq(&id(name))), [7, 9, 0]);
    }
}
