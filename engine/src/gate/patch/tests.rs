//! Patches as git, diff and people write them, and those that are refused.

use super::*;
use proptest::prelude::*;

/// A tree of `(name, content)`; `name*` is executable.
fn tree(files: &[(&str, &str)], contents: &mut Contents) -> Manifest {
    let mut node = |&(name, text): &(&str, &str)| {
        let path = TreePath::parse(name.trim_end_matches('*')).expect(name);
        let digest = Digest::of(text.as_bytes());
        contents.insert(digest, text.as_bytes().to_vec());
        (path, Node::File { digest, executable: name.ends_with('*') })
    };
    Manifest { entries: files.iter().map(&mut node).collect() }
}

fn outcome(patch: &str, base: &[(&str, &str)]) -> Result<Applied, Refusal> {
    let mut contents = Contents::new();
    let base = tree(base, &mut contents);
    let patch = Patch::parse(patch.as_bytes())?;
    let needed = patch.blobs_needed(&base);
    contents.retain(|digest, _| needed.contains(digest));
    patch.apply(&base, &contents)
}

#[track_caller]
fn check(patch: &str, base: &[(&str, &str)], want: &[(&str, &str)]) {
    let applied = outcome(patch, base).unwrap_or_else(|refusal| panic!("{refusal}\n{patch}"));
    assert_eq!(applied.manifest, tree(want, &mut Contents::new()), "{patch}");
}

#[track_caller]
fn check_refused(patch: &str, base: &[(&str, &str)], at: (&str, Option<u64>), what: &str) {
    match outcome(patch, base) {
        Err(Refusal::Patch { file, line, problem }) => {
            assert_eq!((file.as_str(), line), at, "{problem}");
            assert!(problem.contains(what), "{problem:?} does not say {what:?}");
        }
        other => panic!("{other:?}\n{patch}"),
    }
}

const TEN: &str = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n";

#[test]
fn p5_patches_are_read_as_git_and_diff_write_them() {
    let edit = "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n";
    let after = [("src/m.py", "a\nB\nc\n")];
    for header in [
        "diff --git a/src/m.py b/src/m.py\nindex 1234567..89abcde 100644\n--- a/src/m.py\n+++ b/src/m.py\n",
        "diff --git src/m.py src/m.py\n--- src/m.py\n+++ src/m.py\n",
        "diff --git i/src/m.py w/src/m.py\n--- i/src/m.py\n+++ w/src/m.py\n",
        "--- a/src/m.py\n+++ b/src/m.py\n",
        "--- src/m.py\t2026-01-01 10:00:00\n+++ src/m.py\t2026-01-01 10:00:01\n",
        "--- src/m.py.orig\n+++ src/m.py\n",
        "--- a/src/m.py\r\n+++ b/src/m.py\r\n",
        "From 1234 Mon Sep 17\nSubject: x\n\n---\n m.py | 2 +-\n\ndiff --git a/src/m.py b/src/m.py\n\
         --- a/src/m.py\n+++ b/src/m.py\n",
        "Index: src/m.py\n=====\n--- a/src/m.py\n+++ b/src/m.py\n",
        "diff --git \"a/src/m\\056py\" \"b/src/m\\056py\"\n--- \"a/src/m\\056py\"\n+++ \"b/src/m\\056py\"\n",
    ] {
        check(&format!("{header}{edit}"), &[("src/m.py", "a\nb\nc\n")], &after);
        check(&format!("{header}{edit}-- \n2.43.0\n\n"), &[("src/m.py", "a\nb\nc\n")], &after);
    }
    let without_last_newline = "--- a/f\n+++ b/f\n@@ -1 +1,2 @@\n a\n+b";
    check(without_last_newline, &[("f", "a\n")], &[("f", "a\nb\n")]);
    let emptied_context = "--- a/f\n+++ b/f\n@@ -1,3 +1,3 @@\n a\n\n-b\n+B\n";
    check(emptied_context, &[("f", "a\n\nb\n")], &[("f", "a\n\nB\n")]);
    let section = "--- a/f\n+++ b/f\n@@ -1 +1 @@ def caf\u{e9}(x): # @@\n-a\n+b\n";
    check(section, &[("f", "a\n")], &[("f", "b\n")]);
}

#[test]
fn p5_files_come_go_move_and_change_their_mode() {
    let keep = ("k", "k\n");
    let new = "diff --git a/n b/n\nnew file mode 100755\n--- /dev/null\n+++ b/n\n@@ -0,0 +1,2 @@\n+1\n+2\n";
    check(new, &[keep], &[keep, ("n*", "1\n2\n")]);
    check("--- /dev/null\n+++ b/d/n\n@@ -0,0 +1 @@\n+1\n", &[keep], &[keep, ("d/n", "1\n")]);
    check("diff --git b/n b/n\nnew file mode 100644\n", &[keep], &[keep, ("b/n", "")]);
    check("diff --git a/my n b/my n\nnew file mode 100644\n", &[keep], &[keep, ("my n", "")]);

    let gone =
        "diff --git a/n b/n\ndeleted file mode 100644\n--- a/n\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-1\n-2\n";
    check(gone, &[keep, ("n", "1\n2\n")], &[keep]);
    check("--- a/n\n+++ /dev/null\n@@ -1 +0,0 @@\n-1\n", &[keep, ("n", "1\n")], &[keep]);

    let moved = "diff --git a/x b/d/y\nsimilarity index 100%\nrename from x\nrename to d/y\n";
    check(moved, &[keep, ("x*", "1\n")], &[keep, ("d/y*", "1\n")]);
    let edited = format!("{moved}--- a/x\n+++ b/d/y\n@@ -1 +1 @@\n-1\n+2\n");
    check(&edited, &[keep, ("x", "1\n")], &[keep, ("d/y", "2\n")]);
    let swap =
        "diff --git a/x b/y\nrename from x\nrename to y\ndiff --git a/y b/x\nrename from y\nrename to x\n";
    check(swap, &[("x", "1\n"), ("y", "2\n")], &[("x", "2\n"), ("y", "1\n")]);
    let copied = "diff --git a/x b/y\ncopy from x\ncopy to y\n";
    check(copied, &[("x", "1\n")], &[("x", "1\n"), ("y", "1\n")]);

    let mode = "diff --git a/x b/x\nold mode 100644\nnew mode 100755\n";
    check(mode, &[("x", "1\n")], &[("x*", "1\n")]);
    let twice = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-1\n+2\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-2\n+3\n";
    check(twice, &[("x", "1\n")], &[("x", "3\n")]);
}

#[test]
fn p5_bytes_are_kept_as_they_are() {
    check(
        "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n a\r\n-b\r\n+c\r\n",
        &[("f", "a\r\nb\r\n")],
        &[("f", "a\r\nc\r\n")],
    );
    let marker = "\\ No newline at end of file\n";
    let gains = format!("--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n{marker}+a\n");
    check(&gains, &[("f", "a")], &[("f", "a\n")]);
    let loses = format!("--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+a\n{marker}");
    check(&loses, &[("f", "a\n")], &[("f", "a")]);
    let neither = format!("--- a/f\n+++ b/f\n@@ -1,2 +1,3 @@\n a\n+x\n b\n{marker}");
    check(&neither, &[("f", "a\nb")], &[("f", "a\nx\nb")]);
    check_refused(&gains, &[("f", "a\n")], ("f", Some(3)), "fits nowhere");
    check_refused(&loses, &[("f", "a\nb\n")], ("f", Some(3)), "fits nowhere");
}

#[test]
fn p5_a_hunk_may_have_moved_but_its_lines_match_exactly() {
    let patch = "--- a/f\n+++ b/f\n@@ -2,3 +2,3 @@\n 2\n-3\n+three\n 4\n@@ -7,3 +7,4 @@\n 7\n 8\n+8.5\n 9\n";
    let shifted = |head: &str| [head, TEN].concat();
    let changed = TEN.replace("3\n", "three\n").replace("8\n", "8\n8.5\n");
    for head in ["", "x\n", "x\nx\nx\nx\nx\nx\nx\nx\nx\nx\nx\nx\n"] {
        check(patch, &[("f", &shifted(head))], &[("f", &[head, &changed].concat())]);
    }
    check_refused(patch, &[("f", &TEN.replace('4', "4 "))], ("f", Some(3)), "\"2\" fits nowhere");
    check_refused(patch, &[("f", &TEN.replace('8', "eight"))], ("f", Some(8)), "\"7\" fits nowhere");
    // Of two places the nearer one; the one that it states before all.
    let twin = "--- a/f\n+++ b/f\n@@ -4 +4 @@\n-a\n+b\n";
    check(twin, &[("f", "a\n0\n0\na\na\n")], &[("f", "a\n0\n0\nb\na\n")]);
    check(twin, &[("f", "a\n0\n0\n0\na\n")], &[("f", "a\n0\n0\n0\nb\n")]);
    check(twin, &[("f", "a\na\n0\n0\n0\n0\na\n")], &[("f", "a\nb\n0\n0\n0\n0\na\n")]);
    let insertion = "--- a/f\n+++ b/f\n@@ -1,0 +2 @@\n+x\n";
    check(insertion, &[("f", "1\n2\n")], &[("f", "1\nx\n2\n")]);
}

#[test]
fn p5_what_does_not_fit_is_refused_by_file_and_line() {
    let base = [("f", "a\n"), ("g", "g\n")];
    let header = "--- a/f\n+++ b/f\n";
    let refused = |patch: &str, at, what| check_refused(patch, &base, at, what);
    refused("", ("the tree", None), "no diff");
    refused("hello\n", ("the tree", None), "no diff");
    refused("@@ -1 +1 @@\n-a\n+b\n", ("the tree", Some(1)), "before any");
    refused(&format!("{header}@@ -1,2 +1,2 @@\n a\n"), ("f", Some(5)), "cut short");
    refused(&format!("{header}@@ -1,2 +1,2 @@\n a\ndiff --git a/g b/g\n"), ("f", Some(5)), "cut short");
    refused(&format!("{header}@@ -1 +1 @@\n-a\n+b\n+c\n"), ("f", Some(6)), "more lines");
    refused(&format!("{header}@@ -1 +1 @@\n-a\n-b\n+c\n"), ("f", Some(5)), "more lines");
    refused(&format!("{header}@@ -1 +x @@\n-a\n+b\n"), ("f", Some(3)), "malformed");
    refused(&format!("{header}@@ -1 +99999999999 @@\n-a\n+b\n"), ("f", Some(3)), "malformed");
    refused(header, ("f", Some(1)), "no hunk");
    refused("diff --git a/f b/f\nindex 1..2\n", ("f", Some(1)), "no hunk");
    refused("--- a/nope\n+++ b/nope\n@@ -1 +1 @@\n-a\n+b\n", ("nope", Some(1)), "no such file");
    let other = "--- old/f\n+++ new/f\n@@ -1 +1 @@\n-a\n+b\n";
    refused(other, ("new/f", Some(1)), "f is there: write the patch's paths as a/f and b/f");
    refused("--- /dev/null\n+++ b/f\n@@ -0,0 +1 @@\n+b\n", ("f", Some(1)), "there already");
    refused("diff --git a/f b/g\nrename from f\nrename to g\n", ("g", Some(1)), "there already");
    refused("--- a/f\n+++ b/g\n@@ -1 +1 @@\n-a\n+b\n", ("the tree", Some(1)), "two files");
    refused("diff --git a/f b/f\n--- a/g\n+++ b/g\n@@ -1 +1 @@\n-g\n+b\n", ("f", Some(1)), "another file");
    refused("diff --git a/f b/f\ndeleted file mode 100644\n", ("f", Some(1)), "lines of it are left");
    refused("diff --git a/s b/s\nnew file mode 160000\n", ("s", Some(2)), "mode");
    let binary = "diff --git a/f b/f\nindex 1..2 100644\nGIT binary patch\nliteral 4\n";
    refused(binary, ("f", Some(3)), "binary");
    refused("diff --git a/f b/f\nBinary files a/f and b/f differ\n", ("f", Some(2)), "binary");
}

#[test]
fn p3_a_patch_names_no_path_outside_the_tree() {
    for name in ["../x", "a/../../x", "/etc/passwd"] {
        let patch = format!("--- /dev/null\n+++ b/{name}\n@@ -0,0 +1 @@\n+1\n");
        let refusal = outcome(&patch, &[]).map(|applied| applied.manifest);
        assert!(matches!(refusal, Err(Refusal::Path { .. })), "{refusal:?}");
    }
    let absolute = outcome("--- /etc/passwd\n+++ /etc/passwd\n@@ -1 +1 @@\n-a\n+b\n", &[]);
    assert!(matches!(absolute, Err(Refusal::Path { .. })), "{absolute:?}");
}

#[test]
fn i16_a_blob_that_was_not_handed_in_is_named() {
    let base = tree(&[("f", "a\n")], &mut Contents::new());
    let patch = Patch::parse(b"--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n").expect("patch");
    let digest = Digest::of(b"a\n");
    assert_eq!(patch.apply(&base, &Contents::new()), Err(Refusal::AbsentBlob { digest }));
}

proptest! {
    #[test]
    fn p5_no_bytes_make_the_reader_panic(
        pieces in proptest::collection::vec(prop_oneof![
            Just(&b"diff --git a/f b/f\n"[..]), Just(&b"--- a/f\n"[..]), Just(&b"+++ b/f\n"[..]),
            Just(&b"@@ -1,2 +1,2 @@\n"[..]), Just(&b"@@ -0,0 +1 @@\n"[..]), Just(&b" a\n"[..]),
            Just(&b"-a\n"[..]), Just(&b"+a\n"[..]), Just(&b"\\ No newline\n"[..]), Just(&b"\n"[..]),
            Just(&b"rename from f\n"[..]), Just(&b"rename to g\n"[..]), Just(&b"--- /dev/null\n"[..]),
            Just(&b"+++ \"b/\\3"[..]), Just(&b"@@ -"[..]), Just(&b"\xff"[..]), Just(&b"new file mode 100644\n"[..]),
        ], 0..16),
    ) {
        let mut contents = Contents::new();
        let base = tree(&[("f", "a\na\n")], &mut contents);
        if let Ok(patch) = Patch::parse(&pieces.concat()) {
            _ = patch.apply(&base, &contents);
        }
    }
}
