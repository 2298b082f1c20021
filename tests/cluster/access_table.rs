//! Every call of the coordinator's one table, made by everybody over TLS: what becomes of it is what its row says.

use crate::harness::Fleet;
use crate::joining::{TLS, token};
use prost::Message;
use prost::bytes::{Buf, BufMut, Bytes};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use windlass_coordinator::grpc::access::{Row, TABLE, Verdict};
use windlass_proto::refusal::from_status;
use windlass_proto::v1;
use windlass_shared::access::Grant;
use windlass_shared::attempt::{AttemptKey, Ending, Order, Outcome, Phase};
use windlass_shared::device::{Device, DeviceKind, Load, WorkerInfo};
use windlass_shared::digest::Digest;
use windlass_shared::id::{SessionId, WorkerId};
use windlass_shared::join::JoinToken;
use windlass_shared::session::{Answer, AttemptReport, Report};
use windlass_shared::tree::Manifest;
use windlass_worker::identity::{self, Wanted};

/// Messages as the bytes that they are.
#[derive(Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;
    fn encoder(&mut self) -> Self {
        Self
    }
    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;
    fn encode(&mut self, item: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;
    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// What calls are about: ada's campaign, and the worker that runs it.
struct Subject {
    campaign: String,
    blob: String,
    worker: Report,
    order: Order,
}

/// Makes one call with one message, and takes the first that comes of it.
pub async fn call(channel: &Channel, row: &Row, message: Vec<u8>) -> Result<Bytes, Status> {
    let service = if row.call.starts_with("grpc.") { "" } else { "windlass.v1." };
    let path = format!("/{service}{}", row.call).parse().expect("a path");
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
    let mut request = Request::new(tokio_stream::once(Bytes::from(message)));
    request.set_timeout(Duration::from_secs(60));
    let mut answer = grpc.streaming(request, path, Raw).await?.into_inner();
    Ok(answer.message().await?.unwrap_or_default())
}

fn request_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// A message of a call that is about the subject.
fn message(row: &Row, subject: &Subject) -> Vec<u8> {
    let (campaign, id) = (subject.campaign.clone(), request_id());
    let number = |request_id: String| (request_id, campaign.clone());
    let lever = serde_json::json!({"title": "t", "files": ["params.sh"], "change": {"patch": subject.blob}, "prediction": "p"});
    let row_of_plan = serde_json::json!({"script": "builtin:log", "output": "l.tsv", "dimension": "d",
        "question": "q", "if_helped": "h", "if_not": "n"});
    let conclusion =
        serde_json::json!({"finding": "f", "bullets": ["a", "b", "c"], "deliverables": [], "examined": "e"});
    let key = Some(v1::AttemptKey::from(&subject.order.key));
    let bytes = |value: serde_json::Value| Bytes::from(value.to_string());
    match row.call.rsplit('/').next().expect("a call") {
        "Get" => v1::GetRequest { campaign, ..Default::default() }.encode_to_vec(),
        "Explain" => v1::ExplainRequest { name: campaign, part: None }.encode_to_vec(),
        "ListLevers" => v1::ListLeversRequest { campaign, ..Default::default() }.encode_to_vec(),
        "GetLever" => v1::GetLeverRequest { campaign, lever: 1 }.encode_to_vec(),
        "GetIteration" => {
            v1::GetIterationRequest { campaign, iteration: 1, page_token: String::new() }.encode_to_vec()
        }
        "ListIterations" => v1::ListIterationsRequest { campaign, page_token: String::new() }.encode_to_vec(),
        "ProposeLever" => {
            let (lever_document, researcher) = (bytes(lever), String::new());
            v1::ProposeLeverRequest { request_id: id, campaign, lever_document, researcher }.encode_to_vec()
        }
        "Claim" => v1::ClaimRequest { campaign, ..Default::default() }.encode_to_vec(),
        "RetryLever" => v1::RetryLeverRequest { request_id: id, campaign, lever: 1 }.encode_to_vec(),
        "RetireLever" => v1::RetireLeverRequest { request_id: id, campaign, lever: 1 }.encode_to_vec(),
        "MoveLever" => {
            let place = Some(v1::move_lever_request::Place::First(true));
            v1::MoveLeverRequest { request_id: id, campaign, lever: 1, place }.encode_to_vec()
        }
        "SubmitFix" => {
            let change_document = bytes(serde_json::json!({"patch": subject.blob}));
            v1::SubmitFixRequest { request_id: id, campaign, iteration: 1, change_document }.encode_to_vec()
        }
        "AddDeliverable" => {
            let deliverable_document = bytes(row_of_plan);
            v1::AddDeliverableRequest { request_id: id, campaign, iteration: 1, deliverable_document }
                .encode_to_vec()
        }
        "WriteConclusion" => {
            let conclusion_document = bytes(conclusion);
            v1::WriteConclusionRequest { request_id: id, campaign, iteration: 1, conclusion_document }
                .encode_to_vec()
        }
        "AddFindings" => {
            let finding = serde_json::json!({"question": "q", "abstraction_level": 1, "claim": "c",
                "evidence": {"strength": "weak"}, "citations": [{"title": "t"}], "proposed_change": "p",
                "verdict": "keep"});
            let review_document = bytes(serde_json::json!({"iteration": 1, "findings": [finding]}));
            v1::AddFindingsRequest { request_id: id, campaign, review_document, scopes: Vec::new() }
                .encode_to_vec()
        }
        "ListFindings" => v1::ListFindingsRequest { campaign, page_token: String::new() }.encode_to_vec(),
        "CancelIteration" => {
            v1::CancelIterationRequest { request_id: id, campaign, iteration: 9 }.encode_to_vec()
        }
        "GiveSecrets" => v1::GiveSecretsRequest { campaign, secrets: Default::default() }.encode_to_vec(),
        "Pause" | "Resume" | "Stop" => {
            let (request_id, campaign) = number(id);
            v1::PauseRequest { request_id, campaign }.encode_to_vec()
        }
        "Update" => v1::UpdateRequest { request_id: id, campaign, priority: Some(1), ..Default::default() }
            .encode_to_vec(),
        "Share" => {
            let (with, r#as) = ("carol".to_owned(), "read".to_owned());
            v1::ShareRequest { request_id: id, campaign, with, r#as }.encode_to_vec()
        }
        "Watch" if row.call.starts_with("Campaign") => {
            v1::WatchRequest { campaign, after_seq: 0, incarnation: 0, follow: false }.encode_to_vec()
        }
        // A number that is over is answered at once, and changes nothing.
        "Sync" => v1::SyncRequest { number: 0, ..v1::SyncRequest::from(&subject.worker) }.encode_to_vec(),
        "WriteLog" => {
            v1::WriteLogRequest { key, offset: 0, data: Bytes::from_static(b"a line\n") }.encode_to_vec()
        }
        "ReadLog" => v1::ReadLogRequest { campaign, iteration: 1, ..Default::default() }.encode_to_vec(),
        "FindMissing" => v1::FindMissingRequest { digests: vec![subject.blob.clone()] }.encode_to_vec(),
        "Read" => {
            v1::ReadRequest { digests: vec![subject.blob.clone()], at_hand: Vec::new() }.encode_to_vec()
        }
        "Write" => {
            let digest = Digest::of(b"a blob").to_string();
            v1::WriteRequest { digest, data: Bytes::from_static(b"a blob") }.encode_to_vec()
        }
        "CollectGarbage" => v1::CollectGarbageRequest { dry_run: true, ..Default::default() }.encode_to_vec(),
        "RevokeCertificates" => v1::RevokeCertificatesRequest { which: "nobody".to_owned() }.encode_to_vec(),
        // The others say nothing of anybody, or are refused for what they lack once they have been let in.
        _ => Vec::new(),
    }
}

/// What became of a call.
fn verdict(row: &Row, subject: &Subject, answer: &Result<Bytes, Status>) -> Verdict {
    match answer {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(bytes);
            let is_without = match row.call {
                "CampaignService/List" | "FleetService/GetUsage" => !text.contains(&subject.campaign),
                // It is asked to send what is there.
                "ArtifactService/FindMissing" => text.contains(&subject.blob),
                _ => false,
            };
            if is_without { Verdict::Hidden } else { Verdict::Yes }
        }
        Err(status) => {
            let received = from_status(status);
            match (status.code(), received.reason.as_str()) {
                (Code::Unauthenticated, _) | (Code::PermissionDenied, "NOT_ALLOWED") => Verdict::No,
                (Code::NotFound, _) => {
                    let kind = received.missing.map(|(kind, _)| kind).unwrap_or_default();
                    let hides = ["campaign", "campaign or worker", "worker", "attempt", "blob", "log"];
                    if hides.contains(&kind.as_str()) { Verdict::Hidden } else { Verdict::Yes }
                }
                (Code::Unavailable | Code::Internal | Code::DeadlineExceeded | Code::Cancelled, _) => {
                    panic!("{}: {status:?}", row.call)
                }
                _ => Verdict::Yes,
            }
        }
    }
}

pub async fn join(fleet: &Fleet, role: &str, name: &str) -> (Channel, WorkerId) {
    let worker = WorkerId(uuid::Uuid::new_v4().to_string());
    let token = JoinToken::parse(&token(fleet, role, Some(name))).expect("a token");
    let id = (role == "worker").then(|| worker.clone());
    let wanted = Wanted { worker: id, name: None, default_name: String::new() };
    let file = identity::file_in(&fleet.path(&format!("{role}-{name}")));
    let identity = identity::join(&token, wanted, &file).await.expect("joined");
    (identity::channel(&identity, |endpoint| endpoint).expect("TLS"), worker)
}

/// Says all that a worker has, with blobs beside it.
pub async fn sync(channel: &Channel, report: &mut Report, parcels: &[&[u8]]) -> Answer {
    report.number += 1;
    let parcel = |bytes: &&[u8]| {
        let data = Bytes::copy_from_slice(bytes);
        v1::Parcel { digest: Digest::of(bytes).to_string(), data }
    };
    let parcels = parcels.iter().map(parcel).collect();
    let message = v1::SyncRequest { parcels, ..v1::SyncRequest::from(&*report) };
    let mut client = v1::worker_service_client::WorkerServiceClient::new(channel.clone());
    let answer = client.sync(message).await.expect("an answer").into_inner();
    report.seen = answer.number;
    Answer::try_from(answer).expect("a readable answer")
}

/// Begins a session.
pub async fn hello(channel: &Channel, id: &WorkerId, name: &str) -> Report {
    let info = WorkerInfo::named(id.clone(), name.to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    let mut report = Report {
        worker: info,
        incarnation: None,
        session: SessionId::from("session-0"),
        number: 0,
        seen: 0,
        devices: vec![Device::plain("cpu-0".into(), DeviceKind::Cpu, "cpu".to_owned())],
        attempts: Vec::new(),
        load: Load::default(),
    };
    let answer = sync(channel, &mut report, &[]).await;
    let (incarnation, session) = (Some(answer.incarnation), SessionId::from("session-1"));
    Report { incarnation, session, number: 0, seen: 0, ..report }
}

/// Speaks as a worker until it is given an attempt.
pub async fn lease(channel: &Channel, id: &WorkerId, name: &str) -> (Report, Order) {
    let mut report = hello(channel, id, name).await;
    loop {
        if let Some(order) = sync(channel, &mut report, &[]).await.orders.pop() {
            return (report, order);
        }
    }
}

pub fn submit(fleet: &Fleet, who: &str, project: &Path) -> String {
    let project = project.to_str().expect("a UTF-8 path");
    let (code, printed, said) = fleet.run_as(who, &["--output", "json", "submit", project]);
    assert_eq!(code, 0, "{said}");
    let answer: serde_json::Value = serde_json::from_str(&printed).expect("JSON");
    answer["campaign"].as_str().expect("an id").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_by_everybody_becomes_what_its_row_says() {
    let fleet = Fleet::new();
    let flags = [&TLS[..], &["--worker-lost-after", "20 min"]].concat();
    let _coordinator = fleet.coordinator_with(&flags);
    let (ada, _) = join(&fleet, "client", "ada").await;
    let (eve, _) = join(&fleet, "client", "eve").await;
    let (admin, _) = join(&fleet, "admin", "root").await;
    let (own, own_id) = join(&fleet, "worker", "gpu-1").await;
    let (other, _) = join(&fleet, "worker", "gpu-2").await;
    let address = JoinToken::parse(&token(&fleet, "client", None)).expect("a token");
    let none = identity::unknown_channel(&address, |endpoint| endpoint).expect("TLS");
    let project = crate::project::Project::default().write(&fleet.path("project"));
    let campaign = submit(&fleet, "client-ada", &project);
    let (worker, order) = lease(&own, &own_id, "gpu-1").await;
    assert_eq!(order.key.id.campaign.as_str(), campaign);
    let subject = Subject { campaign, blob: order.tree.to_string(), worker, order };
    let mut wrong = Vec::new();
    for row in TABLE {
        let callers: [(&str, &Channel, Verdict); 6] = [
            ("none", &none, row.none),
            ("the worker itself", &own, row.worker_own),
            ("another worker", &other, row.worker_other),
            ("another client", &eve, row.client_other),
            ("the client itself", &ada, row.client_own),
            ("an administrator", &admin, row.admin),
        ];
        for (who, channel, want) in callers {
            let answer = call(channel, row, message(row, &subject)).await;
            let got = verdict(row, &subject, &answer);
            if got != want {
                wrong.push(format!("{} by {who}: {got:?} and not {want:?} ({answer:?})", row.call));
            }
        }
    }
    assert!(wrong.is_empty(), "{}{}", wrong.join("\n"), fleet.logs());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_campaign_is_shared_as_far_as_its_owner_says_and_no_further() {
    let fleet = Fleet::new();
    let _coordinator = fleet.coordinator_with(&TLS);
    let (ada, _) = join(&fleet, "client", "ada").await;
    let (eve, _) = join(&fleet, "client", "eve").await;
    let project = crate::project::Project::default().write(&fleet.path("project"));
    let campaign = submit(&fleet, "client-ada", &project);
    let view = fleet.json(&["status", &campaign]);
    let blob = view["tree"].as_str().expect("a tree").to_owned();
    let words =
        BTreeMap::from([("read", Grant::Read), ("propose", Grant::Propose), ("control", Grant::Control)]);
    let rows = || {
        TABLE
            .iter()
            .filter(|row| row.call.starts_with("CampaignService/") && row.client_other == Verdict::Hidden)
    };
    let share = TABLE.iter().find(|row| row.call == "CampaignService/Share").expect("its row");
    let share_as = |word: &str| {
        let (with, r#as) = ("eve".to_owned(), word.to_owned());
        v1::ShareRequest { request_id: request_id(), campaign: campaign.clone(), with, r#as }.encode_to_vec()
    };
    // Nothing here is about a worker.
    let info = WorkerInfo::named(WorkerId::from("w"), "w".to_owned(), "0.1.0".to_owned());
    let worker = Report {
        worker: info,
        incarnation: None,
        session: SessionId::from("s"),
        number: 0,
        seen: 0,
        devices: Vec::new(),
        attempts: Vec::new(),
        load: Load::default(),
    };
    let (own, own_id) = join(&fleet, "worker", "gpu-1").await;
    let (_, order) = lease(&own, &own_id, "gpu-1").await;
    let subject = Subject { campaign: campaign.clone(), blob, worker, order };
    let mut wrong = Vec::new();
    for (word, shared) in words {
        call(&ada, share, share_as(word)).await.expect("shared");
        for row in rows() {
            let want = if row.need <= shared { Verdict::Yes } else { Verdict::No };
            let answer = call(&eve, row, message(row, &subject)).await;
            let got = verdict(row, &subject, &answer);
            if got != want {
                wrong.push(format!("{} shared to {word}: {got:?} and not {want:?} ({answer:?})", row.call));
            }
        }
    }
    call(&ada, share, share_as("")).await.expect("no longer shared");
    for row in rows() {
        let answer = call(&eve, row, message(row, &subject)).await;
        if verdict(row, &subject, &answer) != Verdict::Hidden {
            wrong.push(format!("{} no longer shared: {answer:?}", row.call));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Which of some blobs the coordinator has.
async fn kept(admin: &Channel, blobs: &[&[u8]]) -> Vec<bool> {
    let digests: Vec<String> = blobs.iter().map(|bytes| Digest::of(bytes).to_string()).collect();
    let mut client = v1::artifact_service_client::ArtifactServiceClient::new(admin.clone());
    let asked = v1::FindMissingRequest { digests: digests.clone() };
    let missing = client.find_missing(asked).await.expect("an answer").into_inner().digests;
    digests.iter().map(|digest| !missing.contains(digest)).collect()
}

fn ended(key: &AttemptKey, results: &Manifest, log: &[u8]) -> AttemptReport {
    let mut outcome = Outcome::bare(Ending::Crashed { code: Some(1), signal: None });
    (outcome.results, outcome.log) = (Some(results.digest()), Some(Digest::of(log)));
    (outcome.log_bytes, outcome.log_hash) = (log.len() as u64, Some(Digest::of(log).hash));
    AttemptReport { key: key.clone(), phase: Phase::Ended(Box::new(outcome)) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workers_blobs_are_taken_with_the_end_of_its_own_live_attempt_alone() {
    let fleet = Fleet::new();
    let flags = [&TLS[..], &["--worker-lost-after", "20 min"]].concat();
    let _coordinator = fleet.coordinator_with(&flags);
    join(&fleet, "client", "ada").await;
    let (admin, _) = join(&fleet, "admin", "root").await;
    let (own, own_id) = join(&fleet, "worker", "gpu-1").await;
    let (other, other_id) = join(&fleet, "worker", "gpu-2").await;
    let project = crate::project::Project::default().write(&fleet.path("project"));
    submit(&fleet, "client-ada", &project);
    let (mut report, order) = lease(&own, &own_id, "gpu-1").await;
    let (results, log) = (Manifest::default(), b"one\ntwo\n".as_slice());
    let manifest = results.to_bytes();
    let blobs = [manifest.as_slice(), log];
    let end = ended(&order.key, &results, log);

    let mut foreign = hello(&other, &other_id, "gpu-2").await;
    foreign.attempts = vec![end.clone()];
    report.attempts = vec![AttemptReport { key: order.key.clone(), phase: Phase::Running { elapsed_ms: 1 } }];
    // Both calls hang for as long as there is nothing to say to their workers.
    let (answer, _) = tokio::join!(sync(&other, &mut foreign, &blobs), sync(&own, &mut report, &blobs));
    assert_eq!(answer.acknowledged, [], "the attempt of another is not there for it");
    assert_eq!(kept(&admin, &blobs).await, [false, false], "nor is what it brings, and nothing has ended");

    report.attempts = vec![end];
    while !sync(&own, &mut report, &blobs).await.acknowledged.contains(&order.key) {}
    assert_eq!(kept(&admin, &blobs).await, [true, true], "its own end brings them");

    let late = b"three\n".as_slice();
    report.attempts = vec![ended(&order.key, &results, late)];
    sync(&own, &mut report, &[late]).await;
    assert_eq!(kept(&admin, &[late]).await, [false], "it is over");
}
