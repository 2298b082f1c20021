//! The analysis plan: a table with every column filled (P12), and something new to learn (P13). It says
//! what is wrong with a plan or completes it; it runs no script.

use std::collections::{BTreeMap, BTreeSet};
use windlass_shared::lever::{ITEMS_MAX, TEXT_MAX_BYTES};
use windlass_shared::path::TreePath;
use windlass_shared::plan::{Deliverable, Script};
use windlass_shared::refusal::Refusal;

/// The longest slug: it is a column of a table and a key.
const SLUG_MAX_BYTES: usize = 64;
/// What lies beside `results/` and is evidence of its own.
const RUN_LOG: &str = "run.log";

/// Refuses a plan that is empty or past [`ITEMS_MAX`], a column that is empty or past
/// [`TEXT_MAX_BYTES`], a dimension that is no slug, a script that is neither sent along nor builtin, and
/// outputs that are `run.log` or get in each other's way (P12).
pub fn check(plan: &[Deliverable]) -> Result<(), Refusal> {
    problems(plan).into_iter().next().map_or(Ok(()), Err)
}

/// Everything for which [`check`] refuses: at most one problem a row.
pub fn problems(plan: &[Deliverable]) -> Vec<Refusal> {
    let refuse =
        |field: String, problem: &str| Refusal::Lever { rule: "P12", field, problem: problem.to_owned() };
    if plan.is_empty() {
        return vec![refuse("analysis".to_owned(), "has no deliverable; a lever needs at least one")];
    }
    if plan.len() > ITEMS_MAX {
        let figure = plan.len() as u64;
        return vec![Refusal::TooMuch { what: "analysis".to_owned(), figure, limit: ITEMS_MAX as u64 }];
    }
    let mut problems = Vec::new();
    let mut outputs = Outputs::default();
    let scripts: BTreeSet<String> = plan.iter().filter_map(script_path).collect();
    for (index, row) in plan.iter().enumerate() {
        if let Err((column, problem)) = check_row(row) {
            problems.push(refuse(format!("analysis[{index}].{column}"), problem));
        } else if scripts.contains(&row.output.folded()) {
            problems.push(refuse(format!("analysis[{index}].output"), "is a script of the plan"));
        } else if !outputs.take(&row.output) {
            problems.push(refuse(format!("analysis[{index}].output"), "is the output of another row too"));
        }
    }
    problems
}

/// A plan with what the campaign adds to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completed {
    /// The rows to be carried out: the lever's, those of every iteration, at most one of the catalogue.
    Plan(Vec<Deliverable>),
    /// Nothing new in it, and nothing new left in the catalogue.
    NeedsPlan,
}

/// Completes a lever's plan (P13). The rows of `always` are added unless their output is taken. If then
/// no row measures a dimension outside `measured`, the first entry of `diagnostics` that does and whose
/// output is free is added. Where the campaign has no catalogue at all, rows that all state `compares`
/// stand as they are.
pub fn complete(
    plan: &[Deliverable],
    always: &[Deliverable],
    diagnostics: &[Deliverable],
    measured: &BTreeSet<String>,
) -> Completed {
    let mut rows = plan.to_vec();
    let mut outputs = Outputs::default();
    for row in plan {
        outputs.take(&row.output);
    }
    rows.extend(always.iter().filter(|row| outputs.take(&row.output)).cloned());
    if has_new_dimension(&rows, measured) {
        return Completed::Plan(rows);
    }
    let is_new = |row: &&Deliverable| !measured.contains(&row.dimension);
    if let Some(row) = diagnostics.iter().filter(is_new).find(|row| outputs.take(&row.output)) {
        rows.push(row.clone());
        return Completed::Plan(rows);
    }
    let is_reasoned = !plan.is_empty() && repeats_without_reason(plan, measured).is_empty();
    if diagnostics.is_empty() && is_reasoned { Completed::Plan(rows) } else { Completed::NeedsPlan }
}

/// Adds a row to a plan, unless its output is in the way of another's.
pub fn add(rows: &mut Vec<Deliverable>, row: Deliverable) -> bool {
    let mut outputs = Outputs::default();
    for row in rows.iter() {
        outputs.take(&row.output);
    }
    let is_free = outputs.take(&row.output);
    if is_free {
        rows.push(row);
    }
    is_free
}

/// Whether some row measures what nobody measured before (P13).
pub fn has_new_dimension(plan: &[Deliverable], measured: &BTreeSet<String>) -> bool {
    plan.iter().any(|row| !measured.contains(&row.dimension))
}

/// The dimensions that are measured again without `compares` (P13), each once, in the plan's order.
pub fn repeats_without_reason(plan: &[Deliverable], measured: &BTreeSet<String>) -> Vec<String> {
    let mut repeats: Vec<String> = Vec::new();
    for row in plan.iter().filter(|row| row.compares.is_none() && measured.contains(&row.dimension)) {
        if !repeats.contains(&row.dimension) {
            repeats.push(row.dimension.clone());
        }
    }
    repeats
}

/// Whether `text` is a slug: lower-case ASCII letters, digits, `_` and `-`, a letter or digit first.
pub(crate) fn is_slug(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() <= SLUG_MAX_BYTES
        && text.bytes().next().is_some_and(is_plain)
        && text.bytes().all(|byte| is_plain(byte) || matches!(byte, b'_' | b'-'))
}

/// What is wrong with a text that must say something, if anything is.
pub(super) fn text_problem(text: &str, max_bytes: usize) -> Option<&'static str> {
    if text.trim().is_empty() {
        return Some("is empty");
    }
    (text.len() > max_bytes).then_some("is too long")
}

fn check_row(row: &Deliverable) -> Result<(), (&'static str, &'static str)> {
    match &row.script {
        Script::Blob { name, .. } if TreePath::parse(name).is_err() => {
            return Err(("script", "has no file name"));
        }
        Script::Named(_) if !row.script.is_builtin() => {
            return Err(("script", "is neither sent along nor `builtin:log` or `builtin:telemetry`"));
        }
        _ => {}
    }
    if row.output.folded() == RUN_LOG {
        return Err(("output", "is the run's own log"));
    }
    if !is_slug(&row.dimension) {
        return Err(("dimension", "is no slug: write letters a-z, digits, `_` and `-`"));
    }
    let reason = row.compares.as_ref().map(|compares| ("compares.reason", compares.reason.as_str()));
    let columns =
        [("question", row.question.as_str()), ("if_helped", &row.if_helped), ("if_not", &row.if_not)];
    for (column, text) in columns.into_iter().chain(reason) {
        if let Some(problem) = text_problem(text, TEXT_MAX_BYTES) {
            return Err((column, problem));
        }
    }
    Ok(())
}

/// Where a script that was sent along lies, as the file system may fold it.
fn script_path(row: &Deliverable) -> Option<String> {
    match &row.script {
        Script::Blob { name, .. } => TreePath::parse(name).ok().map(|path| path.folded()),
        Script::Named(_) => None,
    }
}

/// The outputs taken so far, folded, and the folders that they need.
#[derive(Default)]
pub(crate) struct Outputs {
    /// Whether the place is a file.
    places: BTreeMap<String, bool>,
}

impl Outputs {
    /// Takes `output`, unless another one stands there, above it or below it.
    pub(crate) fn take(&mut self, output: &TreePath) -> bool {
        let folded = output.folded();
        let folders: Vec<&str> = folded.match_indices('/').map(|(at, _)| &folded[..at]).collect();
        if self.places.contains_key(&folded) || folders.iter().any(|&f| self.places.get(f) == Some(&true)) {
            return false;
        }
        for folder in folders {
            self.places.insert(folder.to_owned(), false);
        }
        self.places.insert(folded, true);
        true
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
