//! Merges of texts and of trees.

use super::*;
use proptest::prelude::*;

#[track_caller]
fn check(base: &str, ours: &str, theirs: &str, want: Option<&str>) {
    // One letter is one line.
    let text = |letters: &str| letters.chars().map(|c| format!("{c}\n")).collect::<String>().into_bytes();
    let got = merge_text(&text(base), &text(ours), &text(theirs));
    assert_eq!(got, want.map(text), "{base} {ours} {theirs}");
    assert_eq!(merge_text(&text(base), &text(theirs), &text(ours)), want.map(text), "sides exchanged");
}

#[test]
fn p8_changes_apart_merge_and_changes_that_touch_conflict() {
    check("abcde", "xabcde", "abcdey", Some("xabcdey"));
    check("abcde", "aXcde", "abcYe", Some("aXcYe"));
    check("abcde", "acde", "abcd", Some("acd"));
    check("abcdefg", "aXYZcdefg", "abcdeg", Some("aXYZcdeg"));
    check("abcde", "aXcde", "aYcde", None);
    check("abcde", "aXcde", "abYde", None);
    check("abcde", "abXcde", "abYcde", None);
    check("abcde", "abde", "abXde", None);
    check("abcde", "abXcde", "aYcde", None);
    check("", "a", "b", None);
}

#[test]
fn p8_the_same_change_on_both_sides_is_no_conflict() {
    check("abcde", "aXcde", "aXcde", Some("aXcde"));
    check("abcde", "aXcdZ", "aXcde", Some("aXcdZ"));
    check("abcde", "abcdeN", "WabcdeN", Some("WabcdeN"));
    check("abcde", "ade", "adQ", Some("adQ"));
    check("abcde", "ade", "aQe", None);
}

#[test]
fn p8_bytes_and_last_lines_survive_a_merge() {
    for (base, ours, theirs, want) in [
        ("a\r\nb\r\nc\r\nd", "A\r\nb\r\nc\r\nd", "a\r\nb\r\nc\r\nD", Some("A\r\nb\r\nc\r\nD")),
        ("a\nb\nc", "A\nb\nc", "a\nb\nc\nd\n", Some("A\nb\nc\nd\n")),
        ("a\nb\nc", "a\nb\nc\n", "a\nb\nc\n", Some("a\nb\nc\n")),
        ("a\nb\nc", "a\nb\nc\nx", "a\nb\nc\ny", None),
        ("a\0b", "a\0b\n", "c\0d", None),
        ("a\0b", "a\0b", "c\0d", Some("c\0d")),
    ] {
        let got = merge_text(base.as_bytes(), ours.as_bytes(), theirs.as_bytes());
        assert_eq!(got.as_deref(), want.map(str::as_bytes), "{base:?} {ours:?} {theirs:?}");
    }
}

fn lines() -> impl Strategy<Value = Vec<u8>> {
    (proptest::collection::vec(0..4_u8, 0..14), any::<bool>()).prop_map(|(letters, is_ended)| {
        let mut text: Vec<u8> = letters.iter().flat_map(|letter| [b'a' + letter, b'\n']).collect();
        if !is_ended {
            text.pop();
        }
        text
    })
}

proptest! {
    #[test]
    fn p8_merging_with_the_base_or_with_oneself_is_the_identity(base in lines(), ours in lines()) {
        prop_assert_eq!(merge_text(&base, &ours, &base), Some(ours.clone()));
        prop_assert_eq!(merge_text(&base, &base, &ours), Some(ours.clone()));
        prop_assert_eq!(merge_text(&base, &ours, &ours), Some(ours));
    }

    #[test]
    fn p8_which_side_is_ours_makes_no_difference(base in lines(), ours in lines(), theirs in lines()) {
        prop_assert_eq!(merge_text(&base, &ours, &theirs), merge_text(&base, &theirs, &ours));
    }

    #[test]
    fn p8_edits_with_a_line_between_them_both_survive(
        head in lines(), tail in lines(), new_head in lines(), new_tail in lines(),
    ) {
        let join = |head: &[u8], tail: &[u8]| [head, b"\nthe\nlines\nbetween\n", tail].concat();
        let merged = merge_text(&join(&head, &tail), &join(&new_head, &tail), &join(&head, &new_tail));
        prop_assert_eq!(merged, Some(join(&new_head, &new_tail)));
    }
}

fn path(text: &str) -> TreePath {
    TreePath::parse(text).expect(text)
}

/// `name=content`, `name*=content` when executable, `name>target` for a link; letters are lines.
fn tree(entries: &str, contents: &mut Contents) -> Manifest {
    let mut node = |entry: &str| {
        if let Some((name, target)) = entry.split_once('>') {
            return (path(name), Node::Link { target: target.to_owned() });
        }
        let (name, letters) = entry.split_once('=').expect("name=content");
        let bytes = letters.chars().map(|c| format!("{c}\n")).collect::<String>().into_bytes();
        let digest = Digest::of(&bytes);
        contents.insert(digest, bytes);
        (path(name.trim_end_matches('*')), Node::File { digest, executable: name.ends_with('*') })
    };
    Manifest { entries: entries.split_whitespace().map(&mut node).collect() }
}

#[track_caller]
fn check_trees(base: &str, ours: &str, theirs: &str, want: Result<&str, &[&str]>) {
    let mut all = Contents::new();
    let [base, ours, theirs] = [base, ours, theirs].map(|entries| tree(entries, &mut all));
    let mut given = all.clone();
    let needed = blobs_needed(&base, &ours, &theirs);
    given.retain(|digest, _| needed.contains(digest));
    match (merge_trees(&base, &ours, &theirs, &given), want) {
        (Merge::Clean(applied), Ok(want)) => {
            assert_eq!(applied.manifest, tree(want, &mut all));
            for (digest, bytes) in &applied.blobs {
                assert_eq!(*digest, Digest::of(bytes));
                assert!(!given.contains_key(digest), "only new blobs are handed out");
            }
            let known: Vec<Digest> = [&base, &ours, &theirs].into_iter().flat_map(Manifest::blobs).collect();
            let mut blobs = applied.manifest.blobs();
            assert_eq!(blobs.find(|d| !known.contains(d) && !applied.blobs.contains_key(d)), None);
        }
        (Merge::Conflict(paths), Err(want)) => {
            let paths: Vec<TreePath> = paths.into_iter().map(|clash| clash.file).collect();
            assert_eq!(paths, want.iter().map(|text| path(text)).collect::<Vec<_>>());
        }
        (got, want) => panic!("{got:?}, not {want:?}"),
    }
}

#[test]
fn p8_a_conflict_names_the_lines_of_either_side() {
    let lines = |base: &str, ours: &str, theirs: &str| {
        let text = |letters: &str| letters.chars().map(|c| format!("{c}\n")).collect::<String>().into_bytes();
        merge_lines(&text(base), &text(ours), &text(theirs)).expect_err("a conflict")
    };
    assert_eq!(lines("abcde", "abXde", "abYde"), Some([(3, 3), (3, 3)]));
    assert_eq!(lines("abcde", "xyabXYde", "abde"), Some([(5, 6), (3, 2)]), "one side has nothing left there");
    assert_eq!(lines("abcde", "abXYde", "abcZe"), Some([(3, 5), (3, 4)]), "the whole of what touches");
    assert_eq!(merge_lines(b"\0a", b"\0b", b"\0c"), Err(None), "a binary file conflicts as a whole");
}

#[test]
fn p8_trees_merge_file_by_file_and_then_line_by_line() {
    check_trees("a=1 b=1", "a=2 b=1", "a=1 b=2", Ok("a=2 b=2"));
    check_trees("a=1", "a=1 n=1", "a=1 m=1", Ok("a=1 n=1 m=1"));
    check_trees("a=1 b=1", "b=1", "a=1 b=2", Ok("b=2"));
    check_trees("a=123", "a=x123", "a=123y", Ok("a=x123y"));
    check_trees("a=123", "a*=123", "a=1y3", Ok("a*=1y3"));
    check_trees("a*=123", "a*=x123", "a=123y", Ok("a=x123y"));
    check_trees("a=1 l>a", "a=1 l>b", "a=2 l>a", Ok("a=2 l>b"));
    check_trees("a=1", "a=1 n=7", "a=1 n=7", Ok("a=1 n=7"));
    check_trees("a=1", "", "", Ok(""));
}

#[test]
fn p8_contradicting_files_are_conflicts_by_name() {
    check_trees("a=1 b=1 c=1", "a=2 b=2 c=2", "a=3 b=3 c=1", Err(&["a", "b"]));
    check_trees("a=1", "", "a=2", Err(&["a"]));
    check_trees("a=1", "a=2", "", Err(&["a"]));
    check_trees("", "n=1", "n=2", Err(&["n"]));
    check_trees("l>a", "l>b", "l>c", Err(&["l"]));
    check_trees("a=1", "a>x", "a=2", Err(&["a"]));
    check_trees("", "n=1", "n/m=1", Err(&["n/m"]));
    check_trees("", "n=1", "N=1", Err(&["n"]));
}
