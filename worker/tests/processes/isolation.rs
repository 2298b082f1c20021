//! What a run can reach at each level, on a whole worker: each denial beside the level at which the same
//! thing works, so that it is denied for the right reason.

use crate::Test;
use crate::scene::{Scene, command};
use crate::support::{Attempt, has, machine, wait_for};
use std::fmt::Write as _;
use std::process::{Child, Command, Stdio};
use windlass_shared::attempt::{Ending, Outcome};
use windlass_shared::machine::Isolation;
use windlass_shared::path::TreePath;

pub const TESTS: &[Test] = &[
    ("each_level_denies_what_it_says_and_nothing_else", each_level_denies_what_it_says),
    ("i11_frozen_files_stand_or_their_change_is_named", frozen_files_stand),
    ("i11_a_sealed_run_cannot_edit_and_revert", a_sealed_run_cannot_edit_and_revert),
    ("the_strongest_of_none_and_guarded_is_the_default_and_is_recorded", the_default_is_recorded),
    ("what_is_asked_for_and_not_there_is_refused_with_its_remedy", what_is_lacking_is_refused),
    ("a_data_folder_in_a_home_is_hidden_and_the_home_is_not", a_home_stays_readable),
    ("an_analysis_runs_at_every_level", an_analysis_runs_at_every_level),
    ("a_sealed_run_sees_the_nodes_of_its_own_gpu_and_no_others", a_sealed_run_sees_its_own_nodes),
];

const LEVELS: [Isolation; 3] = [Isolation::None, Isolation::Guarded, Isolation::Sealed];
const FILES: &[(&str, &str, bool)] =
    &[("lib/data.txt", "data\n", false), ("train.py", "train\n", false), ("src/model.py", "model\n", false)];

/// A thing to try, in shell, and the levels at which it works.
type Trial = (&'static str, &'static str, &'static [Isolation]);

const EVERYWHERE: &[Isolation] = &LEVELS;
const NOT_SEALED: &[Isolation] = &[Isolation::None, Isolation::Guarded];
const NONE_ONLY: &[Isolation] = &[Isolation::None];

/// `$MARKS` is a folder beside the worker's own, `$WORK` is the worker's, `$OWN` this attempt's.
const TRIALS: &[Trial] = &[
    ("write a result", "echo x > $WINDLASS_RESULTS/x", EVERYWHERE),
    ("write a temporary file", "echo x > $TMPDIR/x", EVERYWHERE),
    ("edit an editable file", "echo more >> train.py", EVERYWHERE),
    ("make a file where all is editable", "echo x > src/new.py && mv src/new.py src/other.py", EVERYWHERE),
    ("make a file beside frozen ones", "echo x > made.txt", NOT_SEALED),
    ("throw output away", "echo x > /dev/null", EVERYWHERE),
    ("share memory", "echo x > /dev/shm/windlass-test-$$ && rm /dev/shm/windlass-test-$$", EVERYWHERE),
    (
        "keep what a compiler makes",
        "mkdir -p ${TRITON_CACHE_DIR:-$TMPDIR} && touch ${TRITON_CACHE_DIR:-$TMPDIR}/x",
        EVERYWHERE,
    ),
    ("read the system's programs", "python3 -S -c 'import json'", EVERYWHERE),
    ("write beside the run's folders", "echo x > $MARKS/out", NONE_ONLY),
    ("remove beside the run's folders", "touch $MARKS/gone; rm $MARKS/gone", NONE_ONLY),
    ("cut a file of others short", ": > $MARKS/theirs", NONE_ONLY),
    (
        "write to the machine's folder for all",
        "echo x > /var/tmp/windlass-test-$$ && rm /var/tmp/windlass-test-$$",
        &[Isolation::None, Isolation::Sealed],
    ),
    ("read another campaign's files", "cat $WORK/kept/other.1.1.1-1/workspace/secret.txt", NONE_ONLY),
    ("list the worker's attempts", "ls $WORK/attempts", &[Isolation::None, Isolation::Sealed]),
    ("read the worker's keys", "cat $WORK/identity.json", NONE_ONLY),
    ("read its own spool", "cat $OWN/order.json", NONE_ONLY),
    ("forge its own spool", "touch $OWN/forged", NONE_ONLY),
    ("link a file of others into its folder", "ln $MARKS/theirs $WINDLASS_RESULTS/link", NONE_ONLY),
    (
        "reach the network",
        "python3 -S -c 'import socket; socket.create_connection((\"127.0.0.1\", '$PORT'), 5)'",
        NOT_SEALED,
    ),
    (
        "reach a socket of others",
        "python3 -S -c 'import socket; socket.socket(socket.AF_UNIX).connect(\"'$SOCKET'\")'",
        NOT_SEALED,
    ),
    ("signal the daemon", "kill -0 $DAEMON", NONE_ONLY),
    ("signal another run", "kill -0 $OTHER", NONE_ONLY),
    ("signal its own processes", "sleep 5 & kill $!", EVERYWHERE),
    ("see the daemon's environment", "grep -aq LEAK= /proc/$DAEMON/environ", NONE_ONLY),
    ("see another run's environment", "grep -aq SECRET= /proc/$OTHER/environ", NONE_ONLY),
    ("see its own environment", "grep -aq GREETING= /proc/self/environ", EVERYWHERE),
    ("make a device node", "mknod $TMPDIR/node b 7 0", NONE_ONLY),
    ("mount", "mkdir -p $TMPDIR/at && mount -t tmpfs none $TMPDIR/at && umount $TMPDIR/at", NONE_ONLY),
];

/// What only a kernel from Landlock's version 6 on denies a guarded run.
const SCOPED: [&str; 2] = ["signal the daemon", "signal another run"];
/// What only root can do at all.
const ROOT: [&str; 2] = ["make a device node", "mount"];

fn script() -> String {
    let trial = |text: &mut String, (name, command, _): &Trial| {
        writeln!(
            text,
            "if ( {command} ) > /dev/null 2>&1; then echo \"yes {name}\"; else echo \"no {name}\"; fi"
        )
        .expect("a string takes everything");
    };
    let mut text = "OWN=$(dirname $WINDLASS_RESULTS)\n".to_owned();
    TRIALS.iter().for_each(|one| trial(&mut text, one));
    text.push_str("echo val_acc: 1\n");
    text
}

/// A process that is another run to the one that is tested.
struct Neighbour(Child);

impl Neighbour {
    fn new() -> Self {
        let mut sleep = Command::new("sleep");
        sleep.arg("600").env("SECRET", "of another run").stdin(Stdio::null());
        Self(sleep.spawn().expect("a process"))
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        self.0.kill().expect("ours");
        self.0.wait().expect("ours");
    }
}

fn each_level_denies_what_it_says() {
    let scene = Scene::new();
    wait_for("a worker", || scene.work().join("kept").is_dir().then_some(()));
    let theirs = scene.work().join("kept/other.1.1.1-1/workspace");
    std::fs::create_dir_all(&theirs).expect("a folder");
    std::fs::write(theirs.join("secret.txt"), "another campaign's").expect("a file");
    let marks = scene.folder.path().join("marks");
    std::fs::create_dir(&marks).expect("a folder");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let neighbour = Neighbour::new();
    for level in LEVELS.into_iter().filter(|&level| level == Isolation::None || has(level)) {
        std::fs::write(marks.join("theirs"), "theirs").expect("a file");
        let mut order = scene.order("walls", &script(), FILES);
        order.key.id.number = level as u32 + 1;
        order.editable.push("src/**".to_owned());
        order.isolation = Some(level);
        let daemon = scene.worker.as_ref().expect("it runs").id();
        order.env.extend([
            ("MARKS".to_owned(), marks.display().to_string()),
            ("WORK".to_owned(), scene.work().display().to_string()),
            ("SOCKET".to_owned(), scene.coordinator.socket.display().to_string()),
            ("PORT".to_owned(), listener.local_addr().expect("bound").port().to_string()),
            ("DAEMON".to_owned(), daemon.to_string()),
            ("OTHER".to_owned(), neighbour.0.id().to_string()),
        ]);
        let outcome = scene.carry_out(&order);
        let log = scene.coordinator.log(&order.key);
        assert_eq!(outcome.ending, Ending::Finished, "{level}: {outcome:?} {log}");
        assert_eq!(outcome.isolation, level.as_str());
        assert!(outcome.containment.is_some());
        assert_eq!(outcome.frozen_changed, None);
        for (name, _, levels) in TRIALS {
            let scoped = !(SCOPED.contains(name) && level == Isolation::Guarded && machine().landlock < 6);
            let possible = !ROOT.contains(name) || rustix::process::geteuid().is_root();
            if scoped && possible {
                let word = if levels.contains(&level) { "yes" } else { "no" };
                assert!(
                    log.lines().any(|line| line == format!("{word} {name}")),
                    "{level}: {word} {name}\n{log}"
                );
            }
        }
    }
}

/// Ways to change what is frozen. The last of each puts it back.
const EDITS: [(&str, &str); 6] = [
    ("in place", "echo better > lib/data.txt"),
    ("by rename", "echo better > train.py && mv -f train.py lib/data.txt"),
    ("by symlink", "ln -sf ../train.py lib/data.txt"),
    ("by hard link", "rm -f lib/data.txt && ln train.py lib/data.txt"),
    ("by its folder", "mv lib away && mkdir lib && echo better > lib/data.txt"),
    ("by its mode", "chmod +x lib/data.txt"),
];

fn edited(scene: &Scene, level: Isolation, number: u32, edit: &str) -> (Outcome, bool) {
    let command = format!("if ( {edit} ); then echo edited; fi; echo val_acc: 1");
    let mut order = scene.order("frozen", &command, FILES);
    (order.isolation, order.key.id.number) = (Some(level), number);
    let outcome = scene.carry_out(&order);
    assert_eq!(outcome.ending, Ending::Finished, "{level}: {outcome:?}");
    (outcome, scene.coordinator.log(&order.key).contains("edited"))
}

/// Changed in place and put back: where workspaces are copies nothing would be seen of it afterwards.
const REVERTED: &str =
    "cp lib/data.txt $TMPDIR/kept && echo better > lib/data.txt && cat $TMPDIR/kept > lib/data.txt";

fn frozen_files_stand() {
    if has(Isolation::Guarded) {
        let (outcome, edited) = edited(&Scene::copying(), Isolation::Guarded, 1, REVERTED);
        assert!(!edited && outcome.frozen_changed.is_none(), "guarded, copied: {outcome:?}");
    }
    let scene = Scene::new();
    for (number, (name, edit)) in (1..).zip(EDITS) {
        if has(Isolation::Guarded) {
            let (outcome, edited) = edited(&scene, Isolation::Guarded, number, edit);
            let changed = outcome.frozen_changed.as_ref().map(TreePath::as_str);
            assert_eq!(changed, edited.then_some("lib/data.txt"), "{name}: denied, or named");
            assert!(!edited || name != "in place", "read-only files are so to everybody, root too");
        }
        if has(Isolation::Sealed) {
            let (outcome, edited) = edited(&scene, Isolation::Sealed, number + 100, edit);
            assert!(!edited && outcome.frozen_changed.is_none(), "{name}: {outcome:?}");
        }
    }
}

fn a_sealed_run_cannot_edit_and_revert() {
    if !has(Isolation::Sealed) {
        return;
    }
    let scene = Scene::new();
    for (number, edit) in (1..).zip([
        REVERTED,
        "mv lib away && mv away lib",
        "mv lib/data.txt lib/away && mv lib/away lib/data.txt",
    ]) {
        let (_, done) = edited(&scene, Isolation::Sealed, number, edit);
        assert!(!done, "sealed: {edit}");
        // The positive control: without walls it can be done, and the tree shows nothing afterwards.
        let (outcome, done) = edited(&scene, Isolation::None, number + 100, edit);
        assert!(done || !rustix::process::geteuid().is_root(), "none: {edit}");
        assert_eq!(outcome.ending, Ending::Finished);
    }
}

fn the_default_is_recorded() {
    let scene = Scene::new();
    let mut order = scene.order("default", "echo val_acc: 1", FILES);
    order.isolation = None;
    let outcome = scene.carry_out(&order);
    let want = if has(Isolation::Guarded) { "guarded" } else { "none" };
    assert_eq!((outcome.isolation.as_str(), outcome.ending), (want, Ending::Finished));
    assert_eq!(outcome.containment, Some(machine().containment()));
    let report = scene.coordinator.state().report.clone().expect("a report");
    assert_eq!(report.worker.isolation, machine().levels());
    assert_eq!(report.worker.containment, Some(machine().containment()));
}

fn what_is_lacking_is_refused() {
    let mut scene = Scene::new();
    scene.end(rustix::process::Signal::TERM);
    let bare = scene.folder.path().join("bin");
    std::fs::create_dir(&bare).expect("a folder");
    // A machine without bubblewrap: nothing of that name is on its PATH.
    let mut worker = command(&scene.work(), &scene.coordinator.socket);
    scene.worker = Some(worker.env("PATH", &bare).spawn().expect("a worker"));
    let mut order = scene.order("lacking", "echo val_acc: 1", FILES);
    order.isolation = Some(Isolation::Sealed);
    let outcome = scene.carry_out(&order);
    let Ending::Infra { detail } = &outcome.ending else { panic!("{outcome:?}") };
    for part in ["isolation sealed", "bubblewrap", "not installed", "install bubblewrap", "sandbox: guarded"]
    {
        assert!(detail.contains(part), "{part}: {detail}");
    }
    assert_eq!((outcome.reading, outcome.isolation.as_str()), (None, ""), "nothing was run with less");
}

fn a_home_stays_readable() {
    if !has(Isolation::Guarded) {
        return;
    }
    let home = tempfile::tempdir().expect("a folder");
    let data = home.path().join(".local/share/windlass");
    std::fs::create_dir_all(&data).expect("a folder");
    std::fs::create_dir_all(home.path().join(".local/lib")).expect("a folder");
    for file in ["notes.txt", ".local/lib/module.py", ".local/share/windlass/token"] {
        std::fs::write(home.path().join(file), "x").expect("a file");
    }
    std::os::unix::fs::symlink(&data, home.path().join("way")).expect("a link");
    let command = "cat $HOME/notes.txt && cat $HOME/.local/lib/module.py && ls $HOME/.local/lib || exit 1
        cat $HOME/.local/share/windlass/token && exit 2
        cat $HOME/way/token && exit 3
        cd $HOME/.local/share/windlass && cat token && exit 4
        exit 0";
    let check = |attempt: Attempt, code| {
        let mut attempt = attempt;
        attempt.spec.env.insert("HOME".to_owned(), home.path().display().to_string());
        assert_eq!(attempt.run().code, Some(code), "{}", attempt.log());
    };
    check(Attempt::new("home", command).guarded(std::slice::from_ref(&data)), 0);
    // The way through a link is hidden as well.
    check(Attempt::new("home", command).guarded(&[home.path().join("way")]), 0);
    check(Attempt::new("home", command), 2);
}

fn a_sealed_run_sees_its_own_nodes() {
    if !has(Isolation::Sealed) {
        return;
    }
    // Two GPUs, as files: below /dev, which a sealed run has anew.
    let dev = tempfile::tempdir_in("/dev/shm").expect("a folder");
    std::fs::create_dir(dev.path().join("dri")).expect("a folder");
    let node = |name: &str| dev.path().join(name);
    let all = ["dri/renderD128", "dri/renderD129", "nvidia0", "nvidia1", "nvidiactl"];
    for name in all {
        std::fs::write(node(name), "").expect("a node");
    }
    let command =
        "cd $DEV; find . -type f | sort; echo used > nvidia1 && echo yes; ls -d /dev/nvidia* /dev/dri";
    let check = |mut attempt: Attempt, want: &[&str]| {
        attempt.spec.env.insert("DEV".to_owned(), dev.path().display().to_string());
        attempt.spec.walls.devices = ["nvidia1", "nvidiactl", "dri/renderD129"].map(node).to_vec();
        attempt.run();
        let log = attempt.log();
        let found: Vec<&str> = log.lines().filter_map(|line| line.strip_prefix("./")).collect();
        assert_eq!(found, want, "{log}");
        assert!(log.contains("yes"), "a leased one can be written to: {log}");
    };
    check(
        Attempt::new("nodes", command).sealed(machine().containment()),
        &["dri/renderD129", "nvidia1", "nvidiactl"],
    );
    // The positive control: without walls all of them are there.
    check(Attempt::new("nodes", command), &all);
    assert_eq!(std::fs::read_to_string(node("nvidia1")).expect("a node"), "used\n", "it is the node itself");
}

fn an_analysis_runs_at_every_level() {
    let scene = Scene::new();
    for level in LEVELS.into_iter().filter(|&level| level == Isolation::None || has(level)) {
        let mut run =
            scene.order("analysed", "echo weights > $WINDLASS_RESULTS/w.bin; echo val_acc: 0.5", FILES);
        (run.isolation, run.key.id.number) = (Some(level), 10 * (level as u32 + 1));
        let results = scene.carry_out(&run).results;
        let script = "import os\nprint(open('train.py').read() + open(os.environ['WINDLASS_RUN_LOG']).read()\n    + open(os.environ['WINDLASS_RESULTS'] + '/w.bin').read())\n";
        let outcome = scene.carry_out(&scene.analysis(&run, results, &[("all.py", script, "all.txt")]));
        assert_eq!((&outcome.ending, outcome.isolation.as_str()), (&Ending::Finished, level.as_str()));
        let made = scene.coordinator.file(outcome.results.expect("results"), "all.txt");
        assert_eq!(
            made.as_deref(),
            Some("train\nval_acc: 0.5\nweights\n\n"),
            "{level}: {:?}",
            outcome.outputs
        );
    }
}
