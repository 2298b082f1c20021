//! A coordinator for the worker's tests: real gRPC over a Unix socket, memory for blobs and logs, and
//! answers that a test dictates. It judges nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};
use windlass_proto::v1;
use windlass_proto::v1::artifact_service_server::{ArtifactService, ArtifactServiceServer};
use windlass_proto::v1::log_service_server::{LogService, LogServiceServer};
use windlass_proto::v1::worker_service_server::{WorkerService, WorkerServiceServer};
use windlass_shared::attempt::{AttemptKey, Order, Outcome, Phase};
use windlass_shared::digest::Digest;
use windlass_shared::id::{Incarnation, SessionId};
use windlass_shared::path::TreePath;
use windlass_shared::session::{Answer, Release, Report, Standing, Stop};
use windlass_shared::tree::{Manifest, Node, TreeChange};

/// What it knows and wants.
#[derive(Default)]
pub struct State {
    pub orders: Vec<Order>,
    pub stop: Vec<Stop>,
    pub acknowledged: Vec<AttemptKey>,
    pub releases: Vec<Release>,
    pub keep: Vec<AttemptKey>,
    pub blobs: BTreeMap<String, Vec<u8>>,
    pub logs: BTreeMap<AttemptKey, Vec<u8>>,
    pub report: Option<Report>,
    pub reads: Vec<String>,
    /// Bytes of blobs and changes that were sent.
    pub sent_bytes: u64,
    /// The changes among them, by tree.
    pub changes_sent: Vec<String>,
    /// It sends a change that makes another tree.
    pub lies: bool,
    /// It answers, and cannot send a blob.
    pub refuses_reads: bool,
    pub changes: u64,
    /// Values to send beside an order.
    pub secrets: BTreeMap<AttemptKey, Vec<(String, String)>>,
    /// Counts its lives: each is another incarnation.
    pub lives: u64,
    /// Workers up to this life have ended: what they have said and nobody has read yet is not heard any more.
    pub over: u64,
    /// By session and report: which of the changes its answer told.
    answered: BTreeMap<(SessionId, u64), u64>,
    /// Every outcome that was ever told, as often as it was told with another text.
    pub told: BTreeMap<AttemptKey, Vec<Outcome>>,
}

impl State {
    /// What makes one tree of another.
    fn change(&self, from: &str, to: &str) -> Option<TreeChange> {
        let manifest = |name: &str| Manifest::from_bytes(self.blobs.get(name)?).ok();
        Some(TreeChange::between(&manifest(from)?, &manifest(to)?))
    }
}

/// The coordinator, listening.
#[derive(Clone)]
pub struct Coordinator {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
    life: Arc<Mutex<Option<Life>>>,
    pub socket: PathBuf,
}

/// A life of it: a thread with all of its connections, ended by the word.
struct Life {
    end: tokio::sync::oneshot::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Coordinator {
    /// Listens in `dir`; the server ends with its runtime.
    pub fn start(dir: &Path) -> Self {
        let socket = dir.join("coordinator.sock");
        let coordinator = Self {
            state: Arc::default(),
            changed: Arc::new(Notify::new()),
            life: Arc::default(),
            socket: socket.clone(),
        };
        coordinator.come_back();
        coordinator
    }

    /// Begins to listen. What it knew it knows again; its sessions are new ones.
    pub fn come_back(&self) {
        let mut life = self.life.lock().expect("no test panics with it");
        assert!(life.is_none(), "it is here");
        let mut state = self.state();
        (state.lives, state.report) = (state.lives + 1, None);
        drop(state);
        let (services, socket) = (self.clone(), self.socket.clone());
        drop(std::fs::remove_file(&socket));
        let (end, ended) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = tokio::net::UnixListener::bind(socket).expect("a socket");
                let serving = tonic::transport::Server::builder()
                    .add_service(WorkerServiceServer::new(services.clone()))
                    .add_service(LogServiceServer::new(services.clone()))
                    .add_service(ArtifactServiceServer::new(services))
                    .serve_with_incoming(tokio_stream::wrappers::UnixListenerStream::new(listener));
                tokio::select! {
                    served = serving => served.expect("it serves"),
                    // Also when the test is over and nobody can say so any more.
                    _ = ended => {}
                }
            });
            // With the runtime go all connections, in the middle of whatever they were saying.
        });
        *life = Some(Life { end, thread });
    }

    /// Goes without a word, in the middle of every call.
    pub fn go_away(&self) {
        let life = self.life.lock().expect("no test panics with it").take();
        let Life { end, thread } = life.expect("it is here");
        end.send(()).expect("it listens");
        thread.join().expect("it ends");
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics with it")
    }

    /// Changes what is wanted, and says so to whoever hangs.
    pub fn want(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        state.changes += 1;
        drop(state);
        self.changed.notify_waiters();
    }

    /// Stores a tree of these files (`true`: executable) and gives its digest.
    pub fn tree(&self, files: &[(&str, &str, bool)]) -> Digest {
        let mut tree = Manifest::default();
        for (path, text, executable) in files {
            let digest = self.blob(text.as_bytes());
            let path = TreePath::parse(path).expect("a path");
            tree.entries.insert(path, Node::File { digest, executable: *executable });
        }
        self.blob(&tree.to_bytes())
    }

    pub fn blob(&self, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        self.state().blobs.insert(digest.to_string(), bytes.to_vec());
        digest
    }

    /// The text of a file in a stored tree.
    pub fn file(&self, tree: Digest, path: &str) -> Option<String> {
        let state = self.state();
        let tree = Manifest::from_bytes(state.blobs.get(&tree.to_string())?).expect("a manifest");
        let Node::File { digest, .. } = tree.entries.get(&TreePath::parse(path).ok()?)? else { return None };
        Some(String::from_utf8(state.blobs.get(&digest.to_string())?.clone()).expect("text"))
    }

    /// Where the worker says that an attempt stands.
    pub fn phase(&self, key: &AttemptKey) -> Option<Phase> {
        let state = self.state();
        let report = state.report.as_ref()?;
        report.attempts.iter().find(|attempt| attempt.key == *key).map(|attempt| attempt.phase.clone())
    }

    pub fn outcome(&self, key: &AttemptKey) -> Option<Outcome> {
        match self.phase(key)? {
            Phase::Ended(outcome) => Some(*outcome),
            _ => None,
        }
    }

    pub fn log(&self, key: &AttemptKey) -> String {
        String::from_utf8(self.state().logs.get(key).cloned().unwrap_or_default()).expect("text")
    }
}

#[tonic::async_trait]
impl WorkerService for Coordinator {
    async fn sync(&self, request: Request<v1::SyncRequest>) -> Result<Response<v1::SyncResponse>, Status> {
        let mut message = request.into_inner();
        for v1::Parcel { digest, data } in std::mem::take(&mut message.parcels) {
            assert_eq!(digest, Digest::of(&data).to_string(), "a parcel is its digest");
            self.state().blobs.insert(digest, data.to_vec());
        }
        let report = Report::try_from(message).expect("a whole report");
        let (session, number) = (report.session.clone(), report.number);
        let life = report.worker.name.rsplit('-').next().and_then(|life| life.parse::<u64>().ok());
        // What the newest answer told that has arrived: one that was overtaken by a report is told again.
        let seen = {
            let mut state = self.state();
            if life.is_some_and(|life| life <= state.over) {
                return Err(Status::unavailable("it has ended"));
            }
            let seen = state.answered.get(&(session.clone(), report.seen)).copied().unwrap_or(0);
            for attempt in &report.attempts {
                let Phase::Ended(outcome) = &attempt.phase else { continue };
                if let Some(digest) = outcome.log {
                    let log =
                        state.blobs.get(&digest.to_string()).expect("a short log comes with its outcome");
                    let log = log.clone();
                    assert!(
                        state
                            .logs
                            .insert(attempt.key.clone(), log)
                            .is_none_or(|before| before.len() as u64 == digest.size_bytes)
                    );
                }
                let told = state.told.entry(attempt.key.clone()).or_default();
                if !told.contains(outcome) {
                    told.push((**outcome).clone());
                }
            }
            state.report = Some(report.clone());
            seen
        };
        loop {
            let changed = self.changed.notified();
            let answer = {
                let mut state = self.state();
                let has = |key: &AttemptKey| report.attempts.iter().any(|attempt| attempt.key == *key);
                let news = state.orders.iter().any(|order| !has(&order.key))
                    || state.acknowledged.iter().any(has)
                    || state.changes != seen;
                if news {
                    let told = state.changes;
                    state.answered.insert((session.clone(), number), told);
                }
                news.then(|| Answer {
                    incarnation: Incarnation(6 + state.lives),
                    session: session.clone(),
                    number,
                    standing: Standing::Current,
                    orders: state.orders.clone(),
                    stop: state.stop.clone(),
                    acknowledged: state.acknowledged.clone(),
                    releases: state.releases.clone(),
                    keep: state.keep.clone(),
                })
            };
            if let Some(answer) = answer {
                let kept = self.state().secrets.clone();
                let of = |order: &Order| kept.get(&order.key).cloned().map(|all| (order.key.clone(), all));
                let beside = answer.orders.iter().filter_map(of).flat_map(|(key, all)| {
                    let one = move |(name, value)| v1::Secret { key: Some((&key).into()), name, value };
                    all.into_iter().map(one)
                });
                let secrets = beside.collect();
                return Ok(Response::new(v1::SyncResponse { secrets, ..v1::SyncResponse::from(&answer) }));
            }
            // The time is only a bound for the hanging call.
            drop(tokio::time::timeout(Duration::from_secs(20), changed).await);
        }
    }
}

type Pieces<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl LogService for Coordinator {
    async fn write_log(
        &self,
        request: Request<Streaming<v1::WriteLogRequest>>,
    ) -> Result<Response<v1::WriteLogResponse>, Status> {
        let mut stream = request.into_inner();
        let mut key = None;
        while let Some(message) = stream.next().await {
            let message = message?;
            if let Some(named) = message.key {
                key = Some(AttemptKey::from(named));
            }
            let key = key.clone().expect("the first message names the attempt");
            let mut state = self.state();
            let log = state.logs.entry(key).or_default();
            let have = log.len() as u64;
            assert!(message.offset <= have, "a gap: {} after {have}", message.offset);
            let known = usize::try_from(have - message.offset).expect("small");
            log.extend(message.data.iter().skip(known));
        }
        let key = key.expect("a stream names its attempt");
        let acknowledged_bytes = self.state().logs.get(&key).map_or(0, |log| log.len() as u64);
        Ok(Response::new(v1::WriteLogResponse { acknowledged_bytes }))
    }

    type ReadLogStream = Pieces<v1::ReadLogResponse>;

    async fn read_log(
        &self,
        request: Request<v1::ReadLogRequest>,
    ) -> Result<Response<Self::ReadLogStream>, Status> {
        let request = request.into_inner();
        let state = self.state();
        let is = |key: &&AttemptKey| {
            key.id.campaign.0 == request.campaign
                && key.id.iteration.0 == request.iteration
                && key.id.number == request.attempt
        };
        let log = state.logs.keys().find(is).and_then(|key| state.logs.get(key));
        let log = log.ok_or_else(|| Status::not_found("no log"))?.clone();
        let pieces: Vec<_> = log
            .chunks(7)
            .scan(0, |offset, data| {
                let message =
                    v1::ReadLogResponse { offset: *offset, data: data.to_vec().into(), ..Default::default() };
                *offset += data.len() as u64;
                Some(Ok(message))
            })
            .collect();
        Ok(Response::new(Box::pin(tokio_stream::iter(pieces))))
    }
}

#[tonic::async_trait]
impl ArtifactService for Coordinator {
    async fn find_missing(
        &self,
        request: Request<v1::FindMissingRequest>,
    ) -> Result<Response<v1::FindMissingResponse>, Status> {
        let state = self.state();
        let mut digests = request.into_inner().digests;
        digests.retain(|digest| !state.blobs.contains_key(digest));
        Ok(Response::new(v1::FindMissingResponse { digests }))
    }

    async fn write(
        &self,
        request: Request<Streaming<v1::WriteRequest>>,
    ) -> Result<Response<v1::WriteResponse>, Status> {
        let mut stream = request.into_inner();
        let mut blobs: Vec<(String, Vec<u8>)> = Vec::new();
        while let Some(message) = stream.next().await {
            let message = message?;
            if !message.digest.is_empty() {
                blobs.push((message.digest, Vec::new()));
            }
            blobs.last_mut().expect("a blob begins with its digest").1.extend(message.data);
        }
        let count = blobs.len() as u64;
        for (name, bytes) in blobs {
            assert_eq!(name, Digest::of(&bytes).to_string(), "a blob is its digest");
            self.state().blobs.insert(name, bytes);
        }
        Ok(Response::new(v1::WriteResponse { blobs: count }))
    }

    type ReadStream = Pieces<v1::ReadResponse>;

    async fn read(&self, request: Request<v1::ReadRequest>) -> Result<Response<Self::ReadStream>, Status> {
        let mut pieces = Vec::new();
        let mut state = self.state();
        let v1::ReadRequest { digests, at_hand } = request.into_inner();
        if let ([tree], Some(from)) = (&digests[..], at_hand.first())
            && !state.refuses_reads
            && let Some(mut change) = state.change(from, tree)
        {
            if state.lies {
                change.gone = change.entries.keys().cloned().collect();
                change.entries.clear();
            }
            let data = bytes::Bytes::from(change.to_bytes());
            state.sent_bytes += data.len() as u64;
            state.changes_sent.push(tree.clone());
            let (digest, made_of) = (tree.clone(), from.clone());
            let all = vec![Ok(v1::ReadResponse { digest, data, made_of })];
            return Ok(Response::new(Box::pin(tokio_stream::iter(all))));
        }
        for digest in digests {
            state.reads.push(digest.clone());
            if state.refuses_reads {
                return Err(Status::unavailable("not now"));
            }
            let Some(bytes) = state.blobs.get(&digest) else {
                return Err(Status::not_found(format!("no blob {digest}")));
            };
            let mut name = digest;
            let bytes = bytes.clone();
            state.sent_bytes += bytes.len() as u64;
            for data in bytes.chunks(1000).chain(bytes.is_empty().then_some(&[][..])) {
                let data = bytes::Bytes::copy_from_slice(data);
                let (digest, made_of) = (std::mem::take(&mut name), String::new());
                pieces.push(Ok(v1::ReadResponse { digest, data, made_of }));
            }
        }
        Ok(Response::new(Box::pin(tokio_stream::iter(pieces))))
    }
}
