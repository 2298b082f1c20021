//! Trees that lie ready: shared, layered, checked, evicted.

use super::*;
use crate::workspace::{Below, Layers, frozen_changed_below, frozen_touched};
use std::os::unix::fs::PermissionsExt;
use windlass_shared::tree::Node;

struct Scene {
    dir: tempfile::TempDir,
    cache: Cache,
    trees: Trees,
    editable: Vec<String>,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let cache = Cache::open(&dir.path().join("blobs")).expect("a cache");
        let trees = Trees::open(&dir.path().join("trees")).expect("a store");
        Self { dir, cache, trees, editable: vec!["train.py".to_owned()] }
    }

    fn manifest(&self, files: &[(&str, &str)]) -> Manifest {
        let mut manifest = Manifest::default();
        for (path, text) in files {
            let digest = Digest::of(text.as_bytes());
            self.cache.insert(&digest, text.as_bytes()).expect("a blob");
            let node = Node::File { digest, executable: false };
            manifest.entries.insert(TreePath::parse(path).expect("a path"), node);
        }
        manifest
    }

    /// The layers of a tree, and how many entries had to be laid for it.
    fn get(&self, manifest: &Manifest) -> (Vec<PathBuf>, usize) {
        match self.trees.look(manifest.digest(), manifest, &self.editable).expect("a look") {
            Standing::Ready(layers) => (layers, 0),
            Standing::Missing(missing) => {
                let editable = Editable::new(&self.editable).expect("patterns");
                let layers = self.trees.lay(&self.cache, &missing, manifest, &editable).expect("laid out");
                (layers, missing.entries.entries.len())
            }
        }
    }

    #[track_caller]
    fn check_seen(&self, layers: &[PathBuf], manifest: &Manifest) {
        let mut seen = Vec::new();
        let note = |path: &str, real: &Path, _: &fs::Metadata| {
            seen.push((path.to_owned(), fs::read(real).expect("a file")));
            Ok(())
        };
        Layers(layers.to_vec()).walk(note).expect("readable");
        seen.sort();
        let want = manifest.entries.iter().map(|(path, node)| match node {
            Node::File { digest, .. } => (path.to_string(), self.cache.read(digest).expect("a blob")),
            Node::Link { .. } => panic!("no links here"),
        });
        assert_eq!(seen, want.collect::<Vec<_>>());
    }

    fn ago(&self, layer: &Path, since: Duration) {
        let used = File::options().write(true).open(layer.with_file_name("used")).expect("noted");
        used.set_modified(SystemTime::now() - since).expect("a time");
    }
}

/// Paths and texts.
type Files = Vec<(String, String)>;

/// A thousand files, of which the five last are edited in the second tree.
fn large() -> (Files, Files) {
    let base: Vec<_> = (0..1000).map(|n| (format!("src/{}/f{n}.py", n % 40), format!("file {n}"))).collect();
    let mut edited = base.clone();
    for (_, text) in edited.iter_mut().rev().take(5) {
        text.push_str(", edited");
    }
    (base, edited)
}

fn refs(files: &[(String, String)]) -> Vec<(&str, &str)> {
    files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect()
}

#[test]
fn a_tree_is_laid_once_and_a_small_edit_lays_what_was_edited() {
    let scene = Scene::new();
    let (base, edited) = large();
    let (base, edited) = (scene.manifest(&refs(&base)), scene.manifest(&refs(&edited)));
    let (layers, laid) = scene.get(&base);
    assert_eq!((layers.len(), laid), (1, 1000));
    assert_eq!(scene.get(&base), (layers.clone(), 0), "shared");
    let (above, laid) = scene.get(&edited);
    assert_eq!((above.len(), laid), (2, 5));
    assert_eq!(above[1], layers[0]);
    scene.check_seen(&layers, &base);
    scene.check_seen(&above, &edited);
    assert_eq!(scene.get(&edited), (above, 0));
}

#[test]
fn a_layer_shows_exactly_its_tree_whatever_was_removed_or_replaced() {
    let check = |change: &[&str], add: &[(&str, &str)]| {
        let scene = Scene::new();
        let all = [("a", "a"), ("d/e", "e"), ("d/f/g", "g"), ("d/f/h", "h"), ("train.py", "t")];
        let base = scene.manifest(&all);
        scene.get(&base);
        let kept = all.iter().filter(|(path, _)| !change.contains(path)).chain(add).copied();
        let changed = scene.manifest(&kept.collect::<Vec<_>>());
        let (layers, _) = scene.get(&changed);
        assert_eq!(layers.len(), 2);
        scene.check_seen(&layers, &changed);
        // A folder that nothing is left in is not there either.
        for folder in ["d", "d/f"] {
            let has = changed.entries.keys().any(|path| path.as_str().starts_with(&format!("{folder}/")));
            let above = layers[0].join(folder);
            assert!(has || !above.is_dir(), "{folder}");
        }
    };
    check(&["a"], &[]);
    check(&["d/f/g"], &[]);
    check(&["d/f/g", "d/f/h"], &[]);
    check(&["d/e", "d/f/g", "d/f/h"], &[]);
    check(&["a"], &[("a/b", "a file became a folder")]);
    check(&["d/f/g", "d/f/h"], &[("d/f", "a folder became a file")]);
    check(&["d/e", "d/f/g", "d/f/h"], &[("d", "so did its parent")]);
}

#[test]
fn i16_a_tree_that_somebody_changed_is_laid_anew() {
    let check = |harm: fn(&Path)| {
        let scene = Scene::new();
        let manifest = scene.manifest(&[("lib/eval.py", "eval"), ("train.py", "t")]);
        let (layers, _) = scene.get(&manifest);
        assert_eq!(scene.get(&manifest), (layers.clone(), 0), "the positive control");
        harm(&layers[0]);
        let (anew, laid) = scene.get(&manifest);
        assert_eq!(laid, 2);
        assert_ne!(anew, layers);
        scene.check_seen(&anew, &manifest);
    };
    check(|layer| {
        let path = layer.join("train.py");
        let before = fs::metadata(&path).expect("a file").modified().expect("a time");
        fs::write(&path, "u").expect("a flipped bit");
        // The time of the last write can be set back; that it was set cannot.
        File::options().write(true).open(&path).expect("a file").set_modified(before).expect("a time");
    });
    check(|layer| fs::write(layer.join("lib/more.py"), "").expect("a file"));
    check(|layer| fs::remove_file(layer.join("lib/eval.py")).expect("a file"));
    check(|layer| {
        fs::set_permissions(layer.join("lib/eval.py"), fs::Permissions::from_mode(0o600)).expect("a mode");
    });
    check(|layer| fs::remove_dir_all(layer).expect("a folder"));
}

#[test]
fn i11_a_frozen_file_changed_below_a_run_is_named_and_a_touched_one_is_not_blamed() {
    let scene = Scene::new();
    let manifest = scene.manifest(&[("lib/eval.py", "eval"), ("train.py", "t")]);
    let editable = Editable::new(&scene.editable).expect("patterns");
    let upper = scene.dir.path().join("upper");
    fs::create_dir(&upper).expect("a folder");
    let check = |layer: &[PathBuf], want: Option<&str>| {
        let below = Below { trees: layer.to_vec(), setup: None };
        let changed = || frozen_changed_below(&manifest, &editable, &below).expect("readable");
        let touched = frozen_touched(&manifest, &editable, &upper).or_else(changed);
        assert_eq!(touched.as_ref().map(TreePath::as_str), want);
    };
    let (layers, _) = scene.get(&manifest);
    check(&layers, None);
    File::options()
        .append(true)
        .open(layers[0].join("lib/eval.py"))
        .expect("a file")
        .set_modified(SystemTime::now())
        .expect("a time");
    check(&layers, None);
    let (anew, laid) = scene.get(&manifest);
    assert_eq!(laid, 2, "what was changed is not used again");
    let frozen = anew[0].join("lib/eval.py");
    fs::set_permissions(&frozen, fs::Permissions::from_mode(0o644)).expect("a mode");
    fs::write(&frozen, "evil").expect("a file");
    check(&anew, Some("lib/eval.py"));
    let (third, _) = scene.get(&manifest);
    fs::create_dir(upper.join("lib")).expect("a folder");
    check(&third, None);
    // Edited and reverted: the same bytes, but in the run's own layer.
    fs::write(upper.join("lib/eval.py"), "eval").expect("a file");
    check(&third, Some("lib/eval.py"));
}

#[test]
fn unused_trees_go_oldest_first_and_never_what_is_in_use() {
    let scene = Scene::new();
    let (base, edited) = large();
    let (base, edited) = (scene.manifest(&refs(&base)), scene.manifest(&refs(&edited)));
    let (below, _) = scene.get(&base);
    let (above, _) = scene.get(&edited);
    let there = |layers: &[PathBuf]| layers.iter().all(|layer| layer.is_dir());
    let none = BTreeSet::new();
    scene.trees.evict(&none, 0).expect("evicted");
    assert!(there(&above), "just used");
    for layer in &above {
        scene.ago(layer, Duration::from_secs(3600));
    }
    scene.trees.evict(&none, u64::MAX).expect("evicted");
    assert!(there(&above), "neither old nor too much");
    let used = BTreeSet::from([above[0].clone()]);
    scene.trees.evict(&used, 0).expect("evicted");
    assert!(there(&above), "in use, and so is what it lies on");
    scene.trees.evict(&BTreeSet::from([below[0].clone()]), 0).expect("evicted");
    assert!(there(&below) && !above[0].is_dir());
    scene.ago(&below[0], 2 * UNUSED_MAX);
    scene.trees.evict(&none, u64::MAX).expect("evicted");
    assert!(!there(&below), "old");
    let (_, laid) = scene.get(&base);
    assert_eq!(laid, 1000, "and it can be had again");
}
