//! Researchers without a language model, in the same seat as any other: started as the command of
//! `windlass research`, they read the environment of a turn and leave an answer in its folder. They keep nothing
//! of their own: what they propose follows from the campaign's history, so that a kill loses nothing.

mod answer;
mod conclusion;
mod levers;
mod search;
mod turn;

pub use answer::Spoken;

use crate::client::Client;
use crate::context;
use crate::error::Error;
use crate::session::Session;
use std::path::Path;
use std::time::Duration;
use turn::{Kind, Turn};

/// A coordinator that is away is tried again so often: a minute, in which one that was killed has come back.
const TRIES_MAX: u32 = 120;
/// See [`TRIES_MAX`].
const TRY_EVERY: Duration = Duration::from_millis(500);

/// Which of them.
#[derive(Clone, Copy, Debug)]
pub enum Researcher<'a> {
    /// Pulls the levers of a folder, in order.
    Levers(&'a Path),
    /// Searches a space of settings.
    Search(&'a Path),
}

/// Answers the turn that the environment describes.
pub async fn run(researcher: Researcher<'_>, session: &Session) -> Result<Spoken, Error> {
    let turn = Turn::read()?;
    // A space that cannot be read is told at the first turn, whatever that asks.
    let space = match researcher {
        Researcher::Levers(_) => None,
        Researcher::Search(path) => Some(search::Space::read(path)?),
    };
    if turn.kind == Kind::Fix {
        return Ok(Spoken::nothing(turn.kind, "it repairs nothing: a failed run stays one"));
    }
    for _ in 1..TRIES_MAX {
        match answer(researcher, space.as_ref(), &turn, session).await {
            Err(problem) if problem.is_unavailable() => tokio::time::sleep(TRY_EVERY).await,
            answered => return answered,
        }
    }
    answer(researcher, space.as_ref(), &turn, session).await
}

async fn answer(
    researcher: Researcher<'_>,
    space: Option<&search::Space>,
    turn: &Turn,
    session: &Session,
) -> Result<Spoken, Error> {
    let client = Client::connect(session).await?;
    let facts = context::gather(&client, &turn.campaign).await?;
    match (turn.kind, researcher, space) {
        (Kind::Conclude, _, _) => conclusion::write(turn, &facts),
        (_, Researcher::Levers(folder), _) => levers::propose(turn, &facts, folder, session).await,
        (_, _, Some(space)) => search::propose(turn, &facts, space, session).await,
        (_, Researcher::Search(_), None) => Ok(Spoken::nothing(turn.kind, "no space was read")),
    }
}
