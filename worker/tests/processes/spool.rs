//! The spool under damage: every document of an attempt cut short and flipped, records that were forged,
//! folders of older and of newer versions. Whatever is wrong is named; nothing is ever read as another
//! result, and no stranger's process is touched.

use crate::Test;
use crate::scene::Scene;
use crate::support::{lives, wait_for};
use rustix::process::Signal;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use windlass_shared::attempt::{Ending, Order, Outcome};
use windlass_worker::shim::{Exit, Identity, Spec};
use windlass_worker::spool::{State, WorkDir, decode, encode, recover};

pub const TESTS: &[Test] = &[
    ("a_damaged_document_is_never_read_as_another_result", damaged_documents),
    ("i16_a_log_that_is_damaged_on_the_disk_is_not_scored", a_damaged_log_is_not_scored),
    ("a_forged_record_that_points_at_a_stranger_touches_nobody", a_stranger_is_not_touched),
    ("a_spool_of_an_older_version_is_understood", an_older_spool_is_understood),
    ("what_a_start_finds_unstarted_gets_cpus_that_nobody_has", found_orders_share_the_cpus),
    ("a_spool_of_a_newer_version_stops_the_start_and_is_kept", a_newer_spool_is_kept),
];

const DOCUMENTS: [&str; 4] = ["order.json", Identity::FILE, Exit::FILE, "outcome.json"];

/// A worker that has ended, and in its spool an attempt that has too, with the outcome that it reported.
struct Ended {
    scene: Scene,
    order: Order,
    outcome: Outcome,
    folder: PathBuf,
}

impl Ended {
    fn new(name: &str) -> Self {
        let mut scene = Scene::new();
        let order =
            scene.order(name, "echo one; echo val_acc: 0.875; exit 3", &[("train.py", "train\n", false)]);
        scene.lease(&order);
        let outcome = scene.outcome(&order.key);
        scene.end(Signal::KILL);
        let folder = scene.work().join("attempts").join(scene.spool("attempts").pop().expect("a spool"));
        Self { scene, order, outcome, folder }
    }

    /// What a start finds, each time in a copy of the work folder.
    fn recovered(&self, damage: impl Fn(&Path)) -> Result<Vec<windlass_worker::spool::Found>, String> {
        let copy = tempfile::tempdir().expect("a folder");
        let attempts = copy.path().join("attempts");
        fs::create_dir(&attempts).expect("a folder");
        let folder = attempts.join(self.folder.file_name().expect("a name"));
        fs::create_dir(&folder).expect("a folder");
        for name in DOCUMENTS {
            fs::copy(self.folder.join(name), folder.join(name)).expect("a document");
        }
        damage(&folder);
        let work = WorkDir::open(copy.path()).expect("it is ours");
        recover(&work).map_err(|error| error.chain())
    }
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    decode(path, &fs::read(path).expect("a document")).expect("whole")
}

fn damaged_documents() {
    let ended = Ended::new("damaged");
    let exit: Exit = read(&ended.folder.join(Exit::FILE));
    let found = ended.recovered(|_| {}).expect("nothing is wrong");
    assert!(
        matches!(&found[..], [one] if matches!(&one.state, State::Ended(it) if it.outcome == ended.outcome))
    );
    for name in DOCUMENTS {
        let whole = fs::read(ended.folder.join(name)).expect("a document");
        let cuts = (0..whole.len()).step_by(whole.len() / 23 + 1).map(|at| whole[..at].to_vec());
        let flips = (0..whole.len()).step_by(whole.len() / 41 + 1).map(|at| {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            bytes
        });
        for bytes in cuts.chain(flips) {
            let found = ended.recovered(|folder| fs::write(folder.join(name), &bytes).expect("a file"));
            let found = found.unwrap_or_else(|problem| panic!("{name}: a start goes on: {problem}"));
            if name == "order.json" {
                assert!(found.is_empty(), "an order that nobody can read is set aside");
                continue;
            }
            let [one] = &found[..] else { panic!("{name}: {found:?}") };
            assert_eq!(one.order, ended.order);
            match &one.state {
                State::Ended(found) => assert_eq!(found.outcome, ended.outcome, "{name}"),
                State::Exited(found) => assert_eq!((name, &**found), ("outcome.json", &exit)),
                state => panic!("{name}: {state:?}"),
            }
        }
    }
    // Without outcome and record, a damaged identity is a shim that is gone, never one that is not begun.
    for bytes in [&b""[..], b"{", b"windlass-spool 1 0000\n{}"] {
        let found = ended.recovered(|folder| {
            drop((fs::remove_file(folder.join("outcome.json")), fs::remove_file(folder.join(Exit::FILE))));
            fs::write(folder.join(Identity::FILE), bytes).expect("a file");
        });
        let found = found.expect("a start goes on");
        assert!(
            !matches!(found[0].state, State::Ended(_) | State::Exited(_) | State::Running(..)),
            "{found:?}"
        );
    }
}

fn a_damaged_log_is_not_scored() {
    for (index, damage) in [0, 1].into_iter().enumerate() {
        let mut ended = Ended::new(&format!("damaged-log-{index}"));
        let log = ended.folder.join("run.log");
        let mut bytes = fs::read(&log).expect("a log");
        assert_eq!(bytes, b"one\nval_acc: 0.875\n");
        match damage {
            0 => bytes.truncate(17),
            _ => bytes[14] ^= 1,
        }
        fs::write(&log, bytes).expect("a log");
        fs::remove_file(ended.folder.join("outcome.json")).expect("it was there");
        ended.scene.coordinator.state().report = None;
        ended.scene.start();
        let outcome = ended.scene.outcome(&ended.order.key);
        let Ending::Infra { detail } = &outcome.ending else { panic!("{outcome:?}") };
        assert!(detail.contains("run.log is damaged"), "{detail}");
        assert_eq!(outcome.reading, None);
    }
    // The positive control: an undamaged one is read again as it was.
    let mut ended = Ended::new("whole-log");
    fs::remove_file(ended.folder.join("outcome.json")).expect("it was there");
    ended.scene.coordinator.state().report = None;
    ended.scene.start();
    // But its log now goes by itself: some of it may be there from before.
    let again = ended.scene.outcome(&ended.order.key);
    assert_eq!(again, Outcome { log: None, ..ended.outcome.clone() });
    assert_eq!(ended.scene.coordinator.log(&ended.order.key), "one\nval_acc: 0.875\n");
}

/// The CPUs that an attempt's shim was told.
fn cpus(scene: &Scene, order: &Order) -> Option<Vec<u32>> {
    let work = scene.work().join("attempts");
    let name = scene.spool("attempts").into_iter().find(|name| name.starts_with(&order.key.id.campaign.0))?;
    let path = work.join(name).join(Spec::FILE);
    Some(decode::<Spec>(&path, &fs::read(&path).ok()?).expect("whole").cpus)
}

fn found_orders_share_the_cpus() {
    let mut scene = Scene::new();
    let begun = |name: &str| format!("touch $MARKS/{name}; while ! [ -e $MARKS/go ]; do sleep 0.02; done");
    let files = &[("train.py", "train\n", false)];
    let first = scene.order("first", &begun("first"), files);
    let second = Order { devices: vec!["cpu-1".into()], ..scene.order("second", &begun("second"), files) };
    scene.lease(&first);
    wait_for("the first", || scene.mark("first").exists().then_some(()));
    scene.end(Signal::KILL);
    // Leased and kept, but killed before its shim was started.
    let work = WorkDir::open(&scene.work()).expect("nobody has it");
    work.attempt(&second.key).expect("a name").begin(&second).expect("an order");
    drop(work);
    scene.coordinator.want(|state| (state.report, _) = (None, state.orders.push(second.clone())));
    scene.start();
    wait_for("the second", || scene.mark("second").exists().then_some(()));
    let (of_first, of_second) = (cpus(&scene, &first).expect("told"), cpus(&scene, &second).expect("told"));
    let all = std::thread::available_parallelism().expect("a number").get();
    assert_eq!(of_second.len(), (all / 2).max(1), "its part of the machine and not all of it");
    assert!(all < 2 || of_first.iter().all(|cpu| !of_second.contains(cpu)), "{of_first:?} {of_second:?}");
    fs::write(scene.mark("go"), "").expect("a mark");
    for order in [&first, &second] {
        assert_eq!(scene.outcome(&order.key).ending, Ending::Finished);
    }
}

fn stranger(nonce: &str) -> Child {
    let mut sleep = Command::new("sleep");
    sleep.arg("600").env(Identity::VARIABLE, nonce).stdin(Stdio::null()).spawn().expect("a process")
}

fn a_stranger_is_not_touched() {
    let mut ended = Ended::new("forged");
    let mut stranger = stranger("the nonce of somebody else");
    let pid = i32::try_from(stranger.id()).expect("a pid");
    // All of it is true but the nonce: as if the pid had been given to a stranger in the very same tick.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    let start = stat.rsplit(')').next().expect("a name").split_ascii_whitespace().nth(19).expect("a field");
    let path = ended.folder.join(Identity::FILE);
    let identity: Identity = read(&path);
    let forged = Identity { pid, start_ticks: start.parse().expect("ticks"), cgroup: None, ..identity };
    // The positive control: with its nonce it would be taken for the shim.
    let told = Identity { nonce: "the nonce of somebody else".to_owned(), ..forged.clone() };
    // A process that has just been started shows its environment a moment later.
    wait_for("it to be taken", || windlass_worker::shim::identify(&ended.folder, &told));
    assert!(windlass_worker::shim::identify(&ended.folder, &forged).is_none());
    fs::write(&path, encode(&forged)).expect("a document");
    for name in ["outcome.json", Exit::FILE] {
        fs::remove_file(ended.folder.join(name)).expect("it was there");
    }
    ended.scene.coordinator.state().report = None;
    ended.scene.start();
    assert_eq!(ended.scene.outcome(&ended.order.key).ending, Ending::Lost);
    ended.scene.acknowledge(&ended.order.key);
    ended.scene.end(Signal::TERM);
    windlass_worker::driver::end_runs(&ended.scene.work()).expect("nothing is left to end");
    assert!(lives(pid), "a stranger is nobody's run");
    stranger.kill().expect("ours");
    stranger.wait().expect("ours");
}

/// A document as version 0 wrote it: without its first line.
fn without_head(path: &Path) {
    let bytes = fs::read(path).expect("a document");
    let end = bytes.iter().position(|&byte| byte == b'\n').expect("a first line");
    fs::write(path, &bytes[end + 1..]).expect("a document");
}

fn an_older_spool_is_understood() {
    let ended = Ended::new("older");
    let older = |folder: &Path| DOCUMENTS.iter().for_each(|name| without_head(&folder.join(name)));
    let found = ended.recovered(older).expect("it is understood");
    assert!(
        matches!(&found[..], [one] if matches!(&one.state, State::Ended(it) if it.outcome == ended.outcome))
    );
    // A shim of the older version that runs under a daemon of this one is found again.
    let mut scene = Scene::new();
    let command = "while ! [ -e $MARKS/go ]; do sleep 0.01; done; echo val_acc: 0.5; exit 4";
    let order = scene.order("older-shim", command, &[("train.py", "train\n", false)]);
    scene.lease(&order);
    scene.wait_until_running(&order.key);
    scene.end(Signal::KILL);
    let folder = scene.work().join("attempts").join(scene.spool("attempts").pop().expect("a spool"));
    for name in ["order.json", Identity::FILE] {
        without_head(&folder.join(name));
    }
    scene.coordinator.state().report = None;
    scene.start();
    scene.wait_until_running(&order.key);
    fs::write(scene.mark("go"), "").expect("a mark");
    assert_eq!(scene.outcome(&order.key).ending, Ending::Crashed { code: Some(4), signal: None });
}

fn a_newer_spool_is_kept() {
    for name in DOCUMENTS {
        let mut ended = Ended::new("newer");
        let path = ended.folder.join(name);
        // A whole document of version 2, as the checksum's rule makes it.
        let body = b"what version 2 says";
        let mut hasher = blake3::Hasher::new();
        let hash = hasher.update(&2_u32.to_le_bytes()).update(body).finalize();
        let newer = [format!("windlass-spool 2 {hash}\n").as_bytes(), body].concat();
        fs::write(&path, &newer).expect("a document");
        ended.scene.coordinator.state().report = None;
        ended.scene.start();
        let mut worker = ended.scene.worker.take().expect("it was started");
        assert!(!worker.wait().expect("ours").success(), "{name}: the start is refused");
        assert_eq!(fs::read(&path).expect("it is kept"), newer, "{name}");
        let work = WorkDir::open(&ended.scene.work()).expect("nobody holds it");
        let problem = recover(&work).expect_err("refused").chain();
        assert!(problem.contains(name) && problem.contains("newer windlass"), "{problem}");
        assert!(ended.scene.spool("aside").is_empty() && ended.scene.coordinator.state().report.is_none());
        drop(work);
        // The positive control: with the old document back, it starts.
        if name == "outcome.json" {
            fs::write(&path, encode(&ended.outcome)).expect("a document");
            ended.scene.start();
            wait_for("a report", || ended.scene.coordinator.outcome(&ended.order.key));
        }
    }
}
