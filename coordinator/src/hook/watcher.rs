//! Reads new records of the ledger, and asks of the campaigns that they touch whether they wait for a person.

use super::Hook;
use super::message::Message;
use super::runner::Runner;
use crate::driver::{Event, Handle, Query, Standing, blocking};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use windlass_shared::access::Access;
use windlass_shared::id::CampaignId;
use windlass_shared::record::Record;

/// Records read from the ledger at once.
const PAGE_RECORDS: u32 = 256;
/// Between two looks at campaigns that may begin to wait: no message is wanted sooner.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A campaign that waits for a person.
struct Wait {
    since: Instant,
    is_told: bool,
}

/// Tells the hook until the coordinator ends. What happened before this start is not told again; that a campaign
/// waits is told once in each life of the coordinator.
pub(crate) async fn watch(handle: Handle, hook: Hook) {
    let runner = Runner::start(hook.clone(), handle.stores.metrics.clone(), &handle.tasks);
    let after_seq = handle.durable.borrow().seq;
    let mut watcher =
        Watcher { after_seq, handle, hook, runner, open: BTreeSet::new(), waits: BTreeMap::new() };
    watcher.run().await;
}

struct Watcher {
    handle: Handle,
    hook: Hook,
    runner: Runner,
    after_seq: u64,
    /// Campaigns of which it is not known whether they wait.
    open: BTreeSet<CampaignId>,
    waits: BTreeMap<CampaignId, Wait>,
}

impl Watcher {
    async fn run(&mut self) {
        let access = Access::ADMIN;
        if let Ok(Ok(known)) = self.handle.ask(|reply| Event::Query(Query::Visible { access, reply })).await {
            self.open = known;
        }
        let mut durable = self.handle.durable.clone();
        let mut timer = tokio::time::interval(LOOK_EVERY);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let is_idle = self.open.is_empty() && self.waits.values().all(|wait| wait.is_told);
            tokio::select! {
                changed = durable.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let upto_seq = durable.borrow_and_update().seq;
                    self.read(upto_seq).await;
                }
                _ = timer.tick(), if !is_idle => self.look().await,
            }
        }
    }

    /// Tells of the new records, and notes whom they touch.
    async fn read(&mut self, upto_seq: u64) {
        while self.after_seq < upto_seq {
            let (readers, after_seq) = (self.handle.stores.readers.clone(), self.after_seq);
            let read = blocking(move || readers.after(None, after_seq, PAGE_RECORDS)).await;
            let records: Vec<Record> = match read {
                Ok(records) if !records.is_empty() => records,
                Ok(_) => return,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "the hook is not told of records that cannot be read");
                    self.after_seq = upto_seq;
                    return;
                }
            };
            for record in records {
                self.after_seq = record.seq;
                self.open.extend(record.campaign.clone());
                if let Some(message) = Message::of(&record) {
                    self.runner.tell(message);
                }
            }
        }
    }

    /// Looks at whom something happened to, and at who waits and was not told of yet.
    async fn look(&mut self) {
        let untold =
            self.waits.iter().filter(|(_, wait)| !wait.is_told).map(|(campaign, _)| campaign.clone());
        let asked: BTreeSet<CampaignId> = untold.chain(std::mem::take(&mut self.open)).collect();
        for campaign in asked {
            let name = campaign.clone();
            let standing =
                self.handle.ask(|reply| Event::Query(Query::Standing { campaign: name, reply })).await;
            match standing {
                Ok(Ok(Standing::Waits { what, wall_ms })) => self.waits_for(campaign, &what, wall_ms),
                Ok(Ok(Standing::Settling)) => _ = self.open.insert(campaign),
                _ => _ = self.waits.remove(&campaign),
            }
        }
    }

    fn waits_for(&mut self, campaign: CampaignId, what: &str, wall_ms: i64) {
        let wait =
            self.waits.entry(campaign.clone()).or_insert(Wait { since: Instant::now(), is_told: false });
        if !wait.is_told && wait.since.elapsed() >= self.hook.after {
            wait.is_told = true;
            self.runner.tell(Message::waits(campaign, wall_ms, what));
        }
    }
}
