//! A campaign as a report in Markdown: best first, then how it came about, what was learnt, what it cost.
//! The same bytes for the same ledger.

use super::text::neutral;
use super::{best, units};
use crate::corpus_tsv;
use crate::history::{Decision, Iteration, Story};
use crate::results_tsv;
use std::fmt::Write;
use windlass_shared::attempt::Kind;
use windlass_shared::bindings::Dial;
use windlass_shared::conclusion::Status;

/// What every report begins with, so that one can be told from a user's own file.
pub const MARK: &str = "<!-- windlass report -->";

/// The whole report.
pub fn markdown(story: &Story) -> String {
    let mut text = format!("{MARK}\n# {}\n\n", escape(&story.name));
    standing(&mut text, story);
    staircase(&mut text, story);
    kept(&mut text, story);
    tested(&mut text, story);
    crashes(&mut text, story);
    cost(&mut text, story);
    let (from, head, when) = (moment(story.created_wall_ms), story.head_seq, moment(story.head_wall_ms));
    let _ = writeln!(
        text,
        "\nTold from the ledger of campaign `{}`, created {from}, up to record {head} ({when}).",
        story.campaign
    );
    text
}

fn standing(text: &mut String, story: &Story) {
    let metric = code(&story.bindings.metric);
    let better = super::chart::better(story.bindings.metric_direction);
    match story.best_row() {
        None => {
            let _ = writeln!(text, "Nothing is kept yet. The metric is {metric}, {better}.");
        }
        Some((iteration, decision)) => {
            let value = results_tsv::metric(decision);
            let title = escape(&iteration.title);
            let number = iteration.number;
            let _ = writeln!(text, "**Best: {metric} {value}** ({better}), iteration {number}, {title}.\n");
            let _ = writeln!(text, "{}", sentence(&decision.arithmetic.sentence));
        }
    }
    let count = |status| story.rows().filter(|(_, decision)| decision.status == status).count();
    let (keep, discard, crash) = (count(Status::Keep), count(Status::Discard), count(Status::Crash));
    let total = units::count(story.decided.len() as u64, "iteration");
    let _ = writeln!(text, "\n{total} decided: {keep} keep, {discard} discard, {crash} crash.");
}

fn staircase(text: &mut String, story: &Story) {
    if story.steps().next().is_none() {
        return;
    }
    let metric = escape(&story.bindings.metric);
    let _ = writeln!(text, "\n## The staircase\n\n| iteration | {metric} | gain | lines | lever |");
    text.push_str("|---:|---:|---:|---:|---|\n");
    for (iteration, decision) in story.steps() {
        let sum = &decision.arithmetic;
        let gain = sum.gain.as_ref().map_or(String::new(), |gain| best::signed(gain.text()));
        let _ = writeln!(
            text,
            "| {} | {} | {gain} | {} | {} |",
            iteration.number,
            results_tsv::metric(decision),
            story.net_lines(decision),
            escape(&iteration.title)
        );
    }
}

/// Each kept lever: the evidence behind it, the sum, what it taught.
fn kept(text: &mut String, story: &Story) {
    for (index, (iteration, decision)) in story.steps().enumerate() {
        if index == 0 {
            text.push_str("\n## What was kept, and why\n");
        }
        let _ = writeln!(text, "\n### Iteration {}: {}\n", iteration.number, escape(&iteration.title));
        if let Some(evidence) = evidence(story, iteration) {
            let _ = writeln!(text, "- Evidence: {evidence}");
        }
        if let Some(lever) = story.lever_of(iteration) {
            let _ = writeln!(text, "- Predicted: {}", escape(&lever.prediction));
            let basis = lever.literature.as_deref().filter(|_| story.bindings.literature == Dial::On);
            if let Some(basis) = basis {
                let _ = writeln!(
                    text,
                    "- Literature: {}",
                    escape(&corpus_tsv::basis(&story.findings, Some(basis)))
                );
            }
        }
        for row in story.cited_by(iteration) {
            let _ = writeln!(text, "- Cites: {}", escape(&row.to_string()));
        }
        let _ = writeln!(text, "- Decided: {}", sentence(&decision.arithmetic.sentence));
        learnt(text, iteration, decision);
    }
}

/// `loss.tsv` of iteration 1, line 3, `/slope/ < -0.01`: -0.04.
fn evidence(story: &Story, iteration: &Iteration) -> Option<String> {
    let anchor = story.lever_of(iteration)?.anchor.as_ref()?;
    let compare = anchor.compare.as_ref().map_or(String::new(), |compare| format!(" {compare}"));
    let asked = code(&format!("/{}/{compare}", anchor.pattern));
    let file = code(anchor.file.as_str());
    Some(match &iteration.pin {
        Some(pin) => {
            let (from, line) = (pin.iteration, pin.line);
            format!("{file} of iteration {from}, line {line}: {asked} was {}", code(&pin.value))
        }
        None => format!("{file}: {asked}, which was not pinned"),
    })
}

fn learnt(text: &mut String, iteration: &Iteration, decision: &Decision) {
    let Some(conclusion) = &iteration.conclusion else {
        // Of what was imported its summary is all that is known.
        if !decision.summary.is_empty() {
            let _ = writeln!(text, "- Learnt: {}", sentence(&decision.summary));
        }
        return;
    };
    let _ = writeln!(text, "- Learnt: {}", sentence(&conclusion.finding));
    for bullet in &conclusion.bullets {
        let _ = writeln!(text, "  - {}", escape(bullet));
    }
    for found in iteration.found_beside() {
        let (dimension, output, line) =
            (escape(&found.dimension), code(found.output.as_str()), escape(&found.first_line));
        let _ = writeln!(text, "- Looked at besides: {dimension} ({output}): {line}");
    }
}

/// What was let go, each with what it taught.
fn tested(text: &mut String, story: &Story) {
    let discarded = story.rows().filter(|(_, decision)| decision.status == Status::Discard);
    for (index, (iteration, decision)) in discarded.enumerate() {
        if index == 0 {
            text.push_str("\n## What was tested and let go\n\n");
        }
        let (number, title) = (iteration.number, escape(&iteration.title));
        let _ = writeln!(text, "- Iteration {number}, {title}: {}", sentence(&decision.arithmetic.sentence));
        let finding =
            iteration.conclusion.as_ref().map_or(&decision.summary, |conclusion| &conclusion.finding);
        if !finding.is_empty() {
            let _ = writeln!(text, "  {}", sentence(finding));
        }
    }
}

fn crashes(text: &mut String, story: &Story) {
    let crashed = story.rows().filter(|(_, decision)| decision.status == Status::Crash);
    for (index, (iteration, decision)) in crashed.enumerate() {
        if index == 0 {
            text.push_str("\n## Crashes\n\n| iteration | lever | ending | after |\n|---:|---|---|---:|\n");
        }
        let (ending, after) = ending(iteration, decision);
        let (number, title) = (iteration.number, escape(&iteration.title));
        let _ = writeln!(text, "| {number} | {title} | {} | {after} |", escape(&ending));
    }
}

fn ending(iteration: &Iteration, decision: &Decision) -> (String, String) {
    match iteration.last_ended(Kind::Run) {
        Some((_, outcome)) => (outcome.ending.to_string(), units::duration(outcome.duration_ms)),
        None => (decision.reason.clone(), "-".to_owned()),
    }
}

fn cost(text: &mut String, story: &Story) {
    if let Some(imported) = &story.imported {
        // What it cost elsewhere, nobody here knows.
        let _ = writeln!(
            text,
            "\nIts decisions were made elsewhere and imported from {}.",
            code(&imported.source)
        );
        return;
    }
    let spent = story.spent();
    let _ = writeln!(text, "\n## What it cost\n");
    // The baseline is kept without being a gain.
    let gains = story.steps().skip(1).count() as u64;
    for (name, ms) in [("GPU-hours", spent.gpu_ms), ("CPU-slot-hours", spent.cpu_ms)] {
        if ms == 0 {
            continue;
        }
        let each = match gains {
            0 => "nothing was kept beyond the baseline".to_owned(),
            gains => format!("{} per kept lever", units::hours(ms / gains)),
        };
        let _ = writeln!(text, "- {name}: {} in all, {each}", units::hours(ms));
    }
    let _ = writeln!(text, "- {}", units::count(spent.runs, "run"));
}

/// The moment in UTC: a report is passed on to other zones.
fn moment(wall_ms: i64) -> String {
    let moment = jiff::Timestamp::from_millisecond(wall_ms);
    moment.map_or_else(|_| wall_ms.to_string(), |moment| moment.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

/// A sentence, ended by one full stop.
fn sentence(text: &str) -> String {
    let text = escape(text);
    if text.ends_with(['.', '!', '?']) { text } else { format!("{text}.") }
}

/// Text that says in Markdown what it says.
fn escape(text: &str) -> String {
    let text = neutral(text);
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    let mut rest = text.trim().chars().peekable();
    while let Some(c) = rest.next() {
        let is_in_word = before.is_alphanumeric() && rest.peek().is_some_and(|next| next.is_alphanumeric());
        let is_mark = match c {
            '\\' | '`' | '*' | '[' | ']' | '|' | '~' => true,
            // A tag, or an entity; elsewhere these are only signs.
            '<' => rest.peek().is_some_and(|next| next.is_alphabetic() || matches!(next, '/' | '!' | '?')),
            '&' => rest.peek().is_some_and(|next| next.is_alphanumeric() || *next == '#'),
            // Within a word it is only an underscore.
            '_' => !is_in_word,
            '#' | '>' | '+' | '-' | '=' => {
                out.is_empty() && rest.peek() == Some(&' ') || c == '#' && out.is_empty()
            }
            _ => false,
        };
        if is_mark {
            out.push('\\');
        }
        out.push(c);
        before = c;
    }
    out
}

/// Text as code, whatever backquotes it holds; a bar would end a table's cell.
fn code(text: &str) -> String {
    let text = neutral(text);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let space = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{space}{text}{space}{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p31_a_report_tells_the_best_first_and_what_it_rests_on() {
        insta::assert_snapshot!(markdown(&crate::history::test_story()));
    }

    #[test]
    fn text_from_elsewhere_cannot_change_the_form_of_a_report() {
        for (text, want) in [
            ("a|b", "a\\|b"),
            ("<img src=x>", "\\<img src=x>"),
            ("val_acc _x_", "val_acc \\_x\\_"),
            ("> 1", "\\> 1"),
            ("1 < 2 & 3", "1 < 2 & 3"),
            ("&lt;", "\\&lt;"),
            ("# no\nhead", "\\# no head"),
        ] {
            assert_eq!(escape(text), want);
        }
        assert_eq!((code("a`b"), code("`")), ("``a`b``".to_owned(), "`` ` ``".to_owned()));
    }

    #[test]
    fn a_campaign_without_a_decision_has_a_report() {
        let records = crate::history::test_records();
        let story = Story::project(&records[..3]).expect("created");
        let text = markdown(&story);
        assert!(text.contains("Nothing is kept yet") && text.contains("0 iterations decided"), "{text}");
    }
}
