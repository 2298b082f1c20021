//! Lays a workspace out: as an overlay on verified trees where the machine can mount one, else as a folder
//! of reflinks or copies; with what the campaign's setup created.

use super::{Owned, REPAIRS, fetch, fetch_tree, folder_of_tree, manifest};
use crate::driver::blocking;
use crate::error::Error;
use crate::setup::{self, Prepared};
use crate::shop::Shop;
use crate::spool::AttemptDir;
use crate::workspace::{Below, Standing, lay_over};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use windlass_engine::gate::editable::Editable;
use windlass_shared::attempt::Order;
use windlass_shared::digest::Digest;
use windlass_shared::tree::Manifest;

/// The workspace of an attempt, after its setup.
pub(super) async fn lay(
    shop: &Shop,
    order: &Order,
    dir: &AttemptDir,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let tree = tree(shop, order.tree, &order.near).await?;
    let setup = setup::ensure(shop, order, &tree, stop).await?;
    lay_tree(shop, order, &tree, dir, setup).await
}

/// Everything of a fresh attempt's folder but its setup: what a setup itself runs in.
pub async fn fresh_copy(shop: &Shop, order: &Order, dir: &AttemptDir) -> Result<(), Error> {
    let (order_here, dir_here) = (order.clone(), dir.clone());
    blocking(move || super::begin(&order_here, &dir_here)).await?;
    let tree = tree(shop, order.tree, &order.near).await?;
    lay_tree(shop, order, &tree, dir, None).await
}

/// Reads a tree's manifest, fetched where it is not here. `near` are trees that differ little from it.
pub async fn tree(shop: &Shop, digest: Digest, near: &[Digest]) -> Result<Manifest, Error> {
    let mut repairs = 0;
    loop {
        fetch_tree(shop, digest, near).await?;
        let cache = Arc::clone(&shop.cache);
        match blocking(move || manifest(&cache, digest)).await {
            Err(Error::Damaged(_) | Error::Missing(_)) if repairs < REPAIRS => repairs += 1,
            result => return result,
        }
    }
}

async fn lay_tree(
    shop: &Shop,
    order: &Order,
    tree: &Manifest,
    dir: &AttemptDir,
    setup: Option<Prepared>,
) -> Result<(), Error> {
    if !shop.mounts {
        let editable = Owned::Editable(editable(order)?);
        folder_of_tree(shop, (order.tree, &order.near), &dir.workspace(), editable).await?;
        let dir = dir.clone();
        return blocking(move || link_setup(&dir, setup)).await;
    }
    let trees = layers(shop, order, tree).await?;
    let dir = dir.clone();
    blocking(move || lay_on(&dir, &Below { trees, setup: setup.map(|it| it.dir.upper()) })).await
}

/// Lays the workspace of a run without a setup whose tree lies ready. False where it does not: nothing was done.
pub(super) fn lay_at_once(shop: &Shop, order: &Order, dir: &AttemptDir) -> Result<bool, Error> {
    if !shop.mounts || !shop.cache.has(&order.tree) {
        return Ok(false);
    }
    match shop.trees.find(order.tree, &order.editable)? {
        Some(trees) => lay_on(dir, &Below { trees, setup: None }).map(|()| true),
        None => Ok(false),
    }
}

/// The folders of an overlay on what lies ready.
fn lay_on(dir: &AttemptDir, below: &Below) -> Result<(), Error> {
    for folder in [dir.workspace(), dir.upper(), dir.overlay_work()] {
        fs::create_dir_all(&folder).map_err(Error::file("create", &folder))?;
    }
    dir.keep_layers(below)
}

fn link_setup(dir: &AttemptDir, setup: Option<Prepared>) -> Result<(), Error> {
    let Some(setup) = setup else { return Ok(()) };
    let root = setup.dir.workspace();
    setup::link(&root, &dir.workspace())?;
    dir.keep_layers(&Below { trees: Vec::new(), setup: Some(root) })
}

/// The tree's layers, topmost first; laid out now where they do not lie ready.
async fn layers(shop: &Shop, order: &Order, tree: &Manifest) -> Result<Vec<PathBuf>, Error> {
    let mut repairs = 0;
    loop {
        let missing = {
            let (trees, order, tree) = (Arc::clone(&shop.trees), order.clone(), tree.clone());
            let look = move || trees.look(order.tree, &tree, &order.editable);
            match blocking(look).await? {
                Standing::Ready(layers) => return Ok(layers),
                Standing::Missing(missing) => missing,
            }
        };
        let wanted = missing.blobs();
        fetch(shop, wanted).await?;
        let (trees, cache, tree) = (Arc::clone(&shop.trees), Arc::clone(&shop.cache), tree.clone());
        let editable = editable(order)?;
        match blocking(move || trees.lay(&cache, &missing, &tree, &editable)).await {
            Err(Error::Damaged(_) | Error::Missing(_)) if repairs < REPAIRS => repairs += 1,
            result => return result,
        }
    }
}

/// Lays the artifacts of the run over a workspace that is rebuilt for its analysis.
pub(super) async fn lay_artifacts(shop: &Shop, artifacts: Digest, dir: &AttemptDir) -> Result<(), Error> {
    let mut repairs = 0;
    loop {
        let files = tree(shop, artifacts, &[]).await?;
        fetch(shop, files.blobs().collect()).await?;
        let (cache, dir) = (Arc::clone(&shop.cache), dir.clone());
        let lay = move || {
            let layered = dir.layers()?.is_some_and(|below| below.is_overlay());
            lay_over(&cache, &files, &if layered { dir.upper() } else { dir.workspace() })
        };
        match blocking(lay).await {
            Err(Error::Damaged(_) | Error::Missing(_)) if repairs < REPAIRS => repairs += 1,
            result => return result,
        }
    }
}

fn editable(order: &Order) -> Result<Editable, Error> {
    Editable::new(&order.editable)
        .map_err(|refusal| Error::Order { field: "editable", value: refusal.to_string() })
}
