//! What was learnt: the latest conclusion, the deliverables behind it, the dimensions that are used up, and
//! what the literature said.

use super::facts::Facts;
use super::section::{Pen, Section, code};
use crate::history::Iteration;
use crate::render::findings::stands;
use serde::Serialize;
use windlass_shared::conclusion::{Conclusion, Verdict};
use windlass_shared::literature;
use windlass_shared::path::TreePath;

#[derive(Serialize)]
struct Part {
    iteration: u32,
    part: &'static str,
    text: String,
}

#[derive(Serialize)]
struct Row<'a> {
    iteration: u32,
    output: String,
    dimension: &'a str,
    question: String,
    if_helped: String,
    if_not: String,
    first_line: Option<String>,
    verdict: Option<Verdict>,
}

#[derive(Serialize)]
struct Read {
    finding: String,
    title: String,
    claim: String,
    proposed_change: String,
    stands: String,
}

/// The conclusion of the latest analysed iteration, its finding first.
pub fn conclusion(facts: &Facts) -> Section<'_> {
    let told = facts.analysed().and_then(|iteration| Some((iteration, iteration.conclusion.as_ref()?)));
    let parts = told.map_or_else(Vec::new, |(_, conclusion)| parts(conclusion));
    let (number, total) = (told.map_or(0, |(iteration, _)| iteration.number.0), parts.len());
    let entry = move |index: usize, pen: &Pen| {
        let (part, text) = &parts[index];
        let part = Part { iteration: number, part, text: pen.line(text) };
        pen.entry(&part, || match part.part {
            "finding" => format!("iteration {number} found: **{}**", part.text),
            "bullet" => part.text.clone(),
            name => format!("{name}: {}", part.text),
        })
    };
    Section {
        name: "conclusion",
        heading: "The latest conclusion",
        command: format!("windlass show {} {number}", facts.view.campaign),
        rank: 4,
        floor: 4,
        total,
        entry: Box::new(entry),
    }
}

fn parts(conclusion: &Conclusion) -> Vec<(&'static str, String)> {
    let mut parts = vec![("finding", conclusion.finding.clone())];
    if let Some(anchor) = &conclusion.anchor {
        let compare = anchor.compare.as_ref().map_or(String::new(), |compare| format!(" {compare}"));
        parts.push(("anchor offered", format!("{} /{}/{compare}", anchor.file, anchor.pattern)));
    }
    parts.extend(conclusion.bullets.iter().map(|bullet| ("bullet", bullet.clone())));
    if !conclusion.examined.is_empty() {
        parts.push(("examined", conclusion.examined.clone()));
    }
    if conclusion.automatic {
        parts
            .push(("written by", "the coordinator, from facts alone; nobody has judged them yet".to_owned()));
    }
    parts
}

/// The plan of the latest analysed iteration, each row with what it showed.
pub fn analysis(facts: &Facts) -> Section<'_> {
    let latest = facts.analysed();
    let total = latest.map_or(0, |iteration| iteration.plan.len());
    let number = latest.map_or(0, |iteration| iteration.number.0);
    let entry = move |index: usize, pen: &Pen| latest.map_or(String::new(), |it| planned(it, index, pen));
    Section {
        name: "analysis",
        heading: "The latest analysis",
        command: format!("windlass show {} {number}", facts.view.campaign),
        rank: 5,
        floor: 3,
        total,
        entry: Box::new(entry),
    }
}

fn planned(iteration: &Iteration, index: usize, pen: &Pen) -> String {
    let row = &iteration.plan[index];
    let told = Row {
        iteration: iteration.number.0,
        output: pen.line(row.output.as_str()),
        dimension: &row.dimension,
        question: pen.line(&row.question),
        if_helped: pen.line(&row.if_helped),
        if_not: pen.line(&row.if_not),
        first_line: iteration.accepted.get(&row.output).map(|line| pen.line(line)),
        verdict: iteration.conclusion.as_ref().and_then(|said| verdict(said, &row.output)),
    };
    pen.entry(&told, || {
        let verdict = match told.verdict {
            Some(Verdict::AsHelped) => "as if it helped",
            Some(Verdict::AsNot) => "as if not",
            Some(Verdict::Neither) | None => "not judged",
        };
        let line = told.first_line.as_deref().map_or("missing".to_owned(), code);
        format!("{} ({}), {}: {line}; {verdict}", told.output, told.dimension, told.question)
    })
}

fn verdict(conclusion: &Conclusion, output: &TreePath) -> Option<Verdict> {
    conclusion.deliverables.iter().find(|(path, _)| path == output).map(|(_, verdict)| *verdict)
}

/// Slugs that an accepted deliverable has measured: a lever's plan needs one that is not here (P13).
pub fn dimensions(facts: &Facts) -> Section<'_> {
    let entry = |index: usize, pen: &Pen| {
        let dimension = pen.line(&facts.dimensions[index]);
        pen.entry(&dimension, || dimension.clone())
    };
    Section {
        name: "dimensions",
        heading: "Dimensions that are used up (P13)",
        command: facts.whole.clone(),
        rank: 6,
        floor: 8,
        total: facts.dimensions.len(),
        entry: Box::new(entry),
    }
}

/// What the literature said, the latest first: kept findings that a lever may cite, then the others.
pub fn findings(facts: &Facts) -> Section<'_> {
    let of = |verdict| {
        let all = facts.story.findings.iter().rev();
        all.filter(move |(_, finding)| finding.verdict == verdict)
    };
    let all: Vec<_> = of(literature::Verdict::Keep).chain(of(literature::Verdict::Reject)).collect();
    let total = all.len();
    let entry = move |index: usize, pen: &Pen| {
        let (number, finding) = all[index];
        let document = &finding.document;
        let told = Read {
            finding: number.to_string(),
            title: pen.line(document.title()),
            claim: pen.line(&document.claim),
            proposed_change: pen.line(&document.proposed_change),
            stands: pen.line(&stands(finding)),
        };
        pen.entry(&told, || {
            let Read { finding, title, claim, proposed_change, stands } = &told;
            format!("{finding} ({stands}): {claim}. Change: {proposed_change} ({title})")
        })
    };
    Section {
        name: "findings",
        heading: "Findings",
        command: format!("windlass findings list {}", facts.view.campaign),
        rank: 7,
        floor: 2,
        total,
        entry: Box::new(entry),
    }
}
