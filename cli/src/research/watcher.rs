//! The campaign as it goes: its story folded record by record, its page asked for when something has happened.

use crate::client::Client;
use crate::command::status;
use crate::error::Error;
use crate::follow::{Event, Follower};
use crate::history::{self, Story};
use crate::session::Session;
use std::time::Duration;
use windlass_shared::view::CampaignView;

/// What has come already is read without waiting for more.
const SETTLED: Duration = Duration::from_millis(5);
/// So many events at a time; then the page is looked at in between.
const EVENTS_MAX: usize = 10_000;
/// The page is looked at this often even when nothing is told: what a view says may change by time alone.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Follows one campaign.
#[derive(Debug)]
pub struct Watcher<'a> {
    session: &'a Session,
    campaign: String,
    follower: Follower<'a>,
    story: Option<Story>,
}

impl<'a> Watcher<'a> {
    /// From the beginning.
    pub fn new(session: &'a Session, campaign: &str) -> Self {
        let follower = Follower::new(session, campaign);
        Self { session, campaign: campaign.to_owned(), follower, story: None }
    }

    /// The page, and the story at least up to now.
    pub async fn look(&mut self, client: &Client) -> Result<(CampaignView, &Story), Error> {
        if self.story.is_none() {
            self.story = Some(history::fetch(client, &self.campaign).await?);
        }
        self.settle().await?;
        let view = status::get(client, &self.campaign).await?;
        match &self.story {
            Some(story) => Ok((view, story)),
            // The ledger was replaced just now.
            None => Err(Error::Changed { path: "the campaign's ledger".into() }),
        }
    }

    /// Until something happens, or it is time to look.
    pub async fn wait(&mut self, at_most: Option<Duration>) -> Result<(), Error> {
        let at_most = at_most.map_or(LOOK_EVERY, |most| most.min(LOOK_EVERY));
        match tokio::time::timeout(at_most, self.follower.next()).await {
            Ok(event) => {
                let event = event.inspect_err(|_| self.begin_anew());
                self.take(event?);
                Ok(())
            }
            Err(_) => Ok(()),
        }
    }

    async fn settle(&mut self) -> Result<(), Error> {
        for _ in 0..EVENTS_MAX {
            match tokio::time::timeout(SETTLED, self.follower.next()).await {
                Ok(event) => {
                    let event = event.inspect_err(|_| self.begin_anew());
                    self.take(event?);
                }
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// A follower that gave up is of no more use; its records come again from the beginning.
    fn begin_anew(&mut self) {
        self.follower = Follower::new(self.session, &self.campaign);
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Record(record) => {
                // The story was fetched while the follower began: what it has is not told twice.
                if self.story.as_ref().is_some_and(|story| record.seq > story.head_seq) {
                    history::follow_on(&mut self.story, &record);
                }
            }
            Event::View(_) => {}
            Event::Replaced => self.story = None,
        }
    }
}
