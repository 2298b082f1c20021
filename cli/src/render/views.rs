//! Tables for people: campaigns, levers, the ledger.

use super::event::{hold_reason, pause_reason, problem, retire_reason, stop_reason};
use super::style::{self, FAINT};
use super::table::{Cell, Column, Table};
use super::text::neutral;
use super::units;
use crate::history::Story;
use crate::results_tsv;
use windlass_shared::record::{Body, Record};
use windlass_shared::view::{CampaignState, CampaignView, LeverState, LeverView};

/// A campaign's state in a few words.
pub fn state(view: &CampaignView) -> String {
    match &view.state {
        CampaignState::Active => match (&view.open, &view.waits_for) {
            (Some(open), _) if view.lanes.len() > 1 => {
                let others = view.lanes.len() - 1;
                format!("iteration {}: {}, and {others} more", open.iteration, neutral(&open.stage))
            }
            (Some(open), _) => format!("iteration {}: {}", open.iteration, neutral(&open.stage)),
            (None, Some(what)) => format!("waits for {}", neutral(what)),
            (None, None) => "active".to_owned(),
        },
        CampaignState::Paused { reason } => format!("paused: {}", neutral(&pause_reason(reason))),
        CampaignState::Stopped { reason } => format!("stopped: {}", neutral(&stop_reason(reason))),
    }
}

/// A campaign's name where its id does not tell it: after `update --name`.
pub fn other_name(view: &CampaignView) -> Option<&str> {
    let is_told = view.campaign.0.rsplit_once('-').is_some_and(|(name, _)| name == view.name);
    (!is_told).then_some(view.name.as_str())
}

/// `windlass campaigns`.
pub fn campaigns(views: &[CampaignView], now_ms: i64, width: u16) -> String {
    if views.is_empty() {
        return "no campaigns yet: `windlass submit DIR` creates one\n".to_owned();
    }
    let mut table = Table::new(
        width,
        [
            Column::new("campaign"),
            Column::new("name").rank(6).hides(),
            Column::new("metric").rank(3),
            Column::new("best").right(),
            Column::new("decided").right().rank(1),
            Column::new("queued").right().rank(2),
            Column::new("priority").right().rank(5).hides(),
            Column::new("state").wraps(),
            Column::new("created").rank(4),
        ],
    );
    for view in views {
        let best = view.best.as_ref().and_then(|best| best.metric.as_ref());
        let priority = if view.priority == 0 { String::new() } else { view.priority.to_string() };
        table.row([
            (&view.campaign.0).into(),
            other_name(view).unwrap_or_default().into(),
            (&view.metric).into(),
            best.map_or("-", |metric| metric.text()).into(),
            (view.decided.keep + view.decided.discard + view.decided.crash).to_string().into(),
            view.queued.to_string().into(),
            priority.into(),
            state(view).into(),
            units::ago(view.created_wall_ms, now_ms).into(),
        ]);
    }
    table.render()
}

/// `windlass lever list C`.
pub fn levers(views: &[LeverView], now_ms: i64, width: u16) -> String {
    if views.is_empty() {
        return "no levers yet: `windlass lever add C FILE` proposes one\n".to_owned();
    }
    let mut table = Table::new(
        width,
        [
            Column::new("lever"),
            Column::new("title").wraps(),
            Column::new("kind").rank(2),
            Column::new("passes").right().rank(1).hides(),
            Column::new("state").wraps(),
            Column::new("queued").rank(3),
        ],
    );
    for view in views {
        let passes = if view.passes == 0 { String::new() } else { view.passes.to_string() };
        table.row([
            view.lever.to_string().into(),
            (&view.title).into(),
            (&view.lever_kind).into(),
            passes.into(),
            state_cell(&view.state),
            units::ago(view.queued_wall_ms, now_ms).into(),
        ]);
    }
    table.render()
}

/// `windlass lever list C --refused`: newest first.
pub fn refused(records: &[Record], now_ms: i64, width: u16) -> String {
    let columns = [
        Column::new("refused").rank(1),
        Column::new("title").wraps(),
        Column::new("why").wraps(),
        Column::new("evidence looked at").wraps().hides(),
    ];
    let mut table = Table::new(width, columns);
    let mut is_empty = true;
    for record in records {
        let Body::LeverRefused { proposal } = &record.body else { continue };
        is_empty = false;
        let more = (proposal.more > 0).then(|| format!("and {} more", proposal.more));
        let why: Vec<String> = proposal.problems.iter().map(problem).chain(more).collect();
        let looked_at = match (&proposal.anchor, proposal.evidence) {
            (Some(anchor), Some(iteration)) => format!("iteration {iteration}, {anchor}"),
            (Some(anchor), None) => format!("{anchor}; nothing was analysed yet"),
            (None, _) => String::new(),
        };
        let age = units::ago(record.wall_ms, now_ms);
        table.row([age.into(), (&proposal.title).into(), (&why.join("; ")).into(), (&looked_at).into()]);
    }
    if is_empty {
        return "no proposal was refused\n".to_owned();
    }
    table.render()
}

fn state_cell(state: &LeverState) -> Cell {
    let text = lever_state(state);
    match state {
        LeverState::Decided { status, .. } => Cell::styled(&text, style::of_status(*status)),
        LeverState::Retired { .. } => Cell::styled(&text, FAINT),
        LeverState::Queued | LeverState::Held { .. } | LeverState::Pulled { .. } => text.into(),
    }
}

/// Where a lever stands, in words.
pub fn lever_state(state: &LeverState) -> String {
    match state {
        LeverState::Queued => "queued".to_owned(),
        LeverState::Held { reason } => format!("held: {}", hold_reason(reason)),
        LeverState::Pulled { iteration } => format!("pulled by iteration {iteration}"),
        LeverState::Decided { iteration, status } => format!("{} in iteration {iteration}", status.as_str()),
        LeverState::Retired { reason } => format!("retired: {}", retire_reason(reason)),
    }
}

/// `windlass results C`: the ledger's rows, and the best (P31).
pub fn results(story: &Story, width: u16) -> String {
    if story.decided.is_empty() {
        return format!("{FAINT}nothing is decided yet{FAINT:#}\n");
    }
    let mut table = Table::new(
        width,
        [
            Column::new("iter").right(),
            Column::new(&story.bindings.metric).right(),
            Column::new("status"),
            Column::new("description").wraps(),
            Column::new("analysis summary").wraps(),
        ],
    );
    for (iteration, decision) in story.rows() {
        table.row([
            iteration.number.to_string().into(),
            results_tsv::metric(decision).into(),
            Cell::styled(decision.status.as_str(), style::of_status(decision.status)),
            (&decision.description).into(),
            (&decision.summary).into(),
        ]);
    }
    let best: String = super::text::wrap(&best(story), usize::from(width), usize::from(width)).join("\n");
    format!("{}{best}\n", table.render())
}

/// The best iteration, in a sentence.
pub fn best(story: &Story) -> String {
    let best = story.best.and_then(|number| story.iterations.get(&number));
    match best.and_then(|best| Some((best, best.decision.as_ref()?))) {
        Some((best, decision)) => {
            let color = style::of_status(decision.status);
            format!(
                "best: iteration {}, {} {color}{}{color:#} ({})",
                best.number,
                neutral(&story.bindings.metric),
                results_tsv::metric(decision),
                neutral(&best.title)
            )
        }
        None => format!("{FAINT}nothing kept yet{FAINT:#}"),
    }
}

/// What a page leaves out, and the command that has it; nothing when it leaves nothing out.
pub fn more(rest: usize, command: &str) -> String {
    match rest {
        0 => String::new(),
        rest => format!("{FAINT}and {rest} more: `{}`{FAINT:#}\n", neutral(command)),
    }
}
