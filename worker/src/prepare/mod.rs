//! From an order to a folder in which a shim can start: blobs fetched, workspace laid out, scripts and
//! history beside it.

mod analysis;
mod machine;
mod start;
mod workspace;

pub use analysis::{script_output, script_status};
pub use start::{setup_spec, spec};
pub use workspace::{fresh_copy, tree};

use crate::blobs::{self, Cache};
use crate::driver::blocking;
use crate::error::Error;
use crate::shop::{Shop, persist};
use crate::spool::{AttemptDir, Ended};
use crate::workspace::{Access, lay_out};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use windlass_engine::gate::editable::Editable;
use windlass_shared::attempt::{AttemptKey, Kind, Order};
use windlass_shared::digest::Digest;
use windlass_shared::tree::Manifest;

/// A blob that was damaged in the cache is thrown out and fetched again, this often.
const REPAIRS: u32 = 2;

/// Persists the order and makes all ready for its shim. `stop` ends a wait for the campaign's setup.
pub async fn prepare(shop: &Shop, order: &Order, stop: &CancellationToken) -> Result<(), Error> {
    // Before anything is fetched: what is not to be had here is not to be had after a download either.
    shop.ground.level(order)?;
    let dir = shop.work.attempt(&order.key)?;
    let is_ready = {
        let (shop, order, dir) = (shop.clone(), order.clone(), dir.clone());
        blocking(move || begin(&order, &dir).and_then(|()| at_once(&shop, &order, &dir))).await?
    };
    if is_ready {
        return Ok(());
    }
    tokio::select! {
        at_hand = shop.secrets.await_all(order) => at_hand?,
        () = stop.cancelled() => return Err(Error::Cancelled),
    }
    machine::prepare(shop, order, &dir).await?;
    match order.kind {
        Kind::Run => workspace::lay(shop, order, &dir, stop).await,
        Kind::Score => {
            workspace::lay(shop, order, &dir, stop).await?;
            let missing = || Error::Order { field: "run_artifacts", value: "none".to_owned() };
            workspace::lay_artifacts(shop, order.run_artifacts.ok_or_else(missing)?, &dir).await
        }
        Kind::Analysis => analysis::prepare(shop, order, &dir, stop).await,
    }
}

/// Begins a folder: the order in it, what an earlier try left out of it.
fn begin(order: &Order, dir: &AttemptDir) -> Result<(), Error> {
    if !dir.begin(order)? {
        dir.clear()?;
    }
    for folder in [dir.results(), dir.temporary()] {
        fs::create_dir_all(&folder).map_err(Error::file("create", &folder))?;
    }
    Ok(())
}

/// Makes a run ready for which nothing is to be fetched, set up or waited for. False: nothing was done.
fn at_once(shop: &Shop, order: &Order, dir: &AttemptDir) -> Result<bool, Error> {
    let waits = order.kind != Kind::Run || order.setup.is_some() || !order.secrets.is_empty();
    if waits || !workspace::lay_at_once(shop, order, dir)? {
        return Ok(false);
    }
    machine::make_ready(shop, order, dir)?;
    Ok(true)
}

/// [`Access`] that can cross to another thread.
#[derive(Clone, Debug)]
enum Owned {
    Editable(Editable),
    All,
    None,
}

impl Owned {
    fn access(&self) -> Access<'_> {
        match self {
            Self::Editable(editable) => Access::Editable(editable),
            Self::All => Access::All,
            Self::None => Access::None,
        }
    }
}

/// Fetches what is missing of a tree and lays it out in `root`, anew when a cached blob proves damaged.
/// `near` are trees that differ little from it.
async fn folder_of_tree(
    shop: &Shop,
    (tree, near): (Digest, &[Digest]),
    root: &Path,
    access: Owned,
) -> Result<(), Error> {
    let mut repairs = 0;
    loop {
        let laid_out = try_folder_of_tree(shop, (tree, near), root, access.clone()).await;
        match laid_out {
            Err(Error::Damaged(_) | Error::Missing(_)) if repairs < REPAIRS => {
                repairs += 1;
                let root = root.to_owned();
                blocking(move || fs::remove_dir_all(&root).map_err(Error::file("remove", &root))).await?;
            }
            result => return result,
        }
    }
}

async fn try_folder_of_tree(
    shop: &Shop,
    (tree, near): (Digest, &[Digest]),
    root: &Path,
    access: Owned,
) -> Result<(), Error> {
    let to = root.to_owned();
    blocking(move || fs::create_dir_all(&to).map_err(Error::file("create", &to))).await?;
    fetch_tree(shop, tree, near).await?;
    let manifest = manifest(&shop.cache, tree)?;
    fetch(shop, manifest.blobs().collect()).await?;
    let (cache, root) = (Arc::clone(&shop.cache), root.to_owned());
    blocking(move || lay_out(&cache, &manifest, &root, access.access())).await
}

/// Gets what is missing of `wanted`; an outage of the coordinator is waited out (P20).
async fn fetch(shop: &Shop, wanted: Vec<Digest>) -> Result<(), Error> {
    persist(shop.patience(), || blobs::fetch(&shop.client, &shop.cache, &wanted)).await
}

/// Gets a tree's manifest where it is not here.
async fn fetch_tree(shop: &Shop, tree: Digest, near: &[Digest]) -> Result<(), Error> {
    persist(shop.patience(), || blobs::fetch_tree(&shop.client, &shop.cache, tree, near)).await
}

/// Reads a tree from the cache.
pub fn manifest(cache: &Cache, digest: Digest) -> Result<Manifest, Error> {
    let bytes = cache.read(&digest)?;
    Manifest::from_bytes(&bytes).map_err(|source| Error::Manifest { digest, source })
}

/// Gives an analysis's workspace back for the next one (P22), and keeps an ended run's for its first. `keep` are
/// those that the coordinator asks for, a crash's too.
pub fn forget(
    shop: &Shop,
    order: &Order,
    dir: &AttemptDir,
    keep: &BTreeSet<AttemptKey>,
) -> Result<(), Error> {
    // A workspace is worth keeping only when a shim has run in it: then it was laid out whole.
    let ran = matches!(dir.exit(), Ok(Some(exit)) if exit.record.start_failure.is_none());
    // What has no metric is analysed only when somebody follows up on it (P21, P22).
    let measured = keep.contains(&order.key)
        || matches!(dir.ended(), Ok(Some(Ended { outcome, .. })) if outcome.score_artifact.is_some()
        || outcome.reading.as_ref().is_some_and(|it| it.value().is_some()));
    match (order.kind, &order.run) {
        (Kind::Run, _) if ran && measured => shop.work.keep(&order.key, dir, keep),
        (Kind::Analysis, Some(run)) if ran => {
            analysis::give_back(shop, run, dir)?;
            shop.work.forget(dir)
        }
        _ => shop.work.forget(dir),
    }
}
