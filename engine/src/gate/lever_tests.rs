//! Levers that are of their form, and one refusal for each key.

use super::*;
use windlass_shared::digest::Digest;
use windlass_shared::lever::{Anchor, Change};
use windlass_shared::path::TreePath;
use windlass_shared::plan::{Deliverable, Script};

fn path(text: &str) -> TreePath {
    TreePath::parse(text).expect(text)
}

fn lever() -> Lever {
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
        Anchor { file: path("loss.tsv"), pattern: "slope".to_owned(), compare: None, iteration: None };
    Lever {
        title: "add momentum 0.9".to_owned(),
        kind: Kind::Change,
        files: vec![path("train.py")],
        change: Change::Patch(Digest::of(b"")),
        anchor: Some(anchor),
        prediction: "up".to_owned(),
        fixes: vec![],
        literature: None,
        architecture: Some("mlp".to_owned()),
        instrumentation: None,
        parents: Vec::new(),
        axes: Vec::new(),
        cites: Vec::new(),
        changed_assumption: None,
        analysis: vec![row],
    }
}

fn outcome(change: impl FnOnce(&mut Lever)) -> Result<(), Refusal> {
    let mut lever = lever();
    change(&mut lever);
    let editable = Editable::new(&["train.py".to_owned(), "src/".to_owned()]).expect("patterns");
    problems(&lever, &editable).into_iter().next().map_or(Ok(()), Err)
}

#[track_caller]
fn check(rule: &str, at: &str, change: impl FnOnce(&mut Lever)) {
    match outcome(change) {
        Err(Refusal::Lever { rule: found, field, .. }) => assert_eq!((found, field.as_str()), (rule, at)),
        other => panic!("{at}: {other:?}"),
    }
}

fn fix(trigger: FixTrigger) -> CarriedFix {
    CarriedFix { trigger, patch: Digest::of(b"") }
}

#[test]
fn p11_only_a_merge_names_parents_two_at_least_and_axes_are_slugs() {
    use windlass_shared::id::IterationNumber;
    let joins = |lever: &mut Lever, kind, parents: &[u32]| {
        lever.kind = kind;
        lever.parents = parents.iter().map(|number| IterationNumber(*number)).collect();
    };
    assert_eq!(outcome(|lever| joins(lever, Kind::Merge, &[1, 2])), Ok(()));
    assert_eq!(outcome(|lever| lever.axes = vec!["family".to_owned()]), Ok(()));
    check("P11", "parents", |lever| joins(lever, Kind::Merge, &[1]));
    check("P11", "parents", |lever| joins(lever, Kind::Merge, &[2, 2]));
    check("P11", "parents", |lever| joins(lever, Kind::Swing, &[1, 2]));
    check("P11", "axes[0]", |lever| lever.axes = vec!["Two Words".to_owned()]);
}

#[test]
fn p5_a_lever_of_its_form_is_taken() {
    assert_eq!(outcome(|_| {}), Ok(()));
    assert_eq!(outcome(|lever| lever.files = vec![path("src/a.py"), path("train.py")]), Ok(()));
    assert_eq!(
        outcome(|lever| {
            lever.kind = Kind::Simplification;
            lever.anchor = None;
        }),
        Ok(())
    );
    for word in ["out_of_memory", "crashed", "soft_timeout", "hard_timeout"] {
        assert_eq!(outcome(|lever| lever.fixes = vec![fix(FixTrigger::On(word.to_owned()))]), Ok(()));
    }
    let pattern = FixTrigger::Pattern("CUDA out of memory".to_owned());
    assert_eq!(outcome(|lever| lever.fixes = vec![fix(pattern)]), Ok(()));
}

#[test]
fn p5_a_title_is_one_line_and_files_are_declared_once() {
    check("P5", "title", |lever| lever.title = "  ".to_owned());
    check("P5", "title", |lever| lever.title = "a\nb".to_owned());
    check("P5", "title", |lever| lever.title = "x".repeat(TITLE_MAX_BYTES + 1));
    check("P5", "files", |lever| lever.files.clear());
    check("P5", "files[1]", |lever| lever.files = vec![path("train.py"), path("./train.py")]);
    let many = outcome(|lever| lever.files = (0..65).map(|n| path(&format!("src/{n}"))).collect());
    assert!(matches!(many, Err(Refusal::TooMuch { figure: 65, .. })), "{many:?}");
}

#[test]
fn p2_a_declared_file_that_is_frozen_is_refused() {
    let refused = outcome(|lever| lever.files.push(path("prepare.py")));
    assert_eq!(refused, Err(Refusal::Frozen { path: "prepare.py".to_owned() }));
}

#[test]
fn p6_every_lever_but_a_simplification_has_an_anchor_and_a_prediction() {
    check("P6", "anchor", |lever| lever.anchor = None);
    check("P6", "anchor", |lever| {
        lever.kind = Kind::Instrumentation;
        lever.anchor = None;
    });
    check("P6", "prediction", |lever| lever.prediction.clear());
    check("P6", "anchor.pattern", |lever| {
        lever.kind = Kind::Simplification;
        lever.anchor.iter_mut().for_each(|anchor| anchor.pattern = "(".to_owned());
    });
}

#[test]
fn p12_a_lever_without_a_plan_is_refused() {
    check("P12", "analysis", |lever| lever.analysis.clear());
    check("P12", "analysis[0].if_not", |lever| lever.analysis[0].if_not.clear());
}

#[test]
fn p19_a_fix_answers_a_real_ending_or_a_real_pattern() {
    check("P19", "fixes[0].on", |lever| lever.fixes = vec![fix(FixTrigger::On("oom".to_owned()))]);
    check("P19", "fixes[0].pattern", |lever| lever.fixes = vec![fix(FixTrigger::Pattern("[".to_owned()))]);
    let many = outcome(|lever| lever.fixes = vec![fix(FixTrigger::On("crashed".to_owned())); ITEMS_MAX + 1]);
    assert!(matches!(many, Err(Refusal::TooMuch { .. })), "{many:?}");
}

#[test]
fn p36_tags_and_stated_texts_are_filled() {
    check("P36", "architecture", |lever| lever.architecture = Some("Res Net".to_owned()));
    check("P37", "literature", |lever| lever.literature = Some(String::new()));
    check("P10", "changed_assumption", |lever| lever.changed_assumption = Some(" ".to_owned()));
}
