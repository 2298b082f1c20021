//! Which blobs a caller may touch: a worker those that its live attempts need or that it has sent, a client those
//! that its campaigns name or that it has sent. Everything else is not there for it.

mod sent;
mod trees;

use super::at_a_time::caller;
use super::convert::{answered, blob_failure, ledger_failure};
use crate::blobs;
use crate::driver::{Asked, Event, Handle, Query, Stores, blocking};
use crate::ledger::{self, Blob, Naming, Stretch, Used};
use sent::Sent;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tonic::Status;
use trees::Trees;
use windlass_proto::refusal::to_status;
use windlass_shared::access::{Access, Grant, Viewer};
use windlass_shared::attempt::{Order, Outcome};
use windlass_shared::digest::Digest;
use windlass_shared::id::{CampaignId, IterationNumber, WorkerId};
use windlass_shared::record::Body;
use windlass_shared::reference::Reference;
use windlass_shared::refusal::Refusal;

/// Records read from the ledger at once.
const PAGE_RECORDS: u32 = 256;
/// Trees beside which the next is compared while a ledger is read: an iteration's tree, the one before it, results
/// and artifacts. What they share is noted once.
const COMPARED: usize = 4;

/// What is known of who may touch what. Cloning shares it.
#[derive(Clone, Default)]
pub(super) struct Reach(Arc<Inner>);

#[derive(Default)]
struct Inner {
    sent: Mutex<Sent>,
    naming: Naming,
    trees: Trees,
}

/// Why it could not be found out.
enum Failure {
    Ledger(ledger::Error),
    Blobs(blobs::Error),
}

impl From<ledger::Error> for Failure {
    fn from(error: ledger::Error) -> Self {
        Self::Ledger(error)
    }
}

impl From<blobs::Error> for Failure {
    fn from(error: blobs::Error) -> Self {
        Self::Blobs(error)
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Ledger(error) => ledger_failure(&error),
            Failure::Blobs(error) => blob_failure(error),
        }
    }
}

impl Reach {
    /// Those of `digests` that a caller may not touch.
    pub async fn beyond(
        &self,
        handle: &Handle,
        access: &Access,
        digests: &[Digest],
    ) -> Result<HashSet<Digest>, Status> {
        // An administrator reaches everything.
        let Some(who) = caller(&access.viewer) else { return Ok(HashSet::new()) };
        let mut beyond: HashSet<Digest> = digests.iter().copied().collect();
        self.sent().take_out(&who, &mut beyond, Instant::now());
        if beyond.is_empty() {
            return Ok(beyond);
        }
        if let Viewer::Worker(id, _) = &access.viewer {
            let orders = orders_of(handle, id).await?;
            return self
                .blocking(handle, move |inner, stores| inner.without_orders(stores, &orders, beyond))
                .await;
        }
        let visible = visible(handle, access).await?;
        let upto_seq = handle.durable.borrow().seq;
        self.blocking(handle, move |inner, stores| inner.without_named(stores, &visible, upto_seq, beyond))
            .await
    }

    /// Refuses the first of `digests` that a caller may not touch, as one that is not there.
    pub async fn refuse(&self, handle: &Handle, access: &Access, digests: &[Digest]) -> Result<(), Status> {
        let beyond = self.beyond(handle, access, digests).await?;
        match digests.iter().find(|digest| beyond.contains(digest)) {
            None => Ok(()),
            Some(digest) => Err(to_status(&Refusal::NotFound { what: "blob", name: digest.to_string() })),
        }
    }

    /// Refuses a change that names blobs which a caller may not touch, by themselves or in a tree.
    pub async fn refuse_named(&self, handle: &Handle, access: &Access, asked: &Asked) -> Result<(), Status> {
        if access.viewer == Viewer::Admin {
            return Ok(());
        }
        self.refuse(handle, access, &asked.named_blobs()).await?;
        let Asked::Create { tree, .. } = asked else { return Ok(()) };
        let tree = *tree;
        let within = self.blocking(handle, move |inner, stores| Ok(inner.trees.open(&stores.blobs, tree)?));
        let within: Vec<Digest> = within.await?.iter().copied().collect();
        self.refuse(handle, access, &within).await
    }

    /// Notes what a caller has sent, or has named and was told that it is there: it had that already.
    pub async fn note_sent(
        &self,
        handle: &Handle,
        access: &Access,
        digests: Vec<Digest>,
    ) -> Result<(), Status> {
        let Some(who) = caller(&access.viewer) else { return Ok(()) };
        let upto_seq = handle.durable.borrow().seq;
        let crowded = self.sent().crowded(&who, digests.len(), upto_seq);
        if let Some(held) = crowded {
            let named = self.named_everywhere(handle, access, held, upto_seq).await?;
            self.sent().forget(&who, &named);
        }
        self.sent().note(&who, &digests, Instant::now()).map_err(|refusal| to_status(&refusal))
    }

    /// The first blob of an outcome, by itself or in one of its trees, that its worker has neither sent nor been
    /// given, and that its campaign does not name already: to name it would bring it into that campaign's reach.
    pub async fn foreign(
        &self,
        handle: &Handle,
        worker: &WorkerId,
        (orders, order): (&[Order], &Order),
        outcome: &Outcome,
        parcels: &[Blob],
    ) -> Result<Option<Digest>, Status> {
        let (orders, campaign, parcels) = (orders.to_vec(), order.key.id.campaign.clone(), parcels.to_vec());
        let (blobs, trees): (Vec<Digest>, Vec<Digest>) =
            (outcome.blobs().collect(), outcome.trees().collect());
        let upto_seq = handle.durable.borrow().seq;
        let who = format!("worker/{worker}");
        self.blocking(handle, move |inner, stores| {
            let parcels: HashMap<Digest, &Blob> =
                parcels.iter().map(|parcel| (parcel.digest, parcel)).collect();
            let beyond = |digests: HashSet<Digest>| {
                let mut left: HashSet<Digest> =
                    digests.into_iter().filter(|digest| !parcels.contains_key(digest)).collect();
                inner.sent().take_out(&who, &mut left, Instant::now());
                let left = inner.without_orders(stores, &orders, left)?;
                inner.without_named(stores, &BTreeSet::from([campaign.clone()]), upto_seq, left)
            };
            if let Some(digest) = beyond(blobs.into_iter().collect())?.into_iter().next() {
                return Ok(Some(digest));
            }
            let mut within = HashSet::new();
            for tree in trees {
                match parcels.get(&tree) {
                    Some(parcel) => within.extend(trees::named(&parcel.bytes)),
                    None => within.extend(inner.trees.open(&stores.blobs, tree)?.iter()),
                }
            }
            Ok(beyond(within)?.into_iter().next())
        })
        .await
    }

    /// Those of some blobs that are within a caller's reach whatever it has sent: a client's when any campaign that
    /// it sees names them, a worker's when every one does that it works for.
    async fn named_everywhere(
        &self,
        handle: &Handle,
        access: &Access,
        held: Vec<Digest>,
        upto_seq: u64,
    ) -> Result<HashSet<Digest>, Status> {
        let each: Vec<BTreeSet<CampaignId>> = match &access.viewer {
            Viewer::Worker(id, _) => {
                let orders = orders_of(handle, id).await?;
                let campaigns: BTreeSet<CampaignId> =
                    orders.into_iter().map(|order| order.key.id.campaign).collect();
                campaigns.into_iter().map(|campaign| BTreeSet::from([campaign])).collect()
            }
            _ => vec![visible(handle, access).await?],
        };
        let held: HashSet<Digest> = held.into_iter().collect();
        self.blocking(handle, move |inner, stores| {
            let mut named = held.clone();
            for campaigns in &each {
                let beyond = inner.without_named(stores, campaigns, upto_seq, named.clone())?;
                named.retain(|digest| !beyond.contains(digest));
            }
            Ok(named)
        })
        .await
    }

    /// What a campaign takes on the disk by all of its records.
    pub async fn used(&self, handle: &Handle, campaign: &CampaignId) -> Result<Used, Status> {
        let (campaign, upto_seq) = (campaign.clone(), handle.durable.borrow().seq);
        self.blocking(handle, move |inner, stores| {
            inner.read_on(stores, &campaign, upto_seq)?;
            Ok(inner.naming.used(&campaign))
        })
        .await
    }

    /// Off the loop and off the server's threads: it reads the ledger and the store.
    async fn blocking<T: Send + 'static>(
        &self,
        handle: &Handle,
        work: impl FnOnce(&Inner, &Stores) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Status> {
        let (inner, stores) = (Arc::clone(&self.0), handle.stores.clone());
        Ok(blocking(move || work(&inner, &stores)).await?)
    }

    fn sent(&self) -> MutexGuard<'_, Sent> {
        self.0.sent()
    }
}

impl Inner {
    fn sent(&self) -> MutexGuard<'_, Sent> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes out what some orders name.
    fn without_orders(
        &self,
        stores: &Stores,
        orders: &[Order],
        mut beyond: HashSet<Digest>,
    ) -> Result<HashSet<Digest>, Failure> {
        for reference in orders.iter().flat_map(references) {
            if beyond.is_empty() {
                break;
            }
            let (Reference::Blob(digest) | Reference::Tree(digest)) = reference;
            beyond.remove(&digest);
            if matches!(reference, Reference::Tree(_)) && !beyond.is_empty() {
                let within = self.trees.open(&stores.blobs, digest)?;
                beyond.retain(|digest| !within.contains(digest));
            }
        }
        Ok(beyond)
    }

    /// Takes out what the records of some campaigns name, up to `upto_seq`. Only where something is left by what is
    /// known already are their ledgers read on.
    fn without_named(
        &self,
        stores: &Stores,
        campaigns: &BTreeSet<CampaignId>,
        upto_seq: u64,
        mut beyond: HashSet<Digest>,
    ) -> Result<HashSet<Digest>, Failure> {
        let known = self.naming.named(beyond.iter().copied(), campaigns)?;
        beyond.retain(|digest| !known.contains(digest));
        if beyond.is_empty() {
            return Ok(beyond);
        }
        for campaign in campaigns {
            self.read_on(stores, campaign, upto_seq)?;
        }
        let known = self.naming.named(beyond.iter().copied(), campaigns)?;
        beyond.retain(|digest| !known.contains(digest));
        Ok(beyond)
    }

    /// Notes what a campaign's records name, from where it was left.
    fn read_on(&self, stores: &Stores, campaign: &CampaignId, upto_seq: u64) -> Result<(), Failure> {
        let mut compared: VecDeque<Arc<HashSet<Digest>>> = VecDeque::new();
        let mut after_seq = self.naming.upto_seq(campaign);
        while after_seq < upto_seq {
            let page = stores.readers.after(Some(campaign), after_seq, PAGE_RECORDS)?;
            let is_last = page.len() < PAGE_RECORDS as usize;
            let mut stretch = Stretch::default();
            for record in &page {
                let found = record.body.references();
                let iteration = told_of(&record.body, &mut stretch);
                let lasting = found.lasting.into_iter().map(|reference| (None, reference));
                let evidence = found.evidence.into_iter();
                let evidence = evidence.map(|(part, reference)| (iteration.map(|it| (it, part)), reference));
                for (part, reference) in lasting.chain(evidence) {
                    let (Reference::Blob(digest) | Reference::Tree(digest)) = reference;
                    stretch.named.entry(digest).or_insert(part);
                    if matches!(reference, Reference::Tree(_)) {
                        for digest in self.open_beside(stores, digest, &mut compared)? {
                            stretch.named.entry(digest).or_insert(part);
                        }
                    }
                }
            }
            after_seq = match page.last() {
                Some(last) if !is_last => last.seq,
                _ => upto_seq,
            };
            stretch.upto_seq = after_seq;
            self.naming.note(campaign, &stretch)?;
        }
        Ok(())
    }

    /// What a tree names beyond those that were opened before it.
    fn open_beside(
        &self,
        stores: &Stores,
        tree: Digest,
        compared: &mut VecDeque<Arc<HashSet<Digest>>>,
    ) -> Result<Vec<Digest>, Failure> {
        let within = self.trees.open(&stores.blobs, tree)?;
        if compared.iter().any(|other| Arc::ptr_eq(other, &within)) {
            return Ok(Vec::new());
        }
        let is_new = |digest: &&Digest| !compared.iter().any(|other| other.contains(digest));
        let fresh = within.iter().filter(is_new).copied().collect();
        compared.push_back(within);
        if compared.len() > COMPARED {
            compared.pop_front();
        }
        Ok(fresh)
    }
}

/// The iteration whose evidence a record is about, with what it says of logs and of removals noted.
fn told_of(body: &Body, stretch: &mut Stretch) -> Option<IterationNumber> {
    match body {
        Body::AttemptEnded { attempt, outcome, .. } => {
            if outcome.log.is_none() {
                stretch.logs.push((attempt.iteration, outcome.log_bytes));
            }
            Some(attempt.iteration)
        }
        Body::DeliverableAccepted { iteration, .. } => Some(*iteration),
        Body::EvidenceRemoved { iteration, evidence, .. } => {
            stretch.removed.push((*iteration, *evidence));
            None
        }
        _ => None,
    }
}

/// The campaigns that a caller may read.
async fn visible(handle: &Handle, access: &Access) -> Result<BTreeSet<CampaignId>, Status> {
    let access = Access { viewer: access.viewer.clone(), need: Grant::Read };
    answered(handle.ask(|reply| Event::Query(Query::Visible { access, reply })).await)
}

/// The orders that a worker holds leases for.
pub(super) async fn orders_of(handle: &Handle, worker: &WorkerId) -> Result<Vec<Order>, Status> {
    let worker = worker.clone();
    answered(handle.ask(|reply| Event::Query(Query::Orders { worker, reply })).await)
}

/// What an order needs of the stores.
fn references(order: &Order) -> impl Iterator<Item = Reference> + '_ {
    let trees = std::iter::once(order.tree)
        .chain(order.results)
        .chain(order.run_artifacts)
        .chain(order.history.iter().map(|(_, tree)| *tree));
    let scripts = order.scripts.iter().filter_map(|row| row.script.digest()).map(Reference::Blob);
    // Of those it may know what stood where, and nothing of what is in their files.
    let near = order.near.iter().map(|tree| Reference::Blob(*tree));
    near.chain(trees.map(Reference::Tree)).chain(scripts)
}

impl std::fmt::Debug for Reach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reach(…)")
    }
}
