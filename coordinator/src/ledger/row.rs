//! A record as a row: its columns, and its link in the hash chain.

use super::{Damage, DamageKind};
use rusqlite::Row as SqlRow;
use windlass_shared::digest::Hash;
use windlass_shared::record::{Body, Record};

/// The columns, in the order of [`Row::read`].
pub(super) const COLUMNS: &str =
    "seq, campaign, iteration, attempt, lever, request, wall_ms, kind, body, prev_hash, hash";

/// The end of the chain: what the next record links to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The last record's number; 0 before the first.
    pub seq: u64,
    /// Its hash; 32 zero bytes before the first.
    pub hash: Hash,
}

impl Head {
    /// Before the first record.
    pub const EMPTY: Self = Self { seq: 0, hash: Hash([0; 32]) };
}

/// One row of the table `records`.
pub(super) struct Row {
    pub seq: u64,
    pub campaign: Option<String>,
    pub iteration: Option<u32>,
    pub attempt: Option<u32>,
    pub lever: Option<u32>,
    pub request: Option<String>,
    pub wall_ms: i64,
    pub kind: String,
    pub body: Vec<u8>,
    pub prev: Hash,
    pub hash: Hash,
}

impl Row {
    /// The row of a record that follows `prev`.
    pub fn of(record: &Record, prev: Hash) -> Self {
        let subject = Subject::of(&record.body);
        let mut row = Self {
            seq: record.seq,
            campaign: record.campaign.as_ref().map(|id| id.0.clone()),
            iteration: subject.iteration,
            attempt: subject.attempt,
            lever: subject.lever,
            request: record.request.as_ref().map(|request| request.id.0.clone()),
            wall_ms: record.wall_ms,
            kind: record.body.kind().to_owned(),
            body: serde_json::to_vec(record).expect("a record is always representable"),
            prev,
            hash: Hash([0; 32]),
        };
        row.hash = row.link();
        row
    }

    /// Reads [`COLUMNS`].
    pub fn read(row: &SqlRow<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get::<_, i64>(0)?.cast_unsigned(),
            campaign: row.get(1)?,
            iteration: row.get(2)?,
            attempt: row.get(3)?,
            lever: row.get(4)?,
            request: row.get(5)?,
            wall_ms: row.get(6)?,
            kind: row.get(7)?,
            body: row.get(8)?,
            prev: Hash(row.get(9)?),
            hash: Hash(row.get(10)?),
        })
    }

    /// The hash of this row's content and of what it follows. Lengths go before texts, so that no two
    /// different rows give the same bytes.
    fn link(&self) -> Hash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.prev.0).update(&self.seq.to_le_bytes()).update(&self.wall_ms.to_le_bytes());
        let campaign = self.campaign.as_deref().unwrap_or("");
        for part in [self.kind.as_bytes(), campaign.as_bytes(), &self.body] {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        Hash(*hasher.finalize().as_bytes())
    }

    /// Whether its content is what was hashed.
    pub fn is_whole(&self) -> bool {
        self.link() == self.hash
    }

    /// Checks this row against the one before it, and reads its record.
    pub fn check(&self, head: Head) -> Result<Record, Damage> {
        let expected = head.seq + 1;
        let damage = |kind| Damage { seq: expected, kind };
        if self.seq != expected {
            return Err(damage(DamageKind::Gap { found: self.seq }));
        }
        if self.prev != head.hash {
            return Err(damage(DamageKind::Unchained));
        }
        if !self.is_whole() {
            return Err(damage(DamageKind::Changed));
        }
        let record: Record =
            serde_json::from_slice(&self.body).map_err(|error| damage(DamageKind::Body(error)))?;
        match self.wrong_column(&record) {
            Some(column) => Err(damage(DamageKind::Column { column })),
            None => Ok(record),
        }
    }

    /// The columns that are not hashed by themselves are copies of what is in the body.
    fn wrong_column(&self, record: &Record) -> Option<&'static str> {
        let subject = Subject::of(&record.body);
        let same = [
            ("seq", self.seq == record.seq),
            ("wall_ms", self.wall_ms == record.wall_ms),
            ("kind", self.kind == record.body.kind()),
            ("campaign", self.campaign.as_deref() == record.campaign.as_ref().map(|id| id.as_str())),
            ("iteration", self.iteration == subject.iteration),
            ("attempt", self.attempt == subject.attempt),
            ("lever", self.lever == subject.lever),
            ("request", self.request.as_deref() == record.request.as_ref().map(|r| r.id.as_str())),
        ];
        same.iter().find(|(_, same)| !same).map(|(column, _)| *column)
    }
}

/// What a record is about, beside its campaign.
#[derive(Default)]
struct Subject {
    iteration: Option<u32>,
    attempt: Option<u32>,
    lever: Option<u32>,
}

impl Subject {
    fn of(body: &Body) -> Self {
        match body {
            Body::LeverQueued { lever, .. }
            | Body::LeverPassed { lever, .. }
            | Body::LeverHeld { lever, .. }
            | Body::LeverRetired { lever, .. }
            | Body::LeverMoved { lever, .. }
            | Body::LeverRequeued { lever, .. } => Self { lever: Some(lever.0), ..Self::default() },
            Body::IterationOpened { iteration, lever, .. } => {
                Self { iteration: Some(iteration.0), lever: lever.map(|lever| lever.0), attempt: None }
            }
            Body::IterationCancelled { iteration }
            | Body::FixApplied { iteration, .. }
            | Body::DeliverableAdded { iteration, .. }
            | Body::DeliverableAccepted { iteration, .. }
            | Body::ConclusionWritten { iteration, .. }
            | Body::EvidenceRemoved { iteration, .. }
            | Body::FindingMarked { iteration: Some(iteration), .. }
            | Body::IterationDecided { iteration, .. } => {
                Self { iteration: Some(iteration.0), ..Self::default() }
            }
            Body::AttemptLeased { order, .. } => Self {
                iteration: Some(order.key.id.iteration.0),
                attempt: Some(order.key.id.number),
                lever: None,
            },
            Body::AttemptEnded { attempt, .. } | Body::ReportSuperseded { attempt, .. } => {
                Self { iteration: Some(attempt.iteration.0), attempt: Some(attempt.number), lever: None }
            }
            Body::IncarnationStarted { .. }
            | Body::CampaignCreated { .. }
            | Body::LedgerImported { .. }
            | Body::CampaignPaused { .. }
            | Body::CampaignResumed {}
            | Body::CampaignStopped { .. }
            | Body::CampaignUpdated { .. }
            | Body::LeverRefused { .. }
            | Body::ReviewRecorded { .. }
            | Body::FindingRecorded { .. }
            | Body::FindingMarked { iteration: None, .. }
            | Body::WorkerDrained { .. }
            | Body::WorkerUndrained { .. }
            | Body::DeviceReleased { .. }
            | Body::QuotaSet { .. }
            | Body::RequestAnswered {} => Self::default(),
        }
    }
}
