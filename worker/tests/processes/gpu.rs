//! GPUs through the real NVML wrapper over a library that reads a text file.

use crate::Test;
use crate::coordinator::Coordinator;
use crate::support::wait_for;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use windlass_shared::device::{Device, DeviceKind, DeviceState};

pub const TESTS: &[Test] = &[(
    "i9_a_gpu_is_free_only_when_nobody_is_on_it_and_its_memory_is_back",
    a_gpu_is_free_only_when_it_is_clean,
)];

struct Machine {
    folder: tempfile::TempDir,
    coordinator: Coordinator,
    worker: Child,
}

impl Machine {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let coordinator = Coordinator::start(folder.path());
        wait_for("the socket", || coordinator.socket.exists().then_some(()));
        let file = folder.path().join("gpus.txt");
        std::fs::write(&file, text).expect("a machine");
        let worker = Command::new(std::env::current_exe().expect("our own path"))
            .args([Path::new("worker"), &folder.path().join("work"), &coordinator.socket])
            .env("WINDLASS_NVML_LIBRARY", library())
            .env("WINDLASS_FAKE_NVML", &file)
            .env("WINDLASS_TEST_GPUS_ONLY", "1")
            .env("WINDLASS_LOCK_DIR", folder.path().join("locks"))
            .stdin(Stdio::null())
            .spawn()
            .expect("a worker");
        Self { folder, coordinator, worker }
    }

    /// Changes the machine at once, never half.
    fn change(&self, text: &str) {
        let beside = self.folder.path().join("gpus.new");
        std::fs::write(&beside, text).expect("a machine");
        std::fs::rename(beside, self.folder.path().join("gpus.txt")).expect("a machine");
    }

    /// Waits until the worker reports devices that `look` accepts.
    fn wait<T>(&self, what: &str, look: impl Fn(&[Device]) -> Option<T>) -> T {
        wait_for(what, || look(&self.coordinator.state().report.as_ref()?.devices))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.worker.kill().expect("it is ours");
        self.worker.wait().expect("it is ours");
    }
}

/// Cargo builds it beside this binary.
fn library() -> PathBuf {
    let exe = std::env::current_exe().expect("our own path");
    let path = exe.parent().expect("a folder").join("libwindlass_fake_nvml.so");
    assert!(path.exists(), "{} was not built", path.display());
    path
}

fn a_gpu_is_free_only_when_it_is_clean() {
    let clean = "driver 570.1\ngpu GPU-a 81920 600 NVIDIA H100\ngpu GPU-b 81920 600 NVIDIA H100\n";
    let machine = Machine::new(clean);
    let all_free = |devices: &[Device]| {
        (devices.len() == 2 && devices.iter().all(|device| device.state == DeviceState::Free))
            .then(|| devices.to_vec())
    };
    let devices = machine.wait("two free GPUs", all_free);
    assert_eq!((devices[0].id.as_str(), devices[0].kind), ("GPU-a", DeviceKind::Gpu));
    assert_eq!((devices[0].model.as_str(), devices[0].memory_bytes), ("NVIDIA H100", Some(80 << 30)));

    // A process that is not ours: this test.
    machine.change(&format!("{clean}process GPU-a {}\n", std::process::id()));
    let who = machine.wait("an outsider", |devices| match &devices.first()?.state {
        DeviceState::Outsider { who } => Some(who.clone()),
        _ => None,
    });
    assert!(who.contains(&format!("pid {}", std::process::id())) && who.contains("processes"), "{who}");

    machine.change(clean);
    machine.wait("two free GPUs", all_free);
    // A run of another worker holds it, whether or not it is on the GPU yet.
    let lock = std::fs::File::create(machine.folder.path().join("locks/GPU-a")).expect("a lock");
    lock.lock().expect("free");
    let who = machine.wait("another worker's run", |devices| match &devices.first()?.state {
        DeviceState::Outsider { who } => Some(who.clone()),
        _ => None,
    });
    assert!(who.contains("another worker"), "{who}");
    drop(lock);
    machine.wait("two free GPUs", all_free);

    machine.change(&clean.replace("GPU-a 81920 600", "GPU-a 81920 9000"));
    let reason = machine.wait("quarantine", |devices| match &devices.first()?.state {
        DeviceState::Quarantined { reason } => Some(reason.clone()),
        _ => None,
    });
    assert!(reason.contains("9000 MiB") && reason.contains("600 MiB"), "{reason}");

    machine.change(&format!("{clean}lost GPU-a\n"));
    machine
        .wait("one GPU", |devices| (devices.len() == 1 && devices[0].id.as_str() == "GPU-b").then_some(()));
    machine.change(clean);
    machine.wait("two free GPUs", all_free);
}
