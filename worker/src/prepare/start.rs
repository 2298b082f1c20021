//! From an order and its prepared folder to what its shim is told.

use super::analysis;
use crate::sandbox;
use crate::shim::{LogLimits, Mounts, Spec};
use crate::spool::{AttemptDir, WorkDir};
use windlass_shared::attempt::{Kind, Order};

/// The shim's spec. `nonce` is drawn for this start.
pub fn spec(work: &WorkDir, order: &Order, dir: &AttemptDir, nonce: String) -> Spec {
    let (command, env) = match order.kind {
        Kind::Run => (order.command.clone(), sandbox::run(order, dir)),
        Kind::Analysis => (analysis::command(dir), sandbox::analysis(order, dir, &dir.run_log())),
    };
    Spec {
        key: order.key.clone(),
        nonce,
        command,
        folder: dir.workspace(),
        env,
        soft_limit_ms: order.soft_limit_ms,
        hard_limit_ms: order.hard_limit_ms,
        locks: order.devices.iter().map(|device| work.device_lock(device)).collect(),
        log: LogLimits::default(),
        mounts: Mounts::default(),
    }
}
