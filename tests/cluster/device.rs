//! A GPU that failed, and its owner who lifts the quarantine, over a coordinator that dies meanwhile (I3, I9).

use crate::harness::{Daemon, Fleet};
use serde_json::Value;
use std::path::PathBuf;

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
