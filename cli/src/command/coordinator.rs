//! `windlass coordinator`: becomes the coordinator.

use crate::error::Error;
use crate::process::lifeline;
use crate::process::signals::Signals;
use crate::session::Session;
use std::net::SocketAddr;

/// Where it listens.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Loopback address for clients and workers, beside the Unix socket; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// End when the other end of this descriptor is closed
    #[arg(long, hide = true, value_name = "N")]
    pub lifeline_fd: Option<u32>,
}

/// Serves until it is asked to end.
pub async fn run(args: Args, session: &Session) -> Result<(), Error> {
    super::role_log::start(session.quiet);
    let _ = (args, lifeline::cut(None), Signals::listen()?);
    let source = std::io::Error::from(std::io::ErrorKind::Unsupported);
    Err(Error::System { operation: "run this role: its crate has no entry yet", source })
}
