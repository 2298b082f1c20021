//! Watch: durable records after a cursor, then new ones as they become durable, and pages of what moves.
//! A watcher that lags reads on from the ledger; nobody waits for it and nothing is kept for it.

use super::convert::{answered, ledger_failure};
use crate::driver::{Event, Handle, Pages, Query, blocking};
use crate::ledger::Written;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::Sender;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use windlass_proto::v1::watch_response;
use windlass_proto::{document, refusal::to_status, v1};
use windlass_shared::access::{Access, Viewer};
use windlass_shared::id::{CampaignId, Incarnation};
use windlass_shared::record::Body;
use windlass_shared::refusal::Refusal;

/// Records read from the ledger at once.
const PAGE_RECORDS: u32 = 256;
/// Messages that wait for a slow watcher before it makes its own reading wait.
const STREAM_LENGTH: usize = 64;
/// Pages of soft state are shown at most this often: four times a second looks live.
const PAGES_EVERY: Duration = Duration::from_millis(250);
/// Making pages takes this part of the time at most, one in so many: a fleet with thousands of campaigns is shown less
/// often.
const PAGES_SHARE: u32 = 20;
/// But no less often than this.
const PAGES_SLOWEST: Duration = Duration::from_secs(2);

/// Where a watcher begins.
pub(super) struct Cursor {
    /// Who watches.
    pub access: Access,
    /// One campaign, or all.
    pub campaign: Option<CampaignId>,
    /// The last record that it has.
    pub after_seq: u64,
    /// The life that it belongs to; 0 for any.
    pub incarnation: u64,
}

/// Starts a watcher, unless its cursor belongs to another life of the coordinator.
pub(super) async fn start(
    handle: &Handle,
    cursor: Cursor,
    follow: bool,
) -> Result<ReceiverStream<Result<v1::WatchResponse, Status>>, Status> {
    let now = pages(handle, &cursor.access, cursor.campaign.clone()).await?;
    if cursor.incarnation != 0 && cursor.incarnation != now.incarnation.0 {
        let found = Incarnation(cursor.incarnation);
        let what = format!("cursor of incarnation {found} (the coordinator's is {})", now.incarnation);
        return Err(to_status(&Refusal::Stale { what }));
    }
    let handle_in = handle.clone();
    Ok(handle.tasks.stream(STREAM_LENGTH, move |sender| async move {
        let watcher = Watcher {
            handle: handle_in,
            cursor,
            incarnation: now.incarnation,
            sender,
            shown: BTreeMap::new(),
        };
        watcher.run(now.seq, follow).await;
    }))
}

async fn pages(handle: &Handle, access: &Access, campaign: Option<CampaignId>) -> Result<Pages, Status> {
    let access = access.clone();
    answered(handle.ask(|reply| Event::Query(Query::Pages { access, campaign, reply })).await)
}

/// How long after pages the next ones are made, by how long these took.
fn pause_after(took: Duration) -> Duration {
    took.saturating_mul(PAGES_SHARE).clamp(PAGES_EVERY, PAGES_SLOWEST)
}

struct Watcher {
    handle: Handle,
    cursor: Cursor,
    incarnation: Incarnation,
    sender: Sender<Result<v1::WatchResponse, Status>>,
    /// The last page shown of each campaign that has moved.
    shown: BTreeMap<CampaignId, Bytes>,
}

/// Whether a record is a watcher's to see: one of its campaigns, or the coordinator's own start.
fn is_seen(seen: &BTreeSet<CampaignId>, record: &Written) -> bool {
    match &record.campaign {
        Some(campaign) => seen.contains(campaign),
        None => record.kind == Body::INCARNATION_STARTED,
    }
}

/// The caller has gone, or was told why the stream ends.
struct Ended;

impl Watcher {
    async fn run(mut self, upto_seq: u64, follow: bool) {
        let ended = match follow {
            true => self.follow().await,
            false => self.records(upto_seq).await,
        };
        drop(ended);
    }

    async fn follow(&mut self) -> Result<(), Ended> {
        let mut durable = self.handle.durable.clone();
        let mut moved = self.handle.moved.clone();
        let mut pages_due = true;
        let mut timer = tokio::time::interval(PAGES_EVERY);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let upto_seq = durable.borrow_and_update().seq;
            self.records(upto_seq).await?;
            tokio::select! {
                changed = durable.changed() => {
                    changed.map_err(|_| Ended)?;
                    pages_due = true;
                }
                _ = timer.tick(), if pages_due => {
                    pages_due = false;
                    moved.mark_unchanged();
                    let began = Instant::now();
                    self.pages().await?;
                    timer.reset_after(pause_after(began.elapsed()));
                }
                changed = moved.changed(), if !pages_due => {
                    changed.map_err(|_| Ended)?;
                    pages_due = true;
                }
            }
        }
    }

    /// Sends the records after the cursor, up to one.
    async fn records(&mut self, upto_seq: u64) -> Result<(), Ended> {
        while self.cursor.after_seq < upto_seq {
            let readers = self.handle.stores.readers.clone();
            let (campaign, after_seq) = (self.cursor.campaign.clone(), self.cursor.after_seq);
            let read =
                blocking(move || readers.written_after(campaign.as_ref(), after_seq, PAGE_RECORDS)).await;
            let records = match read {
                Ok(records) => records,
                Err(error) => return self.fail(ledger_failure(&error)).await,
            };
            let is_last = records.len() < PAGE_RECORDS as usize;
            let seen = match self.seen().await {
                Ok(seen) => seen,
                Err(status) => return self.fail(status).await,
            };
            for record in records {
                if !seen.as_ref().is_none_or(|seen| is_seen(seen, &record)) {
                    self.cursor.after_seq = record.seq;
                    continue;
                }
                let event = watch_response::Event::RecordDocument(record.document);
                self.send(record.seq, event).await?;
                self.cursor.after_seq = record.seq;
            }
            if is_last {
                // What is between belongs to other campaigns.
                self.cursor.after_seq = self.cursor.after_seq.max(upto_seq);
            }
        }
        Ok(())
    }

    /// The campaigns that the watcher may see at this moment; none where it sees all. Asked for each page of records:
    /// what is shared no longer ends in the middle of a stream.
    async fn seen(&self) -> Result<Option<BTreeSet<CampaignId>>, Status> {
        if self.cursor.access.viewer == Viewer::Admin {
            return Ok(None);
        }
        let access = self.cursor.access.clone();
        let asked = self.handle.ask(|reply| Event::Query(Query::Visible { access, reply })).await;
        let seen: BTreeSet<CampaignId> = answered(asked)?;
        match &self.cursor.campaign {
            Some(campaign) if !seen.contains(campaign) => {
                Err(to_status(&Refusal::NotFound { what: "campaign", name: campaign.0.clone() }))
            }
            _ => Ok(Some(seen)),
        }
    }

    /// Sends the pages that have changed, after the records that they rest on.
    async fn pages(&mut self) -> Result<(), Ended> {
        let pages = match pages(&self.handle, &self.cursor.access, self.cursor.campaign.clone()).await {
            Ok(pages) => pages,
            Err(status) => return self.fail(status).await,
        };
        self.records(pages.seq).await?;
        for view in &pages.views {
            let page = document::write(view);
            if self.shown.get(&view.campaign) == Some(&page) {
                continue;
            }
            self.shown.insert(view.campaign.clone(), page.clone());
            self.send(pages.seq, watch_response::Event::ViewDocument(page)).await?;
        }
        Ok(())
    }

    async fn send(&self, seq: u64, event: watch_response::Event) -> Result<(), Ended> {
        let message = v1::WatchResponse { incarnation: self.incarnation.0, seq, event: Some(event) };
        self.sender.send(Ok(message)).await.map_err(|_| Ended)
    }

    async fn fail(&self, status: Status) -> Result<(), Ended> {
        let _ = self.sender.send(Err(status)).await;
        Err(Ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i18_pages_that_take_long_are_made_seldom_and_never_stop() {
        for (took_ms, want_ms) in [(0, 250), (12, 250), (13, 260), (60, 1_200), (100, 2_000), (60_000, 2_000)]
        {
            let pause = pause_after(Duration::from_millis(took_ms));
            assert_eq!(pause, Duration::from_millis(want_ms), "{took_ms}");
        }
        assert_eq!(pause_after(Duration::MAX), PAGES_SLOWEST);
    }
}
