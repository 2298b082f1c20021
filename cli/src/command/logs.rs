//! `windlass logs C N`: the log of a run, as it grows if asked, or the lines of it that match.

use crate::client::Client;
use crate::error::Error;
use crate::render::fold::{Fold, Look};
use crate::render::text::neutral;
use crate::session::{self, Session};
use serde::Serialize;
use std::io::IsTerminal;
use windlass_engine::gate::anchor;
use windlass_proto::v1::{ReadLogRequest, ReadLogResponse};

/// Which log, how much of it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Campaign: id, name, or a unique prefix of either
    #[arg(value_name = "C")]
    pub campaign: String,
    /// The iteration's number
    #[arg(value_name = "N", value_parser = crate::nearest::iteration)]
    pub iteration: u32,
    /// Go on until the attempt has ended and its log is whole
    #[arg(long, short)]
    pub follow: bool,
    /// Only the last K lines
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    pub tail: Option<u32>,
    /// Only the lines that this regular expression matches, with their numbers
    #[arg(long, value_name = "RE", value_parser = pattern, conflicts_with_all = ["tail", "raw"])]
    pub grep: Option<String>,
    /// An attempt's number [default: the latest run]
    #[arg(long, value_name = "A", default_value_t = 0, hide_default_value = true)]
    pub attempt: u32,
    /// The bytes as they are, control characters and redrawn lines too
    #[arg(long)]
    pub raw: bool,
}

/// A pattern that the coordinator would take as well: what is wrong with it is said where it was written.
fn pattern(text: &str) -> Result<String, String> {
    anchor::compile(text).map(|_| text.to_owned()).map_err(|problem| {
        format!("it {problem}; put a backslash before a character that is meant as it is, as in '\\['")
    })
}

#[derive(Serialize)]
struct Piece<'a> {
    iteration: u32,
    offset: u64,
    bytes: usize,
    text: &'a str,
}

#[derive(Serialize)]
struct FoundLine<'a> {
    iteration: u32,
    line: u64,
    text: &'a str,
}

/// Prints it.
pub async fn run(args: Args, session: &Session) -> Result<(), Error> {
    let client = Client::connect(session).await?;
    let request = ReadLogRequest {
        campaign: args.campaign.clone(),
        iteration: args.iteration,
        attempt: args.attempt,
        offset: 0,
        tail_lines: args.tail.unwrap_or(0),
        follow: args.follow,
        grep: args.grep.clone().unwrap_or_default(),
    };
    let mut stream = client.logs().read_log(request).await?.into_inner();
    let mut fold = Fold::new(look(&args, session));
    let mut end = 0;
    loop {
        let message = tokio::select! {
            message = stream.message() => message?,
            () = session::closed(), if args.follow => return Ok(()),
        };
        let Some(piece) = message else { break };
        end = piece.offset + piece.data.len() as u64;
        if args.grep.is_some() {
            found(&args, session, &piece)?;
        } else if args.raw && !session.is_json() {
            session.raw(&piece.data)?;
        } else {
            let shown = fold.push(&piece.data);
            if session.is_json() {
                let (iteration, offset, bytes) = (args.iteration, piece.offset, piece.data.len());
                session.json("windlass.log/1", &Piece { iteration, offset, bytes, text: &shown })?;
            } else {
                session.print(&shown)?;
            }
        }
    }
    let rest = fold.finish();
    match session.is_json() {
        true if rest.is_empty() => Ok(()),
        true => {
            let rest = Piece { iteration: args.iteration, offset: end, bytes: 0, text: &rest };
            session.json("windlass.log/1", &rest)
        }
        false => session.print(&rest),
    }
}

fn look(args: &Args, session: &Session) -> Look {
    match args.follow {
        true if !session.is_json() && std::io::stdout().is_terminal() => Look::Terminal,
        true => Look::Growing,
        false => Look::Whole,
    }
}

/// One line that matches.
fn found(args: &Args, session: &Session, piece: &ReadLogResponse) -> Result<(), Error> {
    let text = neutral(&String::from_utf8_lossy(&piece.data));
    if session.is_json() {
        let found = FoundLine { iteration: args.iteration, line: piece.line, text: &text };
        session.json("windlass.log_line/1", &found)?;
    } else {
        session.print(&format!("{}:{text}\n", piece.line))?;
    }
    if piece.more {
        session.say("more lines match; a narrower expression shows them");
    }
    Ok(())
}
