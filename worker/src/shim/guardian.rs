//! A process beside a shim whose only work is to outlive it: when the shim ends, by itself or by force, it
//! ends what is left in the run's cgroup and removes it (I8). It holds the shim's locks until then, so that
//! a device is not let go before the tree is dead (I6).

use super::clone::{self, Kind, Side};
use crate::error::Error;
use crate::sandbox::{self, Cgroup};
use rustix::fd::{AsFd, OwnedFd};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Pid;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Between blows at a cgroup that does not become empty.
const BLOW_PAUSE: Duration = Duration::from_millis(2);
/// How long it blows: what a blow does not end sleeps in the kernel, and nobody can end that.
const BLOWS_MAX: Duration = Duration::from_secs(600);

/// The shim's hold on it: closed when the shim ends, in whatever way.
#[derive(Debug)]
pub struct Guardian {
    /// Not to be killed with the run.
    pub pid: Pid,
    _pidfd: OwnedFd,
    _lifeline: OwnedFd,
}

/// Starts one for `cgroup`, which lies below `base`.
pub fn start(cgroup: &Cgroup, base: &Path) -> Result<Guardian, Error> {
    let (heard, lifeline) = pipe_with(PipeFlags::CLOEXEC).map_err(Error::system("make a lifeline"))?;
    match clone::clone(Kind::Aside, 0, None)
        .map_err(|source| Error::System { operation: "start a guardian", source })?
    {
        Side::Parent(pid, pidfd) => Ok(Guardian { pid, _pidfd: pidfd, _lifeline: lifeline }),
        Side::Child => {
            drop(lifeline);
            guard(cgroup, base.to_owned(), &heard);
            clone::exit(0)
        }
    }
}

fn guard(cgroup: &Cgroup, base: PathBuf, heard: &OwnedFd) {
    // For people who look at the processes of a machine; at most 15 bytes.
    let _ = rustix::thread::set_name(c"windlass-guard");
    silence();
    if sandbox::in_a_service() {
        // Shim and guardian leave the daemon's service, here, where nobody waits for it: the kernel takes
        // its time to move a process.
        sandbox::leave_service(&base, &[rustix::process::getpid(), parent()]);
    }
    let mut byte = [0; 1];
    while rustix::io::read(heard.as_fd(), &mut byte) == Err(rustix::io::Errno::INTR) {}
    let until = Instant::now() + BLOWS_MAX;
    // A last blow also for what is not counted yet.
    drop(cgroup.kill());
    while cgroup.is_populated() && Instant::now() < until {
        drop(cgroup.kill());
        std::thread::sleep(BLOW_PAUSE);
    }
    cgroup.remove();
}

fn parent() -> Pid {
    rustix::process::getppid().unwrap_or_else(rustix::process::getpid)
}

/// Lets go of the shim's standard streams.
fn silence() {
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC;
    if let Ok(null) = rustix::fs::open("/dev/null", flags, rustix::fs::Mode::empty()) {
        let _ = rustix::stdio::dup2_stdin(&null);
        let _ = rustix::stdio::dup2_stdout(&null);
        let _ = rustix::stdio::dup2_stderr(&null);
    }
}
