//! Requests to end, as signals.

use crate::error::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// SIGINT: end, the runs too.
    EndRuns,
    /// SIGTERM or SIGHUP: end, and leave the runs to be found again.
    LeaveRuns,
}

/// The signals that this process listens to, from its creation on.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// Begins to listen: none of them ends the process by itself any more.
    pub fn listen() -> Result<Self, Error> {
        let on =
            |kind| signal(kind).map_err(|source| Error::System { operation: "listen to signals", source });
        Ok(Self {
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
            hangup: on(SignalKind::hangup())?,
        })
    }

    /// The next request.
    pub async fn next(&mut self) -> Request {
        tokio::select! {
            _ = self.interrupt.recv() => Request::EndRuns,
            _ = self.terminate.recv() => Request::LeaveRuns,
            _ = self.hangup.recv() => Request::LeaveRuns,
        }
    }
}
