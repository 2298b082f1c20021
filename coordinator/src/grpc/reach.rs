//! Which blobs a caller may touch: a worker those that its live attempts need, a client those that its campaigns
//! name or that it has just sent. Everything else is not there for it.

use super::convert::{answered, blob_failure, ledger_failure};
use crate::blobs::{self, Blobs};
use crate::driver::{Asked, Event, Handle, Query, blocking};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use tonic::Status;
use windlass_proto::refusal::to_status;
use windlass_shared::access::{Access, Grant, Viewer};
use windlass_shared::attempt::Order;
use windlass_shared::digest::Digest;
use windlass_shared::id::{CampaignId, WorkerId};
use windlass_shared::plan::Script;
use windlass_shared::reference::Reference;
use windlass_shared::refusal::Refusal;
use windlass_shared::tree::Manifest;

/// Blobs that one client has sent and that no campaign of its names yet: an upload of the largest workspace.
const SENT_MAX: usize = 250_000;
/// Clients whose uploads are remembered, the latest ones.
const SENDERS_MAX: usize = 16;
/// Campaigns whose blobs are remembered, the latest that were asked about; 40 bytes for each blob.
const CAMPAIGNS_MAX: usize = 32;
/// Trees whose contents are remembered.
const TREES_MAX: usize = 64;
/// Records read from the ledger at once.
const PAGE_RECORDS: u32 = 256;

/// What is known of who may touch what. Cloning shares it.
#[derive(Clone, Default)]
pub(super) struct Reach(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    sent: BTreeMap<String, HashSet<Digest>>,
    /// The senders, the latest last.
    senders: VecDeque<String>,
    campaigns: HashMap<CampaignId, Named>,
    asked: VecDeque<CampaignId>,
    trees: HashMap<Digest, Arc<HashSet<Digest>>>,
    opened: VecDeque<Digest>,
}

/// The blobs of a campaign's records, up to one of them.
#[derive(Default)]
struct Named {
    upto_seq: u64,
    blobs: Arc<HashSet<Digest>>,
    /// Those of them that are trees and were opened.
    trees: HashSet<Digest>,
}

impl Reach {
    /// Those of `digests` that a caller may not touch.
    pub async fn beyond(
        &self,
        handle: &Handle,
        access: &Access,
        digests: &[Digest],
    ) -> Result<HashSet<Digest>, Status> {
        match &access.viewer {
            Viewer::Admin => Ok(HashSet::new()),
            Viewer::Worker(id, _) => self.beyond_worker(handle, id, digests).await,
            Viewer::Client(name) => self.beyond_client(handle, access, name, digests).await,
        }
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
        let within: Vec<Digest> = self.tree(&handle.stores.blobs, *tree).await?.iter().copied().collect();
        self.refuse(handle, access, &within).await
    }

    /// Notes what a client has sent: whoever sends a blob had it already.
    pub fn note_sent(&self, access: &Access, digest: Digest) -> Result<(), Refusal> {
        let Viewer::Client(name) = &access.viewer else { return Ok(()) };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.sent.contains_key(name) {
            if known.senders.len() >= SENDERS_MAX
                && let Some(oldest) = known.senders.pop_front()
            {
                known.sent.remove(&oldest);
            }
            known.senders.push_back(name.clone());
        }
        let sent = known.sent.entry(name.clone()).or_default();
        if sent.len() >= SENT_MAX && !sent.contains(&digest) {
            let (figure, limit) = (SENT_MAX as u64 + 1, SENT_MAX as u64);
            let what = "the number of blobs that were sent and that no campaign names".to_owned();
            return Err(Refusal::TooMuch { what, figure, limit });
        }
        sent.insert(digest);
        Ok(())
    }

    async fn beyond_worker(
        &self,
        handle: &Handle,
        worker: &WorkerId,
        digests: &[Digest],
    ) -> Result<HashSet<Digest>, Status> {
        let mut beyond: HashSet<Digest> = digests.iter().copied().collect();
        for reference in orders_of(handle, worker).await?.iter().flat_map(references) {
            match reference {
                Reference::Blob(digest) => {
                    beyond.remove(&digest);
                }
                Reference::Tree(tree) => {
                    beyond.remove(&tree);
                    if !beyond.is_empty() {
                        let within = self.tree(&handle.stores.blobs, tree).await?;
                        beyond.retain(|digest| !within.contains(digest));
                    }
                }
            }
            if beyond.is_empty() {
                break;
            }
        }
        Ok(beyond)
    }

    async fn beyond_client(
        &self,
        handle: &Handle,
        access: &Access,
        name: &str,
        digests: &[Digest],
    ) -> Result<HashSet<Digest>, Status> {
        let mut beyond: HashSet<Digest> = digests.iter().copied().collect();
        {
            let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(sent) = known.sent.get(name) {
                beyond.retain(|digest| !sent.contains(digest));
            }
        }
        if beyond.is_empty() {
            return Ok(beyond);
        }
        let access = Access { viewer: access.viewer.clone(), need: Grant::Read };
        let visible = answered(handle.ask(|reply| Event::Query(Query::Visible { access, reply })).await)?;
        for campaign in visible.iter().rev() {
            let named = self.campaign(handle, campaign).await?;
            beyond.retain(|digest| !named.contains(digest));
            if beyond.is_empty() {
                break;
            }
        }
        Ok(beyond)
    }

    /// Every blob that a campaign's records name, read on from where it was left.
    async fn campaign(&self, handle: &Handle, campaign: &CampaignId) -> Result<Arc<HashSet<Digest>>, Status> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).campaigns.remove(campaign);
        let mut named = known.unwrap_or_default();
        let upto_seq = handle.durable.borrow().seq;
        while named.upto_seq < upto_seq {
            let (readers, asked, after) = (handle.stores.readers.clone(), campaign.clone(), named.upto_seq);
            let page = blocking(move || readers.after(Some(&asked), after, PAGE_RECORDS))
                .await
                .map_err(|error| ledger_failure(&error))?;
            let is_last = page.len() < PAGE_RECORDS as usize;
            for record in page {
                named.upto_seq = record.seq;
                let found = record.body.references();
                let evidence = found.evidence.into_iter().map(|(_, reference)| reference);
                for reference in found.lasting.into_iter().chain(evidence) {
                    self.add(handle, &mut named, reference).await?;
                }
            }
            if is_last {
                named.upto_seq = named.upto_seq.max(upto_seq);
            }
        }
        let answer = Arc::clone(&named.blobs);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.campaigns.insert(campaign.clone(), named);
        known.asked.retain(|asked| asked != campaign);
        known.asked.push_back(campaign.clone());
        if known.asked.len() > CAMPAIGNS_MAX
            && let Some(oldest) = known.asked.pop_front()
        {
            known.campaigns.remove(&oldest);
        }
        Ok(answer)
    }

    async fn add(&self, handle: &Handle, named: &mut Named, reference: Reference) -> Result<(), Status> {
        let (Reference::Blob(digest) | Reference::Tree(digest)) = reference;
        let is_tree = matches!(reference, Reference::Tree(_));
        if named.blobs.contains(&digest) && (!is_tree || named.trees.contains(&digest)) {
            return Ok(());
        }
        if is_tree {
            let within = self.tree(&handle.stores.blobs, digest).await?;
            Arc::make_mut(&mut named.blobs).extend(within.iter());
            named.trees.insert(digest);
        }
        Arc::make_mut(&mut named.blobs).insert(digest);
        Ok(())
    }

    /// What a tree names. One that was removed names nothing any more.
    async fn tree(&self, blobs: &Blobs, tree: Digest) -> Result<Arc<HashSet<Digest>>, Status> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).trees.get(&tree).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let bytes = match blobs.read(tree).await {
            Ok(bytes) => bytes,
            Err(blobs::Error::Absent { .. }) => return Ok(Arc::default()),
            Err(error) => return Err(blob_failure(error)),
        };
        let named =
            Manifest::from_bytes(&bytes).map(|manifest| manifest.blobs().collect()).unwrap_or_default();
        let named: Arc<HashSet<Digest>> = Arc::new(named);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.trees.insert(tree, Arc::clone(&named)).is_none() {
            known.opened.push_back(tree);
            if known.opened.len() > TREES_MAX
                && let Some(oldest) = known.opened.pop_front()
            {
                known.trees.remove(&oldest);
            }
        }
        Ok(named)
    }
}

/// The orders that a worker holds leases for.
pub(super) async fn orders_of(handle: &Handle, worker: &WorkerId) -> Result<Vec<Order>, Status> {
    let worker = worker.clone();
    answered(handle.ask(|reply| Event::Query(Query::Orders { worker, reply })).await)
}

/// What an order needs of the stores.
fn references(order: &Order) -> impl Iterator<Item = Reference> + '_ {
    let scripts = order.scripts.iter().filter_map(|row| match &row.script {
        Script::Blob { digest, .. } => Some(Reference::Blob(*digest)),
        Script::Named(_) => None,
    });
    let trees = std::iter::once(order.tree)
        .chain(order.results)
        .chain(order.run_artifacts)
        .chain(order.history.iter().map(|(_, tree)| *tree));
    // Of those it may know what stood where, and nothing of what is in their files.
    let near = order.near.iter().map(|tree| Reference::Blob(*tree));
    near.chain(trees.map(Reference::Tree)).chain(scripts)
}

impl std::fmt::Debug for Reach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reach(…)")
    }
}
