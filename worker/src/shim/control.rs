//! The daemon's hand on a shim: find it again, cancel it, bury what a vanished one left.
//! A process is only ever taken for a shim when pid, start, boot and nonce all agree.

use super::record::Identity;
use super::spec::Spec;
use super::tree;
use crate::durable;
use crate::error::Error;
use crate::procfs;
use crate::sandbox::Cgroup;
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};
use windlass_shared::attempt::AttemptKey;

/// The variable in a run's environment that holds its attempt: how its leftovers are found.
pub const ATTEMPT_VARIABLE: &str = "WINDLASS_ATTEMPT";
/// How long a shim waits for a lock that its forerunner is just letting go.
const LOCK_WAIT: Duration = Duration::from_secs(1);
/// The file by which an attempt is held.
pub(super) const LOCK_FILE: &str = "shim.lock";
/// How long leftovers are hunted in one go.
const HUNT: Duration = Duration::from_secs(5);

/// The living shim that `identity` describes; `None` when it is gone, whatever has its pid now.
pub fn identify(identity: &Identity) -> Option<OwnedFd> {
    // A torn record may hold any number; `from_raw` asserts that it is a pid's.
    let believable = identity.pid > 0 && identity.boot_id == procfs::boot_id();
    let pid = believable.then(|| Pid::from_raw(identity.pid)).flatten()?;
    // Opened first: what is checked below is then what the descriptor means.
    let pidfd = pidfd_open(pid, PidfdFlags::NONBLOCK).ok()?;
    let stat = procfs::stat(pid)?;
    let variable = format!("{}={}", Identity::VARIABLE, identity.nonce);
    let same = stat.start_ticks == identity.start_ticks
        && stat.state != b'Z'
        && procfs::environment_has(pid, &variable);
    same.then_some(pidfd)
}

/// Asks the shim in `dir` to end its run: SIGTERM now, the tree killed after a grace. Nothing happens
/// where no shim listens.
pub fn cancel(dir: &Path) {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    if let Ok(fd) = rustix::fs::open(dir.join("control"), flags, Mode::empty()) {
        // A full pipe has been told before.
        let _ = rustix::io::write(&fd, b"c");
    }
}

/// Kills a shim itself, not its tree.
pub fn kill(shim: &OwnedFd) -> Result<(), Error> {
    match pidfd_send_signal(shim, Signal::KILL) {
        // Ended in between, which is what is wanted.
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(errno) => Err(Error::system("kill a shim")(errno)),
    }
}

/// Makes sure that no shim will ever start in `dir` from an earlier launch. False when one holds it.
pub fn retire(dir: &Path) -> Result<bool, Error> {
    let _lock = match lock(dir) {
        Ok(lock) => lock,
        Err(error) if error.is_held() => return Ok(false),
        // Put away in between: nothing can start there.
        Err(_) if !dir.exists() => return Ok(true),
        Err(error) => return Err(error),
    };
    match std::fs::remove_file(dir.join(Spec::FILE)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(Error::file("remove the spec in", dir)(error)),
    }
}

/// Kills every process that was started for `key` and outlived its shim (I8). Returns how many it saw;
/// blocks until none is left, at most a few seconds.
pub fn kill_leftovers(key: &AttemptKey) -> usize {
    let variable = format!("{ATTEMPT_VARIABLE}={key}");
    let until = Instant::now() + HUNT;
    let mut seen = 0;
    loop {
        let left: Vec<_> = procfs::all()
            .filter(|&pid| procfs::environment_has(pid, &variable))
            .filter_map(procfs::stat)
            .filter(|stat| stat.state != b'Z')
            .collect();
        seen = seen.max(left.len());
        if left.is_empty() || Instant::now() > until {
            return seen;
        }
        for stat in &left {
            tree::kill_one(stat, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Ends the shim in `dir`, if one lives there, and its run with it: of an attempt that nobody can say
/// anything about.
pub fn end_unknown(dir: &Path) {
    let identity = durable::read::<Identity>(&dir.join(Identity::FILE)).ok().flatten();
    let spec = durable::read::<Spec>(&dir.join(Spec::FILE)).ok().flatten();
    let Some(shim) = identity.as_ref().and_then(identify) else { return };
    // It ends in between at worst, which is what is wanted.
    let _ = kill(&shim);
    if let Some(spec) = spec {
        end_without(identity.as_ref(), &spec.key);
    }
}

/// Ends a run whose shim is gone, by whatever contained it, and then by its environment (I8). Returns how
/// many processes it saw; blocks until none is left, at most some seconds.
pub fn end_without(identity: Option<&Identity>, key: &AttemptKey) -> usize {
    if let Some(path) = identity.and_then(|identity| identity.cgroup.clone()) {
        // Its guardian does the same; whichever comes second finds nothing.
        let cgroup = Cgroup::at(path);
        let until = Instant::now() + HUNT;
        while cgroup.is_populated() && Instant::now() < until {
            let _ = cgroup.kill();
            std::thread::sleep(Duration::from_millis(2));
        }
        cgroup.remove();
    }
    kill_leftovers(key)
}

/// Holds the attempt: one shim in its life.
pub(super) fn lock(dir: &Path) -> Result<File, Error> {
    try_lock(&dir.join(LOCK_FILE))
}

/// Holds a device (I6), or an attempt that somebody is just looking at.
pub(super) fn lock_patiently(path: &Path) -> Result<File, Error> {
    let until = Instant::now() + LOCK_WAIT;
    loop {
        match try_lock(path) {
            Err(_) if Instant::now() < until => std::thread::sleep(Duration::from_millis(10)),
            result => return result,
        }
    }
}

/// Lets go of what [`lock_patiently`] holds, for every process that has inherited it.
pub(super) fn unlock(lock: &File) {
    // What cannot be let go of now is let go of by the last of them.
    let _ = flock(lock, FlockOperation::Unlock);
}

fn try_lock(path: &Path) -> Result<File, Error> {
    // Another user's lock file can be read only, which is enough to lock it; where it is not even there,
    // it is made.
    let file = File::open(path)
        .or_else(|_| File::options().create(true).truncate(false).read(true).write(true).open(path));
    let file = file.map_err(Error::file("open the lock", path))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)
        .map_err(|errno| Error::file("take the lock", path)(errno.into()))?;
    Ok(file)
}

/// The pipe by which the daemon cancels. Open for writing too, so that it never ends.
pub(super) fn listen(dir: &Path) -> Result<File, Error> {
    let path = dir.join("control");
    match rustix::fs::mkfifoat(rustix::fs::CWD, &path, Mode::RUSR | Mode::WUSR) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(errno) => return Err(Error::file("make the pipe", &path)(errno.into())),
    }
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = rustix::fs::open(&path, flags, Mode::empty())
        .map_err(|errno| Error::file("open the pipe", &path)(errno.into()))?;
    Ok(File::from(fd))
}
