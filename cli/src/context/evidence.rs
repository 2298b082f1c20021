//! The files that an anchor can cite, with their sizes and first lines.

use super::facts::Facts;
use super::section::{Pen, Section, fenced};
use crate::render::units;
use serde::Serialize;

#[derive(Serialize)]
struct File {
    iteration: u32,
    path: String,
    size_bytes: u64,
    lines: Option<String>,
    lines_are: &'static str,
}

/// Of the latest analysed iteration, then of the best.
pub fn files(facts: &Facts) -> Section<'_> {
    let number = facts.files.first().map_or(0, |file| file.iteration.0);
    let entry = |index: usize, pen: &Pen| match facts.files.get(index) {
        Some(file) => {
            let is_log = file.path == "run.log";
            let lines = file.text.as_deref();
            let file = File {
                iteration: file.iteration.0,
                path: pen.line(&file.path),
                size_bytes: file.size_bytes,
                lines: lines.map(|text| if is_log { pen.last_lines(text) } else { pen.first_lines(text) }),
                lines_are: if is_log { "last" } else { "first" },
            };
            pen.entry(&file, || {
                let lines = file.lines.as_deref().unwrap_or("(no text, or too large to show here)");
                let size = units::bytes(file.size_bytes);
                format!("{} of iteration {}, {size}{}", file.path, file.iteration, fenced(lines))
            })
        }
        None => {
            let trouble = pen.line(facts.trouble.as_deref().unwrap_or_default());
            let file = File {
                iteration: 0,
                path: String::new(),
                size_bytes: 0,
                lines: Some(trouble),
                lines_are: "trouble",
            };
            pen.entry(&file, || format!("it cannot be listed: {}", file.lines.as_deref().unwrap_or_default()))
        }
    };
    Section {
        name: "evidence",
        heading: "Evidence that an anchor can cite",
        command: format!("windlass files {} {number} --results", facts.view.campaign),
        rank: 4,
        floor: 4,
        total: facts.files.len() + usize::from(facts.trouble.is_some()),
        entry: Box::new(entry),
    }
}
