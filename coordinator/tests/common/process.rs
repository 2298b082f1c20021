//! A coordinator in a process of its own, which can be traced, filled up and killed.

use super::Client;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use windlass_coordinator::{Settings, ledger, run};
use windlass_shared::record::Record;

const DATA_DIR: &str = "WINDLASS_TEST_DATA_DIR";
const STOP_BELOW: &str = "WINDLASS_TEST_STOP_BELOW";

/// What the test `child_coordinator` of a file does when it was started by [`Process`]; nothing otherwise.
pub fn become_the_coordinator() {
    let Some(data_dir) = std::env::var_os(DATA_DIR) else { return };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut settings = Settings::new(data_dir.into());
    settings.marks.stop_bytes = std::env::var(STOP_BELOW).ok().and_then(|bytes| bytes.parse().ok());
    let ended = runtime.block_on(run(settings, |_| {}, CancellationToken::new()));
    std::process::exit(i32::from(ended.is_err()));
}

/// A coordinator in a process of its own, killed when it is dropped.
pub struct Process {
    child: Child,
    data_dir: PathBuf,
}

impl Process {
    /// Starts one; `wrap` goes before its command.
    pub fn start(data_dir: &Path, wrap: &[&str], failpoint: Option<&str>) -> Self {
        Self::start_with(data_dir, wrap, failpoint, None)
    }

    /// The same, with a mark of its own for a disk that fills up.
    pub fn start_with(
        data_dir: &Path,
        wrap: &[&str],
        failpoint: Option<&str>,
        stop_below: Option<u64>,
    ) -> Self {
        let this = std::env::current_exe().expect("this executable");
        let mut words: Vec<String> = wrap.iter().map(|word| (*word).to_owned()).collect();
        words.push(this.display().to_string());
        words.extend(["--exact", "child_coordinator", "--nocapture"].map(str::to_owned));
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env(DATA_DIR, data_dir).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some(failpoint) = failpoint {
            command.env("WINDLASS_FAILPOINT", failpoint);
        }
        if let Some(bytes) = stop_below {
            command.env(STOP_BELOW, bytes.to_string());
        }
        // A group of its own: what wraps it may leave it behind.
        command.process_group(0);
        let child = command.spawn().unwrap_or_else(|error| panic!("{} is needed: {error}", words[0]));
        Self { child, data_dir: data_dir.to_owned() }
    }

    /// Connects once it listens; none when it has ended before.
    pub async fn client(&mut self) -> Option<Client> {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(client) = Client::connect(&self.data_dir.join("windlass.sock")).await {
                return Some(client);
            }
            if self.child.try_wait().expect("wait").is_some() {
                return None;
            }
            assert!(Instant::now() < until, "it never listened");
            tokio::task::yield_now().await;
        }
    }

    pub async fn end(&mut self) -> ExitStatus {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                return status;
            }
            assert!(Instant::now() < until, "it never ended");
            tokio::task::yield_now().await;
        }
    }

    /// Its pid, or that of what wraps it.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("wait").is_some()
    }

    /// Kill -9, with what wraps it.
    pub fn kill(&mut self) {
        if let Some(group) = i32::try_from(self.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _already_gone = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Every record of a ledger whose coordinator was killed; a process that was traced dies a moment after what
/// traced it.
pub fn records(data_dir: &Path) -> Vec<Record> {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let mut records = Vec::new();
        match ledger::open(data_dir, |record| records.push(record)) {
            Ok(_) => return records,
            Err(ledger::Error::Locked { .. }) if Instant::now() < until => std::thread::yield_now(),
            Err(error) => panic!("no whole ledger: {error}"),
        }
    }
}
