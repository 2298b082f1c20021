//! What a starting daemon finds: every attempt folder, told apart by what is in it. Torn and foreign
//! folders are set aside and named; none of them stops the start.

use super::attempt::AttemptDir;
use super::work_dir::WorkDir;
use crate::error::Error;
use crate::shim::{self, Exit};
use rustix::fd::OwnedFd;
use std::time::{Duration, Instant};
use windlass_shared::attempt::{Order, Outcome};

/// How long a shim may hold its attempt before it says who it is.
const STARTING_MAX: Duration = Duration::from_secs(5);
/// Between looks whether it has.
const STARTING_PAUSE: Duration = Duration::from_millis(10);

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
        // What a later version wrote is not ours to judge: nothing is begun here until somebody chooses.
        refuse_newer(&dir)?;
        let order = match readable_order(work, &dir) {
            Ok(order) => order,
            Err(problem) => {
                tracing::warn!(folder = %dir.path().display(), problem, "set an unreadable attempt aside");
                // Nobody could say what came of its run.
                shim::end_unknown(dir.path());
                work.set_aside(&dir)?;
                continue;
            }
        };
        let state = state(&dir)?;
        found.push(Found { order, dir, state });
    }
    Ok(found)
}

/// Refused if any document of the attempt is of a later version; the folder stays as it is.
fn refuse_newer(dir: &AttemptDir) -> Result<(), Error> {
    let problems = [dir.order().err(), dir.identity().err(), dir.exit().err(), dir.outcome().err()];
    match problems.into_iter().flatten().find(|problem| matches!(problem, Error::NewerSpool { .. })) {
        Some(problem) => Err(problem),
        None => Ok(()),
    }
}

/// The order, if this folder is what it claims to be.
fn readable_order(work: &WorkDir, dir: &AttemptDir) -> Result<Order, String> {
    let order = dir.order().map_err(|error| error.chain())?.ok_or("it has no order")?;
    let proper = work.attempt(&order.key).map_err(|error| error.chain())?;
    if proper != *dir { Err("its name is not its order's".to_owned()) } else { Ok(order) }
}

fn state(dir: &AttemptDir) -> Result<State, Error> {
    let until = Instant::now() + STARTING_MAX;
    state_after(dir, || {
        std::thread::sleep(STARTING_PAUSE);
        Instant::now() < until
    })
}

/// `pause` waits a little for a shim that is just starting, and says whether it may be waited for again.
fn state_after(dir: &AttemptDir, mut pause: impl FnMut() -> bool) -> Result<State, Error> {
    loop {
        if let Some(state) = written(dir) {
            return Ok(state);
        }
        if shim::retire(dir.path())? {
            // Looked at again: it may have lived and ended between the two.
            return Ok(written(dir).unwrap_or(State::Unstarted));
        }
        // A torn identity will not become another.
        if dir.identity().is_err() || !pause() {
            return Ok(written(dir).unwrap_or(State::Gone));
        }
    }
}

/// What the documents say; nothing before a shim has left one.
fn written(dir: &AttemptDir) -> Option<State> {
    // Exit record before liveness: a shim writes it while it still lives for a moment.
    if let Some(outcome) = legible(dir, dir.outcome()) {
        return Some(State::Ended(Box::new(outcome)));
    }
    let identity = legible(dir, dir.identity());
    let living = identity.as_ref().and_then(|identity| shim::identify(dir.path(), identity));
    // Looked at after the process: one that ended in between has left its record.
    if let Some(exit) = legible(dir, dir.exit()) {
        return Some(State::Exited(Box::new(exit)));
    }
    let identity = identity?;
    Some(living.map_or(State::Gone, |pidfd| State::Running(pidfd, identity.started_wall_ms)))
}

/// A document that cannot be read counts as not there, and is named.
fn legible<T>(dir: &AttemptDir, document: Result<Option<T>, Error>) -> Option<T> {
    document.unwrap_or_else(|error| {
        tracing::warn!(folder = %dir.path().display(), problem = error.chain(), "skipped a torn document");
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable;
    use crate::procfs;
    use crate::shim::Identity;
    use rustix::process::Pid;
    use std::fs::File;
    use std::process::{Command, Stdio};

    /// An attempt folder whose lock is held, as by a shim that is just starting.
    fn starting() -> (tempfile::TempDir, AttemptDir, File) {
        let folder = tempfile::tempdir().expect("a folder");
        let lock = File::create(folder.path().join("shim.lock")).expect("a lock");
        lock.lock().expect("free");
        let dir = AttemptDir::at(folder.path().to_owned());
        (folder, dir, lock)
    }

    #[test]
    fn a_shim_that_is_just_starting_is_waited_for() {
        let (_folder, dir, _lock) = starting();
        let mut shim = Command::new("cat")
            .env(Identity::VARIABLE, "this start")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("a process");
        let pid = Pid::from_child(&shim);
        let mut pauses = 0;
        let state = state_after(&dir, || {
            pauses += 1;
            let identity = Identity {
                pid: pid.as_raw_nonzero().get(),
                start_ticks: procfs::stat(pid).expect("it lives").start_ticks,
                boot_id: procfs::boot_id(),
                nonce: "this start".to_owned(),
                started_wall_ms: 7,
                isolation: None,
                containment: None,
                cgroup: None,
                place: None,
            };
            durable::write(&dir.path().join(Identity::FILE), &identity).expect("a document");
            true
        });
        assert!(matches!(state, Ok(State::Running(_, 7))), "{state:?}");
        assert_eq!(pauses, 1);
        shim.kill().expect("ours");
        shim.wait().expect("ours");
    }

    #[test]
    fn a_lock_that_is_let_go_without_a_word_means_unstarted_and_one_that_is_not_means_gone() {
        let (_folder, dir, lock) = starting();
        assert!(matches!(state_after(&dir, || false), Ok(State::Gone)));
        let mut lock = Some(lock);
        let state = state_after(&dir, || lock.take().is_some());
        assert!(matches!(state, Ok(State::Unstarted)), "{state:?}");
    }
}
