//! What a starting daemon finds: every attempt folder, told apart by what is in it. Torn and foreign
//! folders are set aside and named; none of them stops the start.

use super::attempt::{AttemptDir, Ended};
use super::work_dir::WorkDir;
use crate::error::Error;
use crate::shim::{self, Exit};
use rustix::fd::OwnedFd;
use std::time::{Duration, Instant};
use windlass_shared::attempt::Order;

/// How long a shim may hold its attempt before it says who it is: milliseconds, and seconds where the machine's
/// disk stands still. Half of what a coordinator waits for a silent worker.
const STARTING_MAX: Duration = Duration::from_secs(15);
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
    Ended(Box<Ended>),
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
    work.note_boot()?;
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
    let problems = [dir.order().err(), dir.identity().err(), dir.exit().err(), dir.ended().err()];
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

/// How far the attempt in `dir` has come. Of an attempt that the machine's start has cut off only a record that
/// was synced counts: without one it is gone, however far it seems to have come. No shim of an earlier start begins after this said unstarted.
pub fn state(dir: &AttemptDir) -> Result<State, Error> {
    if dir.is_of_earlier_boot() {
        let exit = legible(dir, dir.exit()).filter(|exit| exit.is_synced);
        return Ok(exit.map_or(State::Gone, |exit| State::Exited(Box::new(exit))));
    }
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
            // It is late, and must not begin when its attempt has been given up.
            shim::call_off(dir.path())?;
            return Ok(written(dir).unwrap_or(State::Gone));
        }
    }
}

/// What the documents say; nothing before a shim has left one.
fn written(dir: &AttemptDir) -> Option<State> {
    // Exit record before liveness: a shim writes it while it still lives for a moment.
    if let Some(ended) = legible(dir, dir.ended()) {
        return Some(State::Ended(Box::new(ended)));
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
    use crate::sandbox::Walls;
    use crate::shim::{Identity, Spec};
    use crate::shop::tests::order;
    use rustix::process::Pid;
    use std::fs::File;
    use std::process::{Command, Stdio};
    use windlass_shared::attempt::{Ending, Outcome};

    /// An attempt folder whose lock is held, as by a shim that is just starting.
    fn starting() -> (tempfile::TempDir, AttemptDir, File) {
        let folder = tempfile::tempdir().expect("a folder");
        let lock = File::create(folder.path().join("shim.lock")).expect("a lock");
        lock.lock().expect("free");
        let dir = AttemptDir::at(folder.path().to_owned());
        (folder, dir, lock)
    }

    fn identity(pid: i32, start_ticks: u64) -> Identity {
        Identity {
            pid,
            start_ticks,
            boot_id: procfs::boot_id().to_owned(),
            nonce: "this start".to_owned(),
            started_wall_ms: 7,
            isolation: None,
            containment: None,
            cgroup: None,
            place: None,
        }
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
            let start_ticks = procfs::stat(pid).expect("it lives").start_ticks;
            let identity = identity(pid.as_raw_nonzero().get(), start_ticks);
            durable::write(&dir.path().join(Identity::FILE), &identity).expect("a document");
            true
        });
        assert!(matches!(state, Ok(State::Running(_, 7))), "{state:?}");
        assert_eq!(pauses, 1);
        shim.kill().expect("ours");
        shim.wait().expect("ours");
    }

    #[test]
    fn what_a_power_cut_may_have_torn_counts_only_where_it_was_synced() {
        let folder = tempfile::tempdir().expect("a folder");
        {
            let work = WorkDir::open(folder.path()).expect("it is ours");
            assert!(recover(&work).expect("nothing is there").is_empty());
            for (n, is_synced) in [(1, None), (2, Some(false)), (3, Some(true))] {
                let mut order = order();
                order.key.fence.n = n;
                let dir = work.attempt(&order.key).expect("a plain name");
                assert!(dir.begin(&order).expect("begun"), "it is new");
                if let Some(is_synced) = is_synced {
                    let bare = Exit::unstarted(order.key.clone(), "of a test".to_owned(), &Walls::default());
                    durable::put(&dir.path().join(Exit::FILE), &Exit { is_synced, ..bare }).expect("put");
                }
                if n == 3 {
                    let outcome = Outcome::bare(Ending::Finished);
                    dir.keep_ended(&Ended { outcome, parcels: Vec::new() }).expect("kept");
                }
            }
            std::fs::create_dir(work.root().join("kept/earlier")).expect("a folder");
            std::fs::create_dir(work.setup("earlier").path()).expect("a folder");
            let states = states(&work);
            assert!(
                matches!(states[..], [State::Unstarted, State::Exited(_), State::Ended(_)]),
                "{states:?}"
            );
        }
        // The machine is started again, and then the daemon twice.
        let boot = folder.path().join("boot.json");
        durable::write(&boot, &serde_json::json!({"id": "an earlier one"})).expect("a document");
        for _ in 0..2 {
            let work = WorkDir::open(folder.path()).expect("it is ours");
            let states = states(&work);
            assert!(matches!(states[..], [State::Gone, State::Gone, State::Exited(_)]), "{states:?}");
            assert!(!work.root().join("kept/earlier").exists(), "no workspace of that time is used");
            assert!(work.setup("earlier").is_of_earlier_boot());
        }
    }

    #[test]
    fn a_torn_note_of_the_boot_is_one_of_another_and_spares_what_began_in_this_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let boot = folder.path().join("boot.json");
        let begin = |work: &WorkDir, n: u64, boot_id: Option<String>| {
            let mut order = order();
            order.key.fence.n = n;
            let dir = work.attempt(&order.key).expect("a plain name");
            dir.begin(&order).expect("begun");
            if let Some(boot_id) = boot_id {
                let identity = Identity { boot_id, ..identity(1, 0) };
                durable::put(&dir.path().join(Identity::FILE), &identity).expect("put");
            }
        };
        {
            let work = WorkDir::open(folder.path()).expect("it is ours");
            recover(&work).expect("nothing is there");
            begin(&work, 1, None);
            begin(&work, 2, Some("another".to_owned()));
            begin(&work, 3, Some(procfs::boot_id().to_owned()));
        }
        std::fs::write(&boot, "windlass-spool 1 00").expect("a torn note");
        std::fs::write(folder.path().join("attempts/stray"), "").expect("a file of somebody's");
        let work = WorkDir::open(folder.path()).expect("it is ours");
        let mut marked: Vec<_> = recover(&work).expect("readable").into_iter().map(|it| it.dir).collect();
        marked.sort_by_key(|dir| dir.path().to_owned());
        let marked: Vec<bool> = marked.iter().map(AttemptDir::is_of_earlier_boot).collect();
        assert_eq!(marked, [true, true, false]);
        let whole: serde_json::Value = durable::read(&boot).expect("written anew").expect("there");
        assert_eq!(whole["id"], procfs::boot_id());
    }

    /// What a start finds, by fencing number.
    fn states(work: &WorkDir) -> Vec<State> {
        let mut found = recover(work).expect("readable");
        found.sort_by_key(|found| found.order.key.fence.n);
        found.into_iter().map(|found| found.state).collect()
    }

    #[test]
    fn a_lock_that_is_let_go_without_a_word_means_unstarted_and_one_that_is_not_means_gone() {
        let (_folder, dir, lock) = starting();
        std::fs::write(dir.path().join(Spec::FILE), "").expect("a spec");
        assert!(matches!(state_after(&dir, || false), Ok(State::Gone)));
        assert!(!dir.path().join(Spec::FILE).exists(), "and it is called off");
        let mut lock = Some(lock);
        let state = state_after(&dir, || lock.take().is_some());
        assert!(matches!(state, Ok(State::Unstarted)), "{state:?}");
    }
}
