//! From a dead tree to an outcome: what the log says, whether frozen files stand, what results there are.
//! Never run while a process of the attempt lives, so that nothing prints or writes later.

mod builtin;
mod log;
mod outputs;

use crate::blobs;
use crate::driver::blocking;
use crate::error::Error;
use crate::prepare::manifest;
use crate::shim::{self, Exit};
use crate::shop::{Patience, Shop, persist};
use crate::spool::AttemptDir;
use crate::telemetry::{Summary, gpus};
use crate::workspace::{gather, read_back};
use rustix::io::Errno;
use windlass_engine::attempt::{ExitRecord, classify};
use windlass_engine::gate::editable::Editable;
use windlass_engine::gate::guard::frozen_changed;
use windlass_shared::attempt::{Ending, Kind, Order, Outcome};
use windlass_shared::digest::Digest;
use windlass_shared::machine::{Flag, Isolation};
use windlass_shared::path::TreePath;
use windlass_shared::tree::Manifest;

/// Ends every process of an attempt whose shim vanished, and reads what can be read: it is `lost`, not a
/// crash of the idea (I8).
pub async fn bury(shop: &Shop, order: &Order, device_model: String) -> Outcome {
    let (shop, key) = (shop.clone(), order.key.clone());
    let hunt = blocking(move || {
        let dir = shop.work.attempt(&key)?;
        let identity = dir.identity().ok().flatten();
        let killed = shim::end_without(identity.as_ref(), &key);
        tracing::warn!(attempt = %key, killed, "a shim vanished; its processes are ended");
        Ok((identity, told_model(&dir)))
    });
    let (identity, told) = hunt.await.unwrap_or_else(|error| {
        tracing::error!(attempt = %order.key, problem = error.chain(), "failed to hunt leftovers");
        (None, String::new())
    });
    Outcome {
        isolation: level(identity.as_ref().and_then(|identity| identity.isolation)),
        containment: identity.and_then(|identity| identity.containment),
        device_model: if told.is_empty() { device_model } else { told },
        ..Outcome::bare(Ending::Lost)
    }
}

/// What the run's devices were when it was started; a daemon that is just starting has not looked yet.
fn told_model(dir: &AttemptDir) -> String {
    dir.spec().ok().flatten().map_or(String::new(), |spec| spec.device_model)
}

/// The level in force, as the ledger keeps it; nothing where no shim ever said so.
fn level(isolation: Option<Isolation>) -> String {
    isolation.map_or(String::new(), |isolation| isolation.to_string())
}

/// Makes the outcome and sends the results. `device_model` is what it ran on. A failure of this machine
/// is an ending of the attempt, not an error.
pub async fn collect(shop: &Shop, order: &Order, exit: &ExitRecord, device_model: String) -> Outcome {
    let read = {
        let (shop, order, exit) = (shop.clone(), order.clone(), exit.clone());
        blocking(move || {
            let dir = shop.work.attempt(&order.key)?;
            read_folder(&shop, &order, &dir, &exit)
        })
        .await
    };
    let (mut outcome, results) = read.unwrap_or_else(|error| {
        let outcome = Outcome { duration_ms: exit.duration_ms, ..Outcome::bare(error.ending()) };
        (outcome, None)
    });
    if outcome.device_model.is_empty() {
        outcome.device_model = device_model;
    }
    if let Some(tree) = results {
        // The manifest is a blob like its files.
        let mut all: Vec<Digest> = tree.blobs().collect();
        all.push(tree.digest());
        let sent = persist(Patience::Endless, || blobs::upload(&shop.client, &shop.cache, &all)).await;
        match sent {
            Ok(()) => outcome.results = Some(tree.digest()),
            Err(error) => {
                tracing::warn!(attempt = %order.key, problem = error.chain(), "failed to send results");
                outcome.ending = error.ending();
            }
        }
    }
    outcome
}

/// All that is done with files alone.
fn read_folder(
    shop: &Shop,
    order: &Order,
    dir: &AttemptDir,
    exit: &ExitRecord,
) -> Result<(Outcome, Option<Manifest>), Error> {
    let log = log::read(&dir.log(), order.metric.as_ref(), &order.fix_patterns)?;
    let written: Option<Exit> = dir.exit()?;
    let (isolation, containment) =
        written.as_ref().map_or((None, None), |exit| (exit.isolation, exit.containment));
    let damaged = written.as_ref().and_then(|exit| exit.log_hash).is_some_and(|hash| hash != log.hash);
    let ending = match written.and_then(|exit| exit.log_errno).map(Errno::from_raw_os_error) {
        // The log is cut where the disk was full: what it says of the metric counts for nothing.
        Some(Errno::NOSPC | Errno::DQUOT) => Ending::DiskFull,
        Some(errno) => Ending::Infra { detail: format!("the log could not be written: {errno}") },
        // Nothing of a log that changed since it was written can be believed (I16).
        None if damaged => {
            Ending::Infra { detail: "run.log is damaged: not what the run printed".to_owned() }
        }
        None => classify(exit, &log.end),
    };
    let failed = ending != Ending::Finished;
    let mut outcome = Outcome {
        reading: log.reading.clone().filter(|_| !damaged),
        duration_ms: exit.duration_ms,
        log_bytes: log.bytes,
        log_hash: (exit.log_cut_bytes == 0).then_some(log.hash),
        log_cut_bytes: exit.log_cut_bytes,
        flags: if exit.log_cut_bytes > 0 { vec![Flag::LogCut] } else { Vec::new() },
        log_tail: if failed { log.tail() } else { String::new() },
        fix_matches: if failed { log.matches.clone() } else { Vec::new() },
        isolation: level(isolation),
        containment,
        device_model: told_model(dir),
        ..Outcome::bare(ending)
    };
    if exit.start_failure.is_some() {
        return Ok((outcome, None));
    }
    match order.kind {
        Kind::Run => {
            outcome.frozen_changed = changed(shop, order, dir)?;
            let telemetry = Summary::of(dir.path(), gpus(order).len());
            outcome.flags.extend(telemetry.flags());
            builtin::write(order, dir, exit, &outcome, &log, &telemetry)?;
        }
        Kind::Analysis => outcome.reading = None,
    }
    let gathered = gather(&shop.cache, &dir.results())?;
    for reason in &gathered.skipped {
        tracing::warn!(attempt = %order.key, reason, "left a file of the results out");
    }
    if gathered.skipped_count > gathered.skipped.len() {
        tracing::warn!(attempt = %order.key, count = gathered.skipped_count, "left so many out in all");
    }
    outcome.outputs = match order.kind {
        Kind::Run => outputs::of_builtins(order, &shop.cache, &gathered.tree)?,
        Kind::Analysis => outputs::of_scripts(order, &shop.cache, &gathered.tree, dir, &outcome.ending)?,
    };
    for output in outcome.outputs.iter_mut().filter(|output| output.digest.is_none()) {
        // It was written, and cannot be kept: that is what its author must hear.
        let name = format!("{:?} ", output.path.as_str());
        if let Some(reason) = gathered.skipped.iter().find_map(|reason| reason.strip_prefix(&name)) {
            output.problem = Some(format!("{} {reason}", output.path));
        }
    }
    let bytes = gathered.tree.to_bytes();
    shop.cache.insert(&gathered.tree.digest(), &bytes)?;
    Ok((outcome, Some(gathered.tree)))
}

/// The frozen file that the run changed, if it changed one (P2).
fn changed(shop: &Shop, order: &Order, dir: &AttemptDir) -> Result<Option<TreePath>, Error> {
    let base = manifest(&shop.cache, order.tree)?;
    let editable = Editable::new(&order.editable)
        .map_err(|refusal| Error::Order { field: "editable", value: refusal.to_string() })?;
    let found = read_back(&base, &dir.workspace())?;
    Ok(frozen_changed(&base, &found, &editable))
}
