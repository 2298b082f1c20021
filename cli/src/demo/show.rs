//! Shows a campaign until nothing is left to do in it.

use super::live::Live;
use super::tail::Tail;
use crate::client::Client;
use crate::command::{status, wait};
use crate::error::Error;
use crate::follow::{Event, Follower};
use crate::history::{self, Story};
use crate::render::event;
use crate::session::Session;
use std::time::{Duration, Instant};
use windlass_shared::attempt::Kind;
use windlass_shared::view::CampaignView;

/// Between two drawings.
const DRAW_PAUSE: Duration = Duration::from_millis(200);
/// Between two looks whether the campaign has come to rest.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// How long a campaign with levers in line may stand still before it is taken at its word that it waits.
const STILL_MAX: Duration = Duration::from_secs(20);

/// How it ended.
#[derive(Debug)]
pub enum Outcome {
    /// Every lever is decided, retired or held.
    Done,
    /// It waits for something that does not come.
    Stuck(String),
}

/// Shows it.
pub async fn play(session: &Session, campaign: &str) -> Result<Outcome, Error> {
    let client = Client::connect(session).await?;
    let mut stage = Stage {
        session,
        client,
        campaign: campaign.to_owned(),
        live: Live::new(session),
        tail: Tail::default(),
        story: None,
        moved: Instant::now(),
    };
    let mut follower = Follower::new(session, campaign);
    let mut draw = tokio::time::interval(DRAW_PAUSE);
    let mut look = tokio::time::interval(LOOK_PAUSE);
    loop {
        // Kept over the turns of the inner loop: a reconnection takes longer than a drawing.
        let next = follower.next();
        tokio::pin!(next);
        let happened = loop {
            tokio::select! {
                event = &mut next => break event?,
                () = stage.tail.more() => {}
                _ = draw.tick() => stage.live.draw(stage.tail.last())?,
                _ = look.tick() => {
                    if let Some(outcome) = stage.look().await? {
                        stage.live.finish()?;
                        return Ok(outcome);
                    }
                }
            }
        };
        stage.take(happened).await?;
    }
}

struct Stage<'a> {
    session: &'a Session,
    client: Client,
    campaign: String,
    live: Live<'a>,
    tail: Tail,
    story: Option<Story>,
    moved: Instant,
}

impl Stage<'_> {
    async fn take(&mut self, happened: Event) -> Result<(), Error> {
        match happened {
            Event::Record(record) => {
                self.moved = Instant::now();
                history::follow_on(&mut self.story, &record);
                if let Some(line) = event::line(&record, self.story.as_ref()) {
                    let line = event::scroll(record.wall_ms, &line, self.session.line_width());
                    self.live.event(&line, self.tail.last())?;
                }
            }
            Event::View(view) => self.set(*view).await,
            Event::Replaced => self.story = None,
        }
        Ok(())
    }

    async fn set(&mut self, view: CampaignView) {
        let attempt = view.open.as_ref().and_then(|open| open.attempt.as_ref());
        let running = attempt.filter(|attempt| attempt.kind == Kind::Run && attempt.phase != "leased");
        // Nobody sees the log's last line where nothing is drawn again.
        if self.session.is_live() {
            self.tail.turn_to(&self.client, running.map(|attempt| &attempt.attempt)).await;
        }
        self.live.set(view);
    }

    /// Looks at the whole page: the end of a campaign is no record.
    async fn look(&mut self) -> Result<Option<Outcome>, Error> {
        let view = match status::get(&self.client, &self.campaign).await {
            Ok(view) => view,
            // It is being started again; the follower gives up in time if it is not.
            Err(problem) if problem.is_unavailable() => {
                if let Ok(client) = Client::connect(self.session).await {
                    self.client = client;
                }
                return Ok(None);
            }
            Err(problem) => return Err(problem),
        };
        let told = self.story.as_ref().map_or(0, |story| story.decided.len());
        let decided = view.decided.keep + view.decided.discard + view.decided.crash;
        if wait::is_idle(&view) && told >= decided as usize {
            return Ok(Some(Outcome::Done));
        }
        let still = view.open.is_none() && self.moved.elapsed() > STILL_MAX;
        let waits_for = view.waits_for.clone().filter(|_| still);
        self.set(view).await;
        Ok(waits_for.map(Outcome::Stuck))
    }
}
