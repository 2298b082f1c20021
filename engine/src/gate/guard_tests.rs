//! What the guard refuses, and what it lets pass.

use super::*;
use windlass_shared::digest::Digest;

fn path(text: &str) -> TreePath {
    TreePath::parse(text).expect(text)
}

/// `name` or `name=content` is a file, `name*=content` an executable one, `name>target` a link.
fn tree(entries: &[&str]) -> Manifest {
    let node = |entry: &&str| {
        if let Some((name, target)) = entry.split_once('>') {
            return (path(name), Node::Link { target: target.to_owned() });
        }
        let (name, content) = entry.split_once('=').unwrap_or((entry, ""));
        let executable = name.ends_with('*');
        let digest = Digest::of(content.as_bytes());
        (path(name.trim_end_matches('*')), Node::File { digest, executable })
    };
    Manifest { entries: entries.iter().map(node).collect() }
}

fn editable(patterns: &[&str]) -> Editable {
    let patterns: Vec<String> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
    Editable::new(&patterns).expect("patterns")
}

#[track_caller]
fn check_refused(entries: &[&str], at: &str, what: &str) {
    match check_tree(&tree(entries)) {
        Err(Refusal::Tree { path, problem }) => {
            assert_eq!(path, at);
            assert!(problem.contains(what), "{problem:?} does not say {what:?}");
        }
        other => panic!("{entries:?} gave {other:?}"),
    }
}

#[test]
fn p3_links_that_stay_inside_are_taken() {
    for entries in [
        &["data/a", "link>data/a"][..],
        &["data/a", "x/link>../data"],
        &["x/link>./../x/../data"],
        &["loop>loop"],
        &["a>b", "b>a"],
        &["here>."],
        &["dangling>nothing/there"],
        &["src/a.py", "src/b.py", "lib/a.py"],
    ] {
        assert_eq!(check_tree(&tree(entries)), Ok(()), "{entries:?}");
    }
}

#[test]
fn p3_links_that_leave_the_tree_are_refused_by_name() {
    check_refused(&["link>/etc/passwd"], "link", "leaves the tree");
    check_refused(&["link>.."], "link", "leaves the tree");
    check_refused(&["a/link>../../x"], "a/link", "leaves the tree");
    check_refused(&["a/link>b/../../../x"], "a/link", "leaves the tree");
    // Lexically inside, really outside: `sub/deep/top` is the root itself.
    check_refused(&["e>sub/deep/top/../x", "sub/deep/top>../.."], "e", "leaves the tree");
    check_refused(&["link>"], "link", "without a target");
}

#[test]
fn p3_collisions_by_case_form_or_kind_are_refused_by_name() {
    check_refused(&["A.py", "a.py"], "a.py", "only in case or form");
    check_refused(&["caf\u{e9}", "cafe\u{301}"], "caf\u{e9}", "only in case or form");
    check_refused(&["Src/a", "src/b"], "src/b", "only in case or form");
    check_refused(&["a", "a/b"], "a/b", "a file and a folder at once");
    check_refused(&["a/b/c", "a/b>x"], "a/b/c", "a file and a folder at once");
    check_refused(&["A", "a/b"], "a/b", "only in case or form");
}

#[test]
fn p2_p5_a_change_is_within_what_is_editable_and_declared() {
    let base = tree(&["train.py=1", "prepare.py=1", "run*=x", "link>train.py"]);
    let check = |changed: &[&str], declared: &[&str], want: Result<(), Refusal>| {
        let declared: Vec<TreePath> = declared.iter().map(|text| path(text)).collect();
        let editable = editable(&["train.py", "new.py", "x", ".git/"]);
        assert_eq!(check_change(&base, &tree(changed), &editable, &declared), want, "{changed:?}");
    };
    let frozen = |name: &str| Err(Refusal::Frozen { path: name.to_owned() });
    let rest = ["prepare.py=1", "run*=x", "link>train.py"];
    let with = |entry: &'static str| [&[entry], &rest[..]].concat();

    check(&with("train.py=2"), &["train.py"], Ok(()));
    check(&with("train.py*=1"), &["train.py"], Ok(()));
    check(&rest, &["train.py"], Ok(()));
    check(&with("train.py=1"), &["train.py"], Err(Refusal::NoChange));
    check(&with("train.py=2"), &[], Err(Refusal::Undeclared { path: "train.py".to_owned() }));
    // A frozen file is named first, whatever else is wrong.
    check(&["train.py=2", "prepare.py=2", "run*=x", "link>train.py"], &[], frozen("prepare.py"));
    check(&["train.py=1", "prepare.py*=1", "run*=x", "link>train.py"], &["prepare.py"], frozen("prepare.py"));
    check(&["train.py=1", "prepare.py=1", "run*=x", "link>run"], &["link"], frozen("link"));
    check(&["train.py=1", "prepare.py=1", "link>train.py"], &["run"], frozen("run"));
    check(&[&with("train.py=1")[..], &["other=1"]].concat(), &["other"], frozen("other"));

    let outcome = |changed: &[&str], declared: &str| {
        check_change(&base, &tree(changed), &editable(&["**"]), &[path(declared)])
    };
    let escape = outcome(&with("train.py>../up"), "train.py");
    assert!(matches!(escape, Err(Refusal::Tree { .. })), "{escape:?}");
    let git = outcome(&[&with("train.py=1")[..], &[".GIT/config=1"]].concat(), ".GIT/config");
    assert!(matches!(git, Err(Refusal::Tree { .. })), "{git:?}");
}

#[test]
fn p2_after_a_run_the_frozen_files_are_as_they_were() {
    let base = tree(&["train.py=1", "prepare.py=1", "run*=x"]);
    let check = |found: &[&str], want: Option<&str>| {
        let editable = editable(&["train.py"]);
        assert_eq!(frozen_changed(&base, &tree(found), &editable), want.map(path), "{found:?}");
    };
    check(&["train.py=1", "prepare.py=1", "run*=x"], None);
    check(&["train.py=9", "prepare.py=1", "run*=x"], None);
    check(&["prepare.py=1", "run*=x", "made.bin=7"], None);
    check(&["train.py=1", "prepare.py=2", "run*=x"], Some("prepare.py"));
    check(&["train.py=1", "run*=x"], Some("prepare.py"));
    check(&["train.py=1", "prepare.py=1", "run=x"], Some("run"));
    check(&["train.py=1", "prepare.py>train.py", "run*=x"], Some("prepare.py"));
}
