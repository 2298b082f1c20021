//! From an order and its prepared folder to what its shim is told.

use super::analysis;
use super::machine::{self, Purpose, mounts};
use super::manifest;
use crate::error::Error;
use crate::sandbox;
use crate::shim::{LogLimits, Spec};
use crate::shop::Shop;
use crate::spool::AttemptDir;
use windlass_shared::attempt::{Kind, Order};
use windlass_shared::machine::Isolation;

/// The run's command. Where a run may pass its budget and still count (P16), the shell around it outlives the
/// gate's SIGTERM and ends with the command's own exit code; a handler, unlike an ignored signal, is not
/// inherited by what the shell starts.
fn command(order: &Order) -> String {
    match order.measure_until_ms {
        Some(_) => format!("trap : TERM\n{}", order.command),
        None => order.command.clone(),
    }
}

/// The shim's spec. `nonce` is drawn for this start; `cpus` are those that the run is bound to. Fails where
/// the machine lacks what is asked for.
pub fn spec(
    shop: &Shop,
    order: &Order,
    dir: &AttemptDir,
    nonce: String,
    cpus: Vec<u32>,
    device_model: String,
) -> Result<Spec, Error> {
    let spec = spec_for(shop, order, dir, nonce, Purpose::Attempt)?;
    Ok(Spec { cpus, device_model, ..spec })
}

/// The same for the campaign's setup in a folder of its own; its command and limits are still the run's. It
/// is shut in as the run is, but for the network: that is what most setups are for.
pub fn setup_spec(shop: &Shop, order: &Order, dir: &AttemptDir, nonce: String) -> Result<Spec, Error> {
    let isolation = order.isolation.map(|level| level.min(Isolation::Guarded));
    let order = Order { kind: Kind::Run, isolation, ..order.clone() };
    let mut spec = spec_for(shop, &order, dir, nonce, Purpose::Setup)?;
    if spec.walls.isolation > Isolation::None {
        let home = machine::home(dir);
        std::fs::create_dir_all(&home).map_err(Error::file("create", &home))?;
        spec.env.insert("HOME".to_owned(), home.display().to_string());
    }
    Ok(spec)
}

fn spec_for(
    shop: &Shop,
    order: &Order,
    dir: &AttemptDir,
    nonce: String,
    purpose: Purpose,
) -> Result<Spec, Error> {
    let mut walls = shop.ground.walls(order, dir, || manifest(&shop.cache, order.tree))?;
    machine::open(shop, order, dir, purpose, &mut walls)?;
    let (command, mut env) = match order.kind {
        Kind::Run | Kind::Score => (command(order), sandbox::run(order, dir)),
        Kind::Analysis => (analysis::command(dir), sandbox::analysis(order, dir, &dir.run_log())),
    };
    if !order.caches.is_empty() {
        let caches = shop.work.caches(&order.key.id.campaign)?;
        env.insert("WINDLASS_CACHES".to_owned(), caches.display().to_string());
    }
    if !order.data.is_empty() {
        env.insert("WINDLASS_DATA".to_owned(), dir.data().display().to_string());
    }
    if walls.isolation > Isolation::None {
        sandbox::keep_within(&mut env, dir);
    }
    Ok(Spec {
        key: order.key.clone(),
        nonce,
        command,
        folder: dir.workspace(),
        env,
        cpus: Vec::new(),
        soft_limit_ms: order.soft_limit_ms,
        hard_limit_ms: order.hard_limit_ms,
        measure_until_ms: order.measure_until_ms,
        locks: order.devices.iter().map(|device| shop.work.device_lock(device)).collect(),
        log: LogLimits::of(&order.limits),
        secrets: order.secrets.clone(),
        mounts: mounts(shop, order, dir, purpose)?,
        device_model: String::new(),
        walls,
        request: order.request.clone(),
    })
}
