//! A proposal with many faults hears of all of them; each fault has the proposal without it beside it.

use super::*;
use std::collections::BTreeSet;
use windlass_shared::id::{CampaignId, IterationNumber};
use windlass_shared::lever::{Anchor, Lever};
use windlass_shared::plan::{Deliverable, Script};

fn path(text: &str) -> TreePath {
    TreePath::parse(text).expect(text)
}

struct Desk {
    fetched: Fetched,
    wanted: ProposalWanted,
}

/// A tree of train.py (editable) and evaluate.py (frozen), evidence that says `slope 0.5`, and a lever that
/// edits train.py.
fn desk(change: impl FnOnce(&mut Lever)) -> Desk {
    let mut fetched = Fetched::default();
    let mut put = |bytes: &[u8]| {
        let digest = Digest::of(bytes);
        fetched.blobs.insert(digest, bytes.to_vec());
        digest
    };
    let file = |digest| Node::File { digest, executable: false };
    let mut tree = Manifest::default();
    tree.entries.insert(path("train.py"), file(put(b"lr = 1\n")));
    tree.entries.insert(path("evaluate.py"), file(put(b"grade()\n")));
    tree.entries.insert(path("model.py"), file(put(b"width = 3\n")));
    let parent = put(&tree.to_bytes());
    let mut results = Manifest::default();
    results.entries.insert(path("curve.tsv"), file(put(b"slope 0.5\n")));
    let results = put(&results.to_bytes());
    let edits = [("train.py", "lr = 2\n"), ("evaluate.py", "win()\n"), ("model.py", "width = 4\n")];
    let edits: BTreeMap<TreePath, Edit> =
        edits.into_iter().map(|(name, text)| (path(name), Edit::Write(put(text.as_bytes())))).collect();
    let edit = |name: &str| BTreeMap::from([(path(name), edits[&path(name)].clone())]);
    let row = Deliverable {
        script: Script::Named(Script::BUILTIN_LOG.to_owned()),
        output: path("log.txt"),
        dimension: "endings".to_owned(),
        question: "how did it end?".to_owned(),
        if_helped: "well".to_owned(),
        if_not: "badly".to_owned(),
        compares: None,
    };
    let anchor =
        Anchor { file: path("curve.tsv"), pattern: "slope".to_owned(), compare: None, iteration: None };
    let mut lever = Lever {
        title: "a higher rate".to_owned(),
        kind: Kind::Change,
        files: vec![path("train.py")],
        change: Change::Files(edit("train.py")),
        anchor: Some(anchor),
        prediction: "up".to_owned(),
        fixes: Vec::new(),
        literature: None,
        architecture: None,
        instrumentation: None,
        parents: Vec::new(),
        axes: Vec::new(),
        cites: Vec::new(),
        changed_assumption: None,
        analysis: vec![row],
    };
    change(&mut lever);
    if let Change::Files(chosen) = &mut lever.change {
        for (name, edit) in &mut *chosen {
            if *edit == Edit::Delete {
                *edit = edits[name].clone();
            }
        }
    }
    let evidence =
        super::super::facts::Evidence { iteration: IterationNumber(1), results: Some(results), log: None };
    let wanted = ProposalWanted {
        campaign: CampaignId::from("digits"),
        lever: Box::new(lever),
        parent,
        workspace: parent,
        editable: vec!["train.py".to_owned(), "model.py".to_owned()],
        evidence: Some(evidence),
        cap: None,
    };
    Desk { fetched, wanted }
}

/// The change writes all of these files.
fn edits(lever: &mut Lever, names: &[&str]) {
    lever.change = Change::Files(names.iter().map(|name| (path(name), Edit::Delete)).collect());
}

fn rejected(change: impl FnOnce(&mut Lever)) -> Rejected {
    let desk = desk(change);
    match gather_proposal(&desk.wanted, &desk.fetched) {
        Err(Lacking::Rejected(rejected)) => *rejected,
        other => panic!("{other:?}"),
    }
}

fn check(change: impl FnOnce(&mut Lever), want: &[(&str, &str)]) -> Rejected {
    let rejected = rejected(change);
    let found: Vec<(&str, &str)> =
        rejected.problems.iter().map(|problem| (problem.rule().unwrap_or(""), problem.reason())).collect();
    assert_eq!(found, want);
    rejected
}

#[test]
fn a_sound_proposal_has_facts_and_no_problem() {
    let desk = desk(|_| {});
    let (facts, new) = gather_proposal(&desk.wanted, &desk.fetched).expect("sound");
    assert!(matches!(facts.look, Look::Holds(_)));
    assert!(new.contains_key(&facts.changed));
}

#[test]
fn p2_p5_p6_p12_every_problem_is_told_each_with_its_rule() {
    let all = |lever: &mut Lever| {
        edits(lever, &["train.py", "evaluate.py", "model.py"]);
        lever.prediction.clear();
        lever.analysis.clear();
    };
    let want = [("P6", "LEVER"), ("P12", "LEVER"), ("P2", "FROZEN_FILE"), ("P5", "UNDECLARED_FILE")];
    let told = check(all, &want);
    assert_eq!((told.diff, told.merged), (None, None), "a change that breaks P2 was never tried");
    assert!(matches!(told.look, Look::Holds(_)), "its anchor is looked up all the same");
}

#[test]
fn p10_a_change_within_the_editable_files_is_compared_in_spite_of_other_problems() {
    let told = check(|lever| edits(lever, &["train.py", "model.py"]), &[("P5", "UNDECLARED_FILE")]);
    assert!(told.diff.is_some() && told.merged.is_some());
    let told = check(|lever| lever.kind = Kind::Simplification, &[("P6", "NOT_SIMPLER")]);
    assert!(told.diff.is_some());
}

#[test]
fn p2_a_frozen_file_that_is_declared_and_changed_is_told_once() {
    let both = |lever: &mut Lever| {
        edits(lever, &["evaluate.py"]);
        lever.files = vec![path("evaluate.py")];
    };
    check(both, &[("P2", "FROZEN_FILE")]);
}

#[test]
fn p6_a_pattern_that_is_none_is_told_once_and_not_looked_up() {
    let told =
        check(|lever| lever.anchor.as_mut().expect("an anchor").pattern = "(".to_owned(), &[("P6", "LEVER")]);
    assert_eq!(told.look, Look::NotLooked);
}

#[test]
fn a_patch_that_does_not_fit_hides_no_other_problem() {
    let patch = b"--- a/train.py\n+++ b/train.py\n@@ -1 +1 @@\n-lr = 9\n+lr = 2\n";
    let mut desk = desk(|lever| {
        lever.change = Change::Patch(Digest::of(patch));
        lever.title.clear();
    });
    desk.fetched.blobs.insert(Digest::of(patch), patch.to_vec());
    let Err(Lacking::Rejected(rejected)) = gather_proposal(&desk.wanted, &desk.fetched) else {
        panic!("it is refused");
    };
    let rules: BTreeSet<_> = rejected.problems.iter().map(Refusal::reason).collect();
    assert_eq!(rules, BTreeSet::from(["LEVER", "PATCH"]));
}

#[test]
fn p26_a_separate_instrumentation_is_run_along_and_not_counted() {
    use super::super::facts::{Merged, PullWanted, gather_pull};
    use windlass_shared::id::LeverNumber;
    // Two lines of logging on top of the change, and one that touches a frozen file.
    let logging: &[u8] = b"--- a/train.py\n+++ b/train.py\n@@ -1 +1,3 @@\n lr = 2\n+print(1)\n+print(2)\n";
    let frozen: &[u8] = b"--- a/evaluate.py\n+++ b/evaluate.py\n@@ -1 +1 @@\n-grade()\n+win()\n";
    let propose = |patch: Option<&[u8]>| {
        let mut desk = desk(|lever| lever.instrumentation = patch.map(Digest::of));
        desk.fetched.blobs.extend(patch.map(|patch| (Digest::of(patch), patch.to_vec())));
        let facts = gather_proposal(&desk.wanted, &desk.fetched);
        (desk, facts)
    };
    let pulled = |patch: Option<&[u8]>| {
        let (mut desk, facts) = propose(patch);
        let (facts, new) = facts.expect("sound");
        desk.fetched.blobs.extend(new);
        let wanted = PullWanted {
            campaign: desk.wanted.campaign.clone(),
            lever: LeverNumber(1),
            parent: desk.wanted.parent,
            best: None,
            base: facts.base,
            changed: facts.changed,
            instrumentation: desk.wanted.lever.instrumentation,
            files: desk.wanted.lever.files.clone(),
            anchor: None,
            editable: desk.wanted.editable.clone(),
            evidence: None,
            cap: None,
        };
        let (pulled, new) = gather_pull(&wanted, &desk.fetched).expect("gathered");
        let Merged::Clean { tree, net_lines, diff } = pulled.merged else { panic!("{:?}", pulled.merged) };
        assert_eq!(facts.diff, diff);
        let manifest = Manifest::from_bytes(&new[&tree]).expect("a tree");
        let Some(Node::File { digest, .. }) = manifest.entries.get(&path("train.py")) else { panic!() };
        let text = new.get(digest).or_else(|| desk.fetched.blobs.get(digest)).cloned();
        (text.expect("its text"), net_lines, diff)
    };
    let (plain, with) = (pulled(None), pulled(Some(logging)));
    assert_eq!(plain.0, b"lr = 2\n");
    assert_eq!(with.0, b"lr = 2\nprint(1)\nprint(2)\n");
    assert_eq!((plain.1, plain.2), (with.1, with.2), "neither its lines nor its diff count");
    let Err(Lacking::Rejected(rejected)) = propose(Some(frozen)).1 else { panic!("it is refused") };
    assert!(rejected.problems.iter().any(|problem| problem.rule() == Some("P2")), "{rejected:?}");
}
