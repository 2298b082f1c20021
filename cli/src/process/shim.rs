//! `windlass shim DIR`, before any runtime or argument parser: a shim per attempt must stay small.

use std::process::ExitCode;

/// Becomes a shim, or what belongs to one, if this process was started as that.
pub fn dispatch() -> Option<ExitCode> {
    windlass_worker::shim::dispatch(std::env::args_os())
}
