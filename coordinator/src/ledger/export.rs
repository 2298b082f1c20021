//! `ledger export`: every record as it was hashed, a line each. It reads a page at a time and holds no
//! transaction, so that neither its memory nor the ledger's log grows with it.

use super::row::{COLUMNS, Row};
use super::{Error, VerifyError, file_in, open_read_only, schema};
use rusqlite::Connection;
use std::io::{self, Write};
use std::path::Path;
use windlass_shared::id::CampaignId;
use windlass_shared::record::{Body, Record};
use windlass_shared::refusal::Refusal;

/// Rows read at once: some MiB.
const PAGE_ROWS: u32 = 1024;

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Records.
    pub records: u64,
    /// The campaign, where one was named.
    pub campaign: Option<CampaignId>,
}

/// An export that stopped.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The ledger could not be read.
    #[error(transparent)]
    Ledger(#[from] VerifyError),
    /// No such campaign, or several.
    #[error("{0}")]
    Refused(Refusal),
    /// It could not be written.
    #[error("failed to write the export")]
    Write(#[source] io::Error),
}

impl From<Error> for ExportError {
    fn from(error: Error) -> Self {
        Self::Ledger(error.into())
    }
}

/// Writes the records of one campaign, or all, to `out`, each on a line of its own with its place in the
/// chain:
///
/// `{"schema":"windlass.record/1","seq":7,"prev_hash":"…","hash":"…","record":{…}}`
///
/// `record` is, byte for byte, what the hash covers.
pub fn export(
    data_dir: &Path,
    campaign: Option<&str>,
    out: &mut impl Write,
) -> Result<Exported, ExportError> {
    let path = if data_dir.is_dir() { file_in(data_dir) } else { data_dir.to_owned() };
    if !path.is_file() {
        return Err(VerifyError::Absent { path }.into());
    }
    let connection = open_read_only(&path)?;
    schema::refuse_newer(&connection, &path)?;
    let campaign = campaign.map(|name| resolve(&connection, name)).transpose()?;
    let mut exported = Exported { records: 0, campaign };
    let mut after_seq = 0;
    loop {
        let rows = page(&connection, exported.campaign.as_ref(), after_seq)?;
        let Some(last) = rows.last() else { return Ok(exported) };
        after_seq = last.seq;
        for row in rows {
            if !row.is_whole() {
                let kind = super::DamageKind::Changed;
                return Err(Error::from(super::Damage { seq: row.seq, kind }).into());
            }
            line(&row, out).map_err(ExportError::Write)?;
            exported.records += 1;
        }
    }
}

fn line(row: &Row, out: &mut impl Write) -> io::Result<()> {
    write!(
        out,
        "{{\"schema\":\"windlass.record/1\",\"seq\":{},\"prev_hash\":\"{}\",\"hash\":\"{}\",\"record\":",
        row.seq, row.prev, row.hash
    )?;
    out.write_all(&row.body)?;
    out.write_all(b"}\n")
}

fn page(connection: &Connection, campaign: Option<&CampaignId>, after_seq: u64) -> Result<Vec<Row>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM records WHERE seq > ?1 AND (?2 IS NULL OR campaign = ?2) ORDER BY seq LIMIT ?3"
    );
    let read = || Error::sqlite("read records");
    let mut statement = connection.prepare_cached(&sql).map_err(read())?;
    let parameters = rusqlite::params![after_seq.cast_signed(), campaign.map(CampaignId::as_str), PAGE_ROWS];
    let rows = statement.query_map(parameters, Row::read).map_err(read())?;
    rows.collect::<Result<Vec<_>, _>>().map_err(read())
}

/// A campaign by its id, its name, or a unique prefix of either, as the coordinator resolves it.
fn resolve(connection: &Connection, name: &str) -> Result<CampaignId, ExportError> {
    let read = || Error::sqlite("read the campaigns");
    let mut statement = connection
        .prepare(
            "SELECT body FROM records WHERE kind IN ('campaign_created', 'ledger_imported') ORDER BY seq",
        )
        .map_err(read())?;
    let bodies = statement.query_map([], |row| row.get::<_, Vec<u8>>(0)).map_err(read())?;
    let mut known = Vec::new();
    for body in bodies {
        let record: Option<Record> = serde_json::from_slice(&body.map_err(read())?).ok();
        let Some(Record { campaign: Some(id), body, .. }) = record else { continue };
        if let Body::CampaignCreated { name, .. } | Body::LedgerImported { name, .. } = body {
            known.push((id, name));
        }
    }
    if let Some((id, _)) = known.iter().find(|(id, _)| id.as_str() == name) {
        return Ok(id.clone());
    }
    let named: Vec<&CampaignId> = known.iter().filter(|(_, n)| n == name).map(|(id, _)| id).collect();
    let begins = |(id, n): &&(CampaignId, String)| id.as_str().starts_with(name) || n.starts_with(name);
    let found = match named.is_empty() && !name.is_empty() {
        true => known.iter().filter(begins).map(|(id, _)| id).collect(),
        false => named,
    };
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        [] => Err(ExportError::Refused(Refusal::NotFound { what: "campaign", name: name.to_owned() })),
        many => {
            let names: Vec<&str> = many.iter().take(10).map(|id| id.as_str()).collect();
            Err(ExportError::Refused(Refusal::Ambiguous {
                what: "campaign",
                prefix: name.to_owned(),
                candidates: names.join(", "),
            }))
        }
    }
}
