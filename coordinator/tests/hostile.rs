//! Messages that no client of ours sends, as raw bytes to a real coordinator: truncated, huge, of the wrong
//! type, again, out of order. Each is answered, none changes anything, and the coordinator lives on.

mod common;

use bytes::Bytes;
use common::{Client, Coordinator, FakeWorker, request_id};
use http_body::Frame;
use prost::Message;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tonic::{Code, Status};
use tower::{Service, ServiceExt};
use windlass_proto::refusal::from_status;
use windlass_proto::v1;

/// The longest wait for an answer: it ends a test that hangs and claims nothing.
const PATIENCE: Duration = Duration::from_secs(60);

/// The bytes of a request, and nothing after them.
struct Raw(Option<Bytes>);

impl http_body::Body for Raw {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// A message as gRPC frames it.
fn framed(flag: u8, length: u32, message: &[u8]) -> Bytes {
    [&[flag][..], &length.to_be_bytes(), message].concat().into()
}

fn whole(message: &[u8]) -> Bytes {
    framed(0, u32::try_from(message.len()).expect("small"), message)
}

/// Calls a method with these bytes; the status, where the answer is one.
async fn call(client: &Client, method: &str, body: Bytes) -> Option<Status> {
    let request = http::Request::builder()
        .method("POST")
        .uri(format!("http://windlass/windlass.v1.{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(tonic::body::Body::new(Raw(Some(body))))
        .expect("a request");
    let mut channel = client.channel();
    let answered = async { channel.ready().await.expect("connected").call(request).await };
    let answer = tokio::time::timeout(PATIENCE, answered).await.unwrap_or_else(|_| panic!("{method} hangs"));
    let answer = answer.unwrap_or_else(|error| panic!("{method} breaks the connection: {error}"));
    Status::from_header_map(answer.headers()).filter(|status| status.code() != Code::Ok)
}

/// One good message for each method that changes something or takes documents.
fn messages(campaign: &str) -> Vec<(&'static str, Vec<u8>)> {
    let (id, campaign) = (request_id(), campaign.to_owned());
    let (request_id, tree) = (id, windlass_shared::digest::Digest::of(b"absent").to_string());
    let create = v1::CreateRequest {
        request_id: request_id.clone(),
        name: "n".to_owned(),
        bindings_document: Bytes::from_static(b"{\"metric\":[[[["),
        tree,
        git_document: Default::default(),
    };
    let propose = v1::ProposeLeverRequest {
        request_id: request_id.clone(),
        campaign: campaign.clone(),
        lever_document: Bytes::from_static(b"{\"title\":7}"),
        researcher: String::new(),
    };
    let key =
        v1::AttemptKey { campaign: "../../etc".to_owned(), iteration: 1, number: 1, ..Default::default() };
    let write_log =
        v1::WriteLogRequest { key: Some(key.clone()), offset: u64::MAX, data: Bytes::from_static(b"x") };
    let ended = v1::AttemptReport {
        key: Some(key),
        phase: v1::Phase::Ended.into(),
        outcome_document: Bytes::from_static(b"{\"ending\":"),
        ..Default::default()
    };
    let sync = v1::SyncRequest {
        worker: "w".to_owned(),
        session: "s".to_owned(),
        attempts: vec![ended],
        ..Default::default()
    };
    let move_lever =
        v1::MoveLeverRequest { request_id, campaign: campaign.clone(), lever: u32::MAX, place: None };
    let explain = v1::ExplainRequest { name: "nobody".to_owned(), part: None };
    let read_log = v1::ReadLogRequest { campaign, iteration: u32::MAX, ..Default::default() };
    let write = v1::WriteRequest { digest: "not one".to_owned(), data: Bytes::from_static(b"x") };
    vec![
        ("CampaignService/Create", create.encode_to_vec()),
        ("CampaignService/ProposeLever", propose.encode_to_vec()),
        ("CampaignService/MoveLever", move_lever.encode_to_vec()),
        ("CampaignService/Explain", explain.encode_to_vec()),
        ("WorkerService/Sync", sync.encode_to_vec()),
        ("LogService/WriteLog", write_log.encode_to_vec()),
        ("LogService/ReadLog", read_log.encode_to_vec()),
        ("ArtifactService/Write", write.encode_to_vec()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn i18_bytes_that_are_no_message_are_refused_by_name_and_change_nothing() {
    let coordinator = Coordinator::start(None).await;
    let campaign = coordinator.create("digits").await;
    let client = coordinator.client().await;
    for (method, good) in messages(&campaign) {
        let status = call(&client, method, whole(&good)).await.unwrap_or_else(|| panic!("{method} is taken"));
        assert!(!matches!(status.code(), Code::Internal | Code::Unknown), "{method}: {status:?}");
        // Cut anywhere: refused for its form, or for what is missing from it.
        for at in (0..good.len()).step_by(good.len().div_ceil(12)) {
            let status = call(&client, method, whole(&good[..at])).await;
            let Some(status) = status else {
                // A message that says nothing stores nothing.
                assert_eq!((method, at), ("ArtifactService/Write", 0), "it is taken");
                continue;
            };
            let received = from_status(&status);
            let is_named = received.remedy.is_some() || !received.message.is_empty();
            assert!(is_named && status.code() != Code::Internal, "{method} cut at {at}: {status:?}");
        }
        let length = u32::try_from(good.len()).expect("small");
        let mut long_field = good.clone();
        // A field that says it has more bytes than there are.
        long_field.extend([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]);
        for (what, body) in [
            ("a frame cut short", framed(0, length + 9, &good)),
            ("a frame of 4 GiB", framed(0, u32::MAX, b"x")),
            ("a frame beyond the bound", framed(0, 64 << 20, &[0; 4096])),
            ("a compression that was not agreed", framed(1, length, &good)),
            ("an unknown flag", framed(7, length, &good)),
            ("bytes of no form", whole(&[0xff; 64])),
            ("a field past the end", whole(&long_field)),
        ] {
            let status =
                call(&client, method, body).await.unwrap_or_else(|| panic!("{method}: {what} is taken"));
            let received = from_status(&status);
            assert!(!received.message.is_empty(), "{method}: {what}: {status:?}");
            let reason =
                if what.contains("4 GiB") || what.contains("bound") { "TOO_MUCH" } else { "MALFORMED" };
            assert_eq!(received.reason, reason, "{method}: {what}: {status:?}");
            assert!(received.remedy.is_some(), "{method}: {what}: {status:?}");
        }
    }
    for method in ["CampaignService/Nothing", "NoService/Call", "CampaignService/"] {
        let status = call(&client, method, whole(b"")).await.expect(method);
        assert_eq!(status.code(), Code::Unimplemented, "{method}: {status:?}");
    }
    let listed = coordinator.campaigns().await.list(v1::ListRequest {}).await.expect("it lives").into_inner();
    assert_eq!(listed.view_documents.len(), 1);
    let data_dir = coordinator.stop().await;
    let verified = windlass_coordinator::ledger::verify(data_dir.path()).expect("a whole ledger");
    let fresh = Coordinator::start(None).await;
    fresh.create("digits").await;
    let data_dir = fresh.stop().await;
    let control = windlass_coordinator::ledger::verify(data_dir.path()).expect("a whole ledger");
    assert_eq!(verified.records, control.records, "nothing of all that was recorded");
}

#[tokio::test(flavor = "multi_thread")]
async fn i1_i4_i5_what_comes_again_or_too_late_happens_once() {
    let coordinator = Coordinator::start(None).await;
    let client = coordinator.client().await;
    let campaign = coordinator.create("digits").await;
    let mut worker = FakeWorker::new(&coordinator).await;
    let order = worker.next_order().await;
    worker.end(&order, Some("0.5"), 0).await;
    // The very bytes of the report that ended it, and of one before it, again and in the wrong order.
    let mut outcome = windlass_shared::attempt::Outcome::bare(windlass_shared::attempt::Ending::Finished);
    outcome.device_model = "zx81".to_owned();
    let mut late = worker.report.clone();
    late.attempts = vec![windlass_shared::session::AttemptReport {
        key: order.key.clone(),
        phase: windlass_shared::attempt::Phase::Ended(Box::new(outcome)),
    }];
    for number in [late.number - 1, 1, 0] {
        late.number = number;
        let body = whole(&v1::SyncRequest::from(&late).encode_to_vec());
        let status = call(&client, "WorkerService/Sync", body).await.expect("an old number is refused");
        assert_eq!(from_status(&status).reason, "STALE", "{number}: {status:?}");
    }
    // Under the next number it is heard, and the attempt's end is known already.
    let mut again = late.clone();
    again.number = worker.report.number + 1;
    let body = whole(&v1::SyncRequest::from(&again).encode_to_vec());
    assert!(call(&client, "WorkerService/Sync", body).await.is_none(), "it is acknowledged once more");
    worker.report.number = again.number;
    let request = v1::GetIterationRequest { campaign: campaign.clone(), iteration: 1, ..Default::default() };
    let story = coordinator.campaigns().await.get_iteration(request).await.expect("it").into_inner();
    let ended = |bytes: &Bytes| String::from_utf8_lossy(bytes).contains("\"kind\":\"attempt_ended\"");
    assert_eq!(story.record_documents.iter().filter(|bytes| ended(bytes)).count(), 1, "one end, once");
    assert!(!story.record_documents.iter().any(|bytes| String::from_utf8_lossy(bytes).contains("zx81")));
    let pause = v1::PauseRequest { request_id: request_id(), campaign };
    let body = whole(&pause.encode_to_vec());
    for _ in 0..5 {
        assert!(call(&client, "CampaignService/Pause", body.clone()).await.is_none(), "one key, one answer");
    }
    let data_dir = coordinator.stop().await;
    let mut paused = 0;
    let mut export = Vec::new();
    windlass_coordinator::ledger::export(data_dir.path(), None, &mut export).expect("exported");
    for line in String::from_utf8_lossy(&export).lines() {
        paused += usize::from(line.contains("\"kind\":\"campaign_paused\""));
    }
    assert_eq!(paused, 1, "paused once");
}
