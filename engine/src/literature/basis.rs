//! What a lever rests on (P37): a kept finding, or `none` where that is allowed. It never replaces the anchor.

use super::corpus::Over;
use crate::campaign::{Campaign, LeverEntry};
use std::collections::BTreeSet;
use windlass_shared::bindings::Dial;
use windlass_shared::id::FindingNumber;
use windlass_shared::lever::{Kind, Lever};
use windlass_shared::refusal::Refusal;
use windlass_shared::view::LeverState;

/// The word of a lever that rests on no finding.
const NONE: &str = "none";

/// What a turn finds of a lever's basis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Basis {
    /// It holds, or none is asked for.
    Holds,
    /// An open iteration tests the same finding; what becomes of that decides what becomes of this.
    Waits(String),
    /// It does not hold any more: the rule, and why.
    Gone(&'static str, String),
}

/// The finding that a lever names.
pub(crate) fn named(lever: &Lever) -> Option<FindingNumber> {
    lever
        .literature
        .as_deref()
        .filter(|text| text.trim() != NONE)
        .and_then(|text| FindingNumber::parse(text.trim()))
}

/// The kinds that may rest on no finding.
fn may_say_none(kind: Kind) -> bool {
    matches!(kind, Kind::Simplification | Kind::Ablation | Kind::Instrumentation)
}

impl Campaign {
    /// What is wrong with a proposed lever's basis, if anything is.
    pub(crate) fn basis_problem(&self, lever: &Lever) -> Option<Refusal> {
        let refuse =
            |rule, problem: String| Some(Refusal::Lever { rule, field: "literature".to_owned(), problem });
        let given = lever.literature.as_deref().map(str::trim);
        if self.bindings.literature == Dial::Off {
            return match given {
                None | Some(NONE) => None,
                Some(_) => {
                    refuse("P37", "names a finding, and the campaign has `literature: off`".to_owned())
                }
            };
        }
        match given {
            None => refuse(
                "P37",
                "is missing; name a kept finding such as F3 (`windlass findings list C` shows them)"
                    .to_owned(),
            ),
            Some(NONE) if may_say_none(lever.kind) || self.literature.last_review_kept == Some(0) => None,
            Some(NONE) => refuse(
                "P37",
                "is `none`, which only a simplification, an ablation, instrumentation or a lever after a \
                 review that kept nothing may say; name a kept finding such as F3"
                    .to_owned(),
            ),
            Some(text) => match named(lever) {
                None => refuse("P37", format!("{text:?} is no finding; write one such as F3, or `none`")),
                Some(finding) => match self.finding_stands(finding) {
                    Ok(()) => None,
                    Err((rule, why)) => refuse(rule, why),
                },
            },
        }
    }

    /// The same when a lever's turn has come.
    pub(crate) fn basis_holds(&self, entry: &LeverEntry) -> Basis {
        let Some(finding) = named(&entry.document).filter(|_| self.bindings.literature == Dial::On) else {
            return Basis::Holds;
        };
        match (self.finding_stands(finding), self.literature.tested_by(finding)) {
            (Err((rule, why)), _) => Basis::Gone(rule, format!("its finding {why}")),
            (Ok(()), Some(open)) => Basis::Waits(format!("for iteration {open}, which tests {finding}")),
            (Ok(()), None) => Basis::Holds,
        }
    }

    /// Whether a finding may be built on, or the rule and the words that say why not (P34, P36).
    fn finding_stands(&self, finding: FindingNumber) -> Result<(), (&'static str, String)> {
        let literature = &self.literature;
        let Some(kept) = literature.kept.get(&finding) else {
            let ended = literature.ended(finding);
            return Err(match literature.over.get(&finding) {
                None => (
                    "P37",
                    format!("{finding} is not in the corpus; `windlass findings add C FILE` adds one"),
                ),
                Some(Over::Rejected) => {
                    ("P34", format!("{finding} was rejected; `windlass findings list C` says why"))
                }
                Some(Over::Stale) => {
                    ("P36", format!("{finding} is stale; review the literature anew if it holds still"))
                }
                Some(Over::NoEffect | Over::Hurt) => (
                    "P34",
                    format!(
                        "{finding} was tested already: {ended}; a new finding may say why it differs now"
                    ),
                ),
                Some(Over::Helped | Over::Pending) => {
                    ("P37", format!("{finding} was {ended} when its campaign stopped"))
                }
            });
        };
        if kept.has_helped {
            return Ok(());
        }
        match literature.repeats(&kept.document) {
            Some(repeats) => Err(("P34", format!("{finding} does not pass the gate any more: {repeats}"))),
            None => Ok(()),
        }
    }

    /// The findings on which a lever rests that has yet to be decided: in line, held or being tested.
    pub(crate) fn cited(&self) -> BTreeSet<FindingNumber> {
        let is_live = |entry: &&LeverEntry| {
            matches!(entry.state, LeverState::Queued | LeverState::Held { .. } | LeverState::Pulled { .. })
        };
        self.levers.values().filter(is_live).filter_map(|entry| named(&entry.document)).collect()
    }
}
