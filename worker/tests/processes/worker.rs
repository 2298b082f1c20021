//! A whole worker as a process of its own, against a coordinator that a test dictates to.

use crate::Test;
use crate::coordinator::Coordinator;
use crate::support::{key, lives, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use windlass_shared::attempt::{AttemptKey, Ending, Kind, MetricSpec, Order, Outcome, Phase, ScriptOrder};
use windlass_shared::bindings::MetricLine;
use windlass_shared::device::DeviceState;
use windlass_shared::digest::Digest;
use windlass_shared::id::{DeviceId, IterationNumber};
use windlass_shared::machine::Isolation;
use windlass_shared::path::TreePath;
use windlass_shared::plan::Script;
use windlass_shared::session::{Stop, StopReason};
use windlass_worker::client::Endpoint;
use windlass_worker::driver;
use windlass_worker::settings::Settings;

pub const TESTS: &[Test] = &[
    ("a_run_and_its_analysis_on_the_kept_workspace", a_run_and_its_analysis),
    ("p21_an_analysis_elsewhere_is_rebuilt_from_tree_results_and_log", an_analysis_elsewhere),
    ("p2_a_run_that_changes_a_frozen_file_is_named", a_frozen_file_is_named),
    ("p20_what_a_run_does_to_its_folders_is_never_infrastructure", harm_is_never_infrastructure),
    ("p19_a_failed_run_says_its_tail_and_which_patterns_match", a_failed_run_says_why),
    ("i10_a_run_outlives_kill_9_of_its_daemon_and_its_log_is_whole", a_run_outlives_its_daemon),
    ("a_daemon_told_to_end_leaves_its_runs", a_daemon_told_to_end_leaves_its_runs),
    ("i8_a_killed_shim_is_lost_and_its_tree_dies", a_killed_shim_is_lost),
    ("a_cancelled_run_ends_and_says_so", a_cancelled_run_ends),
    ("i15_an_unknown_attempt_is_stopped_and_its_spool_kept", an_unknown_attempt_is_kept),
    ("torn_and_foreign_folders_do_not_stop_a_start", torn_folders_do_not_stop_a_start),
    ("i7_the_gate_holds_when_the_daemon_is_killed", the_gate_holds_without_a_daemon),
    ("two_daemons_do_not_share_a_work_folder", two_daemons_do_not_share),
    ("a_worker_without_devices_says_so", a_worker_without_devices_says_so),
    ("a_tree_that_cannot_be_had_is_infrastructure", a_missing_tree_is_infrastructure),
];

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
        tree: coordinator.tree(files),
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

fn spawn(work: &Path, socket: &Path) -> Child {
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

const RUN: &str =
    "cat lib/data.txt train.py; echo \"$GREETING [$LEAK] $WINDLASS_ITERATION [$CUDA_VISIBLE_DEVICES]\";
    echo curve > $WINDLASS_RESULTS/loss.tsv; echo weights > model.bin; echo val_acc: 0.875";
pub const FILES: &[(&str, &str, bool)] = &[("lib/data.txt", "data\n", false), ("train.py", "train\n", false)];

fn a_run_and_its_analysis() {
    let scene = Scene::new();
    let run = scene.order("whole", RUN, FILES);
    let outcome = scene.carry_out(&run);
    let want = "data\ntrain\nhello [] 1 []\nval_acc: 0.875\n";
    assert_eq!(outcome.ending, Ending::Finished, "{outcome:?}");
    assert_eq!(scene.coordinator.log(&run.key), want);
    assert_eq!(outcome.reading.as_ref().and_then(|it| it.value()).expect("a metric").to_string(), "0.875");
    assert_eq!((outcome.log_bytes, outcome.frozen_changed.clone()), (want.len() as u64, None));
    assert_eq!(outcome.log_hash, Some(windlass_shared::digest::Hash::of(want.as_bytes())));
    assert_eq!(outcome.isolation, "none");
    assert!(!outcome.device_model.is_empty());
    let results = outcome.results.expect("results");
    assert_eq!(scene.coordinator.file(results, "loss.tsv").as_deref(), Some("curve\n"));
    let facts = scene.coordinator.file(results, "facts/log.tsv").expect("a builtin's output");
    assert!(facts.starts_with("finished after 0.") && facts.contains("metric\t0.875 (line 4)"), "{facts}");
    assert!(outcome.outputs[0].first_line.starts_with("finished after"), "{:?}", outcome.outputs);

    // The workspace is at hand: nothing of the tree is fetched again, and what the run made is there.
    let history = scene.coordinator.tree(&[("old.tsv", "old\n", false)]);
    let mut analysis = scene.analysis(
        &run,
        Some(results),
        &[
            ("weights.py", "print('first\\tline')\nprint(open('model.bin').read())\n", "weights.tsv"),
            ("self.sh", "cat $WINDLASS_RUN_LOG $WINDLASS_HISTORY/iter1/results/old.tsv > $WINDLASS_RESULTS/deep/own.txt; echo noise", "deep/own.txt"),
            ("bad.sh", "echo half; exit 3", "bad.tsv"),
            ("mute.py", "pass\n", "mute.tsv"),
            ("new.sh", "mkdir -p $WINDLASS_RESULTS/deep", "loss.tsv"),
        ],
    );
    analysis.scripts.rotate_right(1);
    analysis.history = vec![(IterationNumber(1), history)];
    let looked = scene.carry_out(&analysis);
    assert_eq!(looked.ending, Ending::Finished);
    let problems: Vec<_> =
        looked.outputs.iter().map(|output| output.problem.as_deref().unwrap_or(&output.first_line)).collect();
    // An output that was there before, and was not made anew, does not count.
    assert_eq!(
        problems,
        [
            "loss.tsv was not written",
            "first line",
            "data",
            "bad.sh ended with exit code 3",
            "mute.tsv was not written"
        ]
    );
    let results = looked.results.expect("results");
    let file = |path| scene.coordinator.file(results, path);
    assert_eq!(file("weights.tsv").as_deref(), Some("first\tline\nweights\n\n"));
    assert_eq!(file("deep/own.txt").as_deref(), Some(format!("{want}old\n").as_str()));
    assert_eq!((file("bad.tsv"), file("loss.tsv")), (None, None));
    assert!(file("facts/log.tsv").is_some());
    let reads = scene.coordinator.state().reads.clone();
    assert_eq!(reads.iter().filter(|digest| **digest == run.tree.to_string()).count(), 1);

    // P22: a later script finds the workspace once more.
    let mut later = scene.analysis(
        &run,
        Some(results),
        &[("again.py", "print(open('model.bin').read())\n", "again.txt")],
    );
    later.key.id.number += 1;
    assert_eq!(scene.carry_out(&later).outputs[0].first_line, "weights");
}

fn an_analysis_elsewhere() {
    let scene = Scene::new();
    let run = scene.order("elsewhere", "true", FILES);
    scene.coordinator.state().logs.insert(run.key.clone(), b"epoch 1\nval_acc: 0.5\n".to_vec());
    let results = scene.coordinator.tree(&[("loss.tsv", "curve\n", false)]);
    let script = "import os\nprint(open('train.py').read() + open(os.environ['WINDLASS_RUN_LOG']).read()\n    + open(os.environ['WINDLASS_RESULTS'] + '/loss.tsv').read())\n";
    let outcome = scene.carry_out(&scene.analysis(&run, Some(results), &[("all.py", script, "all.txt")]));
    assert_eq!(outcome.ending, Ending::Finished);
    let made = scene.coordinator.file(outcome.results.expect("results"), "all.txt").expect("made");
    assert_eq!(made, "train\nepoch 1\nval_acc: 0.5\ncurve\n\n");
}

fn a_frozen_file_is_named() {
    let scene = Scene::new();
    for (name, command, want) in [
        ("frozen", "rm lib/data.txt; echo better > lib/data.txt; echo val_acc: 1", Some("lib/data.txt")),
        ("editable", "rm train.py; echo other > train.py; echo new > new.txt; echo val_acc: 1", None),
    ] {
        let outcome = scene.carry_out(&scene.order(name, command, FILES));
        assert_eq!(outcome.ending, Ending::Finished);
        assert_eq!(outcome.frozen_changed.as_ref().map(TreePath::as_str), want);
    }
}

fn harm_is_never_infrastructure() {
    let scene = Scene::new();
    let at = "lib/data.txt";
    for (name, command, frozen) in [
        ("harm-results", "rm -rf $WINDLASS_RESULTS", None),
        ("harm-results-file", "rm -rf $WINDLASS_RESULTS; echo x > $WINDLASS_RESULTS", None),
        ("harm-results-link", "rmdir $WINDLASS_RESULTS; ln -s $MARKS $WINDLASS_RESULTS", None),
        ("harm-results-closed", "mkdir -p $WINDLASS_RESULTS/a; chmod 0 $WINDLASS_RESULTS/a", None),
        ("harm-facts", "echo x > $WINDLASS_RESULTS/facts", None),
        ("harm-frozen-folder", "rm lib/data.txt; mkdir lib/data.txt", Some(at)),
        ("harm-frozen-loop", "rm -r lib; ln -s lib lib", Some(at)),
        ("harm-frozen-closed", "chmod 0 lib/data.txt", None),
        ("harm-workspace", "rm -r $PWD", Some(at)),
    ] {
        let outcome = scene.carry_out(&scene.order(name, &format!("{command}; echo val_acc: 1"), FILES));
        assert_eq!(outcome.ending, Ending::Finished, "{name}: {outcome:?}");
        // Root reads through any mode; nobody else does, and then the file counts as changed.
        if name != "harm-frozen-closed" {
            assert_eq!(outcome.frozen_changed.as_ref().map(TreePath::as_str), frozen, "{name}");
        }
    }
    assert!(!scene.mark("facts").exists(), "nothing is written through a link of the run");
}

fn a_failed_run_says_why() {
    let scene = Scene::new();
    let mut order =
        scene.order("failed", "echo trying; echo 'CUDA out of memory. Tried 2 GiB' >&2; exit 1", FILES);
    order.fix_patterns = vec!["nothing".to_owned(), "out of memory\\. Tried [0-9]+".to_owned()];
    let outcome = scene.carry_out(&order);
    assert!(matches!(outcome.ending, Ending::OutOfMemory { .. }));
    assert_eq!(outcome.fix_matches, [1]);
    assert_eq!(outcome.log_tail, "trying\nCUDA out of memory. Tried 2 GiB");
    let outcome = scene.carry_out(&scene.order("crashed", "echo val_acc: 0.9; kill -SEGV $$", FILES));
    assert_eq!(outcome.ending, Ending::Crashed { code: None, signal: Some(11) });
}

fn a_run_outlives_its_daemon() {
    let mut scene = Scene::new();
    let command = "i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i+1)); sleep 0.01; done;
        while ! [ -e $MARKS/go ]; do sleep 0.01; done; echo val_acc: 0.5; exit 4";
    let order = scene.order("outlives", command, FILES);
    scene.lease(&order);
    for lines in [20, 100, 200] {
        let mark = format!("line {lines}\n");
        wait_for("log lines", || scene.coordinator.log(&order.key).contains(&mark).then_some(()));
        let status = scene.end(Signal::KILL);
        assert!(!status.success());
        scene.coordinator.state().report = None;
        scene.start();
    }
    scene.wait_until_running(&order.key);
    // It ends while no daemon is there at all.
    scene.end(Signal::KILL);
    scene.coordinator.state().report = None;
    std::fs::write(scene.mark("go"), "").expect("a mark");
    let name = scene.spool("attempts").pop().expect("a spool");
    let record = scene.work().join("attempts").join(name).join("exit.json");
    wait_for("the exit record", || record.exists().then_some(()));
    scene.start();
    let outcome = scene.outcome(&order.key);
    assert_eq!(outcome.ending, Ending::Crashed { code: Some(4), signal: None });
    let want: String = (0..300).map(|i| format!("line {i}\n")).chain(["val_acc: 0.5\n".to_owned()]).collect();
    assert_eq!(scene.coordinator.log(&order.key), want);
    assert_eq!(outcome.log_hash, Some(windlass_shared::digest::Hash::of(want.as_bytes())));
    // The outcome is kept until it is acknowledged, over a start too.
    scene.end(Signal::KILL);
    scene.coordinator.state().report = None;
    scene.start();
    assert_eq!(scene.outcome(&order.key), outcome);
    scene.acknowledge(&order.key);
    wait_for("the spool to be empty", || scene.spool("attempts").is_empty().then_some(()));
}

fn a_daemon_told_to_end_leaves_its_runs() {
    let mut scene = Scene::new();
    let command = "echo $$ > $MARKS/pid; while ! [ -e $MARKS/go ]; do sleep 0.01; done; echo val_acc: 0.5";
    let order = scene.order("told", command, FILES);
    scene.lease(&order);
    let pid = scene.pid("pid");
    scene.wait_until_running(&order.key);
    assert!(scene.end(Signal::TERM).success());
    assert!(lives(pid));
    scene.coordinator.state().report = None;
    scene.start();
    scene.wait_until_running(&order.key);
    // The first report of a daemon may come before its first look at the devices.
    let state = wait_for("a device", || {
        let state = scene.coordinator.state();
        state.report.as_ref().and_then(|report| report.devices.first()).map(|device| device.state.clone())
    });
    assert_eq!(state, DeviceState::Busy(order.key.clone()), "the run's device is its own still (I6)");
    std::fs::write(scene.mark("go"), "").expect("a mark");
    assert_eq!(scene.outcome(&order.key).ending, Ending::Finished);
}

fn a_killed_shim_is_lost() {
    let scene = Scene::new();
    let command = "echo $$ > $MARKS/pid; setsid sh -c 'echo $$ > $MARKS/session; while :; do sleep 1; done' & while :; do sleep 1; done";
    let order = scene.order("shim-lost", command, FILES);
    scene.lease(&order);
    let pids = [scene.pid("pid"), scene.pid("session")];
    let name = scene.spool("attempts").pop().expect("a spool");
    let identity = std::fs::read(scene.work().join("attempts").join(name).join("shim.json")).expect("a shim");
    let identity: windlass_worker::shim::Identity =
        windlass_worker::spool::decode(Path::new("shim.json"), &identity).expect("an identity");
    kill_process(Pid::from_raw(identity.pid).expect("a pid"), Signal::KILL).expect("kill -9 of the shim");
    assert_eq!(scene.outcome(&order.key).ending, Ending::Lost);
    assert_eq!(pids.map(lives), [false; 2], "its tree is dead before it is said to be over");
}

fn a_cancelled_run_ends() {
    let scene = Scene::new();
    let order = scene.order("cancelled", "echo $$ > $MARKS/pid; while :; do sleep 0.01; done", FILES);
    scene.lease(&order);
    let pid = scene.pid("pid");
    scene.wait_until_running(&order.key);
    let stop = Stop { key: order.key.clone(), reason: StopReason::Cancelled };
    scene.coordinator.want(|state| state.stop.push(stop));
    assert_eq!(scene.outcome(&order.key).ending, Ending::Cancelled);
    assert!(!lives(pid));
}

fn an_unknown_attempt_is_kept() {
    let scene = Scene::new();
    let order =
        scene.order("unknown", "echo $$ > $MARKS/pid; echo precious; while :; do sleep 0.01; done", FILES);
    scene.lease(&order);
    let pid = scene.pid("pid");
    scene.wait_until_running(&order.key);
    scene.coordinator.want(|state| {
        state.orders.clear();
        state.stop.push(Stop { key: order.key.clone(), reason: StopReason::Unknown });
    });
    let kept = wait_for("a folder aside", || scene.spool("aside").pop());
    assert!(!lives(pid));
    let log = std::fs::read_to_string(scene.work().join("aside").join(kept).join("run.log")).expect("a log");
    assert!(log.starts_with("precious\n"), "{log}");
}

fn torn_folders_do_not_stop_a_start() {
    let mut scene = Scene::new();
    let order = scene.order("torn", "echo $$ > $MARKS/pid; while :; do sleep 0.01; done", FILES);
    scene.lease(&order);
    let pid = scene.pid("pid");
    scene.wait_until_running(&order.key);
    scene.end(Signal::KILL);
    let attempts = scene.work().join("attempts");
    for (folder, file, text) in [
        ("empty", None, ""),
        ("torn.1.1.0-1", Some("order.json"), "{\"key\": {\"id\""),
        ("zeros.1.1.0-1", Some("order.json"), "\0\0\0\0"),
        ("not ours", Some("photo.jpg"), "x"),
    ] {
        std::fs::create_dir(attempts.join(folder)).expect("a folder");
        if let Some(file) = file {
            std::fs::write(attempts.join(folder).join(file), text).expect("a file");
        }
    }
    // The living attempt's own documents are torn as well: it cannot be found again, so it is ended.
    let name = scene.spool("attempts").into_iter().find(|name| name.starts_with("torn-")).expect("its spool");
    std::fs::write(attempts.join(&name).join("shim.json"), "{").expect("a torn document");
    scene.coordinator.state().report = None;
    scene.start();
    assert_eq!(scene.outcome(&order.key).ending, Ending::Lost);
    assert!(!lives(pid), "it has left the machine's table before it is said to be lost (I6)");
    assert_eq!(scene.spool("aside").len(), 4);
}

fn the_gate_holds_without_a_daemon() {
    let mut scene = Scene::new();
    let command = "trap '' TERM; echo $$ > $MARKS/pid; while :; do sleep 1; done";
    let order = Order { soft_limit_ms: 4000, hard_limit_ms: 8000, ..scene.order("gate", command, FILES) };
    scene.lease(&order);
    let pid = scene.pid("pid");
    scene.end(Signal::KILL);
    assert!(lives(pid), "the run outlives its daemon");
    wait_for("its end by its own shim", || (!lives(pid)).then_some(()));
    scene.coordinator.state().report = None;
    scene.start();
    let outcome = scene.outcome(&order.key);
    assert_eq!(outcome.ending, Ending::HardTimeout);
    // The bound of a tree that only a subreaper contains.
    assert!((8000..13_000).contains(&outcome.duration_ms), "{outcome:?}");
}

fn two_daemons_do_not_share() {
    let scene = Scene::new();
    wait_for("a report", || scene.coordinator.state().report.is_some().then_some(()));
    let mut second = spawn(&scene.work(), &scene.coordinator.socket);
    assert!(!second.wait().expect("it is ours").success());
}

fn a_worker_without_devices_says_so() {
    let mut scene = Scene::new();
    wait_for("a report", || scene.coordinator.state().report.is_some().then_some(()));
    scene.end(Signal::TERM);
    scene.coordinator.state().report = None;
    scene.worker = Some(
        command(&scene.work(), &scene.coordinator.socket)
            .env("WINDLASS_TEST_NO_DEVICES", "1")
            .spawn()
            .expect("a worker"),
    );
    let report = wait_for("a report", || scene.coordinator.state().report.clone());
    assert_eq!(report.devices, []);
}

fn a_missing_tree_is_infrastructure() {
    let scene = Scene::new();
    let mut order = scene.order("missing", "true", FILES);
    order.tree = Digest::of(b"nobody has this");
    let outcome = scene.carry_out(&order);
    assert!(matches!(&outcome.ending, Ending::Infra { detail } if detail.contains("no blob")), "{outcome:?}");
    let mut order = scene.order("outside", "true", FILES);
    order.key.id.campaign.0 = "../../outside".to_owned();
    let outcome = scene.carry_out(&order);
    assert!(
        matches!(&outcome.ending, Ending::Infra { detail } if detail.contains("campaign")),
        "{outcome:?}"
    );
}
