//! From an order and its prepared folder to what its shim is told.

use super::analysis;
use super::manifest;
use crate::error::Error;
use crate::sandbox;
use crate::shim::{LogLimits, Spec};
use crate::shop::Shop;
use crate::spool::AttemptDir;
use windlass_shared::attempt::{Kind, Order};
use windlass_shared::machine::Isolation;

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
    let walls = shop.ground.walls(order, dir, || manifest(&shop.cache, order.tree))?;
    let (command, mut env) = match order.kind {
        Kind::Run => (order.command.clone(), sandbox::run(order, dir)),
        Kind::Analysis => (analysis::command(dir), sandbox::analysis(order, dir, &dir.run_log())),
    };
    if walls.isolation > Isolation::None {
        sandbox::keep_within(&mut env, dir);
    }
    Ok(Spec {
        key: order.key.clone(),
        nonce,
        command,
        folder: dir.workspace(),
        env,
        cpus,
        soft_limit_ms: order.soft_limit_ms,
        hard_limit_ms: order.hard_limit_ms,
        locks: order.devices.iter().map(|device| shop.work.device_lock(device)).collect(),
        log: order.limits.log_bytes.map_or_else(LogLimits::default, LogLimits::within),
        device_model,
        walls,
    })
}
