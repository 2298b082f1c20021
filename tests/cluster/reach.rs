//! What a worker may name in an outcome: blobs that it has sent, that came with the report, or that its orders and its
//! campaign name. A digest that it knows from elsewhere brings nothing into anybody's reach.

use crate::access_table::{call, join, lease, submit, sync};
use crate::harness::Fleet;
use crate::joining::TLS;
use prost::Message;
use prost::bytes::Bytes;
use tonic::Code;
use tonic::transport::Channel;
use windlass_coordinator::grpc::access::TABLE;
use windlass_proto::v1;
use windlass_shared::attempt::{AttemptKey, Ending, Outcome, Phase};
use windlass_shared::digest::Digest;
use windlass_shared::path::TreePath;
use windlass_shared::session::{AttemptReport, Report};
use windlass_shared::tree::{Manifest, Node};

const SECRET: &[u8] = b"what nobody but ada has\n";

fn file(digest: Digest) -> Node {
    Node::File { digest, executable: false }
}

/// A tree with one file.
fn tree(digest: Digest) -> Manifest {
    let path = TreePath::parse("weights.bin").expect("a path");
    Manifest { entries: [(path, file(digest))].into() }
}

fn ended(key: &AttemptKey, outcome: Outcome) -> AttemptReport {
    AttemptReport { key: key.clone(), phase: Phase::Ended(Box::new(outcome)) }
}

fn crash() -> Outcome {
    Outcome::bare(Ending::Crashed { code: Some(1), signal: None })
}

async fn reads(channel: &Channel, digest: Digest) -> bool {
    let row = TABLE.iter().find(|row| row.call == "ArtifactService/Read").expect("its row");
    let asked = v1::ReadRequest { digests: vec![digest.to_string()], ..Default::default() }.encode_to_vec();
    match call(channel, row, asked).await {
        Ok(_) => true,
        Err(status) if status.code() == Code::NotFound => false,
        Err(status) => panic!("{status:?}"),
    }
}

async fn write(channel: &Channel, bytes: &'static [u8]) {
    let row = TABLE.iter().find(|row| row.call == "ArtifactService/Write").expect("its row");
    let sent = v1::WriteRequest { digest: Digest::of(bytes).to_string(), data: Bytes::from_static(bytes) }
        .encode_to_vec();
    call(channel, row, sent).await.expect("stored");
}

/// Says that the attempt has ended so, and waits until the coordinator has said that it does not believe it.
async fn refused(
    fleet: &Fleet,
    channel: &Channel,
    report: &mut Report,
    end: AttemptReport,
    parcels: &[&[u8]],
) {
    let said = || {
        let log = std::fs::read_to_string(fleet.path("coordinator.log")).expect("a log");
        log.matches("neither sent nor was given").count()
    };
    let before = said();
    report.attempts = vec![end];
    let answer = sync(channel, report, parcels).await;
    assert_eq!(answer.acknowledged, [], "{}", fleet.logs());
    assert!(said() > before, "it is said which blob, and of whom{}", fleet.logs());
}

/// Proposes one lever after the other until one is refused; what is said then.
fn propose_until_refused(fleet: &Fleet, campaign: &str, project: &std::path::Path) -> String {
    let (mut number, mut refused) = (0, String::new());
    fleet.wait_until("a lever is refused", || {
        number += 1;
        let name = format!("lever-{number}");
        crate::project::Project::lever(project, &name, &format!("0.6{number:04}"));
        let file = project.join(format!("levers/{name}.yaml"));
        let output = fleet.client(&["lever", "add", campaign, file.to_str().expect("UTF-8")]);
        refused = String::from_utf8_lossy(&output.stderr).into_owned();
        !output.status.success()
    });
    refused
}

#[test]
fn i18_a_campaign_past_its_space_takes_no_new_work_and_says_figure_and_limit() {
    for (flag, what) in [("--campaign-logs-max", "bytes of logs"), ("--campaign-blobs-max", "bytes of blobs")]
    {
        let fleet = Fleet::new();
        let project = crate::project::Project::default().write(&fleet.path("project"));
        let _coordinator = fleet.coordinator_with(&[flag, "4"]);
        let _worker = fleet.worker("one");
        let campaign = fleet.submit(&project, false);
        fleet.wait_decided(&campaign, 1);
        let said = propose_until_refused(&fleet, &campaign, &project);
        assert!(said.contains(what) && said.contains("; at most 4 is taken"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_brings_no_digest_into_a_campaigns_reach_by_naming_it() {
    let fleet = Fleet::new();
    // A report that is not believed has nothing to be told, and hangs for two thirds of this.
    let flags = [&TLS[..], &["--worker-lost-after", "20 min"]].concat();
    let _coordinator = fleet.coordinator_with(&flags);
    let (ada, _) = join(&fleet, "client", "ada").await;
    let (eve, _) = join(&fleet, "client", "eve").await;
    let (worker, id) = join(&fleet, "worker", "gpu-1").await;
    let project = crate::project::Project::default().write(&fleet.path("of-ada"));
    std::fs::write(project.join("secret.txt"), SECRET).expect("written");
    let hers = submit(&fleet, "client-ada", &project);
    let (code, _, said) = fleet.run_as("client-ada", &["stop", &hers]);
    assert_eq!(code, 0, "{said}");
    let project = crate::project::Project::default().write(&fleet.path("of-eve"));
    submit(&fleet, "client-eve", &project);
    let secret = Digest::of(SECRET);
    assert!(reads(&ada, secret).await && !reads(&eve, secret).await);

    let (mut report, order) = lease(&worker, &id, "gpu-1").await;
    assert_ne!(order.key.id.campaign.as_str(), hers);
    // By itself, and in a tree that the worker brings along.
    let mut direct = crash();
    (direct.log, direct.log_bytes, direct.log_hash) = (Some(secret), SECRET.len() as u64, Some(secret.hash));
    refused(&fleet, &worker, &mut report, ended(&order.key, direct), &[]).await;
    let around = tree(secret);
    let bytes = around.to_bytes();
    let within = Outcome { results: Some(around.digest()), ..crash() };
    refused(&fleet, &worker, &mut report, ended(&order.key, within), &[bytes.as_slice()]).await;
    assert!(!reads(&eve, secret).await, "it is not there for her still");

    // What it sends, what comes with the report and what its order names it may name.
    let sent: &[u8] = b"what a run made\n";
    write(&worker, sent).await;
    let own = Manifest {
        entries: [("sent.txt", Digest::of(sent)), ("run.sh", file_of(&fleet, "of-eve/run.sh"))]
            .into_iter()
            .map(|(name, digest)| (TreePath::parse(name).expect("a path"), file(digest)))
            .collect(),
    };
    let bytes = own.to_bytes();
    let good = Outcome { results: Some(own.digest()), ..crash() };
    report.attempts = vec![ended(&order.key, good)];
    while !sync(&worker, &mut report, &[bytes.as_slice()]).await.acknowledged.contains(&order.key) {}
    assert!(reads(&eve, Digest::of(sent)).await, "her campaign's evidence is hers");
    assert!(!reads(&ada, Digest::of(sent)).await);
}

fn file_of(fleet: &Fleet, path: &str) -> Digest {
    Digest::of(&std::fs::read(fleet.path(path)).expect("a file"))
}
