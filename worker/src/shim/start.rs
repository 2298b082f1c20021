//! A command starts in what contains it: a cgroup of its own, a pid namespace, or below a subreaper; sealed
//! ones inside bubblewrap. What comes back is all that is needed to watch it and to end it.

use super::begin::{self, Group};
use super::clone::{self, Kind, Side};
use super::guardian::{self, Guardian};
use super::init::{self, Lines, Word};
use super::spec::Spec;
use crate::error::Error;
use crate::sandbox::{self, Cgroup, Held};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Pid;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use windlass_shared::machine::{Containment, Isolation, Limits};

/// How long the first process of a namespace may take to say that the command runs.
const START_MAX: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };
/// As much of what bubblewrap prints when it fails is passed on, bytes.
const SAID_MAX_BYTES: usize = 1000;

/// What contains a run before anything of it is there.
#[derive(Debug, Default)]
pub struct Container {
    /// Its cgroup, where one contains it.
    pub cgroup: Option<Cgroup>,
    /// The limits that the kernel holds there.
    pub held: Held,
    /// Who ends it when this shim is gone.
    pub guardian: Option<Guardian>,
    /// The locks of its devices: held until it is dead, by whoever of us lives longest (I6).
    pub locks: Vec<File>,
}

/// A command that runs.
#[derive(Debug)]
pub struct Started {
    /// Our child, whose pid is the number of the command's group: the command itself, or the first process
    /// of its namespace, or bubblewrap.
    pub child: Pid,
    /// Readable when the child has ended.
    pub child_fd: OwnedFd,
    /// Where the first process of a namespace says how the command ended.
    pub channel: Option<OwnedFd>,
    /// Processes between us and the command: so many generations are no part of it.
    pub generations: u32,
    /// Held open for as long as we live.
    _lifeline: Option<OwnedFd>,
}

/// Where the cgroup of a run will be, if it is to have one. The name is this start's own.
pub fn name(spec: &Spec) -> Option<PathBuf> {
    let base = spec.walls.cgroups.as_deref().filter(|_| is(spec, Containment::Cgroup))?;
    let name = format!("{}-{}", spec.nonce, rustix::process::getpid().as_raw_nonzero());
    Some(Cgroup::place(base, &name))
}

/// Makes it, and its guardian.
pub fn contain(spec: &Spec, locks: Vec<File>) -> Result<Container, Error> {
    let Some(path) = name(spec) else { return Ok(Container { locks, ..Container::default() }) };
    let (cgroup, held) = Cgroup::make(path, &spec.walls.limits)?;
    let base = spec.walls.cgroups.as_deref().unwrap_or(Path::new("/"));
    let guardian = guardian::start(&cgroup, base).inspect_err(|_| cgroup.remove())?;
    Ok(Container { cgroup: Some(cgroup), held, guardian: Some(guardian), locks })
}

impl Container {
    /// The process below us that is no part of the run.
    pub fn spared(&self) -> Option<Pid> {
        self.guardian.as_ref().map(|guardian| guardian.pid)
    }
}

fn is(spec: &Spec, containment: Containment) -> bool {
    spec.walls.containment == containment
}

/// Starts the command of `spec`; `output` is the pipe for all that it prints, `printed` its other end.
pub fn start(
    spec: &Spec,
    container: &Container,
    output: &OwnedFd,
    printed: &OwnedFd,
) -> Result<Started, Error> {
    let place = container.cgroup.as_ref().map(Cgroup::open).transpose()?;
    let place = place.as_ref().map(AsFd::as_fd);
    if spec.walls.isolation == Isolation::Sealed {
        return seal(spec, place, container, output, printed);
    }
    if is(spec, Containment::PidNamespace) {
        return in_namespace(spec, output, printed);
    }
    let begin = || begin::become_command(spec, Group::Own, output.as_fd());
    let (child, child_fd) = begin::spawn(place, begin)?;
    Ok(Started { child, child_fd, channel: None, generations: 0, _lifeline: None })
}

/// As the grandchild of a first process that is a copy of this one.
fn in_namespace(spec: &Spec, output: &OwnedFd, printed: &OwnedFd) -> Result<Started, Error> {
    let (channel, says) = pipe()?;
    let (lifeline, hold) = pipe()?;
    match enter_pid_namespace().map_err(failed("make a pid namespace"))? {
        Side::Parent(child, child_fd) => {
            drop((says, lifeline));
            let started =
                Started { child, child_fd, channel: Some(channel), generations: 1, _lifeline: Some(hold) };
            started.await_start(printed, None)
        }
        Side::Child => {
            drop((channel, hold));
            init::mount_proc();
            // The group of this process is the command's: a first process ignores what it does not handle.
            let _ = rustix::process::setpgid(None, None);
            let lines = Lines { channel: says, lifeline };
            init::live(&lines, || begin::become_command(spec, Group::Same, output.as_fd()))
        }
    }
}

/// Inside bubblewrap, whose first process is this binary again.
fn seal(
    spec: &Spec,
    place: Option<BorrowedFd<'_>>,
    container: &Container,
    output: &OwnedFd,
    printed: &OwnedFd,
) -> Result<Started, Error> {
    let bubblewrap = spec.walls.bubblewrap.as_deref().unwrap_or(Path::new("bwrap"));
    let exe = std::env::current_exe().map_err(failed("find this program's own file"))?;
    for path in spec.walls.write.iter().filter(|path| !path.exists()) {
        std::fs::create_dir_all(path).map_err(Error::file("make", path))?;
    }
    let (channel, says) = pipe()?;
    let (lifeline, hold) = pipe()?;
    let begin = || {
        let kept = container.locks.iter().try_for_each(|lock| begin::keep_open(lock.as_fd()).map(drop));
        kept.err()
            .unwrap_or_else(|| become_bubblewrap(spec, bubblewrap, &exe, output.as_fd(), &says, &lifeline))
    };
    let (child, child_fd) = begin::spawn(place, begin)?;
    drop((says, lifeline));
    let started = Started { child, child_fd, channel: Some(channel), generations: 2, _lifeline: Some(hold) };
    started.await_start(printed, container.spared())
}

fn become_bubblewrap(
    spec: &Spec,
    bubblewrap: &Path,
    exe: &Path,
    output: BorrowedFd<'_>,
    says: &OwnedFd,
    lifeline: &OwnedFd,
) -> Error {
    let prepared = || {
        begin::begin(Group::Own, output)?;
        begin::limit(spec)?;
        begin::ignore_sigterm();
        Ok((begin::keep_open(says.as_fd())?, begin::keep_open(lifeline.as_fd())?))
    };
    match prepared() {
        Err(error) => error,
        Ok((says, lifeline)) => {
            let inside =
                [super::INIT.to_owned(), says.to_string(), lifeline.to_string(), spec.command.clone()];
            let inside = inside.map(OsString::from);
            let arguments = sandbox::seal(&spec.walls, &spec.folder, exe, &inside);
            let env = spec.env.iter().map(|(name, value)| OsString::from(format!("{name}={value}")));
            Error::file("start", bubblewrap)(begin::exec(bubblewrap, arguments, env))
        }
    }
}

impl Started {
    /// Waits until the command runs; what stands in its way is ended.
    fn await_start(self, printed: &OwnedFd, spared: Option<Pid>) -> Result<Self, Error> {
        let problem = match self.hear(Some(&START_MAX)) {
            Some(Word::Started) => return Ok(self),
            Some(Word::Failed(reason)) => reason,
            _ => said(printed),
        };
        let _ = rustix::process::kill_process_group(self.child, rustix::process::Signal::KILL);
        super::tree::end(spared);
        Err(Error::Start { reason: problem })
    }

    /// The next word of the first process; nothing when there is none in that time, or for good.
    pub fn hear(&self, at_most: Option<&Timespec>) -> Option<Word> {
        let channel = self.channel.as_ref()?;
        let ready = poll(&mut [PollFd::new(channel, PollFlags::IN)], at_most);
        if !ready.is_ok_and(|count| count > 0) {
            return None;
        }
        // One word at a time: the next may stand in the pipe already. A word is there whole.
        let mut bytes = [0; 2048];
        rustix::io::read(channel, &mut bytes[..1]).ok().filter(|&count| count == 1)?;
        let rest = Word::rest_bytes(bytes[0]);
        let count = if rest == 0 { 0 } else { rustix::io::read(channel, &mut bytes[1..=rest]).unwrap_or(0) };
        Word::from_bytes(&bytes[..=count])
    }
}

/// What bubblewrap printed before it gave up.
fn said(printed: &OwnedFd) -> String {
    let mut bytes = [0; SAID_MAX_BYTES];
    let count = rustix::io::read(printed, &mut bytes).unwrap_or(0);
    let text = String::from_utf8_lossy(&bytes[..count]);
    format!("the namespace of the run was not made: {}", text.trim())
}

/// With the rights that we have, else inside a user namespace, where everybody may.
fn enter_pid_namespace() -> std::io::Result<Side> {
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    match clone::clone(Kind::Child, clone::PID_NAMESPACE, None) {
        Err(error) if error.raw_os_error() == Some(Errno::PERM.raw_os_error()) => {}
        side => return side,
    }
    let side = clone::clone(Kind::Child, clone::PID_NAMESPACE | clone::USER_NAMESPACE, None)?;
    if matches!(side, Side::Child) {
        // Our own ids stay as they are, so that files keep their owner. Without them nothing can be written,
        // which the command then says.
        for (file, text) in [
            ("/proc/self/setgroups", "deny".to_owned()),
            ("/proc/self/uid_map", format!("{user} {user} 1")),
            ("/proc/self/gid_map", format!("{group} {group} 1")),
        ] {
            drop(std::fs::write(file, text));
        }
    }
    Ok(side)
}

/// Whether a process can be born in a cgroup of ours and be killed with it.
pub fn try_cgroup(base: &Path) -> Result<(), String> {
    sandbox::sweep(base);
    let place = Cgroup::place(base, &sandbox::probe_name());
    let made = Cgroup::make(place, &Limits::default());
    let (cgroup, _) = made.map_err(|error| error.chain())?;
    let tried = try_in(&cgroup);
    cgroup.remove();
    tried
}

fn try_in(cgroup: &Cgroup) -> Result<(), String> {
    let place = cgroup.open().map_err(|error| error.chain())?;
    let side = clone::clone(Kind::Child, 0, Some(place.as_fd()));
    match side.map_err(|error| format!("no process can be born in {}: {error}", cgroup.path().display()))? {
        Side::Child => {
            std::thread::sleep(std::time::Duration::from_secs(60));
            clone::exit(0)
        }
        Side::Parent(pid, pidfd) => {
            let killed = cgroup.kill();
            let ended = ended(&pidfd);
            // Whatever became of the kill, the child goes.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
            killed.map_err(|error| format!("a cgroup cannot be killed: {error}"))?;
            if ended { Ok(()) } else { Err("a killed cgroup lives on".to_owned()) }
        }
    }
}

/// Whether a pid namespace can be made.
pub fn try_pid_namespace() -> Result<(), String> {
    match enter_pid_namespace().map_err(|error| format!("no pid namespace can be made: {error}"))? {
        Side::Child => clone::exit(0),
        Side::Parent(pid, pidfd) => {
            let ended = ended(&pidfd);
            let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
            if ended { Ok(()) } else { Err("the first process of a pid namespace does not end".to_owned()) }
        }
    }
}

fn ended(pidfd: &OwnedFd) -> bool {
    let at_most = Timespec { tv_sec: 5, tv_nsec: 0 };
    poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&at_most)).is_ok_and(|count| count > 0)
}

fn pipe() -> Result<(OwnedFd, OwnedFd), Error> {
    pipe_with(PipeFlags::CLOEXEC).map_err(Error::system("make a pipe"))
}

fn failed(operation: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::System { operation, source }
}
