//! `windlass mcp`: the same for agents' hosts, over standard input and output.

use crate::error::Error;
use crate::mcp::{self, Host};
use crate::session::Session;
use serde::Serialize;

/// Serve, or say what starts it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print what starts this server in a host of agents, and where it goes; serve nothing
    #[arg(long, value_name = "HOST")]
    pub print_config: Option<Host>,
}

#[derive(Serialize)]
struct Config {
    file: &'static str,
    text: String,
}

/// Serves until the host closes standard input.
pub async fn run(args: Args, session: &Session) -> Result<(), Error> {
    let Some(host) = args.print_config else { return mcp::serve(session).await };
    let text = mcp::config(host, session)?;
    if session.is_json() {
        return session.json("windlass.mcp_config/1", &Config { file: host.file(), text });
    }
    session.say(&format!("put this into {}:", host.file()));
    session.print(&text)
}
