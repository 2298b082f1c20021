//! Pages for people: a campaign, its levers, the fleet, an iteration, the ledger as a table.

use super::event::{hold_reason, on, pause_reason, retire_reason, stop_reason};
use super::page::Page;
use super::style::{self, FAINT, STRONG};
use super::table::Table;
use super::text::{cut, neutral};
use super::units;
use crate::history::Story;
use crate::results_tsv;
use windlass_shared::device::{Device, DeviceKind, DeviceState, WorkerInfo};
use windlass_shared::record::PauseReason;
use windlass_shared::view::{CampaignState, CampaignView, LeverState, LeverView, OpenIteration, WorkerView};

/// Levers of one state that a page shows.
const STANDING_MAX: usize = 10;

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

/// `windlass status C`: what runs, what was decided and why, what waits and for what (P24).
pub fn campaign(view: &CampaignView, levers: &[LeverView], now_ms: i64, width: u16) -> String {
    let heading = format!("{STRONG}{}{STRONG:#}  {}", neutral(&view.campaign.0), word(view));
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
    standing(&mut page, view);
    if !view.recent.is_empty() {
        page.push("\n");
        page.push(&recent(view, now_ms, width));
    }
    let waiting = waiting(levers, width);
    if !waiting.is_empty() {
        page.push("\n");
        page.push(&waiting);
    }
    page.finish()
}

/// A campaign's state in a word or two; the page below says why.
fn word(view: &CampaignView) -> String {
    match &view.state {
        CampaignState::Active if view.open.is_none() && view.waits_for.is_some() => "waiting".to_owned(),
        CampaignState::Active => state(view),
        CampaignState::Paused { .. } => "paused".to_owned(),
        CampaignState::Stopped { .. } => "stopped".to_owned(),
    }
}

/// What runs, and why nothing does when nothing does.
fn standing(page: &mut Page, view: &CampaignView) {
    let reason = match &view.state {
        CampaignState::Active => None,
        CampaignState::Paused { reason } => Some(("paused", pause_reason(reason))),
        CampaignState::Stopped { reason } => Some(("stopped", stop_reason(reason))),
    };
    if let Some((name, reason)) = &reason {
        page.line(name, &neutral(reason));
    }
    if let Some(open) = &view.open {
        if matches!(view.state, CampaignState::Stopped { .. }) && open.attempt.is_none() {
            let title = neutral(&open.title);
            page.line("undecided", &format!("iteration {}: {title}, cut off by the stop", open.iteration));
        } else {
            page.line("open", &open_iteration(open));
        }
        if let Some(attempt) = &open.attempt {
            page.line("why", &neutral(&attempt.why));
        }
    }
    let told = matches!(&view.state, CampaignState::Paused { reason: PauseReason::Baseline { .. } });
    if let Some(what) = view.waits_for.as_ref().filter(|_| !told) {
        page.line("waits for", &neutral(what));
    }
}

/// The latest decisions, each with its reason.
fn recent(view: &CampaignView, now_ms: i64, width: u16) -> String {
    let headings = ["iter", "status", "metric", "lever", "reason", "decided"];
    let mut table = Table::new(&headings, width).flexible(&[3, 4]);
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
    table.render()
}

/// Levers in line, held ones, and the latest that left without a test, each with its reason; nothing
/// when there are none.
fn waiting(levers: &[LeverView], width: u16) -> String {
    let of = |wanted: fn(&LeverState) -> bool| {
        levers.iter().filter(move |lever| wanted(&lever.state)).take(STANDING_MAX)
    };
    let queued = of(|state| matches!(state, LeverState::Queued));
    let held = of(|state| matches!(state, LeverState::Held { .. }));
    let retired = of(|state| matches!(state, LeverState::Retired { .. }));
    let shown: Vec<&LeverView> = queued.chain(held).chain(retired).collect();
    if shown.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["lever", "title", "state"], width).flexible(&[1, 2]);
    for lever in &shown {
        let passes = match (&lever.state, lever.passes) {
            (LeverState::Queued, 1..) => format!(", passed over {}", units::times(lever.passes)),
            _ => String::new(),
        };
        let state = format!("{}{passes}", lever_state(&lever.state));
        table.row(&[lever.lever.to_string(), lever.title.clone(), state]);
    }
    let counts = |state: &LeverState| {
        matches!(state, LeverState::Queued | LeverState::Held { .. } | LeverState::Retired { .. })
    };
    let all = levers.iter().filter(|lever| counts(&lever.state)).count();
    let mut text = table.render();
    if all > shown.len() {
        text.push_str(&format!("and {} more: `windlass lever list`\n", all - shown.len()));
    }
    text
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
            let gpus = units::count(gpus, "GPU");
            devices.push(format!("{gpus} ({})", models(&view.devices)));
        }
        if cpus > 0 {
            devices.push(units::count(cpus, "CPU slot"));
        }
        let problems = view.devices.iter().filter_map(|device| match &device.state {
            DeviceState::Outsider { who } => Some(format!("{}: used by {who}", device.id)),
            DeviceState::Quarantined { reason } => Some(format!("{}: quarantined, {reason}", device.id)),
            DeviceState::Free | DeviceState::Busy(_) => None,
        });
        let all: Vec<String> = devices
            .into_iter()
            .chain([format!("{free} free")])
            .chain(machine(&view.info))
            .chain(problems)
            .collect();
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

/// The models of the GPUs and what memory each has, the same once.
fn models(devices: &[Device]) -> String {
    let gpus = devices.iter().filter(|device| device.kind == DeviceKind::Gpu);
    let named = gpus.map(|device| match device.memory_bytes {
        Some(memory) => format!("{} {}", device.model, units::bytes(memory)),
        None => device.model.clone(),
    });
    let named: std::collections::BTreeSet<String> = named.collect();
    named.into_iter().collect::<Vec<_>>().join(", ")
}

/// What a machine has besides: CPUs, memory, driver. What it does not say is left out.
fn machine(info: &WorkerInfo) -> impl Iterator<Item = String> {
    let cpus = (info.cpus > 0).then(|| units::count(info.cpus.into(), "CPU"));
    let memory = info.memory_bytes.map(|bytes| format!("{} of memory", units::bytes(bytes)));
    let driver = info.driver.as_ref().map(|driver| format!("driver {driver}"));
    [cpus, memory, driver].into_iter().flatten()
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
