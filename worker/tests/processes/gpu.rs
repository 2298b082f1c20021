//! GPUs through the real NVML wrapper over a library that reads a text file.

use crate::Test;
use crate::coordinator::Coordinator;
use crate::scene;
use crate::support::{lives, wait_for};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use windlass_shared::attempt::{AttemptKey, Ending, Order, Outcome};
use windlass_shared::device::{Device, DeviceKind, DeviceState};
use windlass_shared::id::{FencingNumber, Incarnation};
use windlass_shared::session::{Release, Report};

pub const TESTS: &[Test] = &[
    (
        "i9_a_gpu_is_free_only_when_nobody_is_on_it_and_its_memory_is_back",
        a_gpu_is_free_only_when_it_is_clean,
    ),
    ("the_inventory_is_whole_and_what_cannot_be_read_is_absent", the_inventory_is_whole),
    ("nvml_may_be_missing_come_vanish_and_come_back", nvml_comes_and_goes),
    ("nvml_that_hangs_keeps_gpus_from_being_leased_and_nothing_else", nvml_that_hangs),
    ("a_run_sees_its_slice_and_cpus_of_its_own", a_run_sees_what_it_was_leased),
    ("a_gpu_that_is_lost_in_mid_run_is_a_gpu_fault_and_the_daemon_lives", a_lost_gpu),
    ("an_xid_of_the_program_is_its_own_and_any_other_is_the_gpus", xids_and_ecc_errors),
    ("i9_memory_that_does_not_come_back_after_a_run_quarantines_that_gpu_alone", memory_that_stays),
];

const CLEAN: &str = "driver 570.1\ngpu GPU-a 81920 600 NVIDIA H100\ngpu GPU-b 81920 600 NVIDIA H100\n";
/// Says that it runs and goes on until it is told.
pub const UNTIL_TOLD: &str = "echo $$ > $MARKS/pid-$NAME; while ! [ -e $MARKS/go ]; do sleep 0.01; done";

pub struct Machine {
    pub folder: tempfile::TempDir,
    pub coordinator: Coordinator,
    worker: Child,
}

impl Machine {
    pub fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let coordinator = Coordinator::start(folder.path());
        wait_for("the socket", || coordinator.socket.exists().then_some(()));
        std::fs::write(folder.path().join("gpus.txt"), text).expect("a machine");
        let worker = spawn(folder.path(), &coordinator.socket);
        Self { folder, coordinator, worker }
    }

    /// Changes the machine at once, never half.
    fn change(&self, text: &str) {
        let beside = self.folder.path().join("gpus.new");
        std::fs::write(&beside, text).expect("a machine");
        std::fs::rename(beside, self.folder.path().join("gpus.txt")).expect("a machine");
    }

    /// Kills the daemon and starts another.
    pub fn restart(&mut self) {
        self.worker.kill().expect("it is ours");
        self.worker.wait().expect("it is ours");
        self.coordinator.state().report = None;
        self.worker = spawn(self.folder.path(), &self.coordinator.socket);
    }

    fn report(&self) -> Option<Report> {
        self.coordinator.state().report.clone()
    }

    /// Waits until the worker reports devices that `look` accepts.
    fn wait<T>(&self, what: &str, look: impl Fn(&[Device]) -> Option<T>) -> T {
        wait_for(what, || look(&self.report()?.devices))
    }

    /// Waits until these devices, and no others, are free.
    pub fn wait_free(&self, ids: &[&str]) -> Vec<Device> {
        self.wait(&format!("{ids:?} to be free"), |devices| {
            let free = devices.iter().filter(|device| device.state == DeviceState::Free);
            let free: Vec<&str> = free.map(|device| device.id.as_str()).collect();
            (free == ids).then(|| devices.to_vec())
        })
    }

    /// Waits until a device is quarantined for a reason like this.
    fn wait_quarantine(&self, id: &str, like: &str) -> String {
        self.wait(&format!("{id} to be quarantined for {like}"), |devices| {
            let device = devices.iter().find(|device| device.id.as_str() == id)?;
            match &device.state {
                DeviceState::Quarantined { reason } if reason.contains(like) => Some(reason.clone()),
                _ => None,
            }
        })
    }

    fn wait_outsider(&self, id: &str) -> String {
        self.wait("an outsider", |devices| {
            match &devices.iter().find(|device| device.id.as_str() == id)?.state {
                DeviceState::Outsider { who } => Some(who.clone()),
                _ => None,
            }
        })
    }

    /// An order for a run on these devices.
    pub fn order(&self, name: &str, devices: &[&str], command: &str) -> Order {
        let mut order =
            scene::order(&self.coordinator, self.folder.path(), name, command, &[("train.py", "", false)]);
        order.devices = devices.iter().map(|&id| id.into()).collect();
        order.env.insert("NAME".to_owned(), name.to_owned());
        order
    }

    /// Leases a run on these devices.
    fn lease(&self, name: &str, devices: &[&str], command: &str) -> Order {
        let order = self.order(name, devices, command);
        self.coordinator.want(|state| state.orders.push(order.clone()));
        order
    }

    pub fn pid(&self, name: &str) -> i32 {
        let path = self.folder.path().join(format!("pid-{name}"));
        wait_for("a pid", || std::fs::read_to_string(&path).ok()?.trim().parse().ok())
    }

    pub fn go(&self) {
        std::fs::write(self.folder.path().join("go"), "").expect("a mark");
    }

    pub fn outcome(&self, key: &AttemptKey) -> Outcome {
        wait_for("an outcome", || self.coordinator.outcome(key))
    }

    fn release(&self, device: &str, n: u64) {
        let number = FencingNumber { incarnation: Incarnation(7), n };
        let release = Release { device: device.into(), number };
        self.coordinator.want(|state| state.releases = vec![release]);
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.go();
        self.worker.kill().expect("it is ours");
        self.worker.wait().expect("it is ours");
    }
}

fn spawn(folder: &Path, socket: &Path) -> Child {
    Command::new(std::env::current_exe().expect("our own path"))
        .args([Path::new("worker"), &folder.join("work"), socket])
        .env("WINDLASS_NVML_LIBRARY", library())
        .env("WINDLASS_FAKE_NVML", folder.join("gpus.txt"))
        .env("WINDLASS_TEST_GPUS_ONLY", "1")
        .env("WINDLASS_LOCK_DIR", folder.join("locks"))
        .stdin(Stdio::null())
        .spawn()
        .expect("a worker")
}

/// Cargo builds it beside this binary.
fn library() -> PathBuf {
    let exe = std::env::current_exe().expect("our own path");
    let path = exe.parent().expect("a folder").join("libwindlass_fake_nvml.so");
    assert!(path.exists(), "{} was not built", path.display());
    path
}

fn a_gpu_is_free_only_when_it_is_clean() {
    let machine = Machine::new(CLEAN);
    let devices = machine.wait_free(&["GPU-a", "GPU-b"]);
    assert_eq!((devices[0].id.as_str(), devices[0].kind), ("GPU-a", DeviceKind::Gpu));
    assert_eq!((devices[0].model.as_str(), devices[0].memory_bytes), ("NVIDIA H100", Some(80 << 30)));

    // A process that is not ours: this test.
    machine.change(&format!("{CLEAN}process GPU-a {}\n", std::process::id()));
    let who = machine.wait_outsider("GPU-a");
    assert!(
        who.contains(&format!("pid {}, user ", std::process::id())) && who.contains("processes"),
        "{who}"
    );
    machine.change(CLEAN);
    machine.wait_free(&["GPU-a", "GPU-b"]);

    // A run of another worker holds it, whether or not it is on the GPU yet.
    let lock = std::fs::File::create(machine.folder.path().join("locks/GPU-a")).expect("a lock");
    lock.lock().expect("free");
    let who = machine.wait_outsider("GPU-a");
    assert!(who.contains("another worker"), "{who}");
    drop(lock);
    machine.wait_free(&["GPU-a", "GPU-b"]);

    machine.change(&CLEAN.replace("GPU-a 81920 600", "GPU-a 81920 9000"));
    let reason = machine.wait_quarantine("GPU-a", "9000 MiB");
    assert!(reason.contains("600 MiB"), "{reason}");
    machine.change(CLEAN);
    machine.wait_free(&["GPU-a", "GPU-b"]);
}

fn the_inventory_is_whole() {
    let machine = Machine::new(
        "driver 570.10\ngpu GPU-a 81920 600 NVIDIA H100\npci GPU-a 00000000:FE:1F.7\ncapability GPU-a 9 0\n\
         gpu GPU-m 81920 600 NVIDIA H100\ncapability GPU-m 9 0\n\
         slice GPU-m MIG-1 3 10240 10 NVIDIA H100 MIG 1g.10gb\nslice GPU-m MIG-2 5 20480 10 NVIDIA H100 MIG 2g.20gb\n\
         gpu GPU-e 81920 600 NVIDIA H100\nmig GPU-e\n",
    );
    let devices = machine.wait_free(&["GPU-a", "MIG-1", "MIG-2"]);
    let whole = &devices[0];
    assert_eq!(whole.compute_capability.as_deref(), Some("9.0"));
    assert_eq!((whole.pci.as_deref(), whole.slice_of.as_ref()), (Some("00000000:FE:1F.7"), None));
    let slice = &devices[2];
    assert_eq!((slice.model.as_str(), slice.memory_bytes), ("NVIDIA H100 MIG 2g.20gb", Some(20 << 30)));
    assert_eq!(slice.slice_of.as_ref().map(|id| id.as_str()), Some("GPU-m"));
    assert_eq!((slice.compute_capability.as_deref(), slice.pci.as_deref()), (Some("9.0"), None));
    let info = machine.report().expect("a report").worker;
    assert_eq!(info.driver.as_deref(), Some("570.10"));
    let allowed = rustix::thread::sched_getaffinity(None).expect("a mask").count();
    assert!(info.cpus == allowed && info.memory_bytes.is_some_and(|bytes| bytes > 1 << 28), "{info:?}");

    // A process on one slice leaves the others alone.
    let gpu = "gpu GPU-m 81920 600 NVIDIA H100\n";
    let sliced = format!("{gpu}slice GPU-m MIG-1 3 10240 10 one\nslice GPU-m MIG-2 5 20480 10 two\n");
    machine
        .change(&format!("{sliced}process MIG-2 {}\ngpu GPU-a 81920 600 NVIDIA H100\n", std::process::id()));
    machine.wait_outsider("MIG-2");
    machine.wait_free(&["MIG-1", "GPU-a"]);

    // Nothing can be read but who they are: all of it is absent, and all can be leased.
    let unsupported = ["memory", "name", "processes", "pci", "capability", "minor", "ecc", "events"];
    let unsupported: String = unsupported.iter().map(|word| format!("unsupported {word}\n")).collect();
    machine.change(&format!(
        "gpu GPU-a 81920 600 NVIDIA H100\npci GPU-a 00000000:FE:1F.7\n{sliced}{unsupported}"
    ));
    let blind = machine.wait("the readings to be absent", |devices| {
        let device = devices.iter().find(|device| device.id.as_str() == "GPU-a")?;
        (device.memory_bytes.is_none() && device.state == DeviceState::Free).then(|| device.clone())
    });
    assert_eq!((blind.pci, blind.compute_capability, blind.numa_node), (None, None, None));
    assert_eq!(blind.model, "GPU");
}

fn nvml_comes_and_goes() {
    let machine = Machine::new(&format!("init 9\n{CLEAN}"));
    let slots = machine.wait("CPU slots", |devices| (!devices.is_empty()).then(|| devices.to_vec()));
    assert!(slots.iter().all(|device| device.kind == DeviceKind::Cpu), "{slots:?}");
    assert_eq!(machine.report().expect("a report").worker.driver, None);
    machine.change(CLEAN);
    machine.wait_free(&["GPU-a", "GPU-b"]);
    assert_eq!(machine.report().expect("a report").worker.driver.as_deref(), Some("570.1"));

    // The driver goes while a run is on a GPU: the run goes on, and nothing new is begun.
    let order = machine.lease("driver", &["GPU-a"], UNTIL_TOLD);
    let pid = machine.pid("driver");
    machine.change(&format!("init 9\ncount 9\n{CLEAN}"));
    machine.wait_quarantine("GPU-b", "NVML does not answer");
    assert_eq!(machine.report().expect("a report").worker.driver, None);
    assert!(lives(pid));
    machine.change(CLEAN);
    machine.wait_free(&["GPU-b"]);
    machine.go();
    assert_eq!(machine.outcome(&order.key).ending, Ending::Finished);
    machine.wait_free(&["GPU-a", "GPU-b"]);
}

fn nvml_that_hangs() {
    let machine = Machine::new(CLEAN);
    machine.wait_free(&["GPU-a", "GPU-b"]);
    let order = machine.lease("hangs", &["GPU-a"], UNTIL_TOLD);
    let pid = machine.pid("hangs");
    machine.change(&format!("hang\n{CLEAN}"));
    machine.wait_quarantine("GPU-b", "has not answered");
    assert!(lives(pid));
    machine.go();
    machine.change(CLEAN);
    assert_eq!(machine.outcome(&order.key).ending, Ending::Finished);
    machine.wait_free(&["GPU-a", "GPU-b"]);
}

/// A range list of the kernel's, such as `0-2,7`.
fn cpus(list: &str) -> Vec<u32> {
    let range = |part: &str| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<u32>().expect("a number");
        number(from)..=number(to)
    };
    list.trim().split(',').flat_map(range).collect()
}

fn a_run_sees_what_it_was_leased() {
    let machine = Machine::new(
        "gpu GPU-a 81920 600 NVIDIA H100\ngpu GPU-m 81920 600 NVIDIA H100\nslice GPU-m MIG-1 3 10240 10 a slice\n",
    );
    machine.wait_free(&["GPU-a", "MIG-1"]);
    let command = format!(
        "echo \"[$CUDA_VISIBLE_DEVICES] $CUDA_DEVICE_ORDER\" > $MARKS/sees-$NAME; \
         sh -c 'sed -n s/Cpus_allowed_list://p /proc/self/status' > $MARKS/cpus-$NAME; {UNTIL_TOLD}"
    );
    let one = machine.lease("slice", &["MIG-1"], &command);
    let two = machine.lease("whole", &["GPU-a"], &command);
    machine.pid("slice");
    machine.pid("whole");
    let read = |name: &str| std::fs::read_to_string(machine.folder.path().join(name)).expect("a mark");
    assert_eq!(read("sees-slice"), "[MIG-1] PCI_BUS_ID\n");
    assert_eq!(read("sees-whole"), "[GPU-a] PCI_BUS_ID\n");
    let (first, second) = (cpus(&read("cpus-slice")), cpus(&read("cpus-whole")));
    let all = rustix::thread::sched_getaffinity(None).expect("a mask").count() as usize;
    let share = (all / 2).max(1);
    assert_eq!((first.len(), second.len()), (share, share), "{first:?} {second:?} of {all}");
    if all > 1 {
        assert!(first.iter().all(|cpu| !second.contains(cpu)), "{first:?} {second:?}");
    }
    machine.go();
    for key in [&one.key, &two.key] {
        let outcome = machine.outcome(key);
        assert_eq!(outcome.ending, Ending::Finished);
    }
    assert_eq!(machine.outcome(&one.key).device_model, "a slice");
    // An analysis without devices is not bound.
    let unbound = machine.lease("unbound", &[], &command);
    machine.pid("unbound");
    assert_eq!(cpus(&read("cpus-unbound")).len(), all);
    assert_eq!(read("sees-unbound"), "[] PCI_BUS_ID\n");
    machine.outcome(&unbound.key);
}

fn a_lost_gpu() {
    let machine = Machine::new(CLEAN);
    machine.wait_free(&["GPU-a", "GPU-b"]);
    let other = machine.lease("stays", &["GPU-b"], UNTIL_TOLD);
    let other_pid = machine.pid("stays");
    let without = CLEAN.replace("gpu GPU-a 81920 600 NVIDIA H100\n", "");
    for (name, text, like) in
        [("lost", format!("{CLEAN}lost GPU-a\n"), "lost"), ("vanished", without, "vanished")]
    {
        let order = machine.lease(name, &["GPU-a"], UNTIL_TOLD);
        let pid = machine.pid(name);
        machine.change(&text);
        let outcome = machine.outcome(&order.key);
        let Ending::GpuFault { detail } = &outcome.ending else { panic!("{name}: {outcome:?}") };
        assert!(detail.contains("GPU-a") && detail.contains("the GPU"), "{detail}");
        assert!(outcome.ending.is_infrastructure() && !lives(pid));
        machine.wait_quarantine("GPU-a", if name == "lost" { "GPU" } else { like });
        // It comes back: it has been reset.
        machine.change(CLEAN);
        machine.wait_free(&["GPU-a"]);
    }
    assert!(lives(other_pid), "the neighbour's run goes on");
    machine.go();
    assert_eq!(machine.outcome(&other.key).ending, Ending::Finished);
}

fn xids_and_ecc_errors() {
    let mut machine = Machine::new(CLEAN);
    machine.wait_free(&["GPU-a", "GPU-b"]);
    let own = machine.lease("own-fault", &["GPU-b"], UNTIL_TOLD);
    let own_pid = machine.pid("own-fault");
    let victim = machine.lease("victim", &["GPU-a"], UNTIL_TOLD);
    machine.pid("victim");
    // The program's own first: when the other has been taken, so was it.
    let mut events = "xid GPU-b 31\nxid GPU-b 13\nxid GPU-a 79\n".to_owned();
    machine.change(&format!("{CLEAN}{events}"));
    let outcome = machine.outcome(&victim.key);
    assert!(
        matches!(&outcome.ending, Ending::GpuFault { detail } if detail.contains("XID 79")),
        "{outcome:?}"
    );
    let reason = machine.wait_quarantine("GPU-a", "XID 79");
    assert!(reason.contains("device release"), "{reason}");
    assert!(lives(own_pid));
    machine.go();
    assert_eq!(machine.outcome(&own.key).ending, Ending::Finished);
    machine.wait_free(&["GPU-b"]);

    // It reads clean now, and stays in quarantine, over a start of the daemon too.
    machine.restart();
    machine.wait_quarantine("GPU-a", "XID 79");
    machine.wait_free(&["GPU-b"]);
    machine.release("GPU-a", 1);
    machine.wait_free(&["GPU-a", "GPU-b"]);
    // Anew: the release that was carried out does not lift it, another does.
    events.push_str("doublebit GPU-a\n");
    machine.change(&format!("{CLEAN}{events}"));
    machine.wait_quarantine("GPU-a", "double-bit");
    machine.release("GPU-a", 1);
    machine.change(&format!("{CLEAN}{events}process GPU-b {}\n", std::process::id()));
    machine.wait_outsider("GPU-b");
    machine.wait_quarantine("GPU-a", "double-bit");
    machine.change(&format!("{CLEAN}{events}"));
    machine.release("GPU-a", 2);
    machine.wait_free(&["GPU-a", "GPU-b"]);

    // Where no event tells of them, the count does.
    machine.change(&format!("{CLEAN}{events}ecc GPU-b 0\n"));
    machine.wait_free(&["GPU-a", "GPU-b"]);
    wait_for("the count to be read", || {
        let text = std::fs::read_to_string(machine.folder.path().join("work/gpus.json")).ok()?;
        text.contains(r#""ecc":{"GPU-b":0}"#).then_some(())
    });
    machine.change(&format!("{CLEAN}{events}ecc GPU-b 2\n"));
    machine.wait_quarantine("GPU-b", "2 double-bit ECC errors");
    machine.wait_free(&["GPU-a"]);
}

fn memory_that_stays() {
    let machine = Machine::new(CLEAN);
    machine.wait_free(&["GPU-a", "GPU-b"]);
    let order = machine.lease("leaks", &["GPU-a"], UNTIL_TOLD);
    machine.pid("leaks");
    let held = CLEAN.replace("GPU-a 81920 600", "GPU-a 81920 9000");
    machine.change(&held);
    machine.go();
    // The run itself is as good as any; its GPU is not leased again.
    let outcome = machine.outcome(&order.key);
    assert_eq!(outcome.ending, Ending::Finished, "{outcome:?}");
    let devices = machine.report().expect("a report").devices;
    let state = |id: &str| devices.iter().find(|device| device.id.as_str() == id).map(|it| it.state.clone());
    assert!(
        matches!(state("GPU-a"), Some(DeviceState::Quarantined { reason }) if reason.contains("9000 MiB")),
        "in the very report that says it is over: {devices:?}"
    );
    assert_eq!(state("GPU-b"), Some(DeviceState::Free));
    // Clean again by itself, or because its owner says that this is what it uses.
    machine.release("GPU-a", 1);
    machine.wait_free(&["GPU-a", "GPU-b"]);
    machine.change(&CLEAN.replace("GPU-a 81920 600", "GPU-a 81920 12000"));
    machine.wait_quarantine("GPU-a", "12000 MiB");
    machine.change(CLEAN);
    machine.wait_free(&["GPU-a", "GPU-b"]);
}
