//! The loop's life: opened, driven until something ends it, and ended in order: no process is left, and what is to
//! be done to go on is said.

use super::agent::{Agent, Confinement};
use super::ask::Ask;
use super::decide;
use super::desk::Desk;
use super::driver::Driver;
use super::lay;
use super::limits::Limits;
use super::preset::Preset;
use super::state::{State, Turn};
use super::tell::{Event, Summary};
use super::turn::Table;
use super::watcher::Watcher;
use crate::client::Client;
use crate::command::status;
use crate::context;
use crate::error::Error;
use crate::process::signals::Signals;
use crate::session::{self, Session};
use std::path::PathBuf;
use std::time::Duration;
use windlass_engine::gate::editable::Editable;
use windlass_shared::machine::Isolation;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The campaign, as its user names it.
    pub campaign: String,
    /// The researcher's name.
    pub name: String,
    /// Its folder; none: below the data folder.
    pub dir: Option<PathBuf>,
    /// The command.
    pub words: Vec<String>,
    /// The agent whose words are known.
    pub preset: Option<Preset>,
    /// How long a turn may take.
    pub turn_timeout: Duration,
    /// The first wait after a turn that failed, was limited or proposed nothing.
    pub pause: Duration,
    /// So often an answer that was refused is asked for again.
    pub repairs_max: u32,
    /// How far the command is shut in.
    pub isolation: Isolation,
    /// What it may write beside its turn's folder.
    pub writable: Vec<PathBuf>,
    /// What it may spend.
    pub limits: Limits,
    /// Where the user's copy is kept up to date.
    pub sync: Option<PathBuf>,
    /// The command line that goes on.
    pub resume: String,
}

/// Why it ended.
#[derive(Debug)]
enum End {
    /// By itself.
    Why(String),
    /// It was asked to.
    Interrupted,
}

/// Runs the loop.
pub async fn run(settings: Settings, session: &Session) -> Result<(), Error> {
    let mut signals = Signals::listen()?;
    let client = Client::connect(session).await?;
    let campaign = status::get(&client, &settings.campaign).await?.campaign.0;
    let root =
        settings.dir.clone().unwrap_or_else(|| Desk::place(&session.data_dir, &campaign, &settings.name));
    let confinement = Confinement {
        isolation: settings.isolation,
        writable: settings.writable.clone(),
        hidden: vec![session.data_dir.clone(), root.clone()],
    };
    let agent = Agent::new(&settings.words, settings.turn_timeout, confinement)?;
    let desk = Desk::open(&root)?;
    let state = desk.begin(&campaign)?;
    let table =
        Table { session, desk: &desk, agent: &agent, preset: settings.preset, researcher: &settings.name };
    let mut watcher = Watcher::new(session, &campaign);
    let editable = Editable::new(&watcher.look(&client).await?.1.bindings.editable_files)?;
    let mut driver = Driver::new(table, &settings, client, watcher, editable, state);
    let begun = format!("{} is the researcher of {campaign}, in {}", settings.name, desk.root().display());
    Event::new("began", &begun).tell(session)?;
    let end = tokio::select! {
        end = driver.drive() => end.map(End::Why),
        _ = signals.next() => Ok(End::Interrupted),
        () = session::closed() => Ok(End::Interrupted),
    };
    // Whatever ended the loop: nothing of the command is left.
    if !matches!(end, Ok(End::Why(_))) {
        driver.leave().await?;
    }
    let end = end?;
    let (why, resume) = match &end {
        End::Why(why) => (why.as_str(), None),
        End::Interrupted => ("it was asked to end", Some(settings.resume.as_str())),
    };
    let best = driver.best().await;
    let summary = Summary {
        campaign: &campaign,
        researcher: &settings.name,
        folder: desk.root().display().to_string(),
        why,
        best,
        resume,
        cost: driver.cost(),
    };
    summary.tell(session)?;
    match end {
        End::Why(_) => Ok(()),
        End::Interrupted => Err(Error::Interrupted { resume: Some(settings.resume.clone()) }),
    }
}

/// The prompt that would be asked now, for a dry run: nothing is begun.
pub async fn show(settings: &Settings, session: &Session) -> Result<String, Error> {
    let client = Client::connect(session).await?;
    let facts = lay::seen_by(&settings.name, context::gather(&client, &settings.campaign).await?);
    let state = State::new(facts.view.campaign.as_str());
    let iteration = decide::latest_analysed(&facts.story).map_or(1, |iteration| iteration.number.0);
    let turn = Turn {
        number: 1,
        ask: Ask::Propose,
        iteration,
        base: facts.view.best_tree,
        previous: None,
        repairs: 0,
        nonce: 0,
    };
    Ok(lay::words(&facts, &state, &turn))
}
