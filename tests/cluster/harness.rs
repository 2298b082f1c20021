//! A folder with a coordinator and workers in it, and the client that talks to them.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The binary under test.
pub const WINDLASS: &str = env!("CARGO_BIN_EXE_windlass");

/// The longest that any condition is waited for. It is no timing claim: it only ends a test that hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// A fleet in a folder of its own.
pub struct Fleet {
    dir: TempDir,
}

/// A daemon of the fleet, killed when it is dropped.
pub struct Daemon {
    child: Child,
}

impl Fleet {
    /// An empty folder.
    pub fn new() -> Self {
        Self { dir: tempfile::Builder::new().prefix("windlass-test-").tempdir().expect("a folder") }
    }

    /// Something in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The coordinator's data folder.
    pub fn data_dir(&self) -> PathBuf {
        self.path("data")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(WINDLASS);
        command.arg("--data-dir").arg(self.data_dir()).args(args).stdin(Stdio::null());
        command.env_remove("WINDLASS_COORDINATOR").env_remove("WINDLASS_OUTPUT").env("NO_COLOR", "1");
        command
    }

    /// Starts a coordinator and waits until it answers.
    pub fn coordinator(&self) -> Daemon {
        let daemon = self.coordinator_unready(&[]);
        self.wait_until("the coordinator answers", || self.client(&["campaigns"]).status.success());
        daemon
    }

    /// Starts a coordinator with an environment of its own; it may end before it answers.
    pub fn coordinator_unready(&self, env: &[(&str, &str)]) -> Daemon {
        self.daemon(&["coordinator"], "coordinator.log", env)
    }

    /// Starts a coordinator that listens on loopback too.
    pub fn coordinator_listening(&self, address: &str) -> Daemon {
        let daemon = self.coordinator_listening_unready(address);
        self.wait_until("the coordinator answers", || self.client(&["campaigns"]).status.success());
        daemon
    }

    /// Starts a coordinator with flags of its own, and waits until it answers.
    pub fn coordinator_with(&self, flags: &[&str]) -> Daemon {
        self.coordinator_in(flags, &[])
    }

    /// The same, with an environment of its own.
    pub fn coordinator_in(&self, flags: &[&str], env: &[(&str, &str)]) -> Daemon {
        let daemon = self.daemon(&[&["coordinator"], flags].concat(), "coordinator.log", env);
        self.wait_until("the coordinator answers", || self.client(&["campaigns"]).status.success());
        daemon
    }

    /// A command of somebody whose folder is another one of this fleet's.
    pub fn command_of(&self, whose: &str, args: &[&str]) -> Command {
        let mut command = Command::new(WINDLASS);
        command.arg("--data-dir").arg(self.path(whose)).args(args).stdin(Stdio::null());
        command.env_remove("WINDLASS_COORDINATOR").env_remove("WINDLASS_OUTPUT").env("NO_COLOR", "1");
        command
    }

    /// Runs it; what it exits with, what it prints, and what it says.
    pub fn run_as(&self, whose: &str, args: &[&str]) -> (i32, String, String) {
        let output = self.command_of(whose, args).output().expect("the binary starts");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
    }

    /// Starts it as a daemon.
    pub fn daemon_of(&self, whose: &str, args: &[&str], log: &str) -> Daemon {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.path(log)).expect("a log");
        let mut command = self.command_of(whose, args);
        command.stdout(Stdio::null()).stderr(log);
        Daemon { child: command.spawn().expect("the binary starts") }
    }

    /// Starts a coordinator that loses a silent worker soon, and waits until it answers.
    pub fn coordinator_losing_after(&self, span: &str, env: &[(&str, &str)]) -> Daemon {
        let daemon = self.daemon(&["coordinator", "--worker-lost-after", span], "coordinator.log", env);
        self.wait_until("the coordinator answers", || self.client(&["campaigns"]).status.success());
        daemon
    }

    /// Starts a coordinator that listens somewhere; it may end before it answers.
    pub fn coordinator_listening_unready(&self, address: &str) -> Daemon {
        self.daemon(&["coordinator", "--listen", address], "coordinator.log", &[])
    }

    /// Starts a worker and waits until the coordinator lists it as ready.
    pub fn worker(&self, name: &str) -> Daemon {
        let daemon = self.worker_unready(name);
        self.wait_until("the worker is ready", || self.worker_is_ready(name));
        daemon
    }

    /// Starts a worker.
    pub fn worker_unready(&self, name: &str) -> Daemon {
        let work_dir = self.path(name);
        let work_dir = work_dir.to_str().expect("a UTF-8 path");
        self.daemon(
            &["worker", "--name", name, "--work-dir", work_dir, "--cpu-slots", "1"],
            &format!("{name}.log"),
            &[],
        )
    }

    /// Starts a worker with an environment and the devices of its own.
    pub fn worker_in(&self, name: &str, env: &[(&str, &str)]) -> Daemon {
        let work_dir = self.path(name);
        let work_dir = work_dir.to_str().expect("a UTF-8 path");
        self.daemon(&["worker", "--name", name, "--work-dir", work_dir], &format!("{name}.log"), env)
    }

    /// Starts a worker by another program, which gets the whole command line; waits until it is ready.
    pub fn worker_under(&self, name: &str, mut program: Command) -> Daemon {
        let log = self.path(&format!("{name}.log"));
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log).expect("a log");
        let work_dir = self.path(name);
        let work_dir = work_dir.to_str().expect("a UTF-8 path");
        let inner = self.command(&["worker", "--name", name, "--work-dir", work_dir, "--cpu-slots", "1"]);
        program.args(inner.get_args()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let daemon = Daemon { child: program.spawn().expect("the program starts") };
        self.wait_until("the worker is ready", || self.worker_is_ready(name));
        daemon
    }

    /// Whether the coordinator lists a worker as ready.
    pub fn worker_is_ready(&self, name: &str) -> bool {
        let output = self.client(&["--output", "json", "workers"]);
        let Ok(list) = serde_json::from_slice::<Value>(&output.stdout) else { return false };
        let workers = list["workers"].as_array().cloned().unwrap_or_default();
        workers.iter().any(|worker| worker["info"]["name"] == name && worker["state"] == "ready")
    }

    fn daemon(&self, args: &[&str], log: &str, env: &[(&str, &str)]) -> Daemon {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.path(log)).expect("a log");
        let mut command = self.command(args);
        command.envs(env.iter().copied()).stdout(Stdio::null()).stderr(log);
        Daemon { child: command.spawn().expect("the binary starts") }
    }

    /// Runs a client command.
    pub fn client(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the binary starts")
    }

    /// Runs a client command that must succeed; its standard output.
    pub fn ok(&self, args: &[&str]) -> String {
        let output = self.client(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "windlass {} failed: {stderr}{}", args.join(" "), self.logs());
        String::from_utf8(output.stdout).expect("UTF-8 output")
    }

    /// Runs a client command that must succeed; its JSON.
    pub fn json(&self, args: &[&str]) -> Value {
        let mut all = vec!["--output", "json"];
        all.extend(args);
        let text = self.ok(&all);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text:?}"))
    }

    /// Submits a project; the campaign's id.
    pub fn submit(&self, project: &Path, levers: bool) -> String {
        let project = project.to_str().expect("a UTF-8 path");
        let lever_dir = format!("{project}/levers");
        let mut args = vec!["submit", project];
        if levers {
            args.extend(["--levers", &lever_dir]);
        }
        self.json(&args)["campaign"].as_str().expect("a campaign id").to_owned()
    }

    /// The decided iterations: number, status, metric.
    pub fn decided(&self, campaign: &str) -> Vec<(u64, String, String)> {
        let output = self.client(&["--output", "json", "results", campaign, "--format", "json"]);
        let Ok(results) = serde_json::from_slice::<Value>(&output.stdout) else { return Vec::new() };
        let rows = results["iterations"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        rows.iter()
            .map(|row| (row["iteration"].as_u64().unwrap_or(0), text(&row["status"]), text(&row["metric"])))
            .collect()
    }

    /// Waits until an iteration is decided.
    pub fn wait_decided(&self, campaign: &str, iteration: u64) {
        self.wait_until("the iteration is decided", || {
            self.decided(campaign).iter().any(|row| row.0 == iteration)
        });
    }

    /// Waits for a condition.
    pub fn wait_until(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < PATIENCE, "never came: {what}{}", self.logs());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Two copies of a campaign, made of the same ledger, are the same bytes (P30); the files of one.
    pub fn same_copies(&self, campaign: &str) -> Vec<String> {
        let copies = ["copy-one", "copy-two"].map(|name| {
            let dir = self.path(name);
            self.ok(&["sync", campaign, dir.to_str().expect("UTF-8")]);
            files_below(&dir)
        });
        let [one, two] = copies;
        assert_eq!(one.keys().collect::<Vec<_>>(), two.keys().collect::<Vec<_>>());
        for (name, bytes) in &one {
            assert!(two[name] == *bytes, "{name} differs between two renders of one ledger");
        }
        one.into_keys().collect()
    }

    /// The ledger, verified offline: the number of its records.
    pub fn verify(&self) -> u64 {
        let verified = self.json(&["ledger", "verify"]);
        verified["records"].as_u64().expect("a number of records")
    }

    /// What `ledger export` prints, a document for each line.
    pub fn exported(&self, args: &[&str]) -> Vec<Value> {
        let text = self.ok(&[&["ledger", "export"], args].concat());
        let read = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"));
        text.lines().map(read).collect()
    }

    /// Processes of this fleet that run campaign code or hold it: shims and what is below them.
    pub fn processes(&self) -> Vec<(u32, String)> {
        let mark = self.dir.path().to_str().expect("a UTF-8 path").to_owned();
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            let read = |name: &str| std::fs::read(entry.path().join(name)).unwrap_or_default();
            let (command, environment) = (read("cmdline"), read("environ"));
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            let is_ours = command.contains(&mark) || String::from_utf8_lossy(&environment).contains(&mark);
            let stat = String::from_utf8_lossy(&read("stat")).into_owned();
            let is_zombie = stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'));
            if is_ours && !is_zombie && pid != std::process::id() {
                found.push((pid, command));
            }
        }
        found
    }

    /// What the daemons said, for a failure's message.
    pub fn logs(&self) -> String {
        let mut text = String::new();
        for entry in std::fs::read_dir(self.dir.path()).into_iter().flatten().flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "log") {
                let log = std::fs::read_to_string(entry.path()).unwrap_or_default();
                let tail: Vec<&str> = log.lines().rev().take(15).collect();
                let tail: Vec<&str> = tail.into_iter().rev().collect();
                text.push_str(&format!("\n--- {}\n{}", entry.path().display(), tail.join("\n")));
            }
        }
        text
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for (pid, _) in self.processes() {
            signal(pid, "KILL");
        }
    }
}

/// Sends a signal by name.
pub fn signal(pid: u32, name: &str) {
    let sent =
        Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).stderr(Stdio::null()).status();
    assert!(sent.is_ok(), "kill is there");
}

impl Daemon {
    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kill -9, and reaped.
    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it is reaped");
    }

    /// Asks it to end, and waits for it.
    pub fn terminate(mut self) -> ExitStatus {
        signal(self.pid(), "TERM");
        self.child.wait().expect("it is reaped")
    }

    /// Waits until it ends by itself.
    pub fn wait(mut self) -> ExitStatus {
        self.child.wait().expect("it is reaped")
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("its state").is_some()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _already_dead = self.child.kill();
        let _already_reaped = self.child.wait();
    }
}

/// Every file below a folder, by its path.
fn files_below(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let (mut files, mut folders) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(root).expect("below it").display().to_string();
            files.insert(name, std::fs::read(&path).expect("a file"));
        }
    }
    files
}
