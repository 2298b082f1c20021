//! A ledger that was made elsewhere: decided rows and no more. It becomes a finished, read-only campaign.

use crate::bindings::{Bindings, Direction, Extension, GateKind, Strategy};
use crate::conclusion::Status;
use crate::decimal::Decimal;
use crate::digest::Digest;
use crate::id::IterationNumber;
use crate::refusal::Refusal;
use crate::tree::Manifest;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The most rows of one ledger: a loop that runs for a year writes fewer, and all of them are recorded in one
/// batch.
pub const ROWS_MAX: usize = 10_000;
/// The longest row, bytes of all its texts: a record of the ledger stays small.
pub const ROW_MAX_BYTES: usize = 16 << 10;
/// All texts together, bytes; with its JSON around it such a ledger fits one message of 16 MiB.
pub const TEXT_MAX_BYTES: usize = 6 << 20;
/// The most columns.
pub const COLUMNS_MAX: usize = 32;

/// A foreign ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Foreign {
    /// For listings.
    pub name: String,
    /// The metric's name.
    pub metric: String,
    /// Which way is better.
    pub direction: Direction,
    /// The header's names, in order.
    pub columns: Vec<String>,
    /// The file that it came from, for people.
    pub source: String,
    /// In the order of decision.
    pub rows: Vec<ForeignRow>,
}

/// One row of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForeignRow {
    /// Its number, as written or by its place.
    pub iteration: IterationNumber,
    /// The metric's digits as they stand there; none for a crash.
    pub metric: Option<Decimal>,
    /// As it was decided there: nothing is judged again.
    pub status: Status,
    /// The column `analysis_summary`, where there is one.
    pub summary: String,
    /// The column `description`.
    pub description: String,
    /// Every other column by its name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: BTreeMap<String, String>,
}

impl ForeignRow {
    fn text_bytes(&self) -> usize {
        let notes = self.notes.iter().map(|(name, text)| name.len() + text.len());
        self.summary.len() + self.description.len() + notes.sum::<usize>()
    }
}

impl Foreign {
    /// Refuses what no ledger is, and what is too much for one.
    pub fn validate(&self) -> Result<(), Refusal> {
        let much = |what: &str, figure: usize, limit: usize| {
            Err(Refusal::TooMuch { what: what.to_owned(), figure: figure as u64, limit: limit as u64 })
        };
        let wrong = |problem: String| Err(Refusal::Malformed { field: "ledger_document", problem });
        if self.rows.is_empty() {
            return wrong("it has no rows".to_owned());
        }
        if self.rows.len() > ROWS_MAX {
            return much("the number of rows", self.rows.len(), ROWS_MAX);
        }
        if self.columns.len() > COLUMNS_MAX {
            return much("the number of columns", self.columns.len(), COLUMNS_MAX);
        }
        let head = self.source.len() + self.name.len() + self.columns.iter().map(String::len).sum::<usize>();
        let longest = self.rows.iter().map(ForeignRow::text_bytes).max().unwrap_or(0).max(head);
        if longest > ROW_MAX_BYTES {
            return much("the longest row, in bytes,", longest, ROW_MAX_BYTES);
        }
        let total = self.rows.iter().map(ForeignRow::text_bytes).sum();
        if total > TEXT_MAX_BYTES {
            return much("the text of all rows, in bytes,", total, TEXT_MAX_BYTES);
        }
        let mut seen = BTreeSet::new();
        for row in &self.rows {
            if row.iteration.0 == 0 || !seen.insert(row.iteration) {
                return wrong(format!("iteration {} is no number of its own", row.iteration));
            }
            if row.metric.is_none() && row.status != Status::Crash {
                return wrong(format!(
                    "iteration {} is {} without a metric",
                    row.iteration,
                    row.status.as_str()
                ));
            }
        }
        // What a campaign file could not say, a ledger cannot either.
        match self.bindings().check_metric() {
            Ok(()) => Ok(()),
            Err(refusal) => Err(refusal),
        }
    }

    /// The bindings of a campaign that runs nothing.
    pub fn bindings(&self) -> Bindings {
        Bindings {
            metric: self.metric.clone(),
            metric_direction: self.direction,
            run_cmd: None,
            entrypoint: None,
            editable_files: Vec::new(),
            sandbox_root: "./sandbox".to_owned(),
            iter_strategy: Strategy::Snapshots,
            run_tag: None,
            gate: GateKind::Time,
            budget: Decimal::from_value(0.into()),
            literature: Default::default(),
            domain: None,
            research_scale: None,
            lit_skill_dir: None,
            lit_py: None,
            literature_tiers: BTreeMap::new(),
            host: None,
            windlass: Extension { name: Some(self.name.clone()), ..Extension::default() },
        }
    }

    /// The tree of a campaign without files.
    pub fn tree() -> Digest {
        Manifest::default().digest()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(iteration: u32, metric: Option<&str>, status: Status) -> ForeignRow {
        ForeignRow {
            iteration: IterationNumber(iteration),
            metric: metric.and_then(Decimal::parse),
            status,
            summary: String::new(),
            description: "x".to_owned(),
            notes: BTreeMap::new(),
        }
    }

    fn ledger(rows: Vec<ForeignRow>) -> Foreign {
        Foreign {
            name: "old".into(),
            metric: "val_acc".into(),
            direction: Direction::Maximize,
            columns: vec!["iter".into()],
            source: "old.tsv".into(),
            rows,
        }
    }

    #[test]
    fn what_no_ledger_is_and_what_is_too_much_is_refused() {
        let good = || row(1, Some("0.5"), Status::Keep);
        assert_eq!(ledger(vec![good(), row(2, None, Status::Crash)]).validate(), Ok(()));
        let check = |ledger: Foreign, want: &str| {
            let refusal = ledger.validate().expect_err(want).to_string();
            assert!(refusal.contains(want), "{refusal}");
        };
        check(ledger(Vec::new()), "no rows");
        check(ledger(vec![good(), good()]), "no number of its own");
        check(ledger(vec![row(0, Some("1"), Status::Keep)]), "no number of its own");
        check(ledger(vec![row(1, None, Status::Keep)]), "keep without a metric");
        check(
            ledger((1..=ROWS_MAX as u32 + 1).map(|n| row(n, Some("1"), Status::Keep)).collect()),
            "at most 10000",
        );
        let long = |bytes: usize| ForeignRow { summary: "x".repeat(bytes), ..good() };
        check(ledger(vec![long(ROW_MAX_BYTES + 1)]), "the longest row");
        let many = (1..1000).map(|n| ForeignRow { iteration: IterationNumber(n), ..long(ROW_MAX_BYTES - 8) });
        check(ledger(many.collect()), "the text of all rows");
        check(Foreign { metric: "val acc".into(), ..ledger(vec![good()]) }, "`metric`");
    }
}
