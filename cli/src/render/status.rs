//! `windlass status C`: what runs, what was decided and why, what waits and for what (P24).

use super::event::{on, pause_reason, stop_reason};
use super::page::Page;
use super::spark::{self, Test};
use super::style::{self, STRONG};
use super::table::{Cell, Column, Table};
use super::text::neutral;
use super::views::{lever_state, more, other_name};
use super::{gate, units};
use serde::Serialize;
use std::collections::BTreeMap;
use windlass_shared::attempt::Kind;
use windlass_shared::bindings::Direction;
use windlass_shared::conclusion::Status;
use windlass_shared::decimal::Decimal;
use windlass_shared::id::IterationNumber;
use windlass_shared::record::{Arithmetic, Body, PauseReason, Record};
use windlass_shared::view::{
    AttemptView, CampaignState, CampaignView, Counts, FindingCounts, LeverState, LeverView, LiteratureView,
    MovesView, OpenIteration, RefusedView, WaitView,
};

/// Decisions on the page; `results` has them all.
const DECISIONS_MAX: usize = 5;
/// Levers of one state on the page; `lever list` has them all.
const STANDING_MAX: usize = 5;

/// The page. `decided` are the `iteration_decided` records, or none where they could not be had.
pub fn page(
    view: &CampaignView,
    levers: &[LeverView],
    decided: &[Record],
    now_ms: i64,
    width: u16,
) -> String {
    let heading = format!("{STRONG}{}{STRONG:#}  {}", neutral(&view.campaign.0), word(view));
    let mut page = Page::new(&heading, width);
    if let Some(name) = other_name(view) {
        page.line("name", &neutral(name));
    }
    page.line("created", &units::ago(view.created_wall_ms, now_ms));
    page.line("metric", &format!("{}, {}", neutral(&view.metric), super::chart::better(view.direction)));
    page.line("best", &best(view));
    if view.priority != 0 {
        page.line("priority", &format!("{}: before others that wait with less, 0 is usual", view.priority));
    }
    let counts = &view.decided;
    let total = u64::from(counts.keep + counts.discard + counts.crash);
    page.line(
        "decided",
        &match total {
            0 => "nothing yet".to_owned(),
            total => {
                let Counts { keep, discard, crash } = counts;
                let all = units::count(total, "iteration");
                format!("{all}: {keep} keep, {discard} discard, {crash} crash")
            }
        },
    );
    progress(&mut page, view, decided);
    if let Some(floor) = &view.floor {
        page.line("noise", &noise(floor, decided));
    }
    if let Some(moves) = &view.moves {
        page.line("moves", &moves_line(moves));
    }
    if let Some(literature) = &view.literature {
        page.line("literature", &literature_line(literature));
    }
    if let Some(refused) = &view.refused {
        page.line("refused", &refused_line(view, refused, now_ms));
    }
    now(&mut page, view);
    if !view.recent.is_empty() {
        page.section("Decided");
        page.push(&recent(view, decided, now_ms, width));
    }
    if !follow_ups(view).is_empty() {
        page.section("Follow-ups");
        for line in follow_ups(view) {
            page.sentence(&neutral(&line));
        }
    }
    for (name, table) in standing(view, levers, width) {
        page.section(name);
        page.push(&table);
    }
    page.finish()
}

/// A campaign's state in a word or two; the page below says why.
fn word(view: &CampaignView) -> &'static str {
    match &view.state {
        CampaignState::Active if lanes(view).any(|open| open.attempt.is_some()) => "running",
        CampaignState::Active if view.waits_for.is_some() => "waiting",
        CampaignState::Active => "active",
        CampaignState::Paused { .. } => "paused",
        CampaignState::Stopped { .. } => "stopped",
    }
}

fn best(view: &CampaignView) -> String {
    let Some(best) = &view.best else { return "nothing kept yet".to_owned() };
    let metric = best.metric.as_ref().map_or("no metric", |metric| metric.text());
    let color = style::of_status(Status::Keep);
    let record = view.record.as_ref().filter(|record| Some(*record) != best.metric.as_ref());
    let record = record.map_or(String::new(), |record| format!("; the record is {record}"));
    format!("{color}{metric}{color:#} in iteration {}: {}{record}", best.iteration, neutral(&best.title))
}

/// A kept gain, and whether it stands above the noise (P27).
#[derive(Debug, Serialize)]
pub struct Gain {
    /// The iteration.
    pub iteration: IterationNumber,
    /// How much better it was than the record of its time.
    pub gain: Option<Decimal>,
    /// What a gain must reach.
    pub threshold: Decimal,
    /// Whether it does.
    pub is_above: bool,
}

/// Every kept gain that was held against the floor, in the order of decision.
pub fn gains(decided: &[Record]) -> Vec<Gain> {
    let gain = |record: &Record| match &record.body {
        Body::IterationDecided { iteration, status: Status::Keep, arithmetic, .. } => {
            let noise = arithmetic.noise.as_ref()?;
            let (threshold, is_above) = (noise.threshold.clone()?, noise.is_above?);
            Some(Gain { iteration: *iteration, gain: arithmetic.gain.clone(), threshold, is_above })
        }
        _ => None,
    };
    decided.iter().filter_map(gain).collect()
}

/// The floor, and which kept gains stand far enough above it (P27).
fn noise(floor: &Decimal, decided: &[Record]) -> String {
    let gains = gains(decided);
    let mut text = format!("the floor is {floor}");
    if let Some(last) = gains.last() {
        text.push_str(&format!(", a gain stands above the noise from {} on", last.threshold));
    }
    for (words, is_above) in [("that do", true), ("that do not", false)] {
        let of = gains.iter().filter(|gain| gain.is_above == is_above);
        let iterations: Vec<String> = of.map(|gain| gain.iteration.to_string()).collect();
        if !iterations.is_empty() {
            text.push_str(&format!("; kept gains {words}: {}", iterations.join(", ")));
        }
    }
    text
}

/// What was pulled, and what may be (P11).
fn moves_line(moves: &MovesView) -> String {
    let MovesView { swings, swing_budget, exploits_in_a_row, stagnation_limit, allowed } = moves;
    format!(
        "{swings} of the first {swing_budget} swings pulled, {exploits_in_a_row} of {stagnation_limit} exploits \
         in a row; next: {}",
        neutral(&allowed.join(" or "))
    )
}

/// What can be cited, and what became of the rest (P35).
fn literature_line(literature: &LiteratureView) -> String {
    let FindingCounts { pending, helped, no_effect, hurt, stale, rejected } = literature.counts;
    let named: Vec<String> = literature.pending.iter().take(STANDING_MAX).map(ToString::to_string).collect();
    let named = match named.len() as u32 {
        0 => String::new(),
        shown if shown < pending => format!(" ({} and others)", named.join(", ")),
        _ => format!(" ({})", named.join(", ")),
    };
    let model = literature.architecture.as_ref();
    let model = model.map_or(String::new(), |model| format!("; the model is {}", neutral(model)));
    format!(
        "{} can be cited{named}; {helped} helped, {no_effect} no-effect, {hurt} hurt, {stale} stale, \
         {rejected} rejected{model}",
        units::count(u64::from(pending), "finding")
    )
}

/// The last proposal that was refused, and where the others are told.
fn refused_line(view: &CampaignView, refused: &RefusedView, now_ms: i64) -> String {
    let count = units::count(u64::from(refused.recorded), "proposal");
    let rule = refused.rule.as_ref().map_or(String::new(), |rule| format!("[{rule}] "));
    let (title, ago) = (neutral(&refused.title), units::ago(refused.wall_ms, now_ms));
    format!(
        "{count}, the last {ago}: {title}: {}{}; `windlass lever list {} --refused` has all",
        neutral(&rule),
        neutral(&refused.message),
        neutral(&view.campaign.0)
    )
}

/// The staircase and the tests, where there is more than one.
fn progress(page: &mut Page, view: &CampaignView, decided: &[Record]) {
    let tests = tests(view.direction, decided);
    if tests.len() < 2 {
        return;
    }
    let values: Vec<&str> = decided.iter().filter_map(kept_metric).map(|(_, text)| text).collect();
    let ends = match (values.first(), view.record.as_ref()) {
        (Some(first), Some(record)) if *first != record.text() => format!("{first} → {record}"),
        (Some(first), _) => (*first).to_owned(),
        (None, _) => String::new(),
    };
    // The figures stand beside the staircase where that leaves it a fair width.
    let beside = ends.chars().count() + 2;
    let room = page.room().saturating_sub(beside).max(16);
    page.line("staircase", &format!("{} {ends}", spark::staircase(&tests, room)));
    page.line("tests", &spark::marks(&tests, room));
}

fn kept_metric(record: &Record) -> Option<(f64, &str)> {
    match &record.body {
        Body::IterationDecided { status: Status::Keep, arithmetic, .. } => {
            arithmetic.metric.as_ref().map(|metric| (metric.to_f64(), metric.text()))
        }
        _ => None,
    }
}

fn tests(direction: Direction, decided: &[Record]) -> Vec<Test> {
    let mut best: Option<f64> = None;
    let test = |record: &Record| {
        let Body::IterationDecided { status, .. } = &record.body else { return None };
        if let Some((value, _)) = kept_metric(record) {
            best = Some(match (best, direction) {
                (None, _) => value,
                (Some(best), Direction::Maximize) => best.max(value),
                (Some(best), Direction::Minimize) => best.min(value),
            });
        }
        Some(Test { status: *status, best })
    };
    decided.iter().filter_map(test).collect()
}

/// The open iterations; an older coordinator names the one that it can have.
fn lanes(view: &CampaignView) -> impl Iterator<Item = &OpenIteration> {
    let alone = view.open.as_ref().filter(|_| view.lanes.is_empty());
    view.lanes.iter().chain(alone)
}

/// What runs, and why nothing does when nothing does.
fn now(page: &mut Page, view: &CampaignView) {
    page.section("Now");
    let id = neutral(&view.campaign.0);
    match &view.state {
        CampaignState::Active => {}
        CampaignState::Paused { reason } => {
            page.line("paused", &neutral(&pause_reason(reason)));
            match reason {
                PauseReason::Baseline { .. } => {
                    page.line("", "repair that and submit again: the queue comes along");
                }
                PauseReason::Owner | PauseReason::Infrastructure => {
                    page.line("", &format!("`windlass resume {id}` goes on"));
                }
            }
        }
        CampaignState::Stopped { reason } => page.line("stopped", &neutral(&stop_reason(reason))),
    }
    for open in lanes(view) {
        let lever = open.lever.map_or(String::new(), |lever| format!("{lever} "));
        page.line(&format!("iter {}", open.iteration), &format!("{lever}{}", neutral(&open.title)));
        match &open.attempt {
            Some(attempt) => running(page, attempt),
            None if matches!(view.state, CampaignState::Stopped { .. }) => {
                page.line("", "cut off by the stop, and not decided");
            }
            None => page.line("stage", &neutral(&open.stage)),
        }
        if let Some(wait) = &open.wait {
            waiting(page, wait);
            return;
        }
    }
    let told = matches!(&view.state, CampaignState::Paused { reason: PauseReason::Baseline { .. } });
    if let Some(what) = view.waits_for.as_ref().filter(|_| !told) {
        page.line("waits for", &neutral(what));
        page.line("", &format!("`windlass explain {id}` names rules and figures"));
    }
    if view.open.is_none() && view.waits_for.is_none() && matches!(view.state, CampaignState::Active) {
        page.line("next", "about to pull a lever");
    }
}

/// What a person can do for it, until when, and what it is about.
fn waiting(page: &mut Page, wait: &WaitView) {
    page.line("waits for", &format!("{} until {}", wait.what.as_str(), units::clock(wait.until_wall_ms)));
    page.line("because", &neutral(&wait.problem));
    page.line("remedy", &neutral(&wait.remedy));
    for (index, line) in wait.log_tail.lines().enumerate() {
        page.line(if index == 0 { "its log ends" } else { "" }, &neutral(line));
    }
}

/// Where the attempt is and how much of its gate is used.
fn running(page: &mut Page, attempt: &AttemptView) {
    let devices: Vec<&str> = attempt.devices.iter().map(|device| device.as_str()).collect();
    let name = match attempt.kind {
        Kind::Run => "run",
        Kind::Analysis => "analysis",
        Kind::Score => "scorer",
    };
    let place = on(&attempt.worker_name, &devices);
    if attempt.phase == "running" {
        page.line(name, &neutral(&place));
        page.line("gate", &gate::running(attempt.elapsed_ms, attempt.budget_ms, page.room()));
    } else {
        page.line(name, &neutral(&format!("{} {place}", attempt.phase)));
        page.line("gate", &units::duration(attempt.budget_ms));
    }
    page.line("why there", &neutral(&attempt.why));
}

/// The latest decisions, each with its sum.
fn recent(view: &CampaignView, decided: &[Record], now_ms: i64, width: u16) -> String {
    let sums: BTreeMap<IterationNumber, &Arithmetic> = decided
        .iter()
        .filter_map(|record| match &record.body {
            Body::IterationDecided { iteration, arithmetic, .. } => Some((*iteration, arithmetic)),
            _ => None,
        })
        .collect();
    let mut table = Table::new(
        width,
        [
            Column::new("iter").right(),
            Column::new("status"),
            Column::new(&view.metric).right().rank(2),
            Column::new("lever").wraps(),
            Column::new("why").wraps(),
            Column::new("decided").rank(1),
        ],
    );
    for row in view.recent.iter().take(DECISIONS_MAX) {
        let why = match sums.get(&row.iteration) {
            // A crash has no sum worth telling; its ending says more.
            Some(sum) if row.status != Status::Crash => sum.sentence.as_str(),
            _ => &row.reason,
        };
        table.row([
            row.iteration.to_string().into(),
            Cell::styled(row.status.as_str(), style::of_status(row.status)),
            row.metric.as_ref().map_or("-", |metric| metric.text()).into(),
            (&row.title).into(),
            why.into(),
            units::ago(row.wall_ms, now_ms).into(),
        ]);
    }
    let counts = &view.decided;
    let all = (counts.keep + counts.discard + counts.crash) as usize;
    let rest = all.saturating_sub(view.recent.len().min(DECISIONS_MAX));
    format!("{}{}", table.render(), more(rest, &format!("windlass results {}", view.campaign)))
}

/// Scripts that were added beside a plan (P22): those on their way, then what they found of the decisions above.
fn follow_ups(view: &CampaignView) -> Vec<String> {
    let on_their_way = view.follow_ups.iter().map(|one| {
        let why = one.problem.as_ref().map_or(String::new(), |problem| format!(": {problem}"));
        format!("iteration {}: {} {}{why}", one.iteration, one.output, one.stage)
    });
    let mut shown: Vec<String> = on_their_way.collect();
    let recent = view.recent.iter().take(DECISIONS_MAX);
    let best = view.best.iter().filter(|best| recent.clone().all(|row| row.iteration != best.iteration));
    for row in best.chain(recent.clone()) {
        let late = row.late.iter();
        shown.extend(late.map(|late| {
            format!("iteration {} has {} since: {}", row.iteration, late.output, late.first_line)
        }));
    }
    shown
}

/// A heading, and which levers stand under it.
type Group = (&'static str, fn(&LeverState) -> bool);

/// Levers in line, held ones, and the latest that left without a test: each that has any, with its table.
fn standing(view: &CampaignView, levers: &[LeverView], width: u16) -> Vec<(&'static str, String)> {
    let groups: [Group; 3] = [
        ("In line", |state| matches!(state, LeverState::Queued)),
        ("Held: each waits for its researcher", |state| matches!(state, LeverState::Held { .. })),
        ("Left without a test", |state| matches!(state, LeverState::Retired { .. })),
    ];
    let mut shown = Vec::new();
    for (name, is_of_group) in groups {
        let of_group: Vec<&LeverView> = levers.iter().filter(|lever| is_of_group(&lever.state)).collect();
        if of_group.is_empty() {
            continue;
        }
        let columns = [Column::new("lever"), Column::new("title").wraps(), Column::new("state").wraps()];
        let mut table = Table::new(width, columns);
        for lever in of_group.iter().take(STANDING_MAX) {
            let passes = match (&lever.state, lever.passes) {
                (LeverState::Queued, 1..) => format!(", passed over {}", units::times(lever.passes)),
                _ => String::new(),
            };
            let state = format!("{}{passes}", lever_state(&lever.state));
            table.row([lever.lever.to_string().into(), (&lever.title).into(), state.into()]);
        }
        let rest = of_group.len().saturating_sub(STANDING_MAX);
        let text = table.render() + &more(rest, &format!("windlass lever list {}", view.campaign));
        shown.push((name, text));
    }
    shown
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
