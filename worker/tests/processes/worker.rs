//! What a whole worker does with runs and their analyses, with damage and with its own end.

use crate::Test;
use crate::scene::{FILES, Scene, command, spawn};
use crate::support::{lives, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use windlass_shared::attempt::{Ending, Order};
use windlass_shared::device::DeviceState;
use windlass_shared::digest::Digest;
use windlass_shared::id::IterationNumber;
use windlass_shared::path::TreePath;
use windlass_shared::session::{Stop, StopReason};

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

const RUN: &str =
    "cat lib/data.txt train.py; echo \"$GREETING [$LEAK] $WINDLASS_ITERATION [$CUDA_VISIBLE_DEVICES]\";
    echo curve > $WINDLASS_RESULTS/loss.tsv; echo weights > model.bin; echo val_acc: 0.875";

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
