//! Reads of what is committed: records by campaign, by iteration, after a cursor; small blobs. Every
//! call blocks for the disk and belongs on a blocking thread, save the look-up of a single key.

use super::row::{COLUMNS, Row};
use super::{Damage, DamageKind, Error, schema};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Params, params};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use windlass_shared::digest::{Digest, Hash};
use windlass_shared::id::{AttemptId, CampaignId, IterationNumber, LeverNumber, RequestId};
use windlass_shared::record::Record;

/// Idle connections that are kept: as many as reads run at once on a small machine.
const IDLE_MAX: usize = 8;

/// Records on one page at most.
const PAGE_MAX_RECORDS: usize = 1_000;
/// Bytes of records after which a page is full: with the last record on top it stays below the 4 MiB that a
/// message may have.
const PAGE_MAX_BYTES: usize = 1 << 20;

/// A part of an answer that may be long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// In order.
    pub records: Vec<Record>,
    /// There may be more, after this record.
    pub next_after: Option<u64>,
}

/// A record as it lies in the ledger, for who only passes it on: its text is the JSON of its [`Record`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its number.
    pub seq: u64,
    /// The campaign it belongs to, if it belongs to one.
    pub campaign: Option<CampaignId>,
    /// The name of its kind.
    pub kind: String,
    /// Its text.
    pub document: Bytes,
}

/// A pool of read-only connections. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Readers {
    path: PathBuf,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, idle: Arc::default() }
    }

    /// Records after `after_seq`, of one campaign or of all, at most `limit`, in order.
    pub fn after(
        &self,
        campaign: Option<&CampaignId>,
        after_seq: u64,
        limit: u32,
    ) -> Result<Vec<Record>, Error> {
        self.rows_after(campaign, after_seq, limit)?.iter().map(record).collect()
    }

    /// The same as they are written, each checked against its hash and not parsed.
    pub fn written_after(
        &self,
        campaign: Option<&CampaignId>,
        after_seq: u64,
        limit: u32,
    ) -> Result<Vec<Written>, Error> {
        let rows = self.rows_after(campaign, after_seq, limit)?;
        let written = rows.into_iter().map(|row| {
            whole(&row)?;
            let campaign = row.campaign.map(CampaignId);
            Ok(Written { seq: row.seq, campaign, kind: row.kind, document: row.body.into() })
        });
        written.collect()
    }

    fn rows_after(
        &self,
        campaign: Option<&CampaignId>,
        after_seq: u64,
        limit: u32,
    ) -> Result<Vec<Row>, Error> {
        let after_seq = after_seq.cast_signed();
        match campaign {
            None => self.rows("seq > ?1 ORDER BY seq LIMIT ?2", params![after_seq, limit]),
            Some(campaign) => self.rows(
                "campaign = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
                params![campaign.0, after_seq, limit],
            ),
        }
    }

    /// Every record of one iteration, in order. For look-ups; what is sent to a client goes page by page.
    pub fn iteration(&self, campaign: &CampaignId, iteration: IterationNumber) -> Result<Vec<Record>, Error> {
        self.select("campaign = ?1 AND iteration = ?2 ORDER BY seq", params![campaign.0, iteration.0])
    }

    /// The record that leased an attempt. One row by its index: every end that a worker reports asks for it.
    pub fn lease(&self, attempt: &AttemptId) -> Result<Option<Record>, Error> {
        let found = self.select(
            "campaign = ?1 AND iteration = ?2 AND attempt = ?3 AND kind = 'attempt_leased'",
            params![attempt.campaign.0, attempt.iteration.0, attempt.number],
        )?;
        Ok(found.into_iter().next())
    }

    /// A page of the records of one iteration after `after_seq`, in order.
    pub fn iteration_page(
        &self,
        campaign: &CampaignId,
        iteration: IterationNumber,
        after_seq: u64,
    ) -> Result<Page, Error> {
        self.page(
            "campaign = ?1 AND iteration = ?2 AND seq > ?3 ORDER BY seq",
            params![campaign.0, iteration.0, after_seq.cast_signed()],
        )
    }

    /// A page of the decisions of a campaign after `after_seq`, in the order in which they fell: the rows of
    /// `results.tsv` (P29).
    pub fn decisions_page(&self, campaign: &CampaignId, after_seq: u64) -> Result<Page, Error> {
        self.page(
            "campaign = ?1 AND kind = 'iteration_decided' AND seq > ?2 ORDER BY seq",
            params![campaign.0, after_seq.cast_signed()],
        )
    }

    /// The decision of one iteration.
    pub fn decision(
        &self,
        campaign: &CampaignId,
        iteration: IterationNumber,
    ) -> Result<Option<Record>, Error> {
        let found = self.select(
            "campaign = ?1 AND iteration = ?2 AND kind = 'iteration_decided' LIMIT 1",
            params![campaign.0, iteration.0],
        )?;
        Ok(found.into_iter().next())
    }

    /// A page of what is recorded of a campaign's findings after `after_seq`, in order: the rows of `corpus.tsv`
    /// (P35).
    pub fn findings_page(&self, campaign: &CampaignId, after_seq: u64) -> Result<Page, Error> {
        self.page(
            "campaign = ?1 AND kind IN ('review_recorded', 'finding_recorded', 'finding_marked') AND seq > ?2 \
             ORDER BY seq",
            params![campaign.0, after_seq.cast_signed()],
        )
    }

    /// Refused proposals of a campaign before the record `before_seq`, newest first, at most `limit`.
    pub fn refused(&self, campaign: &CampaignId, before_seq: u64, limit: u32) -> Result<Vec<Record>, Error> {
        self.select(
            // They name no iteration: that index has the few records to look through.
            "campaign = ?1 AND iteration IS NULL AND seq < ?2 AND kind = 'lever_refused' \
             ORDER BY seq DESC LIMIT ?3",
            params![campaign.0, before_seq.cast_signed(), limit],
        )
    }

    /// The findings of the review that this request brought in, at most `count`, in order.
    pub fn findings_of(
        &self,
        campaign: &CampaignId,
        request: &RequestId,
        count: u32,
    ) -> Result<Vec<Record>, Error> {
        self.select(
            "campaign = ?1 AND kind = 'finding_recorded' AND seq > (SELECT seq FROM records WHERE request = ?2) \
             ORDER BY seq LIMIT ?3",
            params![campaign.0, request.0, count],
        )
    }

    /// The records that name a lever, in order: how it was queued, what became of it. Few, since a lever is
    /// passed over, held and pulled a bounded number of times.
    pub fn lever(&self, campaign: &CampaignId, lever: LeverNumber) -> Result<Vec<Record>, Error> {
        self.select("campaign = ?1 AND lever = ?2 ORDER BY seq", params![campaign.0, lever.0])
    }

    /// A small blob's bytes as they are stored, unchecked.
    pub(crate) fn blob(&self, digest: Digest) -> Result<Option<Bytes>, Error> {
        self.with(|connection| {
            connection
                .prepare_cached("SELECT data FROM blobs WHERE hash = ?1 AND size = ?2")?
                .query_row(params![digest.hash.0, digest.size_bytes.cast_signed()], |row| {
                    row.get::<_, Vec<u8>>(0)
                })
                .optional()
        })
        .map(|data| data.map(Bytes::from))
        .map_err(Error::sqlite("read a blob"))
    }

    /// Whether a small blob is committed.
    pub(crate) fn has_blob(&self, digest: Digest) -> Result<bool, Error> {
        self.with(|connection| {
            connection
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM blobs WHERE hash = ?1 AND size = ?2)")?
                .query_row(params![digest.hash.0, digest.size_bytes.cast_signed()], |row| row.get(0))
        })
        .map_err(Error::sqlite("look a blob up"))
    }

    /// Every small blob with its pin: when it was last found or written, wall time.
    pub(crate) fn blobs(&self) -> Result<Vec<(Digest, i64)>, Error> {
        self.with(|connection| {
            let mut statement = connection.prepare("SELECT hash, size, pinned_ms FROM blobs")?;
            let rows = statement.query_map([], |row| {
                let digest =
                    Digest { hash: Hash(row.get(0)?), size_bytes: row.get::<_, i64>(1)?.cast_unsigned() };
                Ok((digest, row.get(2)?))
            })?;
            rows.collect()
        })
        .map_err(Error::sqlite("list the blobs"))
    }

    /// A small blob's pin.
    pub(crate) fn blob_pinned_ms(&self, digest: Digest) -> Result<Option<i64>, Error> {
        self.with(|connection| {
            connection
                .prepare_cached("SELECT pinned_ms FROM blobs WHERE hash = ?1 AND size = ?2")?
                .query_row(params![digest.hash.0, digest.size_bytes.cast_signed()], |row| row.get(0))
                .optional()
        })
        .map_err(Error::sqlite("look a blob up"))
    }

    fn select(&self, condition: &str, parameters: impl Params) -> Result<Vec<Record>, Error> {
        self.rows(condition, parameters)?.iter().map(record).collect()
    }

    fn rows(&self, condition: &str, parameters: impl Params) -> Result<Vec<Row>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM records WHERE {condition}");
        self.with(|connection| {
            connection.prepare_cached(&sql)?.query_map(parameters, Row::read)?.collect::<Result<Vec<_>, _>>()
        })
        .map_err(Error::sqlite("read records"))
    }

    /// Reads until a page is full.
    fn page(&self, condition: &str, parameters: impl Params) -> Result<Page, Error> {
        let sql = format!("SELECT {COLUMNS} FROM records WHERE {condition}");
        let (rows, is_full) = self
            .with(|connection| {
                let mut statement = connection.prepare_cached(&sql)?;
                let mut found = statement.query(parameters)?;
                let (mut rows, mut bytes) = (Vec::new(), 0);
                while let Some(row) = found.next()? {
                    if rows.len() >= PAGE_MAX_RECORDS || bytes >= PAGE_MAX_BYTES {
                        return Ok((rows, true));
                    }
                    let row = Row::read(row)?;
                    bytes += row.body.len();
                    rows.push(row);
                }
                Ok((rows, false))
            })
            .map_err(Error::sqlite("read records"))?;
        let next_after = rows.last().filter(|_| is_full).map(|row| row.seq);
        let records = rows.iter().map(record).collect::<Result<_, _>>()?;
        Ok(Page { records, next_after })
    }

    /// Runs a read on an idle connection, or a new one.
    fn with<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => schema::open_reader(&self.path).map_err(|error| match error {
                Error::Open { source, .. } | Error::Sqlite { source, .. } => source,
                _ => rusqlite::Error::InvalidPath(self.path.clone()),
            })?,
        };
        let answer = read(&connection)?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
        Ok(answer)
    }
}

/// The chain before a single record is not at hand; its own link to it is checked all the same.
fn whole(row: &Row) -> Result<(), Error> {
    if row.is_whole() { Ok(()) } else { Err(Damage { seq: row.seq, kind: DamageKind::Changed }.into()) }
}

fn record(row: &Row) -> Result<Record, Error> {
    whole(row)?;
    serde_json::from_slice(&row.body)
        .map_err(|error| Damage { seq: row.seq, kind: DamageKind::Body(error) }.into())
}
