//! Which campaigns' records name a blob: an index by digest, so that an unknown one costs a look-up and not a reading
//! of every ledger. It is made from the ledger as it is asked for, and gone with the process: nothing rests on it.

use super::Error;
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use windlass_shared::digest::Digest;
use windlass_shared::id::{CampaignId, IterationNumber};
use windlass_shared::reference::Evidence;

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

#[derive(Clone, Default)]
struct Standing {
    number: i64,
    upto_seq: u64,
    lasting_bytes: u64,
    /// What each part of an iteration's evidence takes, until it is removed.
    parts: BTreeMap<(IterationNumber, Evidence), u64>,
}

/// The part of an iteration's evidence that a blob belongs to; none where it is kept for ever.
pub(crate) type Part = Option<(IterationNumber, Evidence)>;

/// What a stretch of a campaign's records names.
#[derive(Debug, Default)]
pub(crate) struct Stretch {
    /// The last of them.
    pub upto_seq: u64,
    /// Blobs, each with the part of the evidence that it is first named by; without one it is kept for ever.
    pub named: HashMap<Digest, Part>,
    /// Bytes of logs that lie in files of their own.
    pub logs: Vec<(IterationNumber, u64)>,
    /// Parts that were removed.
    pub removed: Vec<(IterationNumber, Evidence)>,
}

/// What a campaign takes on the disk, bytes, as far as its records were read. A blob counts once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Used {
    /// Logs.
    pub log_bytes: u64,
    /// Trees, changes, scripts, outputs and artifacts.
    pub blob_bytes: u64,
}

impl Naming {
    /// The record up to which a campaign was read; 0 before the first.
    pub fn upto_seq(&self, campaign: &CampaignId) -> u64 {
        self.state().campaigns.get(campaign).map_or(0, |standing| standing.upto_seq)
    }

    /// Notes what a stretch of a campaign's records names. One that was read already, by two who looked at a time,
    /// adds nothing.
    pub fn note(&self, campaign: &CampaignId, stretch: &Stretch) -> Result<(), Error> {
        let mut state = self.state();
        let next = state.campaigns.len().cast_signed() as i64;
        let fresh = || Standing { number: next, ..Standing::default() };
        let mut standing = state.campaigns.get(campaign).cloned().unwrap_or_else(fresh);
        if stretch.upto_seq <= standing.upto_seq {
            return Ok(());
        }
        let failed = Error::sqlite("note what a campaign names");
        for (part, bytes) in write(state.connection()?, standing.number, &stretch.named).map_err(failed)? {
            standing.add(part, bytes);
        }
        for (iteration, bytes) in &stretch.logs {
            standing.add(Some((*iteration, Evidence::Logs)), *bytes);
        }
        for part in &stretch.removed {
            standing.parts.remove(part);
        }
        standing.upto_seq = stretch.upto_seq;
        state.campaigns.insert(campaign.clone(), standing);
        Ok(())
    }

    /// What a campaign takes on the disk, as far as its records were read.
    pub fn used(&self, campaign: &CampaignId) -> Used {
        let state = self.state();
        let Some(standing) = state.campaigns.get(campaign) else { return Used::default() };
        let mut used = Used { log_bytes: 0, blob_bytes: standing.lasting_bytes };
        for ((_, evidence), bytes) in &standing.parts {
            match evidence {
                Evidence::Logs => used.log_bytes += bytes,
                Evidence::Outputs | Evidence::Artifacts => used.blob_bytes += bytes,
            }
        }
        used
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

impl Standing {
    fn add(&mut self, part: Part, bytes: u64) {
        let sum = match part {
            Some(part) => self.parts.entry(part).or_default(),
            None => &mut self.lasting_bytes,
        };
        *sum = sum.saturating_add(bytes);
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

/// Those that were new, by part with their bytes.
fn write(
    connection: &mut Connection,
    campaign: i64,
    named: &HashMap<Digest, Part>,
) -> rusqlite::Result<Vec<(Part, u64)>> {
    let mut fresh = Vec::new();
    let transaction = connection.transaction()?;
    {
        let mut insert =
            transaction.prepare_cached("INSERT OR IGNORE INTO named (hash, campaign) VALUES (?1, ?2)")?;
        for (digest, part) in named {
            if insert.execute(params![digest.hash.0, campaign])? > 0 {
                fresh.push((*part, digest.size_bytes));
            }
        }
    }
    transaction.commit()?;
    Ok(fresh)
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
        let stretch = |upto_seq, named: &[Digest]| Stretch {
            upto_seq,
            named: named.iter().map(|digest| (*digest, None)).collect(),
            ..Stretch::default()
        };
        naming.note(&id("a"), &stretch(7, &[one, both])).expect("noted");
        naming.note(&id("b"), &stretch(9, &[two, both])).expect("noted");
        naming.note(&id("b"), &stretch(5, &[two])).expect("noted again");
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

    #[test]
    fn i18_what_a_campaign_takes_is_counted_once_and_until_it_is_removed() {
        let (naming, id) = (Naming::default(), CampaignId("a".to_owned()));
        let blob = |name: &str, size_bytes| Digest { size_bytes, ..Digest::of(name.as_bytes()) };
        let part = |iteration, evidence| Some((IterationNumber(iteration), evidence));
        let first = Stretch {
            upto_seq: 5,
            named: [
                (blob("tree", 100), None),
                (blob("results", 20), part(1, Evidence::Outputs)),
                (blob("weights", 1000), part(1, Evidence::Artifacts)),
                (blob("short log", 3), part(1, Evidence::Logs)),
            ]
            .into(),
            logs: vec![(IterationNumber(1), 50)],
            removed: Vec::new(),
        };
        naming.note(&id, &first).expect("noted");
        assert_eq!(naming.used(&id), Used { log_bytes: 53, blob_bytes: 1120 });
        naming.note(&id, &first).expect("noted twice");
        assert_eq!(naming.used(&id), Used { log_bytes: 53, blob_bytes: 1120 }, "told twice is told once");
        let second = Stretch {
            upto_seq: 9,
            named: [(blob("tree", 100), None), (blob("results", 20), part(2, Evidence::Outputs))].into(),
            logs: vec![(IterationNumber(2), 7)],
            removed: vec![(IterationNumber(1), Evidence::Artifacts), (IterationNumber(1), Evidence::Logs)],
        };
        naming.note(&id, &second).expect("noted");
        assert_eq!(naming.used(&id), Used { log_bytes: 7, blob_bytes: 120 });
        assert_eq!(naming.used(&CampaignId("b".to_owned())), Used::default());
    }
}
