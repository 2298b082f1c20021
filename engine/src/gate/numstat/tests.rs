//! Figures, fingerprints and diffs of changes.

use super::*;
use crate::gate::patch::Patch;
use proptest::prelude::*;
use windlass_shared::path::TreePath;

/// A tree of `(name, content)`; `name*` is executable, `name>` a link to its content.
fn tree(files: &[(&str, &[u8])], contents: &mut Contents) -> Manifest {
    let mut node = |&(name, bytes): &(&str, &[u8])| {
        let path = TreePath::parse(name.trim_end_matches(['*', '>'])).expect(name);
        if name.ends_with('>') {
            return (path, Node::Link { target: String::from_utf8(bytes.to_vec()).expect("target") });
        }
        let digest = Digest::of(bytes);
        contents.insert(digest, bytes.to_vec());
        (path, Node::File { digest, executable: name.ends_with('*') })
    };
    Manifest { entries: files.iter().map(&mut node).collect() }
}

type Files<'a> = &'a [(&'a str, &'a [u8])];

#[track_caller]
fn check_net(base: Files<'_>, changed: Files<'_>, want: i64) {
    let mut contents = Contents::new();
    let [base, changed] = [base, changed].map(|files| tree(files, &mut contents));
    let editable = Editable::new(&["src/".to_owned()]).expect("patterns");
    let needed = blobs_needed(&base, &changed);
    contents.retain(|digest, _| needed.contains(digest));
    assert_eq!(net_lines(&base, &changed, &editable, &contents), want);
}

#[test]
fn p26_net_lines_are_those_of_numstat_without_blank_ones() {
    check_net(&[("src/a", b"1\n2\n")], &[("src/a", b"1\n2\n3\n")], 1);
    check_net(&[("src/a", b"1\n2\n3")], &[("src/a", b"1\n")], -2);
    check_net(&[("src/a", b"1\n2\n")], &[("src/a", b"x\ny\n")], 0);
    check_net(&[("src/a", b"1\n")], &[("src/a", b"1\n\n  \t\r\n\n")], 0);
    check_net(&[("src/a", b"1\n2\n")], &[], -2);
    check_net(&[], &[("src/a", b"1\n2")], 2);
    check_net(&[("src/a", b"1")], &[("src/a*", b"1")], 0);
    check_net(&[("src/a", b"1\n"), ("README", b"1\n")], &[("src/a", b"1\n"), ("README", b"1\n2\n")], 0);
    check_net(&[("src/a", b"1\n2\n")], &[("src/a", b"\0\n1\n2\n3\n")], 0);
    check_net(&[], &[("src/a>", b"b")], 1);
}

fn fingerprint(base: Files<'_>, changed: Files<'_>) -> Hash {
    let mut contents = Contents::new();
    let [base, changed] = [base, changed].map(|files| tree(files, &mut contents));
    normalised_diff(&base, &changed, &contents)
}

#[test]
fn p10_the_same_change_elsewhere_has_the_same_fingerprint() {
    let plain = fingerprint(&[("a", b"1\nx\n2\n")], &[("a", b"1\ny\n2\n")]);
    for (base, changed) in [
        (&b"0\n1\nx\n3\n"[..], &b"0\n1\ny\n3\n"[..]),
        (b"x\n", b"y\n"),
        (b"1\nx\n2\n", b"1\ny  \t\n2\n"),
        (b"1\nx\n2\n", b"1\n\n\ny\r\n  \n2\n"),
        (b"1\nx\n2", b"1\ny\n2"),
        (b"1\nx\n2\n", b"1\ny\n2\n\n"),
    ] {
        assert_eq!(fingerprint(&[("a", base)], &[("a", changed)]), plain, "{base:?} {changed:?}");
    }
    let beside = fingerprint(&[("a", b"x\n"), ("b", b"1\n")], &[("a", b"y\n"), ("b", b"1 \n\n")]);
    assert_eq!(beside, plain, "a file in which only blanks changed");
}

#[test]
fn p10_another_change_has_another_fingerprint() {
    let changes: [(Files<'_>, Files<'_>); 9] = [
        (&[("a", b"x\n")], &[("a", b"y\n")]),
        (&[("b", b"x\n")], &[("b", b"y\n")]),
        (&[("a", b"y\n")], &[("a", b"x\n")]),
        (&[("a", b"x\n")], &[("a", b" y\n")]),
        (&[("a", b"x\n")], &[("a*", b"y\n")]),
        (&[("a", b"x\n")], &[("a*", b"x\n")]),
        (&[("a", b"x\n")], &[]),
        (&[], &[("a", b"y\n")]),
        (&[("a", b"x\0")], &[("a", b"y\0")]),
    ];
    let hashes: BTreeSet<String> =
        changes.iter().map(|(base, changed)| fingerprint(base, changed).to_string()).collect();
    assert_eq!(hashes.len(), changes.len());
}

#[track_caller]
fn check_round_trip(base: Files<'_>, changed: Files<'_>) -> String {
    let mut contents = Contents::new();
    let [base, changed] = [base, changed].map(|files| tree(files, &mut contents));
    let diff = unified_bytes(&base, &changed, &contents);
    let shown = String::from_utf8_lossy(&diff).into_owned();
    let patch = Patch::parse(&diff).unwrap_or_else(|refusal| panic!("{refusal}\n{shown}"));
    assert_eq!(patch.paths(), changed_paths(&base, &changed), "{shown}");
    let needed = patch.blobs_needed(&base);
    let given: Contents = contents.into_iter().filter(|(digest, _)| needed.contains(digest)).collect();
    let applied = patch.apply(&base, &given).unwrap_or_else(|refusal| panic!("{refusal}\n{shown}"));
    assert_eq!(applied.manifest, changed, "{shown}");
    shown
}

#[test]
fn p5_a_diff_of_ours_applies_again() {
    let shown = check_round_trip(&[("a", b"1\n2\n3\n4\n5\n")], &[("a", b"1\n2\n3\n4\nfive\n")]);
    assert_eq!(shown, "diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -2,4 +2,4 @@\n 2\n 3\n 4\n-5\n+five\n");
    check_round_trip(&[("a", b"1\n2")], &[("a", b"1\n2\n")]);
    check_round_trip(&[("a", b"1\n2\n")], &[("a", b"1\n2")]);
    check_round_trip(&[("a", b"1\r\n2\r\n")], &[("a", b"1\r\n2\n")]);
    check_round_trip(&[("a", b"caf\xe9\n")], &[("a", b"th\xe9\n")]);
    check_round_trip(&[], &[("a", b""), ("b*", b"x\n"), ("c>", b"a"), ("d", b"no newline")]);
    check_round_trip(&[("a", b""), ("b*", b"x\n"), ("c>", b"a"), ("d", b"no newline")], &[]);
    check_round_trip(&[("a", b"1\n"), ("b", b"1\n")], &[("a*", b"1\n"), ("b*", b"2\n")]);
    check_round_trip(&[("a", b"1\n"), ("b>", b"a")], &[("a>", b"b"), ("b", b"1\n")]);
    check_round_trip(&[("a>", b"b")], &[("a>", b"c")]);
    check_round_trip(
        &[("my file", b"1\n"), ("b/a b", b"1\n"), ("\u{fc} \"q\"", b"1\n")],
        &[("my file", b"2\n"), ("b/a b*", b"1\n"), ("\u{fc} \"q\"", b"2\n"), ("x b/x", b"")],
    );
    check_round_trip(&[("q", b"-- x\n++ y\n")], &[("q", b"++ y\n-- x\n")]);
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        Just(&b"a\n"[..]),
        Just(&b"b\n"[..]),
        Just(&b"b\r\n"[..]),
        Just(&b"\n"[..]),
        Just(&b"\r\n"[..]),
        Just(&b"-- x\n"[..]),
        Just(&b"++ y\n"[..]),
        Just(&b"@@ -1 +1 @@\n"[..]),
        Just(&b"\\ No newline at end of file\n"[..]),
        Just(&b"\xff\n"[..]),
    ];
    let end = prop_oneof![Just(&b""[..]), Just(&b"a"[..]), Just(&b"\r"[..]), Just(&b" "[..])];
    (proptest::collection::vec(line, 0..20), end)
        .prop_map(|(lines, end)| [lines.concat(), end.to_vec()].concat())
}

proptest! {
    #[test]
    fn p5_every_diff_of_ours_applies_again(a in text(), b in text(), c in text()) {
        prop_assume!(a != b || c != a);
        check_round_trip(&[("a", &a), ("b/c", &c)], &[("a", &b), ("b/c", &a)]);
        if !a.is_empty() {
            check_round_trip(&[("a", &a)], &[("n", &a)]);
        }
    }

    #[test]
    fn p26_net_lines_of_a_change_and_its_reverse_cancel(a in text(), b in text()) {
        let mut contents = Contents::new();
        let [base, changed] = [&a, &b].map(|bytes| tree(&[("a", bytes.as_slice())], &mut contents));
        let editable = Editable::new(&["a".to_owned()]).expect("patterns");
        let there = net_lines(&base, &changed, &editable, &contents);
        prop_assert_eq!(there, -net_lines(&changed, &base, &editable, &contents));
    }
}
