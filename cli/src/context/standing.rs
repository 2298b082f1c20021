//! Where the campaign stands: what runs and what is waited for, the queue with its reasons, the rules in
//! force with their figures, the bindings.

use super::facts::Facts;
use super::section::{Pen, Section, code, fenced};
use crate::render::event::{on, pause_reason, stop_reason};
use crate::render::{units, views};
use serde::Serialize;
use windlass_shared::bindings::{Bindings, ConclusionMode, Dial, GateKind};
use windlass_shared::claim::ClaimView;
use windlass_shared::time::Span;
use windlass_shared::view::{CampaignState, LeverState, LeverView, OpenIteration};

#[derive(Serialize)]
struct Standing {
    subject: String,
    text: String,
    log_end: Option<String>,
}

#[derive(Serialize)]
struct InLine<'a> {
    lever: u32,
    title: String,
    kind: &'a str,
    state: String,
    passes: u32,
}

#[derive(Serialize)]
struct Rule {
    rule: &'static str,
    text: String,
}

#[derive(Serialize)]
struct Binding {
    key: &'static str,
    value: String,
}

#[derive(Serialize)]
struct Claimed {
    researcher: String,
    about: String,
    dimensions: Vec<String>,
    files: Vec<String>,
    left_ms: u64,
}

/// What runs, and what is waited for (P24).
pub fn now(facts: &Facts) -> Section<'_> {
    let told = standings(facts);
    let total = told.len();
    let entry = move |index: usize, pen: &Pen| {
        let (subject, text, log) = &told[index];
        let log_end = log.as_deref().filter(|log| !log.is_empty()).map(|log| pen.last_lines(log));
        let standing = Standing { subject: pen.line(subject), text: pen.line(text), log_end };
        pen.entry(&standing, || {
            let Standing { subject, text, log_end } = &standing;
            format!("{subject}: {text}{}", fenced(log_end.as_deref().unwrap_or_default()))
        })
    };
    Section {
        name: "now",
        heading: "Now",
        command: format!("windlass status {}", facts.view.campaign),
        rank: 0,
        floor: 4,
        total,
        entry: Box::new(entry),
    }
}

/// What researchers work on, so that others take something else (P39).
pub fn claims(facts: &Facts) -> Section<'_> {
    let entry = |index: usize, pen: &Pen| {
        let ClaimView { claim, left_ms } = &facts.claims[index];
        let told = Claimed {
            researcher: pen.line(&claim.researcher),
            about: pen.line(&claim.about),
            dimensions: claim.dimensions.iter().map(|dimension| pen.line(dimension)).collect(),
            files: claim.files.iter().map(|file| pen.line(file.as_str())).collect(),
            left_ms: *left_ms,
        };
        pen.entry(&told, || {
            let what: Vec<&str> = told.dimensions.iter().chain(&told.files).map(String::as_str).collect();
            let what = if what.is_empty() { String::new() } else { format!(" ({})", what.join(", ")) };
            let left = units::duration(told.left_ms);
            format!("{}: {}{what}, for {left} more", told.researcher, told.about)
        })
    };
    Section {
        name: "claims",
        heading: "What researchers work on",
        command: format!("windlass claim {}", facts.view.campaign),
        rank: 5,
        floor: 3,
        total: facts.claims.len(),
        entry: Box::new(entry),
    }
}

type Told = (String, String, Option<String>);

fn standings(facts: &Facts) -> Vec<Told> {
    let mut told = Vec::new();
    match &facts.view.state {
        CampaignState::Active => {}
        CampaignState::Paused { reason } => told.push(("paused".to_owned(), pause_reason(reason), None)),
        CampaignState::Stopped { reason } => told.push(("stopped".to_owned(), stop_reason(reason), None)),
    }
    told.extend(facts.view.lanes.iter().map(open));
    if let Some(what) = &facts.view.waits_for {
        told.push(("waits for".to_owned(), what.clone(), None));
    }
    if told.is_empty() {
        told.push(("next".to_owned(), "about to pull a lever".to_owned(), None));
    }
    if let Some(refused) = &facts.view.refused {
        let rule = refused.rule.as_ref().map_or(String::new(), |rule| format!("[{rule}] "));
        let all = format!("windlass lever list {} --refused", facts.view.campaign);
        let text = format!("{}: {rule}{} (all {}: {all})", refused.title, refused.message, refused.recorded);
        told.push(("last refused proposal".to_owned(), text, None));
    }
    told
}

fn open(open: &OpenIteration) -> Told {
    let lever = open.lever.map_or(String::new(), |lever| format!("{lever} "));
    let subject = format!("iteration {} ({lever}{})", open.iteration, open.title);
    if let Some(wait) = &open.wait {
        let until = units::clock(wait.until_wall_ms);
        let text =
            format!("waits for {} until {until}: {}; {}", wait.what.as_str(), wait.problem, wait.remedy);
        return (subject, text, Some(wait.log_tail.clone()));
    }
    let text = match &open.attempt {
        None => open.stage.clone(),
        Some(attempt) => {
            let devices: Vec<&str> = attempt.devices.iter().map(|device| device.as_str()).collect();
            let place = on(&attempt.worker_name, &devices);
            let (elapsed, budget) = (units::duration(attempt.elapsed_ms), units::duration(attempt.budget_ms));
            format!("{} {place}, {} for {elapsed} of {budget}", open.stage, attempt.phase)
        }
    };
    (subject, text, None)
}

/// Levers in line and held ones, each with its reason, then the latest that left without a test.
pub fn queue(facts: &Facts) -> Section<'_> {
    let of = |wanted: fn(&LeverState) -> bool| facts.levers.iter().filter(move |lever| wanted(&lever.state));
    let levers: Vec<&LeverView> = of(|state| matches!(state, LeverState::Queued | LeverState::Pulled { .. }))
        .chain(of(|state| matches!(state, LeverState::Held { .. })))
        .chain(of(|state| matches!(state, LeverState::Retired { .. })))
        .collect();
    let total = levers.len();
    let entry = move |index: usize, pen: &Pen| {
        let lever = levers[index];
        let told = InLine {
            lever: lever.lever.0,
            title: pen.line(&lever.title),
            kind: &lever.lever_kind,
            state: pen.line(&views::lever_state(&lever.state)),
            passes: lever.passes,
        };
        pen.entry(&told, || {
            let passes = match told.passes {
                0 => String::new(),
                passes => format!(", passed over {} (P9)", units::times(passes)),
            };
            format!("{} {} ({}): {}{passes}", lever.lever, told.title, told.kind, told.state)
        })
    };
    Section {
        name: "queue",
        heading: "Levers in line, held, and gone without a test",
        command: format!("windlass lever list {}", facts.view.campaign),
        rank: 5,
        floor: 2,
        total,
        entry: Box::new(entry),
    }
}

/// The rules that a lever meets in this campaign, with its own figures.
pub fn rules(facts: &Facts) -> Section<'_> {
    // Nothing can be proposed where the decisions were made elsewhere, and nobody knows what was asked there.
    let rules = if facts.story.imported.is_some() { Vec::new() } else { in_force(facts) };
    let total = rules.len();
    let entry = move |index: usize, pen: &Pen| {
        let (rule, text) = &rules[index];
        let told = Rule { rule, text: pen.line(text) };
        pen.entry(&told, || format!("{}: {}", told.rule, told.text))
    };
    Section {
        name: "rules",
        heading: "Rules in force",
        command: facts.whole.clone(),
        rank: 6,
        floor: 3,
        total,
        entry: Box::new(entry),
    }
}

fn in_force(facts: &Facts) -> Vec<(&'static str, String)> {
    let bindings = &facts.story.bindings;
    let own = &bindings.windlass;
    let simplicity = &own.simplicity;
    let mut rules = vec![
        ("P2", format!("a lever touches {} alone; all else is frozen", bindings.editable_files.join(", "))),
        ("P5", "one change in one lever, every file that it touches declared under `files`".to_owned()),
        ("P6", "an anchor: file, pattern and comparison that hold in the evidence; a simplification that removes net lines needs none".to_owned()),
        ("P10", "what was tried before is refused, unless `changed_assumption` says what differs".to_owned()),
        ("P13", "at least one deliverable measures a dimension that is not used up".to_owned()),
    ];
    if let Some(moves) = &facts.view.moves {
        let allowed = moves.allowed.join(" or ");
        let (swings, limit) = (moves.swing_budget, moves.stagnation_limit);
        let text = format!(
            "the first {swings} levers are swings; after {limit} exploits in a row a swing or a merge; now: {allowed}"
        );
        rules.push(("P11", text));
    }
    rules.push(match bindings.gate {
        GateKind::Time => (
            "P16",
            format!("a run gets {} and is killed at twice that", units::duration(bindings.budget_ms())),
        ),
        GateKind::Epochs => (
            "P17",
            format!("a run trains {} epochs; a lever does not touch the cap", bindings.budget_epochs()),
        ),
    });
    rules.push(("P19", fixes(own.fixes, own.fix_wait)));
    if own.conclusion.mode == ConclusionMode::Required {
        rules.push(("P23", "what was measured is concluded by its researcher: a verdict for each deliverable, the finding, 3 to 8 bullets".to_owned()));
    }
    rules
        .push(("P25", format!("strictly better than the record is kept; the metric is {}", bindings.metric)));
    let min_gain =
        simplicity.min_gain.as_ref().map_or("0.001 of the baseline's size".to_owned(), ToString::to_string);
    rules.push((
        "P26",
        format!(
            "within {} of the record and with net lines removed is kept too; {} net lines or more must gain more than {min_gain}",
            simplicity.tolerance, simplicity.lines
        ),
    ));
    if let Some(noise) = &own.noise {
        let floor = facts.view.floor.as_ref().map_or("not measured yet".to_owned(), ToString::to_string);
        let text = format!(
            "a gain below {} times the noise floor ({floor}) is confirmed by {} replicates",
            noise.sigmas, noise.confirm_replicates
        );
        rules.push(("P27", text));
    }
    if bindings.literature == Dial::On {
        rules.push(("P37", "a lever cites a kept finding, beside its anchor".to_owned()));
    }
    if own.lanes > 1 {
        rules.push((
            "P39",
            format!("{} levers run at once, each against the best of its own start", own.lanes),
        ));
    }
    rules
}

fn fixes(fixes: u32, wait: Span) -> String {
    match (fixes, wait.ms) {
        (0, _) => "a failed run is a crash: no fix is tried".to_owned(),
        (_, 0) => "a failed run is tried again only with a fix that its lever brings along".to_owned(),
        _ => format!("a failed run may be fixed {}, within {wait}", units::times(fixes)),
    }
}

/// The bindings that a researcher works with.
pub fn bindings(facts: &Facts) -> Section<'_> {
    let mut values = values(&facts.story.bindings);
    if facts.story.imported.is_some() {
        values.retain(|(key, _)| key.starts_with("metric"));
    }
    let total = values.len();
    let entry = move |index: usize, pen: &Pen| {
        let (key, value) = &values[index];
        let told = Binding { key, value: pen.line(value) };
        pen.entry(&told, || format!("{}: {}", told.key, code(&told.value)))
    };
    Section {
        name: "bindings",
        heading: "Bindings",
        command: facts.whole.clone(),
        rank: 7,
        floor: 3,
        total,
        entry: Box::new(entry),
    }
}

fn values(bindings: &Bindings) -> Vec<(&'static str, String)> {
    let own = &bindings.windlass;
    let json = |value: serde_json::Result<String>| value.unwrap_or_default();
    let direction = json(serde_json::to_string(&bindings.metric_direction)).replace('"', "");
    let gate = match bindings.gate {
        GateKind::Time => "time",
        GateKind::Epochs => "epochs",
    };
    let mut values = vec![
        ("editable_files", bindings.editable_files.join(", ")),
        ("entrypoint", bindings.command().to_owned()),
        ("metric", bindings.metric.clone()),
        ("metric_direction", direction),
        ("gate", gate.to_owned()),
        ("budget", bindings.budget.to_string()),
        ("resources", json(serde_json::to_string(&own.resources))),
        ("analysis", json(serde_json::to_string(&own.analysis))),
        ("fixes", own.fixes.to_string()),
        ("lanes", own.lanes.to_string()),
        ("passes", own.passes.to_string()),
    ];
    let mut push = |key, value: Option<String>| values.extend(value.map(|value| (key, value)));
    push("architecture", own.architecture.clone());
    push("python", own.python.clone());
    push("artifacts", (!own.artifacts.is_empty()).then(|| own.artifacts.join(", ")));
    push("data", (!own.data.is_empty()).then(|| json(serde_json::to_string(&own.data))));
    push("score", own.score.as_ref().map(|score| json(serde_json::to_string(score))));
    push("stop", Some(json(serde_json::to_string(&own.stop))).filter(|stop| stop != "{}"));
    let slugs: Vec<&str> = own.diagnostics.iter().map(|row| row.dimension.as_str()).collect();
    push("diagnostics", (!slugs.is_empty()).then(|| slugs.join(", ")));
    values
}
