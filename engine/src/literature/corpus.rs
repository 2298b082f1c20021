//! What stays in memory of a campaign's findings. Those that may still be cited are kept whole; of the others
//! only how they ended, and of what failed the keys by which its like is known again (P34).

use super::basis::named;
use crate::core::{Field, Table};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use windlass_shared::digest::Hash;
use windlass_shared::id::{FindingNumber, IterationNumber};
use windlass_shared::lever::Lever;
use windlass_shared::literature::{Effect, Finding, Scope, Verdict, change_key, recipe_key};
use windlass_shared::path::TreePath;
use windlass_shared::record::Body;

/// Iterations in a row that neither cite nor touch a finding before it is stale (P36).
pub(super) const UNTOUCHED_MAX: u32 = 3;

/// A finding that a lever may cite: nobody has tested it, or it helped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// As it was handed over.
    pub document: Box<Finding>,
    /// What that takes as JSON, bytes.
    pub bytes: u64,
    /// The iteration that its review was made for.
    pub review: IterationNumber,
    /// What it holds for.
    pub scope: Scope,
    /// Whether it helped already.
    pub has_helped: bool,
    /// The last iteration that was opened before it came: only later ones could have taken it up.
    pub after: Option<IterationNumber>,
    /// Iterations in a row that neither cited nor touched it (P36).
    pub untouched: u32,
}

/// How a finding ended that may not be cited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Over {
    /// It was never kept (P34).
    Rejected,
    /// It made no difference.
    NoEffect,
    /// It was worse, or crashed.
    Hurt,
    /// Out of its time (P36).
    Stale,
    /// It helped, and its campaign has stopped.
    Helped,
    /// It was never tested, and its campaign has stopped.
    Pending,
}

impl Field for Over {
    fn put(&self, out: &mut Vec<u8>) {
        let code: u8 = match self {
            Self::Rejected => 0,
            Self::NoEffect => 1,
            Self::Hurt => 2,
            Self::Stale => 3,
            Self::Helped => 4,
            Self::Pending => 5,
        };
        code.put(out);
    }
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        match u8::take(bytes)? {
            0 => Some(Self::Rejected),
            1 => Some(Self::NoEffect),
            2 => Some(Self::Hurt),
            3 => Some(Self::Stale),
            4 => Some(Self::Helped),
            5 => Some(Self::Pending),
            _ => None,
        }
    }
}

impl Field for FindingNumber {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        u32::take(bytes).map(Self)
    }
}

/// What failed under one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// The finding.
    pub finding: FindingNumber,
    /// The iteration that tested it.
    pub iteration: IterationNumber,
}

impl Field for Failed {
    fn put(&self, out: &mut Vec<u8>) {
        self.finding.put(out);
        self.iteration.put(out);
    }
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        Some(Self { finding: Field::take(bytes)?, iteration: Field::take(bytes)? })
    }
}

/// An open iteration's start, as far as findings go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Start {
    /// What its lever rests on.
    pub basis: Option<FindingNumber>,
    /// What its lever says that the model is afterwards, else what it was at its start.
    pub architecture: Option<String>,
    /// What its lever touches.
    pub files: Vec<TreePath>,
}

/// The findings of one campaign.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Literature {
    /// What the best's model is, where anybody has said so.
    pub architecture: Option<String>,
    /// Findings that may be cited.
    pub kept: BTreeMap<FindingNumber, Kept>,
    /// All others.
    pub over: Table<FindingNumber, Over>,
    /// What failed, by the keys of its change and of its recipe.
    pub failed: Table<Hash, Failed>,
    /// How many findings the last review kept.
    pub last_review_kept: Option<u32>,
    /// The open iterations.
    pub(super) open: BTreeMap<IterationNumber, Start>,
}

impl Literature {
    /// Before any finding, on a model of this architecture.
    pub fn on(architecture: Option<String>) -> Self {
        Self { architecture, ..Self::default() }
    }

    /// The number of the next finding.
    pub fn next(&self) -> FindingNumber {
        let kept = self.kept.last_key_value().map(|(number, _)| number.0);
        let over = self.over.last().map(|(number, _)| number.0);
        FindingNumber(kept.max(over).unwrap_or(0) + 1)
    }

    /// What the findings that may be cited take, bytes.
    pub(super) fn kept_bytes(&self) -> u64 {
        self.kept.values().map(|kept| kept.bytes).sum()
    }

    /// The campaign has stopped: nothing is cited any more, and only how findings ended stays in memory.
    pub(crate) fn let_go(&mut self) {
        for (finding, kept) in std::mem::take(&mut self.kept) {
            self.over.insert(finding, if kept.has_helped { Over::Helped } else { Over::Pending });
        }
        self.failed = Table::default();
    }

    /// Folds a record about findings in. `last_opened` is the latest iteration.
    pub(crate) fn apply(&mut self, body: &Body, last_opened: Option<IterationNumber>) {
        match body {
            Body::ReviewRecorded { kept, .. } => self.last_review_kept = Some(*kept),
            Body::FindingRecorded { finding, verdict: Verdict::Reject, .. } => {
                self.over.insert(*finding, Over::Rejected);
            }
            Body::FindingRecorded { finding, review, document, scope, .. } => {
                let kept = Kept {
                    document: document.clone(),
                    bytes: bytes_of(document),
                    review: *review,
                    scope: scope.clone(),
                    has_helped: false,
                    after: last_opened,
                    untouched: 0,
                };
                self.kept.insert(*finding, kept);
            }
            Body::FindingMarked { finding, result, iteration, .. } => {
                self.mark(*finding, *result, *iteration);
            }
            _ => {}
        }
    }

    fn mark(&mut self, finding: FindingNumber, effect: Effect, iteration: Option<IterationNumber>) {
        let over = match effect {
            Effect::Pending => return,
            Effect::Helped => {
                if let Some(kept) = self.kept.get_mut(&finding) {
                    kept.has_helped = true;
                }
                return;
            }
            Effect::NoEffect => Over::NoEffect,
            Effect::Hurt => Over::Hurt,
            Effect::Stale => Over::Stale,
        };
        let Some(kept) = self.kept.remove(&finding) else { return };
        self.over.insert(finding, over);
        if let Some(iteration) = iteration.filter(|_| effect.is_tested()) {
            let keys = [Some(change_key(&kept.document)), recipe_key(&kept.document)];
            for key in keys.into_iter().flatten() {
                self.failed.insert(key, Failed { finding, iteration });
            }
        }
    }

    /// A lever was pulled.
    pub(crate) fn opened(&mut self, iteration: IterationNumber, lever: &Lever) {
        let architecture = lever.architecture.clone().or_else(|| self.architecture.clone());
        let start = Start { basis: named(lever), architecture, files: lever.files.clone() };
        self.open.insert(iteration, start);
    }

    /// A lever's iteration was decided. `was_tried` is false where nothing was learnt of its lever; `cited` are the
    /// findings on which a lever rests that has yet to be decided.
    pub(crate) fn decided(
        &mut self,
        iteration: IterationNumber,
        (was_kept, was_tried): (bool, bool),
        cited: &BTreeSet<FindingNumber>,
    ) {
        let Some(start) = self.open.remove(&iteration) else { return };
        if was_tried {
            for (number, kept) in self.kept.iter_mut() {
                kept.untouched = start.untouched(iteration, *number, kept, cited);
            }
        }
        if was_kept {
            self.architecture = start.architecture;
        }
    }

    /// The finding that an open iteration puts to the test.
    pub(crate) fn tested_by(&self, finding: FindingNumber) -> Option<IterationNumber> {
        let tests = |start: &Start| start.basis == Some(finding);
        self.open.iter().find(|(_, start)| tests(start)).map(|(iteration, _)| *iteration)
    }
}

/// What a finding takes as JSON, bytes.
pub(super) fn bytes_of(document: &Finding) -> u64 {
    serde_json::to_vec(document).map_or(u64::MAX, |bytes| bytes.len() as u64)
}

impl Start {
    /// How many iterations in a row leave a finding alone, this one counted (P36). What came after its start
    /// could not be taken up, and what a lever in line rests on is only waiting for its turn (P9).
    pub(super) fn untouched(
        &self,
        iteration: IterationNumber,
        number: FindingNumber,
        kept: &Kept,
        cited: &BTreeSet<FindingNumber>,
    ) -> u32 {
        let touches = || kept.document.files().any(|file| self.files.contains(&file));
        if kept.after.is_some_and(|after| iteration <= after) {
            return kept.untouched;
        }
        let is_live = kept.has_helped || self.basis == Some(number) || cited.contains(&number);
        if is_live || touches() { 0 } else { kept.untouched + 1 }
    }
}
