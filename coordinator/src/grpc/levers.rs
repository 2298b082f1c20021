//! Levers as they are listed: those that may still be pulled as the core has them, those that are over with
//! what the ledger says of them, which blocks for the disk.

use super::convert::{answered, documents, known, ledger_failure, next_page_token, page_token};
use crate::driver::{Event, Handle, Query, blocking};
use crate::ledger::{Error, Readers};
use tonic::Status;
use windlass_engine::campaign::Past;
use windlass_engine::core::{Listed, Place};
use windlass_proto::document;
use windlass_proto::refusal::to_status;
use windlass_proto::v1::move_lever_request::Place as Wire;
use windlass_proto::v1::{ListLeversRequest, ListLeversResponse};
use windlass_shared::access::Access;
use windlass_shared::id::{CampaignId, LeverNumber};
use windlass_shared::record::{Body, Record, RetireReason};
use windlass_shared::refusal::Refusal;
use windlass_shared::view::{LeverState, LeverView};

/// Where in line a lever is to stand.
pub(super) fn place(wire: Option<Wire>) -> Result<Place, Status> {
    match wire {
        Some(Wire::First(_)) => Ok(Place::First),
        Some(Wire::Last(_)) => Ok(Place::Last),
        Some(Wire::Before(other)) => Ok(Place::Before(LeverNumber(other))),
        Some(Wire::After(other)) => Ok(Place::After(LeverNumber(other))),
        None => {
            let problem = "it is missing".to_owned();
            Err(to_status(&Refusal::Malformed { field: "place", problem }))
        }
    }
}

/// Levers on one page at most: about a quarter of a megabyte, and a few thousand look-ups by index.
const PAGE_MAX: usize = 500;
/// Refused proposals on one page at most: each has at most 6 KiB.
const REFUSED_MAX: usize = 100;

/// A page of a campaign's levers, or of its refused proposals.
pub(super) async fn page(
    handle: &Handle,
    access: Access,
    message: ListLeversRequest,
) -> Result<ListLeversResponse, Status> {
    let name = known("campaign", message.campaign)?;
    let token = page_token(&message.page_token)?;
    let limit_of = |limit: usize| match message.page_size as usize {
        0 => limit,
        wanted => wanted.min(limit),
    };
    let readers = handle.stores.readers.clone();
    if message.refused {
        let found = handle.ask(|reply| Event::Query(Query::Resolve { access, name, reply })).await;
        let (campaign, _) = answered(found)?;
        let (before_seq, limit) = (if token == 0 { i64::MAX as u64 } else { token }, limit_of(REFUSED_MAX));
        let records = blocking(move || readers.refused(&campaign, before_seq, limit as u32))
            .await
            .map_err(|error| ledger_failure(&error))?;
        let next = records.last().filter(|_| records.len() == limit).map(|record| record.seq);
        return Ok(ListLeversResponse {
            view_documents: Vec::new(),
            next_page_token: next_page_token(next),
            refused_documents: documents(&records),
        });
    }
    let (skip, limit) = (token as usize, limit_of(PAGE_MAX));
    let found = handle.ask(|reply| Event::Query(Query::Levers { access, name, skip, limit, reply })).await;
    let (campaign, page) = answered(found)?;
    let next = (page.len() == limit).then_some((skip + limit) as u64);
    let views =
        blocking(move || views(&readers, &campaign, page)).await.map_err(|error| ledger_failure(&error))?;
    let view_documents = views.iter().map(document::write).collect();
    let next_page_token = next_page_token(next);
    Ok(ListLeversResponse { view_documents, next_page_token, refused_documents: Vec::new() })
}

/// The views of a page.
fn views(readers: &Readers, campaign: &CampaignId, page: Vec<Listed>) -> Result<Vec<LeverView>, Error> {
    let mut views = Vec::with_capacity(page.len());
    for listed in page {
        match listed {
            Listed::Whole(view) => views.push(view),
            Listed::Past(lever, past) => views.extend(view(&readers.lever(campaign, lever)?, lever, past)),
        }
    }
    Ok(views)
}

/// One lever with the record that queued it; `None` when the ledger does not have that.
pub(super) fn whole(
    readers: &Readers,
    campaign: &CampaignId,
    listed: Listed,
) -> Result<Option<(LeverView, Record)>, Error> {
    let records = readers.lever(campaign, listed.number())?;
    let view = match listed {
        Listed::Whole(view) => Some(view),
        Listed::Past(lever, past) => view(&records, lever, past),
    };
    let queued = records.into_iter().find(|record| matches!(record.body, Body::LeverQueued { .. }));
    Ok(view.zip(queued))
}

/// A lever that is over, from its own records.
fn view(records: &[Record], lever: LeverNumber, past: Past) -> Option<LeverView> {
    let (mut view, mut passes, mut reason) = (None, 0, RetireReason::Owner);
    for record in records {
        match &record.body {
            Body::LeverQueued { document, .. } => {
                view = Some((document.title.clone(), document.kind.as_str(), record.wall_ms));
            }
            Body::LeverPassed { passes: now, .. } => passes = *now,
            Body::LeverRetired { reason: said, .. } => reason = said.clone(),
            _ => {}
        }
    }
    let (title, kind, queued_wall_ms) = view?;
    let state = match past {
        Past::Decided { iteration, status } => LeverState::Decided { iteration, status },
        Past::TakenBack | Past::Stale => LeverState::Retired { reason },
    };
    Some(LeverView { lever, title, lever_kind: kind.to_owned(), state, passes, queued_wall_ms })
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_shared::conclusion::Status;
    use windlass_shared::digest::{Digest, Hash};
    use windlass_shared::id::IterationNumber;
    use windlass_shared::lever::{Change, Kind, Lever};

    fn record(seq: u64, body: Body) -> Record {
        let wall_ms = 1_000 + seq.cast_signed();
        Record { seq, wall_ms, campaign: Some("digits-1".into()), request: None, body }
    }

    fn queued() -> Record {
        let document = Box::new(Lever {
            title: "halve the batch".to_owned(),
            kind: Kind::Ablation,
            files: Vec::new(),
            change: Change::Patch(Digest::of(b"a patch")),
            anchor: None,
            prediction: String::new(),
            fixes: Vec::new(),
            literature: None,
            architecture: None,
            instrumentation: None,
            parents: Vec::new(),
            axes: Vec::new(),
            cites: Vec::new(),
            changed_assumption: None,
            analysis: Vec::new(),
        });
        let (base, changed) = (Digest::of(b"base"), Digest::of(b"changed"));
        let lever = LeverNumber(3);
        let (diff, cited) = (Hash::of(b"diff"), Vec::new());
        record(1, Body::LeverQueued { lever, document, base, changed, pin: None, diff, cited })
    }

    #[test]
    fn a_lever_that_is_over_is_shown_with_the_words_of_its_own_records() {
        let lever = LeverNumber(3);
        let passed = record(2, Body::LeverPassed { lever, passes: 2, missing: "curve.tsv".to_owned() });
        let stale = RetireReason::Stale { rule: "P7".to_owned(), detail: "line 3 says 7".to_owned() };
        let retired = |reason: &RetireReason| record(3, Body::LeverRetired { lever, reason: reason.clone() });
        let decided = LeverState::Decided { iteration: IterationNumber(4), status: Status::Keep };
        let tested = Past::Decided { iteration: IterationNumber(4), status: Status::Keep };
        let cases = [
            (
                vec![queued(), passed.clone(), retired(&stale)],
                Past::Stale,
                LeverState::Retired { reason: stale },
            ),
            (
                vec![queued(), passed.clone(), retired(&RetireReason::Owner)],
                Past::TakenBack,
                LeverState::Retired { reason: RetireReason::Owner },
            ),
            (vec![queued(), passed], tested, decided),
        ];
        for (records, past, state) in cases {
            let want = LeverView {
                lever,
                title: "halve the batch".to_owned(),
                lever_kind: "ablation".to_owned(),
                state,
                passes: 2,
                queued_wall_ms: 1_001,
            };
            assert_eq!(view(&records, lever, past), Some(want));
        }
        assert_eq!(view(&[], lever, tested), None, "a ledger without it");
    }
}
