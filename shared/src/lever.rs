//! A lever: one vetted change with its evidence, its prediction and its analysis plan.

use crate::conclusion::Status;
use crate::decimal::Decimal;
use crate::digest::Digest;
use crate::id::{CampaignId, IterationNumber};
use crate::path::TreePath;
use crate::plan::{self, Deliverable};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::collections::BTreeMap;
use std::fmt;

/// The longest title and the longest free text of a lever.
pub const TITLE_MAX_BYTES: usize = 200;
/// See [`TITLE_MAX_BYTES`].
pub const TEXT_MAX_BYTES: usize = 8_000;
/// The most deliverables, files or fixes that one lever may bring.
pub const ITEMS_MAX: usize = 64;

/// What sort of change a lever is (P6, P11, P26).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An ordinary change.
    #[default]
    Change,
    /// Must remove net lines; needs no anchor.
    Simplification,
    /// Logging only; kept when it is not worse.
    Instrumentation,
    /// Takes a part away to see what it was worth.
    Ablation,
    /// A move to another family of models.
    Swing,
    /// Joins two approaches.
    Merge,
    /// Refines the present best.
    Exploit,
}

impl Kind {
    /// The word in a lever file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Simplification => "simplification",
            Self::Instrumentation => "instrumentation",
            Self::Ablation => "ablation",
            Self::Swing => "swing",
            Self::Merge => "merge",
            Self::Exploit => "exploit",
        }
    }

    /// Which move it is: what is neither a swing nor a merge refines the present best.
    pub fn as_move(self) -> Move {
        match self {
            Self::Swing => Move::Swing,
            Self::Merge => Move::Merge,
            Self::Change | Self::Simplification | Self::Instrumentation | Self::Ablation | Self::Exploit => {
                Move::Exploit
            }
        }
    }
}

/// What sort of move a lever is in the search (P11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Move {
    /// To another family of models.
    Swing,
    /// Joins two approaches.
    Merge,
    /// Refines the present best, whatever its kind says beside.
    Exploit,
}

impl Move {
    /// The word in the ledger's table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Swing => "swing",
            Self::Merge => "merge",
            Self::Exploit => "exploit",
        }
    }
}

/// How a captured value is compared with a figure: `< -0.01`, `>= 0.3`, `== 7`, `!= 0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The relation.
    pub operator: Operator,
    /// The right-hand side.
    pub figure: Decimal,
}

/// A relation between two decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
}

impl Comparison {
    /// Reads an operator and a figure.
    pub fn parse(text: &str) -> Option<Self> {
        const OPERATORS: [(&str, Operator); 6] = [
            ("<=", Operator::LessOrEqual),
            (">=", Operator::GreaterOrEqual),
            ("==", Operator::Equal),
            ("!=", Operator::NotEqual),
            ("<", Operator::Less),
            (">", Operator::Greater),
        ];
        let text = text.trim();
        let (operator, rest) = OPERATORS
            .iter()
            .find_map(|(sign, operator)| text.strip_prefix(sign).map(|rest| (*operator, rest)))?;
        Some(Self { operator, figure: Decimal::parse(rest.trim())? })
    }

    /// Whether `value` stands in the relation.
    pub fn holds(&self, value: &Decimal) -> bool {
        match self.operator {
            Operator::Less => value < &self.figure,
            Operator::LessOrEqual => value <= &self.figure,
            Operator::Greater => value > &self.figure,
            Operator::GreaterOrEqual => value >= &self.figure,
            Operator::Equal => value == &self.figure,
            Operator::NotEqual => value != &self.figure,
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.operator {
            Operator::Less => "<",
            Operator::LessOrEqual => "<=",
            Operator::Greater => ">",
            Operator::GreaterOrEqual => ">=",
            Operator::Equal => "==",
            Operator::NotEqual => "!=",
        };
        write!(f, "{sign} {}", self.figure)
    }
}

impl Serialize for Comparison {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Comparison {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| de::Error::custom(format!("{text:?} is no comparison: write one like `< -0.01`")))
    }
}

/// A file among an iteration's evidence, a pattern in it, perhaps a comparison (P6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    /// Relative to `results/`, or `run.log`.
    pub file: TreePath,
    /// A linear-time regular expression, matched line by line.
    pub pattern: String,
    /// What the first capture must satisfy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare: Option<Comparison>,
    /// Whose evidence; the latest analysed one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iteration: Option<IterationNumber>,
}

/// An anchor that was found in the evidence: what the ledger pins (P6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Where it was found.
    pub iteration: IterationNumber,
    /// Line number, from 1.
    pub line: u64,
    /// The first capture, else the whole match.
    pub value: String,
}

/// When a carried fix is tried (P19).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FixTrigger {
    /// An ending by its name, such as `out_of_memory` or `crashed`.
    On(String),
    /// A pattern in the log's last 200 lines.
    Pattern(String),
}

/// A fix that a lever brings along (P19).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CarriedFix {
    /// What it answers.
    pub trigger: FixTrigger,
    /// A unified diff on top of the lever's own change.
    pub patch: Digest,
}

/// What became of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edit {
    /// Its new content.
    Write(Digest),
    /// It is gone.
    Delete,
}

/// The change itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// A unified diff.
    Patch(Digest),
    /// Whole files.
    Files(BTreeMap<TreePath, Edit>),
}

impl Change {
    /// The blobs that it names.
    pub fn blobs(&self) -> Vec<Digest> {
        match self {
            Self::Patch(patch) => vec![*patch],
            Self::Files(files) => {
                let written = files.values().filter_map(|edit| match edit {
                    Edit::Write(digest) => Some(*digest),
                    Edit::Delete => None,
                });
                written.collect()
            }
        }
    }
}

/// The most rows of other ledgers that one lever may cite.
pub const CITES_MAX: usize = 8;

/// A row of another campaign's ledger, imported or run here, that a lever cites beside its anchor (P24).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Citation {
    /// The campaign: id, name, or a unique prefix of either.
    pub campaign: String,
    /// The row.
    pub iteration: IterationNumber,
}

/// What a cited row said when the lever was proposed: what the ledger keeps of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CitedRow {
    /// The campaign's id.
    pub campaign: CampaignId,
    /// The row.
    pub iteration: IterationNumber,
    /// How it was decided.
    pub status: Status,
    /// What its metric is called.
    pub metric_name: String,
    /// Its metric; none for a crash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<Decimal>,
    /// What was tried, cut at 200 characters.
    pub description: String,
}

impl fmt::Display for CitedRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { campaign, iteration, status, metric_name, metric, description } = self;
        write!(f, "{campaign} iteration {iteration}: {} {description}", status.as_str())?;
        match metric {
            Some(metric) => write!(f, " ({metric_name} {metric})"),
            None => Ok(()),
        }
    }
}

/// A lever as proposed, its patches and scripts sent as blobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lever {
    /// One line.
    pub title: String,
    /// What sort of change it is.
    #[serde(default)]
    pub kind: Kind,
    /// The files it declares to touch (P5).
    pub files: Vec<TreePath>,
    /// The change.
    pub change: Change,
    /// The evidence that motivates it (P6).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<Anchor>,
    /// What the researcher expects.
    pub prediction: String,
    /// A unified diff on top of the change that only logs: neither a second lever nor counted in lines (P26).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instrumentation: Option<Digest>,
    /// Fixes tried in order when their trigger is met.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fixes: Vec<CarriedFix>,
    /// `none`, or the id of a kept finding (P37).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub literature: Option<String>,
    /// The architecture's tag after this change (P36).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// Rows of other campaigns' ledgers that speak for it, beside the anchor and never instead of it (P24).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cites: Vec<Citation>,
    /// The iterations that a merge joins (P11).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<IterationNumber>,
    /// What a swing or a merge changes, as slugs: a column of the registry (P11).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub axes: Vec<String>,
    /// What is different now, for a change that was tried before (P10).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_assumption: Option<String>,
    /// The analysis plan (P12).
    #[serde(default)]
    pub analysis: Vec<Deliverable>,
}

impl Lever {
    /// The blobs that it names: its change, what it brings along, its scripts. Every field is looked at by name, so
    /// that one which is added later is not left out here: a caller may touch these, and `gc` keeps them.
    pub fn blobs(&self) -> Vec<Digest> {
        let Self {
            title: _,
            kind: _,
            files: _,
            change,
            anchor: _,
            prediction: _,
            instrumentation,
            fixes,
            literature: _,
            cites: _,
            architecture: _,
            parents: _,
            axes: _,
            changed_assumption: _,
            analysis,
        } = self;
        let mut blobs = change.blobs();
        blobs.extend(*instrumentation);
        blobs.extend(fixes.iter().map(|CarriedFix { trigger: _, patch }| *patch));
        blobs.extend(plan::blobs(analysis));
        blobs
    }
}
