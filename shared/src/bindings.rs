//! Campaign bindings: `loop.run.yaml` as PROTOCOL.md's tables define it. Every key is known here;
//! [`Bindings::validate`] refuses, by name, what is wrong or what this version does not run yet.

use crate::decimal::Decimal;
use crate::plan::Deliverable;
use crate::refusal::Refusal;
use crate::time::Span;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which way is better (P25).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Smaller is better.
    Minimize,
    /// Larger is better.
    Maximize,
}

impl Direction {
    /// Whether `new` is strictly better than `old`.
    pub fn is_better(self, new: &Decimal, old: &Decimal) -> bool {
        match self {
            Self::Minimize => new < old,
            Self::Maximize => new > old,
        }
    }
}

/// How kept iterations reach the user's copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Folders under `sandbox_root`.
    #[default]
    Snapshots,
    /// A branch in the user's repository.
    Branches,
}

/// What `budget` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateKind {
    /// Minutes (P16).
    Time,
    /// Epochs (P17).
    Epochs,
}

/// The literature dial. YAML 1.1 readers may hand `on`/`off` as booleans: both forms are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Dial {
    /// No literature.
    #[default]
    Off,
    /// Findings ground the levers too.
    On,
}

impl<'de> Deserialize<'de> for Dial {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Dial;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("`off` or `on`")
            }
            fn visit_bool<E: serde::de::Error>(self, on: bool) -> Result<Dial, E> {
                Ok(if on { Dial::On } else { Dial::Off })
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Dial, E> {
                match text {
                    "on" | "true" => Ok(Dial::On),
                    "off" | "false" => Ok(Dial::Off),
                    other => Err(E::custom(format!("expected `off` or `on`, found {other:?}"))),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Which metric line counts (P18).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricLine {
    /// Several that differ are no metric.
    #[default]
    ExactlyOne,
    /// The first one.
    First,
    /// The last one.
    Last,
}

/// What a run that passes its budget is (P16).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overrun {
    /// A crash.
    #[default]
    Crash,
    /// A metric printed in time counts.
    Measure,
}

/// Who writes conclusions (P23).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConclusionMode {
    /// Composed from facts.
    #[default]
    Automatic,
    /// A researcher must write it.
    Required,
}

/// The campaign file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bindings {
    /// The metric's name as printed in the log.
    pub metric: String,
    /// Which way is better.
    pub metric_direction: Direction,
    /// The command of one experiment; `entrypoint` wins over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_cmd: Option<String>,
    /// See `run_cmd`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<String>,
    /// Paths or globs that a lever may touch.
    pub editable_files: Vec<String>,
    /// Where the user's copy is laid out.
    #[serde(default = "default_sandbox_root")]
    pub sandbox_root: String,
    /// Snapshots or branches.
    #[serde(default)]
    pub iter_strategy: Strategy,
    /// Names the branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_tag: Option<String>,
    /// Time or epochs.
    pub gate: GateKind,
    /// Minutes or epochs.
    pub budget: Decimal,
    /// The literature dial.
    #[serde(default)]
    pub literature: Dial,
    /// With literature: one phrase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// With literature: the depth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub research_scale: Option<String>,
    /// With literature: where the skill lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lit_skill_dir: Option<String>,
    /// With literature: its interpreter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lit_py: Option<String>,
    /// With literature: which keys are present.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub literature_tiers: BTreeMap<String, bool>,
    /// As the founding loop records it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// What is ours.
    #[serde(default)]
    pub windlass: Extension,
}

fn default_sandbox_root() -> String {
    "./sandbox".to_owned()
}

/// The `windlass:` block. Every key is optional.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Extension {
    /// For listings.
    pub name: Option<String>,
    /// Higher goes first.
    pub priority: i32,
    /// Share of the fleet.
    pub weight: u32,
    /// What an attempt needs.
    pub resources: Resources,
    /// `device` or `any`.
    pub comparable: Option<String>,
    /// Files to send although git ignores them.
    pub include: Vec<String>,
    /// Files not to send.
    pub ignore: Vec<String>,
    /// Environment of a run.
    pub env: BTreeMap<String, String>,
    /// Deliverables of iteration 1.
    pub baseline: Vec<Deliverable>,
    /// Deliverables of every iteration.
    pub always: Vec<Deliverable>,
    /// A catalogue to draw a new dimension from.
    pub diagnostics: Vec<Deliverable>,
    /// Limits of the analysis.
    pub analysis: Analysis,
    /// Who writes conclusions.
    pub conclusion: ConclusionMode,
    /// Attempts after a failed run (P19).
    pub fixes: u32,
    /// How long a failed iteration waits for a fix; 0 when nobody is there to fix.
    pub fix_wait: Span,
    /// What passing the budget means.
    pub overrun: Overrun,
    /// Which metric line counts.
    pub metric_line: MetricLine,
    /// Lowest and highest plausible metric.
    pub metric_range: Option<(Decimal, Decimal)>,
    /// The simplicity criterion (P26).
    pub simplicity: Simplicity,
    /// The tag of the starting architecture.
    pub architecture: Option<String>,
    /// Levers at once.
    pub lanes: u32,
    /// Passes before a lever is stale (P9).
    pub passes: u32,
    /// For `.py` scripts.
    pub python: Option<String>,
    /// Isolation level.
    pub sandbox: Option<String>,
    /// When the campaign stops by itself (P32).
    pub stop: Stop,
    /// Known, and refused by [`Bindings::validate`]: this version does not run it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<serde_json::Value>,
    /// Known, and refused by [`Bindings::validate`]: this version does not run it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise: Option<serde_json::Value>,
    /// Known, and refused by [`Bindings::validate`]: this version does not run it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<serde_json::Value>,
    /// Known, and refused by [`Bindings::validate`]: this version does not run it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifacts: Option<serde_json::Value>,
    /// Known, and refused by [`Bindings::validate`]: this version does not run it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub move_scheduler: Option<serde_json::Value>,
    /// Known, and refused by [`Bindings::validate`]: this version does not run it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<serde_json::Value>,
    /// Known, and refused by [`Bindings::validate`]: this version does not run it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<serde_json::Value>,
    /// Known, and refused by [`Bindings::validate`]: this version does not run it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caches: Option<serde_json::Value>,
    /// Known, and refused by [`Bindings::validate`]: this version does not run it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub setup: Option<serde_json::Value>,
    /// Known, and refused by [`Bindings::validate`]: this version does not run it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets: Option<serde_json::Value>,
}

impl Default for Extension {
    fn default() -> Self {
        Self {
            name: None,
            priority: 0,
            weight: 1,
            resources: Resources::default(),
            comparable: None,
            include: Vec::new(),
            ignore: Vec::new(),
            env: BTreeMap::new(),
            baseline: Vec::new(),
            always: Vec::new(),
            diagnostics: Vec::new(),
            analysis: Analysis::default(),
            conclusion: ConclusionMode::Automatic,
            fixes: 1,
            fix_wait: Span::from_secs(30 * 60),
            overrun: Overrun::Crash,
            metric_line: MetricLine::ExactlyOne,
            metric_range: None,
            simplicity: Simplicity::default(),
            architecture: None,
            lanes: 1,
            passes: 3,
            python: None,
            sandbox: None,
            stop: Stop::default(),
            epochs: None,
            noise: None,
            score: None,
            artifacts: None,
            move_scheduler: None,
            limits: None,
            data: None,
            caches: None,
            setup: None,
            secrets: None,
        }
    }
}

/// What an attempt needs of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Resources {
    /// GPUs; 1 where the fleet has GPUs, else 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpus: Option<u32>,
    /// Least memory of each GPU, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_memory: Option<u64>,
    /// A part of the model's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_model: Option<String>,
    /// CPU slots where no GPU is asked for; 1 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u32>,
    /// Least free memory of the machine, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Labels that the worker must carry.
    pub labels: Vec<String>,
}

/// Limits of the analysis (P21).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Analysis {
    /// For all scripts of an iteration together.
    pub time_limit: Span,
    /// GPUs that the scripts ask for.
    pub gpus: u32,
    /// How long an iteration waits for a script to be replaced.
    pub wait: Span,
}

impl Default for Analysis {
    fn default() -> Self {
        Self { time_limit: Span::from_secs(600), gpus: 0, wait: Span::from_secs(1800) }
    }
}

/// The simplicity criterion (P26).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Simplicity {
    /// How far from the record a change that removes lines may be and still be kept.
    pub tolerance: Decimal,
    /// The gain that `lines` or more net lines must exceed; by default 0.001, or 0.001 × the
    /// baseline's size where that is outside 0.1 to 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_gain: Option<Decimal>,
    /// Net lines from which a gain must be worth them.
    pub lines: i64,
}

impl Default for Simplicity {
    fn default() -> Self {
        Self { tolerance: Decimal::from_value(0.into()), min_gain: None, lines: 20 }
    }
}

/// Limits after which a campaign stops by itself (P32).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Stop {
    /// Decided iterations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iterations: Option<u32>,
    /// GPU-hours spent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_hours: Option<Decimal>,
    /// A metric that is good enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Decimal>,
}

impl Bindings {
    /// The command of one experiment.
    pub fn command(&self) -> &str {
        self.entrypoint.as_deref().or(self.run_cmd.as_deref()).unwrap_or_default()
    }

    /// The time gate's budget, milliseconds (P16).
    pub fn budget_ms(&self) -> u64 {
        (self.budget.to_f64() * 60_000.0).round() as u64
    }

    /// The interpreter of `.py` scripts: the campaign's, else the entrypoint's own, else `python3`.
    pub fn python(&self) -> String {
        let own = self.command().split_whitespace().find(|word| {
            let name = word.rsplit('/').next().unwrap_or(word);
            name.strip_prefix("python")
                .is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
        });
        self.windlass.python.clone().or(own.map(str::to_owned)).unwrap_or_else(|| "python3".to_owned())
    }

    /// Refuses, by key, what is missing, impossible, or not run by this version.
    pub fn validate(&self) -> Result<(), Refusal> {
        let wrong =
            |key: &'static str, problem: &str| Err(Refusal::Binding { key, problem: problem.to_owned() });
        let name_ok = |c: char| c.is_ascii_alphanumeric() || "_-./@".contains(c);
        if self.metric.is_empty() || self.metric.len() > 100 || !self.metric.chars().all(name_ok) {
            return wrong("metric", "write the name as the log prints it: letters, digits and _-./@");
        }
        if self.command().trim().is_empty() {
            return wrong("entrypoint", "give the command of one experiment here or in run_cmd");
        }
        if self.editable_files.is_empty() {
            return wrong("editable_files", "name at least one file that a lever may touch");
        }
        for pattern in &self.editable_files {
            if globset::Glob::new(pattern).is_err() {
                return wrong("editable_files", &format!("{pattern:?} is no path or glob"));
            }
        }
        let budget = self.budget.to_f64();
        if budget <= 0.0 || budget > 60.0 * 24.0 * 365.0 {
            return wrong("budget", "give a positive number of minutes, at most a year");
        }
        if self.windlass.lanes == 0 {
            return wrong("windlass.lanes", "at least one lane is needed");
        }
        if self.windlass.simplicity.lines < 1 {
            return wrong("windlass.simplicity.lines", "at least 1");
        }
        if let Some((low, high)) = &self.windlass.metric_range
            && low > high
        {
            return wrong("windlass.metric_range", "the lowest value comes first");
        }
        for key in [&self.windlass.env] {
            if key.keys().any(|name| name.starts_with("WINDLASS_")) {
                return wrong("windlass.env", "names that begin with WINDLASS_ are set by Windlass");
            }
        }
        self.refuse_what_comes_later()
    }

    fn refuse_what_comes_later(&self) -> Result<(), Refusal> {
        let w = &self.windlass;
        let given: [(&'static str, bool); 17] = [
            ("gate: epochs", self.gate == GateKind::Epochs),
            ("literature: on", self.literature == Dial::On),
            ("iter_strategy: branches", self.iter_strategy == Strategy::Branches),
            ("windlass.conclusion: required", w.conclusion == ConclusionMode::Required),
            ("windlass.overrun: measure", w.overrun == Overrun::Measure),
            ("windlass.lanes above 1", w.lanes > 1),
            ("windlass.sandbox above none", w.sandbox.as_deref().is_some_and(|level| level != "none")),
            ("windlass.epochs", w.epochs.is_some()),
            ("windlass.noise", w.noise.is_some()),
            ("windlass.score", w.score.is_some()),
            ("windlass.artifacts", w.artifacts.is_some()),
            ("windlass.move_scheduler", w.move_scheduler.is_some()),
            ("windlass.limits", w.limits.is_some()),
            ("windlass.data", w.data.is_some()),
            ("windlass.caches", w.caches.is_some()),
            ("windlass.setup", w.setup.is_some()),
            ("windlass.secrets", w.secrets.is_some()),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((key, _)) => Err(Refusal::Unsupported { key }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minimal() -> Bindings {
        serde_json::from_str(
            r#"{"metric":"val_acc","metric_direction":"maximize","entrypoint":"python3 train.py","editable_files":["train.py"],"gate":"time","budget":0.2}"#,
        )
        .expect("minimal bindings")
    }

    #[test]
    fn defaults_are_those_of_the_protocol_table() {
        let bindings = minimal();
        assert_eq!(bindings.validate(), Ok(()));
        assert_eq!((bindings.windlass.fixes, bindings.windlass.passes, bindings.windlass.lanes), (1, 3, 1));
        assert_eq!(bindings.budget_ms(), 12_000);
        assert_eq!(bindings.python(), "python3");
        assert_eq!(bindings.sandbox_root, "./sandbox");
    }

    #[test]
    fn what_is_not_run_yet_is_refused_by_name_never_ignored() {
        let mut bindings = minimal();
        bindings.windlass.score = Some(serde_json::Value::Null);
        assert_eq!(bindings.validate(), Err(Refusal::Unsupported { key: "windlass.score" }));
        let mut bindings = minimal();
        bindings.gate = GateKind::Epochs;
        assert_eq!(bindings.validate(), Err(Refusal::Unsupported { key: "gate: epochs" }));
    }

    #[test]
    fn impossible_values_are_refused_by_key() {
        let check = |change: fn(&mut Bindings), want: &str| {
            let mut bindings = minimal();
            change(&mut bindings);
            match bindings.validate() {
                Err(Refusal::Binding { key, .. }) => assert_eq!(key, want),
                other => panic!("{want}: {other:?}"),
            }
        };
        check(|b| b.metric = "val acc".into(), "metric");
        check(|b| b.entrypoint = None, "entrypoint");
        check(|b| b.editable_files.clear(), "editable_files");
        check(|b| b.budget = Decimal::parse("0").expect("zero"), "budget");
        check(|b| b.windlass.lanes = 0, "windlass.lanes");
    }
}
