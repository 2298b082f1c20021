//! A whole coordinator in this process, spoken to over its real socket: one campaign from its creation to
//! its decision by a worker made of messages, restarts, tokens, watches, logs and blobs.

mod common;

use common::{Coordinator, FakeWorker, request_id, wait_for};
use tokio_stream::StreamExt;
use tonic::{Code, Request};
use windlass_proto::v1::watch_response::Event;
use windlass_proto::{document, refusal::from_status, v1};
use windlass_shared::attempt::{Ending, Order, Outcome, Phase};
use windlass_shared::digest::Digest;
use windlass_shared::path::TreePath;
use windlass_shared::record::{Body, Record};
use windlass_shared::session::AttemptReport;
use windlass_shared::tree::{Manifest, Node, TreeChange};
use windlass_shared::view::CampaignView;

#[tokio::test(flavor = "multi_thread")]
async fn a_baseline_is_leased_run_reported_and_decided() {
    let coordinator = Coordinator::start(None).await;
    let campaign = coordinator.create("digits").await;
    let mut worker = FakeWorker::new(&coordinator).await;
    let decided = worker.run_until_decided(&coordinator, &campaign, "0.5").await;
    assert!(matches!(&decided.body, Body::IterationDecided { iteration, .. } if iteration.0 == 1));
    let iteration =
        v1::GetIterationRequest { campaign: campaign.clone(), iteration: 1, page_token: String::new() };
    let records = coordinator.campaigns().await.get_iteration(iteration).await.expect("get").into_inner();
    let kinds: Vec<&str> = records
        .record_documents
        .iter()
        .map(|bytes| document::read::<Record>("record", bytes).expect("a record").body.kind())
        .collect();
    for kind in ["iteration_opened", "attempt_leased", "attempt_ended", "iteration_decided"] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
    let absent = v1::GetIterationRequest { campaign, iteration: 9, page_token: String::new() };
    let status = coordinator.campaigns().await.get_iteration(absent).await.expect_err("absent");
    assert_eq!(status.code(), Code::NotFound);
    for page_token in ["x", "-1", "99999999999999999999"] {
        let page_token = page_token.to_owned();
        let request = v1::ListIterationsRequest { campaign: records.campaign.clone(), page_token };
        let status =
            coordinator.campaigns().await.list_iterations(request).await.expect_err("no token of ours");
        assert_eq!(from_status(&status).reason, "MALFORMED");
    }
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn i4_the_same_request_has_one_answer_across_a_restart() {
    let mut coordinator = Coordinator::start(None).await;
    let request = coordinator.create_request("digits").await;
    let first = coordinator.campaigns().await.create(request.clone()).await.expect("create").into_inner();
    let again = coordinator.campaigns().await.create(request.clone()).await.expect("again").into_inner();
    assert_eq!(first, again);
    coordinator = coordinator.restart().await;
    let after = coordinator.campaigns().await.create(request.clone()).await.expect("after").into_inner();
    assert_eq!(first, after);
    let listed = coordinator.campaigns().await.list(v1::ListRequest {}).await.expect("list").into_inner();
    assert_eq!(listed.view_documents.len(), 1);
    let other = v1::CreateRequest { name: "other".to_owned(), ..request };
    let status = coordinator.campaigns().await.create(other).await.expect_err("another body");
    assert_eq!(status.code(), Code::AlreadyExists);
    let keyless = v1::PauseRequest { request_id: "7".to_owned(), campaign: first.campaign.clone() };
    let status = coordinator.campaigns().await.pause(keyless).await.expect_err("no UUIDv7");
    assert_eq!(from_status(&status).reason, "REQUEST_ID");
    let pause = v1::PauseRequest { request_id: request_id(), campaign: first.campaign };
    coordinator.campaigns().await.pause(pause).await.expect("pause");
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn i16_a_campaign_whose_blobs_were_not_sent_is_refused_by_digest() {
    let coordinator = Coordinator::start(None).await;
    let mut request = coordinator.create_request("digits").await;
    let absent = windlass_shared::digest::Digest::of(b"never sent").to_string();
    request.tree = absent.clone();
    let status = coordinator.campaigns().await.create(request).await.expect_err("absent");
    let received = from_status(&status);
    assert_eq!(received.reason, "ABSENT_BLOB");
    assert!(received.message.contains(&absent), "{}", received.message);
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_a_campaign_whose_editable_files_cannot_be_is_refused() {
    let coordinator = Coordinator::start(None).await;
    let good = coordinator.create_request("digits").await;
    for pattern in ["../x", "/abs", "", "nothing-like-it.py"] {
        let mut bindings: serde_json::Value =
            serde_json::from_slice(&good.bindings_document).expect("a document");
        bindings["editable_files"] = serde_json::json!([pattern]);
        let request = v1::CreateRequest {
            request_id: request_id(),
            bindings_document: bindings.to_string().into(),
            ..good.clone()
        };
        let status = coordinator.campaigns().await.create(request).await.expect_err(pattern);
        assert_eq!(from_status(&status).reason, "BINDING", "{pattern:?}: {status}");
    }
    let listed = coordinator.campaigns().await.list(v1::ListRequest {}).await.expect("list").into_inner();
    assert!(listed.view_documents.is_empty(), "nothing was recorded");
    coordinator.campaigns().await.create(good).await.expect("the same with a file that is there");
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn loopback_asks_for_the_token_and_the_socket_does_not() {
    let coordinator = Coordinator::start(Some("127.0.0.1:0".parse().expect("an address"))).await;
    let token = std::fs::read_to_string(coordinator.data_dir().join("token")).expect("token");
    let mut client = coordinator.campaigns_over_tcp().await;
    let with = |value: Option<String>| {
        let mut request = Request::new(v1::ListRequest {});
        if let Some(value) = value {
            request.metadata_mut().insert("authorization", value.parse().expect("ASCII"));
        }
        request
    };
    for value in
        [None, Some(token.trim().to_owned()), Some("Bearer x".to_owned()), Some("Bearer ".to_owned())]
    {
        let status = client.list(with(value.clone())).await.expect_err("no token");
        assert_eq!(status.code(), Code::Unauthenticated, "{value:?}");
        assert!(from_status(&status).remedy.is_some(), "{value:?}");
    }
    client.list(with(Some(format!("Bearer {}", token.trim())))).await.expect("the token lets in");
    coordinator.campaigns().await.list(v1::ListRequest {}).await.expect("the socket needs none");
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_sees_every_record_once_then_live_ones() {
    let coordinator = Coordinator::start(None).await;
    let campaign = coordinator.create("digits").await;
    let watch = v1::WatchRequest { campaign: campaign.clone(), after_seq: 0, incarnation: 0, follow: true };
    let mut stream = coordinator.campaigns().await.watch(watch).await.expect("watch").into_inner();
    let mut worker = FakeWorker::new(&coordinator).await;
    worker.run_until_decided(&coordinator, &campaign, "0.5").await;
    let (mut seqs, mut pages, mut incarnation) = (Vec::new(), 0, 0);
    while let Some(message) = stream.next().await {
        let message = message.expect("a message");
        incarnation = message.incarnation;
        match message.event.expect("an event") {
            Event::RecordDocument(bytes) => {
                let record: Record = document::read("record", &bytes).expect("a record");
                assert_eq!(record.seq, message.seq);
                seqs.push(record.seq);
                if pages > 0 && record.body.kind() == "iteration_decided" {
                    break;
                }
            }
            Event::ViewDocument(bytes) => {
                document::read::<CampaignView>("view", &bytes).expect("a page");
                pages += 1;
                if seqs.len() > 3 && worker.has_decided {
                    break;
                }
            }
        }
    }
    assert!(seqs.is_sorted() && seqs.windows(2).all(|pair| pair[0] < pair[1]), "{seqs:?}");
    // A cursor of another life is refused; without one, and from this one, reading goes on.
    let stale = v1::WatchRequest {
        campaign: String::new(),
        after_seq: 1,
        incarnation: incarnation ^ 1,
        follow: false,
    };
    let status = coordinator.campaigns().await.watch(stale.clone()).await.expect_err("another life");
    assert_eq!(from_status(&status).reason, "STALE");
    let current = v1::WatchRequest { incarnation, ..stale };
    let rest: Vec<_> =
        coordinator.campaigns().await.watch(current).await.expect("watch").into_inner().collect().await;
    let first = rest.first().expect("some").as_ref().expect("a message");
    assert_eq!(first.seq, 2);
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn i5_i10_logs_are_written_under_a_lease_and_followed_to_their_end() {
    let coordinator = Coordinator::start(None).await;
    let campaign = coordinator.create("digits").await;
    let mut worker = FakeWorker::new(&coordinator).await;
    let order = worker.next_order().await;
    let follow = v1::ReadLogRequest {
        campaign: campaign.clone(),
        iteration: 1,
        follow: true,
        ..v1::ReadLogRequest::default()
    };
    let mut stream = coordinator.logs().await.read_log(follow.clone()).await.expect("read").into_inner();
    let piece = |offset: u64, data: &'static str, key: Option<v1::AttemptKey>| v1::WriteLogRequest {
        key,
        offset,
        data: data.into(),
    };
    let key: v1::AttemptKey = (&order.key).into();
    let write = async |pieces: Vec<v1::WriteLogRequest>| {
        coordinator.logs().await.write_log(tokio_stream::iter(pieces)).await.map(tonic::Response::into_inner)
    };
    let first =
        write(vec![piece(0, "one\ntw", Some(key.clone())), piece(6, "o\n", None)]).await.expect("write");
    assert_eq!(first.acknowledged_bytes, 8);
    let again = write(vec![piece(4, "two\nthree\n", Some(key.clone()))]).await.expect("overlapping");
    assert_eq!(again.acknowledged_bytes, 14);
    let gap = write(vec![piece(20, "x", Some(key.clone()))]).await.expect_err("a gap");
    assert_eq!(gap.code(), Code::OutOfRange);
    let stale = v1::AttemptKey { fence_n: key.fence_n + 1, ..key };
    let status = write(vec![piece(14, "lies\n", Some(stale))]).await.expect_err("another fence");
    assert_eq!(from_status(&status).reason, "STALE");
    worker.end(&order, Some("0.5"), 14).await;
    let mut text = Vec::new();
    while let Some(message) = stream.next().await {
        let message = message.expect("a piece");
        assert_eq!(message.offset, text.len() as u64);
        text.extend(message.data);
    }
    assert_eq!(text, b"one\ntwo\nthree\n");
    let tail = v1::ReadLogRequest { tail_lines: 1, follow: false, ..follow.clone() };
    let tail: Vec<_> =
        coordinator.logs().await.read_log(tail).await.expect("tail").into_inner().collect().await;
    assert_eq!(tail[0].as_ref().expect("a piece").data, "three\n");
    let grep = v1::ReadLogRequest { grep: "^t".to_owned(), ..follow };
    let found: Vec<_> =
        coordinator.logs().await.read_log(grep.clone()).await.expect("grep").into_inner().collect().await;
    let found: Vec<_> = found.iter().map(|it| it.as_ref().expect("a line")).collect();
    let found: Vec<_> = found.iter().map(|it| (it.line, it.data.as_ref(), it.more)).collect();
    assert_eq!(found, [(2, &b"two"[..], false), (3, b"three", false)]);
    for wrong in [
        v1::ReadLogRequest { grep: "(".to_owned(), ..grep.clone() },
        v1::ReadLogRequest { tail_lines: 1, ..grep },
    ] {
        let status = coordinator.logs().await.read_log(wrong).await.expect_err("no search");
        assert_eq!(from_status(&status).reason, "MALFORMED");
    }
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_travel_in_streams_and_lies_are_refused() {
    let coordinator = Coordinator::start(None).await;
    let contents: Vec<Vec<u8>> =
        [0_usize, 1, 40_000, 700_000].iter().map(|length| vec![7; *length]).collect();
    let digests: Vec<String> =
        contents.iter().map(|bytes| windlass_shared::digest::Digest::of(bytes).to_string()).collect();
    let ask = v1::FindMissingRequest { digests: digests.clone() };
    let missing = coordinator.artifacts().await.find_missing(ask.clone()).await.expect("ask").into_inner();
    assert_eq!(missing.digests, digests);
    assert_eq!(coordinator.send_blobs(&contents).await, 4);
    let missing = coordinator.artifacts().await.find_missing(ask).await.expect("ask").into_inner();
    assert_eq!(missing.digests, Vec::<String>::new());
    let read = v1::ReadRequest { digests: digests.clone(), at_hand: Vec::new() };
    let mut stream = coordinator.artifacts().await.read(read).await.expect("read").into_inner();
    let mut found: Vec<(String, Vec<u8>)> = Vec::new();
    while let Some(message) = stream.next().await {
        let message = message.expect("a piece");
        if !message.digest.is_empty() {
            found.push((message.digest, Vec::new()));
        }
        found.last_mut().expect("begun").1.extend(message.data);
    }
    assert_eq!(found, digests.iter().cloned().zip(contents).collect::<Vec<_>>());
    let lie =
        vec![v1::WriteRequest { digest: digests[2].clone(), data: b"something else".as_slice().into() }];
    let status = coordinator.artifacts().await.write(tokio_stream::iter(lie)).await.expect_err("a lie");
    assert_eq!(status.code(), Code::InvalidArgument);
    let headless = vec![v1::WriteRequest { digest: String::new(), data: b"x".as_slice().into() }];
    let status =
        coordinator.artifacts().await.write(tokio_stream::iter(headless)).await.expect_err("headless");
    assert_eq!(from_status(&status).reason, "MALFORMED");
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_is_told_as_what_makes_it_of_one_at_hand_and_whole_where_there_is_none() {
    let coordinator = Coordinator::start(None).await;
    let tree = |edited: usize| {
        let entries = (0..200).map(|n| {
            let text = if n < edited { "edited".to_owned() } else { n.to_string() };
            let digest = Digest::of(text.as_bytes());
            let path = TreePath::parse(&format!("src/f{n}.py")).expect("a path");
            (path, Node::File { digest, executable: false })
        });
        Manifest { entries: entries.collect() }
    };
    let (base, small, large) = (tree(0), tree(3), tree(200));
    let blobs: Vec<Vec<u8>> = [&base, &small, &large].iter().map(|it| it.to_bytes()).collect();
    coordinator.send_blobs(&[&blobs[..], &[b"no tree".to_vec()]].concat()).await;
    let read = async |tree: &Manifest, at_hand: &[Digest]| {
        let digests = vec![tree.digest().to_string()];
        let at_hand = at_hand.iter().map(ToString::to_string).collect();
        let asked = v1::ReadRequest { digests, at_hand };
        let mut stream = coordinator.artifacts().await.read(asked).await.expect("read").into_inner();
        let (mut made_of, mut bytes) = (String::new(), Vec::new());
        while let Some(message) = stream.next().await {
            let message = message.expect("a piece");
            made_of.push_str(&message.made_of);
            bytes.extend(message.data);
        }
        (made_of, bytes)
    };
    let (made_of, change) = read(&small, &[base.digest()]).await;
    assert_eq!(made_of, base.digest().to_string());
    assert!(change.len() < 600, "{} bytes", change.len());
    let change = TreeChange::from_bytes(&change).expect("a change");
    assert_eq!(change.make_of(base.clone()), small);
    let nowhere = Digest::of(b"nowhere");
    let (made_of, _) = read(&small, &[nowhere, Digest::of(b"no tree"), base.digest()]).await;
    assert_eq!(made_of, base.digest().to_string(), "the first that serves");
    for (tree, at_hand) in [(&small, vec![nowhere]), (&small, vec![]), (&large, vec![base.digest()])] {
        let (made_of, bytes) = read(tree, &at_hand).await;
        assert_eq!((made_of.as_str(), bytes), ("", tree.to_bytes()), "{at_hand:?}");
    }
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_hangs_until_there_is_news_and_a_newer_one_supersedes_it() {
    let coordinator = Coordinator::start(None).await;
    let mut worker = FakeWorker::new(&coordinator).await;
    let hanging = worker.sync_in_background();
    wait_for(async || coordinator.worker_count().await == 1).await;
    let newer = worker.sync_in_background();
    let status = hanging.await.expect("joined").expect_err("superseded");
    assert_eq!(from_status(&status).reason, "STALE");
    // News: a campaign whose baseline can be placed.
    coordinator.create("digits").await;
    let answer = newer.await.expect("joined").expect("an answer");
    assert_eq!(answer.order_documents.len(), 1);
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn i16_an_end_without_its_blob_waits_and_silences_nobody() {
    let coordinator = Coordinator::start(None).await;
    let mut worker = FakeWorker::new(&coordinator).await;
    let mut second = worker.report.devices[0].clone();
    second.id = "cpu-1".into();
    worker.report.devices.push(second);
    coordinator.create("one").await;
    coordinator.create("two").await;
    let orders = loop {
        let answer = worker.sync().await.expect("an answer");
        if answer.orders.len() == 2 {
            break answer.orders;
        }
    };
    let results = Manifest::default();
    let mut incomplete = Outcome::bare(Ending::Crashed { code: Some(1), signal: None });
    incomplete.results = Some(results.digest());
    let ended = |order: &Order, outcome| AttemptReport {
        key: order.key.clone(),
        phase: Phase::Ended(Box::new(outcome)),
    };
    let (waits, goes_on) = (&orders[0], &orders[1]);
    worker.report.attempts = vec![
        ended(waits, incomplete),
        ended(goes_on, Outcome::bare(Ending::Crashed { code: Some(1), signal: None })),
    ];
    let answer = worker.sync().await.expect("it is heard");
    assert_eq!(answer.acknowledged, std::slice::from_ref(&goes_on.key));
    assert!(answer.orders.iter().any(|order| order.key == waits.key), "its lease stands");
    worker.report.attempts.pop();
    coordinator.send_blobs(&[results.to_bytes()]).await;
    while !worker.sync().await.expect("an answer").acknowledged.contains(&waits.key) {}
    coordinator.stop().await;
}

fn parcel(bytes: &'static [u8]) -> v1::Parcel {
    v1::Parcel { digest: Digest::of(bytes).to_string(), data: bytes.into() }
}

#[tokio::test(flavor = "multi_thread")]
async fn i16_small_blobs_come_with_the_end_that_names_them_and_a_damaged_one_is_waited_for() {
    const LOG: &[u8] = b"one\ntwo\n";
    let coordinator = Coordinator::start(None).await;
    let mut worker = FakeWorker::new(&coordinator).await;
    let campaign = coordinator.create("short").await;
    let order = worker.next_order().await;
    let follow =
        v1::ReadLogRequest { campaign: campaign.clone(), iteration: 1, follow: true, ..Default::default() };
    let mut followed = coordinator.logs().await.read_log(follow.clone()).await.expect("read").into_inner();
    let results = Manifest::default();
    let mut outcome = Outcome::bare(Ending::Crashed { code: Some(1), signal: None });
    (outcome.results, outcome.log) = (Some(results.digest()), Some(Digest::of(LOG)));
    (outcome.log_bytes, outcome.log_hash) = (LOG.len() as u64, Some(Digest::of(LOG).hash));
    let phase = Phase::Ended(Box::new(outcome));
    worker.report.attempts = vec![AttemptReport { key: order.key.clone(), phase }];
    let manifest: &'static [u8] = results.to_bytes().leak();
    let lie = v1::Parcel { data: b"one\ntwo!".as_slice().into(), ..parcel(LOG) };
    worker.parcels = vec![parcel(manifest), lie];
    let answer = worker.sync().await.expect("it is heard");
    assert_eq!(answer.acknowledged, [], "the log is not what it says");
    let ask = v1::FindMissingRequest { digests: vec![results.digest().to_string()] };
    let missing = coordinator.artifacts().await.find_missing(ask.clone()).await.expect("ask").into_inner();
    assert_eq!(missing.digests, ask.digests, "nothing was decided on the other one either");
    worker.parcels = vec![parcel(manifest), parcel(LOG)];
    while !worker.sync().await.expect("an answer").acknowledged.contains(&order.key) {}
    let missing = coordinator.artifacts().await.find_missing(ask).await.expect("ask").into_inner();
    assert_eq!(missing.digests, [""; 0], "it came with its end");
    let mut text = Vec::new();
    while let Some(message) = followed.next().await {
        text.extend(message.expect("a piece").data);
    }
    assert_eq!(text, LOG, "whoever followed it from before its end has all of it");
    let tail = v1::ReadLogRequest { tail_lines: 1, follow: false, ..follow.clone() };
    let tail: Vec<_> =
        coordinator.logs().await.read_log(tail).await.expect("tail").into_inner().collect().await;
    assert_eq!(tail[0].as_ref().expect("a piece").data, "two\n");
    // What no machine sends is refused, and the worker is told.
    worker.report.attempts.clear();
    let large = vec![0; windlass_proto::PARCEL_MAX_BYTES + 1];
    worker.parcels = vec![parcel(large.leak())];
    let status = worker.sync().await.expect_err("too large");
    assert_eq!(from_status(&status).reason, "TOO_MUCH");
    coordinator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_does_not_wait_for_open_streams_and_leaves_no_traces() {
    let coordinator = Coordinator::start(None).await;
    let watch = v1::WatchRequest { campaign: String::new(), after_seq: 0, incarnation: 0, follow: true };
    let mut stream = coordinator.campaigns().await.watch(watch).await.expect("watch").into_inner();
    assert!(stream.next().await.is_some());
    let data_dir = coordinator.stop().await;
    assert!(!data_dir.path().join("endpoint.json").exists());
    assert!(!data_dir.path().join("windlass.sock").exists());
    windlass_coordinator::ledger::verify(data_dir.path()).expect("a whole ledger");
}
