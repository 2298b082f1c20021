//! The environment of a run, on a whole worker: its workspace and its setup.
//! Both sorts of workspace are tested; a machine that mounts no overlay says so and tests copies alone.

use crate::Test;
use crate::scene::Scene;
use crate::support::wait_for;
use rustix::process::Signal;
use std::fs;
use std::path::Path;
use windlass_shared::attempt::{Ending, Order, Phase};
use windlass_shared::machine::{Cache, Data, Isolation, Setup};
use windlass_shared::path::TreePath;
use windlass_shared::session::{Stop, StopReason};
use windlass_shared::time::Span;

pub const TESTS: &[Test] = &[
    ("i11_an_edit_that_was_reverted_is_still_seen", a_reverted_edit_is_seen),
    ("an_analysis_sees_what_its_run_left", an_analysis_sees_the_merged_state),
    ("the_end_of_a_run_does_not_wait_for_what_others_have_written", an_end_syncs_nobody_else),
    ("a_small_edit_of_a_large_workspace_moves_what_was_edited", a_small_edit_moves_little),
    ("i16_a_blob_that_is_damaged_in_the_cache_is_fetched_again", a_damaged_blob_is_fetched_again),
    ("i16_a_tree_that_cannot_be_made_of_another_comes_whole", a_tree_that_cannot_be_made),
    ("p4_a_setup_is_done_once_and_found_under_its_own_path", a_setup_is_done_once),
    ("p4_a_lever_that_edits_an_input_gets_a_setup_of_its_own", an_edited_input_makes_another_setup),
    ("a_setup_that_fails_says_so_with_its_log_and_is_tried_again", a_failed_setup_says_so),
    ("a_setup_ends_at_its_own_limit", a_setup_ends_at_its_limit),
    ("a_setup_outlives_kill_9_of_its_daemon_and_is_done_once", a_setup_outlives_its_daemon),
    ("a_cancelled_attempt_does_not_wait_for_its_setup", a_cancelled_attempt_does_not_wait),
    ("p4_a_setup_serves_runs_that_are_shut_in", a_setup_serves_runs_that_are_shut_in),
];

pub const FILES: &[(&str, &str, bool)] =
    &[("lib/data.txt", "data\n", false), ("train.py", "train\n", false), ("uv.lock", "lock 1\n", false)];

/// Whether this machine mounts overlays for runs.
pub fn mounts() -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let exe = std::env::current_exe().expect("our own path");
    match windlass_worker::shim::probe_overlay(&exe, folder.path()) {
        Ok(()) => true,
        Err(reason) => {
            crate::say(&format!("this machine mounts no overlay, so only copies are tested: {reason}"));
            false
        }
    }
}

/// A worker for each sort of workspace that this machine has.
pub fn scenes() -> Vec<Scene> {
    let mut scenes = vec![Scene::copying()];
    if mounts() {
        scenes.push(Scene::new());
    }
    scenes
}

pub fn setup(run: &str) -> Option<Setup> {
    Some(Setup { run: run.to_owned(), inputs: vec!["uv.lock".to_owned()], time_limit: Span::from_secs(120) })
}

/// The same order once more, as another attempt.
pub fn again(order: &Order, n: u32) -> Order {
    let mut again = order.clone();
    again.key.id.number += n;
    again.key.fence.n += u64::from(n);
    again
}

fn a_reverted_edit_is_seen() {
    if !mounts() {
        return;
    }
    let scene = Scene::new();
    let at = Some("lib/data.txt");
    for (name, command, want) in [
        ("reads", "cat lib/data.txt; echo new > lib/new.txt; mkdir more; echo x >> train.py", None),
        (
            "reverts",
            "cp -p lib/data.txt k; echo evil > lib/data.txt; cat k > lib/data.txt; touch -r k lib/data.txt",
            at,
        ),
        ("moves", "mv lib/data.txt k; mv k lib/data.txt", at),
        ("replaces", "cp -r lib k; rm -r lib; mv k lib", at),
        ("mode", "chmod 600 lib/data.txt; chmod 444 lib/data.txt", at),
        ("links", "ln lib/data.txt alias; echo evil > alias; printf 'data\\n' > alias", at),
    ] {
        let outcome = scene.carry_out(&scene.order(name, &format!("{command}; echo val_acc: 1"), FILES));
        assert_eq!(outcome.ending, Ending::Finished, "{name}");
        assert_eq!(outcome.frozen_changed.as_ref().map(TreePath::as_str), want, "{name}");
    }
    // None of it reached the tree that the next one begins with.
    let last = scene.order("last", "cat lib/data.txt; ls; echo val_acc: 1", FILES);
    scene.carry_out(&last);
    assert_eq!(scene.coordinator.log(&last.key), "data\nlib\ntrain.py\nuv.lock\nval_acc: 1\n");
}

fn an_analysis_sees_the_merged_state() {
    for scene in scenes() {
        let command = "rm train.py; mkdir -p deep/er; echo weights > deep/er/model.bin; echo val_acc: 1";
        let run = scene.order("merged", command, FILES);
        let outcome = scene.carry_out(&run);
        assert_eq!(outcome.frozen_changed, None);
        let script =
            "cat deep/er/model.bin lib/data.txt; ls train.py || echo gone; echo made >> deep/er/model.bin";
        let first = scene.analysis(&run, outcome.results, &[("look.sh", script, "look.txt")]);
        let looked = scene.carry_out(&first);
        let file = |outcome: &windlass_shared::attempt::Outcome| {
            scene.coordinator.file(outcome.results.expect("results"), "look.txt")
        };
        assert_eq!(file(&looked).as_deref(), Some("weights\ndata\ngone\n"));
        // P22: the next script finds what the first one left.
        let mut later = again(&first, 1);
        later.results = looked.results;
        assert_eq!(file(&scene.carry_out(&later)).as_deref(), Some("weights\nmade\ndata\ngone\n"));
    }
}

fn an_end_syncs_nobody_else() {
    let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = kernel.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if !mounts() || (major, minor) < (5, 10) {
        crate::say(&format!("Linux {kernel} has no volatile overlays here"));
        return;
    }
    let scene = Scene::new();
    let order = scene.order("mounted", "grep \" $PWD overlay \" /proc/self/mounts; echo val_acc: 1", FILES);
    scene.carry_out(&order);
    // An overlay that is not volatile syncs the whole file system below it when it ends.
    let log = scene.coordinator.log(&order.key);
    assert!(log.contains("volatile,"), "{log}");
}

fn a_small_edit_moves_little() {
    for scene in scenes() {
        let large: Vec<(String, String)> = (0..5000)
            .map(|n| (format!("src/m{}/f{n}.py", n % 50), format!("# file {n}\n").repeat(20)))
            .collect();
        let mut edited = large.clone();
        let changed: Vec<String> = edited
            .iter_mut()
            .rev()
            .take(5)
            .map(|(path, text)| {
                text.push_str("# edited\n");
                path.clone()
            })
            .collect();
        let refs = |files: &'_ [(String, String)]| -> Vec<(String, String, bool)> {
            files.iter().map(|(path, text)| (path.clone(), text.clone(), false)).collect()
        };
        let order = |name: &str, files: &[(String, String, bool)]| {
            let files: Vec<_> = files.iter().map(|(p, t, x)| (p.as_str(), t.as_str(), *x)).collect();
            scene.order(
                name,
                "cat src/m49/f4999.py | tail -n 1; find src -type f | wc -l; echo val_acc: 1",
                &files,
            )
        };
        let first = order("base", &refs(&large));
        scene.carry_out(&first);
        let sent_before = scene.coordinator.state().sent_bytes;
        let second = Order { near: vec![first.tree], ..order("edited", &refs(&edited)) };
        assert_eq!(scene.carry_out(&second).ending, Ending::Finished);
        assert_eq!(scene.coordinator.log(&second.key), "# edited\n5000\nval_acc: 1\n");
        let moved = scene.coordinator.state().sent_bytes - sent_before;
        let edited_bytes: u64 =
            edited.iter().filter(|(path, _)| changed.contains(path)).map(|(_, text)| text.len() as u64).sum();
        assert!(moved > 0 && moved < 2 * edited_bytes, "{moved} bytes moved for {edited_bytes}");
        if scene.work().join("trees").exists() {
            // What was laid out is what was edited, too.
            let small =
                |name: &String| count_files(&scene.work().join("trees").join(name).join("files")) == 5;
            let layers = scene.spool("trees");
            assert!(layers.is_empty() || layers.iter().filter(|name| small(name)).count() == 1, "{layers:?}");
        }
    }
}

fn count_files(root: &Path) -> usize {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { count_files(&entry.path()) } else { 1 }).sum()
}

/// A base that is not what its name says, and a change that makes another tree (I16).
fn a_tree_that_cannot_be_made() {
    for scene in scenes() {
        let command = "cat lib/data.txt; echo val_acc: 1";
        let first = scene.order("first", command, FILES);
        scene.carry_out(&first);
        let make = |name: &str, text: &str, harm: &dyn Fn()| {
            harm();
            let files = [FILES, &[("lib/more.txt", text, false)]].concat();
            let order = Order { near: vec![first.tree], ..scene.order(name, command, &files) };
            assert_eq!(scene.carry_out(&order).ending, Ending::Finished, "{name}");
            let state = scene.coordinator.state();
            let tree = order.tree.to_string();
            assert_eq!(state.changes_sent.last(), Some(&tree), "{name}");
            state.reads.contains(&tree)
        };
        assert!(!make("made", "1", &|| {}), "the control");
        assert!(make("lied-to", "2", &|| scene.coordinator.state().lies = true), "it comes whole");
        scene.coordinator.state().lies = false;
        let name = first.tree.hash.to_string();
        let base = scene.work().join("blobs").join(&name[..2]).join(&name);
        let mut bytes = fs::read(&base).expect("a manifest");
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        assert!(make("damaged", "3", &|| fs::write(&base, &bytes).expect("a flipped bit")), "so it does");
    }
}

fn a_damaged_blob_is_fetched_again() {
    for scene in scenes() {
        let first = scene.order("whole", "cat lib/data.txt; echo val_acc: 1", FILES);
        scene.carry_out(&first);
        // A tree that shares the blob but does not lie ready: other files are editable.
        let digest = windlass_shared::digest::Digest::of(b"data\n");
        let name = digest.hash.to_string();
        let blob = scene.work().join("blobs").join(&name[..2]).join(&name);
        fs::write(&blob, "dbta\n").expect("a flipped bit");
        let mut second = scene.order("damaged", "cat lib/data.txt; echo val_acc: 1", FILES);
        second.editable.push("lib/other.txt".to_owned());
        assert_eq!(scene.carry_out(&second).ending, Ending::Finished);
        assert_eq!(scene.coordinator.log(&second.key), "data\nval_acc: 1\n");
        assert_eq!(fs::read(&blob).expect("fetched again"), b"data\n");
    }
}

/// Makes a virtual environment in little: a program whose first line holds its own absolute path.
const VENV: &str = "echo done >> $MARKS/setups; mkdir -p .venv/bin build; echo built > build/ext.so; \
    cat uv.lock > .venv/lock; echo changed >> lib/data.txt; \
    printf '#!/bin/sh\\necho inner\\n' > .venv/bin/inner; chmod +x .venv/bin/inner; \
    printf \"#!$PWD/.venv/bin/inner\\n\" > .venv/bin/tool; chmod +x .venv/bin/tool; echo $PWD/train.py > .venv/editable.pth";

fn a_setup_is_done_once() {
    for scene in scenes() {
        // The path that was installed in place reads the lever's own file, or nothing; never the setup's.
        let command = ".venv/bin/inner; .venv/bin/tool; cat .venv/lock build/ext.so lib/data.txt; \
            cat $(cat .venv/editable.pth) 2>/dev/null | grep -v lever; echo mine > .venv/mine 2>/dev/null; \
            echo val_acc: 1";
        let mut orders = Vec::new();
        for n in 0..2 {
            let mut order = scene.order(&format!("setup-{n}"), command, FILES);
            order.devices = vec![format!("cpu-{n}").as_str().into()];
            order.setup = setup(VENV);
            scene.lease(&order);
            orders.push(order);
        }
        for order in &orders {
            let outcome = scene.outcome(&order.key);
            assert_eq!((outcome.ending, outcome.frozen_changed), (Ending::Finished, None));
            let log = scene.coordinator.log(&order.key);
            assert!(log.starts_with("inner\ninner\nlock 1\nbuilt\ndata\n"), "{log}");
            assert!(log.ends_with("val_acc: 1\n"), "{log}");
            scene.acknowledge(&order.key);
        }
        assert_eq!(fs::read_to_string(scene.mark("setups")).expect("done"), "done\n", "once for both");
        // An analysis elsewhere needs the environment too.
        let mut away = scene.order("setup-elsewhere", "true", FILES);
        away.setup = setup(VENV);
        scene.coordinator.state().logs.insert(away.key.clone(), b"val_acc: 1\n".to_vec());
        let results = scene.coordinator.tree(&[]);
        let analysis = scene.analysis(&away, Some(results), &[("tool.sh", ".venv/bin/tool", "tool.txt")]);
        assert_eq!(scene.carry_out(&analysis).outputs[0].first_line, "inner");
        assert_eq!(fs::read_to_string(scene.mark("setups")).expect("done"), "done\n");
    }
}

fn an_edited_input_makes_another_setup() {
    for scene in scenes() {
        let run = |name: &str, lock: &str, train: &str| {
            let files =
                [("lib/data.txt", "data\n", false), ("train.py", train, false), ("uv.lock", lock, false)];
            let mut order = scene.order(name, "cat .venv/lock; echo val_acc: 1", &files);
            order.setup = setup(VENV);
            scene.carry_out(&order);
            (scene.coordinator.log(&order.key), fs::read_to_string(scene.mark("setups")).expect("done"))
        };
        assert_eq!(run("base", "lock 1\n", "train\n"), ("lock 1\nval_acc: 1\n".into(), "done\n".into()));
        assert_eq!(run("train", "lock 1\n", "lever\n"), ("lock 1\nval_acc: 1\n".into(), "done\n".into()));
        assert_eq!(
            run("input", "lock 2\n", "train\n"),
            ("lock 2\nval_acc: 1\n".into(), "done\ndone\n".into())
        );
    }
}

fn a_failed_setup_says_so() {
    for scene in scenes() {
        let mut order = scene.order("fails", "echo val_acc: 1", FILES);
        order.setup = setup("echo no such package; [ -e $MARKS/repaired ] || exit 3");
        let outcome = scene.carry_out(&order);
        let Ending::Infra { detail } = &outcome.ending else { panic!("{outcome:?}") };
        assert!(detail.contains("setup failed") && detail.contains("exit code 3"), "{detail}");
        assert!(outcome.setup_failed && outcome.reading.is_none());
        assert_eq!(outcome.log_tail, "no such package");
        assert_eq!(scene.coordinator.log(&order.key), "no such package\n");
        assert_eq!(outcome.log_hash, Some(windlass_shared::digest::Hash::of(b"no such package\n")));
        // It is tried again for the next attempt, and then serves.
        fs::write(scene.mark("repaired"), "").expect("a mark");
        let outcome = scene.carry_out(&again(&order, 1));
        assert_eq!((outcome.ending, outcome.setup_failed), (Ending::Finished, false));
    }
}

fn a_setup_ends_at_its_limit() {
    for scene in scenes() {
        let mut order = scene.order("slow", "echo val_acc: 1", FILES);
        let command = "echo begins; sleep 600".to_owned();
        order.setup = Some(Setup { run: command, inputs: Vec::new(), time_limit: Span { ms: 300 } });
        let outcome = scene.carry_out(&order);
        let Ending::Infra { detail } = &outcome.ending else { panic!("{outcome:?}") };
        assert!(detail.contains("time limit") && outcome.setup_failed, "{detail}");
        assert_eq!(scene.coordinator.log(&order.key), "begins\n");
    }
}

fn a_setup_outlives_its_daemon() {
    for mut scene in scenes() {
        let mut order = scene.order("outlives", "cat made; echo val_acc: 1", FILES);
        order.setup = setup(
            "echo done >> $MARKS/setups; while [ ! -e $MARKS/go ]; do sleep 0.02; done; echo made > made",
        );
        scene.lease(&order);
        wait_for("the setup to begin", || scene.mark("setups").exists().then_some(()));
        scene.end(Signal::KILL);
        scene.start();
        fs::write(scene.mark("go"), "").expect("a mark");
        assert_eq!(scene.outcome(&order.key).ending, Ending::Finished);
        assert_eq!(scene.coordinator.log(&order.key), "made\nval_acc: 1\n");
        assert_eq!(fs::read_to_string(scene.mark("setups")).expect("done"), "done\n");
    }
}

fn a_cancelled_attempt_does_not_wait() {
    let scene = Scene::new();
    let mut order = scene.order("waits", "echo val_acc: 1", FILES);
    order.setup = setup("echo $$ > $MARKS/setup.pid; sleep 600");
    scene.lease(&order);
    let pid = scene.pid("setup.pid");
    assert_eq!(scene.coordinator.phase(&order.key), Some(Phase::Preparing));
    let stop = Stop { key: order.key.clone(), reason: StopReason::Cancelled };
    scene.coordinator.want(|state| {
        state.orders.clear();
        state.stop.push(stop);
    });
    assert_eq!(scene.outcome(&order.key).ending, Ending::Cancelled);
    wait_for("the setup to end", || (!crate::support::lives(pid)).then_some(()));
}

fn a_setup_serves_runs_that_are_shut_in() {
    let exe = std::env::current_exe().expect("our own path");
    let machine = windlass_worker::sandbox::Machine::probe(&exe);
    for level in [Isolation::None, Isolation::Guarded, Isolation::Sealed] {
        if let Some((problem, _)) = machine.lacks(level) {
            crate::say(&format!("this machine cannot run anything `{level}`: {problem}"));
            continue;
        }
        for scene in scenes() {
            let command = ".venv/bin/inner; .venv/bin/tool; cat .venv/lock lib/data.txt $WINDLASS_CACHES/w/it $WINDLASS_DATA/set/a; \
                (echo evil > lib/data.txt) 2>&-; (echo evil > $WINDLASS_CACHES/w/it) 2>&-; \
                echo x >> train.py; echo val_acc: 1";
            let mut order = scene.order(&format!("shut-{level}"), command, FILES);
            order.isolation = Some(level);
            fs::create_dir(scene.mark("set")).expect("a folder");
            fs::write(scene.mark("set/a"), "set\n").expect("a file");
            order.data = vec![Data { path: scene.mark("set").display().to_string(), fingerprint: None }];
            order.caches = vec![Cache { name: "w".to_owned(), writable: false }];
            // It writes to its home, as package managers do; nothing outside may be written to.
            let made = VENV.replace(
                "echo done >> $MARKS/setups;",
                "mkdir -p $HOME/.x; echo it > $WINDLASS_CACHES/w/it;",
            );
            order.setup = setup(&format!("{made}; (echo evil > $MARKS/evil) 2>&-; true"));
            if level == Isolation::None {
                order.env.insert("HOME".to_owned(), scene.mark("home").display().to_string());
            }
            let outcome = scene.carry_out(&order);
            assert_eq!(outcome.ending, Ending::Finished, "{level}: {}", outcome.log_tail);
            assert_eq!(outcome.isolation, level.to_string());
            let log = scene.coordinator.log(&order.key);
            assert_eq!(log, "inner\ninner\nlock 1\ndata\nit\nset\nval_acc: 1\n", "{level}");
            assert_eq!(
                scene.mark("evil").exists(),
                level == Isolation::None,
                "{level}: the control is `none`"
            );
            if level > Isolation::None {
                let cache = scene.work().join("caches").join(order.key.id.campaign.as_str()).join("w/it");
                let kept = fs::read_to_string(cache).expect("the cache");
                assert_eq!(kept, "it\n", "{level}: a run does not fill caches");
            }
            // The files' modes bind a guarded root as well; one without walls they do not: there the guard sees it.
            let held = level > Isolation::None || !rustix::process::geteuid().is_root();
            let seen = outcome.frozen_changed.as_ref().map(TreePath::as_str);
            assert_eq!(seen, (!held).then_some("lib/data.txt"), "{level}");
        }
    }
}
