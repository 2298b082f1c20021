//! The documents of an iteration's folder as text: bindings, lever, plan, conclusion.

use crate::error::Error;
use crate::history::Iteration;
use crate::render::text::neutral;
use serde::Serialize;
use std::collections::BTreeMap;
use windlass_shared::conclusion::Verdict;
use windlass_shared::digest::Digest;
use windlass_shared::id::IterationNumber;
use windlass_shared::lever::{Anchor, Citation, FixTrigger, Lever};
use windlass_shared::path::TreePath;
use windlass_shared::plan::{Compares, Deliverable, Script};

/// A value as YAML.
pub fn yaml<T: Serialize>(value: &T) -> Result<String, Error> {
    serde_saphyr::to_string(value)
        .map_err(|problem| Error::System { operation: "write YAML", source: std::io::Error::other(problem) })
}

#[derive(Serialize)]
struct LeverDocument<'a> {
    title: &'a str,
    kind: &'static str,
    files: &'a [TreePath],
    patch: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    anchor: Option<&'a Anchor>,
    prediction: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instrumentation: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fixes: Vec<BTreeMap<&'static str, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    literature: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    architecture: Option<&'a str>,
    #[serde(skip_serializing_if = "<[Citation]>::is_empty")]
    cites: &'a [Citation],
    #[serde(skip_serializing_if = "<[IterationNumber]>::is_empty")]
    parents: &'a [IterationNumber],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    axes: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    changed_assumption: Option<&'a str>,
    analysis: Vec<PlanRow<'a>>,
}

#[derive(Serialize)]
struct PlanRow<'a> {
    script: String,
    output: &'a TreePath,
    dimension: &'a str,
    question: &'a str,
    if_helped: &'a str,
    if_not: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    compares: Option<&'a Compares>,
}

/// `lever.yaml`, its paths leading to what lies beside it.
pub fn lever(lever: &Lever, scripts: &ScriptNames) -> Result<String, Error> {
    let fixes = lever.fixes.iter().enumerate().map(|(index, fix)| {
        let (key, value) = match &fix.trigger {
            FixTrigger::On(ending) => ("on", ending.clone()),
            FixTrigger::Pattern(pattern) => ("pattern", pattern.clone()),
        };
        BTreeMap::from([(key, value), ("patch", fix_name(index))])
    });
    let analysis = lever.analysis.iter().map(|row| PlanRow {
        script: scripts.path(&row.script),
        output: &row.output,
        dimension: &row.dimension,
        question: &row.question,
        if_helped: &row.if_helped,
        if_not: &row.if_not,
        compares: row.compares.as_ref(),
    });
    yaml(&LeverDocument {
        title: &lever.title,
        kind: lever.kind.as_str(),
        files: &lever.files,
        patch: "change.patch",
        anchor: lever.anchor.as_ref(),
        prediction: &lever.prediction,
        instrumentation: lever.instrumentation.map(|_| INSTRUMENTATION),
        fixes: fixes.collect(),
        literature: lever.literature.as_deref(),
        architecture: lever.architecture.as_deref(),
        cites: &lever.cites,
        parents: &lever.parents,
        axes: &lever.axes,
        changed_assumption: lever.changed_assumption.as_deref(),
        analysis: analysis.collect(),
    })
}

/// The file of a lever's separate instrumentation.
pub const INSTRUMENTATION: &str = "instrumentation.patch";

/// The file of a carried fix, by its index.
pub fn fix_name(index: usize) -> String {
    format!("fix{}.patch", index + 1)
}

/// Which file under `analysis/` each script is. Two scripts of one name are told apart by a number.
#[derive(Debug, Default)]
pub struct ScriptNames {
    names: BTreeMap<Digest, String>,
}

impl ScriptNames {
    /// For the scripts of these plans.
    pub fn of<'a>(rows: impl Iterator<Item = &'a Deliverable>) -> Self {
        let mut scripts = Self::default();
        for row in rows {
            let Script::Blob { name, digest } = &row.script else { continue };
            // A name comes from elsewhere: only its last part, and never a file of ours.
            let last = TreePath::parse(name.rsplit('/').next().unwrap_or(name));
            let name = last.map_or("script".to_owned(), |name| name.to_string());
            let is_taken = |name: &str, names: &BTreeMap<Digest, String>| {
                name == "plan.md" || name == "summary.md" || names.values().any(|other| other == name)
            };
            if scripts.names.contains_key(digest) {
                continue;
            }
            let numbered = (2..).map(|n| format!("{n}-{name}"));
            let free = std::iter::once(name.clone())
                .chain(numbered)
                .find(|name| !is_taken(name, &scripts.names))
                .unwrap_or(name);
            scripts.names.insert(*digest, free);
        }
        scripts
    }

    /// Each script with its file.
    pub fn files(&self) -> impl Iterator<Item = (&Digest, &String)> {
        self.names.iter()
    }

    fn path(&self, script: &Script) -> String {
        match script {
            Script::Blob { name, digest } => {
                format!("analysis/{}", self.names.get(digest).unwrap_or(name))
            }
            Script::Named(name) => name.clone(),
        }
    }
}

/// `analysis/plan.md`: the deliverables table (P12), and below it what was added beside the plan (P22).
pub fn plan(iteration: &Iteration, scripts: &ScriptNames) -> String {
    let mut text =
        format!("# Analysis plan of iteration {}: {}\n\n", iteration.number, neutral(&iteration.title));
    rows(&mut text, iteration, false, scripts);
    if !iteration.follow_ups.is_empty() {
        text.push_str("\n## Follow-ups\n\n");
        rows(&mut text, iteration, true, scripts);
    }
    text
}

fn rows(text: &mut String, iteration: &Iteration, follow_ups: bool, scripts: &ScriptNames) {
    text.push_str(
        "| script | output | dimension | question | if it helped | if not | compares with |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for row in iteration.rows(follow_ups) {
        let script = scripts.path(&row.script);
        let compares = row.compares.as_ref();
        let compares = compares.map(|it| format!("iteration {}: {}", it.iteration, it.reason));
        let compares = compares.unwrap_or_default();
        let cells = [
            &script,
            row.output.as_str(),
            &row.dimension,
            &row.question,
            &row.if_helped,
            &row.if_not,
            &compares,
        ];
        text.push_str(&format!("| {} |\n", cells.map(cell).join(" | ")));
    }
}

/// `analysis/summary.md`: the decision and the conclusion (P23).
pub fn summary(iteration: &Iteration) -> String {
    let mut text = format!("# Iteration {}: {}\n\n", iteration.number, neutral(&iteration.title));
    if let Some(decision) = &iteration.decision {
        let (status, reason) = (decision.status.as_str(), neutral(&decision.reason));
        text.push_str(&format!("**{status}** ({reason}): {}\n", neutral(&decision.arithmetic.sentence)));
    }
    let Some(conclusion) = &iteration.conclusion else { return text };
    text.push_str(&format!("\n{}\n\n", neutral(&conclusion.finding)));
    for bullet in &conclusion.bullets {
        text.push_str(&format!("- {}\n", neutral(bullet)));
    }
    if !conclusion.deliverables.is_empty() {
        text.push_str("\n| deliverable | shows |\n|---|---|\n");
        for (output, verdict) in &conclusion.deliverables {
            let verdict = match verdict {
                Verdict::AsHelped => "as if it helped",
                Verdict::AsNot => "as if not",
                Verdict::Neither => "neither",
            };
            text.push_str(&format!("| {} | {verdict} |\n", cell(output.as_str())));
        }
    }
    if let Some(is_near) = conclusion.ceiling_near {
        text.push_str(&format!("\nThe ceiling is {}.\n", if is_near { "near" } else { "not near" }));
    }
    if conclusion.automatic {
        text.push_str("\nComposed from facts alone.\n");
    }
    text
}

fn cell(text: &str) -> String {
    neutral(text).replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_shared::id::IterationNumber;

    #[test]
    fn the_documents_of_an_iteration() {
        let story = crate::history::test_story();
        let third = &story.iterations[&IterationNumber(3)];
        let proposed = story.lever_of(third).expect("a lever");
        let scripts = ScriptNames::of(third.plan.iter().chain(&proposed.analysis));
        let all = [plan(third, &scripts), summary(third), lever(proposed, &scripts).expect("yaml")];
        insta::assert_snapshot!(all.join("\n----\n"));
    }

    #[test]
    fn bindings_written_out_read_back_the_same() {
        let story = crate::history::test_story();
        let text = yaml(&story.bindings).expect("yaml");
        let back: windlass_shared::bindings::Bindings =
            crate::yaml::parse(std::path::Path::new("loop.run.yaml"), &text).expect("reads back");
        assert_eq!(back, story.bindings);
    }
}
