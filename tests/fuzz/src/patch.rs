//! Patches (P5): what is written as a diff applies again and is undone by the diff the other way round; any
//! bytes at all are refused or change only the files that they name; merging with nothing changes nothing.

use crate::bytes::Bytes;
use std::collections::BTreeMap;
use windlass_engine::gate::Contents;
use windlass_engine::gate::merge::merge_text;
use windlass_engine::gate::numstat::{net_lines, normalised_diff, unified_bytes};
use windlass_engine::gate::patch::Patch;
use windlass_engine::gate::{editable::Editable, guard};
use windlass_shared::digest::Digest;
use windlass_shared::path::TreePath;
use windlass_shared::tree::{Manifest, Node};

/// The files of a tree that is made up; one of a name as git quotes it.
const NAMES: [&str; 6] = ["a.py", "lib/b c.py", "new/\"q\".py", "é.py", "run.sh", "link"];
/// What its lines are made of: with everything that a diff itself is made of.
const LINES: [&str; 16] = [
    "x = 1\n",
    "y = 2\n",
    "\n",
    "  \n",
    "x = 1\r\n",
    "no newline",
    "--- a/a.py\n",
    "+++ b/a.py\n",
    "@@ -1 +1 @@\n",
    "-- \n",
    "\\ No newline at end of file\n",
    "diff --git a/a.py b/a.py\n",
    "-x\n",
    "+x\n",
    "é\u{2028}\n",
    "same\n",
];
/// Lines of one file.
const FILE_LINES_MAX: usize = 40;

/// The first byte says whether the rest is a patch, or choices that make up two trees.
pub(crate) fn check(data: &[u8]) {
    let mut input = Bytes::new(data);
    if input.byte().is_multiple_of(2) {
        return foreign(input.rest());
    }
    let mut contents = Contents::new();
    let base = made_up(&mut input, &mut contents);
    let changed = altered(&base, &mut input, &mut contents);
    there_and_back(&base, &changed, &contents);
    let texts: Vec<&[u8]> = contents.values().take(3).map(Vec::as_slice).collect();
    for a in &texts {
        for b in &texts {
            assert_eq!(merge_text(a, a, b).as_deref(), Some(*b), "only theirs changed");
            assert_eq!(merge_text(a, b, a).as_deref(), Some(*b), "only ours changed");
            assert_eq!(merge_text(a, b, b).as_deref(), Some(*b), "both made the same change");
        }
    }
}

fn there_and_back(base: &Manifest, changed: &Manifest, contents: &Contents) {
    for (from, to) in [(base, changed), (changed, base)] {
        let text = unified_bytes(from, to, contents);
        if text.is_empty() {
            assert_eq!(from, to, "no diff, no change");
            continue;
        }
        let shown = || String::from_utf8_lossy(&text).into_owned();
        let patch = Patch::parse(&text).unwrap_or_else(|refusal| panic!("{refusal}\n{}", shown()));
        assert_eq!(patch.paths(), guard::changed_paths(from, to), "{}", shown());
        let applied = patch.apply(from, contents).unwrap_or_else(|refusal| panic!("{refusal}\n{}", shown()));
        assert_eq!(&applied.manifest, to, "{}", shown());
        assert!(applied.blobs.is_empty(), "every blob of it was there");
    }
    let all = Editable::new(&["**".to_owned()]).expect("a pattern");
    assert_eq!(net_lines(base, changed, &all, contents), -net_lines(changed, base, &all, contents));
    assert_eq!(normalised_diff(base, changed, contents), normalised_diff(base, changed, contents));
}

/// Bytes from anywhere against a fixed tree.
fn foreign(bytes: &[u8]) {
    let patch = match Patch::parse(bytes) {
        Ok(patch) => patch,
        Err(refusal) => return assert!(refusal.to_string().len() < 10_000, "{refusal}"),
    };
    let mut contents = Contents::new();
    let texts =
        [("a.py", "x = 1\ny = 2\n\nx = 1\n"), ("lib/b c.py", "one\r\ntwo"), ("run.sh", "same\nsame\nsame\n")];
    let mut base = Manifest::default();
    for (name, text) in texts {
        let digest = hold(&mut contents, text.as_bytes().to_vec());
        base.entries.insert(path(name), Node::File { digest, executable: name == "run.sh" });
    }
    base.entries.insert(path("link"), Node::Link { target: "a.py".to_owned() });
    patch.paths().iter().for_each(|path| crate::paths::is_inside(path.as_str()));
    let applied = match patch.apply(&base, &contents) {
        Ok(applied) => applied,
        Err(refusal) => return assert!(refusal.to_string().len() < 10_000, "{refusal}"),
    };
    let named = patch.paths();
    let touched = guard::changed_paths(&base, &applied.manifest);
    assert!(touched.iter().all(|path| named.contains(path)), "only what it names: {touched:?} of {named:?}");
    assert!(applied.blobs.iter().all(|(digest, bytes)| Digest::of(bytes) == *digest));
    contents.extend(applied.blobs);
    let known = |node: &Node| match node {
        Node::File { digest, .. } => digest.size_bytes == 0 || contents.contains_key(digest),
        Node::Link { .. } => true,
    };
    assert!(applied.manifest.entries.values().all(known), "the tree is whole");
    // Two names for one place make no tree; the guard refuses it before anything is laid out or undone.
    if guard::check_tree(&applied.manifest).is_ok() {
        let is_text = |bytes: &Vec<u8>| !bytes.contains(&0);
        if contents.values().all(is_text) {
            there_and_back(&base, &applied.manifest, &contents);
        }
    }
}

fn path(name: &str) -> TreePath {
    TreePath::parse(name).expect("a path")
}

fn hold(contents: &mut Contents, bytes: Vec<u8>) -> Digest {
    let digest = Digest::of(&bytes);
    contents.insert(digest, bytes);
    digest
}

fn text(input: &mut Bytes<'_>) -> Vec<u8> {
    let count = input.below(FILE_LINES_MAX);
    (0..count).flat_map(|_| input.pick(&LINES).bytes()).collect()
}

fn node(input: &mut Bytes<'_>, contents: &mut Contents) -> Node {
    match input.below(8) {
        0 => Node::Link { target: input.pick(&NAMES).to_owned() },
        kind => Node::File { digest: hold(contents, text(input)), executable: kind == 1 },
    }
}

fn made_up(input: &mut Bytes<'_>, contents: &mut Contents) -> Manifest {
    let mut entries = BTreeMap::new();
    for name in NAMES {
        if input.byte() % 4 != 3 {
            entries.insert(path(name), node(input, contents));
        }
    }
    Manifest { entries }
}

/// The tree with some files gone, some new, some with other lines.
fn altered(base: &Manifest, input: &mut Bytes<'_>, contents: &mut Contents) -> Manifest {
    let mut changed = base.clone();
    for name in NAMES {
        let path = path(name);
        match input.byte() % 5 {
            0 => {}
            1 => drop(changed.entries.remove(&path)),
            2 => drop(changed.entries.insert(path, node(input, contents))),
            _ => {
                let Some(Node::File { digest, executable }) = changed.entries.get(&path).cloned() else {
                    continue;
                };
                let old = contents.get(&digest).cloned().unwrap_or_default();
                let mut lines: Vec<Vec<u8>> =
                    old.split_inclusive(|&b| b == b'\n').map(<[u8]>::to_vec).collect();
                for _ in 0..input.below(4) {
                    let at = input.below(lines.len() + 1);
                    match input.byte() % 3 {
                        0 => lines.insert(at, input.pick(&LINES).as_bytes().to_vec()),
                        1 if at < lines.len() => drop(lines.remove(at)),
                        _ if at < lines.len() => lines[at] = input.pick(&LINES).as_bytes().to_vec(),
                        _ => {}
                    }
                }
                let digest = hold(contents, lines.concat());
                changed.entries.insert(path, Node::File { digest, executable });
            }
        }
    }
    changed
}
