//! `windlass logs C N`: the log of a run, as it grows if asked.

use crate::client::Client;
use crate::error::Error;
use crate::render::text::LogText;
use crate::session::Session;
use serde::Serialize;
use windlass_proto::v1::ReadLogRequest;

/// Which log, how much of it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Campaign: id, name, or a unique prefix of either
    #[arg(value_name = "C")]
    pub campaign: String,
    /// The iteration's number
    #[arg(value_name = "N")]
    pub iteration: u32,
    /// Go on until the attempt has ended and its log is whole
    #[arg(long, short)]
    pub follow: bool,
    /// Only the last K lines
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    pub tail: Option<u32>,
    /// An attempt's number [default: the latest run]
    #[arg(long, value_name = "A", default_value_t = 0, hide_default_value = true)]
    pub attempt: u32,
    /// The bytes as they are, control characters too
    #[arg(long)]
    pub raw: bool,
}

#[derive(Serialize)]
struct Piece<'a> {
    iteration: u32,
    offset: u64,
    bytes: usize,
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
    };
    let mut stream = client.logs().read_log(request).await?.into_inner();
    let mut text = LogText::default();
    while let Some(piece) = stream.message().await? {
        if args.raw && !session.is_json() {
            session.raw(&piece.data)?;
            continue;
        }
        let shown = text.push(&piece.data);
        if session.is_json() {
            let (iteration, offset, bytes) = (args.iteration, piece.offset, piece.data.len());
            session.json("windlass.log/1", &Piece { iteration, offset, bytes, text: &shown })?;
        } else {
            session.print(&shown)?;
        }
    }
    if session.is_json() { Ok(()) } else { session.print(&text.finish()) }
}
