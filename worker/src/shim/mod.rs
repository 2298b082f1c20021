//! One small process per attempt: it owns the child, the log file, the deadlines and the exit record,
//! and lives on when the daemon dies. It never talks to the network and never starts a runtime.

mod affinity;
mod begin;
mod birth;
mod clone;
mod control;
mod guardian;
mod hunt;
mod init;
mod letter;
mod limits;
mod log;
mod mounts;
mod nursery;
mod plain;
mod record;
mod redact;
mod run;
mod secrets;
mod spec;
mod start;
mod title;
mod tree;

pub use control::{call_off, cancel, identify, kill, retire};
pub use hunt::{ATTEMPT_VARIABLE, end_unknown, end_without};
pub use log::LogFile;
pub use mounts::{Bind, Mounts, Overlay, probe_overlay};
pub use nursery::{Launched, Nursery};
pub use record::{Exit, Identity, Place};
pub use spec::{LogLimits, Spec};
pub use start::{try_cgroup, try_pid_namespace};

use crate::sandbox::Machine;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// The word by which this binary becomes a nursery, from which shims come: `windlass nursery`.
const NURSERY: &str = "nursery";
/// The word by which it tries, as a shim would, what a worker's folder asks of it: `windlass shim DIR`.
const SHIM: &str = "shim";
/// The word by which it becomes the first process of a sealed run.
const INIT: &str = "shim-init";
/// The word by which it says, as JSON, what this machine can do around a run.
pub const PROBE: &str = "shim-probe";

/// Becomes what the command line asks for, if that is one of the small processes around a run. To be called
/// before any runtime or argument parser starts.
pub fn dispatch(arguments: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter().skip(1);
    match arguments.next()?.to_str()? {
        NURSERY => Some(birth::main()),
        SHIM => arguments.next().map(|dir| mounts::try_for(Path::new(&dir))),
        INIT => Some(init::main(arguments)),
        PROBE => Some(probe()),
        _ => None,
    }
}

fn probe() -> ExitCode {
    let found = serde_json::to_writer(std::io::stdout(), &Machine::here());
    if found.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
