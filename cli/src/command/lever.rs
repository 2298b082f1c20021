//! `windlass lever add|list|show|retire|move|retry`: the queue.

use super::propose;
use crate::args::Dry;
use crate::client::Client;
use crate::error::Error;
use crate::render::lever::page;
use crate::render::{units, views};
use crate::session::Session;
use clap::Subcommand;
use serde::Serialize;
use std::path::PathBuf;
use windlass_proto::document;
use windlass_proto::v1::move_lever_request::Place;
use windlass_proto::v1::{
    GetLeverRequest, ListLeversRequest, MoveLeverRequest, RetireLeverRequest, RetryLeverRequest,
};
use windlass_shared::id::LeverNumber;
use windlass_shared::record::Record;
use windlass_shared::view::LeverView;

/// What to do with the queue.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Propose lever files, in the order given
    Add {
        /// Campaign: id, name, or a unique prefix of either
        #[arg(value_name = "C")]
        campaign: String,
        /// Lever files
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        dry: Dry,
    },
    /// The queue in order, then what left it
    List {
        /// Campaign: id, name, or a unique prefix of either
        #[arg(value_name = "C")]
        campaign: String,
        /// The proposals that were refused instead: each with its rules, reasons and the evidence looked at
        #[arg(long)]
        refused: bool,
    },
    /// One lever as proposed, and where it stands
    Show(One),
    /// Take a lever back
    Retire(Steer),
    /// Put a lever elsewhere in line
    Move(Move),
    /// Put a lever in line again that was held, cancelled, taken back, stale or never judged
    Retry(Steer),
}

/// A lever and its new place.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("place").required(true)))]
pub struct Move {
    #[command(flatten)]
    one: One,
    /// Before this lever
    #[arg(long, value_name = "M", group = "place", value_parser = parse_lever)]
    before: Option<LeverNumber>,
    /// After this lever
    #[arg(long, value_name = "M", group = "place", value_parser = parse_lever)]
    after: Option<LeverNumber>,
    /// Before all others
    #[arg(long, group = "place")]
    first: bool,
    /// After all others
    #[arg(long, group = "place")]
    last: bool,
    #[command(flatten)]
    dry: Dry,
}

impl Move {
    fn place(&self) -> Place {
        match (self.before, self.after) {
            (Some(before), _) => Place::Before(before.0),
            (None, Some(after)) => Place::After(after.0),
            (None, None) if self.first => Place::First(true),
            (None, None) => Place::Last(true),
        }
    }
}

/// One lever.
#[derive(Debug, clap::Args)]
pub struct One {
    /// Campaign: id, name, or a unique prefix of either
    #[arg(value_name = "C")]
    pub campaign: String,
    /// The lever: L7 or 7
    #[arg(value_name = "L", value_parser = parse_lever)]
    pub lever: LeverNumber,
}

/// A lever that something is to be done with.
#[derive(Debug, clap::Args)]
pub struct Steer {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    dry: Dry,
}

impl Command {
    fn dry(&self) -> Dry {
        match self {
            Self::Add { dry, .. } => *dry,
            Self::Retire(steer) | Self::Retry(steer) => steer.dry,
            Self::Move(moved) => moved.dry,
            Self::List { .. } | Self::Show(_) => Dry::default(),
        }
    }
}

fn parse_lever(text: &str) -> Result<LeverNumber, String> {
    LeverNumber::parse(text).ok_or_else(|| "write a lever's number like L7".to_owned())
}

#[derive(Serialize)]
struct Listing {
    campaign: String,
    levers: Vec<LeverView>,
}

#[derive(Serialize)]
struct RefusedListing {
    campaign: String,
    refused: Vec<Record>,
}

#[derive(Serialize)]
struct Shown {
    lever: LeverView,
    record: Record,
}

#[derive(Serialize)]
struct Added<'a> {
    campaign: &'a str,
    #[serde(flatten)]
    levers: &'a propose::Proposed,
}

/// Which lever something was done with.
#[derive(Debug, Serialize)]
pub struct Steered {
    /// Of which campaign.
    pub campaign: String,
    /// Its number.
    pub lever: u32,
}

/// What is done with a lever.
#[derive(Clone, Copy, Debug)]
pub enum Steering {
    /// It is taken back.
    Retire,
    /// It stands in line again.
    Retry,
    /// It stands elsewhere.
    Move(Place),
}

/// Does it.
pub async fn run(command: Command, session: &Session) -> Result<(), Error> {
    let session = &session.asking(command.dry());
    let client = Client::connect(session).await?;
    match command {
        Command::Add { campaign, files, .. } => {
            let campaign = resolve(&client, &campaign).await?;
            add(&client, session, &campaign, &files).await
        }
        Command::List { campaign, refused: true } => {
            let campaign = resolve(&client, &campaign).await?;
            let refused = refused(&client, &campaign).await?;
            if session.is_json() {
                return session.json("windlass.levers_refused/1", &RefusedListing { campaign, refused });
            }
            session.print(&views::refused(&refused, units::now_ms(), session.width()))
        }
        Command::List { campaign, refused: false } => {
            let campaign = resolve(&client, &campaign).await?;
            let levers = list(&client, &campaign).await?;
            if session.is_json() {
                return session.json("windlass.levers/1", &Listing { campaign, levers });
            }
            session.print(&views::levers(&levers, units::now_ms(), session.width()))
        }
        Command::Show(one) => show(&client, session, one).await,
        Command::Retire(Steer { one: One { campaign, lever }, .. }) => {
            let steered = steer(&client, session, &campaign, lever.0, Steering::Retire).await?;
            told(session, "windlass.lever_retired/1", &steered, "retired")
        }
        Command::Move(moved) => {
            let (place, One { campaign, lever }) = (moved.place(), moved.one);
            let steered = steer(&client, session, &campaign, lever.0, Steering::Move(place)).await?;
            told(session, "windlass.lever_moved/1", &steered, "moved")
        }
        Command::Retry(Steer { one: One { campaign, lever }, .. }) => {
            let steered = steer(&client, session, &campaign, lever.0, Steering::Retry).await?;
            told(session, "windlass.lever_retried/1", &steered, "stands in line again")
        }
    }
}

fn told(session: &Session, schema: &'static str, steered: &Steered, done: &str) -> Result<(), Error> {
    if session.is_json() {
        return session.json(schema, steered);
    }
    session.say(&format!("L{} {done}", steered.lever));
    Ok(())
}

/// Makes the call.
pub async fn steer(
    client: &Client,
    session: &Session,
    campaign: &str,
    lever: u32,
    steering: Steering,
) -> Result<Steered, Error> {
    let campaign = resolve(client, campaign).await?;
    let (request_id, id) = (session.next_request_id(), campaign.clone());
    let mut service = client.campaigns();
    match steering {
        Steering::Retire => {
            service.retire_lever(RetireLeverRequest { request_id, campaign: id, lever }).await.map(|_| ())
        }
        Steering::Retry => {
            service.retry_lever(RetryLeverRequest { request_id, campaign: id, lever }).await.map(|_| ())
        }
        Steering::Move(place) => {
            let place = Some(place);
            let request = MoveLeverRequest { request_id, campaign: id, lever, place };
            service.move_lever(request).await.map(|_| ())
        }
    }?;
    Ok(Steered { campaign, lever })
}

/// The id behind a name or prefix.
async fn resolve(client: &Client, campaign: &str) -> Result<String, Error> {
    Ok(super::status::get(client, campaign).await?.campaign.0)
}

async fn add(client: &Client, session: &Session, campaign: &str, files: &[PathBuf]) -> Result<(), Error> {
    let levers = propose::all(client, session, campaign, files, propose::Voice::Each).await?;
    if session.is_json() {
        session.json("windlass.levers_added/1", &Added { campaign, levers: &levers })?;
    } else {
        for queued in &levers.queued {
            session.print(&format!("L{}\n", queued.lever))?;
        }
    }
    match levers.refused.len() {
        0 => Ok(()),
        refused => Err(Error::LeversRefused { refused, given: files.len() }),
    }
}

/// All levers of a campaign, page after page.
pub async fn list(client: &Client, campaign: &str) -> Result<Vec<LeverView>, Error> {
    let mut levers = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListLeversRequest { campaign: campaign.to_owned(), page_token, ..Default::default() };
        let answer = client.campaigns().list_levers(request).await?.into_inner();
        for bytes in &answer.view_documents {
            levers.push(document::read("view_documents", bytes)?);
        }
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            return Ok(levers);
        }
    }
}

/// The refused proposals of a campaign that its ledger has, newest first, page after page.
async fn refused(client: &Client, campaign: &str) -> Result<Vec<Record>, Error> {
    let mut records = Vec::new();
    let mut page_token = String::new();
    loop {
        let campaign = campaign.to_owned();
        let request = ListLeversRequest { campaign, page_size: 0, page_token, refused: true };
        let answer = client.campaigns().list_levers(request).await?.into_inner();
        for bytes in &answer.refused_documents {
            records.push(document::read("refused_documents", bytes)?);
        }
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            return Ok(records);
        }
    }
}

async fn show(client: &Client, session: &Session, one: One) -> Result<(), Error> {
    let request = GetLeverRequest { campaign: one.campaign, lever: one.lever.0 };
    let answer = client.campaigns().get_lever(request).await?.into_inner();
    let shown = Shown {
        lever: document::read("view_document", &answer.view_document)?,
        record: document::read("record_document", &answer.record_document)?,
    };
    if session.is_json() {
        return session.json("windlass.lever/1", &shown);
    }
    session.print(&page(&shown.lever, &shown.record, units::now_ms(), session.width()))
}
