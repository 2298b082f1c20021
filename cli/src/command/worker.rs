//! `windlass worker`: becomes a worker.

use crate::error::Error;
use crate::process::lifeline;
use crate::process::signals::Signals;
use crate::session::Session;
use std::path::PathBuf;

/// How it is set up.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its own folder: spool, cache, workspaces [default: worker in the data folder]
    #[arg(long, value_name = "DIR")]
    pub work_dir: Option<PathBuf>,
    /// Its name, for people [default: the host's]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// A label that campaigns can ask for; may be given several times
    #[arg(long = "label", value_name = "LABEL")]
    pub labels: Vec<String>,
    /// CPU slots offered where there is no GPU [default: its own choice]
    #[arg(long, value_name = "K")]
    pub cpu_slots: Option<u32>,
    /// End when the other end of this descriptor is closed
    #[arg(long, hide = true, value_name = "N")]
    pub lifeline_fd: Option<u32>,
}

/// Works until it is asked to end.
pub async fn run(args: Args, session: &Session) -> Result<(), Error> {
    super::role_log::start(session.quiet);
    let _ = (args, lifeline::cut(None), Signals::listen()?);
    let source = std::io::Error::from(std::io::ErrorKind::Unsupported);
    Err(Error::System { operation: "run this role: its crate has no entry yet", source })
}
