//! The nursery itself: one small process with one thread, which forks shims as it is told and holds nothing of
//! theirs. It ends when its daemon does; whoever kills it kills no shim.

use super::clone::{self, Kind, Side};
use super::letter::{self, Asked};
use super::run;
use super::title::{self, Title};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// `windlass nursery ROOM`: standard input is the socket of the daemon that asks.
pub fn main() -> ExitCode {
    let Some(title) = Title::find() else { return ExitCode::from(3) };
    let exe: PathBuf = std::env::args_os().next().unwrap_or_else(|| OsString::from("windlass")).into();
    title.show(&[exe.as_os_str(), super::NURSERY.as_ref()]);
    // For people who look at the processes of a machine; at most 15 bytes.
    let _ = rustix::thread::set_name(c"windlass-nurse");
    // Ctrl-C at the daemon's terminal is the daemon's to hear.
    let _ = rustix::process::setsid();
    // Nobody asks how a shim ended: its record says so.
    bury_by_itself(true);
    know_the_processor();
    let stdin = std::io::stdin();
    loop {
        match letter::asked(stdin.as_fd()) {
            Ok(Some(asked)) => {
                let born = bear(&title, &exe, asked);
                if letter::answer(stdin.as_fd(), born).is_err() {
                    return ExitCode::SUCCESS;
                }
            }
            Ok(None) => return ExitCode::SUCCESS,
            Err(_) => return ExitCode::FAILURE,
        }
    }
}

/// Forks a shim.
fn bear(title: &Title, exe: &Path, asked: Asked) -> Result<(i32, OwnedFd), Errno> {
    let failed = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    match clone::clone(Kind::Child, 0, None).map_err(failed)? {
        Side::Parent(pid, pidfd) => Ok((pid.as_raw_nonzero().get(), pidfd)),
        Side::Child => {
            bury_by_itself(false);
            if take_streams(&asked).is_err() {
                clone::exit(3)
            }
            let Asked { nonce, dir, fds } = asked;
            drop(fds);
            title.bear(&nonce);
            title.show(&title::of_shim(exe, &dir));
            let _ = rustix::thread::set_name(c"windlass-shim");
            clone::exit(run::main(&dir, &nonce))
        }
    }
}

/// The voice becomes standard output, the secrets' pipe standard input. The nursery's own socket, which was
/// there, is closed by that: only the nursery holds it.
fn take_streams(asked: &Asked) -> rustix::io::Result<()> {
    let voice = asked.fds.first().ok_or(Errno::BADF)?;
    rustix::stdio::dup2_stdout(voice)?;
    match asked.fds.get(1) {
        Some(secrets) => rustix::stdio::dup2_stdin(secrets),
        None => {
            let null = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
            rustix::stdio::dup2_stdin(&null)
        }
    }
}

/// What hashing asks of the processor before its first byte is asked once, here, and not by each shim: in a virtual
/// machine the hypervisor answers, which takes some ten microseconds for each question.
fn know_the_processor() {
    std::hint::black_box(blake3::hash(b"windlass"));
}

/// Whether the kernel buries children that have ended. A shim buries its own, and asks how they ended.
#[expect(unsafe_code, reason = "there is no safe wrapper that says so")]
fn bury_by_itself(yes: bool) {
    // SAFETY: it sets no handler of ours and touches nothing else.
    unsafe {
        libc::signal(libc::SIGCHLD, if yes { libc::SIG_IGN } else { libc::SIG_DFL });
    }
}
