//! The display of a running campaign: events scroll by, and on a terminal a small block below them is
//! drawn again and again.

use crate::error::Error;
use crate::render::event::on;
use crate::render::style::{FAINT, STRONG};
use crate::render::text::{cut, neutral};
use crate::render::units;
use crate::session::Session;
use std::time::Instant;
use windlass_shared::attempt::Kind;
use windlass_shared::view::{AttemptView, CampaignView};

/// Cells of the bar that shows how much of the gate is used.
const BAR_CELLS: u64 = 24;

/// What is on the screen.
#[derive(Debug)]
pub struct Live<'a> {
    session: &'a Session,
    view: Option<(CampaignView, Instant)>,
    drawn_lines: usize,
}

impl<'a> Live<'a> {
    /// Nothing yet.
    pub fn new(session: &'a Session) -> Self {
        Self { session, view: None, drawn_lines: 0 }
    }

    /// The state to show from now on.
    pub fn set(&mut self, view: CampaignView) {
        self.view = Some((view, Instant::now()));
    }

    /// Lets a line scroll by above the block.
    pub fn event(&mut self, line: &str, log: &str) -> Result<(), Error> {
        let clear = self.clear();
        // JSON has its own document at the end.
        if self.session.is_json() {
            self.session.say(line);
            return Ok(());
        }
        self.session.print(&format!("{clear}{line}\n"))?;
        self.draw(log)
    }

    /// Draws the block again.
    pub fn draw(&mut self, log: &str) -> Result<(), Error> {
        if !self.session.is_live() {
            return Ok(());
        }
        let Some((view, since)) = &self.view else { return Ok(()) };
        let lines = block(view, since.elapsed().as_millis() as u64, log, self.session.width() as usize);
        let clear = self.clear();
        self.drawn_lines = lines.len();
        self.session.print(&format!("{clear}{}\n", lines.join("\n")))
    }

    /// Takes the block away.
    pub fn finish(&mut self) -> Result<(), Error> {
        let clear = self.clear();
        if clear.is_empty() { Ok(()) } else { self.session.print(&clear) }
    }

    /// What erases the block as it stands.
    fn clear(&mut self) -> String {
        match std::mem::take(&mut self.drawn_lines) {
            0 => String::new(),
            lines => format!("\x1b[{lines}A\x1b[J"),
        }
    }
}

/// Three lines, none wider than the terminal.
fn block(view: &CampaignView, since_ms: u64, log: &str, width: usize) -> Vec<String> {
    let counts = &view.decided;
    let best = view.best.as_ref().and_then(|best| Some((best.metric.as_ref()?, best.iteration)));
    let best = best.map_or(String::new(), |(metric, n)| format!(", best {metric} (iteration {n})"));
    let head = format!(
        "{} decided ({} keep, {} discard, {} crash), {} queued{best}",
        counts.keep + counts.discard + counts.crash,
        counts.keep,
        counts.discard,
        counts.crash,
        view.queued
    );
    let mut lines = vec![cut(&head, width)];
    match &view.open {
        Some(open) => {
            let lever = open.lever.map_or(String::new(), |lever| format!("{lever} "));
            let title = format!("iteration {}: {lever}{}", open.iteration, neutral(&open.title));
            lines.push(format!("{STRONG}{}{STRONG:#}", cut(&title, width)));
            lines.push(match &open.attempt {
                Some(attempt) => cut(&gate(attempt, since_ms), width),
                None => cut(&format!("  {}", neutral(&open.stage)), width),
            });
            lines.push(format!("{FAINT}{}{FAINT:#}", cut(&format!("  {}", neutral(log)), width)));
        }
        None => {
            let waits = view
                .waits_for
                .as_deref()
                .map_or("between two levers".to_owned(), |what| format!("waits for {}", neutral(what)));
            lines.push(cut(&waits, width));
        }
    }
    lines
}

/// Device, phase, and how much of the gate is used. Time goes on between two reports.
fn gate(attempt: &AttemptView, since_ms: u64) -> String {
    let devices: Vec<&str> = attempt.devices.iter().map(|device| device.as_str()).collect();
    let kind = if attempt.kind == Kind::Run { "run" } else { "analysis" };
    let place = format!("  {kind} {}", neutral(&on(&attempt.worker_name, &devices)));
    if attempt.phase != "running" {
        return format!("{place}  {}", neutral(&attempt.phase));
    }
    let elapsed_ms = attempt.elapsed_ms + since_ms;
    let used = (elapsed_ms * BAR_CELLS / attempt.budget_ms.max(1)).min(BAR_CELLS) as usize;
    let bar = format!("{}{}", "█".repeat(used), "░".repeat(BAR_CELLS as usize - used));
    format!("{place}  {bar} {} of {}", units::duration(elapsed_ms), units::duration(attempt.budget_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_shows_lever_device_gate_and_log_within_the_width() {
        let view: CampaignView = serde_json::from_str(include_str!("../../tests/view.json")).expect("a view");
        for width in [80, 40] {
            let lines = block(&view, 500, "epoch 7  loss 0.2312", width);
            let plain = anstream::adapter::strip_str(&lines.join("\n")).to_string();
            assert!(plain.lines().all(|line| line.chars().count() <= width), "{plain}");
            if width == 80 {
                insta::assert_snapshot!(plain);
            }
        }
    }
}
