//! A lever whose turn has come: pulled, passed over, held, or retired (P7 to P10, P13).

use super::iteration::Iteration;
use super::lever::LeverEntry;
use super::state::Campaign;
use crate::gate::facts::{Evidence, Look, Merged, PullFacts, PullWanted};
use crate::gate::plan::{Completed, complete};
use crate::literature::Basis;
use std::collections::BTreeSet;
use windlass_shared::attempt::AttemptKey;
use windlass_shared::id::{AttemptId, IterationNumber};
use windlass_shared::lever::Pin;
use windlass_shared::plan::Deliverable;
use windlass_shared::record::{Body, Clash, HoldReason, RetireReason};

/// What became of a lever's turn.
pub(super) enum Turn {
    /// Recorded: opened, held, retired or passed.
    Record(Box<Body>),
    /// It was passed over since the last iteration was opened; the next in line has its turn.
    AlreadyPassed,
    /// It waits for an open iteration, in these words; the next in line has its turn.
    Waits(String),
}

impl Campaign {
    /// The evidence of an iteration.
    pub fn evidence_of(&self, iteration: IterationNumber) -> Option<Evidence> {
        let decided = self.decided.get(&iteration)?;
        let log = decided.run.and_then(|number| {
            let mark = self.attempts.get(&(iteration, number))?;
            let id = AttemptId { campaign: self.id.clone(), iteration, number };
            Some(AttemptKey { id, fence: mark.fence })
        });
        Some(Evidence { iteration, results: decided.results, log })
    }

    /// What must be known before this lever can have its turn.
    pub(crate) fn pull_wanted(&self, entry: &LeverEntry) -> PullWanted {
        PullWanted {
            campaign: self.id.clone(),
            lever: entry.number,
            parent: self.parent_tree(),
            best: self.best.as_ref().map(|best| best.iteration),
            base: entry.base,
            changed: entry.changed,
            instrumentation: entry.document.instrumentation,
            files: entry.document.files.clone(),
            anchor: entry.document.anchor.clone(),
            editable: self.bindings.editable_files.clone(),
            evidence: self.best.as_ref().and_then(|best| self.evidence_of(best.iteration)),
            cap: self.cap_rule(),
        }
    }

    /// What its turn would come to by these facts: the rule and a sentence.
    pub(crate) fn prospect(&self, entry: &LeverEntry, facts: &PullFacts) -> (&'static str, String) {
        match self.turn(entry, facts) {
            Turn::AlreadyPassed => {
                let missing = entry.missing.as_deref().unwrap_or("its evidence is missing");
                ("P9", format!("its turn came and it was passed over: {missing}"))
            }
            Turn::Waits(why) => ("P39", format!("it waits {why}")),
            Turn::Record(body) => match *body {
                Body::IterationOpened { .. } => {
                    ("P7", "its gates let it through: it is pulled when its turn comes".to_owned())
                }
                Body::LeverPassed { missing, .. } => {
                    ("P9", format!("at its turn it is passed over: {missing}"))
                }
                Body::LeverRetired { reason: RetireReason::Stale { rule, detail }, .. } => {
                    ("P7", format!("at its turn it is retired by {rule}: {detail}"))
                }
                Body::LeverHeld { reason: HoldReason::NeedsRebase { files, clashes }, .. } => {
                    let files = Clash::tell(&files, &clashes);
                    ("P8", format!("at its turn it is held: it conflicts with the best in {files}"))
                }
                _ => ("P13", "at its turn it is held: nothing of its plan is new".to_owned()),
            },
        }
    }

    /// The turn of one lever, judged by fresh facts.
    pub(super) fn turn(&self, entry: &LeverEntry, facts: &PullFacts) -> Turn {
        let held = |reason| Turn::Record(Box::new(Body::LeverHeld { lever: entry.number, reason }));
        let (tree, net_lines, diff) = match &facts.merged {
            Merged::Conflict(clashes) => {
                // Evidence that says otherwise goes first: nobody is asked to write anew what it refutes (P7).
                let is_refuted = matches!(facts.look, Look::Contradicted { .. } | Look::NoMatch);
                if let Err(turn) = self.revalidate(entry, &facts.look)
                    && is_refuted
                {
                    return *turn;
                }
                let files = clashes.iter().map(|clash| clash.file.clone()).collect();
                let clashes = clashes.iter().filter(|clash| clash.best_lines.is_some()).cloned().collect();
                return held(HoldReason::NeedsRebase { files, clashes });
            }
            Merged::Refused(refusal) => {
                let rule = refusal.rule().unwrap_or("P2");
                return stale(entry, rule, format!("on the present best {refusal}"));
            }
            Merged::Clean { tree, net_lines, diff } => (*tree, *net_lines, *diff),
        };
        let pin = match self.revalidate(entry, &facts.look) {
            Ok(pin) => pin,
            Err(turn) => return *turn,
        };
        let may_repeat = entry.document.changed_assumption.is_some() || entry.superseded_by.is_some();
        if !may_repeat {
            if let Some(tried) = self.tried.get(&tree.hash).or_else(|| self.tried.get(&diff)) {
                let detail = format!("on the present best this is what iteration {tried} tried");
                return stale(entry, "P10", detail);
            }
            // Another lane tries it just now: what becomes of that decides what becomes of this (P10, P39).
            let is_same =
                |open: &&Iteration| open.lever.is_some() && (open.tree == tree || open.diff == diff);
            if let Some(open) = self.open.values().find(is_same) {
                return Turn::Waits(format!("for iteration {}, which tries the same change", open.number));
            }
        }
        match self.basis_holds(entry) {
            Basis::Holds => {}
            Basis::Waits(why) => return Turn::Waits(why),
            Basis::Gone(rule, detail) => return stale(entry, rule, detail),
        }
        let plan = match self.plan(entry) {
            Ok(plan) => self.with_literature(entry, self.next_iteration(), plan),
            Err(turn) => return turn,
        };
        Turn::Record(Box::new(Body::IterationOpened {
            iteration: self.next_iteration(),
            lever: Some(entry.number),
            parent: self.best.as_ref().map(|best| best.iteration),
            tree,
            pin,
            plan,
            net_lines,
            diff,
        }))
    }

    /// P13: the lever's plan and what the campaign adds to it. What another lane is about to measure is not
    /// new; where that lane's crash would free it again, the lever waits for its decision (P39).
    fn plan(&self, entry: &LeverEntry) -> Result<Vec<Deliverable>, Turn> {
        let w = &self.bindings.windlass;
        let lever = &entry.document.analysis;
        if entry.superseded_by.is_some()
            && let Completed::Plan(plan) = complete(lever, &w.always, &[], &BTreeSet::new())
        {
            // Its plan passed once, and is carried out again on the new best.
            return Ok(plan);
        }
        let complete = |measured| complete(lever, &w.always, &w.diagnostics, measured);
        let mut taken = self.measured.clone();
        taken.extend(self.reserved().into_iter().map(str::to_owned));
        match (complete(&taken), complete(&self.measured)) {
            (Completed::Plan(plan), _) => Ok(plan),
            (Completed::NeedsPlan, Completed::Plan(_)) => {
                let open: Vec<String> = self.open.keys().map(ToString::to_string).collect();
                Err(Turn::Waits(format!("for iteration {}, which measures what it would", open.join(" or "))))
            }
            (Completed::NeedsPlan, Completed::NeedsPlan) => {
                let body = Body::LeverHeld { lever: entry.number, reason: HoldReason::NeedsPlan };
                Err(Turn::Record(Box::new(body)))
            }
        }
    }

    /// P7: the best has moved since the pin, or nothing was pinned. It holds (pinned anew), says otherwise
    /// (stale), or the file is not there: an old pin stands, a lever never pinned is passed over (P9).
    fn revalidate(&self, entry: &LeverEntry, look: &Look) -> Result<Option<Pin>, Box<Turn>> {
        let Some(anchor) = &entry.document.anchor else { return Ok(None) };
        let best = self.best.as_ref().map(|best| best.iteration);
        if let Some(pin) = &entry.pin
            && entry.pinned_on == best
        {
            return Ok(Some(pin.clone()));
        }
        let place = || format!("{} of iteration {}", anchor.file, best.map_or(0, |best| best.0));
        let was = entry.pin.as_ref().map_or_else(
            || "it was never found before".to_owned(),
            |pin| format!("iteration {} said {}", pin.iteration, pin.value),
        );
        match look {
            Look::Holds(pin) => Ok(Some(pin.clone())),
            Look::Contradicted { line, value } => {
                let wanted = anchor.compare.as_ref().map_or_else(String::new, ToString::to_string);
                let detail = format!("line {line} of {} says {value}, not {wanted}; {was}", place());
                Err(Box::new(stale(entry, "P7", detail)))
            }
            Look::NoMatch => {
                let detail = format!("{} has no line like {:?}; {was}", place(), anchor.pattern);
                Err(Box::new(stale(entry, "P7", detail)))
            }
            Look::FileMissing | Look::NotLooked | Look::TooCostly | Look::Several { .. } => {
                match &entry.pin {
                    Some(pin) => Ok(Some(pin.clone())),
                    None => {
                        let what = match look {
                            Look::TooCostly => "is too large for its pattern".to_owned(),
                            Look::Several { line, value, other_line, other } => {
                                format!("says several things: line {line} {value}, line {other_line} {other}")
                            }
                            _ => "is not there".to_owned(),
                        };
                        Err(Box::new(self.pass_over(entry, format!("{} {what}", place()))))
                    }
                }
            }
        }
    }

    /// P9: passed over at most once per opened iteration, and stale at `passes`.
    fn pass_over(&self, entry: &LeverEntry, missing: String) -> Turn {
        if entry.passes > 0 && entry.passed_after == self.last_opened {
            return Turn::AlreadyPassed;
        }
        let passes = entry.passes + 1;
        let most = self.bindings.windlass.passes;
        if passes >= most {
            return stale(entry, "P9", format!("its evidence was missing at {passes} turns: {missing}"));
        }
        Turn::Record(Box::new(Body::LeverPassed { lever: entry.number, passes, missing }))
    }

    /// The number of the next iteration.
    pub(super) fn next_iteration(&self) -> IterationNumber {
        self.last_opened.map_or(IterationNumber::BASELINE, IterationNumber::next)
    }
}

fn stale(entry: &LeverEntry, rule: &str, detail: String) -> Turn {
    let reason = RetireReason::Stale { rule: rule.to_owned(), detail };
    Turn::Record(Box::new(Body::LeverRetired { lever: entry.number, reason }))
}
