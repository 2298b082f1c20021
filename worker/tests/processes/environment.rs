//! What is around a run, on a whole worker: its workspace, its setup, its data, caches and artifacts.
//! Both sorts of workspace are tested; a machine that mounts no overlay says so and tests copies alone.

use crate::Test;
use crate::support::wait_for;
use crate::worker::Scene;
use rustix::process::Signal;
use std::fs;
use std::path::Path;
use windlass_shared::attempt::{Ending, Order, Phase};
use windlass_shared::machine::{Cache, Data, Flag, Isolation, Setup};
use windlass_shared::path::TreePath;
use windlass_shared::session::{Stop, StopReason};
use windlass_shared::time::Span;

pub const TESTS: &[Test] = &[
    ("i11_an_edit_that_was_reverted_is_still_seen", a_reverted_edit_is_seen),
    ("an_analysis_sees_what_its_run_left", an_analysis_sees_the_merged_state),
    ("a_small_edit_of_a_large_workspace_moves_what_was_edited", a_small_edit_moves_little),
    ("i16_a_blob_that_is_damaged_in_the_cache_is_fetched_again", a_damaged_blob_is_fetched_again),
    ("p4_a_setup_is_done_once_and_found_under_its_own_path", a_setup_is_done_once),
    ("p4_a_lever_that_edits_an_input_gets_a_setup_of_its_own", an_edited_input_makes_another_setup),
    ("a_setup_that_fails_says_so_with_its_log_and_is_tried_again", a_failed_setup_says_so),
    ("a_setup_ends_at_its_own_limit", a_setup_ends_at_its_limit),
    ("a_setup_outlives_kill_9_of_its_daemon_and_is_done_once", a_setup_outlives_its_daemon),
    ("a_cancelled_attempt_does_not_wait_for_its_setup", a_cancelled_attempt_does_not_wait),
    ("p4_a_setup_serves_runs_that_are_shut_in", a_setup_serves_runs_that_are_shut_in),
    ("secrets_reach_the_run_and_neither_log_nor_disk", secrets_reach_the_run_alone),
    ("a_secret_that_does_not_come_is_named", a_secret_that_does_not_come_is_named),
    ("bad_results_and_paths_are_left_out_by_name", bad_results_are_left_out),
    ("a_work_folder_on_tmpfs_serves_and_a_full_one_is_disk_full", work_folders_on_tmpfs),
    ("a_read_only_work_folder_is_said_at_the_start", a_read_only_work_folder_is_said),
    ("a_foreign_spool_and_trees_do_not_stop_a_start", a_foreign_spool_does_not_stop_a_start),
    ("data_is_read_only_and_checked_by_its_fingerprint", data_is_checked),
    ("a_run_reaches_no_secret_of_others_and_no_layer_below_its_workspace", a_run_reaches_its_own_alone),
    ("the_disk_limit_counts_what_a_run_adds_and_not_what_lay_ready", the_disk_limit_counts_the_upper_layer),
    ("caches_are_the_setups_to_fill_and_read_only_to_runs", caches_are_read_only),
    ("p21_artifacts_are_kept_and_laid_out_for_an_analysis_elsewhere", artifacts_are_kept),
];

const FILES: &[(&str, &str, bool)] =
    &[("lib/data.txt", "data\n", false), ("train.py", "train\n", false), ("uv.lock", "lock 1\n", false)];

/// Whether this machine mounts overlays for runs.
fn mounts() -> bool {
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
fn scenes() -> Vec<Scene> {
    let mut scenes = vec![Scene::copying()];
    if mounts() {
        scenes.push(Scene::new());
    }
    scenes
}

fn setup(run: &str) -> Option<Setup> {
    Some(Setup { run: run.to_owned(), inputs: vec!["uv.lock".to_owned()], time_limit: Span::from_secs(120) })
}

/// The same order once more, as another attempt.
fn again(order: &Order, n: u32) -> Order {
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
        scene.carry_out(&order("base", &refs(&large)));
        let read_before = scene.coordinator.state().reads.len();
        let second = order("edited", &refs(&edited));
        assert_eq!(scene.carry_out(&second).ending, Ending::Finished);
        assert_eq!(scene.coordinator.log(&second.key), "# edited\n5000\nval_acc: 1\n");
        let moved: u64 = {
            let state = scene.coordinator.state();
            let manifest = second.tree.to_string();
            let reads = state.reads[read_before..].iter().filter(|digest| **digest != manifest);
            reads.map(|digest| state.blobs[digest].len() as u64).sum()
        };
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
            // A guarded workspace is held by the files' modes, which do not bind root: there the guard sees it.
            let held = level == Isolation::Sealed || !rustix::process::geteuid().is_root();
            let seen = outcome.frozen_changed.as_ref().map(TreePath::as_str);
            assert_eq!(seen, (!held).then_some("lib/data.txt"), "{level}");
        }
    }
}

/// Every file below `root` that has these bytes in it.
fn files_with(root: &Path, bytes: &[u8]) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let (path, kind) = (entry.path(), entry.file_type().expect("a kind"));
        if kind.is_dir() {
            found.extend(files_with(&path, bytes));
        } else if kind.is_file() {
            let contents = fs::read(&path).unwrap_or_default();
            found.extend(contents.windows(bytes.len()).any(|part| part == bytes).then_some(path));
        }
    }
    found
}

fn secrets_reach_the_run_alone() {
    for scene in scenes() {
        // The value is in no command: it would stand in the order then.
        let command = "[ ${#TOKEN} = 14 ] && echo right; echo \"it is $TOKEN.\"; \
            printf %s \"${TOKEN%???????}\"; sleep 0.1; printf '%s\\n' \"${TOKEN#???????}\"; echo \"own $OWN\"; \
            tr '\\0' ' ' < /proc/$PPID/cmdline | grep -c \"$TOKEN\"; echo val_acc: 1";
        let mut order = scene.order("secrets", command, FILES);
        order.secrets = vec!["TOKEN".to_owned(), "OWN".to_owned()];
        order.setup = setup("[ ${#TOKEN} = 14 ] && echo made > made; echo \"setup with $TOKEN\"");
        let own = scene.work().join("secrets.env");
        fs::write(&own, "OWN=swordfish\nOTHER=unasked\n").expect("a file");
        fs::set_permissions(&own, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("a mode");
        scene.coordinator.want(|state| {
            state.secrets.insert(order.key.clone(), vec![("TOKEN".to_owned(), "hunter2hunter2".to_owned())]);
        });
        let outcome = scene.carry_out(&order);
        assert_eq!(outcome.ending, Ending::Finished, "{outcome:?}");
        let want = "right\nit is [secret TOKEN].\n[secret TOKEN]\nown [secret OWN]\n0\nval_acc: 1\n";
        assert_eq!(scene.coordinator.log(&order.key), want);
        assert_eq!(outcome.log_bytes, want.len() as u64);
        assert_eq!(files_with(&scene.work(), b"hunter2"), Vec::<std::path::PathBuf>::new());
        assert_eq!(files_with(&scene.work(), b"swordfish"), [own], "the positive control");
    }
}

fn a_secret_that_does_not_come_is_named() {
    let scene = Scene::new();
    let mut order = scene.order("lacks", "echo val_acc: 1", FILES);
    order.secrets = vec!["TOKEN".to_owned()];
    scene.lease(&order);
    wait_for("it to be prepared", || {
        (scene.coordinator.phase(&order.key) == Some(Phase::Preparing)).then_some(())
    });
    // It comes with a later answer, as after a restart of the daemon.
    scene.coordinator.want(|state| {
        state.secrets.insert(order.key.clone(), vec![("TOKEN".to_owned(), "hunter2hunter2".to_owned())]);
    });
    assert_eq!(scene.outcome(&order.key).ending, Ending::Finished);
}

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
    assert_eq!(scene.carry_out(&order).ending, Ending::DiskFull);
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

fn data_is_checked() {
    for scene in scenes() {
        let root = scene.mark("set");
        fs::create_dir(&root).expect("a folder");
        fs::write(root.join("a.bin"), "aaaa\n").expect("a file");
        let fingerprint = windlass_worker::data::fingerprint(&root).expect("readable");
        let run = |name: &str, data: Data, command: &str| {
            let mut order = scene.order(name, &format!("{command}; echo val_acc: 1"), FILES);
            order.data = vec![data];
            (scene.carry_out(&order).ending, scene.coordinator.log(&order.key))
        };
        let path = root.display().to_string();
        let right = Data { path: path.clone(), fingerprint: Some(fingerprint.clone()) };
        let (ending, log) =
            run("right", right.clone(), &format!("cat $WINDLASS_DATA/set/a.bin {path}/a.bin"));
        assert_eq!((ending, log.as_str()), (Ending::Finished, "aaaa\naaaa\nval_acc: 1\n"));
        let other = Data { fingerprint: Some("blake3:0".to_owned()), ..right.clone() };
        let (Ending::Infra { detail }, _) = run("other", other, "true") else { panic!("no infra ending") };
        assert!(
            detail.contains(&path) && detail.contains(&fingerprint) && detail.contains("blake3:0"),
            "{detail}"
        );
        let absent = Data { path: format!("{path}/absent"), fingerprint: None };
        let (Ending::Infra { detail }, _) = run("absent", absent, "true") else { panic!("no infra ending") };
        assert!(detail.contains("absent") && detail.contains("windlass.data"), "{detail}");
        // What runs have no business with is no data set either.
        let work = scene.work();
        for (name, path) in [("own", work.as_path()), ("above", work.parent().expect("a folder"))] {
            let data = Data { path: path.display().to_string(), fingerprint: None };
            let (Ending::Infra { detail }, _) = run(name, data, "true") else { panic!("no infra ending") };
            assert!(detail.contains("Windlass's own") && detail.contains("windlass.data"), "{detail}");
        }
    }
    if mounts() {
        let scene = Scene::new();
        let root = scene.mark("set");
        fs::create_dir(&root).expect("a folder");
        let mut order = scene.order("writes", "echo evil > $WINDLASS_DATA/set/new; echo val_acc: 1", FILES);
        order.data = vec![Data { path: root.display().to_string(), fingerprint: None }];
        assert_eq!(scene.carry_out(&order).ending, Ending::Finished);
        assert!(!root.join("new").exists(), "read-only to the run");
        fs::write(root.join("new"), "").expect("the positive control: not so to us");
    }
}

fn a_run_reaches_its_own_alone() {
    let exe = std::env::current_exe().expect("our own path");
    let machine = windlass_worker::sandbox::Machine::probe(&exe);
    for level in [Isolation::None, Isolation::Guarded, Isolation::Sealed] {
        if machine.lacks(level).is_some() {
            crate::say(&format!("this machine cannot run anything `{level}`"));
            continue;
        }
        for scene in scenes() {
            let own = scene.work().join("secrets.env");
            fs::write(&own, "OWN=swordfish\nOTHER=unasked\n").expect("a file");
            fs::set_permissions(&own, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("a mode");
            let command = format!(
                "[ ${{#OWN}} = 9 ] && echo own; [ -z \"$OTHER\" ] && echo no other; grep -c unasked {} 2>&-; \
                 (echo evil > $WINDLASS_RESULTS/../upper/train.py) 2>&- && echo below; \
                 echo more >> train.py; cat train.py; echo val_acc: 1",
                own.display()
            );
            let mut order = scene.order(&format!("reach-{level}"), &command, FILES);
            order.isolation = Some(level);
            order.secrets = vec!["OWN".to_owned()];
            let outcome = scene.carry_out(&order);
            assert_eq!(outcome.ending, Ending::Finished, "{level}: {}", outcome.log_tail);
            let (log, layered) = (scene.coordinator.log(&order.key), scene.is_layered());
            // `none` is the control: there is no wall, so both ways are open.
            let want = match (level, layered) {
                (Isolation::None, true) => "own\nno other\n1\nbelow\nevil\nmore\nval_acc: 1\n",
                (Isolation::None, false) => "own\nno other\n1\ntrain\nmore\nval_acc: 1\n",
                _ => "own\nno other\ntrain\nmore\nval_acc: 1\n",
            };
            assert_eq!(log, want, "{level}, layered: {layered}");
        }
    }
}

fn the_disk_limit_counts_the_upper_layer() {
    for scene in scenes() {
        let large = "x".repeat(6 << 20);
        let files = [FILES[0], FILES[1], ("large.bin", large.as_str(), false)];
        let run = |name: &str, command: &str| {
            let mut order = scene.order(name, &format!("{command}; echo val_acc: 1"), &files);
            order.limits.disk_bytes = Some(4 << 20);
            scene.carry_out(&order).ending
        };
        assert_eq!(
            run("reads", "cat large.bin > /dev/null; sleep 3"),
            Ending::Finished,
            "it lay there before"
        );
        let adds = run("adds", "for n in 1 2 3; do head -c 3000000 /dev/zero > part$n; done; sleep 600");
        assert_eq!(adds, Ending::DiskFull);
    }
}

fn caches_are_read_only() {
    for scene in scenes() {
        let cache = |name: &str, writable| Cache { name: name.to_owned(), writable };
        let mut order = scene.order(
            "caches",
            "cat $WINDLASS_CACHES/wheels/torch; echo 1 > $WINDLASS_CACHES/own/mine; echo val_acc: 1",
            FILES,
        );
        order.setup = setup("echo wheel > $WINDLASS_CACHES/wheels/torch");
        order.caches = vec![cache("wheels", false), cache("own", true)];
        let outcome = scene.carry_out(&order);
        assert_eq!((outcome.ending, outcome.flags), (Ending::Finished, vec![Flag::WritableCache]));
        assert_eq!(scene.coordinator.log(&order.key), "wheel\nval_acc: 1\n");
        let mut next = again(&order, 1);
        next.command =
            "cat $WINDLASS_CACHES/own/mine; (echo 2 > $WINDLASS_CACHES/wheels/torch) 2>&-; echo val_acc: 1"
                .to_owned();
        next.caches = vec![cache("wheels", false), cache("own", false)];
        let outcome = scene.carry_out(&next);
        assert_eq!((outcome.ending, outcome.flags), (Ending::Finished, Vec::new()));
        assert_eq!(scene.coordinator.log(&next.key), "1\nval_acc: 1\n");
        let kept = scene.work().join("caches").join(order.key.id.campaign.as_str()).join("wheels/torch");
        if scene.is_layered() {
            assert_eq!(fs::read_to_string(kept).expect("a cache"), "wheel\n", "read-only to runs");
        }
    }
}

fn artifacts_are_kept() {
    for scene in scenes() {
        let command = "mkdir ckpt; echo weights > ckpt/last.pt; echo tmp > ckpt/tmp; echo edited >> train.py; echo val_acc: 1";
        let mut run = scene.order("artifacts", command, FILES);
        run.artifacts = vec!["ckpt/*.pt".to_owned(), "train.py".to_owned()];
        let outcome = scene.carry_out(&run);
        let artifacts = outcome.artifacts.expect("kept");
        let file = |path| scene.coordinator.file(artifacts, path);
        assert_eq!(file("ckpt/last.pt").as_deref(), Some("weights\n"));
        assert_eq!((file("train.py").as_deref(), file("ckpt/tmp")), (Some("train\nedited\n"), None));
        // On a worker that never had the run.
        let other = if scene.is_layered() { Scene::new() } else { Scene::copying() };
        let blobs = scene.coordinator.state().blobs.clone();
        *other.coordinator.state() = crate::coordinator::State { blobs, ..Default::default() };
        other.coordinator.state().logs.insert(run.key.clone(), b"val_acc: 1\n".to_vec());
        let results = other.coordinator.tree(&[]);
        let script = "cat ckpt/last.pt train.py lib/data.txt; ls ckpt/tmp || true";
        let mut analysis = scene.analysis(&run, Some(results), &[("see.sh", script, "see.txt")]);
        other.coordinator.state().blobs.extend(scene.coordinator.state().blobs.clone());
        analysis.run_artifacts = Some(artifacts);
        let seen = other.carry_out(&analysis).results.expect("results");
        assert_eq!(
            other.coordinator.file(seen, "see.txt").as_deref(),
            Some("weights\ntrain\nedited\ndata\n")
        );
    }
}
