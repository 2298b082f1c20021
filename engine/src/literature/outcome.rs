//! What a decision makes of findings: the result of the one that was tested (P37), those of another
//! architecture, and those that nobody takes up (P36).

use super::corpus::UNTOUCHED_MAX;
use crate::campaign::{Campaign, Iteration, SUPERSEDED, UNANALYSED};
use std::cmp::Ordering;
use windlass_shared::bindings::Dial;
use windlass_shared::conclusion::Status;
use windlass_shared::decimal::Decimal;
use windlass_shared::literature::Effect;
use windlass_shared::record::{Arithmetic, Body};

impl Campaign {
    /// Whether a decision says anything of its lever's idea: not where the machinery failed it, its owner ended
    /// it, its analysis never came or another lane took its place.
    pub(crate) fn was_tried(open: &Iteration, reason: &str) -> bool {
        !open.is_cancelled && !open.is_out_of_tries() && reason != SUPERSEDED && reason != UNANALYSED
    }

    /// Folds a decision in, before its lever leaves its place.
    pub(crate) fn findings_decided(&mut self, open: &Iteration, status: Status, reason: &str) {
        if self.bindings.literature == Dial::Off {
            return;
        }
        let cited = self.cited();
        let was_tried = Self::was_tried(open, reason);
        self.literature.decided(open.number, (status == Status::Keep, was_tried), &cited);
    }

    /// The findings that this decision marks, with its reason.
    pub(crate) fn findings_marked(
        &self,
        open: &Iteration,
        status: Status,
        reason: &str,
        arithmetic: &Arithmetic,
    ) -> Vec<Body> {
        let literature = &self.literature;
        let Some(start) = literature.open.get(&open.number).filter(|_| self.bindings.literature == Dial::On)
        else {
            return Vec::new();
        };
        let was_tried = Self::was_tried(open, reason);
        let mut marks = Vec::new();
        if let Some(finding) = start.basis.filter(|_| was_tried)
            && literature.kept.get(&finding).is_some_and(|kept| !kept.has_helped)
        {
            let result = effect(status, arithmetic);
            let why = format!("{} ({reason})", status.as_str());
            marks.push(Body::FindingMarked { finding, result, iteration: Some(open.number), why });
        }
        let cited = self.cited();
        let drifted = Some(&start.architecture)
            .filter(|architecture| status == Status::Keep && **architecture != literature.architecture);
        let drifted = drifted.and_then(Option::as_deref);
        for (number, kept) in &literature.kept {
            let is_tested = literature.tested_by(*number).is_some();
            if kept.has_helped || is_tested {
                continue;
            }
            let why = match drifted.filter(|architecture| !kept.scope.covers(architecture)) {
                Some(architecture) => {
                    Some(format!("it holds for {}, and the model is {architecture} now (P36)", kept.scope))
                }
                None if was_tried => {
                    let untouched = start.untouched(open.number, *number, kept, &cited);
                    (untouched >= UNTOUCHED_MAX)
                        .then(|| format!("{untouched} iterations in a row left it alone (P36)"))
                }
                None => None,
            };
            marks.extend(why.map(|why| Body::FindingMarked {
                finding: *number,
                result: Effect::Stale,
                iteration: None,
                why,
            }));
        }
        marks
    }
}

/// P37: kept is `helped`, equal is `no-effect`, worse or a crash is `hurt`. A gain that was not worth its lines
/// made no difference.
fn effect(status: Status, arithmetic: &Arithmetic) -> Effect {
    let zero = Decimal::from_value(0.into());
    match (status, arithmetic.gain.as_ref().map(|gain| gain.cmp(&zero))) {
        (Status::Keep, _) => Effect::Helped,
        (Status::Crash, _) | (Status::Discard, Some(Ordering::Less)) => Effect::Hurt,
        (Status::Discard, _) => Effect::NoEffect,
    }
}
