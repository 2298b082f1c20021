//! What the process tests share: a folder with a spec, a shim started on it, and waiting on conditions.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use windlass_engine::attempt::ExitRecord;
use windlass_shared::attempt::AttemptKey;
use windlass_shared::id::{AttemptId, CampaignId, FencingNumber, Incarnation, IterationNumber};
use windlass_worker::sandbox::Walls;
use windlass_worker::shim::{self, Exit, Identity, Launched, LogLimits, Spec};
use windlass_worker::spool::decode;

/// Far beyond what any condition here needs on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// An attempt's folder that goes when it is dropped.
pub struct Attempt {
    pub folder: tempfile::TempDir,
    pub spec: Spec,
}

impl Attempt {
    /// One that runs `command` with generous limits.
    pub fn new(name: &str, command: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let key = key(name);
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
            locks: Vec::new(),
            log: LogLimits::default(),
            mounts: Default::default(),
            walls: Walls::default(),
        };
        Self { folder, spec }
    }

    pub fn limits(mut self, soft_limit_ms: u64, hard_limit_ms: u64) -> Self {
        self.spec.soft_limit_ms = soft_limit_ms;
        self.spec.hard_limit_ms = hard_limit_ms;
        self
    }

    pub fn launch(&self) -> Launched {
        let exe = std::env::current_exe().expect("our own path");
        shim::launch(&exe, self.folder.path(), &self.spec).expect("the shim starts")
    }

    /// Starts, waits for the end, gives the exit record.
    pub fn run(&self) -> ExitRecord {
        let mut launched = self.launch();
        let status = launched.child.wait().expect("the shim is ours");
        assert!(status.success(), "the shim ended with {status}");
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
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "waited in vain for {what}");
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(2));
    }
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
