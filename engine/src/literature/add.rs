//! A review comes in: every finding is recorded, kept or rejected (P33, P34).

use crate::campaign::Campaign;
use crate::gate::editable::Editable;
use windlass_shared::bindings::Dial;
use windlass_shared::id::{FindingNumber, IterationNumber};
use windlass_shared::literature::{FINDINGS_MAX, Review, Scope, Verdict};
use windlass_shared::record::{Answer, Body};
use windlass_shared::refusal::Refusal;

/// Findings that one campaign keeps whole, because a lever may still cite them: a few megabytes.
const KEPT_MAX: usize = 1_000;

/// Records a review with the scope of each finding.
///
/// # Errors
/// Where the campaign takes no findings, or no more.
pub fn add(campaign: &Campaign, review: Review, scopes: &[Scope]) -> Result<(Answer, Vec<Body>), Refusal> {
    if campaign.bindings.literature == Dial::Off {
        return Err(Refusal::Settled {
            rule: "P33",
            what: format!("campaign {}", campaign.id),
            state: "has `literature: off` and takes no findings".to_owned(),
            remedy: "submit a campaign whose file says `literature: on`",
        });
    }
    if scopes.len() != review.findings.len() || review.findings.len() > FINDINGS_MAX {
        let problem = format!("{} for {} findings", scopes.len(), review.findings.len());
        return Err(Refusal::Malformed { field: "scopes", problem });
    }
    let literature = &campaign.literature;
    let figure = literature.kept.len() + review.findings.len();
    if figure > KEPT_MAX {
        let what = "the number of findings that wait".to_owned();
        return Err(Refusal::TooMuch { what, figure: figure as u64, limit: KEPT_MAX as u64 });
    }
    let editable = Editable::new(&campaign.bindings.editable_files)?;
    let made_for = IterationNumber(review.iteration);
    let first = literature.next();
    let count = review.findings.len() as u32;
    let numbers = (first.0..).map(FindingNumber);
    let findings = numbers.zip(review.findings).zip(scopes).map(|((finding, document), scope)| {
        let reasons = literature.reasons_against(&document, &editable);
        let verdict = if reasons.is_empty() { Verdict::Keep } else { Verdict::Reject };
        let (document, scope) = (Box::new(document), scope.clone());
        Body::FindingRecorded { finding, review: made_for, document, scope, verdict, reasons }
    });
    let findings: Vec<Body> = findings.collect();
    let is_kept = |body: &&Body| matches!(body, Body::FindingRecorded { verdict: Verdict::Keep, .. });
    let kept = findings.iter().filter(is_kept).count() as u32;
    let review = Body::ReviewRecorded {
        review: made_for,
        research_scale: review.research_scale,
        questions: review.questions_asked,
        summary: review.summary,
        kept,
        rejected: count - kept,
    };
    let records = std::iter::once(review).chain(findings).collect();
    Ok((Answer::Findings { first, count }, records))
}

impl Campaign {
    /// What a campaign takes along that stands in the place of this one (P1): the findings that may be cited,
    /// under their numbers, so that its levers go on resting on them.
    pub(crate) fn findings_taken(&self) -> Vec<Body> {
        let literature = &self.literature;
        let mut bodies: Vec<Body> = literature
            .kept
            .iter()
            .map(|(finding, kept)| Body::FindingRecorded {
                finding: *finding,
                review: kept.review,
                document: kept.document.clone(),
                scope: kept.scope.clone(),
                verdict: Verdict::Keep,
                reasons: Vec::new(),
            })
            .collect();
        if let Some(kept) = literature.last_review_kept {
            let review = Body::ReviewRecorded {
                review: IterationNumber::BASELINE,
                research_scale: None,
                questions: Vec::new(),
                summary: Some(format!("taken along from campaign {}", self.id)),
                kept,
                rejected: 0,
            };
            bodies.insert(0, review);
        }
        bodies
    }
}
