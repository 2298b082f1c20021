//! The fold of records into a story.

use super::findings;
use super::story::{Attempt, Decision, Fate, Imported, Iteration, LeverStory, Removed, Story};
use std::collections::{BTreeMap, BTreeSet};
use windlass_shared::attempt::Order;
use windlass_shared::foreign::Foreign;
use windlass_shared::id::IterationNumber;
use windlass_shared::record::{Body, Record};

impl Story {
    /// The story that these records of one campaign tell; none before it was created.
    pub fn project<'a>(records: impl IntoIterator<Item = &'a Record>) -> Option<Self> {
        let mut story: Option<Self> = None;
        for record in records {
            match &mut story {
                Some(story) => story.add(record),
                None => story = Self::begin(record),
            }
        }
        story
    }

    fn begin(record: &Record) -> Option<Self> {
        let (mut submitted, mut root) = (None, None);
        let (name, bindings, tree, imported) = match &record.body {
            Body::CampaignCreated { name, bindings, tree, cap, git, .. } => {
                submitted = cap.as_ref().map(|cap| cap.submitted);
                root.clone_from(git);
                (name, bindings, *tree, None)
            }
            Body::LedgerImported { name, bindings, columns, source, .. } => {
                let imported = Imported { columns: columns.clone(), source: source.clone() };
                (name, bindings, Foreign::tree(), Some(imported))
            }
            _ => return None,
        };
        Some(Self {
            campaign: record.campaign.clone()?,
            name: name.clone(),
            created_wall_ms: record.wall_ms,
            head_seq: record.seq,
            head_wall_ms: record.wall_ms,
            bindings: (**bindings).clone(),
            tree,
            submitted: submitted.unwrap_or(tree),
            git: root.map(|git| *git),
            commits: BTreeMap::new(),
            imported,
            levers: BTreeMap::new(),
            findings: BTreeMap::new(),
            iterations: BTreeMap::new(),
            decided: Vec::new(),
            best: None,
        })
    }

    /// Goes on with one more record. Records of other campaigns and of the fleet tell nothing here.
    pub fn add(&mut self, record: &Record) {
        if record.campaign.as_ref() != Some(&self.campaign) {
            return;
        }
        (self.head_seq, self.head_wall_ms) = (record.seq, record.wall_ms);
        match &record.body {
            Body::LeverQueued { .. }
            | Body::LeverPassed { .. }
            | Body::LeverHeld { .. }
            | Body::LeverRequeued { .. }
            | Body::LeverRetired { .. } => self.add_lever(&record.body),
            Body::IterationOpened { .. } => self.open(record),
            Body::AttemptLeased { .. } | Body::AttemptEnded { .. } | Body::FixApplied { .. } => {
                self.add_attempt(record);
            }
            Body::DeliverableAccepted { iteration, output, first_line, .. } => {
                if let Some(iteration) = self.iterations.get_mut(iteration) {
                    iteration.accepted.insert(output.clone(), first_line.clone());
                }
            }
            Body::ConclusionWritten { iteration, conclusion } => {
                if let Some(iteration) = self.iterations.get_mut(iteration) {
                    // One that comes after the decision replaces the text (P23).
                    if let Some(decision) = iteration.decision.as_mut() {
                        decision.summary.clone_from(&conclusion.finding);
                    }
                    iteration.conclusion = Some(conclusion.clone());
                }
            }
            Body::DeliverableAdded { iteration, deliverable } => {
                if let Some(iteration) = self.iterations.get_mut(iteration) {
                    match iteration.plan.iter_mut().find(|row| row.output == deliverable.output) {
                        Some(row) => *row = deliverable.clone(),
                        None => {
                            iteration.follow_ups.insert(deliverable.output.clone());
                            iteration.plan.push(deliverable.clone());
                        }
                    }
                }
            }
            Body::IterationDecided { .. } => self.decide(record),
            Body::EvidenceRemoved { iteration, evidence, bytes, why } => {
                if let Some(iteration) = self.iterations.get_mut(iteration) {
                    let (evidence, bytes, why) = (*evidence, *bytes, why.clone());
                    iteration.removed.push(Removed { evidence, wall_ms: record.wall_ms, bytes, why });
                }
            }
            Body::FindingRecorded { .. } | Body::FindingMarked { .. } => {
                findings::add(&mut self.findings, record);
            }
            _ => {}
        }
    }

    fn add_lever(&mut self, body: &Body) {
        match body {
            Body::LeverQueued { lever, document, base, pin, cited, .. } => {
                let story = LeverStory {
                    lever: (**document).clone(),
                    base: *base,
                    pin: pin.clone(),
                    cited: cited.clone(),
                    passed: Vec::new(),
                    fate: Fate::Queued,
                };
                self.levers.insert(*lever, story);
            }
            Body::LeverPassed { lever, missing, .. } => {
                if let Some(story) = self.levers.get_mut(lever) {
                    story.passed.push(missing.clone());
                }
            }
            Body::LeverRequeued { lever, pin, .. } => {
                if let Some(story) = self.levers.get_mut(lever) {
                    (story.fate, story.pin) = (Fate::Queued, pin.clone());
                }
            }
            Body::LeverHeld { lever, reason } => {
                if let Some(story) = self.levers.get_mut(lever) {
                    story.fate = Fate::Held(reason.clone());
                }
            }
            Body::LeverRetired { lever, reason } => {
                if let Some(story) = self.levers.get_mut(lever) {
                    story.fate = Fate::Retired(reason.clone());
                }
            }
            _ => {}
        }
    }

    fn open(&mut self, record: &Record) {
        let Body::IterationOpened { iteration, lever, parent, tree, pin, plan, net_lines, .. } = &record.body
        else {
            return;
        };
        let story = lever.and_then(|lever| self.levers.get_mut(&lever));
        let title = story.as_ref().map_or("baseline".to_owned(), |story| story.lever.title.clone());
        if let Some(story) = story {
            story.fate = Fate::Pulled(*iteration);
        }
        let opened = Iteration {
            number: *iteration,
            lever: *lever,
            title,
            parent: *parent,
            opened_wall_ms: record.wall_ms,
            opened_tree: *tree,
            tree: *tree,
            pin: pin.clone(),
            plan: plan.clone(),
            follow_ups: BTreeSet::new(),
            net_lines: *net_lines,
            fixes: Vec::new(),
            own_fixes: Vec::new(),
            attempts: Vec::new(),
            accepted: BTreeMap::new(),
            conclusion: None,
            decision: None,
            removed: Vec::new(),
        };
        self.iterations.insert(*iteration, opened);
    }

    fn add_attempt(&mut self, record: &Record) {
        match &record.body {
            Body::AttemptLeased { order, worker_name, why, .. } => {
                if let Some(iteration) = self.iterations.get_mut(&order.key.id.iteration) {
                    // The list of earlier results is the longest part of an order, and tells nothing here.
                    let order = Order { history: Vec::new(), ..(**order).clone() };
                    iteration.attempts.push(Attempt {
                        order,
                        worker_name: worker_name.clone(),
                        why: why.clone(),
                        leased_wall_ms: record.wall_ms,
                        outcome: None,
                    });
                }
            }
            Body::AttemptEnded { attempt, fence, outcome, .. } => {
                let iteration = self.iterations.get_mut(&attempt.iteration);
                let known = iteration.and_then(|iteration| {
                    iteration
                        .attempts
                        .iter_mut()
                        .find(|known| known.order.key.id == *attempt && known.order.key.fence == *fence)
                });
                if let Some(known) = known {
                    known.outcome = Some((**outcome).clone());
                }
            }
            Body::FixApplied { iteration, fix, tree, net_lines, change } => {
                if let Some(iteration) = self.iterations.get_mut(iteration) {
                    iteration.fixes.push(*fix);
                    iteration.own_fixes.extend(change.clone());
                    iteration.tree = *tree;
                    iteration.net_lines = *net_lines;
                }
            }
            _ => {}
        }
    }

    /// An imported decision opened nothing here: its row is all that is known of its iteration.
    fn begin_imported(&mut self, number: IterationNumber, title: &str, wall_ms: i64) {
        let iteration = Iteration {
            number,
            lever: None,
            title: title.to_owned(),
            parent: self.best,
            opened_wall_ms: wall_ms,
            opened_tree: self.tree,
            tree: self.tree,
            pin: None,
            plan: Vec::new(),
            follow_ups: BTreeSet::new(),
            net_lines: 0,
            fixes: Vec::new(),
            own_fixes: Vec::new(),
            attempts: Vec::new(),
            accepted: BTreeMap::new(),
            conclusion: None,
            removed: Vec::new(),
            decision: None,
        };
        self.iterations.insert(number, iteration);
    }

    fn decide(&mut self, record: &Record) {
        let Body::IterationDecided {
            iteration,
            status,
            reason,
            arithmetic,
            best,
            summary,
            description,
            notes,
        } = &record.body
        else {
            return;
        };
        let number: IterationNumber = *iteration;
        if self.imported.is_some() {
            self.begin_imported(number, description, record.wall_ms);
        }
        let Some(iteration) = self.iterations.get_mut(&number) else { return };
        iteration.decision = Some(Decision {
            status: *status,
            reason: reason.clone(),
            arithmetic: arithmetic.clone(),
            summary: summary.clone(),
            description: description.clone(),
            notes: notes.clone(),
            wall_ms: record.wall_ms,
        });
        self.decided.push(number);
        self.best = *best;
    }
}

#[cfg(test)]
#[path = "project_tests.rs"]
pub mod tests;
