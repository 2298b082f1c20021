//! The nursery under kill -9: it takes no shim with it, another takes its place, and whatever was just being
//! asked of it is started once.

use crate::Test;
use crate::scene::Scene;
use crate::support::{Attempt, kill, lives, wait_for, wait_for_end, wait_for_start};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};
use std::collections::BTreeMap;
use std::time::Duration;
use windlass_shared::attempt::Ending;
use windlass_shared::id::DeviceId;
use windlass_shared::secret::Secret;
use windlass_worker::shim::{self, Nursery};

pub const TESTS: &[Test] = &[
    ("a_killed_nursery_takes_no_shim_with_it_and_another_takes_its_place", a_killed_nursery),
    ("a_nursery_that_is_killed_while_it_is_asked_starts_each_run_once", killed_while_asked),
    ("a_nursery_ends_with_its_daemon_and_shims_do_not", it_ends_with_its_daemon),
    ("daemon_nursery_and_shim_killed_in_turn_lose_no_run_and_double_none", each_in_turn),
    ("a_shim_is_shown_under_its_own_name", its_own_name),
];

fn nursery() -> Nursery {
    Nursery::new(&std::env::current_exe().expect("our own path"))
}

fn pid_of(nursery: &Nursery) -> Pid {
    let pid = i32::try_from(nursery.pid().expect("it was started")).expect("a pid");
    Pid::from_raw(pid).expect("a pid")
}

fn a_killed_nursery() {
    let nursery = nursery();
    let first = Attempt::new("before", "while ! [ -e $OUT/go ]; do sleep 0.01; done; exit 3");
    let mut launched = first.launch_from(&nursery);
    wait_for_start(&mut launched);
    let gone = pid_of(&nursery);
    kill_process(gone, Signal::KILL).expect("ours");
    let second = Attempt::new("after", "echo run >> $OUT/runs; exit 4");
    wait_for_end(&second.launch_from(&nursery));
    assert_ne!(pid_of(&nursery), gone, "another one");
    assert_eq!(second.exit_record().expect("a record").code, Some(4));
    assert_eq!(std::fs::read_to_string(second.path("runs")).expect("it ran"), "run\n");
    assert!(lives(first.identity().pid), "its shim lives on");
    assert!(shim::identify(first.folder.path(), &first.identity()).is_some(), "and is found");
    std::fs::write(first.path("go"), "").expect("a mark");
    wait_for_end(&launched);
    assert_eq!(first.exit_record().expect("a record").code, Some(3));
}

/// Kills at many instants: before the request, between fork and answer, after; never more often than a start can
/// bear, so that each must come true, and with the secret that goes beside it.
fn killed_while_asked() {
    const RUNS: u64 = 120;
    // A fork and its answer take some tenths of a millisecond.
    const STEP: Duration = Duration::from_micros(10);
    let nursery = nursery();
    for number in 0..RUNS {
        let mut attempt = Attempt::new("hit", "echo $TOKEN >> $OUT/runs; exit 5");
        attempt.spec.secrets = vec!["TOKEN".to_owned()];
        attempt.secrets = BTreeMap::from([("TOKEN".to_owned(), secret("TOKEN", "told"))]);
        // Not its handle later, which whoever asks holds.
        let first = nursery.pid().is_some().then(|| pidfd_open(pid_of(&nursery), PidfdFlags::empty()));
        let launched = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(STEP * u32::try_from(number).expect("few"));
                if let Some(Ok(first)) = first {
                    let _ = pidfd_send_signal(first, Signal::KILL);
                }
                // The next one too, by the process table; with a third it may give up.
                for pid in nurseries_of(std::process::id()).into_iter().take((number % 2) as usize) {
                    let _ = kill_process(pid, Signal::KILL);
                }
            });
            attempt.launch_from(&nursery)
        });
        wait_for_end(&launched);
        let record = wait_for("a record", || attempt.exit_record());
        assert_eq!(record.code, Some(5), "{number}: {record:?}");
        let runs = std::fs::read_to_string(attempt.path("runs")).expect("it ran");
        assert_eq!(runs, "told\n", "{number}");
    }
}

fn secret(name: &str, value: &str) -> Secret {
    Secret::new(name, value.to_owned()).expect("a secret")
}

fn it_ends_with_its_daemon() {
    let attempt = Attempt::new("left", "while :; do sleep 1; done");
    let nursery = nursery();
    let mut launched = attempt.launch_from(&nursery);
    wait_for_start(&mut launched);
    let pid = pid_of(&nursery).as_raw_nonzero().get();
    assert!(lives(pid), "the positive control");
    drop(nursery);
    assert!(!lives(pid));
    assert!(lives(attempt.identity().pid));
    kill(&launched);
    shim::end_without(attempt.folder.path(), None, &attempt.spec.key);
}

/// The nurseries of a daemon.
fn nurseries_of(daemon: u32) -> Vec<Pid> {
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_its = |pid: &i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let Some((name, rest)) = stat.rsplit_once(')') else { return false };
        let mut fields = rest.split_ascii_whitespace();
        let lives = fields.next().is_some_and(|state| state != "Z");
        let parent = fields.next().and_then(|field| field.parse::<u32>().ok());
        lives && name.ends_with("windlass-nurse") && parent == Some(daemon)
    };
    pids.filter(is_its).filter_map(Pid::from_raw).collect()
}

fn each_in_turn() {
    let mut scene = Scene::new();
    let names = ["turn-first", "turn-second", "turn-third"];
    let orders = names.map(|name| {
        let command = format!(
            "echo begun >> $MARKS/begun-{name}; while ! [ -e $MARKS/go-{name} ]; do sleep 0.01; done; \
             echo val_acc: 0.5"
        );
        let mut order = scene.order(name, &command, &[("train.py", "train\n", false)]);
        order.devices = vec![DeviceId(format!("cpu-{}", usize::from(name == "turn-second")))];
        order
    });
    let lease = |scene: &Scene, n: usize| {
        scene.lease(&orders[n]);
        scene.wait_until_running(&orders[n].key);
    };
    let finish = |scene: &Scene, n: usize| {
        std::fs::write(scene.mark(&format!("go-{}", names[n])), "").expect("a mark");
        assert_eq!(scene.outcome(&orders[n].key).ending, Ending::Finished, "{}", names[n]);
        let begun = std::fs::read_to_string(scene.mark(&format!("begun-{}", names[n]))).expect("a mark");
        assert_eq!(begun, "begun\n", "{} was started once", names[n]);
        scene.acknowledge(&orders[n].key);
    };
    lease(&scene, 0);
    let daemon = scene.worker.as_ref().expect("it runs").id();
    let nursery = wait_for("the nursery", || nurseries_of(daemon).pop());
    kill_process(nursery, Signal::KILL).expect("ours");
    lease(&scene, 1);
    scene.end(Signal::KILL);
    scene.coordinator.state().report = None;
    scene.start();
    scene.wait_until_running(&orders[0].key);
    scene.wait_until_running(&orders[1].key);
    finish(&scene, 0);
    // The shim of another is killed: its run is lost, and said to be; its neighbour knows nothing of it.
    lease(&scene, 2);
    let folder = scene.spool("attempts").into_iter().find(|name| name.starts_with(names[2]));
    let path = scene.work().join("attempts").join(folder.expect("its folder")).join(shim::Identity::FILE);
    let bytes = std::fs::read(&path).expect("an identity");
    let identity: shim::Identity = windlass_worker::spool::decode(&path, &bytes).expect("whole");
    kill_process(Pid::from_raw(identity.pid).expect("a pid"), Signal::KILL).expect("ours");
    assert_eq!(scene.outcome(&orders[2].key).ending, Ending::Lost);
    finish(&scene, 1);
}

fn its_own_name() {
    let attempt = Attempt::new("named", "while :; do sleep 1; done");
    // One that nobody has killed: after that a start has another nonce.
    let nursery = nursery();
    let mut launched = attempt.launch_from(&nursery);
    wait_for_start(&mut launched);
    let pid = attempt.identity().pid;
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).expect("it lives");
    let words: Vec<&[u8]> = line.split(|&byte| byte == 0).take(3).collect();
    assert_eq!(words[1..], [&b"shim"[..], attempt.folder.path().as_os_str().as_encoded_bytes()]);
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).expect("it lives");
    assert_eq!(name, "windlass-shim\n");
    let environ = std::fs::read(format!("/proc/{pid}/environ")).expect("it lives");
    let nonce = format!("WINDLASS_SHIM={}", attempt.spec.nonce);
    assert!(environ.split(|&byte| byte == 0).any(|entry| entry == nonce.as_bytes()));
    shim::cancel(attempt.folder.path());
    wait_for_end(&launched);
}
