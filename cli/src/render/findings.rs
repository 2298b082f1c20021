//! `windlass findings list C`: the corpus for people.

use super::style::{self, FAINT};
use super::table::{Cell, Column, Table};
use super::text::{fit, neutral};
use crate::history::{FindingStory, Findings};
use windlass_shared::conclusion::Status;
use windlass_shared::id::FindingNumber;
use windlass_shared::literature::{Effect, Verdict};

/// The table.
pub fn table(findings: &Findings, width: u16) -> String {
    if findings.is_empty() {
        return fit("no findings yet: `windlass findings add C FILE` records a review\n", Some(width));
    }
    let mut table = Table::new(
        width,
        [
            Column::new("finding"),
            Column::new("iter").right().rank(5),
            Column::new("level").right().rank(6),
            Column::new("paper").rank(4),
            Column::new("title").wraps().rank(1),
            Column::new("scope").rank(3),
            Column::new("relevance").rank(2),
            Column::new("stands").wraps(),
        ],
    );
    for (number, finding) in findings {
        let document = &finding.document;
        table.row([
            number.to_string().into(),
            finding.review.to_string().into(),
            document.abstraction_level.to_string().into(),
            document.paper().map_or("none", |(_, id)| id).into(),
            document.title().into(),
            finding.scope.as_str().into(),
            document.evidence.strength.relevance().as_str().into(),
            stands_cell(finding),
        ]);
    }
    table.render()
}

fn stands_cell(finding: &FindingStory) -> Cell {
    let text = stands(finding);
    match (finding.verdict, finding.result) {
        (Verdict::Reject, _) | (_, Effect::Stale) => Cell::styled(&text, FAINT),
        (_, Effect::Helped) => Cell::styled(&text, style::of_status(Status::Keep)),
        (_, Effect::Hurt | Effect::NoEffect) => Cell::styled(&text, style::of_status(Status::Discard)),
        (Verdict::Keep, Effect::Pending) => text.into(),
    }
}

/// Where a finding stands, in words.
pub fn stands(finding: &FindingStory) -> String {
    if finding.verdict == Verdict::Reject {
        return format!("rejected: {}", finding.reasons.join("; "));
    }
    match (finding.result, finding.tested_by, &finding.why) {
        (Effect::Pending, ..) => "kept, can be cited".to_owned(),
        (result, Some(iteration), _) => format!("{} in iteration {iteration}", result.as_str()),
        (result, None, Some(why)) => format!("{}: {why}", result.as_str()),
        (result, None, None) => result.as_str().to_owned(),
    }
}

/// What became of a finding that was just recorded.
pub fn verdict_line(number: FindingNumber, finding: &FindingStory) -> String {
    let verdict = match finding.verdict {
        Verdict::Keep => format!("kept, {}", finding.document.title()),
        Verdict::Reject => format!("rejected: {}", finding.reasons.join("; ")),
    };
    format!("{number} {}\n", neutral(&verdict))
}
