//! The shim's life: prepare, start the command, pump its log, hold the deadlines, bury the tree, write
//! the exit record. One thread, one `poll`. Deadlines are on the monotonic clock (P16, I7).

use super::log::LogFile;
use super::record::{Exit, Identity};
use super::spec::Spec;
use super::{affinity, control, mounts, tree};
use crate::error::Error;
use crate::{durable, procfs};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::process::{self, Pid, PidfdFlags, Signal};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use windlass_engine::attempt::{ExitRecord, Fired, Signal as Due, TimeGate};

/// Between SIGTERM and SIGKILL of a cancelled run.
const CANCEL_GRACE: Duration = Duration::from_secs(5);
/// Orphans of a living run are reaped at least this often.
const TICK: Duration = Duration::from_secs(1);
/// Between looks at what lingers in the group after the command itself has ended by SIGTERM.
const LINGER_TICK: Duration = Duration::from_millis(20);
/// Between blows at a dying tree.
const KILL_TICK: Duration = Duration::from_millis(2);
/// Bytes taken from the pipe at a time; with [`PIECES`] a deadline is looked at every MiB.
const PIECE_BYTES: usize = 64 << 10;
/// Pieces taken between two looks at the clock.
const PIECES: usize = 16;
/// The pipe's size: what a burst can write without waiting for us.
const PIPE_BYTES: usize = 1 << 20;
const SIGKILL: i32 = 9;
/// How often an exit record is tried when the disk is full, a second apart.
const RECORD_TRIES: u32 = 60;

/// Carries out the attempt in `dir`. Exits with 0 when there is an exit record, 3 when this attempt was
/// started before or is not described, 4 when the exit record could not be written.
pub fn main(dir: &Path) -> ExitCode {
    if let Some(code) = mounts::answer_probe(dir) {
        return code;
    }
    let Ok(_lock) = control::lock(dir) else { return ExitCode::from(3) };
    let Ok(Some(spec)) = durable::read::<Spec>(&dir.join(Spec::FILE)) else { return ExitCode::from(3) };
    if dir.join(Identity::FILE).exists() || dir.join(Exit::FILE).exists() {
        return ExitCode::from(3);
    }
    let record = match run(dir, &spec) {
        Ok(record) => record,
        Err(error) => Exit::unstarted(spec.key.clone(), error.chain()),
    };
    for _ in 0..RECORD_TRIES {
        if durable::write(&dir.join(Exit::FILE), &record).is_ok() {
            return ExitCode::SUCCESS;
        }
        std::thread::sleep(TICK);
    }
    ExitCode::from(4)
}

fn run(dir: &Path, spec: &Spec) -> Result<Exit, Error> {
    process::setsid().map_err(Error::system("begin a session"))?;
    process::set_child_subreaper(Some(process::getpid())).map_err(Error::system("become a subreaper"))?;
    rustix::thread::set_no_new_privs(true).map_err(Error::system("renounce new privileges"))?;
    let control = control::listen(dir)?;
    let log = LogFile::create(dir, spec.log).map_err(Error::file("create the log in", dir))?;
    // Before anything that waits: from here on a daemon that starts finds this shim, and can cancel it.
    durable::write(&dir.join(Identity::FILE), &identity(spec))?;
    // Held until this process ends, which is after its tree has (I6).
    let _devices = spec.locks.iter().map(|path| control::lock_device(path)).collect::<Result<Vec<_>, _>>()?;
    mounts::enter(&spec.mounts)?;
    let started_wall_ms = wall_ms();
    let oom_kills = procfs::oom_kills();
    let mut life = Life::start(spec, control, log)?;
    // The daemon may be gone: then nobody needs to be told.
    let mut stdout = std::io::stdout();
    drop(stdout.write_all(b"started\n").and_then(|()| stdout.flush()));
    life.live();
    Ok(life.record(spec, started_wall_ms, procfs::oom_kills() > oom_kills))
}

fn identity(spec: &Spec) -> Identity {
    let stat = procfs::stat(process::getpid());
    Identity {
        pid: process::getpid().as_raw_nonzero().get(),
        start_ticks: stat.map_or(0, |stat| stat.start_ticks),
        boot_id: procfs::boot_id(),
        nonce: spec.nonce.clone(),
        started_wall_ms: wall_ms(),
    }
}

fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A started command and all that is known of it.
struct Life {
    started: Instant,
    gate: TimeGate,
    fired: Fired,
    child: Pid,
    child_fd: OwnedFd,
    pipe: Option<OwnedFd>,
    control: File,
    log: LogFile,
    buffer: Vec<u8>,
    code: Option<i32>,
    signal: Option<i32>,
    ended: bool,
    cancelled_at: Option<Instant>,
    killing: bool,
}

impl Life {
    fn start(spec: &Spec, control: File, log: LogFile) -> Result<Self, Error> {
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map_err(Error::system("make a pipe"))?;
        // A smaller pipe works as well, only with more waiting.
        let _ = rustix::pipe::fcntl_setpipe_size(&reader, PIPE_BYTES);
        rustix::io::ioctl_fionbio(&reader, true).map_err(Error::system("make the pipe non-blocking"))?;
        let second = writer.try_clone().map_err(Error::file("clone the pipe of", &spec.folder))?;
        let started = Instant::now();
        let unbound = affinity::bind(&spec.cpus)?;
        let child = Command::new("/bin/sh")
            .arg("-c")
            .arg(&spec.command)
            .current_dir(&spec.folder)
            .env_clear()
            .envs(&spec.env)
            .stdin(Stdio::null())
            .stdout(writer)
            .stderr(second)
            .spawn_in_own_group()
            .map_err(Error::file("start a command in", &spec.folder));
        affinity::restore(unbound);
        let child = child?;
        let child_fd = process::pidfd_open(child, PidfdFlags::empty()).map_err(|errno| {
            tree::end();
            Error::system("watch the command")(errno)
        })?;
        Ok(Self {
            started,
            gate: TimeGate { soft_limit_ms: spec.soft_limit_ms, hard_limit_ms: spec.hard_limit_ms },
            fired: Fired::default(),
            child,
            child_fd,
            pipe: Some(reader),
            control,
            log,
            buffer: vec![0; PIECE_BYTES],
            code: None,
            signal: None,
            ended: false,
            cancelled_at: None,
            killing: false,
        })
    }

    /// Returns when the tree is dead and its last words are in the log.
    fn live(&mut self) {
        loop {
            let reaped = tree::reap(self.child);
            if let Some(status) = reaped.status {
                self.ended = true;
                self.code = status.exit_status();
                self.signal = status.terminating_signal();
            }
            if self.ended && reaped.empty {
                break;
            }
            let at_most = self.act();
            self.wait(at_most);
        }
        // A writer outside the tree may hold the pipe still: only what is in it now is the run's.
        for _ in 0..=PIPE_BYTES / PIECE_BYTES {
            if !self.pump_piece() {
                break;
            }
        }
    }

    /// Fires what is due, and says how long nothing else will be.
    fn act(&mut self) -> Duration {
        if self.killing {
            self.kill();
            return KILL_TICK;
        }
        let now = Instant::now();
        let cancel_kill_at = self.cancelled_at.map(|at| at + CANCEL_GRACE);
        let lingers = self.ended && self.asked_to_end() && self.group_lives();
        let living = !self.ended || lingers;
        match self.gate.due(self.elapsed_ms(), self.fired) {
            Some(Due::Kill) if living => (self.fired.hard, self.killing) = (true, true),
            Some(Due::Terminate) if !self.ended => {
                self.fired.soft = true;
                self.terminate();
            }
            _ => {}
        }
        self.killing |= !living || cancel_kill_at.is_some_and(|at| now >= at);
        if self.killing {
            return self.act();
        }
        if lingers {
            return LINGER_TICK;
        }
        let sleep = self.gate.sleep_ms(self.elapsed_ms(), self.fired).map(Duration::from_millis);
        let cancel = cancel_kill_at.map(|at| at.saturating_duration_since(now));
        [sleep, cancel].into_iter().flatten().fold(TICK, Duration::min)
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether SIGTERM was sent: then a shell that died of it leaves its children the rest of the grace.
    fn asked_to_end(&self) -> bool {
        self.fired.soft || self.cancelled_at.is_some()
    }

    fn group_lives(&self) -> bool {
        let group = self.child.as_raw_nonzero().get();
        tree::descendants(process::getpid()).iter().any(|stat| stat.group == group)
    }

    /// SIGTERM to the group, and SIGCONT, for a stopped process would not hear it.
    fn terminate(&self) {
        if !self.ended {
            // The unreaped child keeps the group's number ours.
            let _ = process::kill_process_group(self.child, Signal::TERM);
            let _ = process::kill_process_group(self.child, Signal::CONT);
        }
    }

    fn kill(&self) {
        if !self.ended {
            // At once and whole, even while it forks.
            let _ = process::kill_process_group(self.child, Signal::KILL);
        }
        tree::kill(process::getpid());
    }

    /// Waits for output, a cancellation, the command's end, or the time.
    fn wait(&mut self, at_most: Duration) {
        let timeout = Timespec {
            tv_sec: i64::try_from(at_most.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(at_most.subsec_nanos()),
        };
        let (mut told, mut readable) = (false, false);
        {
            let mut fds = vec![PollFd::new(&self.control, PollFlags::IN)];
            if !self.ended {
                fds.push(PollFd::new(&self.child_fd, PollFlags::IN));
            }
            if let Some(pipe) = &self.pipe {
                fds.push(PollFd::new(pipe, PollFlags::IN));
            }
            if poll(&mut fds, Some(&timeout)).is_ok_and(|count| count > 0) {
                told = !fds[0].revents().is_empty();
                readable = self.pipe.is_some() && fds.last().is_some_and(|fd| !fd.revents().is_empty());
            }
        }
        if told {
            self.cancel();
        }
        if readable {
            for _ in 0..PIECES {
                if !self.pump_piece() {
                    break;
                }
            }
        }
    }

    fn cancel(&mut self) {
        let mut bytes = [0; 16];
        let told = rustix::io::read(&self.control, &mut bytes).is_ok_and(|count| count > 0);
        if told && self.cancelled_at.is_none() {
            self.cancelled_at = Some(Instant::now());
            self.terminate();
        }
    }

    /// Moves one piece from pipe to log; false when there is none now.
    fn pump_piece(&mut self) -> bool {
        let Some(pipe) = &self.pipe else { return false };
        match rustix::io::read(pipe, &mut self.buffer) {
            Ok(count) if count > 0 => {
                self.log.write(&self.buffer[..count]);
                true
            }
            Err(rustix::io::Errno::INTR) => true,
            Err(rustix::io::Errno::AGAIN) => false,
            Ok(_) | Err(_) => {
                self.pipe = None;
                false
            }
        }
    }

    fn record(self, spec: &Spec, started_wall_ms: i64, oom_seen: bool) -> Exit {
        let duration_ms = self.elapsed_ms();
        let log = self.log.finish();
        let record = ExitRecord {
            key: spec.key.clone(),
            code: self.code,
            signal: self.signal,
            soft_fired: self.fired.soft,
            hard_fired: self.fired.hard,
            cancelled: self.cancelled_at.is_some(),
            // The kernel's count is the machine's, so it says something only of a run that was killed.
            oom_killed: oom_seen && (self.signal == Some(SIGKILL) || self.code == Some(128 + SIGKILL)),
            start_failure: None,
            started_wall_ms,
            duration_ms,
            log_bytes: log.bytes,
            log_cut_bytes: log.cut_bytes,
        };
        Exit { record, log_errno: log.errno }
    }
}

/// A child whose reaping is left to [`tree::reap`].
trait SpawnInOwnGroup {
    fn spawn_in_own_group(&mut self) -> std::io::Result<Pid>;
}

impl SpawnInOwnGroup for Command {
    fn spawn_in_own_group(&mut self) -> std::io::Result<Pid> {
        use std::os::unix::process::CommandExt;
        let child = self.process_group(0).spawn()?;
        Ok(Pid::from_child(&child))
    }
}
