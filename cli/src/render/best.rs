//! `windlass best C`: the best iteration, and the staircase that led there (P31).

use super::page::Page;
use super::style::{self, STRONG};
use super::table::{Cell, Column, Table};
use super::text::neutral;
use super::units;
use crate::history::Story;
use windlass_shared::conclusion::Status;

/// The page.
pub fn page(story: &Story, now_ms: i64, width: u16) -> String {
    let campaign = neutral(story.campaign.as_str());
    let metric = neutral(&story.bindings.metric);
    let Some((best, decision)) = story.best_row() else {
        return format!("{STRONG}{campaign}{STRONG:#}  nothing kept yet\n");
    };
    let color = style::of_status(Status::Keep);
    let value = decision.arithmetic.metric.as_ref().map_or("no metric", |metric| metric.text());
    let heading = format!("{STRONG}{campaign}{STRONG:#}  {metric} {color}{value}{color:#}");
    let mut page = Page::new(&heading, width);
    let lever = best.lever.map_or(String::new(), |lever| format!("{lever} "));
    page.line("iteration", &format!("{}: {lever}{}", best.number, neutral(&best.title)));
    page.line("sum", &neutral(&decision.arithmetic.sentence));
    page.line("metric", &format!("{metric}, {}", super::chart::better(story.bindings.metric_direction)));
    page.line("kept", &units::ago(decision.wall_ms, now_ms));
    page.line("its tree", &format!("`windlass best {campaign} --tree DIR` lays it out"));
    page.line("its change", &format!("`windlass diff {campaign} {}`", best.number));
    page.section("Staircase");
    let mut table = Table::new(
        width,
        [
            Column::new("iter").right(),
            Column::new(&story.bindings.metric).right(),
            Column::new("gain").right().rank(1),
            Column::new("lines").right().rank(2),
            Column::new("lever").wraps(),
            Column::new("kept").rank(3),
        ],
    );
    for (iteration, decision) in story.steps() {
        let sum = &decision.arithmetic;
        // A step off the way to the best was overtaken by a sibling.
        let style = if story.leads_to_best(iteration.number) { anstyle::Style::new() } else { style::FAINT };
        table.row([
            Cell::styled(&iteration.number.to_string(), style),
            sum.metric.as_ref().map_or("-", |metric| metric.text()).into(),
            sum.gain.as_ref().map_or(String::new(), |gain| signed(gain.text())).into(),
            story.net_lines(decision).into(),
            Cell::styled(&iteration.title, style),
            units::ago(decision.wall_ms, now_ms).into(),
        ]);
    }
    page.push(&table.render());
    page.finish()
}

/// A figure with its sign.
pub fn signed(text: &str) -> String {
    if text.starts_with('-') { text.to_owned() } else { format!("+{text}") }
}
