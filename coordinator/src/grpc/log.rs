//! LogService: logs of attempts by raw byte offset. What is written is durable before it is acknowledged.

mod write;

use super::access::permitted;
use super::convert::{answered, blob_failure, known, ledger_failure, log_failure};
use super::reach::orders_of;
use crate::driver::{Event, Handle, Query, blocking};
use crate::logs::{Found, Log, SEAL_MIN_BYTES, Search};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::Sender;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use windlass_proto::attempt::required_key;
use windlass_proto::v1::log_service_server::LogService;
use windlass_proto::{CHUNK_BYTES, refusal::to_status, v1};
use windlass_shared::access::Viewer;
use windlass_shared::attempt::{AttemptKey, Kind};
use windlass_shared::digest::Digest;
use windlass_shared::id::{CampaignId, IterationNumber, WorkerId};
use windlass_shared::record::{Body, Record};
use windlass_shared::reference::Evidence;
use windlass_shared::refusal::Refusal;

/// Pieces that wait for a slow reader: 2 MiB.
const STREAM_LENGTH: usize = 8;
/// Searched at a time.
const SEARCH_BYTES: usize = 1 << 20;
/// How long the rest of an ended attempt's log is waited for: its worker sends the log before it reports
/// the end, so that only a log that was lost is waited for in vain.
const REST_WAIT: Duration = Duration::from_secs(10);

/// The service over one coordinator.
#[derive(Clone, Debug)]
pub(super) struct LogFiles {
    handle: Handle,
}

impl LogFiles {
    /// Serves what `handle` reaches.
    pub fn new(handle: Handle) -> Self {
        Self { handle }
    }

    /// A worker writes the logs of its own attempts: the lease says whose one is, also after its end.
    async fn refuse_others(&self, worker: &WorkerId, key: &AttemptKey) -> Result<(), Status> {
        let readers = self.handle.stores.readers.clone();
        let id = key.id.clone();
        let lease = blocking(move || readers.lease(&id)).await.map_err(|error| ledger_failure(&error))?;
        let is_own = |record: &Record| match &record.body {
            Body::AttemptLeased { order, worker: leased, .. } => order.key == *key && leased == worker,
            _ => false,
        };
        match lease.as_ref().is_some_and(is_own) {
            true => Ok(()),
            false => Err(to_status(&Refusal::NotFound { what: "attempt", name: key.to_string() })),
        }
    }

    /// A worker reads the log of the run that its own attempt is about, and no other.
    async fn campaign_of_attempt(
        &self,
        worker: &WorkerId,
        campaign: String,
        iteration: IterationNumber,
    ) -> Result<CampaignId, Status> {
        let campaign = CampaignId(campaign);
        let is_about = |key: &AttemptKey| key.id.campaign == campaign && key.id.iteration == iteration;
        let orders = orders_of(&self.handle, worker).await?;
        match orders.iter().any(|order| is_about(&order.key) || order.run.as_ref().is_some_and(is_about)) {
            true => Ok(campaign),
            false => {
                let name = format!("of iteration {iteration} of {campaign}");
                Err(to_status(&Refusal::NotFound { what: "log", name }))
            }
        }
    }
}

#[tonic::async_trait]
impl LogService for LogFiles {
    type ReadLogStream = ReceiverStream<Result<v1::ReadLogResponse, Status>>;

    async fn write_log(
        &self,
        request: Request<Streaming<v1::WriteLogRequest>>,
    ) -> Result<Response<v1::WriteLogResponse>, Status> {
        let access = permitted(&request)?;
        let mut stream = request.into_inner();
        let Some(mut message) = stream.message().await? else {
            return Err(to_status(&Refusal::Malformed { field: "key", problem: "it is missing".to_owned() }));
        };
        let key = required_key(message.key.take()).map_err(|refusal| to_status(&refusal))?;
        if let Viewer::Worker(id, _) = &access.viewer {
            self.refuse_others(id, &key).await?;
        }
        let asked = key.clone();
        answered(self.handle.ask(|reply| Event::Query(Query::MayWriteLog { key: asked, reply })).await)?;
        let log = self.handle.stores.logs.writable(&key).await.map_err(|error| log_failure(&error))?;
        let acknowledged_bytes =
            write::take(&log, &self.handle.stores.metrics, &key, message, &mut stream).await?;
        let logs = &self.handle.stores.logs;
        if acknowledged_bytes >= SEAL_MIN_BYTES {
            logs.note_large(&key);
        }
        Ok(Response::new(v1::WriteLogResponse { acknowledged_bytes }))
    }

    async fn read_log(
        &self,
        request: Request<v1::ReadLogRequest>,
    ) -> Result<Response<Self::ReadLogStream>, Status> {
        let access = permitted(&request)?;
        let message = request.into_inner();
        let search = search(&message)?;
        let name = known("campaign", message.campaign)?;
        let iteration = IterationNumber(message.iteration);
        let campaign = match &access.viewer {
            Viewer::Worker(id, _) => self.campaign_of_attempt(id, name, iteration).await?,
            _ => {
                let found =
                    self.handle.ask(|reply| Event::Query(Query::Resolve { access, name, reply })).await;
                answered(found)?.0
            }
        };
        let place = Place { handle: self.handle.clone(), campaign, iteration, attempt: message.attempt };
        // What is not there is said at once, unless it is waited for.
        let standing = place.standing().await?;
        if standing.is_none() && !message.follow {
            return Err(to_status(&place.missing()));
        }
        let stream = self.handle.tasks.stream(STREAM_LENGTH, move |sender| async move {
            let reader = Reader { place, sender, offset: message.offset, search };
            if let Err(status) = reader.run(message.tail_lines, message.follow).await {
                let _ = status.0.send(Err(*status.1)).await;
            }
        });
        Ok(Response::new(stream))
    }
}

/// The search that is asked for, if one is.
fn search(message: &v1::ReadLogRequest) -> Result<Option<Search>, Status> {
    if message.grep.is_empty() {
        return Ok(None);
    }
    let refuse = |problem| to_status(&Refusal::Malformed { field: "grep", problem });
    if message.offset > 0 || message.tail_lines > 0 {
        return Err(refuse("a search counts lines from the beginning: no offset, no tail".to_owned()));
    }
    Search::new(&message.grep).map(Some).map_err(refuse)
}

/// Which log is asked for.
struct Place {
    handle: Handle,
    campaign: CampaignId,
    iteration: IterationNumber,
    /// 0: the latest run attempt.
    attempt: u32,
}

/// Where an attempt stands by the ledger.
struct Standing {
    key: AttemptKey,
    /// The bytes of its whole log, once it has ended.
    ended_bytes: Option<u64>,
    /// The log as a blob, where it came with the attempt's end.
    blob: Option<Digest>,
}

impl Place {
    fn missing(&self) -> Refusal {
        let name = match self.attempt {
            0 => format!("of iteration {} of {}", self.iteration, self.campaign),
            attempt => format!("of attempt {attempt} of iteration {} of {}", self.iteration, self.campaign),
        };
        Refusal::NotFound { what: "log", name }
    }

    /// Looks the attempt up. An iteration that is not there is refused.
    async fn standing(&self) -> Result<Option<Standing>, Status> {
        let readers = self.handle.stores.readers.clone();
        let (campaign, iteration) = (self.campaign.clone(), self.iteration);
        let records = blocking(move || readers.iteration(&campaign, iteration))
            .await
            .map_err(|error| ledger_failure(&error))?;
        if records.is_empty() {
            let name = format!("{} of {}", self.iteration, self.campaign);
            return Err(to_status(&Refusal::NotFound { what: "iteration", name }));
        }
        let mut found = None;
        for record in records {
            match record.body {
                Body::AttemptLeased { order, .. } => {
                    let is_it = match self.attempt {
                        0 => order.kind == Kind::Run,
                        number => order.key.id.number == number,
                    };
                    if is_it {
                        found = Some(Standing { key: order.key, ended_bytes: None, blob: None });
                    }
                }
                Body::AttemptEnded { attempt, outcome, .. } => {
                    if let Some(standing) = found.as_mut().filter(|standing| standing.key.id == attempt) {
                        (standing.ended_bytes, standing.blob) = (Some(outcome.log_bytes), outcome.log);
                    }
                }
                Body::EvidenceRemoved { evidence: Evidence::Logs, why, .. } => {
                    let (iteration, wall_ms) = (self.iteration.0, record.wall_ms);
                    let refusal = Refusal::Removed { evidence: "logs", iteration, wall_ms, why };
                    return Err(to_status(&refusal));
                }
                _ => {}
            }
        }
        Ok(found)
    }
}

type Messages = Sender<Result<v1::ReadLogResponse, Status>>;
/// Why a stream fails, and where that is said.
type Failure = (Messages, Box<Status>);

struct Reader {
    place: Place,
    sender: Messages,
    offset: u64,
    search: Option<Search>,
}

impl Reader {
    async fn run(mut self, tail_lines: u32, follow: bool) -> Result<(), Failure> {
        let Some((mut standing, log)) = self.open(follow).await? else { return Ok(()) };
        if tail_lines > 0 {
            let tail = log.tail_offset(tail_lines).await;
            self.offset = tail.map_err(|error| self.fail(log_failure(&error)))?;
        }
        let mut length = log.length();
        let mut durable = self.place.handle.durable.clone();
        // What came before the attempt was looked up may not have been seen by it.
        let mut look = true;
        loop {
            length.borrow_and_update();
            // The ledger is asked again only when it has grown, not at every line of the log.
            look |= durable.has_changed().unwrap_or(true);
            durable.borrow_and_update();
            if !self.send_what_is_there(&log).await? {
                return Ok(());
            }
            if !follow {
                return self.finish().await;
            }
            if std::mem::take(&mut look) && standing.ended_bytes.is_none() {
                standing = match self.place.standing().await.map_err(|status| self.fail(status))? {
                    Some(standing) => standing,
                    None => return Ok(()),
                };
            }
            match standing.ended_bytes {
                Some(bytes) if self.offset >= bytes => return self.finish().await,
                Some(_) => match tokio::time::timeout(REST_WAIT, length.changed()).await {
                    Ok(Ok(())) => {}
                    _ => return self.finish().await,
                },
                None => tokio::select! {
                    changed = length.changed() => if changed.is_err() { return Ok(()) },
                    changed = durable.changed() => {
                        look = true;
                        if changed.is_err() { return Ok(()) }
                    }
                },
            }
        }
    }

    /// The attempt and its file; with `follow`, both are waited for.
    async fn open(&self, follow: bool) -> Result<Option<(Standing, Arc<Log>)>, Failure> {
        let mut durable = self.place.handle.durable.clone();
        let mut opened = self.place.handle.stores.logs.opened();
        loop {
            durable.borrow_and_update();
            opened.borrow_and_update();
            if let Some(standing) = self.place.standing().await.map_err(|status| self.fail(status))? {
                match self.log(&standing).await? {
                    Some(log) => return Ok(Some((standing, log))),
                    None if !follow || standing.ended_bytes.is_some() => return Ok(None),
                    None => {}
                }
            }
            tokio::select! {
                changed = durable.changed() => if changed.is_err() { return Ok(None) },
                changed = opened.changed() => if changed.is_err() { return Ok(None) },
            }
        }
    }

    /// The attempt's file, or its blob.
    async fn log(&self, standing: &Standing) -> Result<Option<Arc<Log>>, Failure> {
        let stores = &self.place.handle.stores;
        let failed = |error| self.fail(log_failure(&error));
        let Some(digest) = standing.blob else {
            return stores.logs.readable(&standing.key).await.map_err(failed);
        };
        let bytes = stores.blobs.read(digest).await.map_err(|error| self.fail(blob_failure(error)))?;
        stores.logs.of_blob(&standing.key, bytes).map(Some).map_err(failed)
    }

    /// False: the caller has gone, or has all that it gets.
    async fn send_what_is_there(&mut self, log: &Arc<Log>) -> Result<bool, Failure> {
        loop {
            let piece = if self.search.is_some() { SEARCH_BYTES } else { CHUNK_BYTES };
            let read = log.read(self.offset, piece).await;
            let data = read.map_err(|error| self.fail(log_failure(&error)))?;
            if data.is_empty() {
                return Ok(true);
            }
            let next = self.offset + data.len() as u64;
            let goes_on = match self.search.take() {
                None => {
                    self.send(v1::ReadLogResponse { offset: self.offset, data, ..Default::default() }).await
                }
                Some(mut search) => {
                    let (search, found) = blocking(move || {
                        let found = search.push(&data);
                        (search, found)
                    })
                    .await;
                    let is_full = search.is_full();
                    self.search = Some(search);
                    // Whoever has gone is not searched for any longer, though nothing was found to send.
                    self.send_found(found, is_full).await && !is_full && !self.sender.is_closed()
                }
            };
            if !goes_on {
                return Ok(false);
            }
            self.offset = next;
        }
    }

    /// A last line without a break is a line too.
    async fn finish(mut self) -> Result<(), Failure> {
        if let Some(mut search) = self.search.take() {
            let found = search.finish();
            self.send_found(found, false).await;
        }
        Ok(())
    }

    /// Each line in a message; `more` stands in the last one when the search is full.
    async fn send_found(&self, found: Vec<Found>, is_full: bool) -> bool {
        let count = found.len();
        for (index, Found { line, text }) in found.into_iter().enumerate() {
            let more = is_full && index + 1 == count;
            if !self.send(v1::ReadLogResponse { data: text.into(), line, more, offset: 0 }).await {
                return false;
            }
        }
        true
    }

    async fn send(&self, message: v1::ReadLogResponse) -> bool {
        self.sender.send(Ok(message)).await.is_ok()
    }

    fn fail(&self, status: Status) -> Failure {
        (self.sender.clone(), Box::new(status))
    }
}
