//! `windlass lever show C L`: one lever as proposed, and where it stands.

use super::page::Page;
use super::style::STRONG;
use super::text::neutral;
use super::units;
use super::views::lever_state;
use windlass_shared::lever::{FixTrigger, Lever, Pin};
use windlass_shared::record::{Body, Record};
use windlass_shared::view::LeverView;

/// The page; `record` is the one that queued it.
pub fn page(view: &LeverView, record: &Record, now_ms: i64, width: u16) -> String {
    let heading = format!("{STRONG}{}{STRONG:#}  {}", view.lever, neutral(&view.title));
    let mut page = Page::new(&heading, width);
    page.line("state", &neutral(&lever_state(&view.state)));
    page.line("kind", &neutral(&view.lever_kind));
    page.line("queued", &units::ago(view.queued_wall_ms, now_ms));
    if view.passes > 0 {
        page.line("passed", &format!("over {} [P9]", units::times(view.passes)));
    }
    if let Body::LeverQueued { document, pin, cited, .. } = &record.body {
        proposal(&mut page, document, pin.as_ref());
        for row in cited {
            page.line("cites", &neutral(&row.to_string()));
        }
    }
    page.finish()
}

fn proposal(page: &mut Page, lever: &Lever, pin: Option<&Pin>) {
    let files: Vec<&str> = lever.files.iter().map(|file| file.as_str()).collect();
    page.line("files", &neutral(&files.join(", ")));
    page.line("predicts", &neutral(&lever.prediction));
    if let Some(anchor) = &lever.anchor {
        let compare = anchor.compare.as_ref().map_or(String::new(), |compare| format!(" {compare}"));
        page.line("anchor", &neutral(&format!("{}: /{}/{compare}", anchor.file, anchor.pattern)));
        page.line(
            "pinned",
            &neutral(&match pin {
                Some(pin) => format!("{} in iteration {}, line {}", pin.value, pin.iteration, pin.line),
                None => "at its turn: nothing was analysed when it was proposed".to_owned(),
            }),
        );
    }
    for row in &lever.analysis {
        page.line("measures", &neutral(&format!("{}: {} ({})", row.dimension, row.question, row.output)));
        page.line("", &neutral(&format!("if it helped: {}; if not: {}", row.if_helped, row.if_not)));
    }
    for fix in &lever.fixes {
        page.line(
            "fix",
            &neutral(&match &fix.trigger {
                FixTrigger::On(ending) => format!("when it ends as {ending}"),
                FixTrigger::Pattern(pattern) => format!("when the log's end has /{pattern}/"),
            }),
        );
    }
    page.line("assumes", &neutral(lever.changed_assumption.as_deref().unwrap_or_default()));
    page.line("literature", &neutral(lever.literature.as_deref().unwrap_or_default()));
}
