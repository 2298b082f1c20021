//! One iteration as a page.

use super::event::ended;
use super::style::{self, STRONG};
use super::table::Table;
use super::text::neutral;
use super::units;
use crate::history::{Attempt, Iteration, Story};
use windlass_shared::attempt::Kind;

/// `windlass show C N`.
pub fn page(story: &Story, iteration: &Iteration, width: u16) -> String {
    let mut text =
        format!("{STRONG}iteration {}{STRONG:#}  {}\n", iteration.number, neutral(&iteration.title));
    let mut line = |name: &str, value: &str| text.push_str(&format!("  {name:<10} {value}\n"));
    if let Some(decision) = &iteration.decision {
        let color = style::of_status(decision.status);
        line(
            "decision",
            &format!("{color}{}{color:#}: {}", decision.status.as_str(), neutral(&decision.reason)),
        );
        line("", &neutral(&decision.arithmetic.sentence));
    } else {
        line("decision", "none yet");
    }
    let parent = iteration.parent.map_or("the workspace".to_owned(), |parent| format!("iteration {parent}"));
    line("builds on", &format!("{parent}, {:+} net lines", iteration.net_lines));
    if let (Some(number), Some(lever)) = (iteration.lever, story.lever_of(iteration)) {
        line("lever", &format!("{number}, {}", lever.kind.as_str()));
        line("predicts", &neutral(&lever.prediction));
        if let Some(anchor) = &lever.anchor {
            let compare = anchor.compare.as_ref().map_or(String::new(), |c| format!(" {c}"));
            let pattern = neutral(&anchor.pattern);
            let pin = iteration.pin.as_ref().map_or("not found yet".to_owned(), |pin| {
                format!("{} in iteration {}, line {}", neutral(&pin.value), pin.iteration, pin.line)
            });
            line("anchor", &format!("{}: /{pattern}/{compare}; {pin}", anchor.file));
        }
    }
    for fix in &iteration.fixes {
        line("fix", &format!("number {} of its lever", fix + 1));
    }
    for attempt in &iteration.attempts {
        line(
            &format!("attempt {}", attempt.order.key.id.number),
            &format!("{} on {} [{}]", kind(attempt), neutral(&attempt.worker_name), devices(attempt)),
        );
        line("", &outcome(attempt));
    }
    text.push('\n');
    text.push_str(&plan(iteration, width));
    if let Some(conclusion) = &iteration.conclusion {
        text.push_str(&format!("\n{STRONG}{}{STRONG:#}\n", neutral(&conclusion.finding)));
        for bullet in &conclusion.bullets {
            text.push_str(&format!("  - {}\n", neutral(bullet)));
        }
    }
    text
}

fn kind(attempt: &Attempt) -> &'static str {
    match attempt.order.kind {
        Kind::Run => "run",
        Kind::Analysis => "analysis",
    }
}

fn devices(attempt: &Attempt) -> String {
    let ids: Vec<String> = attempt.order.devices.iter().map(|device| neutral(device.as_str())).collect();
    ids.join(" ")
}

fn outcome(attempt: &Attempt) -> String {
    match &attempt.outcome {
        Some(outcome) => {
            let budget = units::duration(attempt.order.soft_limit_ms);
            let size = units::bytes(outcome.log_bytes);
            format!("{} of {budget}; log {size}", neutral(&ended(outcome)))
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
        let pages: Vec<String> = story.iterations.values().map(|it| page(&story, it, 80)).collect();
        let plain = anstream::adapter::strip_str(&pages.join("\n")).to_string();
        insta::assert_snapshot!(plain);
    }
}
