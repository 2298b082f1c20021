//! P2 and P3 over real folders.

use super::*;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use windlass_shared::tree::Node;

fn bindings(extra: &str) -> Bindings {
    let text = format!(
        "metric: m\nmetric_direction: maximize\nentrypoint: sh run.sh\neditable_files: [train.py]\n\
         gate: time\nbudget: 1\n{extra}"
    );
    crate::yaml::parse(Path::new("loop.run.yaml"), &text).expect("bindings")
}

fn workspace() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    put(dir.path(), "train.py", "x = 1\n");
    dir
}

fn put(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().expect("a parent")).expect("made");
    fs::write(path, text).expect("written");
}

fn paths(root: &Path, extra: &str) -> Vec<String> {
    let workspace = read(root, &bindings(extra), &[&root.join("data")]).expect("read");
    workspace.manifest.entries.keys().map(|path| path.as_str().to_owned()).collect()
}

fn check_refused(root: &Path, want: &str) {
    let report = read(root, &bindings(""), &[]).expect_err(want).to_report();
    assert!(report.message.contains(want), "{want}: {}", report.message);
    assert_eq!(report.rule.as_deref(), Some("P3"), "{want}");
}

#[test]
fn p2_gitignore_is_honoured_without_a_repository_and_include_and_ignore_correct_it() {
    let dir = workspace();
    let root = dir.path();
    put(root, ".gitignore", "*.bin\n/out/\n");
    for name in ["a.bin", "sub/b.bin", "out/c.txt", "notes.md", ".hidden"] {
        put(root, name, "x");
    }
    for name in [".git/HEAD", "keys.env", "sub/keys.env", "sandbox/results.tsv", "data/ledger.db"] {
        put(root, name, "x");
    }
    put(root, "__pycache__/train.pyc", "x");
    assert_eq!(paths(root, ""), [".gitignore", ".hidden", "notes.md", "train.py"]);
    let extra = "windlass: {include: ['*.bin', out], ignore: [notes.md]}\n";
    assert_eq!(paths(root, extra), [".gitignore", ".hidden", "a.bin", "out/c.txt", "train.py"]);
}

#[test]
fn modes_links_and_sizes_are_kept() {
    use std::os::unix::fs::PermissionsExt;
    let dir = workspace();
    let root = dir.path();
    put(root, "sub/run.sh", "true\n");
    fs::set_permissions(root.join("sub/run.sh"), fs::Permissions::from_mode(0o755)).expect("set");
    symlink("../train.py", root.join("sub/link")).expect("linked");
    symlink("nowhere", root.join("dangling")).expect("linked");
    let workspace = read(root, &bindings(""), &[]).expect("read");
    let node = |path: &str| {
        let entry = workspace.manifest.entries.iter().find(|(key, _)| key.as_str() == path);
        entry.expect(path).1.clone()
    };
    assert!(matches!(node("sub/run.sh"), Node::File { executable: true, .. }));
    assert_eq!(node("sub/link"), Node::Link { target: "../train.py".to_owned() });
    assert_eq!(node("dangling"), Node::Link { target: "nowhere".to_owned() });
    assert_eq!((workspace.entries, workspace.bytes), (4, 11));
    assert!(workspace.blobs.source(&workspace.manifest.digest()).is_some());
}

#[test]
fn p3_what_no_tree_holds_is_refused_by_name() {
    let dir = workspace();
    let link = dir.path().join("escape");
    for target in ["/etc/passwd", "../outside", "sub/../../outside"] {
        symlink(target, &link).expect("linked");
        check_refused(dir.path(), "escape: a link to ");
        fs::remove_file(&link).expect("removed");
    }
    let socket = std::os::unix::net::UnixListener::bind(dir.path().join("s")).expect("bound");
    check_refused(dir.path(), "s: is a socket");
    drop(socket);
    fs::remove_file(dir.path().join("s")).expect("removed");
    put(dir.path(), "Data/a", "x");
    put(dir.path(), "data/b", "x");
    check_refused(dir.path(), "collides with Data");
    fs::remove_dir_all(dir.path().join("Data")).expect("removed");
    put(dir.path(), "caf\u{e9}", "x");
    put(dir.path(), "cafe\u{301}", "x");
    check_refused(dir.path(), "collides with");
    fs::remove_file(dir.path().join("cafe\u{301}")).expect("removed");
    fs::write(dir.path().join(std::ffi::OsStr::from_bytes(b"bad\xff")), "x").expect("written");
    check_refused(dir.path(), "is not UTF-8");
    fs::remove_file(dir.path().join(std::ffi::OsStr::from_bytes(b"bad\xff"))).expect("removed");
    read(dir.path(), &bindings(""), &[]).expect("the positive control");
}

#[test]
fn p3_a_chain_of_links_cannot_leave_either() {
    let dir = tempfile::tempdir().expect("a folder");
    put(dir.path(), "outside", "x");
    let root = dir.path().join("w");
    put(&root, "train.py", "x");
    put(&root, "a/b/keep", "x");
    // Each word of `a/up/../outside` stays inside; where it leads does not.
    symlink("../", root.join("a/up")).expect("linked");
    symlink("a/up/../outside", root.join("chain")).expect("linked");
    check_refused(&root, "chain: a link to a/up/../outside, which leaves the workspace");
}

#[test]
fn editable_files_that_match_nothing_are_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    put(dir.path(), "other.py", "x");
    let problem = read(dir.path(), &bindings(""), &[]).expect_err("refused");
    assert!(problem.to_string().contains("no file of the workspace matches it"));
}

#[test]
fn p17_the_epoch_cap_of_a_workspace_is_found_as_the_coordinator_finds_it() {
    let found = |files: &[(&str, &str)], extra: &str| {
        let dir = workspace();
        files.iter().for_each(|(name, text)| put(dir.path(), name, text));
        let mut bindings = bindings(extra);
        bindings.gate = windlass_shared::bindings::GateKind::Epochs;
        bindings.budget = windlass_shared::decimal::Decimal::parse("5").expect("five");
        let workspace = read(dir.path(), &bindings, &[]).expect("read");
        cap::find(&workspace, &bindings)
    };
    let cap = found(&[("train.py", "import x\nepochs = 50\n")], "").expect("one").expect("under epochs");
    assert_eq!((cap.file.as_str(), cap.line, cap.given, cap.set), ("train.py", 2, 50, 5));
    for (text, want) in [("x = 1\n", "no line"), ("epochs = 5\nmax_epochs = 6\n", "train.py:2")] {
        let report = found(&[("train.py", text)], "").expect_err(want).to_report();
        assert!(report.message.contains(want), "{want}: {}", report.message);
    }
    // A frozen file has no say.
    let report = found(&[("config.yaml", "epochs: 7\n")], "").expect_err("frozen").to_report();
    assert!(report.message.contains("epoch"), "{}", report.message);
    let dir = workspace();
    let timed = read(dir.path(), &bindings(""), &[]).expect("read");
    assert_eq!(cap::find(&timed, &bindings("")).expect("no cap is looked for"), None);
}
