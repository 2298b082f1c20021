//! The last steps before a command: its group, its output, its signals, its walls, exec. All of it happens
//! in a process that becomes the command or says why it could not.

use super::clone::{self, Kind, Side};
use super::plain;
use super::spec::Spec;
use crate::error::Error;
use crate::sandbox;
use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Resource, Rlimit};
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use windlass_shared::machine::Isolation;

/// Which process group a command is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// One of its own.
    Own,
    /// That of the process that starts it.
    Same,
}

/// Starts a child that `begin` turns into a command; in `cgroup` from its first instruction on. Returns when
/// it is one, with a descriptor that is readable when it has ended.
pub fn spawn(cgroup: Option<BorrowedFd<'_>>, begin: impl FnOnce() -> Error) -> Result<(Pid, OwnedFd), Error> {
    let (problem, says) = pipe_with(PipeFlags::CLOEXEC).map_err(Error::system("make a pipe"))?;
    let failed = |source| Error::System { operation: "start a process", source };
    match clone::clone(Kind::Child, 0, cgroup).map_err(failed)? {
        Side::Parent(pid, pidfd) => {
            drop(says);
            let mut reason = String::new();
            // The exec closes the other end: nothing said means that it has become its command.
            File::from(problem).read_to_string(&mut reason).map_err(failed)?;
            if reason.is_empty() { Ok((pid, pidfd)) } else { Err(Error::Start { reason }) }
        }
        Side::Child => {
            drop(problem);
            let reason = begin().chain();
            drop(File::from(says).write_all(reason.as_bytes()));
            clone::exit(127)
        }
    }
}

/// Becomes the command of `spec`, as `sh -c` would; returns only why it could not. `output` becomes its
/// standard output and error.
pub fn become_command(spec: &Spec, group: Group, output: BorrowedFd<'_>) -> Error {
    let prepared = begin(group, output)
        .and_then(|()| limit(spec))
        .and_then(|()| match spec.walls.isolation {
            Isolation::Guarded => sandbox::shut_in(&spec.walls),
            // What is sealed is shut in by bubblewrap, before this.
            Isolation::None | Isolation::Sealed => Ok(()),
        })
        .and_then(|()| rustix::process::chdir(&spec.folder).map_err(|errno| errno.into()).map_err(at(spec)));
    match prepared {
        Err(error) => error,
        Ok(()) => {
            let env = spec.env.iter().map(|(name, value)| (name.into(), value.into())).collect();
            become_words(&spec.command, env)
        }
    }
}

/// Becomes what `sh -c` makes of `command` in the present folder with this environment, names and values. What
/// is plain is started without a shell; whatever goes wrong with that, the shell says it as it always does.
pub fn become_words(command: &str, env: Vec<(OsString, OsString)>) -> Error {
    let folder = rustix::process::getcwd(Vec::new()).ok().and_then(|folder| folder.into_string().ok());
    if let Some(plain) = folder.and_then(|folder| plain::of(command, &folder, &env)) {
        for program in plain.programs {
            let problem = exec(program, plain.words.iter().cloned(), plain.env.iter().cloned());
            let goes_on = |errno| matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::ACCESS);
            if !Errno::from_io_error(&problem).is_some_and(goes_on) {
                break;
            }
        }
    }
    let shell = ["sh".into(), "-c".into(), OsString::from(command)];
    let env = env.into_iter().map(|(mut name, value)| {
        name.push("=");
        name.push(value);
        name
    });
    Error::file("start", Path::new("/bin/sh"))(exec("/bin/sh", shell, env))
}

fn at(spec: &Spec) -> impl FnOnce(io::Error) -> Error {
    Error::file("start a command in", &spec.folder)
}

/// Group, standard streams, signals: what every program expects at its start.
pub fn begin(group: Group, output: BorrowedFd<'_>) -> Result<(), Error> {
    let failed = Error::system("set up a command's streams");
    let streams = || -> rustix::io::Result<()> {
        if group == Group::Own {
            rustix::process::setpgid(None, None)?;
        }
        let null = rustix::fs::open("/dev/null", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty())?;
        rustix::stdio::dup2_stdin(&null)?;
        rustix::stdio::dup2_stdout(output)?;
        rustix::stdio::dup2_stderr(output)
    };
    streams().map_err(failed)?;
    default_signals();
    Ok(())
}

/// What the campaign limits and what belongs to a run of any level but `none`. The tree's memory, number of
/// processes and disk are for its cgroup or its shim.
pub fn limit(spec: &Spec) -> Result<(), Error> {
    let set = |resource, most: u64| {
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        rustix::process::setrlimit(resource, limit).map_err(Error::system("limit a command"))
    };
    // A core dump of a training run is as large as its memory, and nobody reads it.
    if spec.walls.isolation == Isolation::None { Ok(()) } else { set(Resource::Core, 0) }
}

/// Signals as a shell expects them: our own runtime ignores one, and bubblewrap is started ignoring another.
#[expect(unsafe_code, reason = "there is no safe wrapper that sets signals back")]
fn default_signals() {
    // SAFETY: a zeroed set is valid memory for `sigemptyset` to fill; the default action is no handler of
    // ours, and the calls touch nothing else.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
        for signal in 1..32 {
            libc::signal(signal, libc::SIG_DFL);
        }
    }
}

/// Ignores SIGTERM, across exec too: bubblewrap must outlive the gate's first signal, the command must not.
#[expect(unsafe_code, reason = "there is no safe wrapper that ignores a signal")]
pub fn ignore_sigterm() {
    // SAFETY: it sets no handler of ours and touches nothing else.
    unsafe {
        libc::signal(libc::SIGTERM, libc::SIG_IGN);
    }
}

/// Replaces this process; returns only why it could not.
#[expect(unsafe_code, reason = "std offers no exec of a whole environment without a clone of its own")]
pub fn exec(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = OsString>,
    env: impl IntoIterator<Item = OsString>,
) -> io::Error {
    let strings = |all: &mut dyn Iterator<Item = OsString>| {
        all.map(|one| CString::new(one.into_vec())).collect::<Result<Vec<_>, _>>()
    };
    let program = CString::new(program.as_ref().as_bytes());
    let (arguments, env) = (strings(&mut arguments.into_iter()), strings(&mut env.into_iter()));
    let (Ok(program), Ok(arguments), Ok(env)) = (program, arguments, env) else {
        return io::ErrorKind::InvalidInput.into();
    };
    let pointers = |strings: &[CString]| -> Vec<*const libc::c_char> {
        strings.iter().map(|one| one.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (argv, envp) = (pointers(&arguments), pointers(&env));
    // SAFETY: both lists end with a null pointer, and every string lives until the call returns.
    unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    io::Error::last_os_error()
}

/// Lets a descriptor through an exec.
pub fn keep_open(fd: BorrowedFd<'_>) -> Result<i32, Error> {
    rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty())
        .map_err(Error::system("keep a descriptor open"))?;
    Ok(fd.as_raw_fd())
}
