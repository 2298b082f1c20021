//! Input that nobody meant to send: results that cannot be kept, trees of 100,000 files and of paths too long,
//! blobs that are not their digest. Each has its typed ending and a sentence that helps.

use crate::Test;
use crate::scene::{FILES, Scene};
use crate::support::{wait_at_most, wait_for};
use std::collections::BTreeMap;
use std::time::Duration;
use windlass_shared::attempt::{Ending, Order, Outcome, Phase};
use windlass_shared::digest::Digest;
use windlass_shared::path::TreePath;
use windlass_shared::session::{Stop, StopReason};
use windlass_shared::tree::{Manifest, Node};

pub const TESTS: &[Test] = &[
    ("results_that_cannot_be_kept_are_named_beside_the_outcome", what_cannot_be_kept),
    ("i16_a_blob_that_is_not_its_digest_is_never_run", a_blob_that_is_not_its_digest),
    ("a_path_that_is_too_long_here_is_said_and_nothing_is_run", a_path_too_long),
    ("i18_p20_a_run_that_wrecks_the_folder_around_it_ends_and_holds_nobody_up", a_wrecked_folder),
];

/// Writes 100,000 files: not beside tests that measure time.
pub const ALONE: &[Test] = &[("a_tree_of_100_000_files_is_laid_out_and_guarded", a_large_tree)];

fn what_cannot_be_kept() {
    let scene = Scene::new();
    // A device where it may be made, a pipe, a link out, 10 GB of which nothing lies on the disk.
    let command = "cd $WINDLASS_RESULTS; mknod device c 1 5 2> /dev/null || mkfifo device; mkfifo pipe; \
                   ln -s /etc/passwd link; truncate -s 10G large; echo kept > small; echo val_acc: 0.5";
    let outcome = scene.carry_out(&scene.order("kept", command, FILES));
    assert_eq!(outcome.ending, Ending::Finished);
    assert_eq!(outcome.reading.as_ref().and_then(|it| it.value()).expect("a metric").to_string(), "0.5");
    let mut said = outcome.left_out.clone();
    said.sort();
    let is_root = rustix::process::getuid().is_root();
    let device = if said[0].contains("a device") && is_root { "a device" } else { "a pipe" };
    assert_eq!(
        said,
        [
            format!("\"device\" is {device}, not a regular file"),
            "\"large\" is past the 4 GiB that are kept of results".to_owned(),
            "\"link\" is a link, not a regular file".to_owned(),
            "\"pipe\" is a pipe, not a regular file".to_owned(),
        ]
    );
    let results = outcome.results.expect("results");
    assert_eq!(scene.coordinator.file(results, "small").as_deref(), Some("kept\n"));
    assert_eq!(scene.coordinator.file(results, "large"), None);
}

fn infra(outcome: &Outcome) -> &str {
    match &outcome.ending {
        Ending::Infra { detail } => detail,
        ending => panic!("{ending:?}"),
    }
}

fn a_blob_that_is_not_its_digest() {
    let scene = Scene::new();
    let mark = "touch $MARKS/ran; echo val_acc: 0.5";
    let order = scene.order("flipped", mark, &[("train.py", "the true bytes", false)]);
    let digest = Digest::of(b"the true bytes");
    scene.coordinator.state().blobs.insert(digest.to_string(), b"the false byte".to_vec());
    let outcome = scene.carry_out(&order);
    let said = infra(&outcome);
    assert!(
        said.contains(&digest.to_string()) && said.contains("its bytes are not what its name says"),
        "{said}"
    );
    assert!(!scene.mark("ran").exists());
    // The positive control: the true bytes are run.
    scene.coordinator.blob(b"the true bytes");
    let again = scene.order("mended", mark, &[("train.py", "the true bytes", false)]);
    assert_eq!(scene.carry_out(&again).ending, Ending::Finished);
    assert!(scene.mark("ran").exists());
}

/// An order for a run on a tree of these paths, all with the same bytes.
fn on_tree(scene: &Scene, name: &str, command: &str, paths: impl Iterator<Item = String>) -> Order {
    let node = Node::File { digest: scene.coordinator.blob(b"x"), executable: false };
    let path = |path: String| TreePath::parse(&path).expect("a path");
    let entries: BTreeMap<TreePath, Node> = paths.map(|one| (path(one), node.clone())).collect();
    let tree = scene.coordinator.blob(&Manifest { entries }.to_bytes());
    Order { tree, ..scene.order(name, command, FILES) }
}

fn a_path_too_long() {
    let scene = Scene::new();
    let long = |names: usize, last: usize| {
        let folders = vec!["d".repeat(255); names].join("/");
        format!("{folders}/{}", "f".repeat(last))
    };
    // As long as a path of a tree may be, so that its folders fit below the work folder, but not it itself; and
    // one whose folders do not fit.
    let deep = format!("{}/f", long(15, 250));
    for path in [long(15, 255), deep] {
        let name = format!("long-{}", path.len());
        let outcome = scene.carry_out(&on_tree(&scene, &name, "true", std::iter::once(path)));
        let said = infra(&outcome);
        assert!(said.contains("bytes is too long for this worker") && said.len() < 300, "{said}");
        assert!(said.contains("--work-dir"), "{said}");
    }
    // The positive control: the longest name, and a path of some thousand bytes.
    let command = "cat $(find . -name 'fff*') && echo && echo val_acc: 0.5";
    let outcome = scene.carry_out(&on_tree(&scene, "fits", command, std::iter::once(long(8, 255))));
    assert_eq!(outcome.ending, Ending::Finished, "{outcome:?}");
}

fn a_large_tree() {
    /// Each step, on a disk that is a hundred times as slow as a quiet one.
    const PATIENCE: Duration = Duration::from_secs(20 * 60);
    let scene = Scene::new();
    let command = "find . -type f | wc -l; chmod u+w d7/f7; echo y > d7/f7; echo val_acc: 0.5";
    let paths = (0..100_000).map(|n| format!("d{}/f{n}", n % 250));
    let mut order = on_tree(&scene, "large", command, paths);
    (order.soft_limit_ms, order.hard_limit_ms) = (3_600_000, 7_200_000);
    scene.lease(&order);
    let phase = || scene.coordinator.phase(&order.key);
    wait_at_most(PATIENCE, "its tree to be laid out", || {
        phase().filter(|phase| matches!(phase, Phase::Running { .. } | Phase::Ended(_)))
    });
    let outcome = wait_at_most(PATIENCE, "its end", || scene.coordinator.outcome(&order.key));
    assert_eq!(outcome.ending, Ending::Finished);
    assert_eq!(scene.coordinator.log(&order.key), "100000\nval_acc: 0.5\n");
    assert_eq!(outcome.frozen_changed.as_ref().map(TreePath::as_str), Some("d7/f7"));
    scene.acknowledge(&order.key);
}

/// What a run does to the folder around its own, and how it ends.
const WRECKS: [(&str, &str, &str); 7] = [
    ("endless", "rm ../run.log; ln -s /dev/zero ../run.log", "no metric"),
    ("piped", "rm ../run.log; mkfifo ../run.log", "no metric"),
    ("gone", "rm ../run.log", "no metric"),
    ("nested", "rm ../run.log; mkdir -p ../run.log/more", "no metric"),
    ("hollow", "truncate -s 1T ../run.log", "damaged"),
    (
        "placed",
        "for name in exit outcome; do for end in json new; do mkdir -p ../$name.$end/more; done; done
         rm -f ../telemetry.tsv; mkfifo ../telemetry.tsv ../telemetry.tsv.new; ln -s /dev/zero ../layers.new",
        "a metric",
    ),
    ("removed", "cd /; rm -rf \"$(dirname \"$WINDLASS_RESULTS\")\"", "no metric"),
];

fn a_wrecked_folder() {
    // Copied workspaces: a folder with a mount in it is not removed by what sees the mount.
    let scene = Scene::copying();
    for (name, wreck, want) in WRECKS {
        let order = scene.order(name, &format!("echo val_acc: 0.5; {wreck}; exit 0"), FILES);
        let outcome = scene.carry_out(&order);
        match want {
            "damaged" => {
                assert_eq!(infra(&outcome), "run.log is damaged: not what the run printed", "{name}")
            }
            _ => assert_eq!(outcome.ending, Ending::Finished, "{name}: {outcome:?}"),
        }
        let value = outcome.reading.as_ref().and_then(|reading| reading.value());
        assert_eq!(value.is_some(), want == "a metric", "{name}: {outcome:?}");
        assert!(scene.coordinator.log(&order.key).len() < 80 << 20, "{name}");
    }
    // One that cannot be told to end is ended all the same.
    for (name, wreck) in [("deaf", "rm ../control"), ("misled", "rm ../control; touch ../control")] {
        let mut order = scene.order(name, &format!("{wreck}; echo > $MARKS/{name}; sleep 3600"), FILES);
        (order.soft_limit_ms, order.hard_limit_ms) = (3_600_000, 7_200_000);
        scene.lease(&order);
        wait_for("it to begin", || scene.mark(name).exists().then_some(()));
        let stop = Stop { key: order.key.clone(), reason: StopReason::Cancelled };
        scene.coordinator.want(|state| state.stop.push(stop));
        assert_eq!(scene.outcome(&order.key).ending, Ending::Lost, "{name}");
        scene.acknowledge(&order.key);
    }
    // And whoever comes next runs as ever.
    let next = scene.order("next", "echo val_acc: 0.5", FILES);
    assert_eq!(scene.carry_out(&next).ending, Ending::Finished);
}
