//! Campaign bindings: `loop.run.yaml` as PROTOCOL.md's tables define it. Every key is known here;
//! [`Bindings::validate`] refuses, by name, what is wrong or what this version does not run yet.

mod extension;
mod research;
mod validate;

pub use extension::{Analysis, Extension, Resources, Simplicity, Stop};
pub use research::{ConclusionRule, EpochCap, Epochs, MoveScheduler, Noise, OverrunRule, Score};

use crate::decimal::Decimal;
use crate::digest::Digest;
use crate::plan;
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
    /// What is ours; `windlass:` with nothing below it says as little as no such key.
    #[serde(default, deserialize_with = "extension::or_default")]
    pub windlass: Extension,
}

fn default_sandbox_root() -> String {
    "./sandbox".to_owned()
}

impl Bindings {
    /// The blobs that it names: the scripts of its plans.
    pub fn blobs(&self) -> impl Iterator<Item = Digest> + '_ {
        let extension = &self.windlass;
        let plans = [&extension.baseline, &extension.always, &extension.diagnostics];
        plans.into_iter().flat_map(|plan| plan::blobs(plan))
    }

    /// The command of one experiment: `entrypoint`, and `run_cmd` where that is absent or blank.
    pub fn command(&self) -> &str {
        let given = |command: &Option<String>| command.as_deref().is_some_and(|text| !text.trim().is_empty());
        let command = if given(&self.entrypoint) { &self.entrypoint } else { &self.run_cmd };
        command.as_deref().unwrap_or_default()
    }

    /// The epoch gate's budget (P17); [`Bindings::validate`] has seen that it is a whole number.
    pub fn budget_epochs(&self) -> u64 {
        self.budget.to_f64().round() as u64
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
}
