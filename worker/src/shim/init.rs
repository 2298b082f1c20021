//! The first process of a run's pid namespace: it starts the command, buries orphans, says exactly how the
//! command ended, and takes the whole namespace with it when it ends or when its shim is gone (I8).

use super::begin::{self, Group};
use super::clone;
use crate::error::Error;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, FromRawFd, OwnedFd};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::process::{self, Pid, WaitOptions, wait};
use std::ffi::OsString;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How soon orphans are buried.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// How long it kills: what a kill does not end sleeps in the kernel, and nobody can end that.
const BLOWS_MAX: Duration = Duration::from_secs(600);
/// The longest reason that is passed on, bytes.
const REASON_MAX_BYTES: usize = 2000;

/// Its two lines to its shim.
#[derive(Debug)]
pub struct Lines {
    /// Where it says how things are.
    pub channel: OwnedFd,
    /// Closed when the shim is gone.
    pub lifeline: OwnedFd,
}

/// What it says through the channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// The command runs.
    Started,
    /// It could not be started.
    Failed(String),
    /// It ended with this raw wait status.
    Ended(i32),
}

impl Word {
    /// Its bytes; the longest are one small write, which is never torn in a pipe.
    fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Started => b"S".to_vec(),
            Self::Failed(reason) => {
                [b"E", reason.as_bytes()].concat().into_iter().take(1 + REASON_MAX_BYTES).collect()
            }
            Self::Ended(status) => [&b"X"[..], &status.to_le_bytes()].concat(),
        }
    }

    /// How many bytes follow the first one, at most.
    pub fn rest_bytes(kind: u8) -> usize {
        match kind {
            b'E' => REASON_MAX_BYTES,
            b'X' => 4,
            _ => 0,
        }
    }

    /// The word of some bytes; nothing at the channel's end, or for what is none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        match kind {
            b'S' => Some(Self::Started),
            b'E' => Some(Self::Failed(String::from_utf8_lossy(rest).into_owned())),
            b'X' => Some(Self::Ended(i32::from_le_bytes(rest.get(..4)?.try_into().ok()?))),
            _ => None,
        }
    }
}

/// Lives as the first process of a namespace; `begin` turns a child into the command, or says why not.
pub fn live(lines: &Lines, begin: impl FnOnce() -> Error) -> ! {
    if process::getpid().as_raw_nonzero().get() != 1 {
        // It ends everybody in its namespace, so that it must be the first in one.
        say(lines, &Word::Failed("the run has no pid namespace of its own".to_owned()));
        clone::exit(1)
    }
    let (command, pidfd) = match begin::spawn(None, begin) {
        Ok(started) => started,
        Err(error) => {
            say(lines, &Word::Failed(error.chain()));
            clone::exit(1)
        }
    };
    say(lines, &Word::Started);
    let mut watched = Some(pidfd);
    loop {
        if let Some(status) = bury(command) {
            say(lines, &Word::Ended(status));
            // From now on it only waits for the shim to end the namespace.
            watched = None;
        }
        let mut fds = vec![PollFd::new(&lines.lifeline, PollFlags::IN)];
        fds.extend(watched.as_ref().map(|pidfd| PollFd::new(pidfd, PollFlags::IN)));
        let told = poll(&mut fds, Some(&TICK)).is_ok_and(|count| count > 0);
        // Nothing is ever written into the lifeline: that it can be read means that its other end is gone.
        if told && !fds[0].revents().is_empty() {
            end_all();
            clone::exit(0)
        }
    }
}

/// Kills and buries everybody else in the namespace. Our end would do so too, but it closes the locks first
/// that we hold: a device would be let go of while the run is still on it (I6).
#[expect(unsafe_code, reason = "there is no safe wrapper that signals everybody")]
fn end_all() {
    let until = Instant::now() + BLOWS_MAX;
    while Instant::now() < until {
        // SAFETY: it touches no memory. To the first process of a namespace everybody is those in it.
        unsafe { libc::kill(-1, libc::SIGKILL) };
        match wait(WaitOptions::empty()) {
            Err(rustix::io::Errno::CHILD) => return,
            // Somebody is buried, and perhaps another has become our child.
            _ => continue,
        }
    }
}

/// The shim is gone when nobody listens; the lifeline says so too.
fn say(lines: &Lines, word: &Word) {
    let _ = rustix::io::write(&lines.channel, &word.to_bytes());
}

/// Reaps what has ended; the command's status if it was among it.
fn bury(command: Pid) -> Option<i32> {
    let mut found = None;
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == command => found = Some(status.as_raw()),
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Ok(None) | Err(_) => return found,
        }
    }
}

/// Gives the namespace its own `/proc`, so that pids in it mean what they mean here. Where the machine
/// forbids that, the outer one stays: `/proc/self` is right in both.
pub fn mount_proc() {
    // Nothing that is mounted here is seen outside.
    let propagation = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    if mount_change("/", propagation).is_ok() {
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        let _ = mount("proc", "/proc", "proc", flags, None);
    }
}

/// `windlass shim-init CHANNEL LIFELINE COMMAND`: the same, started by bubblewrap. Its own environment and
/// folder are the command's.
pub fn main(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let mut number = || arguments.next()?.to_str()?.parse::<i32>().ok().filter(|&fd| fd > 2);
    let (Some(channel), Some(lifeline)) = (number(), number()) else { return ExitCode::from(3) };
    let Some(command) = arguments.next().and_then(|it| it.into_string().ok()) else {
        return ExitCode::from(3);
    };
    // What the shim has left open, its locks among it, is for us and for nobody after us.
    close_at_exec();
    let lines = Lines { channel: take(channel), lifeline: take(lifeline) };
    live(&lines, || {
        let output = std::io::stdout();
        match begin::begin(Group::Same, output.as_fd()) {
            Err(error) => error,
            Ok(()) => begin::become_words(&command, std::env::vars_os().collect()),
        }
    })
}

#[expect(unsafe_code, reason = "there is no safe wrapper of close_range")]
fn close_at_exec() {
    // SAFETY: it closes nothing now, and touches no memory.
    unsafe {
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
    }
}

/// A descriptor that the shim has left open for us.
#[expect(unsafe_code, reason = "a descriptor that is named on the command line has no owner yet")]
fn take(number: i32) -> OwnedFd {
    // SAFETY: the shim that started us has opened it for this process alone; if it is not open, every call
    // on it fails and nothing else happens.
    unsafe { OwnedFd::from_raw_fd(number) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_were_said_and_anything_else_is_none() {
        for word in [Word::Started, Word::Failed("no such folder".to_owned()), Word::Ended(139)] {
            assert_eq!(Word::from_bytes(&word.to_bytes()), Some(word));
        }
        for bytes in [&b""[..], b"X\x01", b"?", b"X"] {
            assert_eq!(Word::from_bytes(bytes), None);
        }
    }
}
