//! Why a campaign or a lever stands where it stands, and the figures of a decision.

use crate::decimal::Decimal;
use crate::id::{CampaignId, IterationNumber};
use crate::path::TreePath;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a campaign is paused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    /// Its owner asked.
    Owner,
    /// The baseline crashed or could not be analysed (P1, P21).
    Baseline {
        /// What to repair.
        repair: String,
    },
    /// Two levers in a row were set aside because the machinery failed (P20).
    Infrastructure,
}

/// Why a campaign has stopped for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// Its owner asked.
    Owner,
    /// A `stop` limit was met (P32).
    Limit {
        /// Which one.
        limit: String,
    },
    /// A new submission took its place (P1).
    Replaced {
        /// By which campaign.
        by: CampaignId,
    },
    /// It was brought in from elsewhere and was finished before (`ledger import`).
    Imported {
        /// The file that it came from.
        source: String,
    },
}

/// Why a lever left the queue without being pulled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetireReason {
    /// Its researcher took it back.
    Owner,
    /// Its evidence says otherwise now (P7), or was missing too often (P9), or its turn found it a
    /// repeat (P10).
    Stale {
        /// The rule.
        rule: String,
        /// A sentence with the evidence that was looked at, both values in it.
        detail: String,
    },
}

/// Where two changes conflict (P8).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clash {
    /// The file.
    pub file: TreePath,
    /// First and last line of the best's text that meets the lever's, from 1; none where the file as a whole
    /// conflicts (a deletion, a binary content, a mode). An empty stretch ends before it begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_lines: Option<(u64, u64)>,
    /// The same of the lever's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lever_lines: Option<(u64, u64)>,
}

impl Clash {
    /// Files that conflict, each with its lines where they are known.
    pub fn tell(files: &[TreePath], clashes: &[Self]) -> String {
        let of = |file: &TreePath| {
            let clash = clashes.iter().find(|clash| clash.file == *file);
            clash.map_or_else(|| file.to_string(), ToString::to_string)
        };
        files.iter().map(of).collect::<Vec<_>>().join(", ")
    }
}

impl From<TreePath> for Clash {
    fn from(file: TreePath) -> Self {
        Self { file, best_lines: None, lever_lines: None }
    }
}

impl fmt::Display for Clash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = |(first, last): (u64, u64)| match last.checked_sub(first) {
            None => format!("nothing before line {first}"),
            Some(0) => format!("line {first}"),
            Some(_) => format!("lines {first} to {last}"),
        };
        match (self.best_lines, self.lever_lines) {
            (Some(best), Some(lever)) => {
                write!(f, "{} ({} of the best against {} of the lever)", self.file, lines(best), lines(lever))
            }
            _ => write!(f, "{}", self.file),
        }
    }
}

/// Why a lever stands still in the queue, blocking nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldReason {
    /// Its change conflicts with the present best (P8).
    NeedsRebase {
        /// The files.
        files: Vec<TreePath>,
        /// The first conflict of each file; none in a ledger of an older version.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        clashes: Vec<Clash>,
    },
    /// No dimension of its plan is new and the catalogue is used up (P13).
    NeedsPlan,
    /// The machinery failed three times (P20).
    Infrastructure,
    /// The same, and last of all it was the campaign's own `setup` that failed.
    SetupFailed,
    /// Its iteration was cancelled: it was not tried (P10) and is not blamed.
    Cancelled {
        /// Which iteration.
        iteration: IterationNumber,
    },
}

impl HoldReason {
    /// Whether the lever was tried and never got to run, through no fault of its own (P20).
    pub fn is_infrastructure(&self) -> bool {
        matches!(self, Self::Infrastructure | Self::SetupFailed)
    }
}

/// The figures of a decision, so that a reader can do the sum again (P25, P26).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arithmetic {
    /// The metric, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<Decimal>,
    /// The record it was held against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Decimal>,
    /// Gain in the campaign's direction: positive is better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gain: Option<Decimal>,
    /// Net lines of editable files, blank ones ignored.
    pub net_lines: i64,
    /// Its replicates and the noise floor, where replicates are asked for (P27).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<Box<Noise>>,
    /// The sum as a sentence: `0.9712 > 0.9701 by 0.0011, +3 lines: keep`.
    pub sentence: String,
}

/// What replicates say of a metric (P27).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noise {
    /// The metric under each seed, from seed 0; the iteration's metric is their mean.
    pub replicates: Vec<Decimal>,
    /// The standard deviation over the baseline's replicates, if there were two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<Decimal>,
    /// `sigmas` × floor: a gain below it is to be confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Decimal>,
    /// Whether the gain reaches the threshold; for a gain alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_above: Option<bool>,
}
