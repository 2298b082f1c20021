//! Every way to escape an ending, against every containment: the gate, a cancel, the shim's own death, and
//! what a run may use at most. Payloads are real processes; all of a run's are told by their environment.

use crate::Test;
use crate::support::{Attempt, Lateness, containments, has, kill, wait_for, wait_for_end, wait_for_start};
use std::time::{Duration, Instant};
use windlass_engine::attempt::{Exceeded, ExitRecord, classify};
use windlass_shared::attempt::{Ending, Memory};
use windlass_shared::machine::{Containment, Isolation, Limits};
use windlass_worker::shim;

pub const TESTS: &[Test] = &[
    ("i7_nothing_escapes_the_hard_limit", nothing_escapes_the_hard_limit),
    ("nothing_escapes_a_cancel_and_its_grace", nothing_escapes_a_cancel),
    ("a_daemon_that_keeps_the_output_open_holds_no_attempt_and_is_not_scored", an_open_output_holds_nothing),
    ("i8_when_the_shim_is_killed_its_tree_dies_by_itself", i8_the_tree_dies_with_its_shim),
    ("exits_are_exact_in_every_containment_and_when_sealed", exits_are_exact),
    ("p16_a_graceful_end_counts_in_every_containment_and_when_sealed", a_graceful_end_counts),
    ("a_run_over_its_memory_disk_or_number_of_processes_is_ended_and_says_so", limits_hold),
    ("nothing_is_left_of_a_run_that_ended_by_itself", nothing_is_left),
];

pub const STORMS: &[Test] = &[("i7_a_fork_storm_dies_at_the_hard_limit", a_fork_storm_dies)];

/// What does not want to end, and how many of its processes there are at least.
const PAYLOADS: [(&str, &str, usize); 6] = [
    ("ignores SIGTERM", "trap '' TERM; echo > $OUT/ready; while :; do sleep 1; done", 2),
    (
        "in its own session",
        "trap '' TERM; setsid sh -c 'trap \"\" TERM; echo > $OUT/ready; while :; do sleep 1; done' &
         while :; do sleep 1; done",
        3,
    ),
    (
        "forked twice",
        "trap '' TERM; (sh -c 'trap \"\" TERM HUP; echo > $OUT/ready; while :; do sleep 1; done' &)
         while :; do sleep 1; done",
        3,
    ),
    (
        "stopped",
        "trap '' TERM; sh -c 'echo > $OUT/ready; kill -STOP $$' & while :; do sleep 1; done",
        2,
    ),
    (
        "in its own session and an orphan",
        "trap '' TERM; setsid sh -c 'sh -c \"trap : TERM HUP; echo > $OUT/ready; while :; do sleep 1; done\" &'
         while :; do sleep 1; done",
        3,
    ),
    (
        "all at once",
        "trap '' TERM; for i in 1 2 3; do setsid sh -c '(trap \"\" TERM; sh -c \"kill -STOP \\$\\$\" & \
         while :; do sleep 1; done) & exit' & done; sleep 0.2; echo > $OUT/ready; while :; do sleep 1; done",
        6,
    ),
];

/// What a tree may take to be gone once it is killed (I7).
fn at_most_ms(containment: Containment) -> u64 {
    if containment == Containment::Subreaper { 5000 } else { 1000 }
}

/// Runs each payload in each containment, at once.
fn each(test: impl Fn(Containment, &str, &str, usize) + Sync) {
    for containment in containments() {
        std::thread::scope(|scope| {
            for (name, payload, processes) in PAYLOADS {
                let test = &test;
                scope.spawn(move || test(containment, name, payload, processes));
            }
        });
    }
}

fn nothing_escapes_the_hard_limit() {
    // The payload has half of it to be what it is, on a busy machine too.
    const HARD_MS: u64 = 12_000;
    let lateness = Lateness::watch();
    each(|containment, name, payload, _| {
        let attempt = Attempt::new("gate", payload).contained(containment).limits(HARD_MS / 2, HARD_MS);
        let launched = attempt.launch();
        wait_for("the payload", || attempt.path("ready").exists().then_some(()));
        wait_for_end(&launched);
        assert_eq!(attempt.living(), [""; 0], "{name} in {containment}");
        let record = attempt.exit_record().expect("a record");
        assert!(record.soft_fired && record.hard_fired, "{name} in {containment}: {record:?}");
        assert_eq!(record.signal, Some(9), "{name} in {containment}");
        let bound = HARD_MS + at_most_ms(containment) + lateness.slack_ms();
        assert!((HARD_MS..bound).contains(&record.duration_ms), "{name} in {containment}: {record:?}");
        assert_eq!(classify(&record, ""), Ending::HardTimeout);
    });
}

fn nothing_escapes_a_cancel() {
    const GRACE: Duration = Duration::from_secs(5);
    let lateness = Lateness::watch();
    each(|containment, name, payload, processes| {
        let attempt = Attempt::new("cancelled", payload).contained(containment).limits(200_000, 400_000);
        let mut launched = attempt.launch();
        wait_for_start(&mut launched);
        wait_for("the payload", || attempt.path("ready").exists().then_some(()));
        // The positive control of this test and of the gate's: so many are there to be ended.
        wait_for("its processes", || (attempt.survivors() >= processes).then_some(()));
        let asked = Instant::now();
        shim::cancel(attempt.folder.path());
        wait_for_end(&launched);
        let took = asked.elapsed();
        assert_eq!(attempt.survivors(), 0, "{name} in {containment}");
        let record = attempt.exit_record().expect("a record");
        assert_eq!(classify(&record, ""), Ending::Cancelled, "{name} in {containment}: {record:?}");
        // The record is synced within this time too.
        let at_most = Duration::from_millis(at_most_ms(containment) + lateness.slack_ms());
        let bound = GRACE + at_most + Duration::from_secs(1);
        assert!(took < bound, "{name} in {containment}: {took:?}");
    });
}

fn a_fork_storm_dies() {
    // Each generation starts the next in a session of its own and ends: no pid lives for long.
    let script = "import os,signal,time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n\
        open(os.environ['OUT']+'/ready','w').write('1')\n\
        end=time.monotonic()+60\n\
        while time.monotonic()<end:\n    if os.fork(): os._exit(0)\n    os.setsid()\n";
    let lateness = Lateness::watch();
    for containment in containments() {
        let attempt = Attempt::new("storm", "trap '' TERM; python3 -S storm.py & while :; do sleep 1; done");
        let attempt = attempt.contained(containment).limits(5500, 6000);
        std::fs::write(attempt.path("storm.py"), script).expect("a script");
        let record = attempt.run();
        assert!(attempt.path("ready").exists(), "the storm must have been there");
        let bound = 6000 + at_most_ms(containment) + lateness.slack_ms();
        assert!(record.hard_fired && record.duration_ms < bound, "{containment}: {record:?}");
        assert_eq!(attempt.survivors(), 0, "{containment}");
    }
}

fn an_open_output_holds_nothing() {
    let lateness = Lateness::watch();
    for containment in containments() {
        let command = "setsid sh -c 'trap \"\" TERM; echo > $OUT/ready; sleep 1; while :; do echo val: 9; \
            sleep 0.2; done' &
            while ! [ -e $OUT/ready ]; do sleep 0.01; done; echo val: 1";
        let attempt = Attempt::new("open", command).contained(containment);
        let record = attempt.run();
        assert_eq!(classify(&record, ""), Ending::Finished);
        assert!(record.duration_ms < 5000 + lateness.slack_ms(), "{containment}: {record:?}");
        assert_eq!((attempt.log().as_str(), attempt.survivors()), ("val: 1\n", 0), "{containment}");
    }
}

fn i8_the_tree_dies_with_its_shim() {
    let (_, payload, processes) = PAYLOADS[5];
    let check = |attempt: Attempt, what: &str| {
        let locks = tempfile::tempdir().expect("a folder");
        let lock = locks.path().join("GPU-x");
        let mut attempt = attempt;
        attempt.spec.locks = vec![lock.clone()];
        let launched = attempt.launch();
        wait_for("the payload", || attempt.path("ready").exists().then_some(()));
        wait_for("its processes", || (attempt.survivors() >= processes).then_some(()));
        kill(&launched);
        // I6: the device is let go of when the tree is dead, and not before. Nobody helps: there is no daemon.
        let file = std::fs::File::open(&lock).expect("a lock");
        wait_for("the lock", || file.try_lock().is_ok().then_some(()));
        // bubblewrap itself waits outside for the last of the run, and is a moment longer there.
        let outside = usize::from(attempt.spec.walls.isolation == Isolation::Sealed);
        assert!(attempt.survivors() <= outside, "{what}");
        wait_for("bubblewrap's end", || (attempt.survivors() == 0).then_some(()));
        assert_eq!(attempt.exit_record(), None::<ExitRecord>, "{what}: nobody says how it ended");
    };
    for containment in containments() {
        if containment == Containment::Subreaper {
            continue;
        }
        check(Attempt::new("orphaned", payload).contained(containment), containment.as_str());
        if has(Isolation::Sealed) {
            check(Attempt::new("orphaned", payload).sealed(containment), "sealed");
        }
    }
    // Where nothing contains it, it lives on until somebody ends it: the positive control.
    let attempt = Attempt::new("orphaned", payload).contained(Containment::Subreaper);
    let launched = attempt.launch();
    wait_for("the payload", || attempt.path("ready").exists().then_some(()));
    kill(&launched);
    assert!(attempt.survivors() >= processes);
    assert!(
        shim::end_without(attempt.folder.path(), Some(&attempt.identity()), &attempt.spec.key) >= processes
    );
    assert_eq!(attempt.survivors(), 0);
}

/// An attempt of each kind: in each containment, and sealed.
fn kinds(name: &str, command: &str) -> Vec<(String, Attempt)> {
    let mut kinds = Vec::new();
    for containment in containments() {
        kinds.push((containment.to_string(), Attempt::new(name, command).contained(containment)));
        if has(Isolation::Sealed) && containment != Containment::Subreaper {
            kinds.push((format!("sealed, {containment}"), Attempt::new(name, command).sealed(containment)));
        }
    }
    kinds
}

fn exits_are_exact() {
    for (command, code, signal) in [
        ("exit 0", Some(0), None),
        ("echo said; exit 7", Some(7), None),
        ("exit 255", Some(255), None),
        ("no-such-command-here", Some(127), None),
        ("kill -SEGV $$", None, Some(11)),
        ("kill -KILL $$", None, Some(9)),
        // The command is no first process that signals pass by, and sees itself in its own /proc.
        ("trap 'exit 3' TERM; kill -TERM $$; sleep 5", Some(3), None),
        ("[ -d /proc/$$ ] && exit 4", Some(4), None),
    ] {
        for (kind, attempt) in kinds("exact", command) {
            let record = attempt.run();
            assert_eq!(
                (record.code, record.signal),
                (code, signal),
                "{command} in {kind}: {}",
                attempt.log()
            );
            assert_eq!(record.start_failure, None, "{kind}");
        }
    }
    // What cannot start is said, whoever was to start it.
    for (kind, mut attempt) in kinds("unstarted", "true") {
        attempt.spec.folder = attempt.path("absent");
        let record = attempt.run();
        let said =
            record.start_failure.unwrap_or_else(|| panic!("{kind} does not say that it did not start"));
        assert!(said.contains("absent"), "{kind}: {said}");
    }
}

fn a_graceful_end_counts() {
    let command = "trap 'echo val: 1; exit 3' TERM; echo ready; while :; do sleep 0.01; done";
    std::thread::scope(|scope| {
        for (kind, attempt) in kinds("graceful", command) {
            scope.spawn(move || {
                let attempt = attempt.limits(6000, 80_000);
                let record = attempt.run();
                assert_eq!(classify(&record, ""), Ending::SoftTimeout, "{kind}: {record:?}");
                let log = attempt.log();
                let whole = log.starts_with("ready\n") && log.ends_with("val: 1\n");
                assert!(record.code == Some(3) && whole, "{kind}: {record:?} {log}");
            });
        }
    });
}

fn nothing_is_left() {
    for (kind, attempt) in kinds("leaves", "sleep 60 & echo done") {
        let record = attempt.run();
        assert_eq!((record.code, attempt.survivors()), (Some(0), 0), "{kind}");
        let cgroup = attempt.identity().cgroup;
        assert_eq!(cgroup.is_some(), kind.ends_with("cgroup"), "{kind}");
        if let Some(path) = cgroup {
            wait_for("the cgroup to be removed", || (!path.exists()).then_some(()));
        }
    }
}

fn limits_hold() {
    let check = |command: &str, limits: Limits, want: Option<Exceeded>, ending: &Ending| {
        std::thread::scope(|scope| {
            for (kind, mut attempt) in kinds("limited", command) {
                scope.spawn(move || {
                    attempt.spec.walls.limits = limits;
                    attempt.spec.walls.write = vec![attempt.folder.path().to_owned()];
                    let record = attempt.run();
                    let log = attempt.log();
                    // Where the kernel holds a limit it ends the run itself, or tells it no.
                    if record.exceeded.is_some() || attempt.identity().cgroup.is_none() {
                        assert_eq!(record.exceeded, want, "{command} in {kind}: {record:?} {log}");
                        let says = log.contains("[windlass: killed for going over `limits: ")
                            || log.contains("[windlass: ended for going over its disk limit: ");
                        assert_eq!(says, want.is_some(), "{kind}: {log}");
                    }
                    let mut found = classify(&record, &log);
                    if let Ending::DiskFull { over } = &mut found {
                        let over = over.take().expect("its own limit, with the figure");
                        assert_eq!(Some(over.limit_bytes), limits.disk_bytes);
                        assert!(
                            over.used_bytes > over.limit_bytes && log.contains(&over.to_string()),
                            "{log}"
                        );
                    }
                    assert_eq!(found, *ending, "{command} in {kind}: {record:?} {log}");
                    assert_eq!(attempt.survivors(), 0, "{kind}");
                });
            }
        });
    };
    let none = Limits::default();
    let memory = Limits { memory_bytes: Some(100 << 20), ..none };
    let hungry = "python3 -S -c 'import time; x = bytearray(300 << 20); time.sleep(60)'";
    check(hungry, memory, Some(Exceeded::Memory), &Ending::OutOfMemory { memory: Memory::Host });
    check("python3 -S -c 'x = bytearray(300 << 20)'", none, None, &Ending::Finished);
    let disk = Limits { disk_bytes: Some(4 << 20), ..none };
    let full = Ending::DiskFull { over: None };
    let parts = "for i in 1 2 3 4 5 6; do head -c 1000000 /dev/zero > part$i; done; sleep 60";
    check(parts, disk, Some(Exceeded::Disk), &full);
    // One that ended by itself between two looks, or goes on when the system says no to it.
    check("exec head -c 9000000 /dev/zero > whole", disk, Some(Exceeded::Disk), &full);
    let deaf = "trap '' XFSZ; for i in 1 2 3; do head -c 3000000 /dev/zero >> whole || true; done; echo on";
    check(deaf, disk, Some(Exceeded::Disk), &full);
    // What takes no room is within the limit, however large it seems.
    check("truncate -s 10G sparse; echo x > small", disk, None, &Ending::Finished);
    check("head -c 3000000 /dev/zero > whole", disk, None, &Ending::Finished);
    let pids = Limits { pids: Some(30), ..none };
    let many = "for i in $(seq 40); do sleep 60 & done; wait";
    check(many, pids, Some(Exceeded::Processes), &Ending::Crashed { code: None, signal: Some(9) });
    check("for i in $(seq 10); do sleep 0.5 & done; wait", pids, None, &Ending::Finished);
}
