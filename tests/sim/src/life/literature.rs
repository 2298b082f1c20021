//! A campaign's findings in the model: what may be kept, cited and marked (P34, P36, P37, P38).

use crate::violation::{Checked, broken, hold};
use std::collections::{BTreeMap, BTreeSet};
use windlass_shared::bindings::{Bindings, Dial};
use windlass_shared::conclusion::Status;
use windlass_shared::id::{FindingNumber, IterationNumber, LeverNumber};
use windlass_shared::lever::{Kind, Lever};
use windlass_shared::literature::{Effect, Finding, Scope, Strength, Verdict};
use windlass_shared::plan::Deliverable;
use windlass_shared::record::Body;

/// The findings of one campaign.
#[derive(Clone, Debug)]
pub(super) struct LiteratureLife {
    is_on: bool,
    has_probe: bool,
    last: u32,
    kept: BTreeMap<FindingNumber, KeptLife>,
    /// The words of what failed, and its files.
    failed: BTreeSet<(String, Vec<String>)>,
    last_review_kept: Option<u32>,
    basis: BTreeMap<LeverNumber, FindingNumber>,
    tested_by: BTreeMap<IterationNumber, FindingNumber>,
}

#[derive(Clone, Debug)]
struct KeptLife {
    change: (String, Vec<String>),
    scope: Scope,
    effect: Effect,
}

impl LiteratureLife {
    pub fn new(bindings: &Bindings) -> Self {
        Self {
            is_on: bindings.literature == Dial::On,
            has_probe: bindings.windlass.diagnostics.iter().any(|row| row.dimension == "headroom"),
            last: 0,
            kept: BTreeMap::new(),
            failed: BTreeSet::new(),
            last_review_kept: None,
            basis: BTreeMap::new(),
            tested_by: BTreeMap::new(),
        }
    }

    /// A record about findings.
    pub fn take(&mut self, body: &Body, decided: &BTreeMap<IterationNumber, Status>) -> Checked {
        hold(self.is_on, "P33", || format!("{} with literature off", body.kind()))?;
        match body {
            Body::ReviewRecorded { kept, .. } => {
                self.last_review_kept = Some(*kept);
                Ok(())
            }
            Body::FindingRecorded { finding, document, scope, verdict, reasons, .. } => {
                hold(finding.0 > self.last, "P33", || format!("{finding} follows F{}", self.last))?;
                self.last = finding.0;
                hold((*verdict == Verdict::Keep) == reasons.is_empty(), "P34", || {
                    format!("{finding} is {verdict:?} for {reasons:?}")
                })?;
                if *verdict == Verdict::Keep {
                    self.keep(*finding, document, scope)?;
                }
                Ok(())
            }
            Body::FindingMarked { finding, result, iteration, .. } => {
                self.marked(*finding, *result, *iteration, decided)
            }
            _ => Ok(()),
        }
    }

    fn keep(&mut self, number: FindingNumber, finding: &Finding, scope: &Scope) -> Checked {
        let is_sound = finding.evidence.strength != Strength::Weak
            && finding.verdict == Verdict::Keep
            && finding.applicability_to_our_setup.is_some()
            && finding.citations.iter().all(|citation| citation.paper_id().is_some());
        let change = (finding.proposed_change.clone(), finding.files_to_edit.clone());
        let repeats = self.failed.contains(&change) && finding.verdict_reason.is_none();
        hold(is_sound && !repeats, "P34", || format!("{number} is kept: {finding:?}"))?;
        self.kept.insert(number, KeptLife { change, scope: scope.clone(), effect: Effect::Pending });
        Ok(())
    }

    fn marked(
        &mut self,
        number: FindingNumber,
        effect: Effect,
        iteration: Option<IterationNumber>,
        decided: &BTreeMap<IterationNumber, Status>,
    ) -> Checked {
        let Some(kept) = self.kept.get_mut(&number).filter(|kept| kept.effect == Effect::Pending) else {
            return broken("P37", format!("{number} becomes {effect:?} and does not wait"));
        };
        let status = iteration.and_then(|iteration| decided.get(&iteration));
        let is_right = match (effect, status) {
            (Effect::Helped, Some(Status::Keep)) | (Effect::Hurt, Some(Status::Discard | Status::Crash)) => {
                true
            }
            (Effect::NoEffect, Some(Status::Discard)) => true,
            (Effect::Stale, None) => iteration.is_none(),
            _ => false,
        };
        hold(is_right, "P37", || format!("{number} becomes {effect:?} by {iteration:?}: {status:?}"))?;
        kept.effect = effect;
        if let Some(iteration) = iteration {
            let tested = self.tested_by.get(&iteration) == Some(&number);
            hold(tested, "P37", || format!("{number} is settled by {iteration}, which did not test it"))?;
        } else {
            let is_agnostic = kept.scope == Scope::agnostic();
            let open =
                self.tested_by.iter().find(|(at, basis)| **basis == number && !decided.contains_key(at));
            hold(open.is_none(), "P36", || format!("{number} goes stale under test ({is_agnostic})"))?;
        }
        if matches!(effect, Effect::NoEffect | Effect::Hurt) {
            self.failed.insert(kept.change.clone());
        }
        Ok(())
    }

    /// P37: what a lever in line rests on. One that was taken along (P1) was judged where it came from.
    pub fn queued(&mut self, lever: LeverNumber, document: &Lever, is_asked: bool) -> Checked {
        let Some(text) = document.literature.as_deref().filter(|_| self.is_on) else {
            return hold(!self.is_on || !is_asked, "P37", || format!("{lever} states no basis"));
        };
        let Some(finding) = FindingNumber::parse(text) else {
            if !is_asked {
                return Ok(());
            }
            let kind = document.kind;
            let may = matches!(kind, Kind::Simplification | Kind::Ablation | Kind::Instrumentation);
            return hold(may || self.last_review_kept == Some(0), "P37", || {
                format!("{lever}, a {}, rests on nothing", kind.as_str())
            });
        };
        self.basis.insert(lever, finding);
        hold(self.may_cite(finding), "P37", || format!("{lever} rests on {finding}"))
    }

    fn may_cite(&self, finding: FindingNumber) -> bool {
        let kept = self.kept.get(&finding);
        kept.is_some_and(|kept| matches!(kept.effect, Effect::Pending | Effect::Helped))
    }

    /// P34, P37, P38: it is checked again, and its plan has what literature adds.
    pub fn opened(
        &mut self,
        iteration: IterationNumber,
        lever: Option<(LeverNumber, Kind)>,
        plan: &[Deliverable],
        decided: &BTreeMap<IterationNumber, Status>,
    ) -> Checked {
        let Some((lever, kind)) = lever.filter(|_| self.is_on) else { return Ok(()) };
        let has = |dimension: &str| plan.iter().any(|row| row.dimension == dimension);
        if self.has_probe && (kind == Kind::Swing || iteration.0.is_multiple_of(10)) {
            hold(has("headroom"), "P38", || format!("{iteration} looks at no headroom"))?;
        }
        let Some(finding) = self.basis.get(&lever).copied() else { return Ok(()) };
        hold(self.may_cite(finding), "P34", || format!("{iteration} rests on {finding}"))?;
        let others = self.tested_by.iter().filter(|(at, _)| !decided.contains_key(at));
        hold(!others.into_iter().any(|(_, basis)| *basis == finding), "P37", || {
            format!("{iteration} tests {finding}, which another tests")
        })?;
        hold(has(&format!("verify-f{}", finding.0)), "P37", || format!("{iteration} verifies nothing"))?;
        self.tested_by.insert(iteration, finding);
        Ok(())
    }
}
