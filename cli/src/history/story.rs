//! The shape of a story.

use super::findings::Findings;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use windlass_shared::attempt::{Kind, Order, Outcome};
use windlass_shared::bindings::Bindings;
use windlass_shared::conclusion::{Conclusion, Status};
use windlass_shared::digest::Digest;
use windlass_shared::git::GitRoot;
use windlass_shared::id::{CampaignId, IterationNumber, LeverNumber};
use windlass_shared::lever::{Change, CitedRow, Lever, Pin};
use windlass_shared::path::TreePath;
use windlass_shared::plan::Deliverable;
use windlass_shared::record::{Arithmetic, HoldReason, RetireReason};
use windlass_shared::reference::Evidence;
use windlass_shared::refusal::Refusal;
use windlass_shared::view::Late;

/// One campaign, from its records.
#[derive(Clone, Debug, PartialEq)]
pub struct Story {
    /// Its id.
    pub campaign: CampaignId,
    /// For listings.
    pub name: String,
    /// When it was created, milliseconds since the epoch.
    pub created_wall_ms: i64,
    /// The record that this story was told up to, and when that was written.
    pub head_seq: u64,
    /// See `head_seq`.
    pub head_wall_ms: i64,
    /// The resolved bindings.
    pub bindings: Bindings,
    /// The workspace.
    pub tree: Digest,
    /// The workspace as it was submitted: under the epoch gate before its cap was set (P17).
    pub submitted: Digest,
    /// What its commits grow from, with `iter_strategy: branches`.
    pub git: Option<GitRoot>,
    /// What its decided iterations are called, where commits name them (P29).
    pub commits: BTreeMap<IterationNumber, String>,
    /// Where it came from, if its decisions were made elsewhere.
    pub imported: Option<Imported>,
    /// Every lever that was queued.
    pub levers: BTreeMap<LeverNumber, LeverStory>,
    /// What stands in its corpus (P35).
    pub findings: Findings,
    /// Every iteration that was opened.
    pub iterations: BTreeMap<IterationNumber, Iteration>,
    /// The decided ones, in the order of decision (P29).
    pub decided: Vec<IterationNumber>,
    /// The best at the end (P31).
    pub best: Option<IterationNumber>,
}

/// A ledger that was made elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// The header of its file.
    pub columns: Vec<String>,
    /// The file.
    pub source: String,
}

/// One lever's way through the queue.
#[derive(Clone, Debug, PartialEq)]
pub struct LeverStory {
    /// As proposed.
    pub lever: Lever,
    /// The tree that it was written against.
    pub base: Digest,
    /// Where its anchor was found when it was proposed (P6).
    pub pin: Option<Pin>,
    /// What the rows of other ledgers that it cites said (P24).
    pub cited: Vec<CitedRow>,
    /// What was missing each time that it was passed over (P9).
    pub passed: Vec<String>,
    /// Where it stands.
    pub fate: Fate,
}

/// Where a lever stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// In line.
    Queued,
    /// Standing still.
    Held(HoldReason),
    /// Pulled by this iteration.
    Pulled(IterationNumber),
    /// Gone without a test.
    Retired(RetireReason),
}

/// One iteration.
#[derive(Clone, Debug, PartialEq)]
pub struct Iteration {
    /// Its number.
    pub number: IterationNumber,
    /// Its lever; none for the baseline.
    pub lever: Option<LeverNumber>,
    /// Lever's title, or `baseline`.
    pub title: String,
    /// The best it builds on.
    pub parent: Option<IterationNumber>,
    /// When it was opened, milliseconds since the epoch.
    pub opened_wall_ms: i64,
    /// The tree that was opened.
    pub opened_tree: Digest,
    /// The tree that counts: with the fixes.
    pub tree: Digest,
    /// The anchor as re-validated (P7).
    pub pin: Option<Pin>,
    /// The analysis plan (P14).
    pub plan: Vec<Deliverable>,
    /// Of these, the outputs of scripts that were added beside it (P22).
    pub follow_ups: BTreeSet<TreePath>,
    /// Net lines against the parent (P26).
    pub net_lines: i64,
    /// Indexes of the fixes that were put on: a lever's carried ones, a researcher's own behind those (P19).
    pub fixes: Vec<u32>,
    /// The researcher's own.
    pub own_fixes: Vec<Change>,
    /// In order.
    pub attempts: Vec<Attempt>,
    /// Accepted deliverables by their output, with their first line.
    pub accepted: BTreeMap<TreePath, String>,
    /// What it taught.
    pub conclusion: Option<Conclusion>,
    /// The decision.
    pub decision: Option<Decision>,
    /// Parts of its evidence whose time was over.
    pub removed: Vec<Removed>,
}

/// A part of an iteration's evidence that was removed when its retention was over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// Which part.
    pub evidence: Evidence,
    /// When, milliseconds since the epoch.
    pub wall_ms: i64,
    /// How much it was.
    pub bytes: u64,
    /// The rule that removed it: `outputs are kept for 30 d`.
    pub why: String,
}

/// One execution.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// What was ordered.
    pub order: Order,
    /// The worker's name.
    pub worker_name: String,
    /// Why there.
    pub why: String,
    /// When it was leased, milliseconds since the epoch.
    pub leased_wall_ms: i64,
    /// What came of it.
    pub outcome: Option<Outcome>,
}

/// A decision, as one row has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Keep, discard or crash.
    pub status: Status,
    /// The finer reason.
    pub reason: String,
    /// The sum.
    pub arithmetic: Arithmetic,
    /// The column `analysis_summary`.
    pub summary: String,
    /// The column `description`.
    pub description: String,
    /// Other columns of an imported ledger, by name.
    pub notes: BTreeMap<String, String>,
    /// When, milliseconds since the epoch.
    pub wall_ms: i64,
}

impl Story {
    /// The decided iterations in the order of decision.
    pub fn rows(&self) -> impl Iterator<Item = (&Iteration, &Decision)> {
        self.decided.iter().filter_map(|number| {
            let iteration = self.iterations.get(number)?;
            Some((iteration, iteration.decision.as_ref()?))
        })
    }

    /// The net lines of a decision with their sign; nothing where they were counted elsewhere, if at all.
    pub fn net_lines(&self, decision: &Decision) -> String {
        match self.imported {
            Some(_) => String::new(),
            None => format!("{:+}", decision.arithmetic.net_lines),
        }
    }

    /// The tree that an iteration's change was made to.
    pub fn base_of(&self, iteration: &Iteration) -> Digest {
        let parent = iteration.parent.and_then(|parent| self.iterations.get(&parent));
        parent.map_or(self.tree, |parent| parent.tree)
    }

    /// Which move an iteration was (P11), in the word of its column.
    pub fn move_of(&self, iteration: &Iteration) -> &'static str {
        self.lever_of(iteration).map_or("baseline", |lever| lever.kind.as_move().as_str())
    }

    /// What the rows said that an iteration's lever cites (P24).
    pub fn cited_by(&self, iteration: &Iteration) -> &[CitedRow] {
        let story = iteration.lever.and_then(|lever| self.levers.get(&lever));
        story.map_or(&[], |story| &story.cited)
    }

    /// The lever of an iteration.
    pub fn lever_of(&self, iteration: &Iteration) -> Option<&Lever> {
        self.levers.get(&iteration.lever?).map(|story| &story.lever)
    }
}

impl Iteration {
    /// The rows of its plan, or those that were added beside it.
    pub fn rows(&self, follow_ups: bool) -> impl Iterator<Item = &Deliverable> {
        self.plan.iter().filter(move |row| self.follow_ups.contains(&row.output) == follow_ups)
    }

    /// What scripts found that were added beside its plan (P22).
    pub fn found_beside(&self) -> impl Iterator<Item = Late> {
        self.rows(true).filter_map(|row| {
            let first_line = self.accepted.get(&row.output)?.clone();
            Some(Late { output: row.output.clone(), dimension: row.dimension.clone(), first_line })
        })
    }

    /// The last attempt of a kind that has ended.
    pub fn last_ended(&self, kind: Kind) -> Option<(&Attempt, &Outcome)> {
        let of_kind = self.attempts.iter().rev().filter(|attempt| attempt.order.kind == kind);
        of_kind.filter_map(|attempt| Some((attempt, attempt.outcome.as_ref()?))).next()
    }

    /// Why a part of its evidence is not there any more.
    pub fn removal(&self, evidence: Evidence) -> Option<Refusal> {
        let removed = self.removed.iter().find(|removed| removed.evidence == evidence)?;
        Some(Refusal::Removed {
            evidence: evidence.as_str(),
            iteration: self.number.0,
            wall_ms: removed.wall_ms,
            why: removed.why.clone(),
        })
    }

    /// The last run whose log is kept.
    pub fn logged(&self) -> Option<(&Attempt, &Outcome)> {
        self.last_ended(Kind::Run).filter(|_| self.removal(Evidence::Logs).is_none())
    }

    /// The kept files of the last run's workspace; none where they were removed.
    pub fn artifacts(&self) -> Option<Digest> {
        let run = self.last_ended(Kind::Run).filter(|_| self.removal(Evidence::Artifacts).is_none());
        run.and_then(|(_, outcome)| outcome.artifacts)
    }

    /// The results tree, the analysis included where there was one; none where it was removed.
    pub fn results(&self) -> Option<Digest> {
        if self.removal(Evidence::Outputs).is_some() {
            return None;
        }
        let last = |kind| self.last_ended(kind).and_then(|(_, outcome)| outcome.results);
        let (run, analysis) = (last(Kind::Run), last(Kind::Analysis));
        // An analysis belongs to the run before it; a later run (a fix) has made it moot.
        let analysis_is_later = self.attempts.iter().rposition(|a| a.order.kind == Kind::Analysis)
            > self.attempts.iter().rposition(|a| a.order.kind == Kind::Run);
        if analysis_is_later { analysis.or(run) } else { run }
    }
}
