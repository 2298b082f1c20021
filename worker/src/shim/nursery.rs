//! The daemon's hand on its nursery: starts it, asks it for shims, and starts another when it is gone. A shim
//! that was asked for when it went is found again or is known never to start, so that none is lost or doubled.

use super::letter;
use super::record::Identity;
use super::spec::Spec;
use super::title;
use crate::durable;
use crate::error::Error;
use crate::spool::{self, AttemptDir, State};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair, sockopt};
use rustix::pipe::{PipeFlags, pipe_with};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use windlass_shared::secret::Secrets;

/// Nurseries that one start may cost: it is killed by nothing that comes thrice.
const TRIES: u32 = 3;
/// How long it may take over a fork, which takes a tenth of a millisecond. One that is stopped or swapped out
/// for longer is ended.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// Where a daemon's shims come from. It is started with the first.
#[derive(Debug)]
pub struct Nursery {
    exe: PathBuf,
    living: Mutex<Option<Living>>,
}

#[derive(Debug)]
struct Living {
    process: Child,
    socket: OwnedFd,
}

/// A shim that was started.
#[derive(Debug)]
pub struct Launched {
    /// Readable when it has ended; none where it had when it was looked for.
    pub pidfd: Option<OwnedFd>,
    /// Says `started` once the command runs; ends without it when it never did.
    pub voice: File,
}

/// Why no shim came of asking.
enum Failed {
    /// None was forked.
    Refused(Error),
    /// The nursery is gone: one may have been.
    Gone(Errno),
}

impl Nursery {
    /// One that is started from `exe`, this very binary, when it is needed.
    pub fn new(exe: &Path) -> Self {
        Self { exe: exe.to_owned(), living: Mutex::default() }
    }

    /// Its process id, while there is one. For tests and for people.
    pub fn pid(&self) -> Option<u32> {
        self.living.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|living| living.process.id())
    }

    /// Starts a shim for the attempt in `dir`. `secrets` holds a value for each name in the spec, whose nonce
    /// is drawn for this start.
    pub fn launch(&self, dir: &Path, spec: &Spec, secrets: &Secrets) -> Result<Launched, Error> {
        if spec.nonce.len() + 4 > title::NONCE_MAX_BYTES || spec.nonce.contains('\0') {
            return Err(Error::Shim { reason: format!("the nonce {:?} has no room", spec.nonce) });
        }
        let mut problem = Errno::IO;
        for number in 0..TRIES {
            // One of an earlier try that was only late finds another nonce than its own, and ends.
            let nonce = if number == 0 { spec.nonce.clone() } else { format!("{}.{number}", spec.nonce) };
            let spec = Spec { nonce, ..spec.clone() };
            // Not synced: it is read at once or, after a power cut, never.
            let path = dir.join(Spec::FILE);
            std::fs::write(&path, durable::encode(&spec)).map_err(Error::file("write", &path))?;
            let (heard, voice) = pipe_with(PipeFlags::CLOEXEC).map_err(Error::system("make a pipe"))?;
            match self.ask(dir, &spec, secrets, voice) {
                Ok(pidfd) => return Ok(Launched { pidfd: Some(pidfd), voice: File::from(heard) }),
                Err(Failed::Refused(error)) => return Err(error),
                Err(Failed::Gone(errno)) => {
                    tracing::warn!(problem = %errno, "the nursery of shims is gone; another is started");
                    problem = errno;
                    if let Some(found) = find(&AttemptDir::at(dir.to_owned()), File::from(heard))? {
                        return Ok(found);
                    }
                }
            }
        }
        Err(Error::system("ask for a shim")(problem))
    }

    /// Asks the nursery, and starts one first where there is none. The pidfd of what it forked.
    fn ask(&self, dir: &Path, spec: &Spec, secrets: &Secrets, voice: OwnedFd) -> Result<OwnedFd, Failed> {
        let pipe = if spec.secrets.is_empty() { None } else { Some(pipe_with(PipeFlags::CLOEXEC)) };
        let pipe = pipe.transpose().map_err(|errno| Failed::Refused(Error::system("make a pipe")(errno)))?;
        let (input, values) = pipe.unzip();
        let mut living = self.living.lock().unwrap_or_else(PoisonError::into_inner);
        let cradle = match living.take() {
            Some(cradle) => cradle,
            None => start(&self.exe).map_err(Failed::Refused)?,
        };
        let mut fds = vec![voice.as_fd()];
        fds.extend(input.as_ref().map(AsFd::as_fd));
        let asked = letter::ask(cradle.socket.as_fd(), &spec.nonce, dir, &fds);
        let born = match asked.and_then(|()| letter::answered(cradle.socket.as_fd())) {
            Ok(born) => {
                *living = Some(cradle);
                born.map(|(_, pidfd)| pidfd)
                    .map_err(|errno| Failed::Refused(Error::system("fork a shim")(errno)))
            }
            Err(errno) => {
                cradle.end();
                Err(Failed::Gone(errno))
            }
        };
        drop(living);
        drop((voice, input));
        // Also where the nursery is gone: what it had forked by then waits for them.
        if let Some(values) = values.filter(|_| !matches!(born, Err(Failed::Refused(_)))) {
            let secrets: BTreeMap<&str, &str> =
                secrets.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
            let bytes = serde_json::to_vec(&secrets).expect("texts are representable");
            // One that has ended already says by itself why; where there is none, nobody reads.
            drop(File::from(values).write_all(&bytes));
        }
        born
    }
}

impl Drop for Nursery {
    fn drop(&mut self) {
        if let Some(living) = self.living.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            living.end();
        }
    }
}

impl Living {
    /// Ends it. Its shims are its children and live on.
    fn end(mut self) {
        drop(self.process.kill().and_then(|()| self.process.wait()));
    }
}

fn start(exe: &Path) -> Result<Living, Error> {
    let (socket, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(Error::system("make a socket"))?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(ANSWER_MAX))
        .map_err(Error::system("bound a wait"))?;
    let process = Command::new(exe)
        .args([super::NURSERY, &title::line_room()])
        .env(Identity::VARIABLE, title::nonce_room())
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(Error::file("start a nursery of shims from", exe))?;
    Ok(Living { process, socket })
}

/// What came of a start that was asked of a nursery that is gone; nothing when no shim will ever come of it.
fn find(dir: &AttemptDir, voice: File) -> Result<Option<Launched>, Error> {
    Ok(match spool::state(dir)? {
        State::Unstarted => None,
        State::Running(pidfd, _) => Some(Launched { pidfd: Some(pidfd), voice }),
        State::Exited(_) | State::Gone | State::Ended(_) => Some(Launched { pidfd: None, voice }),
    })
}
