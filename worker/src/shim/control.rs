//! The daemon's hand on a shim: find it again, cancel it. A process is only ever taken for a shim when
//! pid, start, boot, nonce and folder all agree.

use super::record::{Identity, Place};
use super::spec::Spec;
use crate::durable;
use crate::error::Error;
use crate::procfs;
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::fs::File;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a shim waits for its attempt's lock, which a start that came too late is just letting go: milliseconds,
/// and seconds where the machine's disk stands still. One that waits in vain is lost.
const ATTEMPT_WAIT: Duration = Duration::from_secs(10);
/// How long for a device's, which its forerunner is.
const DEVICE_WAIT: Duration = Duration::from_secs(3);

/// The living shim that `identity`, found in `dir`, describes; `None` when it is gone, whatever has its pid
/// now, and when it lives in another folder that this one is a copy of.
pub fn identify(dir: &Path, identity: &Identity) -> Option<OwnedFd> {
    // A torn record may hold any number; `from_raw` asserts that it is a pid's.
    let believable = identity.pid > 0
        && identity.boot_id == procfs::boot_id()
        && Place::of(dir).is_some_and(|place| identity.is_at(place));
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
/// where there is no shim. One that cannot be asked, since its run took the pipe away, is killed, and its tree with it.
pub fn cancel(dir: &Path) {
    if ask(dir).is_ok() {
        return;
    }
    let identity = durable::read::<Identity>(&dir.join(Identity::FILE)).ok().flatten();
    if let Some(shim) = identity.as_ref().and_then(|identity| identify(dir, identity)) {
        tracing::warn!(folder = %dir.display(), "kills a shim that cannot be asked to end its run");
        let _ = kill(&shim);
    }
}

fn ask(dir: &Path) -> std::io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let pipe = File::from(rustix::fs::open(dir.join("control"), flags, Mode::empty())?);
    if !pipe.metadata()?.file_type().is_fifo() {
        return Err(std::io::ErrorKind::NotFound.into());
    }
    match rustix::io::write(&pipe, b"c") {
        // A full pipe has been told before.
        Ok(_) | Err(rustix::io::Errno::AGAIN) => Ok(()),
        Err(errno) => Err(errno.into()),
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
    let _lock = match try_lock(&lock_file(dir)) {
        Ok(lock) => lock,
        Err(error) if error.is_held() => return Ok(false),
        // Put away in between: nothing can start there.
        Err(_) if !dir.exists() => return Ok(true),
        Err(error) => return Err(error),
    };
    call_off(dir).map(|()| true)
}

/// Makes sure that a shim which holds `dir`, and has not said who it is by now, starts no command. Whoever does
/// this must look for its identity once more: it may have said so just before.
pub fn call_off(dir: &Path) -> Result<(), Error> {
    match std::fs::remove_file(dir.join(Spec::FILE)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::file("remove the spec in", dir)(error))
        }
        _ => Ok(()),
    }
}

/// Whether the shim of `dir`, which has just said who it is, is still to start its command.
pub(super) fn is_wanted(dir: &Path) -> bool {
    dir.join(Spec::FILE).exists()
}

/// Holds the attempt: one shim in its life. Only the daemon may be in the way for a moment, or a shim that
/// was started by an earlier daemon and finds that it is not wanted any more.
pub(super) fn hold(dir: &Path) -> Result<File, Error> {
    hold_soon(&lock_file(dir), ATTEMPT_WAIT)
}

fn lock_file(dir: &Path) -> std::path::PathBuf {
    dir.join("shim.lock")
}

/// Holds a device (I6).
pub(super) fn lock_device(path: &Path) -> Result<File, Error> {
    hold_soon(path, DEVICE_WAIT)
}

fn hold_soon(path: &Path, at_most: Duration) -> Result<File, Error> {
    let until = Instant::now() + at_most;
    loop {
        match try_lock(path) {
            Err(_) if Instant::now() < until => std::thread::sleep(Duration::from_millis(10)),
            result => return result,
        }
    }
}

/// Lets go of what [`lock_device`] holds, for every process that has inherited it.
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
