//! Paths and manifests (P3): a path that is accepted never leaves its root, and a tree that the guard
//! accepts can be laid out so that no path and no link of it leads out.

use crate::bytes::Bytes;
use std::fs;
use std::path::Path;
use unicode_normalization::UnicodeNormalization;
use windlass_engine::gate::guard;
use windlass_shared::digest::Digest;
use windlass_shared::path::{NAME_MAX_BYTES, PATH_MAX_BYTES, TreePath};
use windlass_shared::tree::{Manifest, Node, TreeChange};

/// Entries of a tree that is made up.
const ENTRIES_MAX: usize = 12;
/// What paths and targets are made of.
const PARTS: [&str; 14] =
    ["a", "b", "A", "..", ".", "", "a/b", "é", "e\u{301}", "ß", "SS", "link", ".git", "up"];

/// The first byte says whether the rest is a path, a manifest's JSON, or choices that make up a tree.
pub(crate) fn check(data: &[u8]) {
    let mut input = Bytes::new(data);
    match input.byte() % 3 {
        0 => str::from_utf8(input.rest()).into_iter().for_each(path),
        1 => {
            let bytes = input.rest();
            Manifest::from_bytes(bytes).into_iter().for_each(|tree| manifest(&tree));
            TreeChange::from_bytes(bytes).into_iter().for_each(|change| manifest(&change.make_of(tree())));
        }
        _ => {
            let tree = made_up(input);
            change(&tree);
            manifest(&tree);
        }
    }
}

fn path(text: &str) {
    let Ok(path) = TreePath::parse(text) else { return };
    is_inside(path.as_str());
    assert_eq!(TreePath::parse(path.as_str()).as_ref(), Ok(&path), "parse after print");
    let folded = path.folded();
    let refolded = |text: &str| TreePath::parse(text).map(|path| path.folded()).unwrap_or_default();
    let forms: [String; 5] = [
        path.as_str().nfc().collect(),
        path.as_str().nfd().collect(),
        path.as_str().nfkd().collect(),
        path.as_str().to_lowercase(),
        path.as_str().to_uppercase(),
    ];
    for form in forms.iter().filter(|form| TreePath::parse(form).is_ok_and(|it| it.as_str() == *form)) {
        assert_eq!(
            refolded(form),
            folded,
            "{text:?} and {form:?} are one name where case or form does not count"
        );
    }
}

/// Panics when a path is not one that stays below whatever it is joined to.
pub(crate) fn is_inside(text: &str) {
    assert!(!text.is_empty() && text.len() <= PATH_MAX_BYTES && !text.contains('\0'), "{text:?}");
    for part in text.split('/') {
        assert!(!matches!(part, "" | "." | "..") && part.len() <= NAME_MAX_BYTES, "{text:?}");
    }
}

/// Somewhere to begin.
fn tree() -> Manifest {
    let node = Node::File { digest: Digest::of(b""), executable: false };
    Manifest { entries: [(TreePath::parse("a/b").expect("a path"), node)].into() }
}

/// Each makes the other: a tree and every second entry of it.
fn change(tree: &Manifest) {
    let half = tree.entries.iter().step_by(2).map(|(path, node)| (path.clone(), node.clone()));
    let half = Manifest { entries: half.collect() };
    for (from, to) in [(tree, &half), (&half, tree)] {
        assert_eq!(&TreeChange::between(from, to).make_of(from.clone()), to);
    }
}

fn manifest(tree: &Manifest) {
    let bytes = tree.to_bytes();
    let back = Manifest::from_bytes(&bytes).expect("what was written is read");
    assert_eq!(&back, tree);
    assert_eq!(back.digest(), tree.digest());
    tree.entries.keys().for_each(|path| is_inside(path.as_str()));
    if guard::check_tree(tree).is_ok() && tree.entries.len() <= 2 * ENTRIES_MAX {
        lay_out(tree);
    }
}

/// A tree that the guard accepts, as a worker lays it out: folders, files, links last.
fn lay_out(tree: &Manifest) {
    let dir = tempfile::tempdir().expect("a folder");
    let root = dir.path().canonicalize().expect("its name").join("root");
    let place = |path: &TreePath| root.join(path.as_str());
    fs::create_dir(&root).expect("made");
    let short = |path: &&TreePath| path.as_str().len() < 2000;
    for path in tree.entries.keys().filter(short) {
        fs::create_dir_all(place(path).parent().expect("below the root")).expect("no file stands in its way");
    }
    let nodes = || tree.entries.iter().filter(|(path, _)| short(path));
    for (path, node) in nodes() {
        if matches!(node, Node::File { .. }) {
            fs::write(place(path), path.as_str()).expect("nothing else stands there");
        }
    }
    for (path, node) in nodes() {
        let Node::Link { target } = node else { continue };
        if target.len() < 2000 {
            std::os::unix::fs::symlink(target, place(path)).expect("nothing else stands there");
        }
    }
    for (path, _) in nodes() {
        never_leaves(&root, &place(path));
    }
}

fn never_leaves(root: &Path, path: &Path) {
    if let Ok(end) = path.canonicalize() {
        assert!(end.starts_with(root), "{} leads to {}", path.display(), end.display());
    }
}

fn made_up(mut input: Bytes<'_>) -> Manifest {
    let mut tree = Manifest::default();
    while !input.is_empty() && tree.entries.len() < ENTRIES_MAX {
        let kind = input.byte();
        let joined = |input: &mut Bytes<'_>| {
            let count = input.below(4) + 1;
            (0..count).map(|_| input.pick(&PARTS)).collect::<Vec<_>>().join("/")
        };
        let Ok(path) = TreePath::parse(&joined(&mut input)) else { continue };
        let node = match kind % 2 {
            0 => Node::File { digest: Digest::of(b""), executable: kind >= 128 },
            _ => Node::Link { target: joined(&mut input) },
        };
        tree.entries.insert(path, node);
    }
    tree
}
