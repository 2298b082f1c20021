//! `windlass context C`: all that a researcher needs next, in so many bytes.

use crate::client::Client;
use crate::context::{self, Form};
use crate::error::Error;
use crate::session::Session;

/// Which campaign, how much.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Campaign: id, name, or a unique prefix of either
    #[arg(value_name = "C")]
    pub campaign: String,
    /// At most so many bytes, 2000 or more: what has no room is named with the command that shows it
    #[arg(long, value_name = "N", default_value = context::MAX_BYTES_DEFAULT, value_parser = context::parse_max_bytes)]
    pub max_bytes: usize,
}

/// Writes it: Markdown, or one JSON document.
pub async fn run(args: Args, session: &Session) -> Result<(), Error> {
    let client = Client::connect(session).await?;
    let facts = context::gather(&client, &args.campaign).await?;
    let form = if session.is_json() { Form::Json } else { Form::Markdown };
    session.print(&context::write(&facts, form, args.max_bytes))
}
