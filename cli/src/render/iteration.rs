//! `windlass show C N`: the whole story of one iteration.

use super::event::{kind, on};
use super::page::Page;
use super::style::{self, STRONG};
use super::table::{Cell, Column, Table};
use super::text::neutral;
use super::{gate, units};
use crate::corpus_tsv;
use crate::history::{Attempt, Iteration, Story, gates};
use windlass_shared::attempt::{Outcome, Reading};
use windlass_shared::conclusion::{Conclusion, Verdict};
use windlass_shared::id::FindingNumber;
use windlass_shared::lever::Lever;

/// Files of evidence that a page names.
const EVIDENCE_MAX: usize = 40;
/// Last lines of the log of a run that failed.
const LAST_LINES_MAX: usize = 5;

/// The page. `evidence` are the files that an anchor can cite.
pub fn page(story: &Story, iteration: &Iteration, evidence: &[String], now_ms: i64, width: u16) -> String {
    let heading = format!("{STRONG}iteration {}{STRONG:#}  {}", iteration.number, neutral(&iteration.title));
    let mut page = Page::new(&heading, width);
    decision(&mut page, story, iteration, now_ms);
    lever(&mut page, story, iteration);
    if story.imported.is_some() {
        return page.finish();
    }
    page.section("Gates");
    for gate in gates(story, iteration) {
        page.line(gate.gate, &neutral(&format!("[{}] {}", gate.rule, gate.found)));
    }
    for attempt in &iteration.attempts {
        let devices: Vec<&str> = attempt.order.devices.iter().map(|device| device.as_str()).collect();
        let place = neutral(&on(&attempt.worker_name, &devices));
        let number = attempt.order.key.id.number;
        page.section(&format!("Attempt {number}: {} {place}", kind(attempt.order.kind)));
        self::attempt(&mut page, attempt, now_ms);
    }
    page.section("Deliverables");
    page.push(&deliverables(iteration, false, width));
    if !iteration.follow_ups.is_empty() {
        page.section("Follow-ups: scripts that were added beside the plan [P22]");
        page.push(&deliverables(iteration, true, width));
    }
    if let Some(conclusion) = &iteration.conclusion {
        page.section("Conclusion");
        page.sentence(&neutral(&conclusion.finding));
        for bullet in &conclusion.bullets {
            page.bullet(&neutral(bullet));
        }
        if let Some(is_near) = conclusion.ceiling_near {
            page.sentence(if is_near { "The ceiling is near." } else { "The ceiling is not near." });
        }
        if conclusion.automatic {
            page.sentence("Composed from facts alone.");
        }
    }
    if !evidence.is_empty() {
        page.section("Evidence that an anchor can cite");
        page.sentence(&neutral(&evidence_line(story, iteration, evidence)));
    }
    if !iteration.removed.is_empty() {
        page.section("Evidence that is gone");
        for removed in &iteration.removed {
            page.sentence(&super::files::removed(removed));
        }
    }
    page.finish()
}

fn decision(page: &mut Page, story: &Story, iteration: &Iteration, now_ms: i64) {
    match &iteration.decision {
        Some(decision) => {
            let color = style::of_status(decision.status);
            let (status, reason) = (decision.status.as_str(), neutral(&decision.reason));
            let when = units::ago(decision.wall_ms, now_ms);
            page.line("decision", &format!("{color}{status}{color:#}: {reason}, {when}"));
            page.line("sum", &neutral(&decision.arithmetic.sentence));
            // Of one that was imported its summary is all that is known.
            if iteration.attempts.is_empty() && iteration.conclusion.is_none() && !decision.summary.is_empty()
            {
                page.line("summary", &neutral(&decision.summary));
            }
            for (name, text) in &decision.notes {
                page.line(&neutral(name), &neutral(text));
            }
        }
        None => page.line("decision", "none yet"),
    }
    if let Some(imported) = &story.imported {
        page.line("from", &neutral(&imported.source));
        return;
    }
    let parent = iteration.parent.map_or("the workspace".to_owned(), |parent| format!("iteration {parent}"));
    page.line("builds on", &format!("{parent}, {:+} net lines", iteration.net_lines));
    page.line("opened", &units::ago(iteration.opened_wall_ms, now_ms));
}

fn lever(page: &mut Page, story: &Story, iteration: &Iteration) {
    let (Some(number), Some(lever)) = (iteration.lever, story.lever_of(iteration)) else { return };
    page.section(&format!("Lever {number}"));
    page.line("kind", lever.kind.as_str());
    let files: Vec<&str> = lever.files.iter().map(|file| file.as_str()).collect();
    page.line("files", &neutral(&files.join(", ")));
    page.line("predicts", &neutral(&lever.prediction));
    if let Some(anchor) = &lever.anchor {
        let compare = anchor.compare.as_ref().map_or(String::new(), |compare| format!(" {compare}"));
        page.line("anchor", &neutral(&format!("{}: /{}/{compare}", anchor.file, anchor.pattern)));
    }
    if let Some(pin) = &iteration.pin {
        let place = format!("{} in iteration {}, line {}", pin.value, pin.iteration, pin.line);
        page.line("evidence", &neutral(&place));
    }
    page.line("assumes", &neutral(lever.changed_assumption.as_deref().unwrap_or_default()));
    page.line("literature", &neutral(&basis(story, lever)));
    for row in story.cited_by(iteration) {
        page.line("cites", &neutral(&row.to_string()));
    }
    let carried = lever.fixes.len() as u32;
    for fix in &iteration.fixes {
        page.line(
            "fix",
            &match *fix < carried {
                true => format!("number {} that it brought along was put on [P19]", fix + 1),
                false => "one of its researcher was put on [P19]".to_owned(),
            },
        );
    }
}

/// What it rests on, and what came of that.
fn basis(story: &Story, lever: &Lever) -> String {
    let text = lever.literature.as_deref().unwrap_or_default();
    let number = FindingNumber::parse(text);
    match number.and_then(|number| story.findings.get(&number)) {
        Some(finding) => {
            let basis = corpus_tsv::basis(&story.findings, Some(text));
            format!("{basis}: {}", super::findings::stands(finding))
        }
        None => text.to_owned(),
    }
}

fn attempt(page: &mut Page, attempt: &Attempt, now_ms: i64) {
    page.line("why there", &neutral(&attempt.why));
    page.line("leased", &units::ago(attempt.leased_wall_ms, now_ms));
    let budget_ms = attempt.order.soft_limit_ms;
    let Some(outcome) = &attempt.outcome else {
        page.line("ended", "not yet");
        page.line("gate", &units::duration(budget_ms));
        return;
    };
    let setup = if outcome.setup_failed { ": the setup failed [P4], nothing was run" } else { "" };
    page.line("ended", &neutral(&format!("{}{setup}", outcome.ending)));
    page.line("gate", &gate::used(outcome.duration_ms, budget_ms, page.room()));
    match &outcome.reading {
        Some(Reading::Metric { value, line }) => {
            page.line("metric", &format!("{value}, line {line} of run.log"))
        }
        Some(Reading::None { reason }) => page.line("metric", &neutral(&format!("none: {reason}"))),
        None => {}
    }
    page.line("under", &neutral(&circumstances(outcome)));
    if let Some(path) = &outcome.frozen_changed {
        let what = format!("changed {path}, which is frozen [P2]: its metric counts for nothing");
        page.line("guard", &neutral(&what));
    }
    let cut = match outcome.log_cut_bytes {
        0 => String::new(),
        bytes => format!(", {} more were cut out of its middle", units::bytes(bytes)),
    };
    page.line("log", &format!("{}{cut}", units::bytes(outcome.log_bytes)));
    for output in outcome.outputs.iter().filter(|output| output.digest.is_none()) {
        let problem = output.problem.as_deref().unwrap_or("was not made");
        page.line("missing", &neutral(&format!("{}: {problem}", output.path)));
    }
    for reason in &outcome.left_out {
        page.line("not kept", &neutral(reason));
    }
    last_lines(page, &outcome.log_tail);
}

/// Isolation and containment in force, the device's model, and what stands beside the metric.
fn circumstances(outcome: &Outcome) -> String {
    let mut parts = Vec::new();
    if !outcome.isolation.is_empty() {
        parts.push(format!("isolation {}", outcome.isolation));
    }
    if let Some(containment) = outcome.containment {
        parts.push(format!("contained by {containment}"));
    }
    if !outcome.device_model.is_empty() {
        parts.push(format!("on {}", outcome.device_model));
    }
    parts.extend(outcome.flags.iter().map(|flag| flag.as_str().to_owned()));
    parts.join(", ")
}

/// The last words of a run that failed.
fn last_lines(page: &mut Page, tail: &str) {
    let lines: Vec<&str> = tail.lines().filter(|line| !line.trim().is_empty()).collect();
    for (index, line) in lines.iter().skip(lines.len().saturating_sub(LAST_LINES_MAX)).enumerate() {
        page.verbatim(if index == 0 { "last words" } else { "" }, &neutral(line));
    }
}

fn deliverables(iteration: &Iteration, follow_ups: bool, width: u16) -> String {
    let mut table = Table::new(
        width,
        [
            Column::new("output"),
            Column::new("dimension").rank(2),
            Column::new("question").wraps().rank(3),
            Column::new("first line").wraps(),
            Column::new("shows").rank(1).hides(),
        ],
    );
    for row in iteration.rows(follow_ups) {
        let first_line = iteration.accepted.get(&row.output).map_or("-", String::as_str);
        let verdict =
            iteration.conclusion.as_ref().and_then(|conclusion| verdict(conclusion, row.output.as_str()));
        table.row([
            row.output.as_str().into(),
            (&row.dimension).into(),
            (&row.question).into(),
            first_line.into(),
            Cell::from(verdict.unwrap_or_default()),
        ]);
    }
    table.render()
}

/// What the conclusion says that a deliverable shows, where it says anything.
fn verdict(conclusion: &Conclusion, output: &str) -> Option<&'static str> {
    let (_, verdict) = conclusion.deliverables.iter().find(|(path, _)| path.as_str() == output)?;
    match verdict {
        Verdict::AsHelped => Some("as if it helped"),
        Verdict::AsNot => Some("as if not"),
        Verdict::Neither => None,
    }
}

fn evidence_line(story: &Story, iteration: &Iteration, evidence: &[String]) -> String {
    let mut line = evidence.iter().take(EVIDENCE_MAX).cloned().collect::<Vec<_>>().join(", ");
    if evidence.len() > EVIDENCE_MAX {
        let rest = evidence.len() - EVIDENCE_MAX;
        let (campaign, number) = (&story.campaign, iteration.number);
        line.push_str(&format!(" and {rest} more (`windlass files {campaign} {number} --results`)"));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_tells_the_whole_iteration_in_80_columns() {
        let story = crate::history::test_story();
        let evidence = ["loss.tsv".to_owned()];
        let now_ms = 1_767_225_900_000;
        let pages = story.iterations.values().map(|it| page(&story, it, &evidence, now_ms, 80));
        let plain = anstream::adapter::strip_str(&pages.collect::<Vec<_>>().join("\n")).to_string();
        insta::assert_snapshot!(plain);
    }
}
