//! The display of a running campaign: events scroll by, and on a terminal a small block below them is
//! drawn again and again.

use crate::error::Error;
use crate::render;
use crate::render::event::on;
use crate::render::style::{FAINT, STRONG};
use crate::render::text::{cut, neutral, visible_width};
use crate::session::Session;
use std::time::{Duration, Instant};
use windlass_shared::attempt::Kind;
use windlass_shared::id::AttemptId;
use windlass_shared::view::{AttemptView, CampaignView};

/// What is on the screen.
#[derive(Debug)]
pub struct Live<'a> {
    session: &'a Session,
    view: Option<CampaignView>,
    running: Option<(AttemptId, Instant)>,
    drawn_lines: usize,
}

impl<'a> Live<'a> {
    /// Nothing yet.
    pub fn new(session: &'a Session) -> Self {
        Self { session, view: None, running: None, drawn_lines: 0 }
    }

    /// The state to show from now on. A worker reports what changes, not the passing of time: the start
    /// of a run is kept here, moved back only when a report says that it began earlier.
    pub fn set(&mut self, view: CampaignView) {
        let attempt = view.open.as_ref().and_then(|open| open.attempt.as_ref());
        self.running = attempt.filter(|attempt| attempt.phase == "running").map(|attempt| {
            let now = Instant::now();
            let reported = now.checked_sub(Duration::from_millis(attempt.elapsed_ms)).unwrap_or(now);
            let known = self.running.as_ref().filter(|(id, _)| *id == attempt.attempt);
            let start = known.map_or(reported, |(_, start)| (*start).min(reported));
            (attempt.attempt.clone(), start)
        });
        self.view = Some(view);
    }

    /// Lets a line scroll by above the block.
    pub fn event(&mut self, line: &str, log: &str) -> Result<(), Error> {
        let clear = self.clear();
        // JSON has its own document at the end.
        if self.session.is_json() {
            self.session.say(&anstream::adapter::strip_str(line).to_string());
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
        let Some(view) = &self.view else { return Ok(()) };
        let elapsed_ms = self.running.as_ref().map_or(0, |(_, start)| start.elapsed().as_millis() as u64);
        let lines = block(view, elapsed_ms, log, usize::from(self.session.width()));
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
fn block(view: &CampaignView, elapsed_ms: u64, log: &str, width: usize) -> Vec<String> {
    let counts = &view.decided;
    let best = view.best.as_ref().and_then(|best| Some((best.metric.as_ref()?, best.iteration)));
    let best = best.map_or(String::new(), |(metric, n)| format!(", best {metric} (iteration {n})"));
    let decided = counts.keep + counts.discard + counts.crash;
    let each = format!(" ({} keep, {} discard, {} crash)", counts.keep, counts.discard, counts.crash);
    let heads =
        [each.as_str(), ""].map(|each| format!("{decided} decided{each}, {} queued{best}", view.queued));
    // What matters less goes before what matters is cut.
    let head = heads.iter().find(|head| visible_width(head) <= width).unwrap_or(&heads[1]);
    let mut lines = vec![cut(head, width)];
    match &view.open {
        Some(open) => {
            let lever = open.lever.map_or(String::new(), |lever| format!("{lever} "));
            let title = format!("iteration {}: {lever}{}", open.iteration, neutral(&open.title));
            lines.push(format!("{STRONG}{}{STRONG:#}", cut(&title, width)));
            lines.push(match &open.attempt {
                Some(attempt) => cut(&gate(attempt, elapsed_ms, width), width),
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

/// Device, phase, and how much of the gate is used.
fn gate(attempt: &AttemptView, elapsed_ms: u64, width: usize) -> String {
    let devices: Vec<&str> = attempt.devices.iter().map(|device| device.as_str()).collect();
    let kind = if attempt.kind == Kind::Run { "run" } else { "analysis" };
    let place = format!("  {kind} {}", neutral(&on(&attempt.worker_name, &devices)));
    if attempt.phase != "running" {
        return format!("{place}  {}", neutral(&attempt.phase));
    }
    let room = width.saturating_sub(visible_width(&place) + 2);
    format!("{place}  {}", render::gate::running(elapsed_ms, attempt.budget_ms, room))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_shows_lever_device_gate_and_log_within_the_width() {
        let view: CampaignView = serde_json::from_str(include_str!("../../tests/view.json")).expect("a view");
        for width in [80, 40] {
            let lines = block(&view, 5_200, "epoch 7  loss 0.2312", width);
            let plain = anstream::adapter::strip_str(&lines.join("\n")).to_string();
            assert!(plain.lines().all(|line| line.chars().count() <= width), "{plain}");
            if width == 80 {
                insta::assert_snapshot!(plain);
            }
        }
    }
}
