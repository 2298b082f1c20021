//! Follows a campaign's records over restarts of the coordinator: nothing is told twice, nothing is
//! left out. Never decides when to stop.

use crate::client::Client;
use crate::error::Error;
use crate::session::Session;
use std::time::{Duration, Instant};
use tonic::Streaming;
use windlass_proto::v1::watch_response::Event as Wire;
use windlass_proto::v1::{WatchRequest, WatchResponse};
use windlass_proto::{document, v1};
use windlass_shared::record::Record;
use windlass_shared::view::CampaignView;

/// How long a coordinator may be away: a restart takes five seconds.
const AWAY_MAX: Duration = Duration::from_secs(60);
/// Between two attempts to reach it.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// What a watch tells.
#[derive(Debug)]
pub enum Event {
    /// Something durable happened.
    Record(Box<Record>),
    /// Soft state moved.
    View(Box<CampaignView>),
    /// The ledger is another one (a restored backup): what was told before may not hold; it is told
    /// again from its beginning.
    Replaced,
}

/// A cursor on one campaign's records, or on all of them.
#[derive(Debug)]
pub struct Follower<'a> {
    session: &'a Session,
    campaign: String,
    stream: Option<Streaming<WatchResponse>>,
    last: Option<Record>,
    checking: bool,
    incarnation: u64,
    away_since: Option<Instant>,
}

impl<'a> Follower<'a> {
    /// From the beginning.
    pub fn new(session: &'a Session, campaign: &str) -> Self {
        Self {
            session,
            campaign: campaign.to_owned(),
            stream: None,
            last: None,
            checking: false,
            incarnation: 0,
            away_since: None,
        }
    }

    /// The coordinator's life that spoke last.
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// The next event. Safe to drop while it waits, inside a `select!`.
    pub async fn next(&mut self) -> Result<Event, Error> {
        loop {
            if self.stream.is_none() {
                match self.open().await {
                    Ok(stream) => self.stream = Some(stream),
                    Err(problem) => {
                        self.wait_or_give_up(problem).await?;
                        continue;
                    }
                }
            }
            let Some(stream) = &mut self.stream else { continue };
            match stream.message().await {
                Ok(Some(message)) => {
                    self.away_since = None;
                    self.incarnation = message.incarnation;
                    if let Some(event) = self.take(message)? {
                        return Ok(event);
                    }
                }
                Ok(None) => self.stream = None,
                Err(status) => {
                    self.stream = None;
                    self.wait_or_give_up(status.into()).await?;
                }
            }
        }
    }

    /// After a cut the last record is asked for again: the same bytes say that it is the same ledger.
    async fn open(&mut self) -> Result<Streaming<WatchResponse>, Error> {
        let client = Client::connect(self.session).await?;
        self.checking = self.last.is_some();
        let request = WatchRequest {
            campaign: self.campaign.clone(),
            after_seq: self.last.as_ref().map_or(0, |record| record.seq.saturating_sub(1)),
            incarnation: 0,
            follow: true,
        };
        Ok(client.campaigns().watch(request).await?.into_inner())
    }

    fn take(&mut self, message: v1::WatchResponse) -> Result<Option<Event>, Error> {
        match message.event {
            Some(Wire::RecordDocument(bytes)) => {
                let record: Record = document::read("record_document", &bytes)?;
                if std::mem::take(&mut self.checking) {
                    if self.last.as_ref() == Some(&record) {
                        return Ok(None);
                    }
                    (self.last, self.stream) = (None, None);
                    return Ok(Some(Event::Replaced));
                }
                self.last = Some(record.clone());
                Ok(Some(Event::Record(Box::new(record))))
            }
            Some(Wire::ViewDocument(bytes)) => {
                let view = document::read("view_document", &bytes)?;
                Ok(Some(Event::View(Box::new(view))))
            }
            None => Ok(None),
        }
    }

    async fn wait_or_give_up(&mut self, problem: Error) -> Result<(), Error> {
        let first_try = self.last.is_none() && self.away_since.is_none();
        let since = *self.away_since.get_or_insert_with(Instant::now);
        if !problem.is_unavailable() || first_try || since.elapsed() > AWAY_MAX {
            return Err(problem);
        }
        tokio::time::sleep(RETRY_PAUSE).await;
        Ok(())
    }
}
