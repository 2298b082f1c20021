//! The form of a lever: what can be said of it without looking at any evidence or tree (P5, P6, P12,
//! P19). Facts are the other gates' business.

use crate::gate::editable::Editable;
use crate::gate::{anchor, plan};
use std::collections::BTreeSet;
use windlass_shared::attempt::{Ending, Memory};
use windlass_shared::lever::{
    CarriedFix, FixTrigger, ITEMS_MAX, Kind, Lever, TEXT_MAX_BYTES, TITLE_MAX_BYTES,
};
use windlass_shared::refusal::Refusal;

/// Refuses a lever whose title, files, prediction, anchor, fixes, plan or tags are not of their form,
/// naming the key; a declared file that is not editable is refused as frozen (P2).
pub fn check_form(lever: &Lever, editable: &Editable) -> Result<(), Refusal> {
    require_text("P5", "title", &lever.title, TITLE_MAX_BYTES)?;
    if lever.title.chars().any(char::is_control) {
        return refuse("P5", "title", "has a line break or another control character; write one line");
    }
    check_files(lever, editable)?;
    require_text("P6", "prediction", &lever.prediction, TEXT_MAX_BYTES)?;
    match &lever.anchor {
        Some(anchor) => anchor::check_form(anchor)?,
        None if lever.kind == Kind::Simplification => {}
        None => return refuse("P6", "anchor", "is missing; only a simplification needs none"),
    }
    check_count("fixes", lever.fixes.len())?;
    for (index, fix) in lever.fixes.iter().enumerate() {
        check_fix(index, fix)?;
    }
    plan::check(&lever.analysis)?;
    if lever.architecture.as_deref().is_some_and(|tag| !plan::is_slug(tag)) {
        return refuse("P36", "architecture", "is no slug: write letters a-z, digits, `_` and `-`");
    }
    for (rule, field, text) in
        [("P37", "literature", &lever.literature), ("P10", "changed_assumption", &lever.changed_assumption)]
    {
        if let Some(text) = text {
            require_text(rule, field, text, TEXT_MAX_BYTES)?;
        }
    }
    Ok(())
}

fn check_files(lever: &Lever, editable: &Editable) -> Result<(), Refusal> {
    if lever.files.is_empty() {
        return refuse("P5", "files", "is empty; name the files that the change touches");
    }
    check_count("files", lever.files.len())?;
    let mut seen = BTreeSet::new();
    for (index, file) in lever.files.iter().enumerate() {
        if !seen.insert(file) {
            return refuse("P5", &format!("files[{index}]"), "stands there twice");
        }
        if !editable.allows(file) {
            return Err(Refusal::Frozen { path: file.to_string() });
        }
    }
    Ok(())
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
    Ending::DiskFull,
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
