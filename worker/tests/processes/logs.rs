//! Logs and telemetry through a whole worker: whatever a run prints, and however often its daemon dies.

use crate::Test;
use crate::gpu::{Machine, UNTIL_TOLD};
use crate::scene::{FILES, Scene};
use crate::support::wait_for;
use rustix::process::Signal;
use std::path::PathBuf;
use std::time::Duration;
use windlass_shared::attempt::{Ending, Order, Outcome, Reading, ScriptOrder};
use windlass_shared::digest::Hash;
use windlass_shared::machine::Flag;
use windlass_shared::path::TreePath;
use windlass_shared::plan::Script;
use windlass_shared::session::{Stop, StopReason};

pub const TESTS: &[Test] = &[
    ("i10_a_log_survives_a_daemon_killed_every_100_ms", a_daemon_killed_every_100_ms),
    ("the_last_words_survive_crash_cancel_and_timeout", the_last_words_survive),
    ("whatever_a_run_prints_has_its_typed_ending", whatever_a_run_prints),
    ("an_entrypoint_that_cannot_be_run_says_so_in_its_log", an_entrypoint_that_cannot_be_run),
    ("i18_a_log_past_its_campaigns_limit_is_cut_and_the_metric_is_flagged", a_log_past_its_limit),
    ("a_run_leaves_telemetry_that_outlives_its_daemon", a_run_leaves_telemetry),
    ("a_reading_that_is_not_supported_is_an_empty_cell", what_is_not_supported_is_absent),
];

fn a_daemon_killed_every_100_ms() {
    let mut scene = Scene::new();
    let command = "i=0; while ! [ -e $MARKS/go ]; do i=$((i+1)); echo $i; done; echo val_acc: 0.5";
    let order = scene.order("hundred", command, FILES);
    scene.lease(&order);
    scene.wait_until_running(&order.key);
    for _ in 0..15 {
        // Only how often it dies: nothing is measured by it.
        std::thread::park_timeout(Duration::from_millis(100));
        scene.end(Signal::KILL);
        scene.coordinator.state().report = None;
        scene.start();
    }
    scene.wait_until_running(&order.key);
    std::fs::write(scene.mark("go"), "").expect("a mark");
    let outcome = scene.outcome(&order.key);
    assert_eq!(outcome.ending, Ending::Finished);
    let log = scene.coordinator.log(&order.key);
    let numbers = log.strip_suffix("val_acc: 0.5\n").expect("the last line").lines();
    let count = numbers.zip(1_u64..).map(|(line, n)| assert_eq!(line, n.to_string())).count();
    assert!(count > 100, "{count} lines");
    assert_eq!(outcome.log_hash, Some(Hash::of(log.as_bytes())), "whole, with no gap and no duplicate");
}

fn the_last_words_survive() {
    let scene = Scene::new();
    let crash = scene.order("crash", "echo begun; printf 'last words'; kill -9 $$", FILES);
    let mut timeout = scene.order("timeout", "echo begun; printf 'last words'; exec sleep 600", FILES);
    (timeout.soft_limit_ms, timeout.hard_limit_ms) = (3000, 6000);
    for (order, ending) in
        [(&crash, Ending::Crashed { code: None, signal: Some(9) }), (&timeout, Ending::SoftTimeout)]
    {
        let outcome = scene.carry_out(order);
        assert_eq!(outcome.ending, ending);
        assert_eq!(scene.coordinator.log(&order.key), "begun\nlast words");
        assert_eq!(outcome.log_tail, "begun\nlast words");
    }
    let cancel = scene.order("cancel", "echo begun; printf 'last words'; exec sleep 600", FILES);
    scene.lease(&cancel);
    wait_for("its words", || scene.coordinator.log(&cancel.key).ends_with("words").then_some(()));
    scene.coordinator.want(|state| {
        state.stop.push(Stop { key: cancel.key.clone(), reason: StopReason::Cancelled });
    });
    assert_eq!(scene.outcome(&cancel.key).ending, Ending::Cancelled);
    assert_eq!(scene.coordinator.log(&cancel.key), "begun\nlast words");
}

/// Runs a command to its end; what came of it, and its log.
fn run(scene: &Scene, name: &str, command: &str) -> (Outcome, Vec<u8>) {
    let mut order = scene.order(name, command, FILES);
    (order.soft_limit_ms, order.hard_limit_ms) = (10_000, 20_000);
    let outcome = scene.carry_out(&order);
    let log = scene.coordinator.state().logs.get(&order.key).cloned().unwrap_or_default();
    assert_eq!(log.len() as u64, outcome.log_bytes, "{name}");
    (outcome, log)
}

fn whatever_a_run_prints() {
    let scene = Scene::new();
    let metric = |outcome: &Outcome| match &outcome.reading {
        Some(Reading::Metric { value, .. }) => value.to_string(),
        other => panic!("{other:?}"),
    };
    let (outcome, log) =
        run(&scene, "long", "head -c 10000000 /dev/zero | tr '\\0' x; echo; echo val_acc: 0.5");
    assert_eq!((outcome.ending.clone(), metric(&outcome).as_str()), (Ending::Finished, "0.5"));
    assert_eq!(log.len(), 10_000_000 + 1 + 13);
    let (outcome, log) = run(&scene, "noise", "head -c 3000000 /dev/urandom; echo; echo val_acc: 0.5");
    assert_eq!((outcome.ending.clone(), metric(&outcome).as_str()), (Ending::Finished, "0.5"));
    assert_eq!(log.len(), 3_000_000 + 1 + 13);
    let (outcome, log) =
        run(&scene, "broken", "printf 'caf\\351 \\377\\n\\0\\033[2J\\nval_acc: 0.5\\n'; exit 3");
    assert_eq!(outcome.ending, Ending::Crashed { code: Some(3), signal: None });
    assert_eq!(log, b"caf\xe9 \xff\n\0\x1b[2J\nval_acc: 0.5\n");
    assert!(outcome.log_tail.contains("caf\u{fffd}"), "{:?}", outcome.log_tail);
    // Nothing at all, until the gate.
    let mut mute = scene.order("mute", "exec sleep 3600", FILES);
    (mute.soft_limit_ms, mute.hard_limit_ms) = (400, 800);
    let outcome = scene.carry_out(&mute);
    assert_eq!((outcome.ending.clone(), outcome.log_bytes), (Ending::SoftTimeout, 0));
    let Some(Reading::None { reason }) = &outcome.reading else { panic!("{:?}", outcome.reading) };
    assert_eq!(reason, "no line `val_acc: <number>` in 0 lines");
}

fn an_entrypoint_that_cannot_be_run() {
    let scene = Scene::new();
    for (name, command, code, says) in [
        ("absent", "./no-such-script.sh --epochs 3", 127, "./no-such-script.sh: not found"),
        ("closed", "./lib/data.txt", 126, "./lib/data.txt: Permission denied"),
    ] {
        let (outcome, log) = run(&scene, name, command);
        assert_eq!(outcome.ending, Ending::Crashed { code: Some(code), signal: None });
        let log = String::from_utf8_lossy(&log).into_owned();
        assert!(log.contains(says) && outcome.log_tail.contains(says), "{log}");
    }
}

fn a_log_past_its_limit() {
    let scene = Scene::new();
    let command = "yes an ordinary line of output | head -n 100000; echo val_acc: 0.5";
    let mut order = scene.order("flooded", command, FILES);
    order.limits.log_bytes = Some(200_000);
    let outcome = scene.carry_out(&order);
    assert_eq!(outcome.ending, Ending::Finished);
    assert_eq!(outcome.reading.as_ref().and_then(|it| it.value()).expect("a metric").to_string(), "0.5");
    assert!(outcome.flags.contains(&Flag::LogCut), "{:?}", outcome.flags);
    let whole = 100_000 * "an ordinary line of output\n".len() as u64 + 13;
    let log = scene.coordinator.log(&order.key);
    let gaps: Vec<&str> = log.lines().filter(|line| line.starts_with("[windlass: ")).collect();
    assert_eq!(gaps.len(), 1);
    assert_eq!(log.len() as u64 - gaps[0].len() as u64 - 1 + outcome.log_cut_bytes, whole);
    assert!(log.len() < 201_000 && outcome.log_hash.is_none());
    let others = log.lines().filter(|line| !line.starts_with("[windlass: "));
    assert!(others.clone().all(|line| line == "an ordinary line of output" || line == "val_acc: 0.5"));
}

/// The table that grows beside an attempt.
fn table(machine: &Machine) -> String {
    let attempts = machine.folder.path().join("work/attempts");
    let mut found = std::fs::read_dir(attempts).into_iter().flatten().flatten();
    let path = found.next().map_or_else(PathBuf::new, |entry| entry.path().join("telemetry.tsv"));
    std::fs::read_to_string(path).unwrap_or_default()
}

fn measured(machine: &Machine, name: &str) -> Order {
    let command = format!(
        "head -c 1000000 /dev/zero > file; {UNTIL_TOLD}; echo mine > $WINDLASS_RESULTS/telemetry.tsv"
    );
    let mut order = machine.order(name, &["GPU-a"], &command);
    order.scripts.push(ScriptOrder {
        script: Script::Named(Script::BUILTIN_TELEMETRY.to_owned()),
        output: TreePath::parse("use.tsv").expect("a path"),
    });
    machine.coordinator.want(|state| state.orders.push(order.clone()));
    machine.pid(name);
    order
}

fn a_run_leaves_telemetry() {
    let text = "driver 1\ngpu GPU-a 81920 600 NVIDIA H100\nload GPU-a 97 40\nheat GPU-a 61\n\
                power GPU-a 350500 700000\nthrottle GPU-a 33\n";
    let mut machine = Machine::new(text);
    machine.wait_free(&["GPU-a"]);
    let order = measured(&machine, "measured");
    let rows = |machine: &Machine| table(machine).lines().count().saturating_sub(1);
    wait_for("two rows", || (rows(&machine) >= 2).then_some(()));
    machine.restart();
    let before = rows(&machine);
    wait_for("rows of the next daemon", || (rows(&machine) >= before + 2).then_some(()));
    let grown = table(&machine);
    machine.go();
    let outcome = machine.outcome(&order.key);
    assert!(outcome.flags.contains(&Flag::Throttled), "{:?}", outcome.flags);
    let results = outcome.results.expect("results");
    let left = machine.coordinator.file(results, "telemetry.tsv").expect("a table");
    assert!(left.starts_with(&grown), "what was there stays:\n{left}\n{grown}");
    assert!(left.starts_with("elapsed_s\tcpu_cores\t") && left.contains("\tgpu0_throttle\n"), "{left}");
    for row in left.lines().skip(1) {
        assert!(row.ends_with("\t97\t629145600\t350.5\t61\tthermal"), "{row}");
        let cells: Vec<&str> = row.split('\t').collect();
        let number = |index: usize| cells[index].parse::<f64>().expect("a number");
        assert!(number(0) > 0.0 && number(2) > 0.0 && number(5) >= 1.0, "{row}");
    }
    let used = machine.coordinator.file(results, "use.tsv").expect("a deliverable");
    assert!(used.contains("GPU 0 97 % busy") && used.contains("\nelapsed_s\t"), "{used}");
    assert!(outcome.outputs.iter().any(|output| output.first_line.contains("s on the worker, ")));
}

fn what_is_not_supported_is_absent() {
    let machine =
        Machine::new("driver 1\ngpu GPU-a 81920 600 NVIDIA H100\nunsupported memory\nheat GPU-a 0\n");
    machine.wait_free(&["GPU-a"]);
    let order = measured(&machine, "mute");
    wait_for("a row", || (table(&machine).lines().count() >= 2).then_some(()));
    machine.go();
    let outcome = machine.outcome(&order.key);
    assert!(!outcome.flags.contains(&Flag::Throttled));
    let left = machine.coordinator.file(outcome.results.expect("results"), "telemetry.tsv").expect("a table");
    assert!(left.lines().skip(1).all(|row| row.ends_with("\t\t\t\t0\t")), "{left}");
}
