//! The one loop of a researcher: rest, turn, answer, and again. Each step rests on the state that was written
//! before it, and can be taken again.

use super::agent;
use super::answer::Answer;
use super::ask::Ask;
use super::backoff;
use super::claims;
use super::cost::{self, Cost};
use super::decide::{self, Step};
use super::lay::REFUSAL;
use super::run::Settings;
use super::send::{self, Sent};
use super::state::{Flight, Phase, Sending, State, Turn, keep};
use super::tell::{Event, account};
use super::turn::{Ending, Over, Table};
use super::watcher::Watcher;
use crate::client::Client;
use crate::command::sync;
use crate::error::{Error, Report};
use crate::render::units;
use std::time::{Duration, Instant};
use uuid::Uuid;
use windlass_engine::gate::editable::Editable;
use windlass_shared::digest::Digest;
use windlass_shared::id::IterationNumber;
use windlass_shared::view::CampaignState;

/// So many turns in a row may propose nothing before the next one waits: the prompt says ways on first.
const DRY_FREE: u32 = 3;
/// While the coordinator is away.
const AWAY_PAUSE: Duration = Duration::from_millis(500);
/// A conclusion or a fix is asked for again after so many failures, and then no more: research goes on.
const ASK_AGAIN_MAX: u32 = 3;

/// The loop.
#[derive(Debug)]
pub struct Driver<'a> {
    table: Table<'a>,
    settings: &'a Settings,
    client: Client,
    watcher: Watcher<'a>,
    editable: Editable,
    state: State,
    /// Since when the loop's time is not entered yet.
    since: Instant,
    /// How long to wait before the next turn.
    pause: Option<Duration>,
    /// What was said last of a wait, so that it is said once.
    waits: String,
    is_away: bool,
}

impl<'a> Driver<'a> {
    /// One that goes on from `state`.
    pub fn new(
        table: Table<'a>,
        settings: &'a Settings,
        client: Client,
        watcher: Watcher<'a>,
        editable: Editable,
        mut state: State,
    ) -> Self {
        // Whoever starts it again wants it to try again.
        if state.failures >= settings.limits.max_failures {
            state.failures = 0;
        }
        if settings.limits.max_dry.is_some_and(|most| state.dry >= most) {
            state.dry = 0;
        }
        let (since, waits) = (Instant::now(), String::new());
        Self { table, settings, client, watcher, editable, state, since, pause: None, waits, is_away: false }
    }

    /// What all of it has cost.
    pub fn cost(&self) -> &Cost {
        &self.state.total
    }

    /// The best metric, where the coordinator says it.
    pub async fn best(&mut self) -> Option<String> {
        let (view, _) = self.watcher.look(&self.client).await.ok()?;
        Some(view.best?.metric?.text().to_owned())
    }

    /// Goes on until something ends it; says what.
    pub async fn drive(&mut self) -> Result<String, Error> {
        loop {
            match self.step().await {
                Ok(None) => self.is_away = false,
                Ok(Some(why)) => return Ok(why),
                Err(problem) if problem.is_unavailable() => self.wait_for_coordinator(&problem).await?,
                Err(problem) => return Err(problem),
            }
        }
    }

    /// Ends what runs of the command; the turn is taken again at the next start.
    pub async fn leave(&mut self) -> Result<(), Error> {
        self.clock();
        if let Phase::Turn(turn) = &self.state.phase {
            let shim = self.table.desk.shim(turn.number);
            if agent::was_begun(&shim) {
                agent::cancel(&shim);
                agent::ended(&shim, &self.state.campaign, turn.number, turn.nonce).await?;
            }
            self.give_back(turn).await;
        }
        self.save()
    }

    async fn wait_for_coordinator(&mut self, problem: &Error) -> Result<(), Error> {
        if !std::mem::replace(&mut self.is_away, true) {
            let sentence = format!("the coordinator is away: {}", problem.to_report().message);
            Event::new("away", &sentence).tell(self.table.session)?;
        }
        tokio::time::sleep(AWAY_PAUSE).await;
        if let Ok(client) = Client::connect(self.table.session).await {
            self.client = client;
        }
        Ok(())
    }

    async fn step(&mut self) -> Result<Option<String>, Error> {
        match self.state.phase.clone() {
            Phase::Rest => self.rest().await,
            Phase::Turn(turn) => self.attend(turn).await.map(|()| None),
            Phase::Sending(sending) => self.deliver(&sending).await.map(|()| None),
        }
    }

    async fn rest(&mut self) -> Result<Option<String>, Error> {
        self.clock();
        if let Some(why) = self.settings.limits.met(&self.state.total, self.state.dry) {
            self.save()?;
            return Ok(Some(why));
        }
        let left = self.settings.limits.left_ms(&self.state.total).map(Duration::from_millis);
        let (view, story) = self.watcher.look(&self.client).await?;
        match decide::next(&view, story, &self.state) {
            Step::End(why) => {
                self.save()?;
                return Ok(Some(why));
            }
            Step::Wait(why) => {
                if self.waits != why {
                    Event::new("waits", &why).tell(self.table.session)?;
                    self.waits = why;
                }
                self.watcher.wait(left).await?;
            }
            Step::Landed { iteration, sentence } => self.land(iteration, &sentence).await?,
            Step::Ask { ask, iteration, base } => {
                if let Some(pause) = self.pause.take() {
                    tokio::time::sleep(left.map_or(pause, |left| pause.min(left))).await;
                    return Ok(None);
                }
                if ask == Ask::Fix {
                    let opened = story.iterations.get(&IterationNumber(iteration));
                    self.state.helped = opened.map(|opened| (iteration, decide::tries(opened)));
                }
                if ask == Ask::Conclude {
                    self.state.concluded = iteration;
                }
                self.begin(ask, iteration, base, None, 0)?;
            }
        }
        Ok(None)
    }

    /// A turn is decided on; its folder is laid out when it is attended to.
    fn begin(
        &mut self,
        ask: Ask,
        iteration: u32,
        base: Digest,
        previous: Option<u64>,
        repairs: u32,
    ) -> Result<(), Error> {
        let number = self.state.turns + 1;
        let (nonce, _) = Uuid::new_v4().as_u64_pair();
        self.state.turns = number;
        self.state.phase = Phase::Turn(Turn { number, ask, iteration, base, previous, repairs, nonce });
        self.waits.clear();
        self.save()?;
        self.table.desk.prune(number)?;
        let sentence = match ask {
            Ask::Propose => format!("asks for a lever on the evidence of iteration {iteration}"),
            Ask::Repair => "asks for the lever again, repaired".to_owned(),
            Ask::Conclude => format!("asks what iteration {iteration} has shown"),
            Ask::Fix => format!("asks for a fix of iteration {iteration}"),
        };
        let (turn, iteration) = (Some(number), Some(iteration));
        Event { turn, iteration, ..Event::new("turn", &sentence) }.tell(self.table.session)
    }

    async fn attend(&mut self, turn: Turn) -> Result<(), Error> {
        self.claim(&turn).await;
        self.table.begin(&self.client, &self.state, &turn).await?;
        let over = self.until_over(&turn).await?;
        // Sent before anything is entered: when the coordinator is away all of this is done once more.
        let sending = send::prepare(&self.client, &turn, &over.answer).await?;
        self.clock();
        for cost in [&mut self.state.total, &mut self.state.current] {
            cost.add_turn(over.agent_ms, over.usage);
        }
        if sending.is_none() {
            self.give_back(&turn).await;
        }
        let event = Event { turn: Some(turn.number), ..Event::new("answered", &over.sentence) };
        event.tell(self.table.session)?;
        match (over.ending, sending) {
            (Ending::Done, Some(sending)) => {
                (self.state.failures, self.state.limited) = (0, 0);
                self.state.phase = Phase::Sending(Box::new(sending));
                self.save()
            }
            (Ending::Done, None) => {
                (self.state.failures, self.state.limited) = (0, 0);
                match over.answer {
                    Answer::Unusable(report) => self.refused(&turn, &report).await,
                    _ => self.nothing(&turn),
                }
            }
            (ending, _) => self.failed(&turn, ending, &over),
        }
    }

    /// Until nothing of a turn runs any more. What it works on is claimed meanwhile.
    async fn until_over(&self, turn: &Turn) -> Result<Over, Error> {
        let over = self.table.end(&self.client, &self.editable, &self.state, turn);
        let mut over = std::pin::pin!(over);
        loop {
            tokio::select! {
                over = &mut over => return over,
                () = tokio::time::sleep(claims::RENEW_EVERY) => self.claim(turn).await,
            }
        }
    }

    async fn claim(&self, turn: &Turn) {
        let Table { desk, researcher, .. } = self.table;
        if turn.ask.is_for_a_lever() {
            claims::hold(&self.client, desk, &self.state.campaign, researcher, turn).await;
        }
    }

    async fn give_back(&self, turn: &Turn) {
        if turn.ask.is_for_a_lever() {
            claims::give_back(&self.client, &self.state.campaign, self.table.researcher).await;
        }
    }

    /// The command answered nothing.
    fn nothing(&mut self, turn: &Turn) -> Result<(), Error> {
        if turn.ask.is_for_a_lever() {
            self.state.dry += 1;
            let sentence =
                format!("nothing was proposed, {} in a row", units::count(u64::from(self.state.dry), "turn"));
            let event = Event { turn: Some(turn.number), ..Event::new("dry", &sentence) };
            event.tell(self.table.session)?;
            if self.state.dry > DRY_FREE {
                self.wait_before_next(self.state.dry - DRY_FREE)?;
            }
        }
        self.state.phase = Phase::Rest;
        self.save()
    }

    /// The command did not end as it should.
    fn failed(&mut self, turn: &Turn, ending: Ending, over: &Over) -> Result<(), Error> {
        match ending {
            Ending::Limited => {
                self.state.limited += 1;
                self.wait_before_next(self.state.limited)?;
            }
            Ending::Failed => {
                self.state.failures += 1;
                if self.state.failures < self.settings.limits.max_failures {
                    self.wait_before_next(self.state.failures)?;
                }
            }
            Ending::Done | Ending::Cancelled => {}
        }
        if self.state.failures < ASK_AGAIN_MAX {
            match turn.ask {
                Ask::Conclude => self.state.concluded = turn.iteration.saturating_sub(1),
                Ask::Fix => self.state.helped = None,
                Ask::Propose | Ask::Repair => {}
            }
        }
        self.state.phase = Phase::Rest;
        self.save()?;
        if self.state.failures < self.settings.limits.max_failures {
            return Ok(());
        }
        let log = self.table.desk.turn(turn.number).join("output.log");
        Err(Error::ChildEnded {
            role: "researcher's command",
            status: format!(
                "{}, the last of {} in a row",
                over.sentence,
                units::count(u64::from(self.state.failures), "failure")
            ),
            said: format!("\nwhat it printed is in {}", log.display()),
        })
    }

    fn wait_before_next(&mut self, n: u32) -> Result<(), Error> {
        let (_, noise) = Uuid::new_v4().as_u64_pair();
        let pause = backoff::pause(self.settings.pause, n, noise);
        self.pause = Some(pause);
        let ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        let sentence = format!("waits {} before it asks again", units::duration(ms));
        Event::new("backs_off", &sentence).tell(self.table.session)
    }

    async fn deliver(&mut self, sending: &Sending) -> Result<(), Error> {
        let turn = &sending.turn;
        let place = (self.state.campaign.as_str(), self.table.researcher);
        match send::send(&self.client, place, sending).await {
            Ok(Sent::Queued { lever, warnings }) => {
                self.state.flight = Some(Flight { lever, title: sending.title.clone() });
                self.state.dry = 0;
                self.state.phase = Phase::Rest;
                self.save()?;
                let told = format!("L{lever} queued: {}", sending.title);
                let place = (Some(turn.number), Some(lever));
                let event = |name, text| Event { turn: place.0, lever: place.1, ..Event::new(name, text) };
                event("proposed", &told).tell(self.table.session)?;
                warnings.iter().try_for_each(|warning| event("warning", warning).tell(self.table.session))
            }
            Ok(Sent::Done) => {
                self.state.phase = Phase::Rest;
                self.save()?;
                let sentence = format!("{} is taken: {}", turn.ask.as_str(), sending.title);
                let (number, iteration) = (Some(turn.number), Some(turn.iteration));
                let event = Event { turn: number, iteration, ..Event::new("taken", &sentence) };
                event.tell(self.table.session)
            }
            Err(problem) if problem.is_unavailable() || !is_refusal(&problem) => Err(problem),
            Err(problem) => {
                self.give_back(turn).await;
                self.refused(turn, &problem.to_report()).await
            }
        }
    }

    /// An answer was refused: it goes back to the command, so often and no more.
    async fn refused(&mut self, turn: &Turn, report: &Report) -> Result<(), Error> {
        let (view, story) = self.watcher.look(&self.client).await?;
        let is_active = matches!(view.state, CampaignState::Active);
        let latest = decide::latest_analysed(story).map_or(turn.iteration, |iteration| iteration.number.0);
        for cost in [&mut self.state.total, &mut self.state.current] {
            cost.refused += 1;
        }
        let rule = report.rule.as_ref().map_or(String::new(), |rule| format!(" [{rule}]"));
        let remedy = report.remedy.as_ref().map_or(String::new(), |remedy| format!("; {remedy}"));
        let sentence = format!("refused{rule}: {}{remedy}", report.message);
        Event { turn: Some(turn.number), ..Event::new("refused", &sentence) }.tell(self.table.session)?;
        if !is_active || turn.repairs >= self.settings.repairs_max {
            if turn.repairs >= self.settings.repairs_max {
                let told = format!("given up after {}", units::count(u64::from(turn.repairs), "repair"));
                Event { turn: Some(turn.number), ..Event::new("given_up", &told) }
                    .tell(self.table.session)?;
                return self.nothing(turn);
            }
            self.state.phase = Phase::Rest;
            return self.save();
        }
        let next = self.table.desk.turn(self.state.turns + 1);
        super::desk::make(&next)?;
        let document = serde_json::to_vec_pretty(&Refused { schema: "windlass.error/1", report })
            .map_err(|source| Error::Encode { what: "windlass.error/1", source })?;
        keep(&next.join(REFUSAL), &document)?;
        let (ask, iteration, base) = match turn.ask.is_for_a_lever() {
            true => (Ask::Repair, latest, view.best_tree),
            false => (turn.ask, turn.iteration, turn.base),
        };
        self.begin(ask, iteration, base, Some(turn.number), turn.repairs + 1)
    }

    /// The researcher's own lever is over.
    async fn land(&mut self, iteration: Option<IterationNumber>, sentence: &str) -> Result<(), Error> {
        let (_, story) = self.watcher.look(&self.client).await?;
        let gpu_ms = iteration.and_then(|number| story.iterations.get(&number)).map_or(0, cost::gpu_ms);
        let synced = match &self.settings.sync {
            Some(dir) => sync::bring(&self.client, story, dir).await,
            None => Ok(()),
        };
        let lever = self.state.flight.take().map(|flight| flight.lever);
        if let Some(number) = iteration {
            self.state.total.add_iteration(gpu_ms);
            self.state.current.add_iteration(gpu_ms);
            let spent = Spent {
                turns_from: self.state.turns_before + 1,
                turns_to: self.state.turns,
                cost: &self.state.current,
            };
            let bytes =
                serde_json::to_vec(&spent).map_err(|source| Error::Encode { what: "a cost", source })?;
            keep(&self.table.desk.cost(number.0), &bytes)?;
        }
        let cost = std::mem::take(&mut self.state.current);
        self.state.turns_before = self.state.turns;
        self.save()?;
        let sentence = format!("{sentence} ({})", account(&cost));
        let iteration = iteration.map(|number| number.0);
        let event = Event { iteration, lever, cost: Some(&cost), ..Event::new("landed", &sentence) };
        event.tell(self.table.session)?;
        if let Err(problem) = synced {
            if problem.is_unavailable() {
                return Err(problem);
            }
            let told = format!("the user's copy was not brought up to date: {}", problem.to_report().message);
            Event::new("warning", &told).tell(self.table.session)?;
        }
        Ok(())
    }

    /// Enters the time that has gone by.
    fn clock(&mut self) {
        let now = Instant::now();
        let ms = u64::try_from(now.duration_since(self.since).as_millis()).unwrap_or(u64::MAX);
        self.state.total.loop_ms = self.state.total.loop_ms.saturating_add(ms);
        self.since = now;
    }

    fn save(&self) -> Result<(), Error> {
        self.state.write(&self.table.desk.state())
    }
}

/// What an iteration came to, and the turns in whose folders everything of it is kept.
#[derive(serde::Serialize)]
struct Spent<'a> {
    turns_from: u64,
    turns_to: u64,
    #[serde(flatten)]
    cost: &'a Cost,
}

/// A refusal as a document.
#[derive(serde::Serialize)]
struct Refused<'a> {
    schema: &'static str,
    #[serde(flatten)]
    report: &'a Report,
}

/// Whether a problem is a rule's or a form's word about what was sent, and not a failure of something.
fn is_refusal(problem: &Error) -> bool {
    matches!(problem.exit_code(), 2..=4)
}
