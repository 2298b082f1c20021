//! A whole worker as a process of its own, and the scene that it works in: a folder, a coordinator that a test
//! dictates to, orders.

use crate::coordinator::Coordinator;
use crate::support::{key, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use windlass_shared::attempt::{AttemptKey, Kind, MetricSpec, Order, Outcome, Phase, ScriptOrder};
use windlass_shared::bindings::MetricLine;
use windlass_shared::digest::Digest;
use windlass_shared::id::DeviceId;
use windlass_shared::machine::Isolation;
use windlass_shared::path::TreePath;
use windlass_shared::plan::Script;
use windlass_worker::client::Endpoint;
use windlass_worker::driver;
use windlass_worker::settings::Settings;

/// The files of an ordinary tree.
pub const FILES: &[(&str, &str, bool)] = &[("lib/data.txt", "data\n", false), ("train.py", "train\n", false)];

/// Which life of a worker it is, among all of this process: later ones have higher numbers.
const LIFE_VARIABLE: &str = "WINDLASS_TEST_LIFE";
static LIVES: AtomicU64 = AtomicU64::new(0);

/// The worker's side of this binary: `processes worker <work_dir> <socket>`.
pub fn main(work_dir: PathBuf, socket: PathBuf) -> std::process::ExitCode {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let settings = Settings::new(work_dir, Endpoint::Unix(socket)).expect("our own path");
        let is_set = |name| std::env::var_os(name).is_some();
        let cpu_slots = match (is_set("WINDLASS_TEST_GPUS_ONLY"), is_set("WINDLASS_TEST_NO_DEVICES")) {
            (_, true) => Some(0),
            (true, false) => None,
            (false, false) => {
                let slots = std::env::var("WINDLASS_TEST_CPU_SLOTS").ok();
                Some(slots.map_or(2, |slots| slots.parse().expect("a number")))
            }
        };
        let name = std::env::var(LIFE_VARIABLE).ok().map(|life| format!("worker-{life}"));
        let patience = std::env::var("WINDLASS_TEST_DOWNLOAD_PATIENCE_MS").ok();
        let patience = patience.map(|ms| Duration::from_millis(ms.parse().expect("a number")));
        let download_patience = patience.unwrap_or(settings.download_patience);
        let settings = Settings {
            download_patience,
            name,
            cpu_slots,
            copies: is_set("WINDLASS_TEST_COPIES"),
            ..settings
        };
        let shutdown = tokio_util::sync::CancellationToken::new();
        let told = shutdown.clone();
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
            .expect("a signal handler");
        tokio::spawn(async move {
            terminate.recv().await;
            told.cancel();
        });
        match driver::run(settings, shutdown).await {
            Ok(()) => std::process::ExitCode::SUCCESS,
            Err(_) => std::process::ExitCode::FAILURE,
        }
    })
}

/// How a scene's worker lays workspaces out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Workspaces {
    Any,
    Copies,
}

/// A folder, a coordinator, and a worker that dies with it.
pub(crate) struct Scene {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) coordinator: Coordinator,
    pub(crate) worker: Option<Child>,
    workspaces: Workspaces,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::with(Workspaces::Any)
    }

    /// One whose worker copies every workspace.
    pub(crate) fn copying() -> Self {
        Self::with(Workspaces::Copies)
    }

    fn with(workspaces: Workspaces) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let coordinator = Coordinator::start(folder.path());
        wait_for("the socket", || coordinator.socket.exists().then_some(()));
        let mut scene = Self { folder, coordinator, worker: None, workspaces };
        scene.start();
        scene
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    pub(crate) fn start(&mut self) {
        let mut command = command(&self.work(), &self.coordinator.socket);
        if self.workspaces == Workspaces::Copies {
            command.env("WINDLASS_TEST_COPIES", "1");
        }
        self.worker = Some(command.spawn().expect("a worker"));
    }

    /// Whether its workspaces may be overlays.
    pub(crate) fn is_layered(&self) -> bool {
        self.workspaces == Workspaces::Any
    }

    /// Ends the daemon and waits for that.
    pub(crate) fn end(&mut self, signal: Signal) -> std::process::ExitStatus {
        let mut worker = self.worker.take().expect("it runs");
        kill_process(Pid::from_child(&worker), signal).expect("it is ours");
        let status = worker.wait().expect("it is ours");
        self.coordinator.state().over = LIVES.load(Ordering::SeqCst);
        status
    }

    pub(crate) fn order(&self, name: &str, command: &str, files: &[(&str, &str, bool)]) -> Order {
        order(&self.coordinator, self.folder.path(), name, command, files)
    }

    pub(crate) fn analysis(
        &self,
        run: &Order,
        results: Option<Digest>,
        scripts: &[(&str, &str, &str)],
    ) -> Order {
        let mut order = run.clone();
        order.key.id.number += 1;
        order.key.fence.n += 1;
        order.kind = Kind::Analysis;
        (order.command, order.metric, order.run) = (String::new(), None, Some(run.key.clone()));
        order.results = results;
        let script = |(name, text, output): &(&str, &str, &str)| ScriptOrder {
            script: Script::Blob { name: (*name).to_owned(), digest: self.coordinator.blob(text.as_bytes()) },
            output: TreePath::parse(output).expect("a path"),
        };
        order.scripts = scripts.iter().map(script).collect();
        order
    }

    pub(crate) fn lease(&self, order: &Order) {
        self.coordinator.want(|state| state.orders.push(order.clone()));
    }

    /// Leases, waits for the end, acknowledges, and waits until it is forgotten.
    pub(crate) fn carry_out(&self, order: &Order) -> Outcome {
        self.lease(order);
        let outcome = self.outcome(&order.key);
        self.acknowledge(&order.key);
        outcome
    }

    pub(crate) fn outcome(&self, key: &AttemptKey) -> Outcome {
        wait_for("an outcome", || self.coordinator.outcome(key))
    }

    pub(crate) fn acknowledge(&self, key: &AttemptKey) {
        self.coordinator.want(|state| {
            state.orders.retain(|order| order.key != *key);
            state.acknowledged.push(key.clone());
        });
        wait_for("it to be forgotten", || self.coordinator.phase(key).is_none().then_some(()));
    }

    pub(crate) fn wait_until_running(&self, key: &AttemptKey) {
        wait_for("it to run", || {
            matches!(self.coordinator.phase(key), Some(Phase::Running { .. })).then_some(())
        });
    }

    pub(crate) fn mark(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn pid(&self, name: &str) -> i32 {
        wait_for("a pid", || std::fs::read_to_string(self.mark(name)).ok()?.trim().parse().ok())
    }

    pub(crate) fn spool(&self, part: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.work().join(part)).expect("a folder");
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    }
}

/// An order for a run on the first CPU slot; its `MARKS` are in `folder`.
pub fn order(
    coordinator: &Coordinator,
    folder: &Path,
    name: &str,
    command: &str,
    files: &[(&str, &str, bool)],
) -> Order {
    Order {
        key: key(name),
        kind: Kind::Run,
        seed: None,
        score_artifact: None,
        request: None,
        tree: coordinator.tree(files),
        near: Vec::new(),
        devices: vec![DeviceId::from("cpu-0")],
        cpus: None,
        memory_bytes: 0,
        command: command.to_owned(),
        soft_limit_ms: 60_000,
        hard_limit_ms: 120_000,
        measure_until_ms: None,
        metric: Some(MetricSpec { name: "val_acc".to_owned(), line: MetricLine::ExactlyOne, range: None }),
        editable: vec!["train.py".to_owned()],
        env: BTreeMap::from([
            ("GREETING".to_owned(), "hello".to_owned()),
            ("MARKS".to_owned(), folder.display().to_string()),
        ]),
        scripts: vec![ScriptOrder {
            script: Script::Named(Script::BUILTIN_LOG.to_owned()),
            output: TreePath::parse("facts/log.tsv").expect("a path"),
        }],
        python: "python3".to_owned(),
        run: None,
        results: None,
        adds_only: false,
        history: Vec::new(),
        fix_patterns: Vec::new(),
        // It leaves marks outside its folders; the walls have tests of their own.
        isolation: Some(Isolation::None),
        limits: Default::default(),
        data: Vec::new(),
        caches: Vec::new(),
        setup: None,
        secrets: Vec::new(),
        artifacts: Vec::new(),
        run_artifacts: None,
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Some(mut worker) = self.worker.take() {
            worker.kill().expect("it is ours");
            worker.wait().expect("it is ours");
        }
    }
}

pub(crate) fn spawn(work: &Path, socket: &Path) -> Child {
    command(work, socket).spawn().expect("a worker")
}

pub(crate) fn command(work: &Path, socket: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("our own path"));
    command
        .args([Path::new("worker"), work, socket])
        .env("WINDLASS_NVML_LIBRARY", "/absent/libnvidia-ml.so")
        .env("LEAK", "of the daemon")
        .env(LIFE_VARIABLE, (LIVES.fetch_add(1, Ordering::SeqCst) + 1).to_string())
        .stdin(Stdio::null());
    command
}
