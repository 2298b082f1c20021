//! What a starting daemon finds: every attempt folder, told apart by what is in it. Torn and foreign
//! folders are set aside and named; none of them stops the start.

use super::attempt::AttemptDir;
use super::work_dir::WorkDir;
use crate::error::Error;
use crate::shim::{self, Exit};
use rustix::fd::OwnedFd;
use windlass_shared::attempt::{Order, Outcome};

/// How far an attempt had come.
#[derive(Debug)]
pub enum State {
    /// Ordered; no shim ever ran, and none will from the earlier start.
    Unstarted,
    /// Its shim lives: the descriptor is readable when it ends. Started then, Unix milliseconds.
    Running(OwnedFd, i64),
    /// Its shim has written how it ended.
    Exited(Box<Exit>),
    /// Its shim vanished without a word.
    Gone,
    /// Collected, not yet acknowledged.
    Ended(Box<Outcome>),
}

/// One attempt that was found.
#[derive(Debug)]
pub struct Found {
    /// What was ordered.
    pub order: Order,
    /// Its folder.
    pub dir: AttemptDir,
    /// How far it had come.
    pub state: State,
}

/// Reads the whole spool.
pub fn recover(work: &WorkDir) -> Result<Vec<Found>, Error> {
    let mut found = Vec::new();
    for dir in work.attempts()? {
        let order = match readable_order(work, &dir) {
            Ok(order) => order,
            Err(problem) => {
                tracing::warn!(folder = %dir.path().display(), problem, "set an unreadable attempt aside");
                work.set_aside(&dir)?;
                continue;
            }
        };
        let state = state(&dir)?;
        found.push(Found { order, dir, state });
    }
    Ok(found)
}

/// The order, if this folder is what it claims to be.
fn readable_order(work: &WorkDir, dir: &AttemptDir) -> Result<Order, String> {
    let order = dir.order().map_err(|error| error.chain())?.ok_or("it has no order")?;
    let proper = work.attempt(&order.key).map_err(|error| error.chain())?;
    if proper != *dir { Err("its name is not its order's".to_owned()) } else { Ok(order) }
}

fn state(dir: &AttemptDir) -> Result<State, Error> {
    // Exit record before liveness: a shim writes it while it still lives for a moment.
    if let Some(outcome) = legible(dir, dir.outcome()) {
        return Ok(State::Ended(Box::new(outcome)));
    }
    if let Some(identity) = legible(dir, dir.identity()) {
        let living = shim::identify(&identity);
        // Looked at after the process: one that ended in between has left its record.
        if let Some(exit) = legible(dir, dir.exit()) {
            return Ok(State::Exited(Box::new(exit)));
        }
        return Ok(living.map_or(State::Gone, |pidfd| State::Running(pidfd, identity.started_wall_ms)));
    }
    if let Some(exit) = legible(dir, dir.exit()) {
        return Ok(State::Exited(Box::new(exit)));
    }
    if shim::retire(dir.path())? { Ok(State::Unstarted) } else { Ok(State::Gone) }
}

/// A document that cannot be read counts as not there, and is named.
fn legible<T>(dir: &AttemptDir, document: Result<Option<T>, Error>) -> Option<T> {
    document.unwrap_or_else(|error| {
        tracing::warn!(folder = %dir.path().display(), problem = error.chain(), "skipped a torn document");
        None
    })
}
