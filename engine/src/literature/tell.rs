//! A campaign's findings as pages show them, and what it waits for in terms of them (P24).

use super::basis::named;
use super::corpus::Over;
use crate::campaign::{Campaign, Iteration, LeverEntry};
use windlass_shared::bindings::Dial;
use windlass_shared::conclusion::{Conclusion, Status};
use windlass_shared::id::FindingNumber;
use windlass_shared::lever::{Kind, Lever};
use windlass_shared::refusal::Refusal;
use windlass_shared::view::{FindingCounts, LiteratureView};

/// Findings that a view names one by one.
const NAMED_MAX: usize = 32;
/// Findings that a sentence names.
const SENTENCE_MAX: usize = 5;

impl Campaign {
    /// The corpus in figures, with `literature: on`.
    pub(crate) fn literature_view(&self) -> Option<LiteratureView> {
        if self.bindings.literature == Dial::Off {
            return None;
        }
        let literature = &self.literature;
        let mut counts = FindingCounts::default();
        for kept in literature.kept.values() {
            *(if kept.has_helped { &mut counts.helped } else { &mut counts.pending }) += 1;
        }
        for (_, over) in literature.over.rows() {
            *(match over {
                Over::Rejected => &mut counts.rejected,
                Over::NoEffect => &mut counts.no_effect,
                Over::Hurt => &mut counts.hurt,
                Over::Stale => &mut counts.stale,
                Over::Helped => &mut counts.helped,
                Over::Pending => &mut counts.pending,
            }) += 1;
        }
        Some(LiteratureView {
            architecture: literature.architecture.clone(),
            pending: self.pending().take(NAMED_MAX).collect(),
            counts,
            last_review_kept: literature.last_review_kept,
        })
    }

    fn pending(&self) -> impl Iterator<Item = FindingNumber> {
        let kept = self.literature.kept.iter();
        kept.filter(|(_, kept)| !kept.has_helped).map(|(number, _)| *number)
    }

    /// What a campaign without a lever that can be pulled may rest the next one on.
    pub(crate) fn waits_for_finding(&self) -> Option<String> {
        if self.bindings.literature == Dial::Off {
            return None;
        }
        let cited = self.cited();
        let free: Vec<String> =
            self.pending().filter(|one| !cited.contains(one)).map(|one| one.to_string()).collect();
        Some(match (free.as_slice(), self.literature.last_review_kept) {
            ([], None) => {
                "no review of the literature is there: `windlass findings add` records one".to_owned()
            }
            ([], Some(0)) => {
                "the last review kept no finding, so that it may say `literature: none`".to_owned()
            }
            ([], Some(_)) => {
                "no kept finding is left to cite: `windlass findings add` records a review".to_owned()
            }
            (free, _) if free.len() > SENTENCE_MAX => {
                format!("{} and {} more findings wait to be cited", free[0], free.len() - 1)
            }
            (free, _) => format!("{} can be cited", free.join(", ")),
        })
    }

    /// What a lever rests on, in a sentence.
    pub(crate) fn tell_basis(&self, entry: &LeverEntry) -> Option<String> {
        if self.bindings.literature == Dial::Off {
            return None;
        }
        let Some(finding) = named(&entry.document) else {
            return Some("it rests on no finding (`literature: none`)".to_owned());
        };
        let literature = &self.literature;
        let kept = literature.kept.get(&finding).map(|kept| kept.document.title());
        let title = kept.map_or_else(String::new, |title| format!(", {title}"));
        let tested = literature.tested_by(finding).map(|open| format!("; iteration {open} tests it now"));
        Some(format!(
            "it rests on {finding}{title}: {}{}",
            literature.ended(finding),
            tested.unwrap_or_default()
        ))
    }

    /// P23: what facts alone say of the ceiling. Whether it is near is for somebody to judge.
    pub(crate) fn ceiling_facts(&self, open: &Iteration, status: Status) -> Option<String> {
        if self.bindings.literature == Dial::Off {
            return None;
        }
        let stands = match (&self.best, status) {
            (_, Status::Keep) => "this iteration is a gain".to_owned(),
            (Some(best), _) => {
                let since = open.number.0.saturating_sub(best.iteration.0);
                format!("the last gain was iteration {}, {since} before this one", best.iteration)
            }
            (None, _) => "nothing is kept yet".to_owned(),
        };
        Some(format!("whether the ceiling is near was not judged; {stands}"))
    }

    /// P23: with literature a researcher's conclusion says whether the ceiling is near.
    pub(crate) fn ceiling_problem(&self, conclusion: &Conclusion) -> Option<Refusal> {
        let is_missing = self.bindings.literature == Dial::On && conclusion.ceiling_near.is_none();
        is_missing.then(|| Refusal::Lever {
            rule: "P23",
            field: "ceiling_near".to_owned(),
            problem: "is missing; with `literature: on` say whether the ceiling is near: true or false"
                .to_owned(),
        })
    }

    /// P38: a swing is told where no probe can be added to its plan.
    pub(crate) fn headroom_warning(&self, lever: &Lever) -> Option<String> {
        let is_due = self.bindings.literature == Dial::On && lever.kind == Kind::Swing;
        let has_own = lever.analysis.iter().any(|row| row.dimension == super::rows::HEADROOM);
        (is_due && !has_own && self.headroom_probe().is_none()).then(|| {
            "P38: `diagnostics` has no entry of dimension headroom, so that no probe is added to this swing"
                .to_owned()
        })
    }
}
