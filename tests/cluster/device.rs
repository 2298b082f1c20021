//! A GPU that failed, and its owner who lifts the quarantine, over a coordinator that dies meanwhile (I3, I9).

use crate::harness::{Daemon, Fleet};
use crate::project::Project;
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

const GPUS: &str = "driver 570.1\ngpu GPU-aa 81920 600 NVIDIA H100\ngpu GPU-bb 81920 600 NVIDIA H100\n";

/// Cargo builds it beside this binary.
fn library() -> PathBuf {
    let exe = std::env::current_exe().expect("our own path");
    let path = exe.parent().expect("a folder").join("libwindlass_fake_nvml.so");
    assert!(path.exists(), "{} was not built", path.display());
    path
}

fn worker(fleet: &Fleet) -> Daemon {
    std::fs::write(fleet.path("gpus.txt"), GPUS).expect("a machine");
    let text = |path: PathBuf| path.to_str().expect("a UTF-8 path").to_owned();
    let (library, file, locks) = (text(library()), text(fleet.path("gpus.txt")), text(fleet.path("locks")));
    let env = [
        ("WINDLASS_NVML_LIBRARY", library.as_str()),
        ("WINDLASS_FAKE_NVML", file.as_str()),
        ("WINDLASS_LOCK_DIR", locks.as_str()),
    ];
    fleet.worker_in("one", &env)
}

/// The state of a GPU, as clients are shown it.
fn state(fleet: &Fleet, id: &str) -> Option<Value> {
    let output = fleet.client(&["--output", "json", "workers"]);
    let listing: Value = serde_json::from_slice(&output.stdout).ok()?;
    let devices = listing["workers"][0]["devices"].as_array()?.clone();
    devices.into_iter().find(|device| device["id"] == id).map(|device| device["state"].clone())
}

#[test]
fn i3_i9_a_release_survives_kill_9_around_its_commit_and_frees_the_gpu() {
    for point in ["", "before_commit:device_released", "after_commit:device_released"] {
        let fleet = Fleet::new();
        let mut coordinator = fleet.coordinator_unready(&[("WINDLASS_FAILPOINT", point)]);
        let _worker = worker(&fleet);
        fleet.wait_until("both GPUs are free", || {
            ["GPU-aa", "GPU-bb"].iter().all(|id| state(&fleet, id) == Some("free".into()))
        });
        let refused = fleet.client(&["device", "release", "one", "GPU-zz"]);
        assert_eq!(refused.status.code(), Some(4));
        std::fs::write(fleet.path("gpus.txt"), format!("{GPUS}xid GPU-aa 79\n")).expect("a machine");
        fleet.wait_until("the GPU is quarantined", || {
            let reason = state(&fleet, "GPU-aa").map(|state| state["quarantined"]["reason"].to_string());
            reason.is_some_and(|reason| reason.contains("XID 79"))
        });
        let page = fleet.ok(&["workers"]);
        assert!(page.contains("XID 79") && page.contains("H100"), "{page}");
        let released = fleet.client(&["device", "release", "one", "GPU-a"]);
        let _second;
        if point.is_empty() {
            assert!(released.status.success(), "{}", String::from_utf8_lossy(&released.stderr));
        } else {
            assert!(!released.status.success(), "{point}: it was killed before it answered");
            fleet.wait_until("the coordinator is killed", || coordinator.has_ended());
            _second = fleet.coordinator();
            if point.starts_with("before") {
                fleet.wait_until("the worker is back", || {
                    fleet.client(&["device", "release", "one", "GPU-aa"]).status.success()
                });
            }
        }
        fleet.wait_until("the GPU is free", || state(&fleet, "GPU-aa") == Some("free".into()));
        fleet.verify();
    }
}

#[test]
fn an_outsider_on_a_gpu_is_named_with_pid_user_and_command_and_nothing_is_leased_there_until_it_is_gone() {
    let fleet = Fleet::new();
    let _coordinator = fleet.coordinator();
    let _worker = worker(&fleet);
    fleet.wait_until("a GPU is free", || state(&fleet, "GPU-aa") == Some("free".into()));
    let mut outsider = Command::new("sleep").arg("4328.5").spawn().expect("a process");
    let on_both = ["GPU-aa", "GPU-bb"].map(|id| format!("process {id} {}\n", outsider.id())).concat();
    std::fs::write(fleet.path("gpus.txt"), format!("{GPUS}{on_both}")).expect("a machine");
    fleet.wait_until("both are taken", || {
        ["GPU-aa", "GPU-bb"].iter().all(|id| state(&fleet, id) != Some("free".into()))
    });
    let project = Project::default().windlass("  resources: {gpus: 1}\n").write(&fleet.path("project"));
    let campaign = fleet.submit(&project, false);
    for subject in ["one", &campaign] {
        // The campaign's page sums the fleet up; the worker's names who it is.
        let page = fleet.json(&["explain", subject]).to_string();
        assert!(page.contains("GPU"), "{page}");
    }
    let page = fleet.json(&["explain", "one"]).to_string();
    let pid = format!("pid {}", outsider.id());
    assert!(page.contains(&pid) && page.contains("user ") && page.contains("sleep 4328.5"), "{page}");
    outsider.kill().expect("ours");
    outsider.wait().expect("ours");
    std::fs::write(fleet.path("gpus.txt"), GPUS).expect("a machine");
    fleet.wait_decided(&campaign, 1);
    assert_eq!(fleet.decided(&campaign), [(1, "keep".to_owned(), "0.5".to_owned())]);
}
