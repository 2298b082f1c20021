//! Ends the runs in the folder of a driver that has returned, for a Ctrl-C: each is cancelled by its own
//! shim, so that its record says that nothing was held against it. Starts nothing.

use crate::error::Error;
use crate::shim;
use crate::spool::{AttemptDir, WorkDir};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long shims may take: SIGTERM, 5 s of grace, the kill, the record.
const END_MAX: Duration = Duration::from_secs(7);
/// How long killed shims may take to be gone.
const KILL_MAX: Duration = Duration::from_secs(2);
/// Between looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Ends them; blocks until their processes are gone, some seconds at most. The first failure is given
/// back after everything else was ended all the same.
pub fn end_runs(root: &Path) -> Result<(), Error> {
    // Held to the end: no other daemon begins in between.
    let held = WorkDir::open(root);
    if let Err(error) = &held {
        tracing::warn!(problem = error.chain(), "ends the runs without holding the work folder");
    }
    let attempts = [WorkDir::attempts_in(root)?, WorkDir::setups_in(root)?].concat();
    let mut first = None;
    let mut note = |result: Result<(), Error>| {
        if let Err(error) = result {
            tracing::error!(problem = error.chain(), "failed to end a run");
            first.get_or_insert(error);
        }
    };
    let left = cancel_all(&attempts, &mut note);
    for dir in &left {
        tracing::warn!(folder = %dir.path().display(), "kills a shim that does not end");
        note(kill(dir));
    }
    for dir in &attempts {
        note(dir.order().map(|order| {
            if let Some(order) = order {
                shim::end_without(dir.path(), dir.identity().ok().flatten().as_ref(), &order.key);
            }
        }));
    }
    first.map_or(Ok(()), Err)
}

/// Cancels every living shim and waits for them; those that live on after [`END_MAX`].
fn cancel_all(attempts: &[AttemptDir], note: &mut impl FnMut(Result<(), Error>)) -> Vec<AttemptDir> {
    let until = Instant::now() + END_MAX;
    let mut living = attempts.to_vec();
    loop {
        living.retain(|dir| match shim::retire(dir.path()) {
            Ok(retired) => !retired,
            Err(error) => {
                note(Err(error));
                false
            }
        });
        if living.is_empty() || Instant::now() > until {
            return living;
        }
        for dir in &living {
            // Again each time: one that is just starting does not listen yet.
            shim::cancel(dir.path());
        }
        std::thread::sleep(PAUSE);
    }
}

/// Kills a shim; its tree is left to [`shim::end_without`].
fn kill(dir: &AttemptDir) -> Result<(), Error> {
    let Some(pidfd) = dir.identity()?.and_then(|identity| shim::identify(dir.path(), &identity)) else {
        return Ok(());
    };
    shim::kill(&pidfd)?;
    let until = Instant::now() + KILL_MAX;
    while !shim::retire(dir.path())? {
        if Instant::now() > until {
            return Err(Error::Shim { reason: "it outlives its kill".to_owned() });
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}
