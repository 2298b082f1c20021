//! Levers as they are listed: those that may still be pulled as the core has them, those that are over with
//! what the ledger says of them. Every call blocks for the disk.

use crate::ledger::{Error, Readers};
use windlass_engine::campaign::Past;
use windlass_engine::core::Listed;
use windlass_shared::id::{CampaignId, LeverNumber};
use windlass_shared::record::{Body, Record, RetireReason};
use windlass_shared::view::{LeverState, LeverView};

/// Levers on one page at most: about a quarter of a megabyte, and a few thousand look-ups by index.
pub(super) const PAGE_MAX: usize = 500;

/// The views of a page.
pub(super) fn views(
    readers: &Readers,
    campaign: &CampaignId,
    page: Vec<Listed>,
) -> Result<Vec<LeverView>, Error> {
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
