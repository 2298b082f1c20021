//! A foreign ledger becomes a campaign: one record that begins it, and its decisions as they were.

use super::bounds;
use super::client::{Decided, campaign_id};
use super::{Durable, RequestKey};
use windlass_shared::bindings::Direction;
use windlass_shared::conclusion::Status;
use windlass_shared::decimal::Decimal;
use windlass_shared::foreign::{Foreign, ForeignRow};
use windlass_shared::id::IterationNumber;
use windlass_shared::record::{Answer, Arithmetic, Body};
use windlass_shared::refusal::Refusal;

/// The reason of every imported decision.
pub(crate) const RECORDED: &str = "as recorded";

/// Decides an import.
pub(super) fn import(
    durable: &Durable,
    request: &RequestKey,
    ledger: Foreign,
    owner: Option<String>,
) -> Result<Decided, Refusal> {
    bounds::refuse_campaign(durable, owner.as_deref())?;
    ledger.validate()?;
    let id = campaign_id(durable, &ledger.name, request);
    let begun = Body::LedgerImported {
        name: ledger.name.clone(),
        bindings: Box::new(ledger.bindings()),
        columns: ledger.columns,
        source: ledger.source,
        owner,
    };
    let mut records = vec![(Some(id.clone()), begun)];
    let (mut record, mut best) = (None, None);
    for row in ledger.rows {
        let decided = decision(row, ledger.direction, &mut record, &mut best);
        records.push((Some(id.clone()), decided));
    }
    Ok((Answer::Campaign { id, levers_taken: 0 }, records))
}

/// One row: its status is taken as it stands, the sum beside it is done anew.
fn decision(
    row: ForeignRow,
    direction: Direction,
    record: &mut Option<Decimal>,
    best: &mut Option<IterationNumber>,
) -> Body {
    let gain = match (&row.metric, &*record) {
        (Some(metric), Some(record)) => Some(match direction {
            Direction::Maximize => metric.minus(record),
            Direction::Minimize => record.minus(metric),
        }),
        _ => None,
    };
    let status = row.status.as_str();
    let sentence = match (&row.metric, &*record) {
        (None, _) => format!("no metric: {status}, {RECORDED}"),
        (Some(metric), None) => format!("{metric}: {status}, {RECORDED}"),
        (Some(metric), Some(record)) => {
            let by = metric.minus(record).abs();
            match metric.cmp(record) {
                std::cmp::Ordering::Greater => format!("{metric} > {record} by {by}: {status}, {RECORDED}"),
                std::cmp::Ordering::Less => format!("{metric} < {record} by {by}: {status}, {RECORDED}"),
                std::cmp::Ordering::Equal => format!("{metric} = {record}: {status}, {RECORDED}"),
            }
        }
    };
    let arithmetic = Arithmetic {
        metric: row.metric.clone(),
        record: record.clone(),
        gain,
        net_lines: 0,
        noise: None,
        sentence,
    };
    if row.status == Status::Keep {
        *best = Some(row.iteration);
        let raises =
            |metric: &Decimal| record.as_ref().is_none_or(|record| direction.is_better(metric, record));
        if let Some(metric) = row.metric.filter(raises) {
            *record = Some(metric);
        }
    }
    Body::IterationDecided {
        iteration: row.iteration,
        status: row.status,
        reason: RECORDED.to_owned(),
        arithmetic,
        best: *best,
        summary: row.summary,
        description: row.description,
        notes: row.notes,
    }
}
