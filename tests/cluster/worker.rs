//! The worker daemon dies, and the run does not.

use crate::harness::{Daemon, Fleet, WINDLASS, signal};
use crate::project::Project;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Counts to 30, a line every 50 ms, waits for the file `$GO`, counts on to 40 and prints the metric.
const COUNT: &str = "i=0; while [ $i -lt 40 ]; do i=$((i+1)); echo \"line $i\"; sleep 0.05; \
                     while [ $i = 30 ] && ! [ -e \"$GO\" ]; do sleep 0.05; done; done; echo \"val: $VALUE\"";

fn is_running(fleet: &Fleet, campaign: &str) -> bool {
    let status = fleet.json(&["status", campaign]);
    status["open"]["attempt"]["phase"] == "running"
}

/// Where the mark is that lets it go on.
fn go(fleet: &Fleet) -> PathBuf {
    fleet.path("go")
}

/// A fleet whose one worker is counting: the fleet, its coordinator, its worker, the campaign.
fn counting() -> (Fleet, Daemon, Daemon, String) {
    let fleet = Fleet::new();
    let env = format!("  env: {{GO: {}}}\n", go(&fleet).display());
    let project = Project::default().run(COUNT).windlass(&env).write(&fleet.path("project"));
    let coordinator = fleet.coordinator();
    let worker = fleet.worker("one");
    let campaign = fleet.submit(&project, false);
    fleet.wait_until("the run is under way", || is_running(&fleet, &campaign));
    (fleet, coordinator, worker, campaign)
}

#[test]
fn a_run_survives_kill_9_of_its_daemon_and_its_log_is_whole() {
    let (fleet, _coordinator, mut worker, campaign) = counting();
    for _ in 0..5 {
        worker.kill();
        assert!(fleet.processes().iter().any(|(_, command)| command.contains("run.sh")), "the run lives on");
        worker = fleet.worker_unready("one");
        fleet.wait_until("it is back", || fleet.ok(&["workers"]).contains("ready"));
    }
    std::fs::write(go(&fleet), "").expect("a mark");
    fleet.wait_decided(&campaign, 1);
    assert_eq!(fleet.decided(&campaign), [(1, "keep".to_owned(), "0.5".to_owned())]);
    let log = fleet.ok(&["logs", &campaign, "1"]);
    let want: String = (1..=40).map(|i| format!("line {i}\n")).chain(["val: 0.5\n".to_owned()]).collect();
    assert_eq!(log, want, "no gap and no duplicate (I10)");
    let story = fleet.json(&["show", &campaign, "1"]);
    let records = story["records"].as_array().expect("its records");
    let leases = records.iter().filter(|record| record["body"]["kind"] == "attempt_leased").count();
    assert_eq!(leases, 1, "one attempt, never started again");
}

#[test]
fn a_run_that_ends_while_its_daemon_is_away_is_delivered_when_it_is_back() {
    let (fleet, _coordinator, worker, campaign) = counting();
    worker.kill();
    std::fs::write(go(&fleet), "").expect("a mark");
    fleet.wait_until("the run ends by itself", || {
        !fleet.processes().iter().any(|(_, command)| command.contains("run.sh") || command.contains("shim"))
    });
    assert!(fleet.decided(&campaign).is_empty());
    let _worker = fleet.worker_unready("one");
    fleet.wait_decided(&campaign, 1);
    assert_eq!(fleet.decided(&campaign), [(1, "keep".to_owned(), "0.5".to_owned())]);
}

#[test]
fn sigterm_to_the_daemon_leaves_the_run() {
    let (fleet, _coordinator, worker, campaign) = counting();
    assert!(worker.terminate().success());
    assert!(fleet.processes().iter().any(|(_, command)| command.contains("run.sh")), "the run lives on");
    let _worker = fleet.worker_unready("one");
    std::fs::write(go(&fleet), "").expect("a mark");
    fleet.wait_decided(&campaign, 1);
    assert_eq!(fleet.decided(&campaign)[0].1, "keep");
}

/// What a process calls itself: a shim's guardian is a copy of it by another name.
fn name(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

#[test]
fn i8_when_the_shim_is_killed_its_tree_dies_and_the_idea_is_not_blamed() {
    let fleet = Fleet::new();
    let script = "if [ -e \"$MARKS/second\" ]; then echo \"val: $VALUE\"; else touch \"$MARKS/second\"; sleep 4325.5; fi";
    let marks = fleet.path("marks");
    std::fs::create_dir(&marks).expect("a folder");
    // It leaves its mark outside its own folders.
    let env = format!("  sandbox: none\n  env: {{MARKS: {}}}\n", marks.display());
    let project = Project::default().run(script).windlass(&env).write(&fleet.path("project"));
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker("one");
    let campaign = fleet.submit(&project, false);
    fleet.wait_until("the run sleeps", || fleet.processes().iter().any(|(_, c)| c.contains("4325.5")));
    let shims: Vec<u32> = fleet
        .processes()
        .into_iter()
        .filter(|(pid, c)| c.contains("windlass shim") && name(*pid) != "windlass-guard")
        .map(|(pid, _)| pid)
        .collect();
    assert_eq!(shims.len(), 1, "one shim: {:?}", fleet.processes());
    signal(shims[0], "KILL");
    fleet.wait_until("its tree is gone", || !fleet.processes().iter().any(|(_, c)| c.contains("4325.5")));
    fleet.wait_decided(&campaign, 1);
    assert_eq!(
        fleet.decided(&campaign),
        [(1, "keep".to_owned(), "0.5".to_owned())],
        "run again, not blamed (P20)"
    );
}

#[test]
fn a_work_folder_that_cannot_be_used_is_one_sentence_with_what_to_do() {
    let fleet = Fleet::new();
    let work = fleet.path("work");
    std::fs::create_dir(&work).expect("a folder");
    let work = work.to_str().expect("a UTF-8 path");
    let is_root = rustix::process::getuid().is_root();
    // What is done at `$0` first, in a mount namespace of its own; what is said; the remedy.
    for (first, says, remedy) in [
        (
            "mount -t tmpfs -o size=64k none \"$0\"; head -c 100k /dev/zero > \"$0\"/x",
            "No space left",
            "free some",
        ),
        ("mount -t tmpfs -o ro none \"$0\"", "Read-only file system", "with --work-dir"),
        ("mount -t tmpfs none \"$0\"; touch \"$0\"/attempts", "File exists", "with --work-dir"),
        ("mount -t tmpfs none \"$0\"; echo '{' > \"$0\"/identity.json", "identity.json", "move it away"),
        ("mount -t tmpfs none \"$0\"; mkdir \"$0\"/lock", "Is a directory", ""),
    ] {
        let mut command = Command::new("unshare");
        command.arg(if is_root { "-m" } else { "-Urm" });
        command.args(["sh", "-c", &format!("({first}) 2> /dev/null; exec \"$@\""), work, WINDLASS]);
        command.args(["--data-dir".as_ref(), fleet.data_dir().as_os_str()]);
        command.args(["--quiet", "worker", "--work-dir", work]);
        let output = command.stdin(Stdio::null()).output().expect("unshare runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{first}: {said}");
        assert!(said.contains(says) && said.contains(remedy), "{first}: {said}");
        assert!(!said.contains("panicked"), "{first}: {said}");
    }
}
