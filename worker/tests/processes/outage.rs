//! The coordinator is gone for a while, and the daemon dies meanwhile: runs end as they would have, gates hold,
//! and what waits in the spool is told once. Also on a disk that they have filled.

use crate::Test;
use crate::scene::{FILES, Scene, command};
use crate::support::wait_for;
use rustix::process::Signal;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;
use windlass_shared::attempt::{Ending, Order};
use windlass_shared::digest::Hash;
use windlass_shared::machine::Flag;

pub const TESTS: &[Test] = &[
    ("p20_what_is_staged_in_an_outage_waits_for_its_end", staging_waits_for_the_end_of_an_outage),
    ("what_ends_in_an_outage_waits_in_the_spool_and_is_told_once", an_outage),
    ("i17_a_disk_filled_in_an_outage_is_told_after_it_and_the_worker_works_on", a_full_disk_in_an_outage),
];

const SLOTS: usize = 5;

/// A worker with a slot for each run, in place of the scene's own.
fn with_slots(mut scene: Scene) -> Scene {
    scene.end(Signal::KILL);
    start(&mut scene);
    scene
}

fn start(scene: &mut Scene) {
    let mut worker = command(&scene.work(), &scene.coordinator.socket);
    worker.env("WINDLASS_TEST_CPU_SLOTS", SLOTS.to_string());
    scene.worker = Some(worker.spawn().expect("a worker"));
}

/// The folder of an attempt in the spool.
fn folder(scene: &Scene, order: &Order) -> Option<PathBuf> {
    let name = scene.spool("attempts").into_iter().find(|name| name.starts_with(&order.key.id.campaign.0))?;
    Some(scene.work().join("attempts").join(name))
}

/// A worker that gives a coordinator that answers four seconds for its downloads.
fn with_little_patience(mut scene: Scene) -> Scene {
    scene.end(Signal::KILL);
    let mut worker = command(&scene.work(), &scene.coordinator.socket);
    worker.env("WINDLASS_TEST_DOWNLOAD_PATIENCE_MS", "4000");
    scene.worker = Some(worker.spawn().expect("a worker"));
    scene
}

fn staging_waits_for_the_end_of_an_outage() {
    let scene = with_little_patience(Scene::new());
    // The positive control: of a coordinator that is there a minute of failures is enough (here four seconds).
    scene.coordinator.state().refuses_reads = true;
    let order = scene.order("refused", "cat train.py; echo val_acc: 1", FILES);
    let outcome = scene.carry_out(&order);
    assert!(
        matches!(&outcome.ending, Ending::Infra { detail } if detail.contains("ArtifactService.Read")),
        "{outcome:?}"
    );
    // One that goes away while an order is staged is waited for, several times as long.
    let order = scene.order("staged", "cat train.py; echo val_acc: 0.5", FILES);
    scene.coordinator.state().reads.clear();
    scene.lease(&order);
    wait_for("a download to be tried", || (!scene.coordinator.state().reads.is_empty()).then_some(()));
    scene.coordinator.go_away();
    // Only how long it is away: nothing is measured by it.
    std::thread::sleep(Duration::from_secs(12));
    scene.coordinator.state().refuses_reads = false;
    scene.coordinator.come_back();
    let outcome = scene.outcome(&order.key);
    assert_eq!(outcome.ending, Ending::Finished, "{outcome:?}");
    assert_eq!(scene.coordinator.log(&order.key), "train\nval_acc: 0.5\n");
}

fn an_outage() {
    let mut scene = with_slots(Scene::new());
    let begin = "echo begun >> $MARKS/begun-$NAME; while ! [ -e $MARKS/go ]; do sleep 0.02; done";
    let count = "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo line $i; done";
    let lines: String = (1..=2000).map(|i| format!("line {i}\n")).collect();
    let flood = "yes an ordinary line of output | head -n 200000";
    // Three that end by themselves, one that only its gate ends, one that outlasts the outage.
    let runs = [
        ("ends", format!("{begin}; {count}; echo curve > $WINDLASS_RESULTS/loss.tsv; echo val_acc: 0.5")),
        ("fails", format!("{begin}; echo boom; exit 3")),
        ("floods", format!("{begin}; {flood}; echo val_acc: 0.25")),
        ("gated", "trap '' TERM; echo begun >> $MARKS/begun-$NAME; while :; do sleep 1; done".to_owned()),
        ("lasts", format!("{begin}; while ! [ -e $MARKS/back ]; do sleep 0.02; done; echo val_acc: 0.75")),
    ];
    let orders: Vec<Order> = (0..)
        .zip(&runs)
        .map(|(index, (name, script))| {
            let mut order = scene.order(name, script, FILES);
            order.devices = vec![format!("cpu-{index}").as_str().into()];
            order.env.insert("NAME".to_owned(), (*name).to_owned());
            match *name {
                "gated" => (order.soft_limit_ms, order.hard_limit_ms) = (6_000, 12_000),
                "floods" => order.limits.log_bytes = Some(100_000),
                _ => {}
            }
            order
        })
        .collect();
    let [ends, fails, floods, gated, lasts] = &orders[..] else { panic!("five") };
    for order in &orders {
        scene.lease(order);
    }
    for (name, _) in &runs {
        let mark = scene.mark(&format!("begun-{name}"));
        wait_for("each to begin", || mark.exists().then_some(()));
    }
    scene.coordinator.go_away();
    fs::write(scene.mark("go"), "").expect("a mark");
    for order in [ends, fails, floods, gated] {
        let record = folder(&scene, order).expect("its spool").join("exit.json");
        wait_for("its exit record", || record.exists().then_some(()));
    }
    // What waits is what they left, the flood cut to its limit.
    let flood =
        fs::metadata(folder(&scene, floods).expect("its spool").join("run.log")).expect("a log").len();
    assert!(flood < 101_000, "{flood} bytes wait");
    assert!(folder(&scene, lasts).is_some_and(|folder| !folder.join("exit.json").exists()), "it goes on");
    // A daemon that begins in the outage takes all of it up, and has nobody to tell either.
    for _ in 0..2 {
        scene.end(Signal::KILL);
        start(&mut scene);
    }
    scene.coordinator.come_back();
    wait_for("the one that goes on to be told of", || scene.coordinator.phase(&lasts.key));
    fs::write(scene.mark("back"), "").expect("a mark");
    let outcomes: Vec<_> = orders.iter().map(|order| scene.outcome(&order.key)).collect();
    let endings: Vec<&Ending> = outcomes.iter().map(|outcome| &outcome.ending).collect();
    let crashed = Ending::Crashed { code: Some(3), signal: None };
    let finished = &Ending::Finished;
    assert_eq!(endings, [finished, &crashed, finished, &Ending::HardTimeout, finished]);
    let whole = format!("{lines}val_acc: 0.5\n");
    assert_eq!(scene.coordinator.log(&ends.key), whole, "I10");
    assert_eq!(outcomes[0].log_hash, Some(Hash::of(whole.as_bytes())));
    let loss = scene.coordinator.file(outcomes[0].results.expect("results"), "loss.tsv");
    assert_eq!(loss.as_deref(), Some("curve\n"));
    assert_eq!(scene.coordinator.log(&fails.key), "boom\n");
    assert!(outcomes[2].flags.contains(&Flag::LogCut) && outcomes[2].log_cut_bytes > 0);
    assert_eq!(scene.coordinator.log(&floods.key).len() as u64, flood);
    assert!(outcomes[3].duration_ms >= 12_000, "{:?}", outcomes[3]);
    for (order, (name, _)) in orders.iter().zip(&runs) {
        let begun = fs::read_to_string(scene.mark(&format!("begun-{name}"))).expect("a mark");
        assert_eq!(begun, "begun\n", "{name} was started once");
        scene.acknowledge(&order.key);
        assert_eq!(scene.coordinator.state().told[&order.key].len(), 1, "{name} was told in one way");
    }
    wait_for("the spool to be empty", || scene.spool("attempts").is_empty().then_some(()));
    assert!(scene.spool("aside").is_empty());
}

/// A worker whose work folder is a small disk of its own.
fn on_a_small_disk(scene: &Scene) -> Child {
    let inner = command(&scene.work(), &scene.coordinator.socket);
    let mut outer = Command::new("unshare");
    // A user namespace where we are nobody special; as root none is needed, and some machines allow none.
    outer.arg(if rustix::process::getuid().is_root() { "-m" } else { "-Urm" });
    outer.args(["sh", "-c", "mount -t tmpfs -o size=24m none \"$0\" && exec \"$@\""]);
    outer.arg(scene.work()).arg(inner.get_program()).args(inner.get_args());
    outer.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    outer.spawn().expect("the small disk is mounted")
}

fn a_full_disk_in_an_outage() {
    let mut scene = Scene::new();
    wait_for("its work folder", || scene.work().exists().then_some(()));
    scene.end(Signal::KILL);
    scene.worker = Some(on_a_small_disk(&scene));
    // To the last byte by its log, then by a file; it says all the same what it found.
    let script = "touch $MARKS/begun; while ! [ -e $MARKS/go ]; do sleep 0.02; done; head -c 30000000 /dev/zero \
                  | tr '\\0' x; head -c 30000000 /dev/zero > $WINDLASS_RESULTS/large; echo; echo val_acc: 0.5; \
                  touch $MARKS/done";
    let mut order = scene.order("fills", script, FILES);
    order.limits.log_bytes = Some(100_000_000);
    scene.lease(&order);
    wait_for("it to begin", || scene.mark("begun").exists().then_some(()));
    scene.coordinator.go_away();
    fs::write(scene.mark("go"), "").expect("a mark");
    wait_for("it to be through", || scene.mark("done").exists().then_some(()));
    scene.coordinator.come_back();
    let outcome = scene.outcome(&order.key);
    assert_eq!(outcome.ending, Ending::DiskFull { over: None });
    let log = scene.coordinator.log(&order.key);
    assert!(log.len() > 10_000_000 && log.bytes().all(|byte| byte == b'x'), "{} bytes", log.len());
    scene.coordinator.want(|state| state.orders.clear());
    scene.acknowledge(&order.key);
    // Its folder is gone, and with it what filled the disk.
    let worker = scene.worker.as_ref().expect("it runs").id();
    // As the worker sees it, in its own mount namespace.
    let disk = PathBuf::from(format!("/proc/{worker}/root{}", scene.work().display()));
    let free_bytes = || rustix::fs::statvfs(&disk).map_or(0, |stat| stat.f_bavail * stat.f_frsize);
    wait_for("room again", || (free_bytes() > 16 << 20).then_some(()));
    let unwilling = || scene.coordinator.state().report.as_ref().and_then(|it| it.worker.unwilling.clone());
    wait_for("it to be willing again", || unwilling().is_none().then_some(()));
    let outcome = scene.carry_out(&scene.order("next", "echo val_acc: 0.5", FILES));
    assert_eq!(outcome.ending, Ending::Finished);
}
