//! What a run is given beside its workspace, on a whole worker: secrets, data, caches; and what is kept of it.

use crate::Test;
use crate::environment::{FILES, again, mounts, scenes, setup};
use crate::scene::Scene;
use crate::support::wait_for;
use std::fs;
use std::path::{Path, PathBuf};
use windlass_shared::attempt::{Ending, Phase};
use windlass_shared::machine::{Cache, Data, Flag, Isolation};

pub const TESTS: &[Test] = &[
    ("secrets_reach_the_run_and_neither_log_nor_disk", secrets_reach_the_run_alone),
    ("a_secret_that_does_not_come_is_named", a_secret_that_does_not_come_is_named),
    ("data_is_read_only_and_checked_by_its_fingerprint", data_is_checked),
    ("a_run_reaches_no_secret_of_others_and_no_layer_below_its_workspace", a_run_reaches_its_own_alone),
    ("the_disk_limit_counts_what_a_run_adds_and_not_what_lay_ready", the_disk_limit_counts_the_upper_layer),
    ("caches_are_the_setups_to_fill_and_read_only_to_runs", caches_are_read_only),
    ("p21_artifacts_are_kept_and_laid_out_for_an_analysis_elsewhere", artifacts_are_kept),
];

/// Every file below `root` that has these bytes in it.
fn files_with(root: &Path, bytes: &[u8]) -> Vec<PathBuf> {
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
        assert_eq!(files_with(&scene.work(), b"hunter2"), Vec::<PathBuf>::new());
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
            wait_for("its work folder", || scene.work().is_dir().then_some(()));
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
        assert!(matches!(adds, Ending::DiskFull { over: Some(_) }), "{adds:?}");
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
        other.coordinator.state().blobs = blobs;
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
