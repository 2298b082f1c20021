//! `windlass demo`: the example campaign on this machine, from nothing to a ledger and a plot. Leaves no
//! process behind, however it ends.

use super::propose::Voice;
use super::submit::{self, Submission};
use super::{campaigns, control, lever, propose, results, up};
use crate::client::Client;
use crate::demo::folder::Folder;
use crate::demo::show::{self, Outcome};
use crate::error::{Error, quote};
use crate::history;
use crate::layout;
use crate::lever_file;
use crate::process::pair::Pair;
use crate::process::signals::{Request, Signals};
use crate::render::chart::Chart;
use crate::render::text::neutral;
use crate::render::{svg, views};
use crate::session::Session;
use std::path::PathBuf;
use windlass_shared::record::PauseReason;
use windlass_shared::view::{CampaignState, CampaignView};

/// Where it happens.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The demo's folder: a new or empty one, or that of an earlier demo, which is gone on with
    #[arg(long, value_name = "D", default_value = "windlass-demo")]
    pub dir: PathBuf,
}

/// Runs it.
pub async fn run(args: Args, session: &Session) -> Result<(), Error> {
    let mut signals = Signals::listen()?;
    let folder = Folder::prepare(&args.dir)?;
    let here = session.at(&folder.data_dir());
    let setup = up::Args::default();
    let mut pair = up::pair(&setup, &here, Some(folder.root()));
    let outcome = tokio::select! {
        outcome = play(&mut pair, &here, &folder) => outcome,
        _ = signals.next() => Err(Error::Interrupted { resume: Some(resume(&folder)) }),
    };
    if outcome.is_err() {
        session.say("ending the coordinator and the worker");
    }
    // A second Ctrl-C changes nothing: ending them is bounded already.
    pair.stop(Request::EndRuns).await;
    outcome
}

fn resume(folder: &Folder) -> String {
    format!("go on with: windlass demo --dir {}", quote(folder.root()))
}

async fn play(pair: &mut Pair, session: &Session, folder: &Folder) -> Result<(), Error> {
    session.say(&format!("demo in {}: starting a coordinator and a worker", folder.root().display()));
    pair.start(session).await?;
    let client = Client::connect(session).await?;
    let campaign = begin(&client, session, folder).await?;
    let outcome = tokio::select! {
        outcome = show::play(session, &campaign) => outcome?,
        problem = pair.supervise() => return Err(problem),
    };
    // The one from before may have been cut by a restart.
    let client = Client::connect(session).await?;
    finish(&client, session, folder, &campaign, &outcome).await
}

/// Submits the example, or finds what an earlier demo submitted and queues what it had not come to.
async fn begin(client: &Client, session: &Session, folder: &Folder) -> Result<String, Error> {
    let levers = lever_file::list(&folder.workspace().join("levers"))?;
    let earlier = campaigns::list(client).await?;
    let alive = |view: &&CampaignView| !matches!(view.state, CampaignState::Stopped { .. });
    let Some(view) = earlier.iter().find(alive).or(earlier.first()) else {
        let args = submit::Args {
            dir: folder.workspace(),
            levers: Some(folder.workspace().join("levers")),
            name: None,
            secrets: Vec::new(),
            secrets_file: None,
            dry_run: false,
        };
        let Submission { campaign, .. } = submit::submit(&args, session, Voice::Watched).await?;
        return Ok(campaign.unwrap_or_default());
    };
    let campaign = view.campaign.to_string();
    session.say(&format!("going on with {campaign}"));
    if matches!(view.state, CampaignState::Paused { reason: PauseReason::Owner }) {
        control::apply(client, session, &campaign, control::Verb::Resume).await?;
    }
    if alive(&view) {
        let known = lever::list(client, &campaign).await?;
        let missing: Vec<PathBuf> = levers
            .into_iter()
            .filter(|file| {
                let title = lever_file::read(file).map(|read| read.lever.title).ok();
                !known.iter().any(|lever| Some(&lever.title) == title.as_ref())
            })
            .collect();
        propose::all(client, session, &campaign, &missing, Voice::Watched).await?;
    }
    Ok(campaign)
}

/// The ledger as a table, the best, and where everything lies.
async fn finish(
    client: &Client,
    session: &Session,
    folder: &Folder,
    campaign: &str,
    outcome: &Outcome,
) -> Result<(), Error> {
    let story = history::fetch(client, campaign).await?;
    layout::lay_out(client, &story, &folder.sandbox(), layout::Writes::Done).await?;
    layout::write_file(&folder.plot(), svg::render(&Chart::of(&story)).as_bytes())?;
    if session.is_json() {
        results::json(session, &story)?;
    } else {
        session.print(&format!("\n{}\n", views::results(&story, session.width())))?;
    }
    for lever in lever::list(client, campaign).await? {
        if !matches!(lever.state, windlass_shared::view::LeverState::Decided { .. }) {
            let state = views::lever_state(&lever.state);
            let line = format!("{} ({}): {state}", lever.lever, lever.title);
            session.say(&neutral(&line));
        }
    }
    session.say("");
    session.say(&format!("rows:     {}", folder.sandbox().join("results.tsv").display()));
    session.say(&format!("copy:     {}", folder.sandbox().display()));
    session.say(&format!("plot:     {}", folder.plot().display()));
    session.say(&format!("ledger:   {}", folder.data_dir().display()));
    session.say(&format!("look on:  windlass up --data-dir {}", quote(&folder.data_dir())));
    if let Outcome::Stuck(why) = outcome {
        session.say(&format!("some levers still stand in line: the campaign waits for {}", neutral(why)));
    }
    Ok(())
}
