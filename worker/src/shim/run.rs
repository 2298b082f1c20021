//! The shim's life: prepare, start the command, pump its log, hold the deadlines, bury the tree, write
//! the exit record. One thread, one `poll`. Deadlines are on the monotonic clock (P16, I7).

use super::init::Word;
use super::limits::Watch;
use super::log::LogFile;
use super::record::{Exit, Identity, Place};
use super::redact::Redactor;
use super::spec::Spec;
use super::start::{self, Container, Started};
use super::{affinity, control, mounts, secrets, tree};
use crate::error::Error;
use crate::spool::AttemptDir;
use crate::{durable, procfs};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::process::{self, Signal, WaitStatus};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use windlass_engine::attempt::{Exceeded, ExitRecord, Fired, Signal as Due, TimeGate};
use windlass_shared::attempt::DiskUse;
use windlass_shared::machine::Limits;

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
/// A run that took this long is not lost to a power cut once it is over: its record is synced, with all that it
/// rests on. A shorter one is lost with what the machine had not written yet, and run again.
const SYNC_AFTER: Duration = Duration::from_secs(10);
/// How often an exit record is tried when the disk is full, a second apart.
const RECORD_TRIES: u32 = 60;

/// Carries out the attempt in `dir` as the start that was given `nonce`. The exit code is 0 when there is an
/// exit record, 3 when this attempt was started before, is not described, is another start's or was given up, 4
/// when the exit record could not be written.
pub fn main(dir: &Path, nonce: &str) -> i32 {
    let Ok(_lock) = control::hold(dir) else { return 3 };
    let Ok(Some(spec)) = durable::read::<Spec>(&dir.join(Spec::FILE)) else { return 3 };
    if spec.nonce != nonce || dir.join(Identity::FILE).exists() || dir.join(Exit::FILE).exists() {
        return 3;
    }
    let mut record = match run(dir, &spec) {
        Ok(Some(record)) => record,
        Ok(None) => return 3,
        Err(error) => {
            let exit = Exit::unstarted(spec.key.clone(), error.chain(), &spec.walls);
            Exit { request: spec.request.clone(), ..exit }
        }
    };
    // A shorter run is repeated sooner than its disk would answer. A sync that failed is not tried again, since the
    // next one would say that all is well.
    let is_long = Duration::from_millis(record.record.duration_ms) >= SYNC_AFTER;
    record.is_synced = is_long && AttemptDir::at(dir.to_owned()).sync().is_ok();
    for _ in 0..RECORD_TRIES {
        let (reserve, left_bytes) = (dir.join(AttemptDir::RESERVE), AttemptDir::RESERVE_LEFT_BYTES);
        match durable::from_reserve(&reserve, left_bytes, || keep(dir, &record)) {
            Ok(()) => return 0,
            // The run has removed its own folder; what came of it is told all the same.
            Err(error) if error.is_absent() && std::fs::create_dir_all(dir).is_ok() => {}
            Err(_) => std::thread::sleep(TICK),
        }
    }
    4
}

/// Puts the record on disk, before anything is cleaned up.
fn keep(dir: &Path, record: &Exit) -> Result<(), Error> {
    let path = dir.join(Exit::FILE);
    if record.is_synced { durable::write(&path, record) } else { durable::put(&path, record) }
}

/// Nothing where the attempt was given up before its shim had said who it is.
fn run(dir: &Path, spec: &Spec) -> Result<Option<Exit>, Error> {
    process::setsid().map_err(Error::system("begin a session"))?;
    process::set_child_subreaper(Some(process::getpid())).map_err(Error::system("become a subreaper"))?;
    let secrets = secrets::receive(spec)?;
    let spec = &secrets::in_environment(spec, &secrets);
    let control = control::listen(dir)?;
    let log = LogFile::create(dir, spec.log).map_err(Error::file("create the log in", dir))?;
    let cgroup = start::name(spec);
    // Before anything that waits: from here on a daemon that starts finds this shim, and can cancel it.
    durable::put(&dir.join(Identity::FILE), &identity(dir, spec, cgroup))?;
    if !control::is_wanted(dir) {
        return Ok(None);
    }
    // Held until this process ends, which is after its tree has (I6).
    let devices = spec.locks.iter().map(|path| control::lock_device(path)).collect::<Result<Vec<_>, _>>()?;
    mounts::enter(&spec.mounts)?;
    let container = start::contain(spec, devices)?;
    let started_wall_ms = wall_ms();
    // A cgroup counts its own; the machine's count takes long to make.
    let counts = container.cgroup.is_none();
    let oom_kills = if counts { procfs::oom_kills() } else { 0 };
    let mut life = Life::start(spec, control, log, container, Redactor::new(&secrets))?;
    // The daemon may be gone: then nobody needs to be told.
    let mut stdout = std::io::stdout();
    drop(stdout.write_all(b"started\n").and_then(|()| stdout.flush()));
    life.live();
    // The guardian has these locks too, and is a moment longer at its work.
    life.container.locks.iter().for_each(control::unlock);
    Ok(Some(life.record(spec, started_wall_ms, counts && procfs::oom_kills() > oom_kills)))
}

fn identity(dir: &Path, spec: &Spec, cgroup: Option<PathBuf>) -> Identity {
    let stat = procfs::stat(process::getpid());
    Identity {
        pid: process::getpid().as_raw_nonzero().get(),
        start_ticks: stat.map_or(0, |stat| stat.start_ticks),
        boot_id: procfs::boot_id().to_owned(),
        nonce: spec.nonce.clone(),
        started_wall_ms: wall_ms(),
        isolation: Some(spec.walls.isolation),
        containment: Some(spec.walls.containment),
        cgroup,
        place: Place::of(dir),
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
    command: Started,
    container: Container,
    watch: Watch,
    pipe: Option<OwnedFd>,
    control: File,
    log: LogFile,
    redactor: Redactor,
    buffer: Vec<u8>,
    code: Option<i32>,
    signal: Option<i32>,
    /// The command has ended, or what contains it has.
    ended: bool,
    /// Our own child is reaped: its pid is nobody's now.
    reaped: bool,
    cancelled_at: Option<Instant>,
    exceeded: Option<Exceeded>,
    disk_use: Option<DiskUse>,
    killing: bool,
    /// How often it was struck at.
    blows: u32,
    /// When what is printed no longer counts; until it is noted in the log.
    mark_at: Option<Duration>,
}

impl Life {
    fn start(
        spec: &Spec,
        control: File,
        log: LogFile,
        container: Container,
        redactor: Redactor,
    ) -> Result<Self, Error> {
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map_err(Error::system("make a pipe"))?;
        // A smaller pipe works as well, only with more waiting.
        let _ = rustix::pipe::fcntl_setpipe_size(&reader, PIPE_BYTES);
        rustix::io::ioctl_fionbio(&reader, true).map_err(Error::system("make the pipe non-blocking"))?;
        let watch = Watch::new(spec.walls.limits, container.held, &spec.mounts.written(&spec.walls.write));
        let started = Instant::now();
        // The CPUs are bound around the start, so that what is started has them and the shim does not.
        let unbound = affinity::bind(&spec.cpus)?;
        let command = start::start(spec, &container, &writer, &reader);
        affinity::restore(unbound);
        let command = command?;
        Ok(Self {
            started,
            gate: TimeGate { soft_limit_ms: spec.soft_limit_ms, hard_limit_ms: spec.hard_limit_ms },
            fired: Fired::default(),
            command,
            container,
            watch,
            pipe: Some(reader),
            control,
            log,
            redactor,
            buffer: vec![0; PIECE_BYTES],
            code: None,
            signal: None,
            ended: false,
            reaped: false,
            cancelled_at: None,
            exceeded: None,
            disk_use: None,
            killing: false,
            blows: 0,
            mark_at: spec.measure_until_ms.map(Duration::from_millis),
        })
    }

    /// Returns when the tree is dead and its last words are in the log.
    fn live(&mut self) {
        loop {
            // Heard before reaped: what the first process of a namespace said stands above how it ended.
            self.hear();
            let reaped = tree::reap(self.command.child);
            if let Some(status) = reaped.status {
                self.reaped = true;
                self.note(status);
            }
            if self.ended && reaped.empty {
                break;
            }
            let at_most = self.act();
            self.wait(at_most);
        }
        // What was written between the last look and the end counts as well.
        if self.exceeded.is_none()
            && let Some(over) = self.watch.over_disk()
        {
            (self.exceeded, self.disk_use) = (Some(Exceeded::Disk), Some(over));
        }
        // A writer outside the tree may hold the pipe still: only what is in it now is the run's.
        for _ in 0..=PIPE_BYTES / PIECE_BYTES {
            if !self.pump_piece() {
                break;
            }
        }
    }

    /// The command's status, once: it ended by itself, or what contains it ended with it.
    fn note(&mut self, status: WaitStatus) {
        self.hear();
        if !self.ended {
            self.ended = true;
            self.code = status.exit_status();
            self.signal = status.terminating_signal();
        }
    }

    /// Hears what the first process of a namespace has said meanwhile.
    fn hear(&mut self) {
        while let Some(word) = self.command.hear(Some(&Timespec::default())) {
            if let Word::Ended(status) = word
                && !self.ended
            {
                self.ended = true;
                self.code = libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status));
                self.signal = libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status));
            }
        }
    }

    /// Fires what is due, and says how long nothing else will be.
    fn act(&mut self) -> Duration {
        if self.killing {
            self.kill();
            return KILL_TICK;
        }
        self.mark();
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
        if living && let Some(exceeded) = self.watch.look(self.container.cgroup.as_ref()) {
            (self.exceeded, self.killing) = (Some(exceeded), true);
            self.disk_use = self.watch.found();
        }
        self.killing |= !living || cancel_kill_at.is_some_and(|at| now >= at);
        if self.killing {
            return self.act();
        }
        if lingers {
            return LINGER_TICK;
        }
        let sleep = self.gate.sleep_ms(self.elapsed_ms(), self.fired).map(Duration::from_millis);
        let until = |at: Instant| at.saturating_duration_since(now);
        let (cancel, look) = (cancel_kill_at.map(until), self.watch.next().map(until));
        let mark = self.mark_at.map(|at| at.saturating_sub(self.started.elapsed()));
        [sleep, cancel, look, mark].into_iter().flatten().fold(TICK, Duration::min)
    }

    /// Notes, once, how far the log is when the grace is over: what is in the pipe by then was printed in time.
    fn mark(&mut self) {
        if self.mark_at.is_none_or(|at| self.started.elapsed() < at) {
            return;
        }
        self.mark_at = None;
        for _ in 0..=PIPE_BYTES / PIECE_BYTES {
            if !self.pump_piece() {
                break;
            }
        }
        self.log.mark();
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether SIGTERM was sent: then a shell that died of it leaves its children the rest of the grace.
    fn asked_to_end(&self) -> bool {
        self.fired.soft || self.cancelled_at.is_some()
    }

    /// Whether something of the command's group lives; what stands between us and it does not count.
    fn group_lives(&self) -> bool {
        let child = self.command.child.as_raw_nonzero().get();
        let between = |stat: &procfs::Stat| match self.command.generations {
            0 => false,
            1 => stat.pid == self.command.child,
            _ => stat.pid == self.command.child || stat.parent == child,
        };
        tree::descendants(process::getpid()).iter().any(|stat| stat.group == child && !between(stat))
    }

    /// SIGTERM to the group, and SIGCONT, for a stopped process would not hear it. The first process of a
    /// namespace and bubblewrap are in the group, and ignore it.
    fn terminate(&self) {
        if !self.ended {
            // The unreaped child keeps the group's number ours.
            let _ = process::kill_process_group(self.command.child, Signal::TERM);
            let _ = process::kill_process_group(self.command.child, Signal::CONT);
        }
    }

    /// One blow: the cgroup whole; the group, in which the first process of a namespace is; and then, by
    /// walking, what has left both.
    fn kill(&mut self) {
        self.blows += 1;
        if let Some(cgroup) = &self.container.cgroup {
            // The walk below does what this may fail to.
            let _ = cgroup.kill();
        }
        if !self.reaped {
            let _ = process::kill_process_group(self.command.child, Signal::KILL);
        }
        // The first process of a namespace takes all of it along: most often there is nobody left to look for.
        if self.command.generations == 0 || self.blows > 1 {
            tree::kill(process::getpid(), self.container.spared());
        }
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
            if !self.reaped {
                fds.push(PollFd::new(&self.command.child_fd, PollFlags::IN));
            }
            if let Some(channel) = self.command.channel.as_ref().filter(|_| !self.ended) {
                fds.push(PollFd::new(channel, PollFlags::IN));
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
                if self.redactor.is_idle() {
                    self.log.write(&self.buffer[..count]);
                } else {
                    self.log.write(&self.redactor.pass(&self.buffer[..count]));
                }
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

    fn record(mut self, spec: &Spec, started_wall_ms: i64, oom_seen: bool) -> Exit {
        let duration_ms = self.elapsed_ms();
        self.log.write(&self.redactor.finish());
        if let Some(exceeded) = self.exceeded {
            self.log.write(epitaph(exceeded, self.disk_use, &spec.walls.limits).as_bytes());
        }
        // The cgroup counts its own; without that the kernel's count is the machine's, and says something
        // only of a run that was killed.
        let killed = self.signal == Some(SIGKILL) || self.code == Some(128 + SIGKILL);
        let counted = self.container.cgroup.as_ref().and_then(|cgroup| cgroup.oom_kills());
        let oom_killed = counted.map_or(oom_seen && killed, |kills| kills > 0);
        let (log, log_hash) = self.log.finish_hashed();
        let record = ExitRecord {
            key: spec.key.clone(),
            code: self.code,
            signal: self.signal,
            soft_fired: self.fired.soft,
            hard_fired: self.fired.hard,
            cancelled: self.cancelled_at.is_some(),
            oom_killed,
            start_failure: None,
            started_wall_ms,
            duration_ms,
            log_bytes: log.bytes,
            log_cut_bytes: log.cut_bytes,
            log_bytes_in_time: log.marked_bytes,
            exceeded: self.exceeded,
            disk_use: self.disk_use,
        };
        let (isolation, containment) = (Some(spec.walls.isolation), Some(spec.walls.containment));
        Exit {
            record,
            log_errno: log.errno,
            log_hash: Some(log_hash),
            isolation,
            containment,
            request: spec.request.clone(),
            is_synced: false,
        }
    }
}

/// The last line of the log of a run that was over a limit.
fn epitaph(exceeded: Exceeded, disk_use: Option<DiskUse>, limits: &Limits) -> String {
    if let Some(over) = disk_use {
        return format!("\n[windlass: ended for going over its disk limit: {over}]\n");
    }
    let (what, most) = match exceeded {
        Exceeded::Memory => ("memory_bytes", limits.memory_bytes),
        Exceeded::Disk => ("disk_bytes", limits.disk_bytes),
        Exceeded::Processes => ("pids", limits.pids.map(u64::from)),
    };
    format!("\n[windlass: killed for going over `limits: {what}: {}`]\n", most.unwrap_or(0))
}
