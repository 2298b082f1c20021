//! The shim over real commands: exit codes, the time gate (P16, I7), the log, its identity.

use crate::Test;
use crate::support::{Attempt, has_ended, kill, lives, wait_for, wait_for_end, wait_for_start};
use rustix::fs::{CWD, Mode};
use std::fs::File;
use windlass_engine::attempt::ExitRecord;
use windlass_worker::shim::{self, Exit, Identity, LogLimits};

pub const TESTS: &[Test] = &[
    ("exit_codes_and_signals_are_exact", exit_codes_and_signals_are_exact),
    ("a_command_that_cannot_start_is_said", a_command_that_cannot_start_is_said),
    ("p16_sigterm_at_the_budget_and_a_graceful_end_counts", p16_sigterm_at_the_budget),
    ("p16_a_run_that_ignores_sigterm_dies_at_the_hard_limit", p16_ignoring_sigterm),
    ("p16_a_child_of_the_shell_keeps_its_grace", p16_a_child_of_the_shell_keeps_its_grace),
    ("leftovers_die_with_the_command_and_their_words_are_kept", leftovers_die_with_the_command),
    ("i18_a_flood_is_cut_with_a_gap_record_and_never_blocks", i18_a_flood_is_cut),
    ("i18_a_gigabyte_as_fast_as_it_comes_stays_bounded", i18_a_fast_flood_is_bounded),
    ("p15_output_from_both_streams_is_whole_and_in_order_in_the_log", output_is_whole),
    ("cancel_reaches_the_run_and_kills_what_ignores_it", cancel_kills_what_ignores_it),
    ("an_attempt_is_started_once_in_its_life", an_attempt_is_started_once),
    ("a_recycled_pid_is_not_taken_for_a_shim", a_recycled_pid_is_not_taken_for_a_shim),
    ("i8_what_a_killed_shim_leaves_is_found_and_killed", i8_leftovers_of_a_killed_shim),
    ("i6_a_device_is_held_while_the_shim_lives", i6_a_device_is_held),
    ("a_retired_attempt_never_starts", a_retired_attempt_never_starts),
    ("a_shim_that_is_late_and_was_given_up_starts_nothing", a_late_shim_starts_nothing),
];

fn check(name: &str, command: &str, code: Option<i32>, signal: Option<i32>) {
    let record = Attempt::new(name, command).run();
    assert_eq!((record.code, record.signal), (code, signal), "{command}");
    let fired = record.soft_fired || record.hard_fired || record.cancelled;
    assert!(!fired && record.start_failure.is_none(), "{record:?}");
}

fn exit_codes_and_signals_are_exact() {
    check("exits", "exit 0", Some(0), None);
    check("exits", "exit 7", Some(7), None);
    check("exits", "exit 255", Some(255), None);
    check("exits", "no-such-command-here", Some(127), None);
    check("exits", "kill -SEGV $$", None, Some(11));
    check("exits", "kill -KILL $$", None, Some(9));
}

fn a_command_that_cannot_start_is_said() {
    let mut attempt = Attempt::new("unstarted", "true");
    attempt.spec.folder = attempt.path("absent");
    let record = attempt.run();
    assert!(record.start_failure.expect("a problem").contains("absent"));
}

fn p16_sigterm_at_the_budget() {
    let command = "trap 'echo val: 1; exit 3' TERM; echo ready; while :; do sleep 0.01; done";
    let attempt = Attempt::new("soft", command).limits(2000, 30_000);
    let record = attempt.run();
    assert_eq!((record.code, record.soft_fired, record.hard_fired), (Some(3), true, false));
    assert!(record.duration_ms >= 2000, "{record:?}");
    let log = attempt.log();
    assert!(log.starts_with("ready\n") && log.ends_with("val: 1\n"), "{log}");
}

fn p16_ignoring_sigterm() {
    let command = "trap '' TERM; echo $$ > $OUT/pid; while :; do sleep 1; done";
    let attempt = Attempt::new("stubborn", command).limits(1500, 3000);
    let record = attempt.run();
    assert!(record.soft_fired && record.hard_fired, "{record:?}");
    assert_eq!(record.signal, Some(9));
    // I7's bound for a tree that only a subreaper contains.
    assert!((3000..3000 + 5000).contains(&record.duration_ms), "{record:?}");
    assert!(!lives(attempt.pid("pid")));
}

fn p16_a_child_of_the_shell_keeps_its_grace() {
    // A shell is the child too: it is ready within milliseconds, long before the budget is over.
    let child = "trap 'sleep 0.2; echo val: 2; exit 0' TERM; echo ready; while :; do sleep 0.01; done";
    let attempt = Attempt::new("grace", "cd . && sh child.sh; true").limits(3000, 30_000);
    std::fs::write(attempt.path("child.sh"), child).expect("a script");
    let record = attempt.run();
    assert!(record.soft_fired && !record.hard_fired, "{record:?}");
    let log = attempt.log();
    assert!(log.starts_with("ready\n") && log.ends_with("val: 2\n"), "{log}");
}

fn leftovers_die_with_the_command() {
    let command = "sh -c 'echo $$ > $OUT/left; echo said; while :; do sleep 1; done' &
        while ! [ -s $OUT/left ]; do sleep 0.01; done; sleep 0.1; echo done; exit 5";
    let attempt = Attempt::new("leftovers", command);
    let record = attempt.run();
    assert_eq!(record.code, Some(5));
    assert!(record.duration_ms < 15_000, "the open pipe must not hold the end up: {record:?}");
    assert!(!lives(attempt.pid("left")));
    assert_eq!(attempt.log(), "said\ndone\n");
}

fn i18_a_flood_is_cut() {
    let mut attempt = Attempt::new("flood", "echo first; yes 0123456789 | head -c 3000000; echo; echo last");
    attempt.spec.log = LogLimits { head_bytes: 1000, tail_bytes: 500 };
    let record = attempt.run();
    assert_eq!(record.code, Some(0));
    let log = attempt.log();
    assert_eq!(record.log_bytes, log.len() as u64);
    let (gaps, kept): (Vec<&str>, Vec<&str>) = log.split_inclusive('\n').partition(|it| it.starts_with('['));
    assert_eq!(gaps, ["[windlass: 2.8 MiB of output left out here]\n"], "one gap, on a line of its own");
    assert_eq!(kept.concat().len() as u64 + record.log_cut_bytes, 6 + 3_000_000 + 1 + 5);
    assert!(kept.concat().len() > 1400, "{log}");
    assert!(log.starts_with("first\n0123456789\n") && log.ends_with("0123456789\n012\nlast\n"), "{log}");
}

/// A gigabyte at the speed of the pipe.
fn i18_a_fast_flood_is_bounded() {
    let mut attempt = Attempt::new("torrent", "head -c 1000000000 /dev/zero; echo; echo val: 1");
    attempt.spec.log = LogLimits { head_bytes: 1 << 20, tail_bytes: 1 << 19 };
    let mut launched = attempt.launch();
    wait_for_start(&mut launched);
    let status = format!("/proc/{}/status", attempt.identity().pid);
    let (mut disk_bytes, mut memory_kib) = (0, 0);
    wait_for("the flood's end", || {
        let size = |name| std::fs::metadata(attempt.path(name)).map_or(0, |file| file.len());
        disk_bytes = disk_bytes.max(size("run.log") + size("run.tail"));
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        memory_kib = memory_kib.max(peak.and_then(|kib| kib.trim().parse().ok()).unwrap_or(0_u64));
        has_ended(&launched).then_some(())
    });
    let record = attempt.exit_record().expect("an exit record");
    assert_eq!(record.code, Some(0));
    assert!(record.log_cut_bytes > 990_000_000 && record.log_bytes < 2 << 20, "{record:?}");
    assert!(disk_bytes <= 5 << 19, "head, ring and the tail's copy: {disk_bytes}");
    assert!((1..64 << 10).contains(&memory_kib), "{memory_kib} KiB");
    let log = std::fs::read(attempt.path("run.log")).expect("a log");
    assert!(log.ends_with(b"\nval: 1\n"), "the last line is kept");
}

fn output_is_whole() {
    let attempt = Attempt::new(
        "whole",
        "i=0; while [ $i -lt 2000 ]; do echo line $i; echo err $i >&2; i=$((i+1)); done",
    );
    let record = attempt.run();
    let want: String = (0..2000).map(|i| format!("line {i}\nerr {i}\n")).collect();
    assert_eq!(attempt.log(), want);
    assert_eq!((record.log_bytes, record.log_cut_bytes), (want.len() as u64, 0));
}

fn cancel_kills_what_ignores_it() {
    let polite = Attempt::new("cancel", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.01; done");
    let stubborn = Attempt::new("cancel", "trap '' TERM; echo ready; while :; do sleep 0.01; done");
    for (attempt, code, signal) in [(&polite, Some(9), None), (&stubborn, None, Some(9))] {
        let mut launched = attempt.launch();
        wait_for_start(&mut launched);
        wait_for("the command's first word", || (attempt.log() == "ready\n").then_some(()));
        shim::cancel(attempt.folder.path());
        wait_for_end(&launched);
        let record = attempt.exit_record().expect("an exit record");
        assert_eq!((record.code, record.signal, record.cancelled), (code, signal, true), "{record:?}");
        assert!(!record.soft_fired && !record.hard_fired);
    }
}

fn an_attempt_is_started_once() {
    let attempt = Attempt::new("once", "echo run >> $OUT/runs");
    attempt.run();
    wait_for_end(&attempt.launch());
    let runs = std::fs::read_to_string(attempt.path("runs")).expect("it ran");
    assert_eq!(runs, "run\n");
}

fn a_recycled_pid_is_not_taken_for_a_shim() {
    let attempt = Attempt::new("recycled", "while :; do sleep 1; done");
    let mut launched = attempt.launch();
    wait_for_start(&mut launched);
    let identity = attempt.identity();
    assert!(shim::identify(attempt.folder.path(), &identity).is_some(), "the positive control");
    // The pid lives, but it is another process in each of these ways.
    for wrong in [
        shim::Identity { start_ticks: identity.start_ticks + 1, ..identity.clone() },
        shim::Identity { boot_id: "another boot".to_owned(), ..identity.clone() },
        shim::Identity { nonce: "another start".to_owned(), ..identity.clone() },
        shim::Identity { pid: 1, ..identity.clone() },
        shim::Identity { pid: 0, ..identity.clone() },
        shim::Identity { pid: -1, ..identity.clone() },
    ] {
        assert!(shim::identify(attempt.folder.path(), &wrong).is_none(), "{wrong:?}");
    }
    shim::cancel(attempt.folder.path());
    wait_for_end(&launched);
    assert!(shim::identify(attempt.folder.path(), &identity).is_none(), "it is gone");
}

fn i8_leftovers_of_a_killed_shim() {
    let command = "echo $$ > $OUT/main; setsid sh -c 'echo $$ > $OUT/session; while :; do sleep 1; done' &
        while :; do sleep 1; done";
    let attempt = Attempt::new("orphaned", command);
    let launched = attempt.launch();
    let pids = ["main", "session"].map(|name| attempt.pid(name));
    kill(&launched);
    assert!(shim::identify(attempt.folder.path(), &attempt.identity()).is_none());
    assert_eq!(pids.map(lives), [true; 2], "they outlive it where nothing contains them");
    assert!(shim::end_without(attempt.folder.path(), None, &attempt.spec.key) >= 2);
    wait_for("their death", || (pids.map(lives) == [false; 2]).then_some(()));
    assert_eq!(attempt.exit_record(), None::<ExitRecord>);
}

fn i6_a_device_is_held() {
    let locks = tempfile::tempdir().expect("a folder");
    let lock = locks.path().join("cpu-0");
    let mut first = Attempt::new("device", "while :; do sleep 1; done");
    first.spec.locks = vec![lock.clone()];
    let mut launched = first.launch();
    wait_for_start(&mut launched);
    let mut second = Attempt::new("device-second", "echo never");
    second.spec.locks = vec![lock];
    let record = second.run();
    assert!(record.start_failure.expect("a problem").contains("cpu-0"));
    shim::cancel(first.folder.path());
    wait_for_end(&launched);
    let third = Attempt::new("device-third", "echo then");
    let third =
        Attempt { spec: shim::Spec { locks: second.spec.locks.clone(), ..third.spec.clone() }, ..third };
    assert_eq!(third.run().code, Some(0), "the positive control");
}

fn a_late_shim_starts_nothing() {
    for is_given_up in [true, false] {
        let attempt = Attempt::new("late", "echo run > $OUT/runs");
        // It waits here for somebody who reads: it holds the attempt, and has not said who it is.
        rustix::fs::mkfifoat(CWD, attempt.path("run.log"), Mode::RUSR | Mode::WUSR).expect("a pipe");
        let launched = attempt.launch();
        wait_for("its hold of the attempt", || {
            let lock = File::open(attempt.path("shim.lock")).ok()?;
            lock.try_lock().is_err().then_some(())
        });
        assert!(!attempt.path(Identity::FILE).exists());
        if is_given_up {
            shim::call_off(attempt.folder.path()).expect("called off");
        }
        let mut log = File::open(attempt.path("run.log")).expect("a reader");
        std::io::copy(&mut log, &mut std::io::sink()).expect("read to its end");
        wait_for_end(&launched);
        for name in ["runs", Exit::FILE] {
            assert_eq!(attempt.path(name).exists(), !is_given_up, "{name}");
        }
    }
}

fn a_retired_attempt_never_starts() {
    let attempt = Attempt::new("retired", "echo $$ > $OUT/pid; while :; do sleep 1; done");
    let mut launched = attempt.launch();
    wait_for_start(&mut launched);
    assert!(!shim::retire(attempt.folder.path()).expect("readable"), "a living shim holds it");
    shim::cancel(attempt.folder.path());
    wait_for_end(&launched);
    assert!(shim::retire(attempt.folder.path()).expect("readable"));
    let exit = attempt.exit_record().expect("a record of the shim that lived");
    assert!(exit.start_failure.is_none(), "{exit:?}");
}
