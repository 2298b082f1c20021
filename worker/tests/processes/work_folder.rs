//! Work folders and results as they should not be: on a tmpfs, full, read-only, with what others left in them.

use crate::Test;
use crate::environment::{FILES, scenes, setup};
use crate::scene::Scene;
use rustix::process::Signal;
use std::fs;
use windlass_shared::attempt::Ending;
use windlass_shared::path::TreePath;

pub const TESTS: &[Test] = &[
    ("bad_results_and_paths_are_left_out_by_name", bad_results_are_left_out),
    ("a_work_folder_on_tmpfs_serves_and_a_full_one_is_disk_full", work_folders_on_tmpfs),
    ("a_read_only_work_folder_is_said_at_the_start", a_read_only_work_folder_is_said),
    ("a_foreign_spool_and_trees_do_not_stop_a_start", a_foreign_spool_does_not_stop_a_start),
];

fn bad_results_are_left_out() {
    for scene in scenes() {
        // A socket, a FIFO, a device, a link, a name that is no text, a path past the limit, 10 GB that are
        // not there: each is left out, and what is good is kept.
        let command = "cd $WINDLASS_RESULTS; echo good > good.txt; mkfifo fifo; ln -s /etc/passwd link; \
            mknod dev c 1 3 2>&-; truncate -s 10G large; touch \"$(printf 'new\\nline')\"; \
            python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"sock\")'; \
            python3 -c 'import os\nfor n in range(20):\n d = \"d\" * 250\n os.mkdir(d); os.chdir(d)\nopen(\"deep\", \"w\").write(\"x\")'; \
            echo val_acc: 1";
        let order = scene.order("bad-results", command, FILES);
        let outcome = scene.carry_out(&order);
        assert_eq!(outcome.ending, Ending::Finished, "{}", outcome.log_tail);
        let results = outcome.results.expect("results");
        assert_eq!(scene.coordinator.file(results, "good.txt").as_deref(), Some("good\n"));
        let blobs = scene.coordinator.state().blobs.clone();
        let tree = windlass_shared::tree::Manifest::from_bytes(&blobs[&results.to_string()]).expect("a tree");
        let kept: Vec<&str> = tree.entries.keys().map(TreePath::as_str).collect();
        assert!(
            kept.iter().all(|path| ["good.txt", "facts/log.tsv", "telemetry.tsv"].contains(path)),
            "{kept:?}"
        );
    }
}

/// A worker whose work folder is a tmpfs of its own, mounted with `options`; none where this machine lets us
/// mount nothing.
fn on_tmpfs(scene: &mut Scene, options: &str) -> bool {
    let can_mount =
        std::process::Command::new("unshare").args(["--mount", "--map-root-user", "true"]).status();
    if !can_mount.is_ok_and(|status| status.success()) {
        crate::say("this machine lets us mount no tmpfs, so no work folder on one is tested");
        return false;
    }
    scene.end(Signal::KILL);
    // The worker that was ended may not have come so far as to make it.
    fs::create_dir_all(scene.work()).expect("a folder");
    let (work, exe) = (scene.work(), std::env::current_exe().expect("our own path"));
    let (work, exe, socket) = (work.display(), exe.display(), scene.coordinator.socket.display());
    let script = format!("mount -t tmpfs -o {options} none {work} && exec {exe} worker {work} {socket}");
    let mut command = std::process::Command::new("unshare");
    command.args(["--mount", "--map-root-user", "sh", "-c", &script]);
    command.env("WINDLASS_NVML_LIBRARY", "/absent/libnvidia-ml.so").stdin(std::process::Stdio::null());
    scene.worker = Some(command.spawn().expect("a worker"));
    true
}

fn work_folders_on_tmpfs() {
    let mut scene = Scene::new();
    if !on_tmpfs(&mut scene, "size=64m") {
        return;
    }
    let large = "x".repeat(3 << 20);
    let files = [FILES[0], FILES[1], ("large.bin", large.as_str(), false)];
    let order = scene.order("tmpfs", "rm large.bin; mkdir large.bin; echo val_acc: 1", &files);
    let outcome = scene.carry_out(&order);
    assert_eq!(outcome.ending, Ending::Finished, "the positive control");
    let mut scene = Scene::new();
    on_tmpfs(&mut scene, "size=2m");
    let order = scene.order("full", "echo val_acc: 1", &files);
    assert_eq!(scene.carry_out(&order).ending, Ending::DiskFull { over: None });
}

fn a_read_only_work_folder_is_said() {
    let mut scene = Scene::new();
    if on_tmpfs(&mut scene, "ro") {
        let mut worker = scene.worker.take().expect("it was started");
        assert!(!worker.wait().expect("ours").success(), "it does not pretend");
    }
}

fn a_foreign_spool_does_not_stop_a_start() {
    let mut scene = Scene::new();
    scene.end(Signal::KILL);
    for (path, text) in [
        ("trees/foreign/tree.json", "{"),
        ("trees/plain-file", "x"),
        ("setups/foreign/ready.json", "{"),
        ("setups/plain-file", "x"),
        ("caches/foreign/x", "x"),
        ("kept/foreign/layers.json", "{"),
        ("fingerprints/foreign.json", "{"),
        ("blobs/plain-file", "x"),
    ] {
        let path = scene.work().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    scene.start();
    let mut order = scene.order("after", "cat made; echo val_acc: 1", FILES);
    order.setup = setup("echo made > made");
    assert_eq!(scene.carry_out(&order).ending, Ending::Finished);
}
