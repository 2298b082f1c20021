//! The `windlass:` block of a campaign file: every key of PROTOCOL.md's second table, with its default.

use super::MetricLine;
use super::research::{ConclusionRule, Epochs, MoveScheduler, Noise, OverrunRule, Score};
use crate::decimal::Decimal;
use crate::machine::{Cache, Comparable, Data, Isolation, Limits, Setup};
use crate::plan::Deliverable;
use crate::size;
use crate::time::Span;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

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
    /// Whether a time-gated campaign is pinned to the device model of its baseline.
    pub comparable: Comparable,
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
    pub conclusion: ConclusionRule,
    /// Attempts after a failed run (P19).
    pub fixes: u32,
    /// How long a failed iteration waits for a fix; 0 when nobody is there to fix.
    pub fix_wait: Span,
    /// What passing the budget means.
    pub overrun: OverrunRule,
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
    /// Isolation level; absent: the strongest of `none` and `guarded` that the worker has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<Isolation>,
    /// What a run may use at most.
    pub limits: Limits,
    /// Read-only paths on the workers.
    pub data: Vec<Data>,
    /// Folders kept per worker and campaign.
    pub caches: Vec<Cache>,
    /// What prepares the environment once per worker (P4).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub setup: Option<Setup>,
    /// Names of environment variables whose values come from the worker's own file or the submitter.
    pub secrets: Vec<String>,
    /// Files of a run's workspace to keep with the iteration: paths or globs.
    pub artifacts: Vec<String>,
    /// When the campaign stops by itself (P32).
    pub stop: Stop,
    /// The epoch gate (P17).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<Epochs>,
    /// Replicates and the noise floor (P27).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise: Option<Noise>,
    /// An independent scorer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<Score>,
    /// When which sort of move may be pulled (P11).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub move_scheduler: Option<MoveScheduler>,
}

impl Default for Extension {
    fn default() -> Self {
        Self {
            name: None,
            priority: 0,
            weight: 1,
            resources: Resources::default(),
            comparable: Comparable::Device,
            include: Vec::new(),
            ignore: Vec::new(),
            env: BTreeMap::new(),
            baseline: Vec::new(),
            always: Vec::new(),
            diagnostics: Vec::new(),
            analysis: Analysis::default(),
            conclusion: ConclusionRule::default(),
            fixes: 1,
            fix_wait: Span::from_secs(30 * 60),
            overrun: OverrunRule::default(),
            metric_line: MetricLine::ExactlyOne,
            metric_range: None,
            simplicity: Simplicity::default(),
            architecture: None,
            lanes: 1,
            passes: 3,
            python: None,
            sandbox: None,
            limits: Limits::default(),
            data: Vec::new(),
            caches: Vec::new(),
            setup: None,
            secrets: Vec::new(),
            artifacts: Vec::new(),
            stop: Stop::default(),
            epochs: None,
            noise: None,
            score: None,
            move_scheduler: None,
        }
    }
}

/// The block, or its defaults where the key has no value.
pub fn or_default<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Extension, D::Error> {
    Ok(Option::<Extension>::deserialize(deserializer)?.unwrap_or_default())
}

/// What an attempt needs of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Resources {
    /// GPUs; 1 where the fleet has GPUs, else 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpus: Option<u32>,
    /// Least memory of each GPU, bytes.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "size::read_optional")]
    pub gpu_memory: Option<u64>,
    /// A part of the model's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_model: Option<String>,
    /// CPU slots where no GPU is asked for, 1 when absent; beside GPUs the logical CPUs to bind the run to,
    /// its GPUs' share of the machine when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u32>,
    /// Host memory that is set aside for it, bytes.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "size::read_optional")]
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
