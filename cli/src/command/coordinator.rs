//! `windlass coordinator`: becomes the coordinator.

use super::role_log;
use crate::error::Error;
use crate::process::lifeline;
use crate::process::notify;
use crate::process::signals::Signals;
use crate::session::Session;
use std::net::SocketAddr;
use std::time::Duration;
use windlass_coordinator::grpc::listen::Transport;
use windlass_coordinator::grpc::room::Room;
use windlass_coordinator::hook::Hook;
use windlass_coordinator::upkeep::Retention;
use windlass_shared::size::Size;
use windlass_shared::space::Marks;
use windlass_shared::time::Span;

/// Below this a healthy worker would be lost between two of its reports, milliseconds.
const LOST_AFTER_MIN_MS: u64 = 1_000;

/// Below this a certificate would be over before it was used, milliseconds.
const LIFE_MIN_MS: u64 = 1_000;

/// Where TLS is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Tls {
    /// Everywhere but on loopback
    Auto,
    /// On loopback too
    Always,
}

/// Where it listens.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address for clients and workers, beside the Unix socket; with TLS unless it is loopback; port 0 takes a free one
    #[arg(long, env = "WINDLASS_LISTEN", value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Where TLS is spoken: `auto` is everywhere but on loopback
    #[arg(long, env = "WINDLASS_TLS", value_name = "WHERE", default_value = "auto")]
    pub tls: Tls,
    /// Where other machines reach it, as HOST:PORT: what join tokens carry [default: the address or host name that it listens on]
    #[arg(long, env = "WINDLASS_ADVERTISE", value_name = "HOST:PORT")]
    pub advertise: Option<String>,
    /// How long certificates live; each is renewed at two thirds of that
    #[arg(long, env = "WINDLASS_CERTIFICATE_LIFE", value_name = "SPAN", default_value = "24 h",
          value_parser = Span::parse)]
    pub certificate_life: Span,
    /// How long a silent worker keeps its leases, as `30 s` or `2 min`
    #[arg(long, env = "WINDLASS_WORKER_LOST_AFTER", value_name = "SPAN", default_value = "30 s",
          value_parser = Span::parse)]
    pub worker_lost_after: Span,
    /// In which time half of what campaigns had of the fleet is forgotten, where it is shared by weight
    #[arg(long, env = "WINDLASS_SHARE_HALF_LIFE", value_name = "SPAN", default_value = "24 h", value_parser = Span::parse)]
    pub share_half_life: Span,
    /// Warn when less is free on the disk of the data folder [default: 2 GiB, or a tenth of a small disk]
    #[arg(long, env = "WINDLASS_DISK_WARN_BELOW", value_name = "SIZE", value_parser = Size::parse)]
    pub disk_warn_below: Option<Size>,
    /// Take nothing new when less is free there [default: 1 GiB, or a twentieth of a small disk]
    #[arg(long, env = "WINDLASS_DISK_STOP_BELOW", value_name = "SIZE", value_parser = Size::parse)]
    pub disk_stop_below: Option<Size>,
    /// Logs of one campaign past which it takes no new work [default: 200 GiB]
    #[arg(long, env = "WINDLASS_CAMPAIGN_LOGS_MAX", value_name = "SIZE", value_parser = Size::parse)]
    pub campaign_logs_max: Option<Size>,
    /// The same for its blobs, each counted once [default: 1 TiB]
    #[arg(long, env = "WINDLASS_CAMPAIGN_BLOBS_MAX", value_name = "SIZE", value_parser = Size::parse)]
    pub campaign_blobs_max: Option<Size>,
    /// How long logs are kept after their iteration was decided [default: for ever]
    #[arg(long, env = "WINDLASS_KEEP_LOGS", value_name = "SPAN", value_parser = Span::parse)]
    pub keep_logs: Option<Span>,
    /// The same for outputs and artifacts [default: for ever]
    #[arg(long, env = "WINDLASS_KEEP_OUTPUTS", value_name = "SPAN", value_parser = Span::parse)]
    pub keep_outputs: Option<Span>,
    /// How long `gc` leaves a blob that nothing names alone after it was last asked for
    #[arg(long, env = "WINDLASS_KEEP_UNNAMED", value_name = "SPAN", default_value = "48 h", value_parser = Span::parse)]
    pub keep_unnamed: Span,
    /// Serve figures for Prometheus at http://ADDR/metrics, on a loopback address; port 0 takes a free one
    #[arg(long, env = "WINDLASS_METRICS", value_name = "ADDR")]
    pub metrics: Option<SocketAddr>,
    /// Run this by `sh -c` when a campaign pauses, waits for a person or finds a new best; a line of JSON tells which
    #[arg(long, env = "WINDLASS_HOOK", value_name = "CMD")]
    pub hook: Option<String>,
    /// How long a campaign must have waited before the hook is told
    #[arg(long, env = "WINDLASS_HOOK_AFTER", value_name = "SPAN", default_value = "1 min", value_parser = Span::parse)]
    pub hook_after: Span,
    #[command(flatten)]
    pub log: role_log::Logging,
    /// End when the other end of this descriptor is closed
    #[arg(long, hide = true, value_name = "N")]
    pub lifeline_fd: Option<u32>,
}

fn room(args: &Args) -> Room {
    let default = Room::default();
    Room {
        log_bytes: args.campaign_logs_max.map_or(default.log_bytes, |size| size.bytes),
        blob_bytes: args.campaign_blobs_max.map_or(default.blob_bytes, |size| size.bytes),
    }
}

/// Serves until it is asked to end.
pub async fn run(args: Args, session: &Session) -> Result<(), Error> {
    role_log::start(&args.log, session.quiet);
    let mut signals = Signals::listen()?;
    let shutdown = tokio_util::sync::CancellationToken::new();
    let room = room(&args);
    let settings = windlass_coordinator::Settings {
        data_dir: session.data_dir.clone(),
        listen: args.listen,
        transport: match args.tls {
            _ if session.plaintext => Transport::Plaintext,
            Tls::Auto => Transport::Auto,
            Tls::Always => Transport::Tls,
        },
        advertise: args.advertise,
        certificate_life: Duration::from_millis(args.certificate_life.ms.max(LIFE_MIN_MS)),
        worker_lost_after: Duration::from_millis(args.worker_lost_after.ms.max(LOST_AFTER_MIN_MS)),
        share_half_life: Duration::from_millis(args.share_half_life.ms),
        marks: Marks {
            warn_bytes: args.disk_warn_below.map(|size| size.bytes),
            stop_bytes: args.disk_stop_below.map(|size| size.bytes),
        },
        room,
        retention: Retention {
            unnamed: Duration::from_millis(args.keep_unnamed.ms),
            logs: args.keep_logs.map(|span| Duration::from_millis(span.ms)),
            outputs: args.keep_outputs.map(|span| Duration::from_millis(span.ms)),
        },
        metrics: args.metrics,
        hook: args.hook.map(|command| Hook { command, after: Duration::from_millis(args.hook_after.ms) }),
    };
    // It says itself where it can be reached, and leaves endpoint.json for clients.
    let serving = windlass_coordinator::run(settings, |_| notify::ready(), shutdown.clone());
    tokio::pin!(serving);
    let served = tokio::select! {
        served = &mut serving => served,
        _ = signals.next() => { shutdown.cancel(); serving.await }
        () = lifeline::cut(args.lifeline_fd) => { shutdown.cancel(); serving.await }
    };
    served.map_err(|problem| Error::Coordinator(Box::new(problem)))
}
