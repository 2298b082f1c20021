//! What the reciting coordinator knows: the files beside this folder, as they are, with hostile text in
//! every place that takes text, or of a campaign that has only just been created.

use super::store::STORE;
use serde::de::DeserializeOwned;
use serde_json::Value;
use windlass_shared::claim::ClaimView;
use windlass_shared::decimal::Decimal;
use windlass_shared::id::{FindingNumber, IterationNumber};
use windlass_shared::path::TreePath;
use windlass_shared::quota::QuotaView;
use windlass_shared::record::{Body, Record, StopReason};
use windlass_shared::usage::UsageView;
use windlass_shared::view::{
    CampaignState, CampaignView, Counts, FindingCounts, FollowUpView, IterationSummary, Late, LeverView,
    LiteratureView, MovesView, OpenIteration, WaitFor, WaitView, WorkerView,
};

/// What terminals and people are attacked with: a window title, a CSI of one byte, a reversed direction,
/// a carriage return, a bell.
pub const HOSTILE: &str = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{202e}\r\u{8}|`<b>";

/// Keys whose values are text that somebody else wrote.
const TEXTS: [&str; 30] = [
    "title",
    "why",
    "worker_name",
    "prediction",
    "finding",
    "reason",
    "summary",
    "description",
    "first_line",
    "log_tail",
    "missing",
    "sentence",
    "question",
    "if_helped",
    "if_not",
    "detail",
    "repair",
    "stage",
    "who",
    "model",
    "device_model",
    "unwilling",
    "waits_for",
    "pattern",
    "name",
    "phase",
    "researcher",
    "about",
    "message",
    "anchor",
];

/// What is recited.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scene {
    /// The fixture as it is.
    Plain,
    /// With hostile text.
    Hostile,
    /// Created a moment ago: nothing was leased yet.
    Fresh,
    /// With a record of every kind after the fixture's own.
    Every,
}

impl Scene {
    fn read<T: DeserializeOwned>(self, text: &str) -> T {
        let mut value: Value = serde_json::from_str(&STORE.resolve(text)).expect("JSON");
        if self == Self::Hostile {
            poison(&mut value, None);
        }
        serde_json::from_value(value).expect("the current form")
    }

    /// What researchers work on, where more than a story is told.
    pub fn claims(self) -> Vec<ClaimView> {
        const CLAIM: &str = r#"[{"researcher": "ada", "about": "tune the rate", "dimensions": ["curve"],
            "files": ["train.py"], "left_ms": 720000}]"#;
        match self {
            Self::Plain | Self::Fresh => Vec::new(),
            Self::Hostile | Self::Every => self.read(CLAIM),
        }
    }

    /// The campaign's records.
    pub fn records(self) -> Vec<Record> {
        let mut records: Vec<Record> = self.read(include_str!("../records.json"));
        match self {
            Self::Plain | Self::Hostile => {}
            Self::Fresh => records.truncate(2),
            Self::Every => records.extend(self.read::<Vec<Record>>(include_str!("../kinds.json"))),
        }
        records
    }

    /// The campaign's page.
    pub fn view(self) -> CampaignView {
        let view: CampaignView = self.read(include_str!("../view.json"));
        let view = CampaignView { lanes: view.open.iter().cloned().collect(), ..view };
        match self {
            Self::Plain | Self::Hostile => view,
            Self::Every => CampaignView { floor: Decimal::parse("0.007"), ..view },
            Self::Fresh => CampaignView {
                state: CampaignState::Active,
                best: None,
                record: None,
                decided: Counts::default(),
                queued: 0,
                open: None,
                refused: None,
                lanes: Vec::new(),
                waits_for: Some("a worker: none is connected".to_owned()),
                recent: Vec::new(),
                ..view
            },
        }
    }

    /// Every campaign's page.
    pub fn views(self) -> Vec<CampaignView> {
        let limit = StopReason::Limit { limit: "iterations: 3".to_owned() };
        let ended = |view| CampaignView { state: CampaignState::Stopped { reason: limit }, ..view };
        match self {
            Self::Every => {
                let origin = StopReason::Imported { source: "old/results.tsv".to_owned() };
                let imported = CampaignState::Stopped { reason: origin };
                let imported = CampaignView { state: imported, ..self.view() };
                vec![self.view(), ended(self.view()), imported, waiting(self.view())]
            }
            Self::Hostile => vec![self.view(), CampaignView { priority: -3, ..self.view() }],
            _ => vec![self.view()],
        }
    }

    /// Its levers.
    pub fn levers(self) -> Vec<LeverView> {
        if self == Self::Fresh { Vec::new() } else { self.read(include_str!("../levers.json")) }
    }

    /// The fleet.
    pub fn workers(self) -> Vec<WorkerView> {
        if self == Self::Fresh {
            return Vec::new();
        }
        let mut workers: Vec<WorkerView> = self.read(include_str!("../workers.json"));
        if self == Self::Every {
            workers.iter_mut().for_each(|worker| worker.info.secrets = vec!["HF_TOKEN".to_owned()]);
        }
        workers
    }

    /// The refused proposals among the records of every kind.
    pub fn refused(self) -> Vec<Record> {
        if self == Self::Fresh {
            return Vec::new();
        }
        let records: Vec<Record> = self.read(include_str!("../kinds.json"));
        records.into_iter().filter(|record| matches!(record.body, Body::LeverRefused { .. })).collect()
    }

    /// Who had what of the fleet.
    pub fn usage(self) -> UsageView {
        self.read(include_str!("../usage.json"))
    }

    /// Who may have what of it.
    pub fn quotas(self) -> Vec<QuotaView> {
        self.read(include_str!("../quotas.json"))
    }

    /// The decisions among the records.
    pub fn decisions(self) -> Vec<Record> {
        let is_decision = |record: &Record| matches!(record.body, Body::IterationDecided { .. });
        self.records().into_iter().filter(is_decision).collect()
    }
}

fn poison(value: &mut Value, key: Option<&str>) {
    match value {
        Value::String(text) if key.is_some_and(|key| TEXTS.contains(&key)) => text.insert_str(1, HOSTILE),
        // A deliverable's script has a name, and a metric: neither is text for people.
        Value::Object(map) => {
            let is_spec = map.contains_key("digest") || map.contains_key("line");
            for (key, value) in map.iter_mut() {
                if !(is_spec && key == "name") {
                    poison(value, Some(key));
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| match (key, value) {
            (Some("bullets"), Value::String(text)) => text.insert_str(1, HOSTILE),
            (_, value) => poison(value, None),
        }),
        _ => {}
    }
}

/// The same campaign with moves and literature, while its open iteration waits for its researcher.
fn waiting(view: CampaignView) -> CampaignView {
    let wait = WaitView {
        what: WaitFor::Fix,
        until_wall_ms: 1_767_227_400_000,
        problem: "out_of_memory".to_owned(),
        remedy: "send one with `windlass fix`".to_owned(),
        log_tail: "CUDA out of memory".to_owned(),
    };
    let open = view.open.clone().map(|open| OpenIteration { wait: Some(wait), ..open });
    let moves = MovesView {
        swings: 1,
        swing_budget: 3,
        exploits_in_a_row: 0,
        stagnation_limit: 3,
        allowed: vec!["swing".to_owned()],
    };
    let literature = LiteratureView {
        architecture: Some("mlp".to_owned()),
        pending: vec![FindingNumber(1)],
        counts: FindingCounts { pending: 1, helped: 1, rejected: 1, ..FindingCounts::default() },
        last_review_kept: Some(1),
    };
    let path = |text: &str| TreePath::parse(text).unwrap();
    let follow_up = FollowUpView {
        iteration: IterationNumber(2),
        output: path("again.tsv"),
        stage: "given up".to_owned(),
        problem: Some("look.py ended with exit code 1".to_owned()),
    };
    let late = |output: &str| Late {
        output: path(output),
        dimension: "slope".to_owned(),
        first_line: "it is flat".to_owned(),
    };
    let best = view.best.clone().map(|best| IterationSummary { late: vec![late("late.tsv")], ..best });
    let follow_ups = vec![follow_up];
    let (lanes, moves, literature) = (open.iter().cloned().collect(), Some(moves), Some(literature));
    CampaignView { lanes, open, moves, literature, follow_ups, best, ..view }
}
