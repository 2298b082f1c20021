//! One small process per attempt: it owns the child, the log file, the deadlines and the exit record,
//! and lives on when the daemon dies. It never talks to the network and never starts a runtime.

mod affinity;
mod control;
mod log;
mod mounts;
mod record;
mod run;
mod spec;
mod tree;

pub use control::{ATTEMPT_VARIABLE, Launched, cancel, identify, kill, kill_leftovers, launch, retire};
pub use mounts::{Bind, Mounts, Overlay, probe};
pub use record::{Exit, Identity};
pub use run::main;
pub use spec::{LogLimits, Spec};

use std::ffi::OsString;
use std::path::PathBuf;

/// The attempt folder, if this process was started as `windlass shim <dir>`. To be asked before any
/// runtime or argument parser starts.
pub fn requested(arguments: impl IntoIterator<Item = OsString>) -> Option<PathBuf> {
    let mut arguments = arguments.into_iter().skip(1);
    (arguments.next()? == "shim").then(|| arguments.next()).flatten().map(PathBuf::from)
}
