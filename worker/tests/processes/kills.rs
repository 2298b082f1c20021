//! Kill -9 of the daemon, a hundred times at random instants, while eight runs are under way.

use crate::Test;
use crate::scene::{Scene, command};
use crate::support::{key, wait_for};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use windlass_shared::attempt::{AttemptKey, Ending, Outcome, Phase};
use windlass_shared::digest::Hash;
use windlass_shared::id::DeviceId;

pub const TESTS: &[Test] =
    &[("i10_100_kills_of_the_daemon_lose_no_run_double_none_and_leave_every_log_whole", a_hundred_kills)];

const RUNS: usize = 8;
const KILLS: usize = 100;
/// Replays a failure's instants.
const SEED: &str = "WINDLASS_KILL_SEED";
/// The longest wait before a kill: a start takes about half of it, so that some are killed while they start.
const PAUSE_MAX_MS: u64 = 120;

/// Numbers of splitmix64: enough for instants, and the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % most
    }
}

/// Run `n` ends when `$MARKS/go-n` is there, by itself: some end while no daemon lives.
fn script(n: usize) -> String {
    format!(
        "echo begun >> $MARKS/begun-{n}; i=0; while ! [ -e $MARKS/go-{n} ]; do i=$((i+1)); echo line $i; \
         sleep 0.02; done; echo $i > $MARKS/lines-{n}; echo val_acc: 0.{n}5; exit {n}"
    )
}

fn a_hundred_kills() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
    let seed = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok()).unwrap_or(now);
    crate::say(&format!("{SEED}={seed} replays the instants of this test"));
    let mut random = Random(seed);
    let mut scene = Scene::new();
    let start = |scene: &mut Scene| {
        let mut worker = command(&scene.work(), &scene.coordinator.socket);
        worker.env("WINDLASS_TEST_CPU_SLOTS", RUNS.to_string());
        scene.worker = Some(worker.spawn().expect("a worker"));
    };
    scene.end(Signal::KILL);
    start(&mut scene);
    let keys: Vec<AttemptKey> = (0..RUNS).map(|n| key(&format!("killed-{n}"))).collect();
    for n in 0..RUNS {
        let mut order = scene.order(&format!("killed-{n}"), &script(n), &[("train.py", "train\n", false)]);
        order.devices = vec![DeviceId(format!("cpu-{n}"))];
        // Its gate is no part of this: on a busy machine a hundred starts take longer than an ordinary one.
        (order.soft_limit_ms, order.hard_limit_ms) = (3_600_000, 7_200_000);
        scene.lease(&order);
    }
    let mut outcomes: BTreeMap<AttemptKey, Outcome> = BTreeMap::new();
    let look = |scene: &Scene, outcomes: &mut BTreeMap<AttemptKey, Outcome>| {
        for key in &keys {
            if let Some(outcome) = scene.coordinator.outcome(key) {
                let first = outcomes.entry(key.clone()).or_insert_with(|| outcome.clone());
                assert_eq!(*first, outcome, "what is said once of {key} is never said otherwise");
            }
        }
    };
    for kill in 0..KILLS {
        // Half of the runs end along the way, at instants of their own, the others after the last kill.
        if kill % 20 == 19 {
            fs::write(scene.mark(&format!("go-{}", kill / 20)), "").expect("a mark");
        }
        std::thread::sleep(Duration::from_millis(random.below(PAUSE_MAX_MS)));
        look(&scene, &mut outcomes);
        let status = scene.end(Signal::KILL);
        assert_eq!(status.signal(), Some(9), "daemon {kill} lives until it is killed");
        std::thread::sleep(Duration::from_millis(random.below(PAUSE_MAX_MS / 8)));
        start(&mut scene);
    }
    for n in 0..RUNS {
        wait_for("each run has begun", || scene.mark(&format!("begun-{n}")).exists().then_some(()));
        fs::write(scene.mark(&format!("go-{n}")), "").expect("a mark");
    }
    for (n, key) in keys.iter().enumerate() {
        let outcome = scene.outcome(key);
        look(&scene, &mut outcomes);
        let want = match n {
            0 => Ending::Finished,
            n => Ending::Crashed { code: Some(i32::try_from(n).expect("small")), signal: None },
        };
        assert_eq!(outcome.ending, want, "run {n}");
        let begun = fs::read_to_string(scene.mark(&format!("begun-{n}"))).expect("a mark");
        assert_eq!(begun, "begun\n", "run {n} was started once");
        let lines = fs::read_to_string(scene.mark(&format!("lines-{n}"))).expect("a mark");
        let lines: usize = lines.trim().parse().expect("a number");
        let whole: String = (1..=lines).map(|i| format!("line {i}\n")).collect();
        let whole = format!("{whole}val_acc: 0.{n}5\n");
        assert_eq!(scene.coordinator.log(key), whole, "the log of run {n} is whole");
        assert_eq!(outcome.log_hash, Some(Hash::of(whole.as_bytes())), "run {n}");
        assert!(matches!(scene.coordinator.phase(key), Some(Phase::Ended(_))));
        scene.acknowledge(key);
    }
    wait_for("the spool to be empty", || scene.spool("attempts").is_empty().then_some(()));
    // A kill between a folder's making and its order leaves a folder in which nothing ever ran.
    for name in scene.spool("aside") {
        let mut left = fs::read_dir(scene.work().join("aside").join(&name)).expect("a folder").flatten();
        assert!(left.all(|entry| entry.file_name() == "order.new"), "{name}");
    }
}
