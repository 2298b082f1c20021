//! What a follow-up adds to an iteration's results (P22): what lies there stays, byte for byte, but for the
//! outputs that its scripts were to make.

use std::collections::BTreeSet;
use windlass_shared::path::TreePath;
use windlass_shared::tree::Manifest;

/// The results as they were, with what is new in `found`, and with those of `outputs` that are there. A file that
/// would lie in the place of an older folder, or below an older file, is left out.
pub fn added_to(before: Manifest, found: &Manifest, outputs: &BTreeSet<TreePath>) -> Manifest {
    let mut tree = before;
    for output in outputs {
        tree.entries.remove(output);
    }
    let mut folders: BTreeSet<String> = BTreeSet::new();
    for path in tree.entries.keys() {
        folders.extend(above(path).map(str::to_owned));
    }
    for (path, node) in &found.entries {
        let is_below_a_file =
            above(path).any(|folder| TreePath::parse(folder).is_ok_and(|it| tree.entries.contains_key(&it)));
        if tree.entries.contains_key(path) || folders.contains(path.as_str()) || is_below_a_file {
            continue;
        }
        folders.extend(above(path).map(str::to_owned));
        tree.entries.insert(path.clone(), node.clone());
    }
    tree
}

/// The folders above a path.
fn above(path: &TreePath) -> impl Iterator<Item = &str> {
    let path = path.as_str();
    path.match_indices('/').map(move |(at, _)| &path[..at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_shared::digest::Digest;
    use windlass_shared::tree::Node;

    fn tree(files: &[(&str, &str)]) -> Manifest {
        let entry = |(path, bytes): &(&str, &str)| {
            let node = Node::File { digest: Digest::of(bytes.as_bytes()), executable: false };
            (TreePath::parse(path).expect("a path"), node)
        };
        Manifest { entries: files.iter().map(entry).collect() }
    }

    #[test]
    fn p22_a_follow_up_only_adds_to_the_results() {
        let before = tree(&[("curve.tsv", "1"), ("plots/a.svg", "a"), ("seen.tsv", "s")]);
        let outputs = BTreeSet::from([TreePath::parse("late.tsv").expect("a path")]);
        let check = |found: &[(&str, &str)], want: &[(&str, &str)]| {
            assert_eq!(added_to(before.clone(), &tree(found), &outputs), tree(want), "{found:?}");
        };
        let all = [("curve.tsv", "1"), ("plots/a.svg", "a"), ("seen.tsv", "s")];
        check(&[], &all);
        check(&[("curve.tsv", "changed"), ("plots/a.svg", "a")], &all);
        check(
            &[("late.tsv", "new"), ("notes/x.txt", "x")],
            &[all[0], ("late.tsv", "new"), ("notes/x.txt", "x"), all[1], all[2]],
        );
        check(&[("plots", "a file now"), ("seen.tsv/below", "x")], &all);
        // What it was told to make takes the place of what lay there.
        let named = BTreeSet::from([TreePath::parse("seen.tsv").expect("a path")]);
        let made = added_to(before.clone(), &tree(&[("seen.tsv", "anew")]), &named);
        assert_eq!(made, tree(&[("curve.tsv", "1"), ("plots/a.svg", "a"), ("seen.tsv", "anew")]));
    }
}
