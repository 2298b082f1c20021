//! Two workers on one machine: neither weakens what the other has, and neither touches the other's processes,
//! not even where one's folder is a copy of the other's or both know an attempt of the same key.

use crate::Test;
use crate::coordinator::Coordinator;
use crate::scene::{FILES, Scene, command};
use crate::support::{lives, machine, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::process::{Command, Stdio};
use windlass_shared::attempt::{Ending, Order};
use windlass_worker::sandbox::Machine;
use windlass_worker::shim::{Identity, PROBE};

pub const TESTS: &[Test] = &[
    ("daemons_that_start_at_once_all_find_what_the_machine_has", probes_at_once),
    ("i5_a_copied_work_folder_takes_over_nothing_of_the_first", a_copied_folder_takes_nothing),
    ("i8_a_hunt_spares_the_same_attempt_of_another_worker", a_hunt_spares_another_worker),
];

fn probes_at_once() {
    let exe = std::env::current_exe().expect("our own path");
    let probe = || Command::new(&exe).arg(PROBE).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let probes: Vec<_> = (0..24).map(|_| probe().expect("a probe")).collect();
    for probe in probes {
        let said = probe.wait_with_output().expect("ours").stdout;
        let found: Machine = serde_json::from_slice(&said).expect("what it found");
        assert_eq!(Machine { forced: machine().forced, ..found }, *machine());
    }
}

/// Begins anew with a worker that has only a subreaper to contain runs: there a hunt is by environment alone.
fn without_walls(scene: &mut Scene) {
    scene.end(Signal::KILL);
    let mut worker = command(&scene.work(), &scene.coordinator.socket);
    worker.env("WINDLASS_CONTAINMENT", "subreaper");
    scene.worker = Some(worker.spawn().expect("a worker"));
}

const WAITS: &str = "echo $$ > $MARKS/pid; while ! [ -e $MARKS/go ]; do sleep 0.05; done; echo val_acc: 0.5";

fn running(scene: &Scene, name: &str) -> (Order, i32) {
    let order = scene.order(name, WAITS, FILES);
    scene.lease(&order);
    let pid = scene.pid("pid");
    scene.wait_until_running(&order.key);
    (order, pid)
}

fn a_copied_folder_takes_nothing() {
    let mut scene = Scene::new();
    without_walls(&mut scene);
    let (order, pid) = running(&scene, "copied");
    let other = tempfile::tempdir().expect("a folder");
    copy(&scene.work(), &other.path().join("work"));
    let coordinator = Coordinator::start(other.path());
    let mut second = command(&other.path().join("work"), &coordinator.socket);
    let mut second = second.env("WINDLASS_CONTAINMENT", "subreaper").spawn().expect("a worker");
    let outcome = wait_for("the copy's word", || coordinator.outcome(&order.key));
    assert_eq!(outcome.ending, Ending::Lost, "nothing runs from this folder");
    kill_process(Pid::from_child(&second), Signal::TERM).expect("ours");
    second.wait().expect("ours");
    windlass_worker::driver::end_runs(&other.path().join("work")).expect("nothing is left to end");
    assert!(lives(pid), "it is the first worker's");
    std::fs::write(scene.mark("go"), "").expect("a mark");
    assert_eq!(scene.outcome(&order.key).ending, Ending::Finished);
}

/// Folders and files; a pipe is made anew by whoever wants one.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        let kind = entry.file_type().expect("it is there");
        let to = to.join(entry.file_name());
        if kind.is_dir() {
            copy(&entry.path(), &to);
        } else if kind.is_file() {
            std::fs::copy(entry.path(), to).expect("a file");
        }
    }
}

fn a_hunt_spares_another_worker() {
    let (mut first, mut second) = (Scene::new(), Scene::new());
    without_walls(&mut first);
    without_walls(&mut second);
    let (order, pid) = running(&first, "twice");
    let (same, spared) = running(&second, "twice");
    assert_eq!(order.key, same.key);
    let name = first.spool("attempts").pop().expect("a spool");
    let path = first.work().join("attempts").join(name).join(Identity::FILE);
    let identity: Identity =
        windlass_worker::spool::decode(&path, &std::fs::read(&path).expect("a document")).expect("whole");
    kill_process(Pid::from_raw(identity.pid).expect("a pid"), Signal::KILL).expect("kill -9 of the shim");
    assert_eq!(first.outcome(&order.key).ending, Ending::Lost);
    assert!(!lives(pid), "the positive control: its own run is dead before it is said to be lost (I6)");
    assert!(lives(spared), "it is another worker's");
    std::fs::write(second.mark("go"), "").expect("a mark");
    assert_eq!(second.outcome(&same.key).ending, Ending::Finished);
}
