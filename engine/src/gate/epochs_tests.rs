//! Where an epoch cap is found, how it is set, and what is refused; each refusal has its control beside it.

use super::*;
use std::collections::BTreeMap;

fn path(text: &str) -> TreePath {
    TreePath::parse(text).expect(text)
}

/// A tree of these files, and everything that may be fetched of it.
fn world(files: &[(&str, &str)]) -> (Digest, Fetched) {
    let mut fetched = Fetched::default();
    let mut manifest = Manifest::default();
    for (name, text) in files {
        let digest = Digest::of(text.as_bytes());
        fetched.blobs.insert(digest, text.as_bytes().to_vec());
        manifest.entries.insert(path(name), Node::File { digest, executable: *name == "run.sh" });
    }
    let bytes = manifest.to_bytes();
    let digest = Digest::of(&bytes);
    fetched.blobs.insert(digest, bytes);
    (digest, fetched)
}

fn gather(files: &[(&str, &str)], epochs: Epochs) -> Result<(CapFacts, Contents), Lacking> {
    let (tree, fetched) = world(files);
    let editable =
        files.iter().map(|(name, _)| (*name).to_owned()).filter(|name| name != "frozen.py").collect();
    gather_cap(&CapWanted { tree, editable, epochs, budget: 5 }, &fetched)
}

fn refused(files: &[(&str, &str)], epochs: Epochs) -> String {
    match gather(files, epochs) {
        Err(Lacking::Refused(refusal)) => refusal.to_string(),
        other => panic!("{other:?}"),
    }
}

/// The text of a file in the campaign's tree.
fn set_text(files: &[(&str, &str)], epochs: Epochs, name: &str) -> String {
    let (facts, new) = gather(files, epochs).unwrap_or_else(|lacking| panic!("{name}: {lacking:?}"));
    let manifest = Manifest::from_bytes(&new[&facts.tree]).expect("a tree");
    let Some(Node::File { digest, .. }) = manifest.entries.get(&path(name)) else { panic!("no {name}") };
    String::from_utf8(new[digest].clone()).expect("text")
}

#[test]
fn p17_a_cap_is_a_line_with_a_name_and_a_whole_number_alone() {
    for (line, want) in [
        ("epochs: 50", Some("epochs: 5")),
        ("  max_epochs = 50   # enough", Some("  max_epochs = 5   # enough")),
        ("num_epochs=50,", Some("num_epochs=5,")),
        ("\"epochs\": 50,", Some("\"epochs\": 5,")),
        ("EPOCHS = 1_000", Some("EPOCHS = 5")),
        ("    epochs: int = 50", Some("    epochs: int = 5")),
        ("epochs: 50\r", Some("epochs: 5\r")),
        ("# epochs: 50", None),
        ("epochs: 5.5", None),
        ("epochs = n * 50", None),
        ("epochs = 50 * n", None),
        ("warmup_epochs = 50", None),
        ("for epoch in range(50):", None),
        ("epochs = args.epochs", None),
    ] {
        let text = format!("lr: 1\n{line}\nseed: 3\n");
        match want {
            Some(want) => {
                let set = set_text(&[("config.yaml", &text)], Epochs::default(), "config.yaml");
                assert_eq!(set, format!("lr: 1\n{want}\nseed: 3\n"));
            }
            None => {
                let said = refused(&[("config.yaml", &text)], Epochs::default());
                assert!(said.contains("no line of any editable file"), "{line}: {said}");
            }
        }
    }
}

#[test]
fn p17_none_or_several_are_refused_with_the_candidates() {
    let files = [("config.yaml", "lr: 1\nepochs: 50\n"), ("model.py", "width = 3\n\nmax_epochs = 9\n")];
    let said = refused(&files, Epochs::default());
    assert!(said.contains("config.yaml:2") && said.contains("model.py:3") && said.contains("P17"), "{said}");
    // Named, it is one; a frozen file's line never counts.
    let named = Epochs { file: Some(path("model.py")), ..Epochs::default() };
    assert_eq!(set_text(&files, named, "model.py"), "width = 3\n\nmax_epochs = 5\n");
    let files = [("config.yaml", "epochs: 50\n"), ("frozen.py", "epochs = 7\n")];
    assert_eq!(set_text(&files, Epochs::default(), "config.yaml"), "epochs: 5\n");
    let frozen = Epochs { file: Some(path("frozen.py")), ..Epochs::default() };
    assert!(refused(&files, frozen).contains("not among editable_files"));
    let absent = Epochs { file: Some(path("gone.py")), ..Epochs::default() };
    assert!(refused(&files, absent).contains("no file gone.py"));
}

#[test]
fn p17_a_pattern_of_ones_own_names_the_number() {
    let files = [("train.py", "train(model, rounds=40)\nrest(41)\n")];
    let own = |pattern: &str| Epochs { pattern: Some(pattern.to_owned()), ..Epochs::default() };
    assert_eq!(set_text(&files, own(r"rounds=(\d+)"), "train.py"), "train(model, rounds=5)\nrest(41)\n");
    assert!(refused(&files, own("rounds=40")).contains("group"));
    assert!(refused(&files, own("(rounds)")).contains("no whole number"));
    assert!(refused(&files, own("(")).contains("no regular expression"));
    assert!(refused(&files, own("absent=([0-9]+)")).contains("no line of any editable file matches"));
}

#[test]
fn p17_a_cap_that_is_the_budget_already_leaves_the_tree() {
    let files = [("config.yaml", "epochs: 5\n")];
    let (facts, new) = gather(&files, Epochs::default()).expect("found");
    assert_eq!(facts.tree, facts.cap.submitted);
    assert!(new.is_empty());
    assert_eq!((facts.cap.line, facts.cap.given, facts.cap.set), (1, 5, 5));
}

#[test]
fn p17_what_is_lacking_is_named_and_data_is_not_looked_at() {
    let (tree, mut fetched) = world(&[("config.yaml", "epochs: 50\n"), ("big.bin", "x")]);
    let big = Digest { size_bytes: FILE_MAX_BYTES + 1, ..Digest::of(b"epochs: 1\n") };
    let mut manifest = Manifest::from_bytes(&fetched.blobs[&tree]).expect("a tree");
    manifest.entries.insert(path("big.bin"), Node::File { digest: big, executable: false });
    let tree = Digest::of(&manifest.to_bytes());
    fetched.blobs.insert(tree, manifest.to_bytes());
    let config = Digest::of(b"epochs: 50\n");
    let bytes = fetched.blobs.remove(&config).expect("there");
    let wanted = CapWanted { tree, editable: vec![".".to_owned()], epochs: Epochs::default(), budget: 5 };
    assert_eq!(gather_cap(&wanted, &fetched), Err(Lacking::Blobs(vec![config])));
    fetched.blobs.insert(config, bytes);
    assert_eq!(gather_cap(&wanted, &fetched).map(|(facts, _)| facts.cap.file), Ok(path("config.yaml")));
}

/// A campaign whose config.yaml said 50 and says 5, and this change of it.
fn hold(text: Option<&str>) -> Result<Option<String>, String> {
    let (_, fetched) = world(&[("config.yaml", "lr: 1\nepochs: 5\n")]);
    let cap = EpochCap { file: path("config.yaml"), line: 2, given: 50, set: 5, submitted: Digest::of(b"") };
    let rule = CapRule { cap, pattern: None };
    let mut manifest = Manifest::default();
    let mut blobs = Contents::new();
    if let Some(text) = text {
        let digest = Digest::of(text.as_bytes());
        blobs.insert(digest, text.as_bytes().to_vec());
        manifest.entries.insert(path("config.yaml"), Node::File { digest, executable: false });
    }
    match rule.hold(Applied { manifest, blobs }, &fetched.blobs) {
        Ok(applied) => {
            let text = applied.blobs.values().next().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            assert!(applied.blobs.len() <= 1, "what the tree does not have is not kept");
            Ok(text)
        }
        Err(Lacking::Refused(refusal)) => {
            assert_eq!(refusal.rule(), Some("P17"));
            Err(refusal.to_string())
        }
        Err(lacking) => panic!("{lacking:?}"),
    }
}

#[test]
fn p17_a_change_that_asks_for_another_cap_is_refused_with_its_place() {
    assert_eq!(hold(Some("lr: 2\nepochs: 5\n")), Ok(Some("lr: 2\nepochs: 5\n".to_owned())));
    // As the user's own files have it: that asks for nothing.
    assert_eq!(hold(Some("lr: 2\nepochs: 50\n")), Ok(Some("lr: 2\nepochs: 5\n".to_owned())));
    let said = hold(Some("lr: 2\n\nepochs: 20\n")).expect_err("another cap");
    assert!(said.contains("config.yaml:3") && said.contains("20 epochs") && said.contains("has 5"), "{said}");
    let said = hold(Some("lr: 2\n")).expect_err("no cap");
    assert!(said.contains("is gone"), "{said}");
    let said = hold(Some("epochs: 5\nepochs: 5\n")).expect_err("two caps");
    assert!(said.contains("config.yaml:2"), "{said}");
    assert!(hold(None).expect_err("no file").contains("is gone"));
}

#[test]
fn p17_a_patch_on_the_users_own_file_fits_the_campaigns_tree() {
    let (_, fetched) = world(&[("config.yaml", "lr: 1\nepochs: 5\n")]);
    let set = Digest::of(b"lr: 1\nepochs: 5\n");
    let entries = BTreeMap::from([(path("config.yaml"), Node::File { digest: set, executable: false })]);
    let on = Manifest { entries };
    let cap = EpochCap { file: path("config.yaml"), line: 2, given: 50, set: 5, submitted: Digest::of(b"") };
    let rule = CapRule { cap, pattern: None };
    let patch = |text: &str| Patch::parse(text.as_bytes()).expect("a patch");
    let head = "--- a/config.yaml\n+++ b/config.yaml\n@@ -1,2 +1,2 @@\n";
    let check = |body: &str, rule: Option<&CapRule>| {
        apply_held(&patch(&format!("{head}{body}")), &on, rule, &fetched.blobs)
            .map(|applied| applied.manifest.entries.clone())
    };
    let want = |text: &str| {
        let digest = Digest::of(text.as_bytes());
        Ok(BTreeMap::from([(path("config.yaml"), Node::File { digest, executable: false })]))
    };
    let (theirs, ours) = ("-lr: 1\n+lr: 2\n epochs: 50\n", "-lr: 1\n+lr: 2\n epochs: 5\n");
    assert_eq!(check(theirs, Some(&rule)), want("lr: 2\nepochs: 5\n"));
    assert_eq!(check(ours, Some(&rule)), want("lr: 2\nepochs: 5\n"));
    assert!(matches!(check(theirs, None), Err(Lacking::Refused(Refusal::Patch { .. }))));
    let asks = check(" lr: 1\n-epochs: 50\n+epochs: 60\n", Some(&rule));
    assert!(matches!(asks, Err(Lacking::Refused(Refusal::Lever { rule: "P17", .. }))), "{asks:?}");
}
