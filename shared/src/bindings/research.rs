//! The settings of the research protocol itself: gates, conclusions, noise, scorer and moves.

use super::{ConclusionMode, Overrun};
use crate::decimal::Decimal;
use crate::path::TreePath;
use crate::time::Span;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// Where the epoch cap stands, and what stands behind it (P17).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Epochs {
    /// The editable file with the cap; absent: the only one with such a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<TreePath>,
    /// A linear-time regular expression whose first capture is the cap, matched line by line; absent:
    /// `epochs`, `max_epochs` or `num_epochs`, then `:` or `=`, then a whole number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// After it the run is ended as the time gate ends one; absent: 24 h for the baseline, then the larger
    /// of 10 min and three times what the baseline took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub safety_limit: Option<Span>,
}

/// Replicates and the floor below which a gain is noise (P27).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Noise {
    /// Runs of the baseline, each with a seed of its own; the floor is their standard deviation.
    pub baseline_replicates: u32,
    /// Runs of an iteration whose gain must be confirmed.
    pub confirm_replicates: u32,
    /// A gain below this many floors is queued for confirmation.
    pub sigmas: Decimal,
}

impl Noise {
    /// Both counts of replicates.
    pub(super) fn counts(&self) -> [u32; 2] {
        [self.baseline_replicates, self.confirm_replicates]
    }
}

impl Default for Noise {
    fn default() -> Self {
        Self { baseline_replicates: 1, confirm_replicates: 1, sigmas: Decimal::from_value(2.into()) }
    }
}

/// An independent scorer: it prints the metric, from the frozen tree and what the run made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Score {
    /// By `sh -c`, in a fresh workspace of the campaign's own tree.
    pub run: String,
    /// The file that a run makes and the scorer reads, at the same path.
    pub artifact: TreePath,
}

/// When which sort of move may be pulled (P11).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MoveScheduler {
    /// The first so many levers after the baseline are swings.
    pub swing_budget: u32,
    /// After so many exploits in a row only a swing or a merge.
    pub stagnation_limit: u32,
}

impl Default for MoveScheduler {
    fn default() -> Self {
        Self { swing_budget: 3, stagnation_limit: 3 }
    }
}

/// What passing the budget means, and how long after it a printed metric still counts (P16). In a file a
/// word alone (`measure`), or `{mode: measure, grace: 30 s}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OverrunRule {
    /// A crash, or measured.
    pub mode: Overrun,
    /// Absent: 5 % of the budget.
    pub grace: Option<Span>,
}

/// Who writes conclusions and how long one is waited for (P23). In a file a word alone (`required`), or
/// `{mode: required, wait: 2 h}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConclusionRule {
    /// Automatic, or required of a researcher.
    pub mode: ConclusionMode,
    /// Absent: as long as `analysis.wait`.
    pub wait: Option<Span>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OverrunMap {
    mode: Overrun,
    #[serde(default)]
    grace: Option<Span>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConclusionMap {
    mode: ConclusionMode,
    #[serde(default)]
    wait: Option<Span>,
}

impl<'de> Deserialize<'de> for OverrunRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (mode, grace) = word_or_map(deserializer, |map: OverrunMap| (map.mode, map.grace))?;
        Ok(Self { mode, grace })
    }
}

impl Serialize for OverrunRule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.grace {
            None => self.mode.serialize(serializer),
            grace => OverrunMap { mode: self.mode, grace }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ConclusionRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (mode, wait) = word_or_map(deserializer, |map: ConclusionMap| (map.mode, map.wait))?;
        Ok(Self { mode, wait })
    }
}

impl Serialize for ConclusionRule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.wait {
            None => self.mode.serialize(serializer),
            wait => ConclusionMap { mode: self.mode, wait }.serialize(serializer),
        }
    }
}

/// Reads a word, or a map with that word under `mode` and a span; the error names what was expected.
fn word_or_map<'de, D, W, M>(
    deserializer: D,
    take: fn(M) -> (W, Option<Span>),
) -> Result<(W, Option<Span>), D::Error>
where
    D: Deserializer<'de>,
    W: Deserialize<'de>,
    M: Deserialize<'de>,
{
    struct Visitor<W, M>(fn(M) -> (W, Option<Span>));
    impl<'de, W: Deserialize<'de>, M: Deserialize<'de>> de::Visitor<'de> for Visitor<W, M> {
        type Value = (W, Option<Span>);
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a word, or a map with `mode`")
        }
        fn visit_str<E: de::Error>(self, word: &str) -> Result<Self::Value, E> {
            Ok((W::deserialize(de::value::StrDeserializer::new(word))?, None))
        }
        fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            M::deserialize(de::value::MapAccessDeserializer::new(map)).map(self.0)
        }
    }
    deserializer.deserialize_any(Visitor(take))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p16_p23_a_rule_is_a_word_or_a_map_and_is_written_as_it_was_read() {
        for text in [r#""measure""#, r#"{"mode":"measure","grace":"30 s"}"#, r#""crash""#] {
            let rule: OverrunRule = serde_json::from_str(text).expect(text);
            assert_eq!(serde_json::to_string(&rule).expect("JSON"), text);
        }
        for text in [r#""automatic""#, r#""required""#, r#"{"mode":"required","wait":"2 h"}"#] {
            let rule: ConclusionRule = serde_json::from_str(text).expect(text);
            assert_eq!(serde_json::to_string(&rule).expect("JSON"), text);
        }
        for text in [r#""never""#, "3", r#"{"grace":"30 s"}"#, r#"{"mode":"measure","wait":"1 s"}"#] {
            let error = serde_json::from_str::<OverrunRule>(text).expect_err(text).to_string();
            assert!(error.contains("expected") || error.contains("missing"), "{text}: {error}");
        }
    }
}
