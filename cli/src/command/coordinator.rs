//! `windlass coordinator`: becomes the coordinator.

use crate::error::Error;
use crate::process::lifeline;
use crate::process::signals::Signals;
use crate::session::Session;
use std::net::SocketAddr;
use std::time::Duration;
use windlass_shared::time::Span;

/// Below this a healthy worker would be lost between two of its reports, milliseconds.
const LOST_AFTER_MIN_MS: u64 = 1_000;

/// Where it listens.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Loopback address for clients and workers, beside the Unix socket; port 0 takes a free one
    #[arg(long, env = "WINDLASS_LISTEN", value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// How long a silent worker keeps its leases, as `30 s` or `2 min`
    #[arg(long, env = "WINDLASS_WORKER_LOST_AFTER", value_name = "SPAN", default_value = "30 s",
          value_parser = Span::parse)]
    pub worker_lost_after: Span,
    /// End when the other end of this descriptor is closed
    #[arg(long, hide = true, value_name = "N")]
    pub lifeline_fd: Option<u32>,
}

/// Serves until it is asked to end.
pub async fn run(args: Args, session: &Session) -> Result<(), Error> {
    super::role_log::start(session.quiet);
    let mut signals = Signals::listen()?;
    let shutdown = tokio_util::sync::CancellationToken::new();
    let settings = windlass_coordinator::Settings {
        data_dir: session.data_dir.clone(),
        listen: args.listen,
        worker_lost_after: Duration::from_millis(args.worker_lost_after.ms.max(LOST_AFTER_MIN_MS)),
    };
    // It says itself where it can be reached, and leaves endpoint.json for clients.
    let serving = windlass_coordinator::run(settings, |_| {}, shutdown.clone());
    tokio::pin!(serving);
    let served = tokio::select! {
        served = &mut serving => served,
        _ = signals.next() => { shutdown.cancel(); serving.await }
        () = lifeline::cut(args.lifeline_fd) => { shutdown.cancel(); serving.await }
    };
    served.map_err(|problem| Error::Coordinator(Box::new(problem)))
}
