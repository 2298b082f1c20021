//! What of the machine a run is given beside its workspace: data, caches, and what is mounted for it.

use crate::data;
use crate::driver::blocking;
use crate::error::Error;
use crate::sandbox::Walls;
use crate::shim::{Bind, Mounts, Overlay};
use crate::shop::Shop;
use crate::spool::AttemptDir;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use windlass_shared::attempt::Order;
use windlass_shared::machine::Isolation;

/// For whom mounts are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A run or an analysis: caches are read-only unless the campaign says otherwise.
    Attempt,
    /// A setup, which fills the caches.
    Setup,
}

/// Checks the data and makes the caches; both are linked where the environment points to them.
pub(super) async fn prepare(shop: &Shop, order: &Order, dir: &AttemptDir) -> Result<(), Error> {
    let (shop, order, dir) = (shop.clone(), order.clone(), dir.clone());
    blocking(move || make_ready(&shop, &order, &dir)).await
}

/// The same, on a thread for blocking calls.
pub(super) fn make_ready(shop: &Shop, order: &Order, dir: &AttemptDir) -> Result<(), Error> {
    for one in &order.data {
        data::may_show(Path::new(&one.path), shop.ground.hidden())?;
        data::check(&shop.work.fingerprints(), one)?;
    }
    link_data(order, dir)?;
    for cache in &order.caches {
        let path = shop.work.caches(&order.key.id.campaign)?.join(&cache.name);
        fs::create_dir_all(&path).map_err(Error::file("create", &path))?;
    }
    if !order.caches.is_empty() {
        let caches = shop.work.caches(&order.key.id.campaign)?;
        crate::workspace::note_use(&caches.with_extension("used"))?;
    }
    Ok(())
}

/// `$WINDLASS_DATA/<last part of the path>`; a second one of that name has its number before it.
fn link_data(order: &Order, dir: &AttemptDir) -> Result<(), Error> {
    let folder = dir.data();
    if order.data.is_empty() {
        return Ok(());
    }
    fs::create_dir_all(&folder).map_err(Error::file("create", &folder))?;
    let mut names = BTreeSet::new();
    for (index, one) in order.data.iter().enumerate() {
        let last = Path::new(&one.path).file_name().map(|name| name.to_string_lossy().into_owned());
        let last = last.unwrap_or_else(|| "root".to_owned());
        let name = if names.insert(last.clone()) { last } else { format!("{index}-{last}") };
        let to = folder.join(name);
        symlink(&one.path, &to).map_err(Error::file("link", &to))?;
    }
    Ok(())
}

/// What is mounted for a run in `dir`; nothing where the machine mounts nothing.
pub fn mounts(shop: &Shop, order: &Order, dir: &AttemptDir, purpose: Purpose) -> Result<Mounts, Error> {
    if !shop.mounts {
        return Ok(Mounts::default());
    }
    let mut mounts = Mounts::default();
    let below = dir.layers()?.filter(|below| below.is_overlay());
    if let Some(below) = below {
        mounts.overlay = Some(Overlay {
            lower: below.all(),
            upper: dir.upper(),
            work: dir.overlay_work(),
            merged: dir.workspace(),
        });
        // Scripts of a virtual environment, and what is installed in place, name the folder that the setup
        // ran in: there the run finds its own workspace.
        if let Some(made_in) = below.setup.as_deref().and_then(Path::parent) {
            let to = made_in.join("workspace");
            mounts.binds.push(Bind { from: dir.workspace(), to, writable: true });
        }
    }
    for one in &order.data {
        mounts.binds.push(in_place(PathBuf::from(&one.path)));
    }
    for cache in order.caches.iter().filter(|cache| !cache.writable && purpose == Purpose::Attempt) {
        mounts.binds.push(in_place(shop.work.caches(&order.key.id.campaign)?.join(&cache.name)));
    }
    Ok(mounts)
}

/// Opens in the walls what belongs to the campaign beside the workspace: its data and caches, and what its
/// setup made.
pub fn open(
    shop: &Shop,
    order: &Order,
    dir: &AttemptDir,
    purpose: Purpose,
    walls: &mut Walls,
) -> Result<(), Error> {
    walls.read.push(dir.data());
    walls.read.extend(order.data.iter().map(|one| PathBuf::from(&one.path)));
    for cache in &order.caches {
        let path = shop.work.caches(&order.key.id.campaign)?.join(&cache.name);
        let open =
            if cache.writable || purpose == Purpose::Setup { &mut walls.write } else { &mut walls.read };
        open.push(path);
    }
    if purpose == Purpose::Setup {
        walls.write.push(home(dir));
        // Its environment is as large as it is; the limit is for what a run adds.
        walls.limits.disk_bytes = None;
    }
    let made_in = dir.layers()?.and_then(|below| below.setup);
    if let Some(made_in) = made_in.as_deref().and_then(Path::parent) {
        walls.read.push(made_in.join("home"));
        // Where overlays are mounted this is the run's own workspace under another name.
        let is_own = shop.mounts && walls.isolation != Isolation::Sealed;
        let open = if is_own { &mut walls.write } else { &mut walls.read };
        open.push(made_in.join("workspace"));
    }
    Ok(())
}

/// The home of a setup that is shut in: what tools keep there (an interpreter that `uv` fetched) stays with
/// what the setup made.
pub fn home(dir: &AttemptDir) -> PathBuf {
    dir.path().join("home")
}

fn in_place(path: PathBuf) -> Bind {
    Bind { from: path.clone(), to: path, writable: false }
}
