//! One iteration as a page.

use super::event::{ended, on};
use super::page::Page;
use super::style::{self, STRONG};
use super::table::Table;
use super::text::neutral;
use super::units;
use crate::history::{Attempt, Iteration, Story};
use windlass_shared::attempt::Kind;

/// Files of evidence that a page names.
const EVIDENCE_MAX: usize = 40;

/// `windlass show C N`.
pub fn page(story: &Story, iteration: &Iteration, evidence: &[String], width: u16) -> String {
    let heading = format!("{STRONG}iteration {}{STRONG:#}  {}", iteration.number, neutral(&iteration.title));
    let mut page = Page::new(&heading, width);
    match &iteration.decision {
        Some(decision) => {
            let color = style::of_status(decision.status);
            let (status, reason) = (decision.status.as_str(), neutral(&decision.reason));
            page.line("decision", &format!("{color}{status}{color:#}: {reason}"));
            page.line("", &neutral(&decision.arithmetic.sentence));
        }
        None => page.line("decision", "none yet"),
    }
    let parent = iteration.parent.map_or("the workspace".to_owned(), |parent| format!("iteration {parent}"));
    page.line("builds on", &format!("{parent}, {:+} net lines", iteration.net_lines));
    lever(&mut page, story, iteration);
    for fix in &iteration.fixes {
        page.line("fix", &format!("number {} of its lever", fix + 1));
    }
    for attempt in &iteration.attempts {
        let what = format!("{} {}", kind(attempt), place(attempt));
        page.line(&format!("attempt {}", attempt.order.key.id.number), &what);
        page.line("", &outcome(attempt));
        if let Some(path) = attempt.outcome.as_ref().and_then(|outcome| outcome.frozen_changed.as_ref()) {
            page.line("", &format!("changed {path}, which is frozen [P2]: its metric counts for nothing"));
        }
    }
    if !evidence.is_empty() {
        page.line("evidence", &neutral(&evidence_line(evidence)));
    }
    page.push("\n");
    page.push(&plan(iteration, width));
    if let Some(conclusion) = &iteration.conclusion {
        page.push("\n");
        page.sentence(&format!("{STRONG}{}{STRONG:#}", neutral(&conclusion.finding)));
        for bullet in &conclusion.bullets {
            page.bullet(&neutral(bullet));
        }
    }
    page.finish()
}

fn evidence_line(evidence: &[String]) -> String {
    let mut line = evidence.iter().take(EVIDENCE_MAX).cloned().collect::<Vec<_>>().join(", ");
    if evidence.len() > EVIDENCE_MAX {
        line.push_str(&format!(" and {} more (`windlass sync`)", evidence.len() - EVIDENCE_MAX));
    }
    line
}

fn lever(page: &mut Page, story: &Story, iteration: &Iteration) {
    let (Some(number), Some(lever)) = (iteration.lever, story.lever_of(iteration)) else { return };
    page.line("lever", &format!("{number}, {}", lever.kind.as_str()));
    page.line("predicts", &neutral(&lever.prediction));
    let Some(anchor) = &lever.anchor else { return };
    let compare = anchor.compare.as_ref().map_or(String::new(), |c| format!(" {c}"));
    page.line("anchor", &format!("{}: /{}/{compare}", anchor.file, neutral(&anchor.pattern)));
    if let Some(pin) = &iteration.pin {
        page.line("", &format!("{} in iteration {}, line {}", neutral(&pin.value), pin.iteration, pin.line));
    }
}

fn kind(attempt: &Attempt) -> &'static str {
    match attempt.order.kind {
        Kind::Run => "run",
        Kind::Analysis => "analysis",
    }
}

fn place(attempt: &Attempt) -> String {
    let devices: Vec<&str> = attempt.order.devices.iter().map(|device| device.as_str()).collect();
    neutral(&on(&attempt.worker_name, &devices))
}

fn outcome(attempt: &Attempt) -> String {
    match &attempt.outcome {
        Some(outcome) => {
            let budget = units::duration(attempt.order.soft_limit_ms);
            let size = units::bytes(outcome.log_bytes);
            format!("{} (gate {budget}, log {size})", neutral(&ended(outcome)))
        }
        None => format!("running; {}", neutral(&attempt.why)),
    }
}

fn plan(iteration: &Iteration, width: u16) -> String {
    let mut table = Table::new(&["output", "dimension", "question", "first line"], width).flexible(&[2, 3]);
    for row in &iteration.plan {
        let first_line = iteration.accepted.get(&row.output).map_or("-", String::as_str);
        table.row(&[row.output.as_str(), &row.dimension, &row.question, first_line]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_tells_the_whole_iteration_in_80_columns() {
        let story = crate::history::test_story();
        let pages: Vec<String> =
            story.iterations.values().map(|it| page(&story, it, &["loss.tsv".to_owned()], 80)).collect();
        let plain = anstream::adapter::strip_str(&pages.join("\n")).to_string();
        insta::assert_snapshot!(plain);
    }
}
