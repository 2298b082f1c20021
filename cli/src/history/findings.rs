//! A campaign's findings, folded from their records: the rows of `corpus.tsv` and of `findings list`.

use crate::client::Client;
use crate::error::Error;
use serde::Serialize;
use std::collections::BTreeMap;
use windlass_proto::document;
use windlass_proto::v1::ListFindingsRequest;
use windlass_shared::id::{FindingNumber, IterationNumber};
use windlass_shared::literature::{Effect, Finding, Relevance, Scope, Verdict};
use windlass_shared::record::{Body, Record};

/// Every finding by its number.
pub type Findings = BTreeMap<FindingNumber, FindingStory>;

/// One finding.
#[derive(Clone, Debug, PartialEq)]
pub struct FindingStory {
    /// As it was handed over.
    pub document: Finding,
    /// The iteration that its review was made for.
    pub review: IterationNumber,
    /// What it holds for.
    pub scope: Scope,
    /// Whether a lever may cite it.
    pub verdict: Verdict,
    /// Why not.
    pub reasons: Vec<String>,
    /// What became of it.
    pub result: Effect,
    /// The iteration that put it to the test.
    pub tested_by: Option<IterationNumber>,
    /// Why its result is what it is.
    pub why: Option<String>,
    /// When it was recorded, milliseconds since the epoch.
    pub recorded_wall_ms: i64,
}

/// A finding as a document.
#[derive(Debug, Serialize)]
pub struct Row<'a> {
    finding: FindingNumber,
    review: IterationNumber,
    level: u8,
    paper_id: Option<&'a str>,
    title: &'a str,
    scope: &'a str,
    relevance: Relevance,
    verdict: Verdict,
    reasons: &'a [String],
    implemented: bool,
    result: Effect,
    tested_by: Option<IterationNumber>,
    why: Option<&'a str>,
    claim: &'a str,
    proposed_change: &'a str,
    files_to_edit: &'a [String],
    how_to_verify: Option<&'a str>,
    recorded_wall_ms: i64,
}

impl FindingStory {
    /// Whether a lever that rests on it was run (the column `implemented`).
    pub fn is_implemented(&self) -> bool {
        self.result.is_tested()
    }

    /// As a document.
    pub fn row(&self, finding: FindingNumber) -> Row<'_> {
        let document = &self.document;
        Row {
            finding,
            review: self.review,
            level: document.abstraction_level,
            paper_id: document.paper().map(|(_, id)| id),
            title: document.title(),
            scope: self.scope.as_str(),
            relevance: document.evidence.strength.relevance(),
            verdict: self.verdict,
            reasons: &self.reasons,
            implemented: self.is_implemented(),
            result: self.result,
            tested_by: self.tested_by,
            why: self.why.as_deref(),
            claim: &document.claim,
            proposed_change: &document.proposed_change,
            files_to_edit: &document.files_to_edit,
            how_to_verify: document.how_to_verify.as_deref(),
            recorded_wall_ms: self.recorded_wall_ms,
        }
    }
}

/// Goes on with one more record; those that are not about findings tell nothing here.
pub fn add(findings: &mut Findings, record: &Record) {
    match &record.body {
        Body::FindingRecorded { finding, review, document, scope, verdict, reasons } => {
            let story = FindingStory {
                document: (**document).clone(),
                review: *review,
                scope: scope.clone(),
                verdict: *verdict,
                reasons: reasons.clone(),
                result: Effect::Pending,
                tested_by: None,
                why: None,
                recorded_wall_ms: record.wall_ms,
            };
            findings.insert(*finding, story);
        }
        Body::FindingMarked { finding, result, iteration, why } => {
            if let Some(story) = findings.get_mut(finding) {
                story.result = *result;
                story.tested_by = iteration.or(story.tested_by);
                story.why = Some(why.clone());
            }
        }
        _ => {}
    }
}

/// All of a campaign's findings, page after page.
pub async fn findings(client: &Client, campaign: &str) -> Result<(String, Findings), Error> {
    let mut findings = Findings::new();
    let mut page_token = String::new();
    loop {
        let request = ListFindingsRequest { campaign: campaign.to_owned(), page_token };
        let answer = client.campaigns().list_findings(request).await?.into_inner();
        for bytes in &answer.record_documents {
            add(&mut findings, &document::read("record_documents", bytes)?);
        }
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            return Ok((answer.campaign, findings));
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// A finding of this title and strength.
    pub fn test_finding(title: &str, strength: &str) -> Value {
        json!({
            "question": "does warmup help?", "abstraction_level": 2, "claim": "warmup steadies the start",
            "evidence": {"strength": strength},
            "citations": [{"title": title, "arxiv_id": "1810.13243"}],
            "applicability_to_our_setup": "the same small batches",
            "proposed_change": "warm the rate up over 3 epochs", "files_to_edit": ["train.py"],
            "how_to_verify": "the loss of the first epochs falls", "verdict": "keep",
        })
    }

    /// The record of a finding, kept where no reason speaks against it.
    pub fn finding_added(number: u32, document: Value, scope: &str, reasons: &[&str]) -> Record {
        let verdict = if reasons.is_empty() { Verdict::Keep } else { Verdict::Reject };
        let body = Body::FindingRecorded {
            finding: FindingNumber(number),
            review: IterationNumber(2),
            document: Box::new(serde_json::from_value(document).expect("a finding")),
            scope: Scope::parse(scope).expect("a scope"),
            verdict,
            reasons: reasons.iter().map(|reason| (*reason).to_owned()).collect(),
        };
        let (campaign, request) = (Some("digits-0a1b2c".into()), None);
        Record { seq: u64::from(number), wall_ms: 1_767_225_600_000, campaign, request, body }
    }
}
