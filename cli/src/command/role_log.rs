//! What a role says about itself, on stderr: `WINDLASS_LOG` is its filter.

use tracing_subscriber::EnvFilter;

/// Begins to write it.
pub fn start(quiet: bool) {
    let default = if quiet { "error" } else { "warn,windlass_coordinator=info,windlass_worker=info" };
    let filter = EnvFilter::try_from_env("WINDLASS_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start in one process changes nothing.
    let _ = subscriber.with_ansi(false).with_target(false).try_init();
}
