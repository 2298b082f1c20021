//! What a researcher found in the literature (P33 to P37): reviews in their published shape, and the words in
//! which findings are graded, scoped and settled. It reads and normalises; whether a finding is kept is the
//! engine's to say.

mod form;
mod identity;

pub use form::{Fault, REVIEW_MAX_BYTES, read};
pub use identity::{change_key, recipe_key};

use crate::path::TreePath;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// The most findings of one review: a list that a person grades.
pub const FINDINGS_MAX: usize = 64;
/// The scope that survives every change of the architecture.
const AGNOSTIC: &str = "agnostic";
/// The longest tag of an architecture.
const TAG_MAX_BYTES: usize = 64;

/// One review: what a researcher hands over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Review {
    /// The iteration that it was made for.
    pub iteration: u32,
    /// Its depth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub research_scale: Option<String>,
    /// What it set out to answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub questions_asked: Vec<String>,
    /// Best first; none means that there is no compelling evidence.
    pub findings: Vec<Finding>,
    /// What it comes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
}

/// One recipe from the literature, with its evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// What it answers.
    pub question: String,
    /// 1: architecture and approach; 2: one setting.
    pub abstraction_level: u8,
    /// What the literature says.
    pub claim: String,
    /// The configuration, with exact values where the source gives them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<serde_json::Map<String, serde_json::Value>>,
    /// How strong it is.
    pub evidence: Evidence,
    /// At least one.
    pub citations: Vec<Citation>,
    /// Why it transfers to the present data, model and budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applicability_to_our_setup: Option<String>,
    /// The edit to make.
    pub proposed_change: String,
    /// What the edit would touch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files_to_edit: Vec<String>,
    /// What tells whether it helped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub how_to_verify: Option<String>,
    /// The researcher's own.
    pub verdict: Verdict,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict_reason: Option<String>,
}

/// The evidence behind a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// As graded.
    pub strength: Strength,
    /// Papers that agree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_papers_agree: Option<u64>,
    /// Whether a source takes the change away again and measures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_ablation: Option<bool>,
    /// What the source reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_gain: Option<String>,
}

/// A source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Citation {
    /// Its title.
    pub title: String,
    /// On arXiv.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arxiv_id: Option<String>,
    /// Its DOI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doi: Option<String>,
    /// When it came out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub year: Option<i64>,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub venue: Option<String>,
    /// How often it is cited by what builds on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub influential_citations: Option<i64>,
    /// Its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The passage that says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snippet: Option<String>,
}

impl Citation {
    /// The first of arXiv id, DOI and address; none where there is only a title (P33).
    pub fn paper_id(&self) -> Option<&str> {
        let given = [&self.arxiv_id, &self.doi, &self.url].into_iter().flatten();
        // What has a blank in it is a phrase and no identifier.
        given.map(|id| id.trim()).find(|id| !id.is_empty() && !id.contains(char::is_whitespace))
    }
}

impl Finding {
    /// The paper that stands for it: the first citation that can be looked up, with its identifier.
    pub fn paper(&self) -> Option<(&Citation, &str)> {
        self.citations.iter().find_map(|citation| Some((citation, citation.paper_id()?)))
    }

    /// The title of that paper; of the first citation where none can be looked up.
    pub fn title(&self) -> &str {
        let first = || self.citations.first().map(|citation| citation.title.as_str());
        self.paper().map(|(citation, _)| citation.title.as_str()).or_else(first).unwrap_or_default()
    }

    /// The files that its change would touch, as paths of the workspace; what is no such path is left out.
    pub fn files(&self) -> impl Iterator<Item = TreePath> {
        self.files_to_edit.iter().filter_map(|file| path(file).ok())
    }

    /// What tells whether it helped, if it says so.
    pub fn verify_todo(&self) -> Option<&str> {
        self.how_to_verify.as_deref().map(str::trim).filter(|todo| !todo.is_empty())
    }
}

/// A path as people write it: `./train.py` is `train.py`.
pub fn path(text: &str) -> Result<TreePath, crate::path::PathError> {
    let text = text.trim();
    TreePath::parse(text.strip_prefix("./").unwrap_or(text))
}

/// How strong a finding's evidence is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strength {
    /// Papers agree, or an ablation isolates the gain.
    Strong,
    /// One solid source.
    Moderate,
    /// Suggestive.
    Weak,
}

/// How relevant a finding is: what follows from its strength (P33).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relevance {
    /// Of strong evidence.
    High,
    /// Of moderate evidence.
    Med,
    /// Of weak evidence.
    Low,
}

impl Strength {
    /// The column `relevance`.
    pub fn relevance(self) -> Relevance {
        match self {
            Self::Strong => Relevance::High,
            Self::Moderate => Relevance::Med,
            Self::Weak => Relevance::Low,
        }
    }
}

impl Relevance {
    /// The word in `corpus.tsv`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Med => "med",
            Self::Low => "low",
        }
    }
}

/// Whether a finding may be built on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// A lever may cite it.
    Keep,
    /// It is on record, and no more.
    Reject,
}

impl Verdict {
    /// The word in `corpus.tsv`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Reject => "reject",
        }
    }
}

/// What became of a finding (P35).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Nothing yet.
    #[default]
    Pending,
    /// A lever that rests on it was kept.
    Helped,
    /// It made no difference.
    NoEffect,
    /// It was worse, or crashed.
    Hurt,
    /// Its architecture is gone, or nobody took it up (P36).
    Stale,
}

impl Effect {
    /// The word in `corpus.tsv`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Helped => "helped",
            Self::NoEffect => "no-effect",
            Self::Hurt => "hurt",
            Self::Stale => "stale",
        }
    }

    /// Whether a lever put it to the test.
    pub fn is_tested(self) -> bool {
        matches!(self, Self::Helped | Self::NoEffect | Self::Hurt)
    }
}

/// What a finding holds for: `agnostic`, or the tag of an architecture (P36).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope(String);

impl Scope {
    /// For every architecture.
    pub fn agnostic() -> Self {
        Self(AGNOSTIC.to_owned())
    }

    /// Reads `agnostic` or a tag: a slug.
    pub fn parse(text: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let is_slug = text.len() <= TAG_MAX_BYTES
            && text.bytes().next().is_some_and(is_plain)
            && text.bytes().all(|byte| is_plain(byte) || matches!(byte, b'_' | b'-'));
        is_slug.then(|| Self(text.to_owned()))
    }

    /// The word in `corpus.tsv`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it holds for a model of this architecture.
    pub fn covers(&self, architecture: &str) -> bool {
        self.0 == AGNOSTIC || self.0 == architecture
    }
}

impl Default for Scope {
    fn default() -> Self {
        Self::agnostic()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            de::Error::custom(format!("{text:?} is no scope: write `agnostic` or an architecture's tag"))
        })
    }
}

#[cfg(test)]
mod tests;
