//! Plans that are tables, and what is new in them.

use super::*;
use windlass_shared::digest::Digest;
use windlass_shared::id::IterationNumber;
use windlass_shared::plan::Compares;

fn row(output: &str, dimension: &str) -> Deliverable {
    Deliverable {
        script: Script::Blob { name: "a.py".to_owned(), digest: Digest::of(b"") },
        output: TreePath::parse(output).expect(output),
        dimension: dimension.to_owned(),
        question: "which?".to_owned(),
        if_helped: "fewer".to_owned(),
        if_not: "as many".to_owned(),
        compares: None,
    }
}

fn compared(output: &str, dimension: &str) -> Deliverable {
    let compares = Compares { iteration: IterationNumber(1), reason: "before and after".to_owned() };
    Deliverable { compares: Some(compares), ..row(output, dimension) }
}

fn changed(change: impl FnOnce(&mut Deliverable)) -> Vec<Deliverable> {
    let mut row = compared("a.tsv", "errors");
    change(&mut row);
    vec![row]
}

#[test]
fn p12_a_filled_table_is_taken() {
    let builtin = Deliverable { script: Script::Named(Script::BUILTIN_LOG.to_owned()), ..row("c/d", "x-1") };
    assert_eq!(check(&[row("a.tsv", "errors"), compared("c/b.tsv", "0_loss"), builtin]), Ok(()));
}

#[test]
fn p12_an_empty_column_or_a_taken_output_is_refused_by_key() {
    let long = "x".repeat(TEXT_MAX_BYTES + 1);
    let output = |text: &str| TreePath::parse(text).expect(text);
    for (field, plan) in [
        ("analysis", vec![]),
        ("analysis[0].question", changed(|row| row.question = " \n".to_owned())),
        ("analysis[0].if_helped", changed(|row| row.if_helped.clear())),
        ("analysis[0].if_not", changed(|row| row.if_not.clone_from(&long))),
        ("analysis[0].dimension", changed(|row| row.dimension = "Errors".to_owned())),
        ("analysis[0].dimension", changed(|row| row.dimension = "-x".to_owned())),
        ("analysis[0].dimension", changed(|row| row.dimension.clear())),
        ("analysis[0].script", changed(|row| row.script = Script::Named("a.py".to_owned()))),
        ("analysis[0].script", changed(|row| row.script = Script::Named("builtin:x".to_owned()))),
        ("analysis[0].output", changed(|row| row.output = output("Run.LOG"))),
        (
            "analysis[0].output",
            changed(|row| {
                let digest = windlass_shared::digest::Digest::of(b"print()");
                row.script = Script::Blob { name: "errors.py".to_owned(), digest };
                row.output = output("Errors.py");
            }),
        ),
        (
            "analysis[0].compares.reason",
            changed(|row| {
                row.compares = Some(Compares { iteration: IterationNumber(1), reason: String::new() });
            }),
        ),
        ("analysis[1].output", vec![row("a.tsv", "x"), row("A.py", "y")]),
        ("analysis[1].output", vec![row("a.tsv", "x"), row("A.tsv", "y")]),
        ("analysis[1].output", vec![row("a/b", "x"), row("a", "y")]),
        ("analysis[1].output", vec![row("a", "x"), row("a/b", "y")]),
    ] {
        match check(&plan) {
            Err(Refusal::Lever { rule: "P12", field: at, .. }) => assert_eq!(at, field),
            other => panic!("{field}: {other:?}"),
        }
    }
    let many: Vec<Deliverable> = (0..=ITEMS_MAX).map(|n| row(&format!("{n}"), "x")).collect();
    assert!(matches!(check(&many), Err(Refusal::TooMuch { .. })));
    assert_eq!(check(&many[1..]), Ok(()));
}

#[track_caller]
fn check_completed(
    plan: &[Deliverable],
    always: &[Deliverable],
    diagnostics: &[Deliverable],
    want: Option<&[&str]>,
) {
    let measured = ["errors", "loss"].map(str::to_owned).into();
    let got = match complete(plan, always, diagnostics, &measured) {
        Completed::Plan(rows) => Some(rows.iter().map(|row| row.output.to_string()).collect::<Vec<_>>()),
        Completed::NeedsPlan => None,
    };
    assert_eq!(got, want.map(|outputs| outputs.iter().map(|&o| o.to_owned()).collect()));
}

#[test]
fn p13_a_plan_with_a_new_dimension_uses_nothing_up() {
    let catalogue = [row("d.tsv", "drift")];
    check_completed(&[row("a", "errors"), row("b", "speed")], &[], &catalogue, Some(&["a", "b"]));
    check_completed(&[row("a", "speed")], &[row("z", "loss")], &catalogue, Some(&["a", "z"]));
    check_completed(&[row("a", "errors")], &[row("z", "speed")], &catalogue, Some(&["a", "z"]));
    check_completed(&[row("a", "speed")], &[row("A", "loss")], &catalogue, Some(&["a"]));
}

#[test]
fn p13_a_plan_without_one_takes_the_next_unused_entry_of_the_catalogue() {
    let plan = [row("a", "errors")];
    let catalogue = [row("c", "loss"), row("a", "drift"), row("d", "scale"), row("e", "speed")];
    check_completed(&plan, &[], &catalogue, Some(&["a", "d"]));
    check_completed(&plan, &[row("d", "loss")], &catalogue, Some(&["a", "d", "e"]));
    check_completed(&plan, &[], &catalogue[..2], None);
    check_completed(&[compared("a", "errors")], &[], &catalogue[..1], None);
    check_completed(&plan, &[], &[], None);
    check_completed(&[], &[], &[], None);
}

#[test]
fn p13_where_there_is_no_catalogue_a_stated_comparison_stands() {
    check_completed(&[compared("a", "errors")], &[row("z", "loss")], &[], Some(&["a", "z"]));
    check_completed(&[compared("a", "errors"), row("b", "loss")], &[], &[], None);
}

#[test]
fn p13_repeats_without_a_reason_are_named_once() {
    let measured = ["errors", "loss"].map(str::to_owned).into();
    let plan =
        [row("a", "loss"), compared("b", "errors"), row("c", "loss"), row("d", "new"), row("e", "errors")];
    assert_eq!(repeats_without_reason(&plan, &measured), ["loss", "errors"]);
}
