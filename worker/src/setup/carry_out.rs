//! Has one setup done, or waits for it: whoever comes first starts its shim, whoever comes after a restart
//! of the daemon takes the shim up that is still at it, and whatever is left half-done is done again.

use super::folder::{self, Prepared, Shape};
use super::key::key;
use crate::driver::{blocking, shim_ended};
use crate::error::Error;
use crate::prepare;
use crate::shim::{self, Exit, Launched};
use crate::shop::Shop;
use crate::spool::AttemptDir;
use crate::workspace::note_use;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tokio_util::sync::CancellationToken;
use windlass_engine::gate::editable::Editable;
use windlass_shared::attempt::Order;
use windlass_shared::machine::Setup;
use windlass_shared::tree::Manifest;

/// Between SIGTERM at its limit and the kill of what is left.
const GRACE_MS: u64 = 10_000;
/// A setup that its last waiter cancelled is done again for one that came in that moment, this often.
const TRIES: u32 = 3;

/// A setup that failed, for whoever waited for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What was run.
    pub command: String,
    /// How it ended.
    pub how: How,
    /// How long it took, milliseconds.
    pub duration_ms: u64,
    /// Its log.
    pub log: PathBuf,
}

/// How a setup failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// Its exit code.
    Code(i32),
    /// The signal that ended it.
    Signal(i32),
    /// It was ended at its limit, milliseconds.
    TimeLimit(u64),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let command: String = self.command.chars().filter(|c| !c.is_control()).take(200).collect();
        write!(f, "setup failed: `{command}` ")?;
        match self.how {
            How::Code(code) => write!(f, "ended with exit code {code}")?,
            How::Signal(signal) => write!(f, "ended by signal {signal}")?,
            How::TimeLimit(ms) => write!(f, "ran past its time limit of {} s", ms / 1000)?,
        }
        f.write_str("; the attempt's log is the setup's")
    }
}

/// The campaign's setup for this tree, done now unless it was done before; `None` where it has none.
/// `stop` ends the waiting, and the setup with it when nobody else waits.
pub async fn ensure(
    shop: &Shop,
    order: &Order,
    tree: &Manifest,
    stop: &CancellationToken,
) -> Result<Option<Prepared>, Error> {
    let Some(setup) = &order.setup else { return Ok(None) };
    let inputs = Editable::new(&setup.inputs)
        .map_err(|refusal| Error::Order { field: "setup.inputs", value: refusal.to_string() })?;
    let shape = if shop.mounts { Shape::Layer } else { Shape::Links };
    let key = key(order, setup, &inputs, tree, shape);
    let dir = shop.work.setup(&key);
    let asked = Instant::now();
    let turn = shop.setups.turn(&key);
    let done = async {
        // The one before us is bounded by its setup's own limit.
        let mut last = turn.lock().await;
        if let Some(prepared) = ready(&dir).await? {
            return Ok(prepared);
        }
        if let Some((_, failure)) = last.as_ref().filter(|(at, _)| *at > asked) {
            // It failed while we waited: once is enough for both.
            return Err(Error::Setup(Box::new(failure.clone())));
        }
        let done = carry_out(shop, order, setup, &dir).await;
        if let Err(Error::Setup(failure)) = &done {
            *last = Some((Instant::now(), (**failure).clone()));
        }
        done
    };
    let done = tokio::select! {
        done = done => done,
        () = stop.cancelled() => {
            // The map and we: then nobody else waits.
            if Arc::strong_count(&turn) <= 2 {
                shim::cancel(dir.path());
            }
            Err(Error::Cancelled)
        }
    };
    done.map(Some)
}

async fn ready(dir: &AttemptDir) -> Result<Option<Prepared>, Error> {
    let dir = dir.clone();
    blocking(move || match folder::ready(&dir) {
        None => Ok(None),
        Some(prepared) => note_use(&dir.path().join("used")).map(|()| Some(prepared)),
    })
    .await
}

async fn carry_out(shop: &Shop, order: &Order, setup: &Setup, dir: &AttemptDir) -> Result<Prepared, Error> {
    for _ in 0..TRIES {
        let exit = match take_up(shop, dir).await? {
            Some(exit) => exit,
            None => start(shop, order, setup, dir).await?,
        };
        if exit.record.cancelled {
            discard(shop, dir).await?;
            continue;
        }
        return judge(shop, setup, dir, exit).await;
    }
    Err(Error::Cancelled)
}

/// What an earlier daemon or waiter began: waited for, or thrown away where it is of no use.
async fn take_up(shop: &Shop, dir: &AttemptDir) -> Result<Option<Exit>, Error> {
    let here = dir.clone();
    let living =
        blocking(move || Ok(here.identity().ok().flatten().and_then(|it| shim::identify(here.path(), &it))))
            .await?;
    if let Some(pidfd) = living {
        drop(shim_ended(Some(pidfd), dir).await);
    }
    let here = dir.clone();
    let exit = blocking(move || {
        // Of a start before the machine's last one only what was synced can be believed.
        let of_this_boot = !here.is_of_earlier_boot();
        Ok(here.exit().ok().flatten().filter(|exit| exit.is_synced || of_this_boot))
    })
    .await?;
    if exit.is_none() {
        bury(dir).await?;
        discard(shop, dir).await?;
    }
    Ok(exit)
}

/// Ends what a shim that vanished has left of its setup, before its folder goes.
async fn bury(dir: &AttemptDir) -> Result<(), Error> {
    let dir = dir.clone();
    blocking(move || {
        let Some(order) = dir.order().ok().flatten() else { return Ok(()) };
        let identity = dir.identity().ok().flatten();
        shim::end_without(dir.path(), identity.as_ref(), &order.key);
        Ok(())
    })
    .await
}

async fn start(shop: &Shop, order: &Order, setup: &Setup, dir: &AttemptDir) -> Result<Exit, Error> {
    prepare::fresh_copy(shop, order, dir).await?;
    let launched = {
        let (shop, order, setup, dir) = (shop.clone(), order.clone(), setup.clone(), dir.clone());
        blocking(move || {
            let mut spec = prepare::setup_spec(&shop, &order, &dir, uuid::Uuid::new_v4().to_string())?;
            spec.command = setup.run;
            spec.soft_limit_ms = setup.time_limit.ms;
            spec.hard_limit_ms = setup.time_limit.ms.saturating_add(GRACE_MS);
            // The devices are the attempt's that waits; its own shim will lock them.
            spec.locks = Vec::new();
            tracing::info!(command = spec.command, folder = %dir.path().display(), "a setup starts");
            shop.nursery.launch(dir.path(), &spec, &shop.secrets.of(&order)?)
        })
        .await?
    };
    let Launched { pidfd, voice, .. } = launched;
    // It is read from its documents alone; a pipe that nobody reads holds a few bytes.
    let exit = shim_ended(pidfd, dir).await;
    drop(voice);
    let here = dir.clone();
    match exit {
        Some(_) => blocking(move || here.exit()).await?.ok_or_else(|| vanished(dir)),
        None => {
            bury(dir).await?;
            discard(shop, dir).await?;
            Err(vanished(dir))
        }
    }
}

fn vanished(dir: &AttemptDir) -> Error {
    Error::Shim { reason: format!("the setup's shim in {} left no record", dir.path().display()) }
}

async fn judge(shop: &Shop, setup: &Setup, dir: &AttemptDir, exit: Exit) -> Result<Prepared, Error> {
    let record = &exit.record;
    if let Some(reason) = &record.start_failure {
        let error = Error::Shim { reason: reason.clone() };
        discard(shop, dir).await?;
        return Err(error);
    }
    let how = match (record.code, record.signal) {
        _ if record.soft_fired || record.hard_fired => How::TimeLimit(setup.time_limit.ms),
        (Some(0), _) => {
            let here = dir.clone();
            // The tree is the one that this very setup ran in, whoever waits for it now.
            let ran_for = blocking(move || here.order()).await?.ok_or_else(|| vanished(dir))?;
            let tree = prepare::tree(shop, ran_for.tree, &ran_for.near).await?;
            let (dir, command) = (dir.clone(), setup.run.clone());
            return blocking(move || seal(&dir, &command, &tree)).await;
        }
        (Some(code), _) => How::Code(code),
        (None, signal) => How::Signal(signal.unwrap_or(0)),
    };
    let log = dir.path().with_extension("log");
    let (from, to) = (dir.log(), log.clone());
    blocking(move || std::fs::rename(&from, &to).map_err(Error::file("keep the log at", &from))).await?;
    discard(shop, dir).await?;
    let failure = Failure { command: setup.run.clone(), how, duration_ms: record.duration_ms, log };
    tracing::warn!(problem = %failure, "a setup failed");
    Err(Error::Setup(Box::new(failure)))
}

fn seal(dir: &AttemptDir, command: &str, tree: &Manifest) -> Result<Prepared, Error> {
    let shape =
        if dir.layers()?.is_some_and(|below| below.is_overlay()) { Shape::Layer } else { Shape::Links };
    folder::seal(dir, command, tree, shape)?;
    note_use(&dir.path().join("used"))?;
    folder::ready(dir).ok_or_else(|| vanished(dir))
}

async fn discard(shop: &Shop, dir: &AttemptDir) -> Result<(), Error> {
    let (shop, dir) = (shop.clone(), dir.clone());
    blocking(move || shop.work.forget(&dir)).await
}
