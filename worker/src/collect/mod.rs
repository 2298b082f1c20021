//! From a dead tree to an outcome: what the log says, whether frozen files stand, what results there are.
//! Never run while a process of the attempt lives, so that nothing prints or writes later.

mod added;
mod builtin;
mod log;
mod outputs;

use crate::blobs;
use crate::driver::blocking;
use crate::durable;
use crate::error::Error;
use crate::logs::{self, Beginning, Turn};
use crate::parcels::{self, Parcel};
use crate::prepare::manifest;
use crate::setup::Failure;
use crate::shim::{self, Exit, LogLimits};
use crate::shop::{Patience, Shop, persist};
use crate::spool::AttemptDir;
use crate::telemetry::{Summary, gpus};
use crate::workspace::{Below, artifacts, frozen_changed_below, frozen_touched, gather, read_back};
use added::added_to;
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use windlass_engine::attempt::{ExitRecord, classify};
use windlass_engine::gate::editable::Editable;
use windlass_engine::gate::guard::frozen_changed;
use windlass_proto::PARCEL_MAX_BYTES;
use windlass_shared::attempt::{Ending, Kind, Order, Outcome};
use windlass_shared::digest::{Digest, Hash};
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
        let killed = shim::end_without(dir.path(), identity.as_ref(), &key);
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

/// Whether a run's log is so short that it may go with its outcome.
pub fn is_short(exit: &ExitRecord) -> bool {
    exit.log_bytes <= PARCEL_MAX_BYTES as u64 && exit.log_cut_bytes == 0
}

/// Makes the outcome and sends the results, where they are small with the next report; the log too where it is
/// `held` for that. `device_model` is what it ran on. A failure of this machine is an ending of the attempt, not
/// an error.
pub async fn collect(
    shop: &Shop,
    order: &Order,
    exit: &ExitRecord,
    device_model: String,
    held: bool,
) -> Outcome {
    let read = {
        let (shop, order, exit) = (shop.clone(), order.clone(), exit.clone());
        blocking(move || {
            let dir = shop.work.attempt(&order.key)?;
            let (mut outcome, left) = read_folder(&shop, &order, &dir, &exit)?;
            let packed = pack(&shop, &order, &dir, &mut outcome, &left, held);
            Ok((outcome, left, packed))
        })
        .await
    };
    let (mut outcome, left, packed) = read.unwrap_or_else(|error| {
        let outcome = Outcome { duration_ms: exit.duration_ms, ..Outcome::bare(error.ending()) };
        (outcome, Left::default(), false)
    });
    if outcome.device_model.is_empty() {
        outcome.device_model = device_model;
    }
    if !packed {
        send(shop, order, &mut outcome, left).await;
        if held {
            outcome.log_hash = send_log(shop, order, exit.log_bytes, outcome.log_hash).await;
        }
    }
    outcome
}

/// Puts what is small into parcels, all of it or nothing. Whether it did.
fn pack(
    shop: &Shop,
    order: &Order,
    dir: &AttemptDir,
    outcome: &mut Outcome,
    left: &Left,
    held: bool,
) -> bool {
    let blobs: BTreeSet<Digest> = left.blobs().into_iter().collect();
    let bytes: u64 = blobs.iter().map(|digest| digest.size_bytes).sum();
    if bytes > parcels::ATTEMPT_MAX_BYTES {
        return false;
    }
    let read = |digest: Digest| Ok(Parcel { digest, bytes: shop.cache.read(&digest)?.into() });
    let log = held
        .then(|| durable::read_at_most(&dir.log(), PARCEL_MAX_BYTES as u64).ok())
        .flatten()
        .map(|bytes| Parcel { digest: Digest::of(&bytes), bytes: bytes.into() });
    // What changed since it was read goes the long way, where that is found out.
    let is_log = |parcel: &Parcel| outcome.log_hash == Some(parcel.digest.hash);
    if held && !log.as_ref().is_some_and(is_log) {
        return false;
    }
    let log_digest = log.as_ref().map(|parcel| parcel.digest);
    let Ok(packed) = blobs.into_iter().map(read).chain(log.map(Ok)).collect::<Result<Vec<_>, Error>>() else {
        return false;
    };
    if !shop.parcels.offer(&order.key, packed) {
        return false;
    }
    outcome.log = log_digest;
    left.name_in(outcome);
    true
}

/// A log that was held and has no room goes as any other. Its hash once it got there.
async fn send_log(shop: &Shop, order: &Order, log_bytes: u64, hash: Option<Hash>) -> Option<Hash> {
    let dir = shop.work.attempt(&order.key).ok()?;
    let (_whole, is_whole) = tokio::sync::watch::channel(true);
    let turn = Turn::of(Beginning::Fresh);
    let (log, begun) = (dir.log(), Beginning::Fresh);
    match logs::ship(&shop.client, &order.key, &log, log_bytes, begun, &turn, is_whole).await {
        Ok(_) => hash,
        Err(error) => {
            tracing::warn!(attempt = %order.key, problem = error.chain(), "the log is not taken");
            None
        }
    }
}

/// Sends the blobs of what is left, and names them in the outcome.
async fn send(shop: &Shop, order: &Order, outcome: &mut Outcome, left: Left) {
    let all = left.blobs();
    if !all.is_empty() {
        // They are nowhere else yet.
        let _held = shop.cache.pin(&all);
        let sent = persist(Patience::Endless, || blobs::upload(&shop.client, &shop.cache, &all)).await;
        match sent {
            Ok(()) => left.name_in(outcome),
            Err(error) => {
                tracing::warn!(attempt = %order.key, problem = error.chain(), "failed to send results");
                outcome.ending = error.ending();
            }
        }
    }
}

/// Sends what an outcome names once more, as far as the coordinator asks for it: a new life of it does not know who
/// sent what, and takes no blob by its name alone.
pub async fn send_again(shop: &Shop, outcome: &Outcome) -> Result<(), Error> {
    let (cache, outcome) = (Arc::clone(&shop.cache), outcome.clone());
    let named = blocking(move || {
        let mut named: BTreeSet<Digest> = outcome.blobs().collect();
        for tree in outcome.trees() {
            named.extend(manifest(&cache, tree)?.blobs());
        }
        Ok(named.into_iter().collect::<Vec<_>>())
    })
    .await?;
    let _held = shop.cache.pin(&named);
    persist(Patience::Endless, || blobs::upload(&shop.client, &shop.cache, &named)).await
}

/// What an attempt leaves, all of it in the cache.
#[derive(Debug, Default)]
struct Left {
    results: Option<Manifest>,
    artifacts: Option<Manifest>,
    /// The one file that the scorer reads.
    scored: Option<Manifest>,
}

impl Left {
    /// Its blobs; the manifests are blobs like their files.
    fn blobs(&self) -> Vec<Digest> {
        let trees = self.results.iter().chain(&self.artifacts).chain(&self.scored);
        trees.flat_map(|tree| tree.blobs().chain([tree.digest()])).collect()
    }

    /// Names its trees in the outcome.
    fn name_in(&self, outcome: &mut Outcome) {
        let digest = |tree: &Option<Manifest>| tree.as_ref().map(Manifest::digest);
        outcome.results = digest(&self.results);
        outcome.artifacts = digest(&self.artifacts);
        outcome.score_artifact = digest(&self.scored);
    }
}

/// All that is done with files alone.
fn read_folder(
    shop: &Shop,
    order: &Order,
    dir: &AttemptDir,
    exit: &ExitRecord,
) -> Result<(Outcome, Left), Error> {
    let in_time = exit.log_bytes_in_time;
    let log = log::read(&dir.log(), exit.log_bytes, order.metric.as_ref(), in_time, &order.fix_patterns)?;
    let written: Option<Exit> = dir.exit()?;
    let (isolation, containment) =
        written.as_ref().map_or((None, None), |exit| (exit.isolation, exit.containment));
    // One that the run itself took away says no metric, and that is its own crash (P20).
    let printed = written.as_ref().and_then(|exit| exit.log_hash).filter(|_| log.is_there);
    let damaged = printed.is_some_and(|hash| hash != log.hash);
    let ending = match written.and_then(|exit| exit.log_errno).map(Errno::from_raw_os_error) {
        // The log is cut where the disk was full: what it says of the metric counts for nothing.
        Some(Errno::NOSPC | Errno::DQUOT) => Ending::DiskFull { over: None },
        Some(errno) => Ending::Infra { detail: format!("the log could not be written: {errno}") },
        // Nothing of a log that changed since it was written can be believed (I16).
        None if damaged => {
            Ending::Infra { detail: "run.log is damaged: not what the run printed".to_owned() }
        }
        None => classify(exit, &log.end),
    };
    let failed = ending != Ending::Finished;
    let mut flags = if exit.log_cut_bytes > 0 { vec![Flag::LogCut] } else { Vec::new() };
    // P16: it passed its budget and ended by itself, which the campaign lets count.
    if ending == Ending::SoftTimeout && order.measure_until_ms.is_some() && exit.code == Some(0) {
        flags.push(Flag::SoftTimeout);
    }
    let mut outcome = Outcome {
        reading: log.reading.clone().filter(|_| !damaged),
        duration_ms: exit.duration_ms,
        log_bytes: log.bytes,
        log_hash: (exit.log_cut_bytes == 0).then_some(log.hash),
        log_cut_bytes: exit.log_cut_bytes,
        flags,
        log_tail: if failed { log.tail() } else { String::new() },
        fix_matches: if failed { log.matches.clone() } else { Vec::new() },
        isolation: level(isolation),
        containment,
        device_model: told_model(dir),
        ..Outcome::bare(ending)
    };
    if exit.start_failure.is_some() {
        return Ok((outcome, Left::default()));
    }
    match order.kind {
        Kind::Run => {
            outcome.frozen_changed = changed(shop, order, dir)?;
            let telemetry = Summary::of(dir.path(), gpus(order).len());
            outcome.flags.extend(telemetry.flags());
            builtin::write(order, dir, exit, &outcome, &log, &telemetry)?;
        }
        Kind::Analysis => outcome.reading = None,
        // Its workspace is its own, and is gone with it.
        Kind::Score => return Ok((outcome, Left::default())),
    }
    let mut gathered = gather(&shop.cache, &dir.results())?;
    if let Some(before) = order.results.filter(|_| order.adds_only) {
        let outputs = order.scripts.iter().map(|one| one.output.clone()).collect();
        gathered.tree = added_to(manifest(&shop.cache, before)?, &gathered.tree, &outputs);
    }
    outcome.left_out = gathered.left_out();
    say_skipped(order, &outcome.left_out, "results");
    outcome.outputs = match order.kind {
        Kind::Run => outputs::of_builtins(order, &shop.cache, &gathered.tree)?,
        Kind::Analysis | Kind::Score => {
            outputs::of_scripts(order, &shop.cache, &gathered.tree, dir, &outcome.ending)?
        }
    };
    for output in outcome.outputs.iter_mut().filter(|output| output.digest.is_none()) {
        // It was written, and cannot be kept: that is what its author must hear.
        let name = format!("{:?} ", output.path.as_str());
        if let Some(reason) = gathered.skipped.iter().find_map(|reason| reason.strip_prefix(&name)) {
            output.problem = Some(format!("{} {reason}", output.path));
        }
    }
    let kept = keep_artifacts(shop, order, dir, &outcome.ending)?;
    let scored = keep_scored(shop, order, dir, &outcome.ending)?;
    for tree in [&gathered.tree].into_iter().chain(&kept).chain(&scored) {
        shop.cache.insert(&tree.digest(), &tree.to_bytes())?;
    }
    if order.caches.iter().any(|cache| cache.writable) {
        outcome.flags.push(Flag::WritableCache);
    }
    Ok((outcome, Left { results: Some(gathered.tree), artifacts: kept, scored }))
}

/// The files that the campaign keeps of a run, unless the run says nothing of the idea.
fn keep_artifacts(
    shop: &Shop,
    order: &Order,
    dir: &AttemptDir,
    ending: &Ending,
) -> Result<Option<Manifest>, Error> {
    let is_void = ending.is_infrastructure() || *ending == Ending::Cancelled;
    if order.kind != Kind::Run || order.artifacts.is_empty() || is_void {
        return Ok(None);
    }
    let patterns = Editable::new(&order.artifacts)
        .map_err(|refusal| Error::Order { field: "artifacts", value: refusal.to_string() })?;
    let gathered = artifacts(&shop.cache, &dir.seen()?, &patterns, dir.path())?;
    say_skipped(order, &gathered.left_out(), "artifacts");
    Ok(Some(gathered.tree))
}

/// What the scorer reads, where the run left it as a regular file.
fn keep_scored(
    shop: &Shop,
    order: &Order,
    dir: &AttemptDir,
    ending: &Ending,
) -> Result<Option<Manifest>, Error> {
    let Some(path) = order.score_artifact.as_ref().filter(|_| *ending == Ending::Finished) else {
        return Ok(None);
    };
    let patterns = Editable::new(&[path.as_str().to_owned()])
        .map_err(|refusal| Error::Order { field: "score_artifact", value: refusal.to_string() })?;
    let mut gathered = artifacts(&shop.cache, &dir.seen()?, &patterns, dir.path())?;
    say_skipped(order, &gathered.left_out(), "artifacts");
    gathered.tree.entries.retain(|found, _| found == path);
    Ok(Some(gathered.tree).filter(|tree| !tree.entries.is_empty()))
}

fn say_skipped(order: &Order, left_out: &[String], what: &str) {
    for reason in left_out {
        tracing::warn!(attempt = %order.key, reason, "left a file of the {what} out");
    }
}

/// What came of an attempt whose campaign's setup failed: the setup's log is sent as its own.
pub async fn failed_setup(shop: &Shop, order: &Order, failure: &Failure) -> Outcome {
    let told = Ending::Infra { detail: failure.to_string() };
    let mut outcome = Outcome { duration_ms: failure.duration_ms, setup_failed: true, ..Outcome::bare(told) };
    let (work, key, from) = (Arc::clone(&shop.work), order.key.clone(), failure.log.clone());
    let most_bytes = LogLimits::of(&order.limits).file_max_bytes();
    let read = blocking(move || {
        let to = work.attempt(&key)?.log();
        let copied =
            durable::open(&from).and_then(|log| io::copy(&mut log.take(most_bytes), &mut File::create(&to)?));
        copied.map_err(Error::file("copy the setup's log", &from))?;
        Ok((log::read(&to, most_bytes, None, None, &[])?, to))
    });
    let sent = match read.await {
        Ok((log, path)) => {
            (outcome.log_bytes, outcome.log_tail) = (log.bytes, log.tail());
            let (_whole, is_whole) = tokio::sync::watch::channel(true);
            let turn = Turn::of(Beginning::Resumed);
            let (client, begun) = (&shop.client, Beginning::Resumed);
            let shipped = logs::ship(client, &order.key, &path, most_bytes, begun, &turn, is_whole).await;
            shipped.map(|_| outcome.log_hash = Some(log.hash))
        }
        Err(error) => Err(error),
    };
    if let Err(error) = sent {
        // Its last lines are in the outcome all the same, if they could be read.
        tracing::warn!(attempt = %order.key, problem = error.chain(), "the setup's log is not taken");
    }
    outcome
}

fn torn(path: &Path) -> Error {
    let source = io::Error::new(io::ErrorKind::InvalidData, "the machine's end may have torn it");
    Error::File { operation: "check the frozen file", path: path.to_owned(), source }
}

/// The frozen file that the run changed, if it changed one (P2). In a workspace of layers one that it
/// touched counts too: what was edited and reverted stands in its own layer (I11).
fn changed(shop: &Shop, order: &Order, dir: &AttemptDir) -> Result<Option<TreePath>, Error> {
    let base = manifest(&shop.cache, order.tree)?;
    let editable = Editable::new(&order.editable)
        .map_err(|refusal| Error::Order { field: "editable", value: refusal.to_string() })?;
    if let Some(below) = dir.layers()?.filter(Below::is_overlay) {
        if let Some(path) = frozen_touched(&base, &editable, &dir.upper()) {
            return Ok(Some(path));
        }
        let changed = frozen_changed_below(&base, &editable, &below)?;
        // What lies there ready was not synced: after a power cut nobody can say who changed it.
        return match changed {
            Some(path) if dir.is_of_earlier_boot() => Err(torn(&dir.workspace().join(path.as_str()))),
            changed => Ok(changed),
        };
    }
    let found = read_back(&base, &dir.workspace())?;
    Ok(frozen_changed(&base, &found, &editable))
}
