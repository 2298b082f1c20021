//! What the process tests share: a folder with a spec, a shim started on it, and waiting on conditions.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use windlass_engine::attempt::ExitRecord;
use windlass_shared::attempt::AttemptKey;
use windlass_shared::id::{AttemptId, CampaignId, FencingNumber, Incarnation, IterationNumber};
use windlass_shared::machine::{Containment, Isolation};
use windlass_shared::secret::Secrets;
use windlass_worker::sandbox::{Machine, Walls};
use windlass_worker::shim::{self, Exit, Identity, Launched, LogLimits, Nursery, Spec};
use windlass_worker::spool::decode;

/// Far beyond what any condition here needs on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// An attempt's folder that goes when it is dropped.
pub struct Attempt {
    pub folder: tempfile::TempDir,
    pub spec: Spec,
    pub secrets: Secrets,
}

impl Attempt {
    /// One that runs `command` with generous limits.
    pub fn new(name: &str, command: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        // Its own among all of this process, so that its processes are told from those of others.
        static STARTS: AtomicU64 = AtomicU64::new(1);
        // No worker's order has this name, so that none of its runs is taken for a survivor of ours.
        let mut key = key(&format!("{name}-of-a-shim"));
        key.fence.n = STARTS.fetch_add(1, Ordering::Relaxed);
        let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/bin:/bin".to_owned());
        let env = BTreeMap::from([
            ("PATH".to_owned(), path),
            ("WINDLASS_ATTEMPT".to_owned(), key.to_string()),
            ("OUT".to_owned(), folder.path().display().to_string()),
        ]);
        let spec = Spec {
            key,
            nonce: format!("nonce of {name}"),
            command: command.to_owned(),
            folder: folder.path().to_owned(),
            env,
            cpus: Vec::new(),
            soft_limit_ms: 20_000,
            hard_limit_ms: 40_000,
            measure_until_ms: None,
            locks: Vec::new(),
            log: LogLimits::default(),
            mounts: Default::default(),
            secrets: Vec::new(),
            device_model: String::new(),
            walls: Walls::default(),
            request: None,
        };
        Self { folder, spec, secrets: Secrets::new() }
    }

    pub fn limits(mut self, soft_limit_ms: u64, hard_limit_ms: u64) -> Self {
        self.spec.soft_limit_ms = soft_limit_ms;
        self.spec.hard_limit_ms = hard_limit_ms;
        self
    }

    /// What ends its tree.
    pub fn contained(mut self, containment: Containment) -> Self {
        self.spec.walls.containment = containment;
        self.spec.walls.cgroups = machine().cgroups.clone();
        self
    }

    /// Inside bubblewrap, where it may write to its folder.
    pub fn sealed(mut self, containment: Containment) -> Self {
        self = self.contained(containment);
        self.spec.walls.isolation = Isolation::Sealed;
        self.spec.walls.bubblewrap = machine().bubblewrap.clone();
        self.spec.walls.write = vec![self.folder.path().to_owned()];
        self
    }

    /// Within Landlock's rules: it may write to its folder and neither reads nor writes `hidden` ones.
    pub fn guarded(mut self, hidden: &[PathBuf]) -> Self {
        self.spec.walls.isolation = Isolation::Guarded;
        self.spec.walls.write = vec![self.folder.path().to_owned()];
        self.spec.walls.hidden = hidden.to_vec();
        self
    }

    /// How many of its processes live, wherever they have gone: all have its name in their environment.
    pub fn survivors(&self) -> usize {
        self.living().len()
    }

    /// Their command lines and states.
    pub fn living(&self) -> Vec<String> {
        let entry = format!("WINDLASS_ATTEMPT={}", self.spec.key).into_bytes();
        let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let is_ours = |pid: &i32| {
            let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ.split(|&byte| byte == 0).any(|one| one == entry) && lives(*pid)
        };
        let shown = |pid| {
            let read = |what| std::fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default();
            let text = [read("stat"), read("cmdline"), read("cgroup")].concat();
            String::from_utf8_lossy(&text).replace('\0', " ")
        };
        pids.filter(is_ours).map(shown).collect()
    }

    pub fn launch(&self) -> Launched {
        self.launch_from(nursery())
    }

    pub fn launch_from(&self, nursery: &Nursery) -> Launched {
        self.try_launch_from(nursery).expect("the shim starts")
    }

    pub fn try_launch_from(&self, nursery: &Nursery) -> Result<Launched, String> {
        let launched = nursery.launch(self.folder.path(), &self.spec, &self.secrets);
        launched.map_err(|error| error.chain())
    }

    /// Starts, waits for the end, gives the exit record.
    pub fn run(&self) -> ExitRecord {
        wait_for_end(&self.launch());
        self.exit_record().expect("an exit record")
    }

    pub fn exit_record(&self) -> Option<ExitRecord> {
        let bytes = std::fs::read(self.path(Exit::FILE)).ok()?;
        let exit: Exit = decode(&self.path(Exit::FILE), &bytes).expect("a whole exit record");
        assert_eq!(exit.log_errno, None);
        Some(exit.record)
    }

    pub fn identity(&self) -> Identity {
        let bytes = std::fs::read(self.path(Identity::FILE)).expect("an identity");
        decode(&self.path(Identity::FILE), &bytes).expect("a whole identity")
    }

    pub fn log(&self) -> String {
        String::from_utf8(std::fs::read(self.path("run.log")).expect("a log")).expect("text")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The pid that the command wrote into a file.
    pub fn pid(&self, name: &str) -> i32 {
        let read = || std::fs::read_to_string(self.path(name)).ok()?.trim().parse().ok();
        wait_for("a pid in a file", read)
    }
}

/// How late this machine is with what is due, as long as this lives: bounds of time are the product's, and what
/// a machine that is busy with other things takes away comes on top of them.
pub struct Lateness {
    longest_us: Arc<AtomicU64>,
}

impl Lateness {
    /// Begins to look, a hundred times a second.
    pub fn watch() -> Self {
        const NAP: Duration = Duration::from_millis(10);
        let longest_us = Arc::new(AtomicU64::new(0));
        let told = Arc::downgrade(&longest_us);
        std::thread::spawn(move || {
            loop {
                let began = Instant::now();
                std::thread::sleep(NAP);
                let Some(longest_us) = told.upgrade() else { return };
                let late = began.elapsed().saturating_sub(NAP);
                longest_us.fetch_max(u64::try_from(late.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
            }
        });
        Self { longest_us }
    }

    /// What may come on top of a bound, milliseconds: a kill has some ten processes wait for a CPU, one after
    /// the other.
    pub fn slack_ms(&self) -> u64 {
        self.longest_us.load(Ordering::Relaxed) / 100
    }
}

/// What this machine can do around a run.
pub fn machine() -> &'static Machine {
    static MACHINE: OnceLock<Machine> = OnceLock::new();
    MACHINE.get_or_init(|| Machine::probe(&std::env::current_exe().expect("our own path")))
}

/// The containments of this machine. What it lacks is said, and is a failure where all is required.
pub fn containments() -> Vec<Containment> {
    let has = [
        (Containment::Cgroup, "cgroup", machine().cgroups.is_some()),
        (Containment::PidNamespace, "pid_namespace", machine().pid_namespace),
        (Containment::Subreaper, "subreaper", true),
    ];
    has.into_iter()
        .filter(|&(_, name, has)| has || lacks(name))
        .map(|(containment, ..)| containment)
        .collect()
}

/// Whether a level is there to be tested.
pub fn has(level: Isolation) -> bool {
    let name = if level == Isolation::Sealed { "bubblewrap" } else { "landlock" };
    machine().lacks(level).is_none() || lacks(name)
}

/// Says what cannot be tested here. Never true, so that it can stand where a test is left out.
fn lacks(name: &str) -> bool {
    let why = machine().problems.get(name).cloned().unwrap_or_default();
    crate::say(&format!("not on this machine: {name}: {why}"));
    assert!(
        std::env::var_os("WINDLASS_TESTS_REQUIRE_ALL").is_none_or(|all| all != "1"),
        "{name} is required"
    );
    false
}

pub fn key(name: &str) -> AttemptKey {
    AttemptKey {
        id: AttemptId {
            campaign: CampaignId(format!("{name}-0a0b0c")),
            iteration: IterationNumber(1),
            number: 1,
        },
        fence: FencingNumber { incarnation: Incarnation(u64::from(std::process::id())), n: 1 },
    }
}

/// Waits until `look` finds something.
pub fn wait_for<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait_at_most(PATIENCE, what, look)
}

/// Waits until `look` finds something that takes longer than most things do.
pub fn wait_at_most<T>(patience: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + patience;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "waited in vain for {what}");
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// Where these tests' shims come from: one nursery for all, as a daemon has it.
pub fn nursery() -> &'static Nursery {
    static NURSERY: OnceLock<Nursery> = OnceLock::new();
    NURSERY.get_or_init(|| Nursery::new(&std::env::current_exe().expect("our own path")))
}

/// Whether a shim has ended.
pub fn has_ended(launched: &Launched) -> bool {
    let Some(pidfd) = &launched.pidfd else { return true };
    let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::default())).expect("a pidfd can be polled") > 0
}

/// Waits for its end.
pub fn wait_for_end(launched: &Launched) {
    wait_for("the shim's end", || has_ended(launched).then_some(()));
}

/// Kill -9 of it.
pub fn kill(launched: &Launched) {
    shim::kill(launched.pidfd.as_ref().expect("it lives")).expect("a kill");
    wait_for_end(launched);
}

/// Waits for the word `started`.
pub fn wait_for_start(launched: &mut Launched) {
    let mut word = [0; 8];
    launched.voice.read_exact(&mut word).expect("the shim says that it started");
    assert_eq!(&word, b"started\n");
}

/// Whether the process is there and no zombie.
pub fn lives(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| !rest.trim_start().starts_with('Z')))
}
