//! The form of a lever: what can be said of it without looking at any evidence or tree (P5, P6, P12,
//! P19). Facts are the other gates' business.

use crate::gate::editable::Editable;
use crate::gate::{anchor, plan};
use std::collections::BTreeSet;
use windlass_shared::attempt::{Ending, Memory};
use windlass_shared::lever::{
    CITES_MAX, CarriedFix, FixTrigger, ITEMS_MAX, Kind, Lever, TEXT_MAX_BYTES, TITLE_MAX_BYTES,
};
use windlass_shared::refusal::Refusal;

/// Everything that is wrong with a lever's title, files, prediction, anchor, fixes, plan or tags, each
/// naming its key; a declared file that is not editable is refused as frozen (P2).
pub fn problems(lever: &Lever, editable: &Editable) -> Vec<Refusal> {
    let mut problems = Vec::new();
    let mut note = |checked: Result<(), Refusal>| problems.extend(checked.err());
    note(require_text("P5", "title", &lever.title, TITLE_MAX_BYTES));
    if lever.title.chars().any(char::is_control) {
        note(refuse("P5", "title", "has a line break or another control character; write one line"));
    }
    note(check_count("files", lever.files.len()));
    file_problems(lever, editable).into_iter().for_each(|problem| note(Err(problem)));
    note(require_text("P6", "prediction", &lever.prediction, TEXT_MAX_BYTES));
    match &lever.anchor {
        Some(anchor) => note(anchor::check_form(anchor)),
        None if lever.kind == Kind::Simplification => {}
        None => note(refuse("P6", "anchor", "is missing; only a simplification needs none")),
    }
    note(check_count("fixes", lever.fixes.len()));
    for (index, fix) in lever.fixes.iter().take(ITEMS_MAX).enumerate() {
        note(check_fix(index, fix));
    }
    plan::problems(&lever.analysis).into_iter().for_each(|problem| note(Err(problem)));
    if lever.architecture.as_deref().is_some_and(|tag| !plan::is_slug(tag)) {
        note(refuse("P36", "architecture", "is no slug: write letters a-z, digits, `_` and `-`"));
    }
    if lever.cites.len() > CITES_MAX {
        let (figure, limit) = (lever.cites.len() as u64, CITES_MAX as u64);
        note(Err(Refusal::TooMuch { what: "the number of rows that are cited".to_owned(), figure, limit }));
    }
    move_problems(lever).into_iter().for_each(|problem| note(Err(problem)));
    for (rule, field, text) in
        [("P37", "literature", &lever.literature), ("P10", "changed_assumption", &lever.changed_assumption)]
    {
        if let Some(text) = text {
            note(require_text(rule, field, text, TEXT_MAX_BYTES));
        }
    }
    problems
}

/// P11: a merge names the two or more iterations that it joins, and nothing else does.
fn move_problems(lever: &Lever) -> Vec<Refusal> {
    let wrong =
        |field: String, problem: &str| Refusal::Lever { rule: "P11", field, problem: problem.to_owned() };
    let mut problems = Vec::new();
    let parents: BTreeSet<_> = lever.parents.iter().collect();
    if lever.kind != Kind::Merge && !parents.is_empty() {
        problems.push(wrong("parents".to_owned(), "belongs to a merge; this lever is none"));
    } else if !parents.is_empty() && (parents.len() < 2 || parents.len() != lever.parents.len()) {
        problems.push(wrong("parents".to_owned(), "names fewer than two iterations, or one of them twice"));
    }
    if parents.len() > ITEMS_MAX || lever.axes.len() > ITEMS_MAX {
        problems.push(wrong("parents and axes".to_owned(), "have more than 64 entries"));
    }
    for (index, axis) in lever.axes.iter().take(ITEMS_MAX).enumerate() {
        if !plan::is_slug(axis) {
            problems
                .push(wrong(format!("axes[{index}]"), "is no slug: write letters a-z, digits, `_` and `-`"));
        }
    }
    problems
}

fn file_problems(lever: &Lever, editable: &Editable) -> Vec<Refusal> {
    let wrong =
        |field: String, problem: &str| Refusal::Lever { rule: "P5", field, problem: problem.to_owned() };
    if lever.files.is_empty() {
        return vec![wrong("files".to_owned(), "is empty; name the files that the change touches")];
    }
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    for (index, file) in lever.files.iter().take(ITEMS_MAX).enumerate() {
        if !seen.insert(file) {
            problems.push(wrong(format!("files[{index}]"), "stands there twice"));
        } else if !editable.allows(file) {
            problems.push(Refusal::Frozen { path: file.to_string() });
        }
    }
    problems
}

fn check_fix(index: usize, fix: &CarriedFix) -> Result<(), Refusal> {
    match &fix.trigger {
        FixTrigger::On(word) if !ENDINGS.iter().any(|ending| ending.as_str() == word) => {
            let words: Vec<&str> = ENDINGS.iter().map(Ending::as_str).collect();
            let problem = format!("{word:?} is no ending; there are {}", words.join(", "));
            refuse("P19", &format!("fixes[{index}].on"), &problem)
        }
        FixTrigger::On(_) => Ok(()),
        FixTrigger::Pattern(pattern) => match anchor::compile(pattern) {
            Ok(_) => Ok(()),
            Err(problem) => refuse("P19", &format!("fixes[{index}].pattern"), &problem),
        },
    }
}

/// One of each ending, for its word.
const ENDINGS: [Ending; 11] = [
    Ending::Finished,
    Ending::Crashed { code: None, signal: None },
    Ending::SoftTimeout,
    Ending::HardTimeout,
    Ending::OutOfMemory { memory: Memory::Host },
    Ending::GpuFault { detail: String::new() },
    Ending::DiskFull { over: None },
    Ending::Infra { detail: String::new() },
    Ending::Lost,
    Ending::Cancelled,
    Ending::Superseded,
];

fn check_count(what: &str, count: usize) -> Result<(), Refusal> {
    if count <= ITEMS_MAX {
        return Ok(());
    }
    Err(Refusal::TooMuch { what: what.to_owned(), figure: count as u64, limit: ITEMS_MAX as u64 })
}

fn require_text(rule: &'static str, field: &str, text: &str, max_bytes: usize) -> Result<(), Refusal> {
    match plan::text_problem(text, max_bytes) {
        Some(problem) => refuse(rule, field, problem),
        None => Ok(()),
    }
}

fn refuse(rule: &'static str, field: &str, problem: &str) -> Result<(), Refusal> {
    Err(Refusal::Lever { rule, field: field.to_owned(), problem: problem.to_owned() })
}

#[cfg(test)]
#[path = "lever_tests.rs"]
mod tests;
