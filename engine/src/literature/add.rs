//! A review comes in: every finding is recorded, kept or rejected (P33, P34).

use super::corpus::bytes_of;
use crate::campaign::Campaign;
use crate::gate::editable::Editable;
use windlass_shared::bindings::Dial;
use windlass_shared::id::{FindingNumber, IterationNumber};
use windlass_shared::literature::{FINDINGS_MAX, Review, Scope, Verdict};
use windlass_shared::record::{Answer, Body};
use windlass_shared::refusal::Refusal;

/// Findings that one campaign keeps whole, because a lever may still cite them: more than anybody cites.
const KEPT_MAX: u64 = 1_000;
/// And what they may take as JSON, bytes: a thousand of 8 KiB. One alone may have two megabytes.
const KEPT_MAX_BYTES: u64 = 8 << 20;
/// Findings of one campaign, whatever became of them: five bytes each stay in memory.
const FINDINGS_EVER_MAX: u64 = 100_000;

/// Records a review with the scope of each finding.
///
/// # Errors
/// Where the campaign takes no findings, or no more of them.
pub fn add(campaign: &Campaign, review: Review, scopes: &[Scope]) -> Result<(Answer, Vec<Body>), Refusal> {
    if campaign.bindings.literature == Dial::Off {
        return Err(Refusal::Settled {
            rule: "P33",
            what: format!("campaign {}", campaign.id),
            state: "has `literature: off` and takes no findings".to_owned(),
            remedy: "submit a campaign whose file says `literature: on`",
        });
    }
    if campaign.is_stopped() {
        return Err(Refusal::State {
            what: format!("campaign {}", campaign.id),
            state: "stopped".to_owned(),
            wanted: "its levers are not pulled any more; hand the review to the campaign that goes on",
        });
    }
    if scopes.len() != review.findings.len() || review.findings.len() > FINDINGS_MAX {
        let problem = format!("{} for {} findings", scopes.len(), review.findings.len());
        return Err(Refusal::Malformed { field: "scopes", problem });
    }
    let literature = &campaign.literature;
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
    let kept = findings.iter().filter_map(kept_bytes);
    let (kept, bytes) = kept.fold((0, 0), |(kept, bytes), own| (kept + 1, bytes + own));
    let (waiting, waiting_bytes) = (literature.kept.len() as u64, literature.kept_bytes());
    within("the number of findings that wait", waiting + u64::from(kept), KEPT_MAX)?;
    within("the text of the findings that wait, in bytes,", waiting_bytes + bytes, KEPT_MAX_BYTES)?;
    within("the number of this campaign's findings", u64::from(first.0 - 1 + count), FINDINGS_EVER_MAX)?;
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

/// The bytes of a finding's document, if it was kept.
fn kept_bytes(body: &Body) -> Option<u64> {
    match body {
        Body::FindingRecorded { verdict: Verdict::Keep, document, .. } => Some(bytes_of(document)),
        _ => None,
    }
}

fn within(what: &str, figure: u64, limit: u64) -> Result<(), Refusal> {
    if figure > limit { Err(Refusal::TooMuch { what: what.to_owned(), figure, limit }) } else { Ok(()) }
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
