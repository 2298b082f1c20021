//! Pages for people: a campaign, its levers, the fleet, an iteration, the ledger as a table.

use super::event::{hold_reason, on, pause_reason, retire_reason, stop_reason};
use super::page::Page;
use super::style::{self, FAINT, STRONG};
use super::table::Table;
use super::text::{cut, neutral};
use super::units;
use crate::history::Story;
use crate::results_tsv;
use windlass_shared::device::{DeviceKind, DeviceState};
use windlass_shared::view::{CampaignState, CampaignView, LeverState, LeverView, OpenIteration, WorkerView};

/// A campaign's state in a few words.
pub fn state(view: &CampaignView) -> String {
    match &view.state {
        CampaignState::Active => match (&view.open, &view.waits_for) {
            (Some(open), _) => format!("iteration {}: {}", open.iteration, neutral(&open.stage)),
            (None, Some(what)) => format!("waits for {}", neutral(what)),
            (None, None) => "active".to_owned(),
        },
        CampaignState::Paused { reason } => format!("paused: {}", neutral(&pause_reason(reason))),
        CampaignState::Stopped { reason } => format!("stopped: {}", neutral(&stop_reason(reason))),
    }
}

/// `windlass campaigns`.
pub fn campaigns(views: &[CampaignView], now_ms: i64, width: u16) -> String {
    if views.is_empty() {
        return "no campaigns yet\n".to_owned();
    }
    let mut table =
        Table::new(&["campaign", "best", "decided", "queued", "state", "created"], width).flexible(&[4]);
    for view in views {
        let best = view.best.as_ref().and_then(|best| best.metric.as_ref());
        table.row(&[
            view.campaign.to_string(),
            best.map_or("-".to_owned(), |metric| metric.text().to_owned()),
            (view.decided.keep + view.decided.discard + view.decided.crash).to_string(),
            view.queued.to_string(),
            state(view),
            units::ago(view.created_wall_ms, now_ms),
        ]);
    }
    table.render()
}

/// `windlass status C`.
pub fn campaign(view: &CampaignView, now_ms: i64, width: u16) -> String {
    let heading = format!("{STRONG}{}{STRONG:#}  {}", neutral(&view.campaign.0), state(view));
    let mut page = Page::new(&heading, width);
    let better = super::chart::better(view.direction);
    let counts = &view.decided;
    page.line("created", &units::ago(view.created_wall_ms, now_ms));
    page.line("metric", &format!("{} ({better})", neutral(&view.metric)));
    match &view.best {
        Some(best) => {
            let metric = best.metric.as_ref().map_or("no metric", |metric| metric.text());
            page.line(
                "best",
                &format!("{metric} in iteration {} ({})", best.iteration, neutral(&best.title)),
            );
        }
        None => page.line("best", "nothing kept yet"),
    }
    let total = counts.keep + counts.discard + counts.crash;
    page.line(
        "decided",
        &format!("{total}: {} keep, {} discard, {} crash", counts.keep, counts.discard, counts.crash),
    );
    page.line("queued", &units::count(u64::from(view.queued), "lever"));
    if let Some(open) = &view.open {
        page.line("open", &open_iteration(open));
        if let Some(attempt) = &open.attempt {
            page.line("why", &neutral(&attempt.why));
        }
    }
    if let Some(what) = &view.waits_for {
        page.line("waits for", &neutral(what));
    }
    if !view.recent.is_empty() {
        let mut table =
            Table::new(&["iter", "status", "metric", "lever", "reason", ""], width).flexible(&[3, 4]);
        for row in &view.recent {
            table.row(&[
                row.iteration.to_string(),
                row.status.as_str().to_owned(),
                row.metric.as_ref().map_or("-".to_owned(), |metric| metric.text().to_owned()),
                row.title.clone(),
                row.reason.clone(),
                units::ago(row.wall_ms, now_ms),
            ]);
        }
        page.push("\n");
        page.push(&table.render());
    }
    page.finish()
}

/// The open iteration in a line: lever, stage, device, gate used.
pub fn open_iteration(open: &OpenIteration) -> String {
    let lever = open.lever.map_or(String::new(), |lever| format!("{lever} "));
    let head =
        format!("iteration {}: {lever}{}, {}", open.iteration, neutral(&open.title), neutral(&open.stage));
    let Some(attempt) = &open.attempt else { return head };
    let devices: Vec<&str> = attempt.devices.iter().map(|device| device.as_str()).collect();
    format!(
        "{head} {}, {} of {}",
        neutral(&on(&attempt.worker_name, &devices)),
        units::duration(attempt.elapsed_ms),
        units::duration(attempt.budget_ms)
    )
}

/// `windlass lever list C`.
pub fn levers(views: &[LeverView], width: u16) -> String {
    if views.is_empty() {
        return "no levers yet\n".to_owned();
    }
    let mut table = Table::new(&["lever", "title", "kind", "passes", "state"], width).flexible(&[1, 4]);
    for view in views {
        table.row(&[
            view.lever.to_string(),
            view.title.clone(),
            view.lever_kind.clone(),
            view.passes.to_string(),
            lever_state(&view.state),
        ]);
    }
    table.render()
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

/// `windlass workers`.
pub fn workers(views: &[WorkerView], width: u16) -> String {
    if views.is_empty() {
        return "no workers yet\n".to_owned();
    }
    let mut table =
        Table::new(&["worker", "name", "state", "heard", "devices", "runs"], width).flexible(&[4, 5]);
    for view in views {
        let gpus = view.devices.iter().filter(|device| device.kind == DeviceKind::Gpu).count() as u64;
        let cpus = view.devices.len() as u64 - gpus;
        let free = view.devices.iter().filter(|device| device.state == DeviceState::Free).count();
        let mut devices = Vec::new();
        if gpus > 0 {
            devices.push(units::count(gpus, "GPU"));
        }
        if cpus > 0 {
            devices.push(units::count(cpus, "CPU slot"));
        }
        let problems = view.devices.iter().filter_map(|device| match &device.state {
            DeviceState::Outsider { who } => Some(format!("{}: used by {who}", device.id)),
            DeviceState::Quarantined { reason } => Some(format!("{}: quarantined, {reason}", device.id)),
            DeviceState::Free | DeviceState::Busy(_) => None,
        });
        let all: Vec<String> = devices.into_iter().chain([format!("{free} free")]).chain(problems).collect();
        let runs: Vec<String> = view.attempts.iter().map(ToString::to_string).collect();
        table.row(&[
            short(view.info.id.as_str()),
            view.info.name.clone(),
            view.state.clone(),
            format!("{} ago", units::duration(view.silent_ms)),
            all.join(", "),
            runs.join(" "),
        ]);
    }
    table.render()
}

/// The first part of a UUID: enough to name a worker by.
fn short(id: &str) -> String {
    id.split('-').next().unwrap_or(id).to_owned()
}

/// `windlass results C`: the ledger's rows, and the best (P31).
pub fn results(story: &Story, width: u16) -> String {
    let mut table =
        Table::new(&["iter", &story.bindings.metric, "status", "description", "analysis summary"], width)
            .flexible(&[3, 4])
            .right(0)
            .right(1);
    for (iteration, decision) in story.rows() {
        table.row(&[
            &iteration.number.to_string(),
            results_tsv::metric(decision),
            decision.status.as_str(),
            &decision.description,
            &decision.summary,
        ]);
    }
    format!("{}{}\n", table.render(), best(story))
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
                cut(&neutral(&best.title), 40)
            )
        }
        None => format!("{FAINT}nothing kept yet{FAINT:#}"),
    }
}
