//! The loop's own ends, and what its gatherers say of what cannot be gathered.

use super::gather::{self, Finding};
use super::*;
use crate::blobs::Blobs;
use crate::ledger::Batch;
use crate::logs::Logs;
use crate::space;
use std::path::Path;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use windlass_engine::gate::facts::{self, FixWanted, Merged, ProposalWanted, PullWanted};
use windlass_shared::id::{IterationNumber, LeverNumber};
use windlass_shared::lever::Change;
use windlass_shared::record::{Body, Record};
use windlass_shared::reference::Evidence;
use windlass_shared::space::Marks;

fn stores(folder: &Path, writer: &Writer) -> Stores {
    let readers = ledger::open(folder, |_| {}).expect("open").readers;
    let blobs = Blobs::open(&folder.join("blobs"), readers.clone(), writer.blob_writer()).expect("open");
    let secrets = crate::secrets::Store::open(folder).expect("open");
    Stores { readers, blobs, logs: Logs::new(folder.join("logs")), secrets }
}

#[tokio::test]
async fn i17_a_loop_whose_writer_has_ended_ends_with_an_error() {
    let folder = tempfile::tempdir().expect("tempdir");
    let (writer, stalled) = Writer::stalled();
    let stores = stores(folder.path(), &writer);
    let space = space::look(folder.path(), Marks::default()).expect("a disk");
    let (_told, space) = watch::channel(space);
    let tasks = Tasks::new(CancellationToken::new());
    let (driver, _handle) = Driver::new(Core::new(), writer, stores, tasks, space);
    drop(stalled);
    let ended = tokio::time::timeout(Duration::from_secs(20), driver.run()).await.expect("it ends");
    assert!(matches!(ended, Err(Error::Writer(ledger::Error::WriterEnded))), "{ended:?}");
}

async fn seen(stores: &Stores, wanted: Wanted) -> Observation {
    match gather::wanted(stores.clone(), wanted).await.finding {
        Finding::Seen(seen) => *seen,
        _ => panic!("what the core wants is seen by the core"),
    }
}

#[tokio::test]
async fn what_can_never_be_gathered_is_a_refusal_and_what_may_come_is_wanted_again() {
    let folder = tempfile::tempdir().expect("tempdir");
    let (writer, _stalled) = Writer::stalled();
    let stores = stores(folder.path(), &writer);
    let absent = Digest::of(b"never sent");
    let huge = Digest { size_bytes: 1 << 40, ..absent };
    let pull = |parent: Digest, editable: &str| {
        Wanted::Pull(Box::new(PullWanted {
            campaign: "digits-1".into(),
            lever: LeverNumber(1),
            parent,
            best: None,
            base: parent,
            changed: parent,
            instrumentation: None,
            files: Vec::new(),
            anchor: None,
            editable: vec![editable.to_owned()],
            evidence: None,
            cap: None,
        }))
    };
    for (wanted, reason) in [(pull(absent, "../x"), "BINDING"), (pull(huge, "train.py"), "TOO_MUCH")] {
        let Observation::Pull(facts) = seen(&stores, wanted).await else { panic!("not {reason}") };
        let Merged::Refused(refusal) = &facts.merged else { panic!("{facts:?}") };
        assert_eq!((refusal.reason(), facts.lever), (reason, LeverNumber(1)));
    }
    let fix = Wanted::Fix(Box::new(FixWanted {
        campaign: "digits-1".into(),
        iteration: IterationNumber(2),
        fix: 0,
        change: Change::Patch(absent),
        tree: huge,
        written_on: absent,
        net_lines: 0,
        editable: vec!["train.py".to_owned()],
        cap: None,
    }));
    let Observation::Fix(facts) = seen(&stores, fix).await else { panic!("not a fix's facts") };
    assert_eq!(facts.applied.as_ref().map_err(Refusal::reason), Err("TOO_MUCH"));
    let later = seen(&stores, pull(absent, "train.py")).await;
    assert!(matches!(later, Observation::GatherFailed(_)), "{later:?}");
}

/// A ledger whose one record removed a part of iteration 3's evidence.
async fn removed(folder: &Path, evidence: Evidence) {
    let ledger = ledger::open(folder, |_| {}).expect("open");
    let why = format!("{} are kept for 30 d", evidence.as_str());
    let body = Body::EvidenceRemoved { iteration: IterationNumber(3), evidence, bytes: 7, why };
    let campaign = Some("digits-1".into());
    let record = Record { seq: 1, wall_ms: 1_767_225_600_000, campaign, request: None, body };
    let mut durable = ledger.writer.durable();
    ledger.writer.append(Batch { records: vec![record], blobs: Vec::new() }).expect("handed over");
    durable.wait_for(|durable| durable.seq == 1).await.expect("the writer lives");
}

#[tokio::test]
async fn p6_an_anchor_in_evidence_that_was_removed_is_refused_with_the_day_and_the_rule() {
    for (evidence, file, want) in [
        (Evidence::Outputs, "loss.tsv", "REMOVED"),
        (Evidence::Logs, "run.log", "REMOVED"),
        // The other part is there still: what is wrong is something else.
        (Evidence::Logs, "loss.tsv", "ABSENT_BLOB"),
    ] {
        let folder = tempfile::tempdir().expect("tempdir");
        removed(folder.path(), evidence).await;
        let (writer, _stalled) = Writer::stalled();
        let stores = stores(folder.path(), &writer);
        let lever = serde_json::json!({
            "title": "t", "files": ["train.py"], "change": {"files": {}}, "prediction": "p",
            "anchor": {"file": file, "pattern": "x", "iteration": 3},
        });
        let absent = Digest::of(b"removed");
        let wanted = ProposalWanted {
            campaign: "digits-1".into(),
            lever: serde_json::from_value(lever).expect("a lever"),
            cap: None,
            parent: absent,
            workspace: absent,
            editable: vec!["train.py".to_owned()],
            evidence: Some(facts::Evidence {
                iteration: IterationNumber(3),
                results: Some(absent),
                log: None,
            }),
        };
        let Finding::Proposal(Err(rejected)) = gather::proposal(stores, wanted, Vec::new()).await.finding
        else {
            panic!("not refused")
        };
        let reasons: Vec<&str> = rejected.problems.iter().map(Refusal::reason).collect();
        assert_eq!(reasons, [want], "{evidence:?} {file}");
        let said = rejected.problems[0].to_string();
        assert_eq!(said.contains("removed on 2026-01-01"), want == "REMOVED", "{said}");
    }
}

#[tokio::test]
async fn a_panic_is_caught_wherever_it_happens() {
    assert_eq!(tasks::caught(async { 7 }).await, Ok(7));
    let here = async {
        tokio::task::yield_now().await;
        panic!("on purpose")
    };
    assert_eq!(tasks::caught::<()>(here).await, Err(tasks::Panicked));
    let there = blocking(|| panic!("on purpose"));
    assert_eq!(tasks::caught::<()>(there).await, Err(tasks::Panicked));
}
