//! A coordinator in this process, a client of any, and a worker made of messages.
#![allow(dead_code, reason = "each test file is a crate of its own and uses a part")]

pub mod process;

use bytes::Bytes;
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use windlass_coordinator::{Error, Settings, run};
use windlass_proto::v1::artifact_service_client::ArtifactServiceClient;
use windlass_proto::v1::campaign_service_client::CampaignServiceClient;
use windlass_proto::v1::fleet_service_client::FleetServiceClient;
use windlass_proto::v1::log_service_client::LogServiceClient;
use windlass_proto::v1::upkeep_service_client::UpkeepServiceClient;
use windlass_proto::v1::worker_service_client::WorkerServiceClient;
use windlass_proto::{document, v1};
use windlass_shared::attempt::{Ending, Kind, Order, Outcome, Output, Phase, Reading};
use windlass_shared::decimal::Decimal;
use windlass_shared::device::{Device, DeviceKind, Load, WorkerInfo};
use windlass_shared::digest::Digest;
use windlass_shared::id::{Incarnation, SessionId};
use windlass_shared::path::TreePath;
use windlass_shared::record::Record;
use windlass_shared::session::{Answer, AttemptReport, Report, Standing};
use windlass_shared::tree::{Manifest, Node};
use windlass_shared::upkeep::Health;
use windlass_shared::version;
use windlass_shared::view::CampaignView;

/// A fresh idempotency key.
pub fn request_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// Asks again until it is so; fails after a generous bound.
pub async fn wait_for(mut is_so: impl AsyncFnMut() -> bool) {
    let asked = async {
        while !is_so().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), asked).await.expect("it never came to be");
}

/// A running coordinator.
pub struct Coordinator {
    data_dir: TempDir,
    socket: PathBuf,
    tcp: Option<SocketAddr>,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), Error>>,
}

impl Coordinator {
    /// Starts one on a fresh folder.
    pub async fn start(listen: Option<SocketAddr>) -> Self {
        Self::on(tempfile::tempdir().expect("tempdir"), listen).await
    }

    async fn on(data_dir: TempDir, listen: Option<SocketAddr>) -> Self {
        let shutdown = CancellationToken::new();
        let (sender, ready) = oneshot::channel();
        let settings = Settings { listen, ..Settings::new(data_dir.path().to_owned()) };
        let stop = shutdown.clone();
        let task = tokio::spawn(async move {
            run(settings, |endpoint| sender.send(endpoint.clone()).expect("the test waits"), stop).await
        });
        let endpoint = ready.await.expect("it starts");
        Self { data_dir, socket: endpoint.socket, tcp: endpoint.tcp, shutdown, task }
    }

    /// Stops it cleanly.
    pub async fn stop(self) -> TempDir {
        self.shutdown.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(10), self.task).await.expect("it ends in time");
        ended.expect("it does not panic").expect("it ends cleanly");
        self.data_dir
    }

    /// Stops it and starts another on the same folder.
    pub async fn restart(self) -> Self {
        Self::on(self.stop().await, None).await
    }

    pub fn data_dir(&self) -> &Path {
        self.data_dir.path()
    }

    /// A connection over the socket.
    pub async fn client(&self) -> Client {
        Client::connect(&self.socket).await.expect("connect")
    }

    pub async fn campaigns(&self) -> CampaignServiceClient<Channel> {
        self.client().await.campaigns()
    }

    pub async fn campaigns_over_tcp(&self) -> CampaignServiceClient<Channel> {
        let address = self.tcp.expect("it listens");
        CampaignServiceClient::connect(format!("http://{address}")).await.expect("connect")
    }

    pub async fn logs(&self) -> LogServiceClient<Channel> {
        LogServiceClient::new(self.client().await.channel)
    }

    pub async fn artifacts(&self) -> ArtifactServiceClient<Channel> {
        ArtifactServiceClient::new(self.client().await.channel)
    }

    pub async fn worker_count(&self) -> usize {
        let mut fleet = FleetServiceClient::new(self.client().await.channel);
        let listed = fleet.list_workers(v1::ListWorkersRequest {}).await.expect("list");
        listed.into_inner().view_documents.len()
    }

    /// Sends blobs; returns how many arrived.
    pub async fn send_blobs(&self, contents: &[Vec<u8>]) -> u64 {
        self.client().await.try_send_blobs(contents).await.expect("write")
    }

    /// Sends a workspace of one file; returns the request that makes a campaign of it.
    pub async fn create_request(&self, name: &str) -> v1::CreateRequest {
        self.client().await.try_create_request(name).await.expect("sent")
    }

    /// Creates a campaign; returns its id.
    pub async fn create(&self, name: &str) -> String {
        let request = self.create_request(name).await;
        self.campaigns().await.create(request).await.expect("create").into_inner().campaign
    }
}

/// A connection to a coordinator, wherever it runs. What is tried gives `None` when it has died.
#[derive(Clone)]
pub struct Client {
    channel: Channel,
}

impl Client {
    /// Connects to a socket, if somebody listens.
    pub async fn connect(socket: &Path) -> Option<Self> {
        let socket = socket.to_owned();
        let connect = tower::service_fn(move |_| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        });
        let endpoint = Endpoint::from_static("http://windlass");
        endpoint.connect_with_connector(connect).await.ok().map(|channel| Self { channel })
    }

    pub fn campaigns(&self) -> CampaignServiceClient<Channel> {
        CampaignServiceClient::new(self.channel.clone())
    }

    pub fn upkeep(&self) -> UpkeepServiceClient<Channel> {
        UpkeepServiceClient::new(self.channel.clone())
    }

    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// How the coordinator is.
    pub async fn health(&self) -> Health {
        let answer = self.upkeep().get_health(v1::GetHealthRequest {}).await.expect("an answer").into_inner();
        document::read("health", &answer.health_document).expect("health")
    }

    /// What gRPC's own health service says of a service.
    pub async fn serving(&self, service: &str) -> ServingStatus {
        let request = HealthCheckRequest { service: service.to_owned() };
        let mut health = HealthClient::new(self.channel.clone());
        health.check(request).await.expect("an answer").into_inner().status()
    }

    /// One campaign's page.
    pub async fn view(&self, campaign: &str) -> CampaignView {
        let request = v1::GetRequest { campaign: campaign.to_owned(), dimensions: false };
        let answer = self.campaigns().get(request).await.expect("a page").into_inner();
        document::read("view", &answer.view_document).expect("a view")
    }

    /// Creates a campaign; returns its id.
    pub async fn create(&self, name: &str) -> String {
        let request = self.try_create_request(name).await.expect("sent");
        self.campaigns().create(request).await.expect("create").into_inner().campaign
    }

    /// Sends blobs in pieces of 100,000 bytes; returns how many arrived.
    pub async fn try_send_blobs(&self, contents: &[Vec<u8>]) -> Option<u64> {
        let mut messages = Vec::new();
        for bytes in contents {
            let digest = Digest::of(bytes).to_string();
            messages.push(v1::WriteRequest { digest, data: Bytes::new() });
            let pieces = bytes.chunks(100_000).map(Bytes::copy_from_slice);
            messages.extend(pieces.map(|data| v1::WriteRequest { digest: String::new(), data }));
        }
        let mut artifacts = ArtifactServiceClient::new(self.channel.clone());
        artifacts.write(tokio_stream::iter(messages)).await.ok().map(|written| written.into_inner().blobs)
    }

    /// Sends a workspace of one file; returns the request that makes a campaign of it.
    pub async fn try_create_request(&self, name: &str) -> Option<v1::CreateRequest> {
        let file = b"print('val_acc: 0.5')\n".to_vec();
        let node = Node::File { digest: Digest::of(&file), executable: false };
        let path = TreePath::parse("train.py").expect("a path");
        let manifest = Manifest { entries: BTreeMap::from([(path, node)]) };
        self.try_send_blobs(&[file, manifest.to_bytes()]).await?;
        let bindings = serde_json::json!({
            "metric": "val_acc",
            "metric_direction": "maximize",
            "run_cmd": "python3 train.py",
            "editable_files": ["train.py"],
            "gate": "time",
            "budget": "1",
            "windlass": {
                "baseline": [{
                    "script": "builtin:log",
                    "output": "log.txt",
                    "dimension": "ending",
                    "question": "how did it end?",
                    "if_helped": "finished",
                    "if_not": "crashed",
                }],
            },
        });
        Some(v1::CreateRequest {
            request_id: request_id(),
            name: name.to_owned(),
            bindings_document: bindings.to_string().into(),
            tree: manifest.digest().to_string(),
            git_document: Default::default(),
        })
    }
}

/// A worker with one CPU slot.
pub struct FakeWorker {
    client: WorkerServiceClient<Channel>,
    artifacts: ArtifactServiceClient<Channel>,
    pub report: Report,
    /// What travels with each report.
    pub parcels: Vec<v1::Parcel>,
    pub has_decided: bool,
}

impl FakeWorker {
    /// Connects and opens a session.
    pub async fn new(coordinator: &Coordinator) -> Self {
        Self::try_new(&coordinator.client().await).await.expect("the first answer")
    }

    /// See [`FakeWorker::new`].
    pub async fn try_new(client: &Client) -> Option<Self> {
        let channel = client.channel.clone();
        let device = Device::plain("cpu-0".into(), DeviceKind::Cpu, "cpu".to_owned());
        let info = WorkerInfo::named("worker-1".into(), "one".to_owned(), "0.1.0".to_owned());
        let report = Report {
            worker: info,
            incarnation: None,
            session: SessionId::from("session-0"),
            number: 0,
            seen: 0,
            devices: vec![device],
            attempts: Vec::new(),
            load: Load::default(),
        };
        let artifacts = ArtifactServiceClient::new(channel.clone());
        let mut worker = Self {
            client: WorkerServiceClient::new(channel),
            artifacts,
            report,
            parcels: Vec::new(),
            has_decided: false,
        };
        let answer = worker.sync().await.ok()?;
        assert_eq!(answer.standing, Standing::Closed, "a session belongs to one life");
        worker.report.incarnation = Some(Incarnation(answer.incarnation.0));
        worker.report.session = SessionId::from("session-1");
        worker.report.number = 0;
        Some(worker)
    }

    /// Says all that it has; may hang.
    pub async fn sync(&mut self) -> Result<Answer, Status> {
        self.report.number += 1;
        let message = v1::SyncRequest { parcels: self.parcels.clone(), ..(&self.report).into() };
        let message = self.client.sync(message).await?.into_inner();
        let answer = Answer::try_from(message).expect("a readable answer");
        assert_eq!((&answer.session, answer.number), (&self.report.session, self.report.number));
        self.report.seen = answer.number;
        Ok(answer)
    }

    /// The same, on a task of its own.
    pub fn sync_in_background(&mut self) -> JoinHandle<Result<v1::SyncResponse, Status>> {
        self.report.number += 1;
        let (mut client, message) = (self.client.clone(), v1::SyncRequest::from(&self.report));
        tokio::spawn(async move { client.sync(message).await.map(tonic::Response::into_inner) })
    }

    /// Waits until it is to have an attempt that it does not have.
    pub async fn next_order(&mut self) -> Order {
        self.try_next_order().await.expect("an answer")
    }

    async fn try_next_order(&mut self) -> Option<Order> {
        loop {
            let mut answer = self.sync().await.ok()?;
            if let Some(order) = answer.orders.pop() {
                return Some(order);
            }
        }
    }

    /// Reports an attempt's end until it is acknowledged, then forgets it.
    pub async fn end(&mut self, order: &Order, metric: Option<&str>, log_bytes: u64) {
        self.try_end(order, metric, log_bytes).await.expect("acknowledged");
    }

    async fn try_end(&mut self, order: &Order, metric: Option<&str>, log_bytes: u64) -> Option<()> {
        let mut outcome = Outcome::bare(Ending::Finished);
        outcome.log_bytes = log_bytes;
        outcome.device_model = "cpu".to_owned();
        outcome.isolation = "none".to_owned();
        if order.kind == Kind::Run {
            let value = metric.map(|digits| Decimal::parse(digits).expect("a decimal"));
            let none = || Reading::None { reason: "nothing printed".to_owned() };
            outcome.reading = Some(value.map_or_else(none, |value| Reading::Metric { value, line: 1 }));
        }
        let mut entries = BTreeMap::new();
        let mut sent = Vec::new();
        for script in &order.scripts {
            let bytes = b"finished\n".to_vec();
            let digest = Digest::of(&bytes);
            entries.insert(script.output.clone(), Node::File { digest, executable: false });
            outcome.outputs.push(Output {
                path: script.output.clone(),
                digest: Some(digest),
                first_line: "finished".to_owned(),
                problem: None,
            });
            sent.push(bytes);
        }
        let manifest = Manifest { entries };
        outcome.results = Some(manifest.digest());
        sent.push(manifest.to_bytes());
        let messages: Vec<v1::WriteRequest> = sent
            .into_iter()
            .map(|bytes| v1::WriteRequest { digest: Digest::of(&bytes).to_string(), data: bytes.into() })
            .collect();
        let mut request = tonic::Request::new(tokio_stream::iter(messages));
        request.metadata_mut().insert(version::ROLE_HEADER, MetadataValue::from_static(version::WORKER));
        self.artifacts.write(request).await.ok()?;
        let phase = Phase::Ended(Box::new(outcome));
        self.report.attempts = vec![AttemptReport { key: order.key.clone(), phase }];
        loop {
            let answer = self.sync().await.ok()?;
            if answer.acknowledged.contains(&order.key) {
                break;
            }
        }
        self.report.attempts.clear();
        Some(())
    }

    /// Carries out every order of a campaign until its first decision.
    pub async fn run_until_decided(
        &mut self,
        coordinator: &Coordinator,
        campaign: &str,
        metric: &str,
    ) -> Record {
        self.try_run_until_decided(&coordinator.client().await, campaign, metric).await.expect("decided")
    }

    /// See [`FakeWorker::run_until_decided`].
    pub async fn try_run_until_decided(
        &mut self,
        client: &Client,
        campaign: &str,
        metric: &str,
    ) -> Option<Record> {
        loop {
            let request =
                v1::ListIterationsRequest { campaign: campaign.to_owned(), page_token: String::new() };
            let listed = client.campaigns().list_iterations(request).await.ok()?.into_inner();
            if let Some(bytes) = listed.record_documents.first() {
                self.has_decided = true;
                return Some(document::read("record", bytes).expect("a record"));
            }
            let order = self.try_next_order().await?;
            self.try_end(&order, Some(metric), 0).await?;
        }
    }
}
