//! What a record needs of the stores: which blobs for ever, which for as long as the evidence of its
//! iteration is kept. Backups copy by it and `gc` marks by it, so that every kind of record is looked at.

use crate::attempt::Outcome;
use crate::digest::Digest;
use crate::foreign::Foreign;
use crate::plan;
use crate::record::Body;
use serde::{Deserialize, Serialize};

/// A part of an iteration's evidence that has a retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// The logs of its attempts.
    Logs,
    /// What its scripts and its runs wrote into the results folder.
    Outputs,
    /// The files of its workspace that were kept.
    Artifacts,
}

impl Evidence {
    /// The word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Outputs => "outputs",
            Self::Artifacts => "artifacts",
        }
    }
}

/// How a blob is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// By itself.
    Blob(Digest),
    /// As a manifest: with it, everything that it names.
    Tree(Digest),
}

/// What one record refers to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    /// What a ledger row can be rebuilt from (P28): never removed.
    pub lasting: Vec<Reference>,
    /// Evidence, by its part; removed when its retention is over.
    pub evidence: Vec<(Evidence, Reference)>,
}

impl Body {
    /// The blobs that this record names and that must be durable before it (I16): trees, change,
    /// scripts, outputs.
    pub fn blobs(&self) -> Vec<Digest> {
        use crate::lever::Change;
        match self {
            Self::CampaignCreated { bindings, tree, cap, git, .. } => {
                let submitted = cap.as_ref().map(|cap| cap.submitted);
                std::iter::once(*tree)
                    .chain(submitted)
                    .chain(git.iter().map(|git| git.listing))
                    .chain(bindings.blobs())
                    .collect()
            }
            Self::LedgerImported { .. } => vec![Foreign::tree()],
            Self::LeverQueued { document, base, changed, .. } => {
                let mut blobs = vec![*base, *changed];
                blobs.extend(document.blobs());
                blobs
            }
            Self::IterationOpened { tree, .. } => vec![*tree],
            Self::FixApplied { tree, change, .. } => {
                let mut blobs = vec![*tree];
                blobs.extend(change.iter().flat_map(Change::blobs));
                blobs
            }
            Self::DeliverableAdded { deliverable, .. } => {
                plan::blobs(std::slice::from_ref(deliverable)).collect()
            }
            Self::AttemptEnded { outcome, .. } => outcome.blobs().collect(),
            Self::DeliverableAccepted { digest, .. } => vec![*digest],
            _ => Vec::new(),
        }
    }

    /// The blobs that this record refers to, sorted by how long they are needed.
    pub fn references(&self) -> References {
        let mut found = References::default();
        match self {
            Self::CampaignCreated { bindings, tree, cap, git, .. } => {
                found.lasting.extend(git.iter().map(|git| Reference::Blob(git.listing)));
                found.lasting.push(Reference::Tree(*tree));
                found.lasting.extend(cap.iter().map(|cap| Reference::Tree(cap.submitted)));
                found.lasting.extend(bindings.blobs().map(Reference::Blob));
            }
            Self::LedgerImported { .. } => found.lasting.push(Reference::Tree(Foreign::tree())),
            Self::LeverQueued { base, changed, .. } => {
                found.lasting.extend([Reference::Tree(*base), Reference::Tree(*changed)]);
                // The change itself, fixes and scripts.
                found.lasting.extend(self.blobs().into_iter().map(Reference::Blob));
            }
            Self::IterationOpened { tree, plan, .. } => {
                found.lasting.push(Reference::Tree(*tree));
                found.lasting.extend(plan::blobs(plan).map(Reference::Blob));
            }
            Self::FixApplied { tree, .. } => {
                found.lasting.push(Reference::Tree(*tree));
                // The change itself.
                found.lasting.extend(self.blobs().into_iter().map(Reference::Blob));
            }
            Self::DeliverableAdded { deliverable, .. } => {
                found.lasting.extend(plan::blobs(std::slice::from_ref(deliverable)).map(Reference::Blob));
            }
            Self::AttemptEnded { outcome, .. } => found.evidence.extend(evidence(outcome)),
            Self::DeliverableAccepted { digest, .. } => {
                found.evidence.push((Evidence::Outputs, Reference::Blob(*digest)));
            }
            // What an order names stands in the records before it.
            Self::AttemptLeased { .. }
            | Self::IncarnationStarted { .. }
            | Self::CampaignPaused { .. }
            | Self::CampaignResumed {}
            | Self::CampaignStopped { .. }
            | Self::CampaignUpdated { .. }
            | Self::LeverMoved { .. }
            | Self::LeverRequeued { .. }
            | Self::IterationCancelled { .. }
            | Self::DeviceReleased { .. }
            | Self::LeverRefused { .. }
            | Self::QuotaSet { .. }
            | Self::LeverPassed { .. }
            | Self::LeverHeld { .. }
            | Self::LeverRetired { .. }
            | Self::ReportSuperseded { .. }
            | Self::ConclusionWritten { .. }
            | Self::IterationDecided { .. }
            | Self::ReviewRecorded { .. }
            | Self::FindingRecorded { .. }
            | Self::FindingMarked { .. }
            | Self::WorkerDrained { .. }
            | Self::WorkerUndrained { .. }
            | Self::EvidenceRemoved { .. }
            | Self::RequestAnswered {} => {}
        }
        found
    }
}

fn evidence(outcome: &Outcome) -> Vec<(Evidence, Reference)> {
    let results = outcome.results.map(|tree| (Evidence::Outputs, Reference::Tree(tree)));
    // What a scorer reads is kept as long: it may be scored anew elsewhere, after a machine's failure.
    let artifacts = outcome.artifacts.into_iter().chain(outcome.score_artifact);
    let artifacts = artifacts.map(|tree| (Evidence::Artifacts, Reference::Tree(tree)));
    let outputs = outcome.outputs.iter().filter_map(|output| output.digest);
    let outputs = outputs.map(|digest| (Evidence::Outputs, Reference::Blob(digest)));
    let log = outcome.log.map(|digest| (Evidence::Logs, Reference::Blob(digest)));
    results.into_iter().chain(artifacts).chain(outputs).chain(log).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::{AttemptKey, Ending, Kind, Output};
    use crate::id::{AttemptId, FencingNumber, Incarnation, LeverNumber, WorkerId};
    use crate::lever::Lever;
    use crate::path::TreePath;
    use std::collections::BTreeSet;

    /// Every digest that stands anywhere in a document.
    fn digests(value: &serde_json::Value) -> BTreeSet<Digest> {
        match value {
            serde_json::Value::String(text) => Digest::parse(text).into_iter().collect(),
            serde_json::Value::Array(all) => all.iter().flat_map(digests).collect(),
            serde_json::Value::Object(all) => all.values().flat_map(digests).collect(),
            _ => BTreeSet::new(),
        }
    }

    #[test]
    fn i16_every_blob_that_a_lever_names_must_be_there_before_it_and_is_kept_for_ever() {
        let digest = |text: &str| Digest::of(text.as_bytes()).to_string();
        let lever = serde_json::json!({
            "title": "t", "files": ["a.py"], "prediction": "p",
            "change": {"files": {"a.py": {"write": digest("a file")}}},
            "instrumentation": digest("what only logs"),
            "fixes": [{"trigger": {"on": "out_of_memory"}, "patch": digest("a fix")}],
            "analysis": [{"script": {"name": "s.py", "digest": digest("a script")}, "output": "o.tsv",
                "dimension": "d", "question": "q", "if_helped": "h", "if_not": "n"}],
        });
        let lever: Lever = serde_json::from_value(lever).expect("a lever");
        let named = digests(&serde_json::to_value(&lever).expect("a document"));
        assert_eq!(named.len(), 4, "the fields above, and what has been added since");
        assert_eq!(lever.blobs().into_iter().collect::<BTreeSet<_>>(), named);
        let queued = Body::LeverQueued {
            lever: LeverNumber(1),
            document: Box::new(lever),
            base: Digest::of(b"base"),
            changed: Digest::of(b"changed"),
            pin: None,
            diff: Digest::of(b"diff").hash,
            cited: Vec::new(),
        };
        let durable: BTreeSet<Digest> = queued.blobs().into_iter().collect();
        assert!(named.is_subset(&durable), "{durable:?}");
        let lasting = queued.references().lasting.into_iter().map(|reference| match reference {
            Reference::Blob(digest) | Reference::Tree(digest) => digest,
        });
        assert!(named.is_subset(&lasting.collect()), "`gc` takes none of them");
    }

    #[test]
    fn i16_every_blob_that_an_attempts_end_names_must_be_there_before_it_and_is_evidence() {
        let digest = |text: &str| Digest::of(text.as_bytes());
        let output = Output {
            path: TreePath::parse("loss.tsv").expect("a path"),
            digest: Some(digest("an output")),
            first_line: String::new(),
            problem: None,
        };
        let outcome = Outcome {
            results: Some(digest("results")),
            log: Some(digest("log")),
            artifacts: Some(digest("artifacts")),
            score_artifact: Some(digest("what is scored")),
            outputs: vec![output],
            ..Outcome::bare(Ending::Finished)
        };
        let key = AttemptKey {
            id: AttemptId::parse("c/1/1").expect("a literal"),
            fence: FencingNumber { incarnation: Incarnation(1), n: 1 },
        };
        let ended = Body::AttemptEnded {
            attempt: key.id,
            fence: key.fence,
            attempt_kind: Kind::Run,
            worker: WorkerId("w".to_owned()),
            devices: Vec::new(),
            outcome: Box::new(outcome),
        };
        let named = digests(&serde_json::to_value(&ended).expect("a document"));
        assert_eq!(named.len(), 5, "the fields above, and what has been added since");
        let durable: BTreeSet<Digest> = ended.blobs().into_iter().collect();
        assert_eq!(durable, named);
        let kept = ended.references().evidence.into_iter().map(|(_, reference)| match reference {
            Reference::Blob(digest) | Reference::Tree(digest) => digest,
        });
        assert_eq!(kept.collect::<BTreeSet<_>>(), named);
    }
}
