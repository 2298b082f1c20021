//! What literature adds to the plan of a lever: the finding's verify-todo (P37) and the headroom probe (P38).

use super::basis::named;
use crate::campaign::{Campaign, LeverEntry};
use crate::gate::plan;
use windlass_shared::bindings::Dial;
use windlass_shared::id::{FindingNumber, IterationNumber};
use windlass_shared::lever::Kind;
use windlass_shared::literature::Finding;
use windlass_shared::path::TreePath;
use windlass_shared::plan::{Deliverable, Script};

/// The dimension of a campaign's headroom probe among its `diagnostics`.
pub(super) const HEADROOM: &str = "headroom";
/// Every so many iterations headroom is looked at.
const HEADROOM_EVERY: u32 = 10;
/// The longest text of an added row, characters.
const TEXT_MAX_CHARS: usize = 1_000;
/// Names that are tried for an output which others have taken.
const NAMES_MAX: u32 = 100;

impl Campaign {
    /// The plan of a lever that is opened as this iteration, with the rows that the coordinator adds. They
    /// count for no new dimension: what a lever is to teach was settled before (P13).
    pub(crate) fn with_literature(
        &self,
        entry: &LeverEntry,
        iteration: IterationNumber,
        mut rows: Vec<Deliverable>,
    ) -> Vec<Deliverable> {
        if self.bindings.literature == Dial::Off {
            return rows;
        }
        let cited = named(&entry.document);
        if let Some((number, kept)) =
            cited.and_then(|number| Some((number, self.literature.kept.get(&number)?)))
        {
            verify(number, &kept.document, &mut rows);
        }
        let is_due = entry.document.kind == Kind::Swing || iteration.0.is_multiple_of(HEADROOM_EVERY);
        let is_there = rows.iter().any(|row| row.dimension == HEADROOM);
        if let Some(probe) = self.headroom_probe().filter(|_| is_due && !is_there) {
            plan::add(&mut rows, probe.clone());
        }
        rows
    }

    /// The campaign's headroom probe.
    pub(crate) fn headroom_probe(&self) -> Option<&Deliverable> {
        self.bindings.windlass.diagnostics.iter().find(|row| row.dimension == HEADROOM)
    }
}

/// The dimension that answers a finding's verify-todo: `verify-f3`.
pub(super) fn verify_dimension(finding: FindingNumber) -> String {
    format!("verify-f{}", finding.0)
}

/// The verify-todo as a deliverable, unless the lever brings one of its dimension. Nobody but the researcher can
/// write the script that measures it, so the row asks the question of what every run leaves: its log.
fn verify(number: FindingNumber, finding: &Finding, rows: &mut Vec<Deliverable>) {
    let dimension = verify_dimension(number);
    let Some(todo) = finding.verify_todo().filter(|_| rows.iter().all(|row| row.dimension != dimension))
    else {
        return;
    };
    let short = |text: &str| text.chars().take(TEXT_MAX_CHARS).collect::<String>();
    let names = std::iter::once(format!("{dimension}.tsv"));
    let names = names.chain((2..NAMES_MAX).map(|n| format!("{dimension}-{n}.tsv")));
    for name in names {
        let row = Deliverable {
            script: Script::Named(Script::BUILTIN_LOG.to_owned()),
            output: TreePath::parse(&name).expect("letters, digits and dashes"),
            dimension: dimension.clone(),
            question: short(todo),
            if_helped: format!("it holds: {}", short(&finding.claim)),
            if_not: format!("{number} does not hold here"),
            compares: None,
        };
        if plan::add(rows, row) {
            return;
        }
    }
}
